import CovertreeBase

/// Points in the caller's memory: `count` rows of `dim` coordinates, `stride` scalars from row to row.
public struct PointsView<S: Scalar>: @unchecked Sendable {
  public let base: UnsafePointer<S>
  public let count: Int
  public let dim: Int
  public let stride: Int

  public init(base: UnsafePointer<S>, count: Int, dim: Int, stride: Int? = nil) {
    self.base = base
    self.count = count
    self.dim = dim
    self.stride = stride ?? dim
  }

  /// Rows without gaps, in memory that the caller keeps alive.
  init(_ rows: Buffer<S>, count: Int, dim: Int) { self.init(base: UnsafePointer(rows.base), count: count, dim: dim) }

  @inlinable @inline(__always)
  package func row(_ index: Int) -> UnsafePointer<S> { base + index &* stride }

  /// Some of the points.
  @inline(__always)
  func rows(_ range: Range<Int>) -> PointsView {
    PointsView(base: row(range.lowerBound), count: range.count, dim: dim, stride: stride)
  }
}

/// Whether coordinates are finite, and no larger than a limit.
@inline(__always)
func isUsable<S: Scalar>(_ row: UnsafePointer<S>, _ dim: Int, within limit: S) -> Bool {
  // One value instead of a branch per coordinate.
  var usable = true
  for d in 0..<dim { usable = usable && row[d].magnitude <= limit }
  return usable
}

extension PointsView {
  /// Throws if a coordinate is NaN, infinite or too large: beyond a limit, or to square.
  func checkCoordinates(named name: String, within given: S? = nil, context: CallContext) throws(CoverTreeError) {
    let limit = given ?? S(S.coordinateLimit)
    try context.forEach(count, grain: 1 << 16) { (range, _) throws(CoverTreeError) in
      for index in range {
        let row = row(index)
        if isUsable(row, dim, within: limit) { continue }
        for d in 0..<dim where !(row[d].magnitude <= limit) {
          throw CoverTreeError(
            .invalidArgument,
            row[d].isFinite
              ? "\(name)[\(index), \(d)]: \(row[d]) is beyond \(given.map { "\($0)" } ?? "2^500, its square would overflow"); "
                + "rescale the coordinates"
              : "\(name)[\(index), \(d)]: expected finite coordinates, got \(row[d])")
        }
      }
    }
  }
}

extension PointsView {
  /// Writes the rows without gaps.
  func copy(to target: UnsafeMutablePointer<S>) {
    if stride == dim { return target.update(from: base, count: count * dim) }
    for index in 0..<count { (target + index * dim).update(from: row(index), count: dim) }
  }

  /// A copy of the rows without gaps.
  public func copied() throws(CoverTreeError) -> Buffer<S> {
    let copy = try Buffer<S>(count: count * dim)
    self.copy(to: copy.base)
    return copy
  }
}

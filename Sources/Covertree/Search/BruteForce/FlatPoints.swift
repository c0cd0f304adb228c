import CNumerics
import CovertreeBase

/// The points of a search that compares queries with all of them: the leaves' vectors, and rows with the coordinates of one point side by
/// side, because a few points are decided one by one.
final class FlatPoints<S: Scalar>: BruteForcePoints, @unchecked Sendable {
  // Not the points themselves, which keep this object.
  private let views: [SegmentView<S>]
  private let arrays: [SegmentArrays<S>]
  let count: Int
  let dim: Int
  /// By position; `noIndex` for positions without a point that counts.
  let indices: Buffer<Int32>
  /// By position, without gaps; nil if the rows are stored elsewhere.
  private let copies: Buffer<S>?
  private let elsewhere: RowsElsewhere<S>?
  private let norms: Lazy<Box<BruteForceNorms<S>?>>
  private let bytes: Lazy<Box<QuantizedPoints<S>?>>

  init(_ points: SearchPoints<S>, _ elsewhere: RowsElsewhere<S>?, context: CallContext) throws(CoverTreeError) {
    (views, arrays, self.elsewhere) = (points.views, points.arrays, elsewhere)
    (count, dim) = (points.positionCount, points.dim)
    (norms, bytes) = (Lazy(), Lazy())
    indices = try Self.indices(of: views)
    guard elsewhere == nil else {
      copies = nil
      return
    }
    let copies = try Buffer<S>(count: count * dim)
    let dim = dim
    try context.forEach(count, grain: 1024) { (range, _) throws(CoverTreeError) in
      for position in range { points.copy(position, into: copies.base + position * dim) }
    }
    self.copies = copies
  }

  /// Some of the points, in the same positions.
  init(_ points: SearchPoints<S>, someOf whole: FlatPoints) throws(CoverTreeError) {
    (views, arrays, elsewhere) = (points.views, points.arrays, whole.elsewhere)
    (count, dim, copies) = (whole.count, whole.dim, whole.copies)
    // They are bounds for all points.
    (norms, bytes) = (whole.norms, whole.bytes)
    indices = try Self.indices(of: points.views)
  }

  private static func indices(of views: [SegmentView<S>]) throws(CoverTreeError) -> Buffer<Int32> {
    if views.count == 1 && views[0].removedCount == 0 { return views[0].segment.indices }
    let indices = try Buffer<Int32>(count: views[views.count - 1].positions.upperBound)
    for view in views {
      for position in 0..<view.segment.indices.count { indices[view.firstPosition + position] = view.index(position) }
    }
    return indices
  }

  var products: Bool { false }
  var longest: Double { 0 }

  @inline(__always)
  private func row(_ position: Int32) -> UnsafePointer<S> {
    if let copies { return UnsafePointer(copies.base + Int(position) &* dim) }
    return elsewhere![indices[position]]
  }

  func copy(_ position: Int, into target: UnsafeMutablePointer<S>) { arrays.copy(position, dim: dim, into: target) }

  @inline(__always)
  func lanes(ofGroup group: Int, _ scratch: UnsafeMutablePointer<S.Lanes>) -> UnsafePointer<S.Lanes> {
    let view: SegmentView<S> = views.view(at: group &* S.width)
    return UnsafePointer(view.boxes.coordinates.base + (group &- view.firstPosition / S.width) &* dim)
  }

  @inline(__always)
  func prefetch(_ position: Int32) { cn_prefetch(row(position), Int64(dim * MemoryLayout<S>.size)) }

  func decided(_ query: UnsafePointer<S>, _ positions: SIMD4<Int32>) -> SIMD4<Double> {
    var scores = squaredEuclidean(
      query, row(positions[0]), row(positions[1]), row(positions[2]), row(positions[3]), dim: dim)
    if S.self == Double.self {
      for lane in 0..<4 where scores[lane] < Score.leastSquare {
        scores[lane] = scoreOfNear(query, row(positions[lane]), dim: dim)
      }
    }
    return scores
  }

  /// The squared distance, summed lane by lane.
  @inline(__always)
  func quick(_ x: UnsafePointer<S>, _ position: Int32) -> S {
    let y = row(position)
    var sums = S.Lanes(repeating: 0)
    let whole = dim / S.width &* S.width
    for d in stride(from: 0, to: whole, by: S.width) {
      let a = UnsafeRawPointer(x + d).loadUnaligned(as: S.Lanes.self)
      let difference = a - UnsafeRawPointer(y + d).loadUnaligned(as: S.Lanes.self)
      sums = S.multiplyAdd(difference, difference, sums)
    }
    var sum: S = 0
    for lane in 0..<S.width { sum += sums[lane] }
    for d in whole..<dim { sum += (x[d] - y[d]) * (x[d] - y[d]) }
    return sum
  }

  /// The bounds for a scan by products, computed on first use; nil if a scan is impossible.
  func bruteForceNorms(_ context: CallContext) throws(CoverTreeError) -> BruteForceNorms<S>? {
    try norms.get { () throws(CoverTreeError) in Box(try BruteForceNorms(self, context: context)) }.value
  }

  /// The same for products of bytes.
  func quantizedPoints(_ context: CallContext) throws(CoverTreeError) -> QuantizedPoints<S>? {
    try bytes.get { () throws(CoverTreeError) in Box(try QuantizedPoints(self, context: context)) }.value
  }

  var byteCount: Int { indices.byteCount + (copies?.byteCount ?? 0) }
}

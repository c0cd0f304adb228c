import CNumerics

/// Points as searches see them: in boxes, by label, and, where boxes keep nothing out, all of them one after the other.
final class SearchPoints<S: Scalar>: DensePoints, @unchecked Sendable {
  let boxes: BoxTree<S>
  /// By place in the boxes; `noLabel` for points that do not count.
  let labels: Buffer<Int32>
  private let rows: PointsView<S>
  /// Label to row; nil where it is the row.
  private let positions: Buffer<Int32>?
  /// What the rows lie in.
  private let owner: AnyObject
  /// Of each leaf, how many points before it count; of the last one's end, too.
  private let liveBefore = Once<Buffer<Int32>>()
  private let norms = Once<Maybe<DenseNorms<S>>>()
  private let bytes = Once<Maybe<DenseBytes<S>>>()

  init(
    _ boxes: BoxTree<S>, labels: Buffer<Int32>, rows: PointsView<S>, positions: Buffer<Int32>?, owner: AnyObject
  ) {
    (self.boxes, self.labels, self.rows, self.positions, self.owner) = (boxes, labels, rows, positions, owner)
  }

  var count: Int { boxes.count }
  var dim: Int { boxes.dim }
  var products: Bool { false }
  var longest: Double { 0 }

  /// How many points before each leaf, and all of them, count; nil where all points do.
  func liveBeforeLeaves() throws(CoverTreeError) -> Buffer<Int32>? {
    guard labels !== boxes.labels else { return nil }
    return try liveBefore.get { () throws(CoverTreeError) in
      let size = boxes.leafSize
      let before = try Buffer<Int32>(count: labels.count / size + 1, filledWith: 0)
      for leaf in 0..<labels.count / size {
        let live = (leaf * size..<(leaf + 1) * size).count { labels[$0] != BoxTree<S>.noLabel }
        before[leaf + 1] = before[leaf] + Int32(live)
      }
      return before
    }
  }

  /// The coordinates of a point.
  @inline(__always)
  func row(_ label: Int32) -> UnsafePointer<S> { rows.row(positions.map { Int($0[label]) } ?? Int(label)) }

  func copy(_ place: Int, into target: UnsafeMutablePointer<S>) {
    let point = boxes.coordinates(at: place)
    for d in 0..<dim { target[d] = point[d * S.width] }
  }

  @inline(__always)
  func lanes(ofGroup group: Int, _ scratch: UnsafeMutablePointer<S.Lanes>) -> UnsafePointer<S.Lanes> {
    UnsafePointer(boxes.coordinates.base + group &* dim)
  }

  @inline(__always)
  func prefetch(_ label: Int32) { cn_prefetch(row(label), Int64(dim * MemoryLayout<S>.size)) }

  func decided(_ query: UnsafePointer<S>, _ labels: SIMD4<Int32>) -> SIMD4<Double> {
    var scores = squaredEuclidean(
      query, row(labels[0]), row(labels[1]), row(labels[2]), row(labels[3]), dim: dim)
    if S.self == Double.self {
      for lane in 0..<4 where scores[lane] < Score.leastSquare {
        scores[lane] = scoreOfNear(query, row(labels[lane]), dim: dim)
      }
    }
    return scores
  }

  /// The score of a neighbour, if a search has left a square that has lost its digits.
  @inline(__always)
  func settled(_ score: Double, _ query: UnsafePointer<S>, _ label: Int32) -> Double {
    guard S.self == Double.self, score >= 0, score < Score.leastSquare else { return score }
    return scoreOfNear(query, row(label), dim: dim)
  }

  /// The squared distance, summed lane by lane.
  @inline(__always)
  func quick(_ x: UnsafePointer<S>, _ label: Int32) -> S {
    let y = row(label)
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

  /// What a scan of all points by products needs, made when the first one comes; nil where there can be none.
  func denseNorms(_ context: CallContext) throws(CoverTreeError) -> DenseNorms<S>? {
    try norms.get { () throws(CoverTreeError) in Maybe(try DenseNorms(self, context: context)) }.value
  }

  /// The same by products of bytes.
  func denseBytes(_ context: CallContext) throws(CoverTreeError) -> DenseBytes<S>? {
    try bytes.get { () throws(CoverTreeError) in Maybe(try DenseBytes(self, context: context)) }.value
  }

  /// Queries that a thread takes at a time: many neighbours along the curve, but fewer where one may scan for long.
  var queriesPerChunk: Int { CallContext.grain(operationsPerItem: count * dim / S.width, most: 128) }
}

/// A value that may not be had, as an object.
final class Maybe<Value> {
  let value: Value?
  init(_ value: Value?) { self.value = value }
}

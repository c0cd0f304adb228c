import CovertreeBase

/// A sample that is spread like the points: each next point is drawn with a probability in proportion to its squared distance from those
/// before it (k-means++; Arthur and Vassilvitskii, SODA 2007). Points at distance 0 from a chosen one are drawn last. O(n m) distances
/// for `m` of `n` points.
public func kMeansPlusPlusSample(
  _ points: PointsView<Double>, seed: UInt64, context: CallContext, sample: UnsafeMutableBufferPointer<Int64>
) throws(CoverTreeError) {
  try points.checkCoordinates(named: "points", context: context)
  let (count, dim) = (points.count, points.dim)
  guard sample.count <= count else {
    throw CoverTreeError(.invalidArgument, "n_sample: expected 1 to the \(count) points, got \(sample.count)")
  }
  var generator = SeededGenerator(seed: seed)
  let chunk = 4096
  let chunks = (count + chunk - 1) / chunk
  let squared = try Buffer<Double>(count: count, filledWith: .infinity)
  let sums = try Buffer<Double>(count: chunks, filledWith: 0)
  let chosen = try Buffer<Bool>(count: count, filledWith: false)
  var next = Int(generator.next() % UInt64(count))
  for rank in 0..<sample.count {
    sample[rank] = Int64(next)
    chosen[next] = true
    guard rank + 1 < sample.count else { return }
    let center = points.row(next)
    try context.forEach(chunks, grain: 4) { (range, _) throws(CoverTreeError) in
      for c in range {
        var sum = 0.0
        for index in c * chunk..<min(count, (c + 1) * chunk) {
          squared[index] = min(squared[index], squaredEuclidean(points.row(index), center, dim: dim))
          sum += squared[index]
        }
        sums[c] = sum
      }
    }
    next = draw(squared, sums, chunk: chunk, chosen, using: &generator)
  }
}

/// An index with a probability in proportion to its weight; the first remaining one if all weights are zero.
private func draw(
  _ weights: Buffer<Double>, _ sums: Buffer<Double>, chunk: Int, _ chosen: Buffer<Bool>,
  using generator: inout SeededGenerator
) -> Int {
  let total = sums.elements.reduce(0, +)
  var left = Double(generator.next() >> 11) * 0x1p-53 * total
  var last = chosen.elements.firstIndex(of: false)!
  for c in 0..<sums.count {
    if left >= sums[c] {
      left -= sums[c]
      continue
    }
    for index in c * chunk..<min(weights.count, (c + 1) * chunk) where weights[index] > 0 {
      last = index
      if left < weights[index] { return index }
      left -= weights[index]
    }
  }
  return last
}

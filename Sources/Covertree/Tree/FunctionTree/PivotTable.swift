import CovertreeBase

/// Some objects of a tree, from which the distances of all others are known. The *embedding* of an object is its distances from the pivots.
///
/// By the triangle inequality the largest difference between the embeddings of two objects is a lower bound of their distance. It costs no
/// evaluation of the metric (L. Mico, J. Oncina, E. Vidal, "A new version of the nearest-neighbour approximating and eliminating search
/// algorithm (AESA) with linear preprocessing time and memory requirements", Pattern Recognition Letters 15, 1994).
final class PivotTable: @unchecked Sendable {
  /// Objects from which pivots are chosen.
  private static let sampleSize = 512
  private static let width = 8

  let rows: ObjectRows
  /// Numbers of an embedding: a multiple of 8. Those beyond the last pivot are 0.
  let columns: Int
  /// The dataset indices of the pivots.
  let indices: [Int32]
  /// The objects of the tree when the pivots were chosen.
  let chosenFrom: Int
  /// Whether bounds by the pivots are so far below distances that other objects should be used as pivots, too.
  let isLoose: Bool

  var count: Int { rows.count }

  /// Chooses pivots by farthest-first traversal of a sample.
  init(
    of objects: ObjectRows, ids: Buffer<Int32>, seed: UInt64, function: DistanceFunction, context: CallContext
  ) throws(CoverTreeError) {
    chosenFrom = objects.count
    let wanted = Self.count(for: objects.count)
    columns = max(1, (wanted + Self.width - 1) / Self.width) * Self.width
    let sample = try Buffer<Int32>(counting: objects.count)
    sample.shuffle(seed: seed)
    let size = min(Self.sampleSize, objects.count)
    let evaluator = try PairEvaluator(function, objects.type, context: context)
    /// By object of the sample: the distance from the nearest pivot, and from each one.
    let nearest = try Buffer<Double>(count: size, filledWith: .infinity)
    let seen = try Buffer<Double>(count: size * max(1, wanted), filledWith: 0)
    func distances(from slot: Int) throws(CoverTreeError) -> UnsafeBufferPointer<Double> {
      for other in 0..<size { try evaluator.add(objects.row(sample[slot]), objects.row(sample[other])) }
      return try evaluator.run()
    }
    func farthest(_ distances: UnsafeBufferPointer<Double>) -> Int {
      distances.indices.max { (distances[$0], -$0) < (distances[$1], -$1) }!
    }
    var chosen: [Int32] = []
    // The first pivot is the object farthest from a random one.
    var next = wanted > 0 ? farthest(try distances(from: 0)) : 0
    // An object at distance 0 from a pivot would add nothing.
    while chosen.count < wanted, nearest[next] > 0 {
      for (slot, distance) in try distances(from: next).enumerated() {
        seen[slot * wanted + chosen.count] = distance
        nearest[slot] = min(nearest[slot], distance)
      }
      // Even if the function says otherwise.
      nearest[next] = 0
      chosen.append(sample[next])
      next = farthest(nearest.elements)
    }
    indices = chosen.map { ids[$0] }
    rows = try chosen.withUnsafeBufferPointer { (chosen) throws(CoverTreeError) in try ObjectRows(objects, rows: chosen)
    }
    // The last pivots have seen the sample: pairs of it show how near the bounds are.
    isLoose = try Self.isLoose(objects, sample, seen, wanted, evaluator)
    evaluations = evaluator.evaluations
  }

  /// Of the choice.
  let evaluations: Int

  /// Pivots that were chosen earlier.
  init(rows: ObjectRows, columns: Int, indices: [Int32], chosenFrom: Int, isLoose: Bool) {
    (self.rows, self.columns, self.indices) = (rows, columns, indices)
    (self.chosenFrom, self.isLoose, evaluations) = (chosenFrom, isLoose, 0)
  }

  /// Whether embeddings may have so many numbers.
  static func isWidth(_ columns: Int) -> Bool { (width...8 * width).contains(columns) && columns % width == 0 }

  /// Few objects need no pivots.
  private static func count(for objects: Int) -> Int { objects < 64 ? 0 : objects < 4096 ? 8 : 16 }

  private static func isLoose(
    _ objects: ObjectRows, _ sample: Buffer<Int32>, _ seen: Buffer<Double>, _ count: Int, _ evaluator: PairEvaluator
  ) throws(CoverTreeError) -> Bool {
    guard count > 0 else { return true }
    let pairs = min(sampleSize, sample.count) / 2
    for pair in 0..<pairs { try evaluator.add(objects.row(sample[2 * pair]), objects.row(sample[2 * pair + 1])) }
    var (bounds, sum) = (0.0, 0.0)
    for (pair, distance) in try evaluator.run().enumerated() {
      bounds += (0..<count).reduce(0) { max($0, abs(seen[2 * pair * count + $1] - seen[(2 * pair + 1) * count + $1])) }
      sum += distance
    }
    return bounds < 0.8 * sum
  }

  /// The embeddings of some objects.
  func embedding(
    of objects: ObjectRows, function: DistanceFunction, evaluations: Counter, context: CallContext
  ) throws(CoverTreeError) -> Buffer<Double> {
    let embedding = try Buffer<Double>(count: objects.count * columns, filledWith: 0)
    guard count > 0 else { return embedding }
    try context.forEach(objects.count, grain: 512) { (range, _) throws(CoverTreeError) in
      let evaluator = try PairEvaluator(function, objects.type, context: context)
      for pivot in 0..<count {
        for row in range { try evaluator.add(rows.row(Int32(pivot)), objects.row(Int32(row))) }
        for (row, distance) in zip(range, try evaluator.run()) { embedding[row * columns + pivot] = distance }
      }
      evaluations.add(evaluator.evaluations)
    }
    return embedding
  }

  /// A lower bound of the distance of two objects, by their embeddings.
  @inline(__always)
  func bound(_ a: UnsafePointer<Double>, _ b: UnsafePointer<Double>) -> Double {
    var most = SIMD8<Double>(repeating: 0)
    let slack = SIMD8<Double>(repeating: -DistanceFunction.slack)
    for first in stride(from: 0, to: columns, by: Self.width) {
      let x = UnsafeRawPointer(a + first).loadUnaligned(as: SIMD8<Double>.self)
      let y = UnsafeRawPointer(b + first).loadUnaligned(as: SIMD8<Double>.self)
      most = Double.maximum(most, Double.multiplyAdd(x + y, slack, Double.magnitude(x - y)))
    }
    return Double.largest(most)
  }

  /// An upper bound of the distance of two objects, by their embeddings; infinity without pivots.
  @inline(__always)
  func upperBound(_ a: UnsafePointer<Double>, _ b: UnsafePointer<Double>) -> Double {
    var least = Double.infinity
    for pivot in 0..<count { least = min(least, a[pivot] + b[pivot]) }
    return least * (1 + 2 * DistanceFunction.slack)
  }

  /// The largest difference between two embeddings.
  @inline(__always)
  func apart(_ a: UnsafePointer<Double>, _ b: UnsafePointer<Double>) -> Double {
    var most = SIMD8<Double>(repeating: 0)
    for first in stride(from: 0, to: columns, by: Self.width) {
      let x = UnsafeRawPointer(a + first).loadUnaligned(as: SIMD8<Double>.self)
      let y = UnsafeRawPointer(b + first).loadUnaligned(as: SIMD8<Double>.self)
      most = Double.maximum(most, Double.magnitude(x - y))
    }
    return Double.largest(most)
  }
}

/// A lower bound of a distance from two others, of which it is the third side.
@inline(__always)
func thirdSide(_ a: Double, _ b: Double) -> Double { abs(a - b) - DistanceFunction.slack * (a + b) }

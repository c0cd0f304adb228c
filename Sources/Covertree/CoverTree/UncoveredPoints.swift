import CovertreeBase
import Synchronization

/// The pending points that no centre of a level covers, and the choice of vertices among them.
final class UncoveredPoints {
  private let nearest: Buffer<Int32>
  private let nearestSquared: Buffer<Double>
  private let maxLevel: Buffer<Int16>
  private let context: CallContext
  private var list: GrowableBuffer<Int32>
  private var spare: GrowableBuffer<Int32>
  /// By centre: the number of points of the list that know it; 0 between calls.
  private let tally: Buffer<Int32>

  /// Pending points of a thread's chunk. The choice of vertices depends on it.
  private static var grain: Int { 1 << 13 }

  /// - Parameters: the insertion's arrays for pending points.
  init(
    nearest: Buffer<Int32>, nearestSquared: Buffer<Double>, maxLevel: Buffer<Int16>, context: CallContext
  ) throws(CoverTreeError) {
    (self.nearest, self.nearestSquared, self.maxLevel, self.context) = (nearest, nearestSquared, maxLevel, context)
    list = try GrowableBuffer()
    spare = try GrowableBuffer()
    tally = try Buffer(count: nearest.count, filledWith: 0)
  }

  var count: Int { list.count }
  /// In the order of preference.
  var elements: UnsafeBufferPointer<Int32> { list.elements }

  /// Collects the pending points that no centre covers and that may enter. `some` may be its own list.
  func find(among some: UnsafeBufferPointer<Int32>, level: Int32) throws(CoverTreeError) {
    let radiusSquared = radiusScore(ofLevel: level)
    try context.collect(some.count, into: spare) { index in
      let point = some[index]
      return nearestSquared[point] > radiusSquared && maxLevel[point] >= level ? point : nil
    }
    swap(&list, &spare)
  }

  /// About `share` of the points of each centre, or all if there are fewer, evenly spaced along each *run*: consecutive pending points of
  /// one centre. At least one if there are any.
  func vertices(share: Int, seed: UInt64) throws(CoverTreeError) -> GrowableBuffer<Int32> {
    let counts = UnsafeMutableRawPointer(tally.base).assumingMemoryBound(to: Atomic<Int32>.self)
    try context.forEach(list.count, grain: Self.grain) { (range, _) throws(CoverTreeError) in
      forEachRun(in: range) { (center, run) in
        _ = counts[Int(center)].wrappingAdd(Int32(truncatingIfNeeded: run.count), ordering: .relaxed)
      }
    }
    let vertices = try GrowableBuffer<Int32>()
    try context.collect(list.count, grain: Self.grain, into: vertices) { (range, target) in
      var chosen = 0
      forEachRun(in: range) { (center, run) in
        let all = Int(tally[center])
        // Each pending point adds `share`; whenever the sum reaches `all`, there is a vertex.
        var due = all <= share ? 0 : Int(splitMix64(seed ^ UInt64(list[run.lowerBound])) % UInt64(all))
        for position in run {
          due += share
          guard due >= all else { continue }
          due = all <= share ? 0 : due - all
          target[chosen] = list[position]
          chosen += 1
        }
      }
      return chosen
    }
    try context.forEach(list.count, grain: Self.grain) { (range, _) throws(CoverTreeError) in
      forEachRun(in: range) { (center, _) in counts[Int(center)].store(0, ordering: .relaxed) }
    }
    if vertices.count == 0, list.count > 0 { try vertices.append(list[0]) }
    return vertices
  }

  @inline(__always)
  private func forEachRun(in range: Range<Int>, _ body: (_ center: Int32, _ run: Range<Int>) -> Void) {
    var first = range.lowerBound
    while first < range.upperBound {
      let center = nearest[list[first]]
      var end = first + 1
      while end < range.upperBound, nearest[list[end]] == center { end += 1 }
      body(center, first..<end)
      first = end
    }
  }
}

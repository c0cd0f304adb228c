import CNumerics
import CovertreeBase

/// The result that each query asks for.
enum SearchGoal {
  /// The given number of points of the largest residual correlation.
  case nearest(Int)
  /// All points within the limit of the query.
  case withinLimit
  /// All points within a squared distance, for queries with at most `most` candidates.
  case within(squared: Double, most: Int)

  /// The same among some number of points.
  func among(_ count: Int) -> SearchGoal {
    if case .nearest(let k) = self { .nearest(min(k, count)) } else { self }
  }
}

/// Points that may be among the `k` of largest residual correlation of one query, each with bounds of |rho|.
///
/// The k-th largest *lower* bound is a threshold: a point whose *upper* bound does not reach it is not among the `k`. A list leaves out
/// only such points.
final class CandidateList {
  private let upper: GrowableBuffer<Float>
  private let lower: GrowableBuffer<Float>
  private let middles: GrowableBuffer<Float>
  let positions: GrowableBuffer<Int32>
  /// Squared distances; NaN if they have not been computed.
  private let squares: GrowableBuffer<Double>
  /// Covariances with the query, if the caller's kernel gives them in blocks, so that they are not computed twice.
  let covariances: GrowableBuffer<Double>?

  /// `1 - |rho|` rounds to 1 for smaller |rho|: these points are all at distance 1.
  static let vanishing: Float = 0x1p-54

  /// Upper bounds below this are of no use.
  private(set) var threshold: Float = 0
  /// Whether points at distance 1 are left out, because the caller adds the first few of them.
  private let leavesOutVanishing: Bool
  private var isThresholdKnown = false
  private let largestFirstError: Double
  private var k = 0
  private var pruneAt = 0
  /// The number of candidates that the last pruning has left.
  private var keptCount = 0
  /// The number of decided candidates, which come first: they are within the limit of the query.
  private(set) var settledCount = 0
  private var endsWhenFull = false
  /// Whether there were more candidates than `most`. The list is then empty and accepts no more.
  private(set) var isFull = false

  var count: Int { positions.count }

  /// - Parameter largestFirstError: the largest useful error before there is a threshold.
  init(keepsCovariances: Bool, leavesOutVanishing: Bool, largestFirstError: Double) throws(CoverTreeError) {
    (self.leavesOutVanishing, self.largestFirstError) = (leavesOutVanishing, largestFirstError)
    upper = try GrowableBuffer()
    lower = try GrowableBuffer()
    middles = try GrowableBuffer()
    positions = try GrowableBuffer()
    squares = try GrowableBuffer()
    covariances = keepsCovariances ? try GrowableBuffer() : nil
  }

  /// Empties the list for a query whose neighbours are within a distance, `limit`.
  func begin(_ goal: SearchGoal, limit: Double) throws(CoverTreeError) {
    (isFull, isThresholdKnown) = (false, false)
    switch goal {
    case .nearest(let k):
      (self.k, threshold, pruneAt) = (k, Self.least(within: limit), Self.room(k))
      endsWhenFull = false
    case .withinLimit:
      (k, threshold, pruneAt) = (.max, Self.least(within: limit), .max)
      (isThresholdKnown, endsWhenFull) = (true, false)
    case .within(let squared, let most):
      (k, threshold, pruneAt) = (most, Self.least(squared: squared), most)
      endsWhenFull = true
    }
    (keptCount, settledCount) = (0, 0)
    try resize(to: 0)
  }

  /// The least upper bound of a point within a squared distance.
  static func least(squared: Double) -> Float { Float(1 - min(squared, 2)) - 0x1p-20 }

  /// The least upper bound of a point whose distance is at most a limit, after rounding.
  private static func least(within limit: Double) -> Float {
    Float(max(0, 1 - limit * limit - 0x1p-50)) * (1 - 0x1p-22)
  }

  /// The least |rho| that can change the result.
  var leastUseful: Float { leavesOutVanishing ? max(threshold, Self.vanishing) : threshold }

  /// Estimates with larger errors would leave too many candidates.
  var largestUsefulError: Double { isThresholdKnown ? min(0.01, Double(leastUseful) / 4) : largestFirstError }

  /// The largest error of estimates that leave few points to compare exactly.
  var largestRoughError: Float { isThresholdKnown || endsWhenFull ? leastUseful * 0.6 : 0 }

  /// Adds the query itself, at distance 0 whatever its variances.
  func appendOwn(_ position: Int32) throws(CoverTreeError) {
    try append(position, lower: 1, upper: 1)
    try covariances?.append(0)
  }

  private static func room(_ count: Int) -> Int { 2 * count + 128 }

  @inline(__always)
  func append(_ position: Int32, lower: Float, upper: Float, square: Double = .nan) throws(CoverTreeError) {
    try self.upper.append(upper)
    try self.lower.append(lower)
    try positions.append(position)
    try squares.append(square)
  }

  /// Raises the threshold and drops candidates below it, once enough were added.
  @inline(__always)
  func pruneWhereWorthIt() throws(CoverTreeError) {
    if count > pruneAt { try prune() }
  }

  /// Does so early, for searches in which a threshold saves whole blocks.
  func tighten() throws(CoverTreeError) {
    if !endsWhenFull && count > max(k, keptCount + keptCount / 4) { try prune() }
  }

  func prune() throws(CoverTreeError) {
    guard count > k else { return }
    if endsWhenFull {
      (isFull, threshold) = (true, .infinity)
      return try resize(to: 0)
    }
    raiseThreshold()
    isThresholdKnown = true
    var kept = 0
    for slot in 0..<count where upper[slot] >= threshold {
      upper[kept] = upper[slot]
      lower[kept] = lower[slot]
      positions[kept] = positions[slot]
      squares[kept] = squares[slot]
      if let covariances { covariances[kept] = covariances[slot] }
      kept &+= 1
    }
    try resize(to: kept)
    keptCount = kept
    pruneAt = max(Self.room(k), 2 * kept)
  }

  private func resize(to count: Int) throws(CoverTreeError) {
    try upper.resize(to: count)
    try lower.resize(to: count)
    try positions.resize(to: count)
    try squares.resize(to: count)
    try covariances?.resize(to: count)
  }

  /// The k-th largest lower bound, less the differences that vanish in `1 - |rho|`, is a threshold.
  private func raiseThreshold() {
    guard let found = kthLargest(lower, from: threshold, to: 1) else { return }
    threshold = max(threshold, found - 0x1p-50)
  }

  /// Keeps those of the candidates from `settledCount` on that are within a distance.
  ///
  /// - Parameter decide: computes squared distances of up to eight candidates.
  func settle(
    within limit: Double, _ decide: (Range<Int>) throws(CoverTreeError) -> (SIMD8<Int32>, SIMD8<Double>)
  ) throws(CoverTreeError) {
    for first in stride(from: settledCount, to: count, by: 8) {
      let slots = first..<min(first + 8, count)
      let (found, squares) = try decide(slots)
      for lane in 0..<slots.count where squares[lane].squareRoot() <= limit {
        (positions[settledCount], self.squares[settledCount]) = (found[lane], squares[lane])
        settledCount += 1
      }
    }
    try resize(to: settledCount)
  }

  /// A number slightly below the k-th largest, or nil if that is below `least`. Halves the interval in steps of floating-point numbers
  /// until it is narrow.
  private func kthLargest(_ numbers: GrowableBuffer<Float>, from least: Float, to most: Float) -> Float? {
    var (low, high) = (least.bitPattern, most.bitPattern)
    guard atLeast(least, numbers) >= k else { return nil }
    while high - low > 1 << 11 {
      let middle = low + (high - low) / 2
      if atLeast(Float(bitPattern: middle), numbers) >= k { low = middle } else { high = middle }
    }
    return Float(bitPattern: low)
  }

  /// Computes the exact |rho| of the `k` points of the largest estimates, which raises the threshold by the errors of estimates. Returns
  /// how many were computed.
  func refine(from query: ExactQuery, in model: ResidualModel) throws(CoverTreeError) -> Int {
    guard !endsWhenFull, count >= k, covariances == nil else { return 0 }
    try middles.resize(to: count)
    for slot in 0..<count { middles[slot] = (upper[slot] + lower[slot]) / 2 }
    guard let least = kthLargest(middles, from: 0, to: 2) else { return 0 }
    var (slots, computed) = (InlineArray<8, Int>(repeating: 0), 0)
    for slot in 0..<count where middles[slot] >= least && squares[slot].isNaN {
      slots[computed % 8] = slot
      computed &+= 1
      if computed % 8 == 0 { decide(slots, 8, from: query, in: model) }
    }
    decide(slots, computed % 8, from: query, in: model)
    if computed > 0 { try prune() }
    return computed
  }

  private func decide(_ slots: InlineArray<8, Int>, _ count: Int, from query: ExactQuery, in model: ResidualModel) {
    guard count > 0 else { return }
    var lanes = SIMD8<Int32>(repeating: 0)
    for lane in 0..<count { lanes[lane] = positions[slots[lane]] }
    let found = model.squaredDistances(from: query, to: lanes, count: count)
    for lane in 0..<count {
      squares[slots[lane]] = found[lane]
      (lower[slots[lane]], upper[slots[lane]]) = Self.bounds(ofSquare: found[lane])
    }
  }

  /// Bounds of |rho| that is known exactly.
  static func bounds(ofSquare square: Double) -> (lower: Float, upper: Float) {
    let size = Float(1 - square)
    return (size * (1 - 0x1p-22) - 0x1p-50, size * (1 + 0x1p-22) + 0x1p-50)
  }

  /// The squared distance of a candidate, or NaN.
  @inline(__always)
  func square(_ slot: Int) -> Double { squares[slot] }

  /// The upper bound of a candidate.
  @inline(__always)
  func upperBound(_ slot: Int) -> Float { upper[slot] }

  /// How many of the numbers, one for each candidate, reach a value.
  private func atLeast(_ value: Float, _ numbers: GrowableBuffer<Float>) -> Int {
    let vectors = numbers.base.vectors
    let least = SIMD16<Float>(repeating: value)
    var found = 0
    for vector in 0..<count / 16 { found &+= cn_f32x16_mask_le(least, vectors[vector]).nonzeroBitCount }
    for slot in count / 16 * 16..<count where numbers[slot] >= value { found &+= 1 }
    return found
  }
}

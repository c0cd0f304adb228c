import CNumerics
import CovertreeBase

/// The bounds of one group of queries with the targets of `DecayBounds`: first of the whole group, then of each query.
///
/// Queries with far larger sigma than most of the group would spoil its bound, so each of them is a part of its own.
final class DecayComparison {
  private typealias Lanes = SIMD16<Float>

  let bounds: DecayBounds
  private let model: ResidualModel
  private var group: QueryGroup!
  /// Queries rounded up to whole vectors.
  private let width: Int
  /// `|w_iu| sigma_i`: by inducing point, then by query.
  private let weights: Buffer<Float>
  /// Of each query: sigma, the factor of a target's length in the slack, and its coordinates by dimension.
  private let scales: Buffer<Float>
  private let slacks: Buffer<Float>
  private let coordinates: Buffer<Double>
  private let solved: Buffer<Double>
  private let rounding: Float

  /// Queries that are bounded together, and the bounds of all targets with any of them.
  private struct Part {
    var queries: [Int]
    let bounds: Buffer<Float>
  }
  private var parts: [Part] = []
  private var spare: [Buffer<Float>] = []
  private let largestWeights: Buffer<Float>
  private let box: Buffer<Double>
  /// The bounds of single queries with one target.
  private let queryBounds: Buffer<Float>
  /// The inducing points that a target has a reach to.
  private let near: Buffer<Int32>

  init(_ model: ResidualModel, _ bounds: DecayBounds, groupSize: Int) throws(CoverTreeError) {
    (self.model, self.bounds) = (model, bounds)
    width = (groupSize + 15) / 16 * 16
    let rank = bounds.inducing.rank
    weights = try Buffer(count: rank * width)
    scales = try Buffer(count: width, filledWith: 0)
    slacks = try Buffer(count: width, filledWith: 0)
    coordinates = try Buffer(count: model.dim * width, filledWith: 0)
    solved = try Buffer(count: rank * PanelView<Double>.panelRows)
    rounding = 1 + Float(rank + 16) * 0x1p-23
    largestWeights = try Buffer(count: rank)
    box = try Buffer(count: 2 * model.dim)
    queryBounds = try Buffer(count: width)
    near = try Buffer(count: rank)
  }

  func begin(_ group: QueryGroup) throws(CoverTreeError) {
    self.group = group
    loadWeights()
    let root = model.variance.squareRoot()
    for i in 0..<group.count {
      let point = group.queries[i].point
      for d in 0..<model.dim { coordinates[d * width + i] = point.coordinates[d] }
      scales[i] = .roundedUp(root / point.residualVariance.squareRoot())
    }
    let median = (0..<group.count).map { scales[$0] }.sorted()[group.count / 2]
    let isOutlier = (0..<group.count).map { scales[$0] > Float(DecayBounds.outlierRatio) * median }
    spare += parts.map(\.bounds)
    parts = []
    try addPart((0..<group.count).filter { !isOutlier[$0] })
    for i in 0..<group.count where isOutlier[i] { try addPart([i]) }
  }

  /// Solves for `w_i`, and stores it with the slack.
  private func loadWeights() {
    let (rank, panel) = (bounds.inducing.rank, PanelView<Double>.panelRows)
    let root = model.variance.squareRoot()
    for first in stride(from: 0, to: group.count, by: panel) {
      let inUse = min(panel, group.count - first)
      for lane in 0..<panel {
        let row = group.queries[first + min(lane, inUse - 1)].point.features
        for u in 0..<rank { solved[u &* panel &+ lane] = row[u] }
      }
      bounds.inducing.factor.solveTransposed(solved.base)
      for lane in 0..<inUse {
        let scale = root / group.queries[first + lane].point.residualVariance.squareRoot()
        var squared = 0.0
        for u in 0..<rank {
          let weight = solved[u &* panel &+ lane]
          squared += weight * weight
          weights[u &* width &+ first &+ lane] = .roundedUp(weight.magnitude * scale)
        }
        slacks[first + lane] = .roundedUp(squared.squareRoot() * scale * bounds.slack)
      }
    }
  }

  private func addPart(_ queries: [Int]) throws(CoverTreeError) {
    let found: Buffer<Float>
    if let known = spare.popLast() { found = known } else { found = try Buffer(count: bounds.scales.count) }
    let (rank, dim) = (bounds.inducing.rank, model.dim)
    for d in 0..<dim {
      box[d] = queries.reduce(.infinity) { min($0, coordinates[d * width + $1]) }
      box[dim + d] = queries.reduce(-.infinity) { max($0, coordinates[d * width + $1]) }
    }
    let scale = queries.reduce(0) { max($0, scales[$1]) }
    let slack = queries.reduce(0) { max($0, slacks[$1]) }
    for u in 0..<rank { largestWeights[u] = queries.reduce(0) { max($0, weights[u &* width &+ $1]) } }
    for first in stride(from: 0, to: bounds.targetCount, by: DecayBounds.panelRows) {
      let panel = UnsafeRawPointer(bounds.reaches.view.row(first)).assumingMemoryBound(to: Lanes.self)
      var (low, high) = (Lanes(repeating: 0), Lanes(repeating: 0))
      for u in 0..<rank {
        let weight = Lanes(repeating: largestWeights[u])
        low = Float.multiplyAdd(panel[2 &* u], weight, low)
        high = Float.multiplyAdd(panel[2 &* u &+ 1], weight, high)
      }
      for lane in 0..<min(DecayBounds.panelRows, bounds.targetCount - first) {
        let target = first + lane
        let squared = squaredGap(ofBoxes: box.base, bounds.boxes.base + 2 * dim * target, dim: dim)
        let correlation = Float(bounds.kernel.decay(atSquared: SIMD8(repeating: squared))[0] / bounds.kernel.variance)
        let sum = correlation * scale * bounds.scales[target] + (lane < 16 ? low[lane] : high[lane - 16])
        let bound = (sum + slack * bounds.lengths[target]) * rounding + DecayBounds.neglected
        found[target] = bound.isNaN ? .infinity : bound
      }
    }
    parts.append(Part(queries: queries, bounds: found))
  }

  /// The bound of the group with a target.
  func bound(_ target: Int) -> Float { parts.reduce(0) { max($0, $1.bounds[target]) } }

  /// The queries that a target can matter to.
  ///
  /// - Parameter least: the smallest |rho| of use to each query.
  func activeQueries(_ target: Int, least: (Int) -> Float) -> QueryMask {
    var active = QueryMask()
    var areBounded = false
    for part in parts {
      guard part.queries.contains(where: { part.bounds[target] >= least($0) }) else { continue }
      if part.queries.count == 1 {
        active.insert(part.queries[0])
        continue
      }
      if !areBounded { boundQueries(target) }
      areBounded = true
      for i in part.queries where queryBounds[i] >= least(i) { active.insert(i) }
    }
    return active
  }

  /// Bounds all queries with a target.
  private func boundQueries(_ target: Int) {
    let row = bounds.reaches.view.row(target)
    var nearCount = 0
    for u in 0..<bounds.inducing.count where row[u &* DecayBounds.panelRows] > 0 {
      near[nearCount] = Int32(u)
      nearCount += 1
    }
    let (scale, length) = (Lanes(repeating: bounds.scales[target]), Lanes(repeating: bounds.lengths[target]))
    let neglected = Lanes(repeating: DecayBounds.neglected)
    for first in stride(from: 0, to: group.count, by: 16) {
      var sum = Lanes(repeating: 0)
      for slot in 0..<nearCount {
        let u = Int(near[slot])
        sum = Float.multiplyAdd(
          Self.lanes(weights, u &* width &+ first), Lanes(repeating: row[u &* DecayBounds.panelRows]), sum)
      }
      let correlation = correlations(first, target) * Self.lanes(scales, first)
      sum = Float.multiplyAdd(correlation, scale, sum)
      sum = Float.multiplyAdd(Self.lanes(slacks, first), length, sum)
      let bound = Float.multiplyAdd(sum, Lanes(repeating: rounding), neglected)
      let known = bound.replacing(with: .infinity, where: bound .!= bound)
      UnsafeMutableRawPointer(queryBounds.base + first).storeBytes(of: known, as: Lanes.self)
    }
  }

  /// The correlations of the kernel between 16 queries and a target's box.
  @inline(__always)
  private func correlations(_ first: Int, _ target: Int) -> Lanes {
    let dim = model.dim
    let box = bounds.boxes.base + 2 &* dim &* target
    var found = Lanes(repeating: 0)
    for half in 0..<2 {
      var squared = SIMD8<Double>(repeating: 0)
      for d in 0..<dim {
        let column: Int = d &* width &+ first &+ half &* 8
        let point = UnsafeRawPointer(coordinates.base + column).load(as: SIMD8<Double>.self)
        let below: SIMD8<Double> = SIMD8(repeating: box[d]) - point
        let above: SIMD8<Double> = point - SIMD8(repeating: box[dim &+ d])
        let apart = Double.maximum(below, above)
        let positive = Double.maximum(apart, SIMD8(repeating: 0))
        squared = Double.multiplyAdd(positive, positive, squared)
      }
      let correlation = cn_f64x8_narrow(bounds.kernel.decay(atSquared: squared) * (1 / bounds.kernel.variance))
      if half == 0 { found.lowHalf = correlation } else { found.highHalf = correlation }
    }
    return found
  }

  @inline(__always)
  private static func lanes(_ numbers: Buffer<Float>, _ first: Int) -> Lanes {
    UnsafeRawPointer(numbers.base + first).load(as: Lanes.self)
  }
}

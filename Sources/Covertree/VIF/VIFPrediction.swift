import CovertreeBase

/// New points, and the conditioning set of each: ranks of the model.
public struct VIFNewPoints {
  public var points: PointsView<Double>
  public var offsets: UnsafeBufferPointer<Int64>
  public var neighbors: UnsafeBufferPointer<Int64>
  /// The variance of their noise, in joint predictions.
  public var noise: Double

  var largestSet: Int { (0..<points.count).reduce(0) { max($0, Int(offsets[$1 + 1] - offsets[$1])) } }

  public init(
    points: PointsView<Double>, offsets: UnsafeBufferPointer<Int64>, neighbors: UnsafeBufferPointer<Int64>,
    noise: Double
  ) {
    (self.points, self.offsets, self.neighbors, self.noise) = (points, offsets, neighbors, noise)
  }
}

/// Means and variances of the process at new points.
///
/// A new point is regressed on its conditioning set among the data, as a further rank would be: with `q = v - a^T V_N`, the mean is
/// `v . beta + a^T (y_N - V_N beta)`, and the variance `D + q M^-1 q^T`.
///
/// O(k^3 + k^2 m + m^2) a point for `k` neighbours and `m` inducing points.
struct VIFPrediction {
  private static let width = PanelView<Double>.panelRows

  let model: VIFModel
  /// The factor of `M`; nil without inducing points.
  let inner: CholeskyFactor?
  /// One for each response.
  let explanations: [Explanation]

  private final class Scratch {
    let row: VecchiaRow
    /// `q` of one point, and of 16 points across.
    let innovation: Buffer<Double>
    let panel: Buffer<Double>

    init(_ model: VIFModel, capacity: Int) throws(CoverTreeError) {
      row = try VecchiaRow(VecchiaPoints(model: model), capacity: capacity)
      innovation = try Buffer(count: model.rank)
      panel = try Buffer(count: model.rank * width)
    }
  }

  /// - Parameters:
  ///   - means: a row for each new point, a column for each response.
  ///   - variances: of the process, without noise; nil if they are not wanted.
  func fill(
    _ new: VIFNewPoints, means: UnsafeMutablePointer<Double>, variances: UnsafeMutablePointer<Double>?,
    context: CallContext
  ) throws(CoverTreeError) {
    try model.check(new, context: context)
    let (model, count, width) = (model, new.points.count, Self.width)
    let sets = try model.members(of: new, amongNew: false)
    let coordinates = try scaledCoordinates(new.points, model.covariance, context)
    let scratch = PerThread<Scratch>(count: context.threads)
    try context.forEach((count + width - 1) / width, grain: 1) { (range, slot) throws(CoverTreeError) in
      let scratch = try scratch.value(slot) { () throws(CoverTreeError) in try Scratch(model, capacity: new.largestSet)
      }
      for chunk in range {
        try context.poll(inSlot: slot)
        let rows = chunk * width..<min(count, (chunk + 1) * width)
        scratch.row.points.new = try VecchiaPoints.New(
          model, coordinates.slice(rows.lowerBound * model.dim..<rows.upperBound * model.dim), noise: 0,
          context: CallContext(threads: 1))
        scratch.panel.base.update(repeating: 0, count: scratch.panel.count)
        let set = { (member: Int) in
          let point = rows.lowerBound + member - model.count
          return UnsafeBufferPointer(rebasing: sets.elements[Int(new.offsets[point])..<Int(new.offsets[point + 1])])
        }
        try scratch.row.visit(model.count..<model.count + rows.count, set: set) { (member) throws(CoverTreeError) in
          let lane = member - model.count
          try fill(member, set(member), scratch, means: means + (rows.lowerBound + lane) * explanations.count)
          variances?[rows.lowerBound + lane] = max(0, scratch.row.conditionalVariance)
          for column in 0..<model.rank { scratch.panel[column &* width &+ lane] = scratch.innovation[column] }
        }
        if let variances { add(scratch.panel.base, rows.count, to: variances + rows.lowerBound) }
      }
    }
  }

  /// Writes the means of one point, and leaves its regression in the scratch.
  private func fill(
    _ member: Int, _ set: UnsafeBufferPointer<Int32>, _ scratch: Scratch, means: UnsafeMutablePointer<Double>
  ) throws(CoverTreeError) {
    let failed = scratch.row.regress(member, on: set)
    // The point itself may be known exactly.
    if let failed, failed < set.count { throw model.failure(among: set, failed) }
    for (column, explanation) in explanations.enumerated() {
      means[column] = explanation.mean(scratch.row.points.features(member), set, scratch.row.weights.base)
    }
    scratch.row.innovate(member, on: set, into: scratch.innovation.base)
  }

  /// Adds `q M^-1 q^T` of each lane.
  private func add(_ panel: UnsafeMutablePointer<Double>, _ inUse: Int, to variances: UnsafeMutablePointer<Double>) {
    guard let inner else { return }
    inner.solve(panel)
    for column in 0..<model.rank {
      for lane in 0..<inUse {
        let value = panel[column &* Self.width &+ lane]
        variances[lane] += value * value
      }
    }
  }
}

/// What the inducing points and the data say about one response.
struct Explanation {
  let beta: Buffer<Double>
  /// `y - V beta`, by position.
  let rest: Buffer<Double>

  /// - Parameter y: by position.
  init(_ model: VIFModel, _ y: Buffer<Double>, beta: Buffer<Double>) throws(CoverTreeError) {
    self.beta = beta
    rest = try model.rest(y, beta)
  }

  func mean(
    _ features: UnsafePointer<Double>, _ set: UnsafeBufferPointer<Int32>, _ weights: UnsafePointer<Double>
  ) -> Double {
    var mean = dot(features, beta.base, count: beta.count)
    for (slot, member) in set.enumerated() { mean += weights[slot] * rest[member] }
    return mean
  }
}

extension VIFSystem {
  /// Predicts the process at new points; see `VIFPrediction`.
  ///
  /// - Parameter y: a column for each response.
  public func predict(
    _ y: PointsView<Double>, _ new: VIFNewPoints, means: UnsafeMutablePointer<Double>,
    variances: UnsafeMutablePointer<Double>?, context: CallContext
  ) throws(CoverTreeError) {
    try model.check(y)
    let explanations = try (0..<y.dim).map { (column) throws(CoverTreeError) in
      let response = try model.response(y, column)
      return try Explanation(model, response, beta: solve(response, context: context).beta)
    }
    try VIFPrediction(model: model, inner: inner, explanations: explanations)
      .fill(new, means: means, variances: variances, context: context)
  }
}

extension VIFModel {
  func check(_ new: VIFNewPoints, context: CallContext) throws(CoverTreeError) {
    guard new.points.dim == dim else {
      throw CoverTreeError(.shape, "points: expected \(dim) columns, got \(new.points.dim)")
    }
    try new.points.checkCoordinates(named: "points", context: context)
  }

  /// The sets' members; see `VecchiaPoints`.
  ///
  /// - Parameter amongNew: whether earlier new points may be members, as ranks from the number of points on.
  func members(of new: VIFNewPoints, amongNew: Bool) throws(CoverTreeError) -> Buffer<Int32> {
    guard count + new.points.count < Int(Int32.max) else {
      throw CoverTreeError(.shape, "points: expected fewer than 2^31 - 1 with those of the model")
    }
    try ConditioningGraph.check(new.offsets, new.neighbors, new.points.count) { count + (amongNew ? $0 : 0) }
    let members = try Buffer<Int32>(count: new.neighbors.count)
    for (place, rank) in new.neighbors.enumerated() {
      members[place] = rank < Int64(count) ? positionOfRank[Int(rank)] : Int32(rank)
    }
    return members
  }
}

import CovertreeBase

/// The joint distribution of the response at new points, given responses at the data.
///
/// New points are further ranks, with earlier new points in their sets. With `a` split into weights of data and of new points, `B` the unit
/// lower triangular matrix of the latter, and `w_i = v_i - a^T V_N`,
///
///     mean_i = w_i . beta + sum over the set of a_ij (y_j or mean_j),    covariance = B^-1 (D + W M^-1 W^T) B^-T.
final class VIFJointPrediction {
  /// Points that are regressed one after the other.
  private static let range = 16

  private let system: VIFSystem
  private let offsets: UnsafeBufferPointer<Int64>
  private let members: Buffer<Int32>
  private let points: VecchiaPoints
  private let weights: Buffer<Double>
  private let deviations: Buffer<Double>
  /// `W`, row by row.
  private let innovations: Buffer<Double>
  let count: Int

  private var model: VIFModel { system.model }

  init(_ system: VIFSystem, _ new: VIFNewPoints, context: CallContext) throws(CoverTreeError) {
    try system.model.check(new, context: context)
    let model = system.model
    (self.system, offsets, count) = (system, new.offsets, new.points.count)
    members = try system.model.members(of: new, amongNew: true)
    let coordinates = try scaledCoordinates(new.points, model.covariance, context)
    points = VecchiaPoints(
      model: model, new: try VecchiaPoints.New(model, coordinates, noise: new.noise, context: context))
    weights = try Buffer(count: members.count)
    deviations = try Buffer(count: count)
    innovations = try Buffer(count: count * model.rank)
    let scratch = PerThread<VecchiaRow>(count: context.threads)
    let most = Self.range
    try context.forEach((count + most - 1) / most, grain: 1) { (ranges, slot) throws(CoverTreeError) in
      let row = try scratch.value(slot) { () throws(CoverTreeError) in
        try VecchiaRow(points, capacity: new.largestSet)
      }
      for number in ranges {
        try context.poll(inSlot: slot)
        let first = model.count + number * most
        try row.visit(first..<min(points.count, first + most), set: set) { (member) throws(CoverTreeError) in
          try regress(member, by: row)
        }
      }
    }
  }

  private func places(_ point: Int) -> Range<Int> { Int(offsets[point])..<Int(offsets[point + 1]) }

  private func set(_ member: Int) -> UnsafeBufferPointer<Int32> {
    UnsafeBufferPointer(rebasing: members.elements[places(member - model.count)])
  }

  private func regress(_ member: Int, by row: VecchiaRow) throws(CoverTreeError) {
    let (set, point) = (set(member), member - model.count)
    let failed = row.regress(member, on: set)
    // Without noise the point itself may be known exactly.
    if let failed, failed < set.count { throw model.failure(among: set, failed) }
    (weights.base + places(point).lowerBound).update(from: row.weights.base, count: set.count)
    deviations[point] = max(0, row.conditionalVariance).squareRoot()
    row.innovate(member, on: set, into: innovations.base + point * model.rank)
  }

  /// Writes the means of one response, `stride` numbers apart.
  func fillMeans(
    _ y: PointsView<Double>, _ column: Int, into means: UnsafeMutablePointer<Double>, context: CallContext
  ) throws(CoverTreeError) {
    let response = try system.model.response(y, column)
    let beta = try system.solve(response, context: context).beta
    for point in 0..<count {
      var mean = dot(innovations.base + point * model.rank, beta.base, count: model.rank)
      for place in places(point) {
        let member = Int(members[place])
        mean +=
          weights[place] * (member < model.count ? response[member] : means[(member - model.count) * y.dim + column])
      }
      means[point * y.dim + column] = mean
    }
  }

  /// Adds to each row the rows of its set's new points, times their weights: `B^-1` times rows.
  private func substitute(_ rows: UnsafeMutablePointer<Double>, width: Int, stride: Int) {
    for point in 0..<count {
      let target = rows + point * stride
      for place in places(point) where Int(members[place]) >= model.count {
        let (weight, source) = (weights[place], rows + (Int(members[place]) - model.count) * stride)
        for column in 0..<width { target[column] += weight * source[column] }
      }
    }
  }

  /// Writes the covariance of the responses, `count x count`. O(q^2 (q + m + k)) for `q` new points.
  func fillCovariance(_ covariance: UnsafeMutablePointer<Double>, context: CallContext) throws(CoverTreeError) {
    let (rank, width) = (model.rank, PanelView<Double>.panelRows)
    let columns = rank + count
    let rows = try Buffer<Double>(count: count * columns, filledWith: 0)
    let panel = try Buffer<Double>(count: rank * width)
    for first in stride(from: 0, to: count, by: width) {
      try context.poll()
      let inUse = min(width, count - first)
      panel.base.update(repeating: 0, count: panel.count)
      for lane in 0..<inUse {
        for column in 0..<rank { panel[column * width + lane] = innovations[(first + lane) * rank + column] }
      }
      system.inner?.solve(panel.base)
      for lane in 0..<inUse {
        for column in 0..<rank { rows[(first + lane) * columns + column] = panel[column * width + lane] }
      }
    }
    for point in 0..<count { rows[point * columns + rank + point] = deviations[point] }
    substitute(rows.base, width: columns, stride: columns)
    let packed = try Panels<Double>(rows: count, columns: columns)
    packed.view.pack(count) { UnsafePointer(rows.base) + $0 * columns }
    let stride = (count + width - 1) / width * width
    let products = try Buffer<Double>(count: (count + tileRows) * stride)
    try context.forEach((count + tileRows - 1) / tileRows, grain: 4) { (range, slot) throws(CoverTreeError) in
      try context.poll(inSlot: slot)
      let tiles = range.lowerBound * tileRows..<min(count, range.upperBound * tileRows)
      multiply(packed.view, rows: tiles, packed.view, into: products.base, stride: stride) { [count] tile in
        min(tile + tileRows, count)
      }
    }
    for row in 0..<count {
      for column in 0...row {
        covariance[row * count + column] = products[row * stride + column]
        covariance[column * count + row] = products[row * stride + column]
      }
    }
  }

  /// Writes deviations from the mean: `B^-1 (W L^-T e + D^(1/2) f)` for rows of independent standard normal numbers `(e, f)`.
  func fillDraws(
    _ normals: VIFDraws, into draws: UnsafeMutablePointer<Double>, context: CallContext
  ) throws(CoverTreeError) {
    let (rank, inducing, width) = (model.rank, model.inducing?.count ?? 0, PanelView<Double>.panelRows)
    try context.forEach(normals.count, grain: 1) { (range, slot) throws(CoverTreeError) in
      let panel = try Buffer<Double>(count: rank * width)
      let values = try Buffer<Double>(count: rank)
      for draw in range {
        try context.poll(inSlot: slot)
        panel.base.update(repeating: 0, count: panel.count)
        let normal = normals.normals + draw * (inducing + count)
        for column in 0..<inducing { panel[column * width] = normal[column] }
        system.inner?.solveTransposed(panel.base)
        for column in 0..<rank { values[column] = panel[column * width] }
        let target = draws + draw * count
        for point in 0..<count {
          target[point] =
            dot(innovations.base + point * rank, values.base, count: rank)
            + deviations[point] * normal[inducing + point]
        }
        substitute(target, width: 1, stride: 1)
      }
    }
  }
}

extension VIFSystem {
  /// The means at new points, a column for each response, and the joint covariance of the responses.
  ///
  /// - Parameters:
  ///   - new: sets may have earlier new points, as ranks from the number of points on.
  ///   - covariance: `q x q`; nil if it is not wanted.
  public func predictJointly(
    _ y: PointsView<Double>, _ new: VIFNewPoints, means: UnsafeMutablePointer<Double>,
    covariance: UnsafeMutablePointer<Double>?, context: CallContext
  ) throws(CoverTreeError) {
    try model.check(y)
    let joint = try VIFJointPrediction(self, new, context: context)
    for column in 0..<y.dim { try joint.fillMeans(y, column, into: means, context: context) }
    if let covariance { try joint.fillCovariance(covariance, context: context) }
  }

  /// Deviations of responses at new points from their means, given the data: a row for each draw.
  public func draw(
    _ normals: VIFDraws, _ new: VIFNewPoints, into draws: UnsafeMutablePointer<Double>, context: CallContext
  ) throws(CoverTreeError) {
    let joint = try VIFJointPrediction(self, new, context: context)
    try joint.fillDraws(normals, into: draws, context: context)
  }

  /// Responses at the data from the prior, by row of the caller: `V e + B^-1 D^(1/2) f`, with `f` by rank. O(n (m + k)) each.
  public func draw(
    _ normals: VIFDraws, into draws: UnsafeMutablePointer<Double>, context: CallContext
  ) throws(CoverTreeError) {
    let (model, inducing) = (model, model.inducingCount)
    try context.forEach(normals.count, grain: 1) { (range, slot) throws(CoverTreeError) in
      let values = try Buffer<Double>(count: model.rank, filledWith: 0)
      let rough = try Buffer<Double>(count: model.count)
      for draw in range {
        try context.poll(inSlot: slot)
        let normal = normals.normals + draw * (inducing + model.count)
        values.base.update(from: normal, count: inducing)
        for rank in 0..<model.count {
          let position = Int(model.positionOfRank[rank])
          var value = factor.variances[position].squareRoot() * normal[inducing + rank]
          for place in model.graph.offsets[position]..<model.graph.offsets[position + 1] {
            value += factor.weights[place] * rough[model.graph.members[place]]
          }
          rough[position] = value
          draws[draw * model.count + Int(model.rowOfPosition[position])] =
            value + dot(model.features(position), values.base, count: model.rank)
        }
      }
    }
  }
}

/// Independent standard normal numbers for some draws: for each one as many as there are inducing points, then one for each point.
public struct VIFDraws: @unchecked Sendable {
  public let normals: UnsafePointer<Double>
  public let count: Int

  public init(normals: UnsafePointer<Double>, count: Int) { (self.normals, self.count) = (normals, count) }
}

import CovertreeBase

/// The sparse factor of a model: `B`, unit lower triangular with `-a` in the rows of points, and `D`.
///
/// O(n (k^3 + k^2 m)) for `k` neighbours and `m` inducing points.
public final class VIFFactor: @unchecked Sendable {
  let model: VIFModel
  /// `a`, one for each member of `ConditioningGraph.members`.
  let weights: Buffer<Double>
  /// `D` by position.
  let variances: Buffer<Double>
  /// `W = B V`, by position.
  let innovations: Buffer<Double>

  public init(_ model: VIFModel, context: CallContext) throws(CoverTreeError) {
    self.model = model
    let graph = model.graph
    weights = try Buffer(count: graph.members.count)
    variances = try Buffer(count: model.count)
    innovations = try Buffer(count: model.count * model.rank)
    let scratch = PerThread<VecchiaRow>(count: context.threads)
    try context.forEach(model.count, grain: 16) { (range, slot) throws(CoverTreeError) in
      let row = try scratch.value(slot) { () throws(CoverTreeError) in
        try VecchiaRow(VecchiaPoints(model: model), capacity: graph.largest)
      }
      for position in range {
        try context.poll(inSlot: slot)
        try row.regress(position, of: model)
        (weights.base + graph.offsets[position]).update(from: row.weights.base, count: row.count)
        variances[position] = row.conditionalVariance
        row.innovate(
          model.features(position), on: graph.set(of: position), into: innovations.base + position * model.rank)
      }
    }
  }

  @inline(__always)
  func innovation(_ position: Int) -> UnsafePointer<Double> {
    UnsafePointer(innovations.base) + position &* model.rank
  }

  /// `B x`, by position.
  func multiply(_ x: Buffer<Double>) throws(CoverTreeError) -> Buffer<Double> {
    let result = try Buffer<Double>(count: model.count)
    let graph = model.graph
    for position in 0..<model.count {
      var sum = x[position]
      for place in graph.offsets[position]..<graph.offsets[position + 1] {
        sum -= weights[place] * x[graph.members[place]]
      }
      result[position] = sum
    }
    return result
  }

  /// `B^T x`, by position.
  func multiplyTransposed(_ x: Buffer<Double>) throws(CoverTreeError) -> Buffer<Double> {
    let result = try Buffer<Double>(count: model.count)
    let graph = model.graph
    for position in 0..<model.count {
      var sum = x[position]
      for slot in graph.holderOffsets[position]..<graph.holderOffsets[position + 1] {
        sum -= weights[graph.places[slot]] * x[graph.holders[slot]]
      }
      result[position] = sum
    }
    return result
  }

  var byteCount: Int { weights.byteCount + variances.byteCount + innovations.byteCount }

  /// Writes `a`, in the order of the neighbours that the model was given, and `D`, by rank.
  public func copy(weights target: UnsafeMutablePointer<Double>?, variances d: UnsafeMutablePointer<Double>?) {
    var next = 0
    for rank in 0..<model.count {
      let position = Int(model.positionOfRank[rank])
      let range = model.graph.offsets[position]..<model.graph.offsets[position + 1]
      if let target { (target + next).update(from: weights.base + range.lowerBound, count: range.count) }
      next += range.count
      if let d { d[rank] = variances[position] }
    }
  }
}

extension VecchiaRow {
  /// Regresses a point of the model on its set.
  func regress(_ position: Int, of model: VIFModel) throws(CoverTreeError) {
    let failed = regress(
      model.coordinates.base + position * model.dim, model.features(position), noise: model.noise[position],
      on: model.graph.set(of: position))
    if let failed { throw model.failure(at: position, failed) }
  }
}

import CovertreeBase

/// The sparse factor of a model: `B`, unit lower triangular with `-a` in the rows of points, and `D`.
///
/// O(n (k^3 + k^2 m)) for `k` neighbours and `m` inducing points.
public final class VIFFactor: @unchecked Sendable {
  private static let range = 64

  let model: VIFModel
  /// `a`, one for each member of `ConditioningGraph.members`.
  let weights: Buffer<Double>
  /// `D` by position. Like `W`, of the model's own points.
  let variances: Buffer<Double>
  /// `W = B V`, by position.
  let innovations: Buffer<Double>
  /// The factors of `S`, if these are small enough: gradients need them again.
  private let factors: Buffer<Double>?
  /// The numbers of one.
  private let factorSize: Int

  private static let mostFactorBytes = 1 << 30

  public init(_ model: VIFModel, context: CallContext) throws(CoverTreeError) {
    self.model = model
    let graph = model.graph
    weights = try Buffer(count: graph.members.count)
    let count = model.ownCount
    variances = try Buffer(count: count)
    innovations = try model.data.memory.buffer(count: count * model.rank)
    factorSize = VecchiaRow.factorSize(graph.largest)
    // The division cannot overflow: a set may have as many members as there are points.
    let isSmall = factorSize <= Self.mostFactorBytes / MemoryLayout<Double>.stride / max(1, count)
    factors = isSmall ? try model.data.memory.buffer(count: count * factorSize) : nil
    let scratch = PerThread<VecchiaRow>(count: context.threads)
    // Ranges of this size whatever the number of threads: a kernel of the caller may round differently in other blocks.
    try context.forEach((count + Self.range - 1) / Self.range, grain: 1) {
      (ranges, slot) throws(CoverTreeError) in
      let row = try scratch.value(slot) { () throws(CoverTreeError) in
        try VecchiaRow(VecchiaPoints(model: model), capacity: graph.largest)
      }
      for first in Swift.stride(
        from: ranges.lowerBound * Self.range, to: min(count, ranges.upperBound * Self.range), by: Self.range)
      {
        try context.poll(inSlot: slot)
        try row.visit(first..<min(count, first + Self.range), set: graph.set(of:)) {
          (position) throws(CoverTreeError) in try fill(position, by: row)
        }
      }
    }
  }

  private func fill(_ position: Int, by row: VecchiaRow) throws(CoverTreeError) {
    let set = model.graph.set(of: position)
    try row.regress(position)
    (weights.base + model.graph.offsets[position]).update(from: row.weights.base, count: row.count)
    variances[position] = row.conditionalVariance
    if let factors { row.save(into: factors.base + position * factorSize) }
    row.innovate(position, on: set, into: innovations.base + position * model.rank)
  }

  /// A known factor; see `init(_:context:)`.
  init(_ model: VIFModel, weights: Buffer<Double>, variances: Buffer<Double>, innovations: Buffer<Double>) {
    (self.model, self.weights, self.variances, self.innovations) = (model, weights, variances, innovations)
    (factors, factorSize) = (nil, 0)
  }

  /// The regression of a position once more, without its weights.
  func repeatRegression(_ position: Int, by row: VecchiaRow) throws(CoverTreeError) {
    guard let factors else { return try row.regress(position) }
    row.restore(position, on: model.graph.set(of: position), from: factors.base + position * factorSize)
  }

  @inline(__always)
  func innovation(_ position: Int) -> UnsafePointer<Double> {
    UnsafePointer(innovations.base) + position &* model.rank
  }

  /// `B x`, by position.
  func multiply(_ x: Buffer<Double>) throws(CoverTreeError) -> Buffer<Double> {
    let result = try Buffer<Double>(count: model.ownCount)
    let graph = model.graph
    for position in 0..<model.ownCount {
      var sum = x[position]
      for place in graph.offsets[position]..<graph.offsets[position + 1] {
        sum -= weights[place] * x[graph.members[place]]
      }
      result[position] = sum
    }
    return result
  }

  /// `B^T x`, by position, of the halo too.
  func multiplyTransposed(_ x: Buffer<Double>) throws(CoverTreeError) -> Buffer<Double> {
    let result = try Buffer<Double>(count: model.count)
    let graph = model.graph
    for position in 0..<model.count {
      var sum = position < model.ownCount ? x[position] : 0
      for slot in graph.holderOffsets[position]..<graph.holderOffsets[position + 1] {
        sum -= weights[graph.places[slot]] * x[graph.holders[slot]]
      }
      result[position] = sum
    }
    return result
  }

  var byteCount: Int {
    weights.byteCount + variances.byteCount + innovations.byteCount + (factors?.byteCount ?? 0)
  }

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
  func regress(_ position: Int) throws(CoverTreeError) {
    let model = points.model
    if let failed = regress(position, on: model.graph.set(of: position)) { throw model.failure(at: position, failed) }
  }
}

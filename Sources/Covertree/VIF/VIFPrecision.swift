import CovertreeBase

/// The diagonal of `Sigma^-1`. By it, and `Sigma^-1 y`, leave-one-out predictions are known (Dubrule, "Cross validation of kriging in a
/// unique neighborhood", 1983): the variance of `y_i` given the others is one over element `i`.
///
/// By Woodbury's identity `Sigma^-1 = B^T D^-1 B - G M^-1 G^T` with `G = B^T D^-1 W`. Column `j` of `B` has the weights of point `j` in the sets
/// of others, so row `j` of `G` is a sum over the rows of `W` that belong to these. O(n (k m + m^2)) time.
extension VIFSystem {
  private static let width = PanelView<Double>.panelRows

  /// Rows of `G`, of some positions.
  private final class Rows {
    let row: Buffer<Double>
    /// A column for each position.
    let panel: Buffer<Double>

    init(rank: Int) throws(CoverTreeError) {
      row = try Buffer(count: rank)
      panel = try Buffer(count: rank * VIFSystem.width)
    }
  }

  /// - Parameter result: one for each row of the caller's points.
  public func copyPrecisions(
    into result: UnsafeMutablePointer<Double>, context: CallContext
  ) throws(CoverTreeError) {
    let scratch = PerThread<Rows>(count: context.threads)
    let width = Self.width
    try context.forEach((model.count + width - 1) / width, grain: 4) { (range, slot) throws(CoverTreeError) in
      let rows = try scratch.value(slot) { () throws(CoverTreeError) in try Rows(rank: model.rank) }
      for panel in range {
        try context.poll(inSlot: slot)
        try copyPrecisions(of: panel * width..<min(model.count, (panel + 1) * width), rows, into: result)
      }
    }
  }

  private func copyPrecisions(
    of positions: Range<Int>, _ rows: Rows, into result: UnsafeMutablePointer<Double>
  ) throws(CoverTreeError) {
    let (rank, width, panel) = (model.rank, Self.width, rows.panel.base)
    panel.update(repeating: 0, count: rows.panel.count)
    for (lane, position) in positions.enumerated() {
      fillReverseInnovation(position, rows.row.base)
      for column in 0..<rank { panel[column &* width &+ lane] = rows.row[column] }
    }
    inner?.solve(panel)
    for (lane, position) in positions.enumerated() {
      var precision = sparsePrecision(position)
      for column in 0..<rank { precision -= panel[column &* width &+ lane] * panel[column &* width &+ lane] }
      let row = Int(model.rowOfPosition[position])
      guard precision > 0 else {
        throw CoverTreeError(
          .invalidArgument, "noise: expected a variance that float64 can subtract at point \(row); it is too small")
      }
      result[row] = precision
    }
  }

  /// Element `j` of the diagonal of `B^T D^-1 B`.
  private func sparsePrecision(_ j: Int) -> Double {
    let graph = model.graph
    var sum = 1 / factor.variances[j]
    for slot in graph.holderOffsets[j]..<graph.holderOffsets[j + 1] {
      let weight = factor.weights[graph.places[slot]]
      sum += weight * weight / factor.variances[graph.holders[slot]]
    }
    return sum
  }

  /// Writes row `j` of `G`.
  private func fillReverseInnovation(_ j: Int, _ target: UnsafeMutablePointer<Double>) {
    let (graph, vectors) = (model.graph, model.rank / 8)
    let (lanes, own) = (target.vectors, factor.innovation(j).vectors)
    let share = SIMD8(repeating: 1 / factor.variances[j])
    for vector in 0..<vectors { lanes[vector] = share * own[vector] }
    for slot in graph.holderOffsets[j]..<graph.holderOffsets[j + 1] {
      let i = Int(graph.holders[slot])
      let share = SIMD8(repeating: -factor.weights[graph.places[slot]] / factor.variances[i])
      let other = factor.innovation(i).vectors
      for vector in 0..<vectors { lanes[vector] = Double.multiplyAdd(share, other[vector], lanes[vector]) }
    }
  }
}

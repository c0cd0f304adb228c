import CovertreeBase

/// Pivoted Cholesky factorisations of residual correlations, one after the other, by one thread.
///
/// The last run left the columns of the factor and the rest of the diagonal.
final class PivotedCholesky {
  private let model: ResidualModel
  private var scratch: Scratch
  /// The candidates that became pivots, in this order.
  private(set) var slots: [Int] = []
  /// Their positions.
  private(set) var pivots: [Int32] = []
  /// The largest residual norm before each of them.
  private var largestNorms: [Double] = []
  private(set) var candidateCount = 0

  private final class Scratch {
    let capacity: Int
    let correlations: Buffer<Double>
    let covariances: Buffer<Double>
    let columns: Buffer<Double>
    let residualNormsSquared: Buffer<Double>
    let points: PackedPoints

    init(_ model: ResidualModel, capacity: Int) throws(CoverTreeError) {
      let width = PanelView<Double>.panelRows
      self.capacity = (capacity + width - 1) / width * width
      correlations = try Buffer(count: self.capacity * self.capacity)
      covariances = try Buffer(count: self.capacity)
      columns = try Buffer(count: self.capacity * self.capacity)
      residualNormsSquared = try Buffer(count: self.capacity)
      points = try PackedPoints(model, most: self.capacity)
    }
  }

  init(_ model: ResidualModel) throws(CoverTreeError) {
    self.model = model
    scratch = try Scratch(model, capacity: model.blockSize)
  }

  var rank: Int { slots.count }

  /// The number of pivots that a larger tolerance needs.
  func rank(tolerance: Double) -> Int { largestNorms.firstIndex { $0 <= tolerance } ?? rank }

  /// From one column to the next.
  var stride: Int { scratch.capacity }

  /// Coordinate `k` of each candidate.
  func column(_ k: Int) -> UnsafePointer<Double> { UnsafePointer(scratch.columns.base) + k * scratch.capacity }

  /// The squared norm of each candidate's residual: its distance from the span of the pivots.
  var residualNormsSquared: UnsafePointer<Double> { UnsafePointer(scratch.residualNormsSquared.base) }

  /// Adds pivots from the positions `candidates` until every residual norm is at most `tolerance`, or there are `mostPivots`.
  ///
  /// - Parameter inOrder: the candidates become pivots one after the other, up to the first that is nearly in the span of those before it.
  func run(
    _ candidates: [Int32], tolerance: Double, mostPivots: Int, inOrder: Bool = false
  ) throws(CoverTreeError) {
    let count = candidates.count
    if count > scratch.capacity { scratch = try Scratch(model, capacity: count) }
    try fillCorrelations(candidates)
    let (residualNormsSquared, correlations, stride) = (
      scratch.residualNormsSquared.base, scratch.correlations.base, scratch.capacity
    )
    for j in 0..<count { residualNormsSquared[j] = correlations[j * stride + j] }
    (slots, pivots, largestNorms, candidateCount) = ([], [], [], count)
    while slots.count < min(count, mostPivots) {
      var pivot = inOrder ? slots.count : 0
      for j in 1..<max(1, count) where !inOrder && residualNormsSquared[j] > residualNormsSquared[pivot] { pivot = j }
      let largest = residualNormsSquared[pivot]
      guard largest > tolerance * tolerance else { break }
      let column = scratch.columns.base + slots.count * stride
      // Only the lower triangle of the correlations is stored.
      for j in 0..<count { column[j] = correlations[max(j, pivot) * stride + min(j, pivot)] }
      for k in 0..<slots.count {
        let before = scratch.columns.base + k * stride
        let factor = before[pivot]
        for j in 0..<count { column[j] -= before[j] * factor }
      }
      let inverse = 1 / residualNormsSquared[pivot].squareRoot()
      for j in 0..<count {
        column[j] *= inverse
        residualNormsSquared[j] -= column[j] * column[j]
      }
      residualNormsSquared[pivot] = 0
      for slot in slots { column[slot] = 0 }
      largestNorms.append(largest.squareRoot())
      slots.append(pivot)
      pivots.append(candidates[pivot])
    }
  }

  private func fillCorrelations(_ candidates: [Int32]) throws(CoverTreeError) {
    let (count, stride, points) = (candidates.count, scratch.capacity, scratch.points)
    points.load(count) { model.point(at: Int(candidates[$0])) }
    multiply(
      points.features.view, rows: 0..<count, points.features.view, into: scratch.correlations.base, stride: stride
    ) { tile in min(tile + tileRows, count) }
    for i in 0..<count {
      try model.covariance.fill(
        rows: points.rows.base + i * model.dim, rowCount: 1, columns: points.rows.base, panels: points.panels.view,
        columnCount: i + 1, into: scratch.covariances.base, stride: stride)
      let row = scratch.correlations.base + i * stride
      let (covariances, scales) = (scratch.covariances.base, points.scales.base)
      for j in 0...i { row[j] = (covariances[j] - row[j]) * (scales[i] * scales[j]) }
    }
  }
}

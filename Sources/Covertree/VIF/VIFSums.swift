import CovertreeBase
import Glibc

/// Sums over a model's own points, which lead to its likelihood. Those of the parts of a model add up.
extension VIFFactor {
  /// The sum of `log D`.
  func logDeterminant() -> Double {
    var sum = 0.0
    for position in 0..<model.ownCount { sum += log(variances[position]) }
    return sum
  }

  /// `W^T D^-1 W`. O(n m^2).
  func products(_ context: CallContext) throws(CoverTreeError) -> GramAccumulator {
    let groups = GramAccumulator.groups(of: model.ownCount)
    let partial = try context.makeAll(groups.count) { (number, slot) throws(CoverTreeError) in
      try products(of: groups[number], slot, context)
    }
    guard let sums = partial.first else { return try GramAccumulator(rank: model.rank) }
    for other in partial.dropFirst() { sums.add(other) }
    return sums
  }

  private func products(
    of positions: Range<Int>, _ slot: Int, _ context: CallContext
  ) throws(CoverTreeError) -> GramAccumulator {
    let sums = try GramAccumulator(rank: model.rank)
    let stride = sums.stride
    let rows = try Buffer<Double>(count: GramAccumulator.chunk * stride, filledWith: 0)
    for first in Swift.stride(from: positions.lowerBound, to: positions.upperBound, by: GramAccumulator.chunk) {
      try context.poll(inSlot: slot)
      let count = min(GramAccumulator.chunk, positions.upperBound - first)
      for row in 0..<count {
        let scale = 1 / variances[first + row].squareRoot()
        let (source, target) = (innovation(first + row), rows.base + row * stride)
        for column in 0..<model.rank { target[column] = source[column] * scale }
      }
      sums.add(rows.base, rows.base, count: count, isSymmetric: true)
    }
    return sums
  }

  /// `W^T D^-1 w`, `rank` numbers.
  ///
  /// - Parameter w: `B y`.
  func projections(_ w: Buffer<Double>) throws(CoverTreeError) -> Buffer<Double> {
    let sums = try Buffer<Double>(count: model.rank, filledWith: 0)
    for position in 0..<model.ownCount {
      let (share, row) = (w[position] / variances[position], innovation(position))
      for column in 0..<model.rank { sums[column] += share * row[column] }
    }
    return sums
  }
}

extension CholeskyFactor {
  /// The factor of `M = I + W^T D^-1 W`.
  static func inner(_ products: GramAccumulator, _ context: CallContext) throws(CoverTreeError) -> CholeskyFactor {
    let inner = try CholeskyFactor(
      products.sums.base, count: products.rank, stride: products.stride, added: 1, context: context)
    // Its memory is read after its last use.
    withExtendedLifetime(products) {}
    guard let inner else {
      throw CoverTreeError(
        .invalidArgument, "noise: expected variances that float64 can add to those of the kernel; they are too small")
    }
    return inner
  }

  var logDeterminant: Double { (0..<count).reduce(0) { $0 + 2 * log(self[$1, $1]) } }

  /// `A^-1 x` for one column.
  func solution(of x: Buffer<Double>) throws(CoverTreeError) -> Buffer<Double> {
    // The first lane of a panel.
    let width = PanelView<Double>.panelRows
    let panel = try Buffer<Double>(count: x.count * width, filledWith: 0)
    for row in 0..<x.count { panel[row * width] = x[row] }
    solve(panel.base)
    solveTransposed(panel.base)
    let solution = try Buffer<Double>(count: x.count)
    for row in 0..<x.count { solution[row] = panel[row * width] }
    return solution
  }
}

/// The solution of `Sigma alpha = y` for one response, and what leads to it.
struct VIFSolution {
  /// `B^T (r / D)`, by position. A part of a model has its own points' share of it.
  let alpha: Buffer<Double>
  /// `M^-1 W^T D^-1 B y`; `rank` numbers.
  let beta: Buffer<Double>
  /// `r = B y - W beta`, by position, of the model's own points.
  let residuals: Buffer<Double>
  /// `sum r^2 / D` over these.
  let quadratic: Double

  /// - Parameter w: `B y`, which becomes the residuals.
  init(_ factor: VIFFactor, _ w: Buffer<Double>, beta: Buffer<Double>) throws(CoverTreeError) {
    (self.beta, residuals) = (beta, w)
    let scaled = try Buffer<Double>(count: w.count)
    var quadratic = 0.0
    for position in 0..<w.count {
      w[position] -= dot(factor.innovation(position), beta.base, count: factor.model.rank)
      scaled[position] = w[position] / factor.variances[position]
      quadratic += w[position] * scaled[position]
    }
    self.quadratic = quadratic
    alpha = try factor.multiplyTransposed(scaled)
  }

  /// The log likelihood of a response.
  ///
  /// - Parameters:
  ///   - quadratic: `sum r^2 / D` over all points.
  ///   - logDeterminant: of `Sigma`.
  static func logLikelihood(
    quadratic: Double, beta: Buffer<Double>, logDeterminant: Double, count: Int
  ) -> Double {
    let norm = dot(beta.base, beta.base, count: beta.count)
    return -0.5 * (norm + quadratic + logDeterminant + Double(count) * log(2 * Double.pi))
  }
}

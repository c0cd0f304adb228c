import CovertreeBase

/// The derivatives of the log likelihood of one response by the logarithms of noise, variance and lengthscales, by one reverse sweep: its
/// cost hardly depends on the number of hyperparameters. Order, sets and inducing points are held fixed.
///
/// Let `z_i = M^-1 w_i` for the rows `w_i` of `W`, `e = y - V beta`, and
///
///     h_i = (1 / D_i - r_i^2 / D_i^2 - w_i . z_i / D_i^2) / 2,    u_i = S^-1 (r_i e_N + V_N z_i) / D_i.
///
/// With `a` extended by -1 and `u` by 0 for the point itself, the negative log likelihood changes with the residual covariances of the set
/// and the point by `(u a^T + a u^T) / 2 + h a a^T`. By the features it changes by
///
///     G = B^T X + U^T W - alpha beta^T,    x_i = u_i^T V_N - 2 h_i w_i + z_i / D_i,
///
/// where `U` has the rows `u_i`. The rest is the reverse of `V = k(X, U) L^-T` and of a Cholesky factorisation (Murray, "Differentiation of
/// the Cholesky decomposition", 2016).
///
/// Memory: one array as large as `V` besides `V` and `W`, and a number for each member of a set. O(n (k^3 + k^2 m + m^2)) time.
final class VIFGradient {
  /// Positions whose sums are added together.
  private static let chunk = 128

  private let factor: VIFFactor
  /// The factor of `M`; nil without inducing points.
  private let inner: CholeskyFactor?
  private let solution: VIFSolution
  /// `u`, one for each member of the sets.
  private let reverse: Buffer<Double>
  /// `X`.
  private let carried: Buffer<Double>
  /// `y - V beta`.
  private let rest: Buffer<Double>
  // Of the negative log likelihood.
  private var byNoise = 0.0
  private let byKernel: KernelGradient
  /// `G^T V`; nil without inducing points.
  private(set) var products: GramAccumulator?

  private var model: VIFModel { factor.model }

  /// The number of parameters.
  var count: Int { 1 + byKernel.sums.count }

  /// Everything but what goes through the covariances of the inducing points with each other; see `addInducing`.
  ///
  /// - Parameter y: by position.
  init(
    _ factor: VIFFactor, _ inner: CholeskyFactor?, _ y: Buffer<Double>, _ solution: VIFSolution, context: CallContext
  ) throws(CoverTreeError) {
    (self.factor, self.inner, self.solution) = (factor, inner, solution)
    let model = factor.model
    reverse = try Buffer(count: model.graph.members.count)
    carried = try model.data.memory.buffer(count: model.ownCount * model.rank)
    rest = try model.rest(y, solution.beta)
    byKernel = try KernelGradient(model.covariance, capacity: max(width, model.inducingCount))
    try sweepRows(context)
    try sweepFeatures(context)
  }

  /// Adds the derivatives through the covariances of the inducing points with each other.
  func addInducing(_ context: CallContext) throws(CoverTreeError) {
    if let products { try model.addInducing(products, to: byKernel, context) }
  }

  func copy(to gradient: UnsafeMutablePointer<Double>) {
    gradient[0] = -byNoise
    for (parameter, sum) in byKernel.sums.enumerated() { gradient[1 + parameter] = -sum }
  }

  // MARK: Residual covariances

  /// The sums of one chunk of positions.
  private final class Chunk {
    let byKernel: KernelGradient
    var byNoise = 0.0

    init(_ model: VIFModel) throws(CoverTreeError) {
      byKernel = try KernelGradient(model.covariance, capacity: model.graph.largest + 1)
    }
  }

  private final class Scratch {
    let row: VecchiaRow
    /// `z` of 16 positions, in a panel and as rows.
    let panel: Buffer<Double>
    let solved: Buffer<Double>
    /// `a` and `u`, extended by the point itself.
    let weights: Buffer<Double>
    let reverse: Buffer<Double>

    init(_ model: VIFModel) throws(CoverTreeError) {
      row = try VecchiaRow(VecchiaPoints(model: model), capacity: model.graph.largest, withWeights: true)
      panel = try Buffer(count: model.rank * width)
      solved = try Buffer(count: model.rank * width)
      let most = (model.graph.largest + 16) / 16 * 16
      weights = try Buffer(count: most)
      reverse = try Buffer(count: most)
    }
  }

  private func sweepRows(_ context: CallContext) throws(CoverTreeError) {
    let model = model
    let scratch = PerThread<Scratch>(count: context.threads)
    let chunks = try context.makeAll((model.ownCount + Self.chunk - 1) / Self.chunk) {
      (number, slot) throws(CoverTreeError) in
      let scratch = try scratch.value(slot) { () throws(CoverTreeError) in try Scratch(model) }
      let chunk = try Chunk(model)
      let first = number * Self.chunk
      for position in Swift.stride(from: first, to: min(model.ownCount, first + Self.chunk), by: width) {
        try context.poll(inSlot: slot)
        let positions = position..<min(model.ownCount, first + Self.chunk, position + width)
        solve(positions, scratch)
        try scratch.row.visit(positions, set: model.graph.set(of:), gradient: chunk.byKernel) {
          (position) throws(CoverTreeError) in
          let z = UnsafePointer(scratch.solved.base) + (position - positions.lowerBound) * model.rank
          try sweep(position, z, scratch, chunk)
        }
      }
      return chunk
    }
    for chunk in chunks {
      byNoise += chunk.byNoise
      byKernel.add(chunk.byKernel)
    }
  }

  /// `z = M^-1 w` of some positions.
  private func solve(_ positions: Range<Int>, _ scratch: Scratch) {
    guard let inner else { return }
    let (rank, panel) = (model.rank, scratch.panel.base)
    panel.update(repeating: 0, count: rank * width)
    for (lane, position) in positions.enumerated() {
      let row = factor.innovation(position)
      for column in 0..<rank { panel[column &* width &+ lane] = row[column] }
    }
    inner.solve(panel)
    inner.solveTransposed(panel)
    for lane in 0..<positions.count {
      let row = scratch.solved.base + lane * rank
      for column in 0..<rank { row[column] = panel[column &* width &+ lane] }
    }
  }

  private func sweep(
    _ i: Int, _ z: UnsafePointer<Double>, _ scratch: Scratch, _ chunk: Chunk
  ) throws(CoverTreeError) {
    let (model, row, u) = (model, scratch.row, scratch.reverse.base)
    let (set, first) = (model.graph.set(of: i), model.graph.offsets[i])
    let (d, r, w) = (factor.variances[i], solution.residuals[i], factor.innovation(i))
    let h = (1 / d - (r * r + dot(w, z, count: model.rank)) / (d * d)) / 2
    try factor.repeatRegression(i, by: row)
    for (slot, member) in set.enumerated() {
      let product = dot(model.features(Int(member)), z, count: model.rank)
      u[slot] = (r * rest[member] + product) / d
    }
    row.solve(u)
    (reverse.base + first).update(from: u, count: set.count)
    carry(i, h, z, u)
    scratch.weights.base.update(from: factor.weights.base + first, count: set.count)
    (scratch.weights[set.count], u[set.count]) = (-1, 0)
    let a = scratch.weights.base
    chunk.byNoise += h * model.noise[i]
    for (slot, member) in set.enumerated() {
      chunk.byNoise += (u[slot] * a[slot] + h * a[slot] * a[slot]) * model.noise[member]
    }
    try row.add(i, set, to: chunk.byKernel) { slot, other in
      let half = (u[slot] * a[other] + a[slot] * u[other]) / 2 + h * a[slot] * a[other]
      return slot == other ? half : 2 * half
    }
  }

  /// Writes row `i` of `X`.
  private func carry(_ i: Int, _ h: Double, _ z: UnsafePointer<Double>, _ u: UnsafePointer<Double>) {
    let vectors = model.rank / 8
    let (target, z, w) = ((carried.base + i * model.rank).vectors, z.vectors, factor.innovation(i).vectors)
    let (inverse, share) = (SIMD8(repeating: 1 / factor.variances[i]), SIMD8(repeating: -2 * h))
    for vector in 0..<vectors { target[vector] = Double.multiplyAdd(share, w[vector], z[vector] * inverse) }
    for (slot, member) in model.graph.set(of: i).enumerated() {
      let (share, other) = (SIMD8(repeating: u[slot]), model.features(Int(member)).vectors)
      for vector in 0..<vectors { target[vector] = Double.multiplyAdd(share, other[vector], target[vector]) }
    }
  }

  // MARK: Features

  /// Writes row `j` of `G`.
  private func fillByFeatures(_ j: Int, _ target: UnsafeMutablePointer<Double>) {
    let (rank, graph) = (model.rank, model.graph)
    let (lanes, beta) = (target.vectors, solution.beta.base.vectors)
    let alpha = SIMD8(repeating: -solution.alpha[j])
    if j < model.ownCount {
      let own = (carried.base + j * rank).vectors
      for vector in 0..<rank / 8 { lanes[vector] = Double.multiplyAdd(alpha, beta[vector], own[vector]) }
    } else {
      for vector in 0..<rank / 8 { lanes[vector] = alpha * beta[vector] }
    }
    for slot in graph.holderOffsets[j]..<graph.holderOffsets[j + 1] {
      let (i, place) = (Int(graph.holders[slot]), graph.places[slot])
      let (a, u) = (SIMD8(repeating: -factor.weights[place]), SIMD8(repeating: reverse[place]))
      let (x, w) = ((carried.base + i * rank).vectors, factor.innovation(i).vectors)
      for vector in 0..<rank / 8 {
        lanes[vector] = Double.multiplyAdd(a, x[vector], Double.multiplyAdd(u, w[vector], lanes[vector]))
      }
    }
  }

  /// The sums of one group of positions.
  private final class Group {
    let products: GramAccumulator
    let byKernel: KernelGradient

    init(_ model: VIFModel) throws(CoverTreeError) {
      products = try GramAccumulator(rank: model.rank)
      byKernel = try KernelGradient(model.covariance, capacity: width)
    }
  }

  private func sweepFeatures(_ context: CallContext) throws(CoverTreeError) {
    guard let inducing = model.inducing else { return }
    // Rows of the halo have a share, too: their points are in sets.
    let (model, ranges) = (model, GramAccumulator.groups(of: model.count))
    let groups = try context.makeAll(ranges.count) { (number, slot) throws(CoverTreeError) in
      let group = try Group(model)
      let stride = group.products.stride
      let left = try Buffer<Double>(count: GramAccumulator.chunk * stride, filledWith: 0)
      let right = try Buffer<Double>(count: GramAccumulator.chunk * stride, filledWith: 0)
      let panel = try Buffer<Double>(count: model.rank * width)
      let points = try Panels<Double>(rows: width, columns: model.dim)
      for first in Swift.stride(
        from: ranges[number].lowerBound, to: ranges[number].upperBound, by: GramAccumulator.chunk)
      {
        try context.poll(inSlot: slot)
        let count = min(GramAccumulator.chunk, ranges[number].upperBound - first)
        for row in 0..<count {
          fillByFeatures(first + row, left.base + row * stride)
          (right.base + row * stride).update(from: model.features(first + row), count: model.rank)
        }
        group.products.add(left.base, right.base, count: count, isSymmetric: false)
        for row in Swift.stride(from: 0, to: count, by: width) {
          let inUse = min(width, count - row)
          panel.base.update(repeating: 0, count: panel.count)
          for lane in 0..<inUse {
            let source = left.base + (row + lane) * stride
            for column in 0..<model.rank { panel[column &* width &+ lane] = source[column] }
          }
          inducing.factor.solveTransposed(panel.base)
          points.view.pack(inUse) { UnsafePointer(model.coordinates.base) + (first + row + $0) * model.dim }
          try group.byKernel.add(
            rows: inducing.inducing.base, rowCount: inducing.count,
            columns: model.coordinates.base + (first + row) * model.dim, panels: points.view, columnCount: inUse,
            weights: panel.base, stride: width)
        }
      }
      return group
    }
    for group in groups {
      byKernel.add(group.byKernel)
      if group !== groups[0] { groups[0].products.add(group.products) }
    }
    products = groups[0].products
  }
}

private let width = PanelView<Double>.panelRows

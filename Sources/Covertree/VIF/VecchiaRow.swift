import CovertreeBase

/// The points of a model, and behind them new ones. A *member* of a set is a position. The first new point follows the last position.
struct VecchiaPoints {
  /// New points whose features are known.
  final class New {
    let count: Int
    /// Scaled.
    let coordinates: Buffer<Double>
    let features: Buffer<Double>
    let noise: Double

    /// - Parameter coordinates: scaled.
    init(_ model: VIFModel, _ coordinates: Buffer<Double>, noise: Double, context: CallContext) throws(CoverTreeError) {
      (self.coordinates, count, self.noise) = (coordinates, coordinates.count / model.dim, noise)
      features = try Buffer(count: count * model.rank)
      let norms = try Buffer<Double>(count: count)
      try model.inducing?.fill(
        coordinates.base, count: count, features: features.base, squaredNorms: norms.base, context: context)
    }
  }

  let model: VIFModel
  var new: New?

  var count: Int { model.count + (new?.count ?? 0) }

  @inline(__always)
  func coordinates(_ member: Int) -> UnsafePointer<Double> {
    if member < model.count { return UnsafePointer(model.coordinates.base) + member &* model.dim }
    return UnsafePointer(new!.coordinates.base) + (member &- model.count) &* model.dim
  }

  @inline(__always)
  func features(_ member: Int) -> UnsafePointer<Double> {
    if member < model.count { return model.features(member) }
    return UnsafePointer(new!.features.base) + (member &- model.count) &* model.rank
  }

  @inline(__always)
  func noise(_ member: Int) -> Double { member < model.count ? model.noise[member] : new!.noise }
}

/// The regression of one point's residual process on its conditioning set; one thread's scratch.
///
/// With the residual covariances `S` of the set, its noise included, and `c` between the set and the point, the weights are `a = S^-1 c`.
/// They leave `D` of the point's variance.
final class VecchiaRow {
  var points: VecchiaPoints
  private var model: VIFModel { points.model }
  /// For a kernel of the caller.
  private let block: BlockCovariances?
  /// The scaled coordinates of the points of the set, then of the point itself, for a kernel of the library.
  private let rows: Buffer<Double>
  private let panels: Panels<Double>
  /// Products of features, then covariances, row by row.
  private let products: Buffer<Double>
  private let covariances: Buffer<Double>
  private let stride: Int
  /// The Cholesky factor of `S`, column by column.
  private let factor: Buffer<Double>
  private let crossed: Buffer<Double>
  /// Weights of pairs.
  private let pairs: Buffer<Double>
  let weights: Buffer<Double>
  private(set) var count = 0
  /// The variance of the point given its set, with its noise.
  private(set) var conditionalVariance = 0.0

  /// - Parameters:
  ///   - capacity: the size of the largest set.
  ///   - withWeights: whether derivatives of covariances are wanted; see `add`.
  init(_ points: VecchiaPoints, capacity: Int, withWeights: Bool = false) throws(CoverTreeError) {
    self.points = points
    let model = points.model
    block =
      if case .callback(let callback) = model.covariance {
        try BlockCovariances(callback, dim: model.dim, withWeights: withWeights)
      } else { nil }
    let most = capacity + 1
    stride = (most + 15) / 16 * 16
    rows = try Buffer(count: most * model.dim)
    panels = try Panels(rows: most, columns: model.dim)
    products = try Buffer(count: stride * stride)
    covariances = try Buffer(count: stride * stride)
    factor = try Buffer(count: stride * stride, filledWith: 0)
    crossed = try Buffer(count: stride, filledWith: 0)
    pairs = try Buffer(count: stride)
    weights = try Buffer(count: stride, filledWith: 0)
  }

  /// Passes on some members, each of which is then regressed on its set. A kernel of the caller is called once for many of them.
  ///
  /// - Parameter gradient: gets the derivatives of pairs that `add` has weighted.
  func visit(
    _ range: Range<Int>, set: (Int) -> UnsafeBufferPointer<Int32>, gradient: KernelGradient? = nil,
    _ body: (Int) throws(CoverTreeError) -> Void
  ) throws(CoverTreeError) {
    var next = range.lowerBound
    while next < range.upperBound {
      let end = try block?.load(next..<range.upperBound, of: points, set: set) ?? range.upperBound
      for member in next..<end { try body(member) }
      if let gradient { try block?.add(to: gradient) }
      next = end
    }
  }

  /// Regresses a member on a set. Returns the slot in the set from which on `S` is not positive definite; `count` for the point itself.
  func regress(_ own: Int, on set: UnsafeBufferPointer<Int32>) -> Int? {
    count = set.count
    let (points, count) = (points, count)
    multiplyRows(count + 1, columns: model.rank, into: products.base, stride: stride) {
      points.features(member($0, own, set))
    }
    loadCoordinates(own, set)
    fillCovariances(own, set)
    if let failed = factorise(set) { return failed }
    let last = count * stride
    for slot in 0..<count { crossed[slot] = covariances[last + slot] - products[last + slot] }
    weights.base.update(from: crossed.base, count: count)
    solve(weights.base)
    var explained = 0.0
    for slot in 0..<count { explained += weights[slot] * crossed[slot] }
    conditionalVariance = covariances[last + count] - products[last + count] + points.noise(own) - explained
    return conditionalVariance > 0 && conditionalVariance.isFinite ? nil : count
  }

  /// The members of a set, then the point itself.
  @inline(__always)
  private func member(_ slot: Int, _ own: Int, _ set: UnsafeBufferPointer<Int32>) -> Int {
    slot < set.count ? Int(set[slot]) : own
  }

  private func loadCoordinates(_ own: Int, _ set: UnsafeBufferPointer<Int32>) {
    guard block == nil else { return }
    let (points, dim) = (points, model.dim)
    let source = { [self] (slot: Int) in points.coordinates(member(slot, own, set)) }
    panels.view.pack(count + 1, source)
    for slot in 0...count { (rows.base + slot * dim).update(from: source(slot), count: dim) }
  }

  /// The lower triangle.
  private func fillCovariances(_ own: Int, _ set: UnsafeBufferPointer<Int32>) {
    switch model.covariance {
    case .kernel(let kernel):
      for slot in 0...count {
        kernel.fill(rows.base + slot * model.dim, panels.view, count: slot + 1, into: covariances.base + slot * stride)
      }
    case .callback:
      for slot in 0...count {
        let first = member(slot, own, set)
        for other in 0...slot { covariances[slot * stride + other] = block!.value(first, member(other, own, set)) }
      }
    }
  }

  /// Adds derivatives of the covariances of the last regression.
  ///
  /// - Parameter weight: of the pair of a slot with one from 0 to itself.
  func add(
    _ own: Int, _ set: UnsafeBufferPointer<Int32>, to gradient: KernelGradient, weight: (Int, Int) -> Double
  ) throws(CoverTreeError) {
    switch model.covariance {
    case .kernel(let kernel):
      for slot in 0...count {
        for other in 0..<slot { pairs[other] = weight(slot, other) }
        for other in slot..<(slot + 7) / 8 * 8 { pairs[other] = 0 }
        try gradient.addOwn(weight(slot, slot), rows.base + slot * model.dim)
        gradient.add(kernel, rows.base + slot * model.dim, panels.view, count: slot, weights: pairs.base)
      }
    case .callback:
      for slot in 0...count {
        let first = member(slot, own, set)
        for other in 0...slot { block!.add(weight(slot, other), first, member(other, own, set)) }
      }
    }
  }

  /// Right-looking by columns.
  private func factorise(_ set: UnsafeBufferPointer<Int32>) -> Int? {
    for column in 0..<count {
      let target = factor.base + column * stride
      for row in column..<count { target[row] = covariances[row * stride + column] - products[row * stride + column] }
      target[column] += points.noise(Int(set[column]))
      let lanes = target.vectors
      for earlier in 0..<column {
        let source = (factor.base + earlier * stride).vectors
        let share = SIMD8(repeating: -factor[earlier * stride + column])
        for vector in column / 8..<(count &+ 7) / 8 {
          lanes[vector] = Double.multiplyAdd(share, source[vector], lanes[vector])
        }
      }
      guard target[column] > 0, target[column].isFinite else { return column }
      let inverse = 1 / target[column].squareRoot()
      for row in column..<count { target[row] *= inverse }
    }
    return nil
  }

  /// The numbers of a factor of `S` in `save` and `restore`.
  static func factorSize(_ count: Int) -> Int { count * (count + 1) / 2 }

  /// Copies the factor of `S`.
  func save(into target: UnsafeMutablePointer<Double>) {
    var next = target
    for column in 0..<count {
      next.update(from: factor.base + column * (stride + 1), count: count - column)
      next += count - column
    }
  }

  /// Returns to a member's regression of which the factor was copied, without its weights.
  func restore(_ own: Int, on set: UnsafeBufferPointer<Int32>, from source: UnsafePointer<Double>) {
    count = set.count
    loadCoordinates(own, set)
    var next = source
    for column in 0..<count {
      (factor.base + column * (stride + 1)).update(from: next, count: count - column)
      next += count - column
    }
  }

  /// Writes `v - sum over the set of a_j v_j`, for the weights of the last regression.
  func innovate(
    _ own: Int, on set: UnsafeBufferPointer<Int32>, into target: UnsafeMutablePointer<Double>
  ) {
    let vectors = model.rank / 8
    let (target, own) = (target.vectors, points.features(own).vectors)
    for vector in 0..<vectors { target[vector] = own[vector] }
    for (slot, member) in set.enumerated() {
      let (share, other) = (SIMD8(repeating: -weights[slot]), points.features(Int(member)).vectors)
      for vector in 0..<vectors { target[vector] = Double.multiplyAdd(share, other[vector], target[vector]) }
    }
  }

  /// Solves `S x = b` in place.
  func solve(_ x: UnsafeMutablePointer<Double>) {
    for column in 0..<count {
      let source = factor.base + column * stride
      x[column] /= source[column]
      let value = x[column]
      for row in column + 1..<max(count, column + 1) { x[row] -= value * source[row] }
    }
    for column in Swift.stride(from: count - 1, through: 0, by: -1) {
      let source = factor.base + column * stride
      var sum = x[column]
      for row in column + 1..<max(count, column + 1) { sum -= source[row] * x[row] }
      x[column] = sum / source[column]
    }
  }
}

extension VIFModel {
  /// Why a point cannot be regressed on its set.
  ///
  /// - Parameter slot: in the set, or its count for the point.
  func failure(at position: Int, _ slot: Int) -> CoverTreeError {
    let set = Array(graph.set(of: position)) + [Int32(position)]
    return set.withUnsafeBufferPointer { failure(among: $0, slot) }
  }

  /// Why the covariances of some points are not positive definite from a slot on.
  func failure(among points: UnsafeBufferPointer<Int32>, _ slot: Int) -> CoverTreeError {
    let last = Int(points[slot])
    // New points are not named.
    guard last < count else {
      return CoverTreeError(
        .invalidArgument, "noise: expected above 0 for equal points, or for points that are nearly equal, got 0")
    }
    let twin = points[..<slot].map { Int($0) }.first { other in
      other < count && noise[other] + noise[last] == 0
        && (0..<dim).allSatisfy { coordinates[other * dim + $0] == coordinates[last * dim + $0] }
    }
    if let twin {
      let names = [data.name(of: twin), data.name(of: last)].sorted()
      return CoverTreeError(
        .invalidArgument, "noise: expected above 0 for equal points, got 0 for points \(names[0]) and \(names[1])")
    }
    return CoverTreeError(
      .invalidArgument,
      "kernel: the covariances of point \(data.name(of: last)) and its neighbors are not positive definite; a noise "
        + "variance above 0 helps")
  }
}

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

    init(_ model: VIFModel, _ points: PointsView<Double>, noise: Double, context: CallContext) throws(CoverTreeError) {
      (count, self.noise) = (points.count, noise)
      coordinates = try scaledCoordinates(points, .kernel(model.kernel), context)
      features = try Buffer(count: count * model.rank)
      let norms = try Buffer<Double>(count: count)
      try model.inducing?.fill(
        coordinates.base, count: count, features: features.base, squaredNorms: norms.base, context: context)
    }
  }

  let model: VIFModel
  var new: New?

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
  private let points: VecchiaPoints
  private var model: VIFModel { points.model }
  /// The points of the set, then the point itself: features and scaled coordinates.
  private let packed: Panels<Double>
  let rows: Buffer<Double>
  let panels: Panels<Double>
  /// Products of features, then covariances, row by row.
  private let products: Buffer<Double>
  private let covariances: Buffer<Double>
  private let stride: Int
  /// The Cholesky factor of `S`, column by column.
  private let factor: Buffer<Double>
  private let crossed: Buffer<Double>
  let weights: Buffer<Double>
  private(set) var count = 0
  /// The variance of the point given its set, with its noise.
  private(set) var conditionalVariance = 0.0

  /// - Parameter capacity: the size of the largest set.
  init(_ points: VecchiaPoints, capacity: Int) throws(CoverTreeError) {
    self.points = points
    let model = points.model
    let most = capacity + 1
    stride = (most + 15) / 16 * 16
    packed = try Panels(rows: most, columns: model.rank)
    rows = try Buffer(count: most * model.dim)
    panels = try Panels(rows: most, columns: model.dim)
    products = try Buffer(count: stride * stride)
    covariances = try Buffer(count: stride * stride)
    factor = try Buffer(count: stride * stride, filledWith: 0)
    crossed = try Buffer(count: stride, filledWith: 0)
    weights = try Buffer(count: stride, filledWith: 0)
  }

  /// Regresses a point. Returns the slot in the set from which on `S` is not positive definite; `count` for the point itself.
  ///
  /// - Parameters:
  ///   - coordinates: scaled.
  ///   - noise: of the point.
  func regress(
    _ coordinates: UnsafePointer<Double>, _ features: UnsafePointer<Double>, noise: Double,
    on set: UnsafeBufferPointer<Int32>
  ) -> Int? {
    count = set.count
    let (points, model, count, dim) = (points, model, count, model.dim)
    let source = { (slot: Int) in slot < count ? points.coordinates(Int(set[slot])) : coordinates }
    packed.view.pack(count + 1) { $0 < count ? points.features(Int(set[$0])) : features }
    panels.view.pack(count + 1, source)
    for slot in 0...count { (rows.base + slot * dim).update(from: source(slot), count: dim) }
    multiply(packed.view, rows: 0..<count + 1, packed.view, into: products.base, stride: stride) { [count] tile in
      min(tile + tileRows, count + 1)
    }
    for slot in 0...count {
      model.kernel.fill(
        rows.base + slot * dim, panels.view, count: slot + 1, into: covariances.base + slot * stride)
    }
    if let failed = factorise(set) { return failed }
    let last = count * stride
    for slot in 0..<count { crossed[slot] = covariances[last + slot] - products[last + slot] }
    weights.base.update(from: crossed.base, count: count)
    solve(weights.base)
    var explained = 0.0
    for slot in 0..<count { explained += weights[slot] * crossed[slot] }
    conditionalVariance = covariances[last + count] - products[last + count] + noise - explained
    return conditionalVariance > 0 && conditionalVariance.isFinite ? nil : count
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

  /// Writes `v - sum over the set of a_j v_j`, for the weights of the last regression.
  func innovate(
    _ features: UnsafePointer<Double>, on set: UnsafeBufferPointer<Int32>, into target: UnsafeMutablePointer<Double>
  ) {
    let vectors = model.rank / 8
    let (target, own) = (target.vectors, features.vectors)
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
      let rows = [rowOfPosition[twin], rowOfPosition[last]].sorted()
      return CoverTreeError(
        .invalidArgument, "noise: expected above 0 for equal points, got 0 for points \(rows[0]) and \(rows[1])")
    }
    return CoverTreeError(
      .invalidArgument,
      "kernel: the covariances of point \(rowOfPosition[last]) and its neighbors are not positive definite; a noise "
        + "variance above 0 helps")
  }
}

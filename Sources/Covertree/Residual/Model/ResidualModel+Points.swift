import CovertreeBase

/// Models of the same process with other points.
extension ResidualModel {
  /// The same points and more, which get the next indices. Known features are kept.
  func extended(by points: PointsView<Double>, context: CallContext) throws(CoverTreeError) -> ResidualModel {
    try checkNew(points)
    let total = count + points.count
    guard total < Int(Int32.max) else {
      throw CoverTreeError(.invalidArgument, "points: there would be \(total) of them, at most 2^31 - 2 are possible")
    }
    let start = monotonicSeconds()
    let inputs = try inputs.extended(by: points, context: context)
    let points = inputs.view(from: count, dim: dim)
    let new = try scaledCoordinates(points, shared.covariance, context)
    let diagonal = try kernelDiagonal(covariance, new.base, count: points.count, dim: dim, context: context)
    let made = try Self.features(inducingFeatures, new.base, diagonal, shared, context: context)
    let scaled = try Buffer<Double>(count: total * dim)
    for position in 0..<count {
      (scaled.base + Int(order[position]) * dim).update(from: coordinates.base + position * dim, count: dim)
    }
    (scaled.base + count * dim).update(from: new.base, count: new.count)
    let orderStart = monotonicSeconds()
    let arranged = try ArrangedPoints(scaled, count: total, dim: dim, blockSize: blockSize, context: context)
    let orderSeconds = monotonicSeconds() - orderStart
    let allFeatures = try Buffer<Double>(count: total * rank)
    let allVariances = try Buffer<Double>(count: total)
    for position in 0..<total {
      if position % Self.pointsPerPoll == 0 { try context.poll() }
      let index = Int(arranged.order[position])
      let known = index < count
      let row = known ? Int(positionOfIndex[index]) : index - count
      (allFeatures.base + position * rank).update(from: (known ? features : made.rows).base + row * rank, count: rank)
      allVariances[position] = (known ? residualVariance : made.residualVariance)[row]
    }
    let all = PointFeatures(
      rows: allFeatures, residualVariance: allVariances, count: featureCount, inducing: inducingFeatures,
      areGiven: false)
    return try ResidualModel(
      shared, inputs, arranged, all, orderSeconds: orderSeconds, since: start, context: context)
  }

  /// Other points of the same process.
  func over(_ points: PointsView<Double>, context: CallContext) throws(CoverTreeError) -> ResidualModel {
    try checkNew(points)
    let start = monotonicSeconds()
    let inputs = try inputs.over(points, context: context)
    let points = inputs.view(dim: dim)
    let arranged = try ArrangedPoints(
      scaledCoordinates(points, covariance, context), count: points.count, dim: dim, blockSize: blockSize,
      context: context)
    let orderSeconds = monotonicSeconds() - start
    let diagonal = try kernelDiagonal(
      covariance, arranged.coordinates.base, count: points.count, dim: dim, context: context)
    let features = try Self.features(
      inducingFeatures, arranged.coordinates.base, diagonal, shared, context: context)
    return try ResidualModel(
      shared, inputs, arranged, features, orderSeconds: orderSeconds, since: start, context: context)
  }

  /// Some of the points, with their features.
  func alone(_ positions: [Int32], context: CallContext) throws(CoverTreeError) -> ResidualModel {
    let position = { (row: Int) in Int(positions[row]) }
    let features = try features(positions.count, inducing: nil, areGiven: true, context, position)
    let scaled = try copies(positions.count, of: coordinates, columns: dim, context, position)
    return try ResidualModel(
      shared, inputs.alone(positions.map { order[Int($0)] }, dim: dim),
      ArrangedPoints(asTheyAre: scaled, count: positions.count), features, orderSeconds: 0, since: monotonicSeconds(),
      context: context)
  }

  /// The first points by index, in blocks or in the order of their indices.
  func first(_ count: Int, inBlocks: Bool, context: CallContext) throws(CoverTreeError) -> ResidualModel {
    try some(count, inputs, inBlocks: inBlocks, context) { $0 }
  }

  /// Some points by ascending indices, which get the numbers from 0 on. Their features stay.
  func keeping(_ indices: Buffer<Int64>, context: CallContext) throws(CoverTreeError) -> ResidualModel {
    try some(indices.count, inputs.keeping(indices, dim: dim), inBlocks: true, context) { Int(indices[$0]) }
  }

  /// - Parameter index: of the point with a number.
  private func some(
    _ count: Int, _ inputs: ModelInputs, inBlocks: Bool, _ context: CallContext, index: (_ number: Int) -> Int
  ) throws(CoverTreeError) -> ResidualModel {
    let start = monotonicSeconds()
    let scaled = try copies(count, of: coordinates, columns: dim, context) { Int(positionOfIndex[index($0)]) }
    let arranged =
      inBlocks
      ? try ArrangedPoints(scaled, count: count, dim: dim, blockSize: blockSize, context: context)
      : try ArrangedPoints(asTheyAre: scaled, count: count)
    let orderSeconds = monotonicSeconds() - start
    let features = try features(count, inducing: inducingFeatures, areGiven: hasGivenFeatures, context) {
      Int(positionOfIndex[index(Int(arranged.order[$0]))])
    }
    return try ResidualModel(
      shared, inputs, arranged, features, orderSeconds: orderSeconds, since: start, context: context)
  }

  /// The features of the points at some positions.
  private func features(
    _ count: Int, inducing: InducingFeatures?, areGiven: Bool, _ context: CallContext, _ position: (Int) -> Int
  ) throws(CoverTreeError) -> PointFeatures {
    PointFeatures(
      rows: try copies(count, of: features, columns: rank, context, position),
      residualVariance: try copies(count, of: residualVariance, columns: 1, context, position), count: featureCount,
      inducing: inducing, areGiven: areGiven)
  }

  private func checkNew(_ points: PointsView<Double>) throws(CoverTreeError) {
    guard points.dim == dim else { throw CoverTreeError(.shape, "points: expected \(dim) columns, got \(points.dim)") }
    guard !hasGivenFeatures else {
      throw CoverTreeError(.unsupported, "points: the features of new ones are unknown if v_matrix is the caller's")
    }
  }

  /// Copies of the rows at some positions, of `columns` numbers each.
  private func copies(
    _ count: Int, of source: Buffer<Double>, columns: Int, _ context: CallContext, _ position: (Int) -> Int
  ) throws(CoverTreeError) -> Buffer<Double> {
    let target = try Buffer<Double>(count: count * columns)
    for row in 0..<count {
      if row % Self.pointsPerPoll == 0 { try context.poll() }
      (target.base + row * columns).update(from: source.base + position(row) * columns, count: columns)
    }
    return target
  }
}

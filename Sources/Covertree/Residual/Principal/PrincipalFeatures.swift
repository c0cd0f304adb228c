import CovertreeBase

/// The features of a model's points on a few principal directions, and bounds of the remainders.
///
/// With orthonormal directions `R` and `a_i = R v_i`, the rest of `v_i` is orthogonal to them, so by Cauchy and Schwarz
///
///     | v_i . v_j - a_i . a_j |  <=  t_i t_j,    t_i^2 = |v_i|^2 - |a_i|^2.
///
/// If inducing points explain the smooth part of a process in many dimensions, a third of the directions leaves remainders far below
/// `sqrt(p)`. A product of that length excludes nearly all points.
///
/// Memory: `4 rank + 4` bytes a point.
final class PrincipalFeatures: @unchecked Sendable {
  /// With fewer features or points there is little to save.
  private static let leastFeatures = 64
  private static let leastPoints = 1024
  private static let sample = 2048
  /// The number of directions is a multiple of this.
  private static let step = 16
  private static let mostDirections = 192
  /// Directions suffice if the error of rho of a typical pair is below this.
  private static let usefulError = 0.06

  /// The number of directions that are used.
  let rank: Int
  private let directions: PrincipalDirections
  /// `a_j` over the square root of the variance.
  let features: Panels<Float>
  /// `t_j / sqrt(p_j)`, rounded up; whole vectors. Infinite for the points outside of `CentredPoints`.
  let remainders: Buffer<Float>
  /// The median of each block.
  let typicalRemainder: Buffer<Float>

  /// - Returns: nil if no small number of directions is enough, and for the caller's kernel or features.
  init?(_ model: ResidualModel, context: CallContext) throws(CoverTreeError) {
    guard !model.covariance.isCallback, !model.hasGivenFeatures, model.rank >= Self.leastFeatures,
      model.count >= Self.leastPoints
    else { return nil }
    let length = model.rank
    let most = min(Self.mostDirections, length * 3 / 4) / Self.step * Self.step
    let sample = min(Self.sample, model.count)
    let position = { (i: Int) in i * model.count / sample }
    directions = try PrincipalDirections(
      most, of: { UnsafePointer(model.features.base) + position($0) * length }, sample: sample, length: length,
      context: context)
    let coordinates = try Buffer<Double>(count: most)
    guard let rank = Self.rank(sample / 8, most, directions, coordinates, { position(8 * $0) }, model) else {
      return nil
    }
    self.rank = rank
    features = try Panels(rows: model.count, columns: rank)
    remainders = try Buffer(count: (model.count + 15) / 16 * 16, filledWith: 0)
    typicalRemainder = try Buffer(count: model.blockCount)
    try context.forEach(model.blockCount, grain: 1) { [self] (range, slot) throws(CoverTreeError) in
      let row = try Buffer<Double>(count: rank)
      for block in range {
        try context.poll(inSlot: slot)
        for position in model.positions(ofBlock: block) {
          let remainder = fill(model.point(at: position), model, row, into: features.view.row(position))
          remainders[position] = remainder + model.centred.unknown[position]
        }
        let own = remainders.elements[model.positions(ofBlock: block)].sorted()
        typicalRemainder[block] = own[own.count / 2]
      }
    }
  }

  /// The least useful number of directions, by a sample of points.
  private static func rank(
    _ sample: Int, _ most: Int, _ directions: PrincipalDirections, _ row: Buffer<Double>, _ position: (Int) -> Int,
    _ model: ResidualModel
  ) -> Int? {
    var errors = [[Double]](repeating: [], count: most / step)
    for position in (0..<sample).map(position) {
      let vector = UnsafePointer(model.features.base) + position * model.rank
      _ = directions.project(vector, most, into: row.base)
      var left = dot(vector, vector, count: model.rank)
      for number in 0..<errors.count {
        for i in number * step..<(number + 1) * step { left -= row[i] * row[i] }
        errors[number].append(left / model.residualVariance[position])
      }
    }
    return errors.firstIndex { $0.sorted()[sample / 2] <= usefulError }.map { ($0 + 1) * step }
  }

  /// Writes the features of a point on the directions, to a row of panels. Returns its remainder over `sqrt(p)`.
  func fill(
    _ point: ExactQuery, _ model: ResidualModel, _ row: Buffer<Double>, into features: UnsafeMutablePointer<Float>
  ) -> Float {
    let root = model.variance.squareRoot()
    let left = directions.project(point.features, rank, into: row.base)
    for i in 0..<rank { features[i * PanelView<Float>.panelRows] = Float(row[i] / root) }
    let errorScale = ResidualModel.errorScale(point.residualVariance / model.variance)
    return max(0x1p-80, .roundedUp(left.squareRoot() / root * errorScale))
  }

  var byteCount: Int { features.byteCount + remainders.byteCount }
}

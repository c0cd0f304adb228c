import CovertreeBase

/// Bounds of |rho| that need no low rank: they use only that the kernel falls with distance.
///
/// With `w_i = L^-T v_i`, which is `K_UU^-1 k(U, x_i)`, the product of features is `v_i . v_j = w_i . k(U, x_j)`. So for a query `i` and
/// the points `j` of a set with the box `T`, by the triangle inequality,
///
///     |rho_ij|  <=  (kappa(d(x_i, T)) + sum over u of |w_iu| kappa(d(u, T))) sigma_i max sigma_j,   sigma = 1 / sqrt(p)
///
/// where kappa is the kernel as a function of scaled distance. If the domain is many lengthscales wide, all but a few sets near the query
/// are excluded, however many there are.
///
/// **Targets.** The sets are the blocks. A point at or near an inducing point has a tiny residual variance, and alone would spoil the
/// bound of its block. Such *outliers* are targets of their own, after the blocks.
///
/// **Rounding.** The identity holds for the computed numbers up to a slack. The triangular solves for `v_j` and `w_i` leave residuals of
/// at most `gamma N |v_j|` and `gamma N |w_i|` (Higham, "Accuracy and Stability of Numerical Algorithms", 8.1), with `gamma` about
/// `rank 2^-53`, and `N^2` the product of the largest row sum and the largest column sum of `|L|`, so that `N >= || |L| ||`. The product of
/// the features is rounded by at most `gamma |v_i| |v_j|`, and `|v_i| <= N |w_i|` up to such a residual. The slack `4 gamma N |w_i| |v_j|`
/// covers all of them. Kernels are relative to the variance here, so sigma is relative to its root.
final class DecayBounds: @unchecked Sendable {
  /// A point is an outlier if its sigma is this multiple of its block's median.
  static let outlierRatio = 8.0
  /// The most outliers of a block.
  static let mostOutliers = 8
  /// If a sample of pairs of blocks has more near pairs than this share, bounds exclude too few pairs to be worth their cost.
  private static let worthwhileShare = 0.5
  /// Pairs with a larger correlation of the kernel, over the residual variances, are near.
  private static let near = 0.2
  private static let sampledBlocks = 64
  /// Smaller reaches are set to 0: all of them together stay below `neglected`.
  private static let leastReach: Float = 0x1p-124
  /// Added to every bound.
  static let neglected: Float = 0x1p-70
  /// Targets of a panel of `reaches`.
  static let panelRows = PanelView<Float>.panelRows

  let kernel: Kernel
  let inducing: InducingFeatures
  let dim: Int
  let blockCount: Int
  /// Positions of the outliers, the targets from `blockCount` on.
  let outliers: [Int32]
  var targetCount: Int { blockCount + outliers.count }
  /// Of each target: the least and the largest coordinates, `2 dim` numbers.
  let boxes: Buffer<Double>
  /// The largest sigma of each target, and the largest `|v_j| sigma_j`, rounded up. Outliers do not count in their blocks.
  let scales: Buffer<Float>
  let lengths: Buffer<Float>
  /// `kappa(d(u, T)) max sigma_j` of each target `T` and inducing point `u`, rounded up; its rows are targets.
  let reaches: Panels<Float>
  /// `blockCount x rank`: the largest `|v_ju| / sqrt(p_j)` of each feature `u`, rounded up. Outliers count, too.
  let features: Buffer<Float>
  /// The slack of a pair over `|w_i| sigma_i` and the target's length.
  let slack: Double
  /// The share of near pairs of blocks.
  let nearShare: Double

  /// - Returns: nil if the domain is so narrow that bounds exclude few pairs of blocks, and without inducing points and a kernel of the
  ///   library.
  init?(_ model: ResidualModel, context: CallContext) throws(CoverTreeError) {
    guard case .kernel(let kernel) = model.covariance, let inducing = model.inducingFeatures else { return nil }
    let blockBoxes = try model.boxesOfBlocks()
    nearShare = Self.nearShare(kernel, model, blockBoxes)
    guard nearShare <= Self.worthwhileShare else { return nil }
    (self.kernel, self.inducing, dim, blockCount) = (kernel, inducing, model.dim, model.blockCount)
    let outliersOfBlock = (0..<model.blockCount).map { Self.outliers(ofBlock: $0, in: model) }
    let outliers = outliersOfBlock.flatMap(\.self)
    self.outliers = outliers
    let count = model.blockCount + outliers.count
    let padded = (count + Self.panelRows - 1) / Self.panelRows * Self.panelRows
    boxes = try Buffer(count: 2 * model.dim * count)
    boxes.base.update(from: blockBoxes.base, count: blockBoxes.count)
    for (number, position) in outliers.enumerated() {
      model.fillBox(boxes.base + 2 * model.dim * (model.blockCount + number), of: Int(position)..<Int(position) + 1)
    }
    scales = try Buffer(count: padded, filledWith: 0)
    lengths = try Buffer(count: padded, filledWith: 0)
    reaches = try Panels(rows: count, columns: inducing.rank)
    reaches.elements.base.update(repeating: 0, count: reaches.elements.count)
    slack =
      4 * Double(inducing.rank + 8) * 0x1p-53 * inducing.factor.normOfAbsoluteValues / model.variance.squareRoot()
    features = try Buffer(count: model.blockCount * inducing.rank)
    let target = (boxes: boxes, scales: scales, lengths: lengths, reaches: reaches, features: features)
    try context.forEach(count, grain: 8) { (range, _) throws(CoverTreeError) in
      for t in range {
        let box = target.boxes.base + 2 * model.dim * t
        let isBlock = t < model.blockCount
        let single = isBlock ? 0 : Int(outliers[t - model.blockCount])
        let positions = isBlock ? model.positions(ofBlock: t) : single..<single + 1
        if isBlock {
          fillLargestFeatures(positions.count, rank: model.rank, into: target.features.base + t * model.rank) {
            let position = positions.lowerBound + $0
            return (UnsafePointer(model.features.base) + position * model.rank, model.scale[position])
          }
        }
        let bounds = model.largest(of: positions, except: isBlock ? outliersOfBlock[t] : [])
        target.scales[t] = .roundedUp(bounds.scale)
        target.lengths[t] = .roundedUp(bounds.length)
        let row = target.reaches.view.row(t)
        for u in stride(from: 0, to: inducing.count, by: 8) {
          let reach =
            kernel.decay(atSquared: inducing.squaredDistances(from: u, toBox: box)) * (bounds.scale / kernel.variance)
          for lane in 0..<min(8, inducing.count - u) where reach[lane] > Double(Self.leastReach) {
            row[(u + lane) * Self.panelRows] = .roundedUp(reach[lane])
          }
        }
      }
    }
  }

  /// The share of near pairs in a sample of pairs of blocks.
  private static func nearShare(_ kernel: Kernel, _ model: ResidualModel, _ boxes: Buffer<Double>) -> Double {
    let (dim, count) = (model.dim, model.blockCount)
    let sampled = min(sampledBlocks, count)
    var nearPairs = 0
    for q in (0..<sampled).map({ $0 * count / sampled }) {
      for t in 0..<count {
        let squared = squaredGap(ofBoxes: boxes.base + 2 * dim * q, boxes.base + 2 * dim * t, dim: dim)
        let correlation = kernel.decay(atSquared: SIMD8(repeating: squared))[0]
        if correlation * model.typicalScale[q] * model.typicalScale[t] > near { nearPairs += 1 }
      }
    }
    return Double(nearPairs) / Double(sampled * count)
  }

  /// The points of a block with far larger sigma than most, in the order of positions.
  private static func outliers(ofBlock block: Int, in model: ResidualModel) -> [Int32] {
    let least = outlierRatio * model.typicalScale[block]
    let found = model.positions(ofBlock: block).filter { model.scale[$0] > least }
    guard found.count > mostOutliers else { return found.map { Int32($0) } }
    return found.sorted { (model.scale[$0], $1) > (model.scale[$1], $0) }.prefix(mostOutliers).sorted().map {
      Int32($0)
    }
  }

  var byteCount: Int {
    boxes.byteCount + scales.byteCount + lengths.byteCount + reaches.elements.byteCount + features.byteCount
  }
}

extension ResidualModel {
  /// The largest sigma and the largest `|v_j| sigma_j` of points.
  ///
  /// - Parameter except: positions that do not count.
  fileprivate func largest(of positions: Range<Int>, except: [Int32]) -> (scale: Double, length: Double) {
    var (scale, length) = (0.0, 0.0)
    for position in positions where !except.contains(Int32(position)) {
      let row = features.base + position * rank
      scale = max(scale, self.scale[position])
      length = max(length, dot(row, row, count: rank).squareRoot() * self.scale[position])
    }
    return (scale * variance.squareRoot(), length)
  }
}

extension InducingFeatures {
  /// Squared distances of eight inducing points, from number `first` on, to a box.
  fileprivate func squaredDistances(from first: Int, toBox box: UnsafePointer<Double>) -> SIMD8<Double> {
    var squared = SIMD8<Double>(repeating: 0)
    for lane in 0..<min(8, count - first) {
      squared[lane] = squaredGap(ofPoint: inducing.base + (first + lane) * dim, toBox: box, dim: dim)
    }
    return squared
  }
}

extension Kernel {
  /// Upper bounds of the covariances of points at these squared distances or farther, whatever the rounding of either.
  @inline(__always)
  func decay(atSquared squared: SIMD8<Double>) -> SIMD8<Double> {
    value(atSquared: squared * (1 - 0x1p-34)) * (1 + 0x1p-34)
  }
}

/// The squared distance of a point to a box, its least and then its largest coordinates.
func squaredGap(ofPoint point: UnsafePointer<Double>, toBox box: UnsafePointer<Double>, dim: Int) -> Double {
  var sum = 0.0
  for d in 0..<dim {
    let apart = max(0, max(box[d] - point[d], point[d] - box[dim + d]))
    sum += apart * apart
  }
  return sum
}

/// The squared distance between two boxes.
func squaredGap(ofBoxes a: UnsafePointer<Double>, _ b: UnsafePointer<Double>, dim: Int) -> Double {
  var sum = 0.0
  for d in 0..<dim {
    let apart = max(0, max(a[d] - b[dim + d], b[d] - a[dim + d]))
    sum += apart * apart
  }
  return sum
}

import CNumerics
import CovertreeBase

/// Compares a group of queries with a block by the products of their features, in float32 if that is precise enough and otherwise in
/// float64. It serves queries without low-rank blocks, or for which these are too coarse.
final class DirectComparison {
  private let model: ResidualModel
  private let single: FeatureProducts<Float>
  private let double: FeatureProducts<Double>
  private let covariances: Buffer<Double>
  private let estimates: Buffer<Float>
  private let noErrors: Buffer<Float>
  private let eligible: Buffer<Int>
  /// `|v_i| / sqrt(p_i)` of each query.
  private let lengths: Buffer<Double>
  /// The largest relative error of a covariance of the kernel above 2^-100: rounding of the squared distance changes it at most by its
  /// logarithm.
  private let kernelError: Double
  private var group: QueryGroup!

  init(_ model: ResidualModel, groupSize: Int) throws(CoverTreeError) {
    self.model = model
    kernelError = Double(model.dim + 8) * 0x1p-46
    lengths = try Buffer(count: groupSize)
    single = try FeatureProducts(model, groupSize: groupSize)
    double = try FeatureProducts(model, groupSize: groupSize)
    covariances = try Buffer(count: model.blockSize * (model.covariance.isCallback ? groupSize : 1))
    estimates = try Buffer(count: model.blockSize)
    noErrors = try Buffer(count: model.blockSize, filledWith: 0)
    eligible = try Buffer(count: groupSize)
  }

  func begin(_ group: QueryGroup) {
    self.group = group
    for i in 0..<group.count {
      let point = group.queries[i].point
      let squared = dot(point.features, point.features, count: model.rank) / model.variance
      let scale = ResidualModel.errorScale(point.residualVariance / model.variance)
      // The caller's features may be longer than the variance allows, by less than this factor.
      lengths[i] = scale == .infinity ? scale : 1.001 * squared.squareRoot() * scale
    }
    single.begin(group)
    double.begin(group)
  }

  func compare(
    _ block: Int, _ active: QueryMask, _ lists: [CandidateList], _ statistics: inout ResidualStatistics
  ) throws(CoverTreeError) {
    let positions = model.positions(ofBlock: block)
    let indices = UnsafePointer(model.order.base) + positions.lowerBound
    var most = 0
    for i in 0..<group.count {
      eligible[i] = active.contains(i) ? lowerBound(of: group.queries[i].before, in: indices, positions.count) : 0
      most = max(most, eligible[i])
    }
    guard most > 0 else { return }
    if case .callback(let callback) = model.covariance { try fillByCallback(callback, positions, most) }
    // Float32 is used if its error in a correlation is small for most points of the block.
    let typical = single.error * model.typicalScale[block] * model.variance.squareRoot()
    var (precise, others): ([Int], [Int]) = ([], [])
    for i in 0..<group.count where eligible[i] > 0 {
      if typical * lengths[i] < lists[i].largestUsefulError { precise.append(i) } else { others.append(i) }
    }
    try compare(single, precise, positions, indices, lists, &statistics)
    try compare(double, others, positions, indices, lists, &statistics)
  }

  /// Compares some queries, each with the first points of the block that count for it.
  private func compare<S: Scalar>(
    _ products: FeatureProducts<S>, _ rows: [Int], _ positions: Range<Int>, _ indices: UnsafePointer<Int32>,
    _ lists: [CandidateList], _ statistics: inout ResidualStatistics
  ) throws(CoverTreeError) {
    guard !rows.isEmpty else { return }
    products.multiply(rows, positions, eligible)
    let panels = model.coordinatePanels.view.from(row: positions.lowerBound)
    for i in rows {
      let (count, point) = (eligible[i], group.queries[i].point)
      var row = covariances.base
      switch model.covariance {
      case .kernel(let kernel): kernel.fill(point.coordinates, panels, count: count, into: row)
      case .callback: row += i * model.blockSize
      }
      let scale = 1 / point.residualVariance.squareRoot()
      products.estimate(i, row, positions, count: count, scale: scale, into: estimates.base)
      statistics.blocksCompared += 1
      statistics.bounded += count
      try lists[i].scan(
        estimates.base, count: count, indices: indices, firstPosition: positions.lowerBound, own: point.index,
        excludesOwn: group.excludesSelf, among: group.copies,
        within: EstimateErrors(
          fixed: 0x1p-80, factor: max(0x1p-80, Float.roundedUp((products.error + kernelError) * lengths[i]))),
        errors: noErrors.base, scales: model.scaleAbove.base + positions.lowerBound,
        covariances: model.covariance.isCallback ? UnsafePointer(row) : nil)
    }
  }

  /// The caller's kernel fills one block with the covariances of all queries and the first points of the block.
  private func fillByCallback(_ callback: CallbackKernel, _ positions: Range<Int>, _ most: Int) throws(CoverTreeError) {
    let dim = model.dim
    let rows = try Buffer<Double>(count: group.count * dim)
    for i in 0..<group.count { (rows.base + i * dim).update(from: group.queries[i].point.coordinates, count: dim) }
    let block = try Buffer<Double>(count: group.count * most)
    try callback.fill(rows.base, group.count, model.coordinates.base + positions.lowerBound * dim, most, block.base)
    for i in 0..<group.count {
      (covariances.base + i * model.blockSize).update(from: block.base + i * most, count: most)
    }
  }
}

/// Products of the features of a group with those of a block.
private final class FeatureProducts<S: Scalar> {
  private static var fewRows: Int { 4 }

  private let model: ResidualModel
  private let left: Panels<S>
  private let right: Panels<S>
  private let products: Buffer<S>
  private var group: QueryGroup!
  /// The queries on the left side, in their order, and the position of each there.
  private var packed: [Int] = []
  private let slots: Buffer<Int>
  private var areRowsPacked = false
  /// The divisor of features, so that none overflows or vanishes in float32.
  private let unit: Double
  /// The largest error of a product of two vectors, relative to their lengths.
  let error: Double

  init(_ model: ResidualModel, groupSize: Int) throws(CoverTreeError) {
    self.model = model
    left = try Panels(rows: groupSize, columns: model.rank)
    slots = try Buffer(count: groupSize, filledWith: -1)
    right = try Panels(rows: model.blockSize, columns: model.rank)
    products = try Buffer(count: (groupSize + tileRows) * model.blockSize)
    unit = S.self == Float.self ? model.variance.squareRoot() : 1
    error = Double(roundings(inProductOf: model.rank) + 4) * Double(S.ulpOfOne) / 2
  }

  func begin(_ group: QueryGroup) {
    self.group = group
    forget()
  }

  /// - Parameters:
  ///   - rows: the queries.
  ///   - eligible: the number of points of the block that each query is compared with.
  func multiply(_ rows: [Int], _ positions: Range<Int>, _ eligible: Buffer<Int>) {
    if S.self == Double.self && rows.count <= Self.fewRows {
      // Packing the block would cost more than all their products.
      forget()
      for (slot, i) in rows.enumerated() {
        slots[i] = slot
        let row = products.base + slot * model.blockSize
        for j in 0..<eligible[i] {
          let other = model.features.base + (positions.lowerBound + j) * model.rank
          row[j] = S(dot(group.queries[i].point.features, other, count: model.rank))
        }
      }
      packed = rows
      areRowsPacked = false
      return
    }
    pack(rows)
    Covertree.multiply(
      left.view, rows: 0..<packed.count, packed(positions), into: products.base, stride: model.blockSize
    ) { tile in
      var most = 0
      for slot in tile..<min(tile &+ tileRows, packed.count) { most = max(most, eligible[packed[slot]]) }
      return most
    }
  }

  /// Packs queries into the left side, unless they are there among few others.
  private func pack(_ rows: [Int]) {
    if areRowsPacked && packed.count <= 2 * rows.count && rows.allSatisfy({ slots[$0] >= 0 }) { return }
    forget()
    packed = rows
    areRowsPacked = true
    for (slot, i) in rows.enumerated() { slots[i] = slot }
    let group = group!
    left.view.pack(rows.count, times: 1 / unit) { group.queries[rows[$0]].point.features }
  }

  private func forget() {
    for i in packed { slots[i] = -1 }
    packed = []
    areRowsPacked = false
  }

  /// Features of a block; the model keeps those in float32.
  private func packed(_ positions: Range<Int>) -> PanelView<S> {
    if let single = model.singleFeatures.view.from(row: positions.lowerBound) as? PanelView<S> { return single }
    let (features, rank) = (UnsafePointer(model.features.base) + positions.lowerBound * model.rank, model.rank)
    right.view.pack(positions.count) { features + $0 * rank }
    return right.view
  }

  /// rho of one query with the first points of the block that was multiplied last.
  func estimate(
    _ i: Int, _ covariances: UnsafePointer<Double>, _ positions: Range<Int>, count: Int, scale: Double,
    into estimates: UnsafeMutablePointer<Float>
  ) {
    let row = (products.base + slots[i] &* model.blockSize).vectors
    let covariances = covariances.vectors
    let scales = (model.scale.base + positions.lowerBound).vectors
    let target = UnsafeMutableRawPointer(estimates).assumingMemoryBound(to: SIMD8<Float>.self)
    let parts = S.width / 8
    let square = unit * unit
    for vector in 0..<(count &+ 7) / 8 {
      let product = S.widened(row[vector / parts], part: vector % parts)
      target[vector] = cn_f64x8_narrow((covariances[vector] - product * square) * (scales[vector] * scale))
    }
  }
}

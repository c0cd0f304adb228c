import CNumerics

/// Compares a group of queries with a block through skeletons.
///
/// Queries that are points of the model have coordinates in the basis of their own block, and an error `e_i`; projected
/// onto the basis of another block they are `E_i = B^T f_i`. New points are projected exactly, without an error of their
/// own. Either way `E_i . f_j` estimates rho, and `|E_i| + e_i + max e_j` bounds |rho| for a whole block.
final class SkeletonComparison {
  private static let width = PanelView<Float>.panelRows
  /// What a computed length may fall short of the true one.
  static let rounding: Float = 1 + 0x1p-10

  private let model: ResidualModel
  private let skeletons: [BlockSkeleton]
  private let products: BasisProducts?
  private let maker: BasisProductMaker
  private var group: QueryGroup!

  /// Of points of the model: coordinates in the basis of their own block, and errors.
  private let own: Buffer<Float>
  private let errors: Buffer<Float>
  private let bounds: Buffer<UnsafePointer<UInt8>>
  /// Where bounds are not known beforehand: theirs, a byte for each query and block, and all projections.
  private let boundBytes: Buffer<UInt8>
  private let projections: Buffer<Float>
  private let offsets: [Int]
  private let basisProduct: Buffer<Float>
  private let projector: NewPointProjector
  private let eligible: Buffer<Int>
  private let estimates: Buffer<Float>
  private var projectsAll: Bool { group.block == nil || products == nil }

  init(
    _ model: ResidualModel, _ skeletons: [BlockSkeleton], _ products: BasisProducts?, groupSize: Int
  ) throws(CoverTreeError) {
    self.model = model
    self.skeletons = skeletons
    self.products = products
    maker = try BasisProductMaker(skeletons, model)
    let most = skeletons.reduce(0) { max($0, $1.paddedRank) }
    let panels = (groupSize + Self.width - 1) / Self.width
    own = try Buffer(count: panels * Self.width * most)
    errors = try Buffer(count: groupSize)
    bounds = try Buffer(count: groupSize)
    boundBytes = try Buffer(count: groupSize * model.blockCount)
    var offsets = [0]
    for skeleton in skeletons { offsets.append(offsets.last! + skeleton.paddedRank * panels * Self.width) }
    self.offsets = offsets
    projections = try Buffer(count: offsets.last!)
    basisProduct = try Buffer(count: most * most)
    projector = try NewPointProjector(model, mostPivots: most, groupSize: groupSize)
    eligible = try Buffer(count: groupSize)
    estimates = try Buffer(count: (groupSize + tileRows) * model.blockSize)
  }

  func begin(_ group: QueryGroup) throws(CoverTreeError) {
    self.group = group
    if let block = group.block {
      takeCoordinates(from: skeletons[block], places: model.places(ofBlock: block))
    } else {
      errors.base.update(repeating: 0, count: group.count)
      projector.begin(group)
    }
    guard projectsAll else {
      for i in 0..<group.count { bounds[i] = products!.bounds(ofPlace: Int(group.places[i])) }
      return
    }
    for i in 0..<group.count { bounds[i] = UnsafePointer(boundBytes.base) + i * model.blockCount }
    for block in 0..<model.blockCount { try projectAll(onto: block) }
  }

  /// Coordinates of the group in its block's basis, gathered into panels of its own.
  private func takeCoordinates(from skeleton: BlockSkeleton, places: Range<Int>) {
    let (rank, width) = (skeleton.paddedRank, Self.width)
    for i in 0..<group.count {
      let j = Int(group.places[i]) - places.lowerBound
      let source = skeleton.coordinates.view.row(j)
      let target = own.base + (i / width * rank * width + i % width)
      for k in 0..<rank { target[k &* width] = source[k &* width] }
      errors[i] = skeleton.errors[j]
    }
  }

  /// Projects the group onto one block's basis, and bounds what it can have to do with the block.
  private func projectAll(onto block: Int) throws(CoverTreeError) {
    let target = projections.base + offsets[block]
    if let own = group.block {
      if own == block {
        target.update(from: self.own.base, count: offsets[block + 1] - offsets[block])
      } else {
        let (first, second) = (skeletons[min(own, block)], skeletons[max(own, block)])
        try maker.make(first, second, into: basisProduct.base)
        let product = BasisProduct(UnsafePointer(basisProduct.base), first, second, forward: own < block)
        project(by: product, skeletons[own].paddedRank, into: target) { _ in true }
      }
    } else {
      try projector.project(onto: skeletons[block], into: target)
    }
    let rank = skeletons[block].paddedRank
    for first in stride(from: 0, to: group.count, by: Self.width) {
      lengths(target + first * rank, rank: rank, count: group.count - first) { lane, length in
        let bound = block == group.block ? 1 : length + errors[first + lane] + skeletons[block].largestError
        boundBytes[(first + lane) * model.blockCount + block] = byteAbove(bound)
      }
    }
  }

  /// Projects those panels of the group that are asked for.
  private func project(
    by product: BasisProduct, _ ownRank: Int, into target: UnsafeMutablePointer<Float>, where wanted: (Int) -> Bool
  ) {
    for first in stride(from: 0, to: group.count, by: Self.width) where wanted(first) {
      product.project(UnsafePointer(own.base) + first * ownRank, into: target + first * product.rank)
    }
  }

  /// How much the group may have to do with a block: the sum of its bounds.
  func promise(_ block: Int) -> UInt32 {
    if block == group.block { return UInt32.max }
    var sum: UInt32 = 0
    for i in 0..<group.count { sum &+= UInt32(bounds[i][block]) }
    return sum
  }

  /// The queries that a block can matter to.
  func open(_ block: Int, _ lists: [CandidateList], except left: Wanted) -> Wanted {
    var open = Wanted()
    for i in 0..<group.count where canReach(bounds[i][block], lists[i].threshold) && !left.contains(i) {
      open.insert(i)
    }
    return open
  }

  /// The queries whose thresholds are so low that most points of many blocks would pass for candidates.
  func hardQueries(_ lists: [CandidateList], mostCoarseBlocks: Int) -> Wanted {
    var hard = Wanted()
    for i in 0..<group.count {
      let threshold = lists[i].threshold
      var coarse = 0
      for block in 0..<skeletons.count
      where canReach(bounds[i][block], threshold) && threshold <= errors[i] + skeletons[block].typicalError {
        coarse &+= 1
      }
      if coarse > mostCoarseBlocks { hard.insert(i) }
    }
    return hard
  }

  func compare(
    _ block: Int, _ wanted: Wanted, _ lists: [CandidateList], _ statistics: inout ResidualStatistics
  ) throws(CoverTreeError) {
    let skeleton = skeletons[block]
    let places = model.places(ofBlock: block)
    let labels = UnsafePointer(model.order.base) + places.lowerBound
    for i in 0..<group.count {
      eligible[i] = wanted.contains(i) ? prefix(of: labels, places.count, below: group.before[i]) : 0
    }
    estimate(projected(onto: block, wanted), skeleton)
    let isOwn = block == group.block
    for i in 0..<group.count where eligible[i] > 0 {
      statistics.blocksEstimated += 1
      statistics.bounded += eligible[i]
      let scale = 1 / group.residualVariance[i].squareRoot()
      try lists[i].scan(
        estimates.base + i * model.blockSize, count: eligible[i], labels: labels, firstPlace: places.lowerBound,
        own: group.indices[i], excludesOwn: group.excludesSelf,
        within: EstimateErrors(
          fixed: isOwn ? skeleton.rounding : skeleton.rounding + errors[i] * Self.rounding,
          // In one basis what is left of the two is multiplied.
          share: isOwn ? errors[i] : Self.rounding,
          factor: Float.roundedUp(0x1p-44 * model.variance.squareRoot() * scale)),
        errors: skeleton.errors.base, scales: model.scaleAbove.base + places.lowerBound)
    }
  }

  /// Panels of the group in a block's basis; those of queries that are not wanted may be anything.
  private func projected(onto block: Int, _ wanted: Wanted) -> UnsafePointer<Float> {
    if projectsAll { return UnsafePointer(projections.base) + offsets[block] }
    if block == group.block { return UnsafePointer(own.base) }
    project(by: products![group.block!, block], skeletons[group.block!].paddedRank, into: projections.base) { first in
      wanted.contains(anyOf: first, Self.width)
    }
    return UnsafePointer(projections.base)
  }

  private func estimate(_ projected: UnsafePointer<Float>, _ skeleton: BlockSkeleton) {
    let (rank, width) = (skeleton.paddedRank, Self.width)
    for row in stride(from: 0, to: group.count, by: tileRows) {
      var most = 0
      for i in row..<min(row &+ tileRows, group.count) { most = max(most, eligible[i]) }
      let left = projected + (row / width &* rank &* width &+ row % width)
      for column in stride(from: 0, to: most, by: width) {
        let right = UnsafeRawPointer(skeleton.coordinates.view.row(column)).assumingMemoryBound(to: SIMD16<Float>.self)
        let place = row &* model.blockSize &+ column
        multiplyTile(
          left, columnStride: width, right, depth: rank, into: estimates.base + place, stride: model.blockSize)
      }
    }
  }
}

/// Projects new points onto the bases of blocks: `E = L_T^-1 rho(P_T, q)`.
private final class NewPointProjector {
  private let model: ResidualModel
  private let features: Panels<Double>
  private let coordinates: Panels<Double>
  private let rows: Buffer<Double>
  private let scales: Buffer<Double>
  private let products: Buffer<Double>
  private let covariances: Buffer<Double>
  private let panel: Buffer<Double>
  private let stride: Int
  private var group: QueryGroup!

  init(_ model: ResidualModel, mostPivots: Int, groupSize: Int) throws(CoverTreeError) {
    self.model = model
    stride = (groupSize + 31) / 32 * 32
    features = try Panels(rows: groupSize, columns: model.rank)
    coordinates = try Panels(rows: groupSize, columns: model.dim)
    rows = try Buffer(count: groupSize * model.dim)
    scales = try Buffer(count: stride, filledWith: 0)
    products = try Buffer(count: (mostPivots + tileRows) * stride)
    covariances = try Buffer(count: mostPivots * stride)
    panel = try Buffer(count: mostPivots * PanelView<Double>.panelRows)
  }

  func begin(_ group: QueryGroup) {
    self.group = group
    let dim = model.dim
    features.view.pack(group.count) { group.features[$0] }
    coordinates.view.pack(group.count) { group.coordinates[$0] }
    scales.base.update(repeating: 0, count: stride)
    for i in 0..<group.count {
      (rows.base + i * dim).update(from: group.coordinates[i], count: dim)
      scales[i] = 1 / group.residualVariance[i].squareRoot()
    }
  }

  func project(onto skeleton: BlockSkeleton, into target: UnsafeMutablePointer<Float>) throws(CoverTreeError) {
    let (count, rank) = (group.count, skeleton.paddedRank)
    multiply(
      skeleton.pivotFeatures.view, rows: 0..<skeleton.rank, features.view, into: products.base, stride: stride
    ) { _ in count }
    try model.covariance.fill(
      rows: skeleton.pivotRows.base, rowCount: skeleton.rank, columns: rows.base, panels: coordinates.view,
      columnCount: count, into: covariances.base, stride: stride)
    let (narrow, wide) = (PanelView<Double>.panelRows, PanelView<Float>.panelRows)
    for first in Swift.stride(from: 0, to: count, by: narrow) {
      panel.base.update(repeating: 0, count: rank * narrow)
      for t in 0..<skeleton.rank {
        let row = t * stride + first
        for lane in 0..<narrow {
          panel[t * narrow + lane] =
            (covariances[row + lane] - products[row + lane]) * (skeleton.pivotScales[t] * scales[first + lane])
        }
      }
      skeleton.factor.solve(panel.base)
      let to = target + (first / wide * rank * wide + first % wide)
      for t in 0..<rank {
        for lane in 0..<narrow { to[t * wide + lane] = Float(panel[t * narrow + lane]) }
      }
    }
  }
}

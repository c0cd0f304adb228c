import CNumerics
import CovertreeBase

/// Compares a group of queries with a block through low-rank blocks.
///
/// Queries that are points of the model have coordinates `f_i` in the basis of their own block, and an error `e_i`. Projected onto the
/// basis of another block they are `E_i = B^T f_i`. So are many new points, in the basis of the block that represents them. Few new points
/// are projected onto all bases exactly, without an error of their own. In all cases `E_i . f_j` estimates rho, and `|E_i| + e_i + max e_j`
/// bounds |rho| for a whole block.
///
/// Regions come first: if one can matter it is *entered*, which computes the bounds of its blocks.
final class LowRankComparison {
  private static let width = PanelView<Float>.panelRows
  /// The largest ratio of a true length to a computed one.
  static let rounding: Float = 1 + 0x1p-10
  /// The cost of an element of the product of two bases, as a multiple of the product of two points' features.
  private static let costOfProduct = 3

  private let model: ResidualModel
  private let lowRankBlocks: LowRankBlocks
  private let regions: LowRankBlocks.Regions
  private let maker: BasisProductMaker
  private let projector: Projector
  private var group: QueryGroup!

  /// For points of the model: coordinates in the basis of their own block, and errors.
  private let own: Buffer<Float>
  private let errors: Buffer<Float>
  /// Bounds with blocks of entered regions, and with regions if these are not known beforehand: by block or region, then by query.
  private let blockBounds: Buffer<UInt8>
  private let regionBounds: Buffer<UInt8>
  private let groupSize: Int
  /// The group in the bases of blocks: of all blocks if these are the regions, otherwise of the blocks of one region.
  private let projections: Buffer<Float>
  private let offsets: [Int]
  private let basisProduct: Buffer<Float>
  private let eligible: Buffer<Int>
  private let estimates: Buffer<Float>
  private let squaredLengths: Buffer<Double>

  private var isFlat: Bool { lowRankBlocks.blocksPerRegion == 1 }

  init(
    _ model: ResidualModel, _ lowRankBlocks: LowRankBlocks, _ regions: LowRankBlocks.Regions, groupSize: Int
  ) throws(CoverTreeError) {
    self.model = model
    self.lowRankBlocks = lowRankBlocks
    self.regions = regions
    projector = try Projector(model, most: groupSize)
    let most = lowRankBlocks.blocks.reduce(0) { max($0, $1.paddedRank) }
    maker = try BasisProductMaker(model, lowRankBlocks.blocks.map(\.basis))
    let mostOfRegions = regions.lowRankBlocks.reduce(0) { max($0, $1.paddedRank) }
    let points = (groupSize + Self.width - 1) / Self.width * Self.width
    own = try Buffer(count: points * most)
    errors = try Buffer(count: points, filledWith: 0)
    regionBounds = try Buffer(count: groupSize * regions.lowRankBlocks.count)
    blockBounds = try Buffer(count: groupSize * model.blockCount)
    self.groupSize = groupSize
    var offsets: [Int] = []
    var next = 0
    var end = mostOfRegions
    for (block, lowRankBlock) in lowRankBlocks.blocks.enumerated() {
      if lowRankBlocks.blocksPerRegion > 1 && block % lowRankBlocks.blocksPerRegion == 0 { next = 0 }
      offsets.append(next * points)
      next += lowRankBlock.paddedRank
      end = max(end, next)
    }
    self.offsets = offsets
    projections = try Buffer(count: end * points)
    basisProduct = try Buffer(count: most * most)
    eligible = try Buffer(count: groupSize)
    estimates = try Buffer(count: (groupSize + tileRows) * model.blockSize)
    squaredLengths = try Buffer(count: groupSize)
  }

  func begin(_ group: QueryGroup) throws(CoverTreeError) {
    self.group = group
    if let block = group.block {
      return group.areNew ? try project(ontoHost: block) : loadCoordinates(from: lowRankBlocks.blocks[block])
    }
    errors.base.update(repeating: 0, count: group.count)
    projector.load(group.count) { group.queries[$0].point }
    for (region, lowRankBlock) in regions.lowRankBlocks.enumerated() {
      if group.leavesOut(blocks(ofRegion: region)) {
        (regionBounds.base + region * groupSize).update(repeating: 0, count: group.count)
        continue
      }
      let target = projections.base + (isFlat ? offsets[region] : 0)
      try projector.project(onto: lowRankBlock.basis, into: target)
      bound(target, by: lowRankBlock, into: regionBounds.base + region * groupSize)
    }
  }

  /// Copies coordinates of the group in its block's basis to panels of its own.
  private func loadCoordinates(from lowRankBlock: LowRankBlock) {
    let (rank, width) = (lowRankBlock.paddedRank, Self.width)
    for i in 0..<group.count {
      let j = Int(group.queries[i].position) - lowRankBlock.positions.lowerBound
      let source = lowRankBlock.coordinates.view.row(j)
      let target = own.base + (i / width * rank * width + i % width)
      for k in 0..<rank { target[k &* width] = source[k &* width] }
      errors[i] = lowRankBlock.residualNorms[j]
    }
  }

  /// Represents new points in the basis of a block, and bounds them with all blocks, which are the regions.
  private func project(ontoHost host: Int) throws(CoverTreeError) {
    let basis = lowRankBlocks.blocks[host].basis
    projector.load(group.count) { group.queries[$0].point }
    try projector.project(onto: basis, into: own.base, squaredLengths: squaredLengths.base)
    for i in 0..<group.count {
      let left = model.squaredLength(of: group.queries[i].point) - squaredLengths[i] + projector.lost(i, basis)
      errors[i] = Float.roundedUp(max(0, left).squareRoot()) + lowRankBlocks.blocks[host].rounding
    }
    for block in 0..<regionCount {
      let bounds = regionBounds.base + block * groupSize
      if block == host || group.leavesOut(block..<block + 1) {
        bounds.update(repeating: block == host ? 255 : 0, count: group.count)
        continue
      }
      let target = projections.base + offsets[block]
      project(by: regions.products[host, block], basis.paddedRank, into: target) { _ in true }
      bound(target, by: lowRankBlocks.blocks[block], into: bounds)
    }
  }

  /// Bounds with a low-rank block onto whose basis the group is projected.
  private func bound(
    _ projected: UnsafePointer<Float>, by lowRankBlock: LowRankBlock, into bounds: UnsafeMutablePointer<UInt8>
  ) {
    let rank = lowRankBlock.paddedRank
    for first in Swift.stride(from: 0, to: group.count, by: Self.width) {
      boundBytes(
        projected + first * rank, rank: rank, errors: errors.base + first, plus: lowRankBlock.maxResidualNorm,
        count: group.count - first, into: bounds + first)
    }
  }

  /// The bound of a query with a region.
  @inline(__always)
  private func bound(_ i: Int, region: Int) -> UInt8 {
    group.areNew
      ? regionBounds[region &* groupSize &+ i] : regions.products.bounds(with: region)[Int(group.queries[i].position)]
  }

  /// The bound of a query with a block of an entered region.
  @inline(__always)
  private func bound(_ i: Int, block: Int) -> UInt8 {
    isFlat ? bound(i, region: block) : blockBounds[block &* groupSize &+ i]
  }

  var regionCount: Int { regions.lowRankBlocks.count }
  func blocks(ofRegion region: Int) -> Range<Int> { lowRankBlocks.blocks(ofRegion: region) }

  /// The expected relevance of a region to the group: the sum of its bounds.
  func promise(ofRegion region: Int) -> UInt32 {
    if let own = group.block, own / lowRankBlocks.blocksPerRegion == region { return UInt32.max }
    return sum { bound($0, region: region) }
  }

  /// Computes the bounds of a region's blocks. Returns the blocks by descending promise.
  func enter(_ region: Int) throws(CoverTreeError) -> [Int] {
    if isFlat { return [region] }
    let blocks = lowRankBlocks.blocks(ofRegion: region)
    for block in blocks {
      let target = projections.base + offsets[block]
      try project(onto: block, into: target)
      let bounds = blockBounds.base + block * groupSize
      if block == group.block {
        bounds.update(repeating: 255, count: group.count)
      } else {
        bound(target, by: lowRankBlocks.blocks[block], into: bounds)
      }
    }
    return blocks.map { (promise: promise(ofBlock: $0), block: $0) }.sorted { $0.promise > $1.promise }.map(\.block)
  }

  private func promise(ofBlock block: Int) -> UInt32 {
    block == group.block ? UInt32.max : sum { bound($0, block: block) }
  }

  @inline(__always)
  private func sum(_ bound: (Int) -> UInt8) -> UInt32 {
    var sum: UInt32 = 0
    for i in 0..<group.count { sum &+= UInt32(bound(i)) }
    return sum
  }

  /// Projects the group onto one block's basis.
  private func project(onto block: Int, into target: UnsafeMutablePointer<Float>) throws(CoverTreeError) {
    guard let own = group.block else {
      return try projector.project(onto: lowRankBlocks.blocks[block].basis, into: target)
    }
    if own == block {
      let points = (group.count + Self.width - 1) / Self.width * Self.width
      target.update(from: self.own.base, count: points * lowRankBlocks.blocks[own].paddedRank)
    } else {
      let (first, second) = (lowRankBlocks.blocks[min(own, block)], lowRankBlocks.blocks[max(own, block)])
      try maker.make(first.basis, second.basis, into: basisProduct.base)
      let product = BasisProduct(UnsafePointer(basisProduct.base), first.basis, second.basis, forward: own < block)
      project(by: product, lowRankBlocks.blocks[own].paddedRank, into: target) { _ in true }
    }
  }

  /// Projects the panels of the group with active queries.
  private func project(
    by product: BasisProduct, _ ownRank: Int, into target: UnsafeMutablePointer<Float>, where wanted: (Int) -> Bool
  ) {
    for first in stride(from: 0, to: group.count, by: Self.width) where wanted(first) {
      product.project(
        UnsafePointer(own.base) + first * ownRank, count: group.count - first, into: target + first * product.rank)
    }
  }

  /// The queries that a region can matter to.
  func activeQueries(inRegion region: Int, _ lists: [CandidateList], except done: QueryMask) -> QueryMask {
    activeQueries(lists, except: done) { bound($0, region: region) }
  }

  /// Whether entering a region pays: the product of two bases serves the whole group, and may cost more than comparing a few queries by
  /// their features.
  func isWorthEntering(_ region: Int, for count: Int) -> Bool {
    guard !isFlat, group.block != nil else { return true }
    let blocks = lowRankBlocks.blocks(ofRegion: region)
    let products =
      blocks.reduce(0) { $0 + lowRankBlocks.blocks[$1].paddedRank } * lowRankBlocks.blocks[group.block!].paddedRank
    return count * blocks.count * model.blockSize > Self.costOfProduct * products
  }

  /// The queries that a block can matter to.
  func activeQueries(inBlock block: Int, _ lists: [CandidateList], except done: QueryMask) -> QueryMask {
    activeQueries(lists, except: done) { bound($0, block: block) }
  }

  @inline(__always)
  private func activeQueries(_ lists: [CandidateList], except done: QueryMask, _ bound: (Int) -> UInt8) -> QueryMask {
    var active = QueryMask()
    for i in 0..<group.count where canReach(bound(i), lists[i].threshold) && !done.contains(i) { active.insert(i) }
    return active
  }

  /// Whether most points of a block would be candidates of a query: its threshold is below the errors.
  func isCoarse(_ block: Int, for i: Int, threshold: Float) -> Bool {
    threshold <= errors[i] + lowRankBlocks.blocks[block].medianResidualNorm
  }

  func compare(
    _ block: Int, _ active: QueryMask, _ lists: [CandidateList], _ statistics: inout ResidualStatistics
  ) throws(CoverTreeError) {
    let lowRankBlock = lowRankBlocks.blocks[block]
    let positions = lowRankBlock.positions
    let indices = UnsafePointer(model.order.base) + positions.lowerBound
    for i in 0..<group.count {
      eligible[i] = active.contains(i) ? lowerBound(of: group.queries[i].before, in: indices, positions.count) : 0
    }
    estimate(projected(onto: block, active), lowRankBlock)
    let isOwn = block == group.block
    for i in 0..<group.count where eligible[i] > 0 {
      statistics.blocksEstimated += 1
      statistics.bounded += eligible[i]
      let scale = 1 / group.queries[i].point.residualVariance.squareRoot()
      try lists[i].scan(
        estimates.base + i * model.blockSize,
        group.eligible(i, positions, eligible[i], model, errors: lowRankBlock.residualNorms.base),
        within: EstimateErrors(
          fixed: isOwn ? lowRankBlock.rounding : lowRankBlock.rounding + errors[i] * Self.rounding,
          // In one basis the residuals of the two are multiplied.
          share: isOwn ? errors[i] : Self.rounding,
          factor: Float.roundedUp(0x1p-44 * model.variance.squareRoot() * scale)))
    }
  }

  /// Panels of the group in a block's basis; the rows of inactive queries may be anything.
  private func projected(onto block: Int, _ active: QueryMask) -> UnsafePointer<Float> {
    guard isFlat, let own = group.block else { return UnsafePointer(projections.base) + offsets[block] }
    if block == own { return UnsafePointer(self.own.base) }
    if group.areNew { return UnsafePointer(projections.base) + offsets[block] }
    project(by: regions.products[own, block], lowRankBlocks.blocks[own].paddedRank, into: projections.base) { first in
      active.contains(anyOf: first, Self.width)
    }
    return UnsafePointer(projections.base)
  }

  private func estimate(_ projected: UnsafePointer<Float>, _ lowRankBlock: LowRankBlock) {
    let (rank, width) = (lowRankBlock.paddedRank, Self.width)
    for row in stride(from: 0, to: group.count, by: tileRows) {
      var most = 0
      for i in row..<min(row &+ tileRows, group.count) { most = max(most, eligible[i]) }
      let left = projected + (row / width &* rank &* width &+ row % width)
      for column in stride(from: 0, to: most, by: width) {
        let right = lowRankBlock.coordinates.view.row(column).vectors
        let position = row &* model.blockSize &+ column
        multiplyTile(
          left, columnStride: width, right, depth: rank, into: estimates.base + position, stride: model.blockSize)
      }
    }
  }
}

import CovertreeBase

/// The bounds of queries with the points of an outline: the largest of the bounds of all points that count.
extension PointOutline {
  /// What queries need.
  public struct Wanted {
    /// Only points of lower indices count for a query; nil if all do.
    let before: UnsafeBufferPointer<Int64>?
    /// The smallest |rho| of use to a query: a smaller bound may be anything up to it. nil for 0.
    let least: UnsafeBufferPointer<Double>?

    public init(before: UnsafeBufferPointer<Int64>?, least: UnsafeBufferPointer<Double>?) {
      (self.before, self.least) = (before, least)
    }
  }

  /// - Parameters:
  ///   - own: the outline of the queries, which are its points.
  ///   - bounds: by position of `own`.
  public func bounds(
    ofPointsOf own: PointOutline, _ wanted: Wanted, context: CallContext, bounds: UnsafeMutablePointer<Double>
  ) throws(CoverTreeError) {
    guard own.model.rank == model.rank, own.model.dim == model.dim else {
      throw CoverTreeError(.shape, "from: expected the outline of points of the same process")
    }
    let bases = (own.blocks + blocks).compactMap { $0?.basis }
    let most = bases.reduce(tileRows) { max($0, $1.paddedRank) }
    let makers = PerThread<BasisProductMaker>(count: context.threads)
    let products = PerThread<Buffer<Float>>(count: context.threads)
    let scans = PerThread<OutlineScan>(count: context.threads)
    try context.forEach(own.blocks.count, grain: 1) { (range, slot) throws(CoverTreeError) in
      let maker = try makers.value(slot) { () throws(CoverTreeError) in try BasisProductMaker(model, bases) }
      let product = try products.value(slot) { () throws(CoverTreeError) in try Buffer(count: most * most) }
      let scan = try scans.value(slot) { () throws(CoverTreeError) in try OutlineScan(self, mostRank: most) }
      for block in range {
        let positions = own.positions(ofBlock: block)
        let from = own.blocks[block]
        scan.begin(positions, wanted) { from?.residualNorms[$0] ?? own.largestErrors[block] }
        for target in blocks.indices where scan.needs(target) {
          try context.poll(inSlot: slot)
          guard let from, let to = blocks[target] else {
            scan.addErrors(target)
            continue
          }
          try maker.make(from.basis, to.basis, into: product.base)
          let projection = BasisProduct(UnsafePointer(product.base), from.basis, to.basis, forward: true)
          scan.compare(target, to) { (panel, into) in
            projection.project(from.coordinates.view.row(panel), count: positions.count - panel, into: into)
          }
        }
        scan.finish(into: bounds + positions.lowerBound)
      }
    }
  }

  /// - Parameter bounds: by row of the queries.
  public func bounds(
    of points: PointsView<Double>, features: PointsView<Double>, residualVariance: UnsafePointer<Double>,
    _ wanted: Wanted, context: CallContext, bounds: UnsafeMutablePointer<Double>
  ) throws(CoverTreeError) {
    let new = try model.newPoints(points, features, residualVariance, context: context)
    let size = 256
    let most = blocks.reduce(tileRows) { max($0, $1?.paddedRank ?? 0) }
    let projectors = PerThread<Projector>(count: context.threads)
    let panels = PerThread<Buffer<Float>>(count: context.threads)
    let scans = PerThread<OutlineScan>(count: context.threads)
    try context.forEach((points.count + size - 1) / size, grain: 1) { (range, slot) throws(CoverTreeError) in
      let projector = try projectors.value(slot) { () throws(CoverTreeError) in try Projector(model, most: size) }
      let coordinates = try panels.value(slot) { () throws(CoverTreeError) in try Buffer(count: size * most) }
      let scan = try scans.value(slot) { () throws(CoverTreeError) in try OutlineScan(self, mostRank: most) }
      for chunk in range {
        let rows = chunk * size..<min(points.count, (chunk + 1) * size)
        projector.load(rows.count) { new.point(rows.lowerBound + $0, in: model) }
        scan.begin(rows, wanted) { (i) in
          // The rounding of an inner product with a vector of length 1 is half of that.
          let lost = blocks.reduce(0.0) { (largest, block) in
            max(largest, block.map { projector.lost(i, $0.basis) } ?? 0)
          }
          return .roundedUp(lost) + Self.rounding
        }
        for target in blocks.indices where scan.needs(target) {
          try context.poll(inSlot: slot)
          guard let to = blocks[target] else {
            scan.addErrors(target)
            continue
          }
          try projector.project(onto: to.basis, into: coordinates.base)
          scan.compare(target, to) { (panel, into) in
            into.update(
              from: coordinates.base + panel * to.paddedRank, count: PanelView<Float>.panelRows * to.paddedRank)
          }
        }
        scan.finish(into: bounds + rows.lowerBound)
      }
    }
  }
}

/// One thread's bounds of up to a block of queries with the blocks of an outline, one after the other.
private final class OutlineScan {
  private typealias Lanes = SIMD16<Float>
  private static let width = PanelView<Float>.panelRows

  private let outline: PointOutline
  private let projected: Buffer<Float>
  private let tile: Buffer<Float>
  private var count = 0
  private var firstRow = 0
  private var wanted = PointOutline.Wanted(before: nil, least: nil)
  /// Of each query: its error, the least |rho| of use, the largest bound so far without its error, and the points of the block that count.
  private var errors: Buffer<Float>
  private var least: Buffer<Float>
  private var largest: Buffer<Float>
  private var prefixes: Buffer<Float>

  init(_ outline: PointOutline, mostRank: Int) throws(CoverTreeError) {
    self.outline = outline
    projected = try Buffer(count: mostRank * Self.width)
    tile = try Buffer(count: tileRows * Self.width)
    let most = max(1024, outline.model.blockSize)
    (errors, least) = (try Buffer(count: most), try Buffer(count: most))
    (largest, prefixes) = (try Buffer(count: most), try Buffer(count: most))
  }

  func begin(_ rows: Range<Int>, _ wanted: PointOutline.Wanted, error: (Int) -> Float) {
    (count, firstRow, self.wanted) = (rows.count, rows.lowerBound, wanted)
    let padded = (count + Self.width - 1) / Self.width * Self.width
    for i in 0..<padded {
      errors[i] = i < count ? error(i) : 0
      largest[i] = 0
      // Rounded down: it is only what decides that a block can be left out.
      least[i] = i < count ? Float(wanted.least?[firstRow + i] ?? 0) * (1 - 0x1p-20) - 0x1p-30 : .infinity
    }
  }

  /// Counts the points of a block that count for each query. Returns whether there are any for a query that has a use for them.
  func needs(_ block: Int) -> Bool {
    let positions = outline.positions(ofBlock: block)
    let padded = (count + Self.width - 1) / Self.width * Self.width
    var isNeeded = false
    for i in 0..<padded {
      prefixes[i] = i < count && least[i] <= 1 ? Float(pointsThatCount(positions, i)) : 0
      isNeeded = isNeeded || prefixes[i] > 0
    }
    return isNeeded
  }

  private func pointsThatCount(_ positions: Range<Int>, _ i: Int) -> Int {
    guard let upper = wanted.before?[firstRow + i] else { return positions.count }
    var (low, high) = (positions.lowerBound, positions.upperBound)
    while low < high {
      let middle = (low + high) / 2
      if outline.indices[middle] < upper { low = middle + 1 } else { high = middle }
    }
    return low - positions.lowerBound
  }

  /// A block without a basis.
  func addErrors(_ block: Int) {
    let error = outline.blocks[block] == nil ? outline.largestErrors[block] : 1
    for i in 0..<count where prefixes[i] > 0 { largest[i] = max(largest[i], error) }
  }

  /// - Parameter project: writes the coordinates of a panel of queries in the basis of the block.
  @inline(__always)
  func compare(
    _ block: Int, _ points: LowRankBlock, _ project: (_ panel: Int, _ into: UnsafeMutablePointer<Float>) -> Void
  ) {
    for first in stride(from: 0, to: count, by: Self.width) {
      let most = (first..<first + Self.width).reduce(Float(0)) { max($0, prefixes[$1]) }
      if most == 0 { continue }
      project(first, projected.base)
      if canMatter(first, points) { comparePoints(first, points, Int(most)) }
    }
  }

  /// Bounds the queries of a panel by the lengths of their projections, and keeps these bounds if no query has a use for a better one.
  private func canMatter(_ first: Int, _ points: LowRankBlock) -> Bool {
    let vectors = UnsafePointer(projected.base).vectors
    var (low, high) = (Lanes(repeating: 0), Lanes(repeating: 0))
    for a in 0..<points.paddedRank {
      low = Float.multiplyAdd(vectors[2 &* a], vectors[2 &* a], low)
      high = Float.multiplyAdd(vectors[2 &* a &+ 1], vectors[2 &* a &+ 1], high)
    }
    low = low.squareRoot() * LowRankComparison.rounding + points.maxResidualNorm
    high = high.squareRoot() * LowRankComparison.rounding + points.maxResidualNorm
    let bounds = { (lane: Int) in lane < 16 ? low[lane] : high[lane - 16] }
    for lane in 0..<Self.width where prefixes[first + lane] > 0 {
      let i = first + lane
      if bounds(lane) > largest[i] && bounds(lane) + errors[i] >= least[i] { return true }
    }
    for lane in 0..<Self.width where prefixes[first + lane] > 0 {
      largest[first + lane] = max(largest[first + lane], bounds(lane))
    }
    return false
  }

  private func comparePoints(_ first: Int, _ points: LowRankBlock, _ most: Int) {
    let (queries, tile) = (UnsafePointer(projected.base).vectors, tile.base)
    let counts = UnsafePointer(prefixes.base + first).vectors
    let best = (largest.base + first).vectors
    var (low, high) = (best[0], best[1])
    for j in stride(from: 0, to: most, by: tileRows) {
      multiplyTile(
        UnsafePointer(points.coordinates.view.row(j)), rowStride: 1, columnStride: Self.width, queries,
        depth: points.paddedRank, into: tile, stride: Self.width)
      let products = UnsafePointer(tile).vectors
      for r in 0..<min(tileRows, most - j) {
        let error = Lanes(repeating: points.residualNorms[j &+ r])
        let place = Lanes(repeating: Float(j &+ r))
        let (a, b) = (products[2 &* r], products[2 &* r &+ 1])
        let (below, above) = (Float.maximum(a, -a) + error, Float.maximum(b, -b) + error)
        low = low.replacing(with: Float.maximum(low, below), where: place .< counts[0])
        high = high.replacing(with: Float.maximum(high, above), where: place .< counts[1])
      }
    }
    best[0] = low
    best[1] = high
  }

  func finish(into bounds: UnsafeMutablePointer<Double>) {
    for i in 0..<count {
      // Without any point there is nothing to bound.
      let bound = largest[i] > 0 ? (largest[i] + errors[i]) * (1 + 0x1p-20) : 0
      bounds[i] = bound < 1 ? Double(bound) : 1
    }
  }
}

import CovertreeBase

/// The product of the bases of two low-rank blocks: `B`, the inner products of their vectors. Row-major, with padded ranks; it can be used from either side.
struct BasisProduct {
  fileprivate let base: UnsafePointer<Float>
  fileprivate let rowStride: Int
  fileprivate let columnStride: Int
  /// The ranks of the basis from which, and of the one to which points are projected.
  fileprivate let depth: Int
  let rank: Int

  /// Projects a panel of `count` points from one basis to the other: `result[t, :] = sum over s of B[s, t] points[s, :]`. Results of later
  /// lanes may be anything.
  @inline(__always)
  func project(_ points: UnsafePointer<Float>, count: Int, into result: UnsafeMutablePointer<Float>) {
    let vectors = points.vectors
    let width = PanelView<Float>.panelRows
    for row in stride(from: 0, to: rank, by: tileRows) {
      if count <= width / 2 {
        multiplyNarrowTile(
          base + row &* rowStride, rowStride: rowStride, columnStride: columnStride, vectors, depth: depth,
          into: result + row &* width, stride: width)
      } else if columnStride == 1 {
        multiplyTile(
          base + row &* rowStride, rowStride: rowStride, columnStride: 1, vectors, depth: depth,
          into: result + row &* width, stride: width)
      } else {
        multiplyTile(
          base + row, rowStride: 1, columnStride: columnStride, vectors, depth: depth, into: result + row &* width,
          stride: width)
      }
    }
  }
}

/// For every point the largest |rho| with any point of each low-rank block, rounded up to one byte; and the products of all pairs of
/// bases, if these are kept.
///
/// Memory: one byte per point and low-rank block, and `2 R^2` for ranks of `R` in all if products are kept.
final class BasisProducts: @unchecked Sendable {
  /// If the product of two bases has at most this norm, bounds of single points are not worth their cost.
  private static let smallNorm: Float = 0.05

  private let lowRankBlocks: [LowRankBlock]
  let elements: Buffer<Float>
  /// Of the pair `Q < T` at `Q * lowRankBlocks + T`.
  let offsets: Buffer<Int64>
  /// By low-rank block, then by position.
  let bounds: Buffer<UInt8>
  private let pointCount: Int

  init(_ lowRankBlocks: [LowRankBlock], of model: ResidualModel, keeps: Bool, context: CallContext)
    throws(CoverTreeError)
  {
    self.lowRankBlocks = lowRankBlocks
    let count = lowRankBlocks.count
    let total: Int
    (offsets, total) = try Self.offsets(keeps ? lowRankBlocks : [])
    elements = try Buffer(count: total)
    pointCount = model.count
    bounds = try Buffer(count: model.count * count, filledWith: 255)
    let bases = lowRankBlocks.map(\.basis)
    let most = bases.reduce(0) { max($0, $1.paddedRank) }
    let makers = PerThread<BasisProductMaker>(count: context.threads)
    try context.forEach(count, grain: 1) { (range, slot) throws(CoverTreeError) in
      let maker = try makers.value(slot) { () throws(CoverTreeError) in try BasisProductMaker(model, bases) }
      let scratch = try Buffer<Float>(count: keeps ? 0 : most * most)
      for q in range {
        for t in q + 1..<max(q + 1, count) {
          try context.poll(inSlot: slot)
          let product = keeps ? elements.base + Int(offsets[q * count + t]) : scratch.base
          try maker.make(lowRankBlocks[q].basis, lowRankBlocks[t].basis, into: product)
          bound(q, t, UnsafePointer(product), maker)
        }
      }
    }
  }

  /// Products and bounds from a file. Returns nil if their number is wrong.
  init?(
    _ lowRankBlocks: [LowRankBlock], pointCount: Int, elements: Buffer<Float>?, bounds: Buffer<UInt8>
  ) throws(CoverTreeError) {
    self.lowRankBlocks = lowRankBlocks
    self.pointCount = pointCount
    self.bounds = bounds
    let total: Int
    (offsets, total) = try Self.offsets(elements == nil ? [] : lowRankBlocks)
    if let elements { self.elements = elements } else { self.elements = try Buffer(count: 0) }
    guard self.elements.count == total, bounds.count == lowRankBlocks.count * pointCount else { return nil }
  }

  /// The start of each pair's product, and the number of all elements.
  private static func offsets(_ lowRankBlocks: [LowRankBlock]) throws(CoverTreeError) -> (Buffer<Int64>, total: Int) {
    let count = lowRankBlocks.count
    let offsets = try Buffer<Int64>(count: count * count, filledWith: 0)
    var total = 0
    for q in 0..<count {
      for t in q + 1..<max(q + 1, count) {
        offsets[q * count + t] = Int64(total)
        total += lowRankBlocks[q].paddedRank * lowRankBlocks[t].paddedRank
      }
    }
    return (offsets, total)
  }

  /// Bounds the points of each of two low-rank blocks with the other one.
  private func bound(_ q: Int, _ t: Int, _ product: UnsafePointer<Float>, _ maker: BasisProductMaker) {
    let (first, second) = (lowRankBlocks[q], lowRankBlocks[t])
    let norm = norm(product, count: first.paddedRank * second.paddedRank)
    for (own, other, column) in [(first, second, t), (second, first, q)] {
      let bounds = bounds.base + (column * pointCount + own.positions.lowerBound)
      if norm <= Self.smallNorm {
        boundBytes(own.residualNorms.base, plus: norm + other.maxResidualNorm, count: own.positions.count, into: bounds)
      } else {
        maker.bound(
          own, by: BasisProduct(product, first.basis, second.basis, forward: column == t), plus: other.maxResidualNorm,
          into: bounds)
      }
    }
  }

  var byteCount: Int { elements.byteCount + offsets.byteCount + bounds.byteCount }

  /// The product from the basis of one low-rank block to the basis of another.
  subscript(from: Int, to: Int) -> BasisProduct {
    let (q, t) = (min(from, to), max(from, to))
    return BasisProduct(
      elements.base + Int(offsets[q * lowRankBlocks.count + t]), lowRankBlocks[q].basis, lowRankBlocks[t].basis,
      forward: from < to)
  }

  /// Bounds of all points with one low-rank block, by position, in units of 1/255.
  func bounds(with lowRankBlock: Int) -> UnsafePointer<UInt8> { UnsafePointer(bounds.base) + lowRankBlock * pointCount }
}

/// The Frobenius norm of whole vectors of numbers, rounded up: no vector is made longer by more.
private func norm(_ elements: UnsafePointer<Float>, count: Int) -> Float {
  let vectors = elements.vectors
  var sum = SIMD16<Float>(repeating: 0)
  for i in 0..<count / 16 { sum = Float.multiplyAdd(vectors[i], vectors[i], sum) }
  return sum.sum().squareRoot() * LowRankComparison.rounding
}

extension BasisProduct {
  /// - Parameter base: `B` of two bases, seen from the first one or from the second.
  init(_ base: UnsafePointer<Float>, _ first: Basis, _ second: Basis, forward: Bool) {
    let stride = second.paddedRank
    self.init(
      base: base, rowStride: forward ? 1 : stride, columnStride: forward ? stride : 1,
      depth: forward ? first.paddedRank : stride, rank: forward ? stride : first.paddedRank)
  }
}

/// One thread's scratch for products of bases.
final class BasisProductMaker {
  private let model: ResidualModel
  private let products: Buffer<Double>
  private let covariances: Buffer<Double>
  private let panels: Buffer<Double>
  private let sums: Buffer<Double>
  private let projected: Buffer<Float>
  private let stride: Int
  private let pivotStride: Int

  init(_ model: ResidualModel, _ bases: [Basis]) throws(CoverTreeError) {
    self.model = model
    let width = PanelView<Double>.panelRows
    stride = bases.reduce(0) { max($0, $1.paddedRank) } / width * width + width
    pivotStride = bases.reduce(0) { max($0, $1.pivots.count) } / width * width + width
    products = try Buffer(count: stride * stride)
    covariances = try Buffer(count: pivotStride * pivotStride)
    panels = try Buffer(count: pivotStride * stride)
    sums = try Buffer(count: tileRows * width)
    projected = try Buffer(count: stride * PanelView<Float>.panelRows)
  }

  /// Writes `A_Q K A_T^T - W_Q W_T^T`, with `K` the covariances between the pivots.
  func make(_ q: Basis, _ t: Basis, into result: UnsafeMutablePointer<Float>) throws(CoverTreeError) {
    let width = PanelView<Double>.panelRows
    let (pivots, others) = (q.pivots.count, t.pivots.count)
    try model.covariance.fill(
      rows: q.rows.base, rowCount: pivots, columns: t.rows.base, panels: t.panels.view, columnCount: others,
      into: covariances.base, stride: pivotStride)
    multiply(q.features.view, rows: 0..<q.paddedRank, t.features.view, into: products.base, stride: stride) { _ in
      t.paddedRank
    }
    for column in Swift.stride(from: 0, to: t.paddedRank, by: width) {
      // One panel of K A_T^T.
      let right = UnsafePointer(t.combinations.view.row(column).vectors)
      for row in Swift.stride(from: 0, to: pivots, by: tileRows) {
        multiplyTile(
          UnsafePointer(covariances.base + row * pivotStride), rowStride: pivotStride, columnStride: 1, right,
          depth: others, into: panels.base + row * width, stride: width)
      }
      for row in Swift.stride(from: 0, to: q.paddedRank, by: tileRows) {
        multiplyTile(
          UnsafePointer(q.combinations.view.row(row)), columnStride: width, UnsafePointer(panels.base.vectors),
          depth: pivots, into: sums.base, stride: width)
        for r in 0..<tileRows {
          let product = (products.base + ((row &+ r) &* stride &+ column)).vectors
          let sum = (sums.base + r &* width).vectors
          let target = result + ((row &+ r) &* t.paddedRank &+ column)
          Float.store(sum[0] - product[0], target)
          if column &+ 8 < t.paddedRank { Float.store(sum[1] - product[1], target + 8) }
        }
      }
    }
  }

  /// Bounds |rho| of the points of one low-rank block with any point whose residual norm in the other basis is at most `error`.
  func bound(
    _ own: LowRankBlock, by product: BasisProduct, plus error: Float, into bounds: UnsafeMutablePointer<UInt8>
  ) {
    for first in Swift.stride(from: 0, to: own.positions.count, by: PanelView<Float>.panelRows) {
      product.project(own.coordinates.view.row(first), count: own.positions.count - first, into: projected.base)
      boundBytes(
        projected.base, rank: product.rank, errors: own.residualNorms.base + first, plus: error,
        count: own.positions.count - first, into: bounds + first)
    }
  }
}

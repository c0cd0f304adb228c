import CovertreeBase

/// The product of the bases of two low-rank blocks: `B = L_Q^-1 C L_T^-T`, with `C` the residual correlations between their pivots.
/// Row-major, with padded ranks; it can be used from either side.
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
/// Memory: one byte per point and low-rank block, and `2 P^2` for `P` pivots in all if products are kept.
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
    let most = lowRankBlocks.reduce(0) { max($0, $1.paddedRank) }
    let makers = PerThread<BasisProductMaker>(count: context.threads)
    try context.forEach(count, grain: 1) { (range, slot) throws(CoverTreeError) in
      let maker = try makers.value(slot) { () throws(CoverTreeError) in try BasisProductMaker(model, most: most) }
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
  private let projected: Buffer<Float>
  private let stride: Int

  /// - Parameter most: the largest padded rank of a basis.
  init(_ model: ResidualModel, most: Int) throws(CoverTreeError) {
    self.model = model
    stride = (most + 15) / 16 * 16
    products = try Buffer(count: stride * stride)
    covariances = try Buffer(count: stride)
    panels = try Buffer(count: stride * stride)
    projected = try Buffer(count: stride * PanelView<Float>.panelRows)
  }

  /// Writes `L_Q^-1 C L_T^-T`.
  func make(_ q: Basis, _ t: Basis, into result: UnsafeMutablePointer<Float>) throws(CoverTreeError) {
    let width = PanelView<Double>.panelRows
    try fillCorrelations(q, t)
    for first in Swift.stride(from: 0, to: t.paddedRank, by: width) {
      q.factor.solve(panels.base + first * q.paddedRank)
    }
    // Multiplies by the rows of L_T^-1, one panel of columns at a time.
    for column in Swift.stride(from: 0, to: t.paddedRank, by: width) {
      let right = t.inverse.view.row(column)
      for first in Swift.stride(from: 0, to: t.paddedRank, by: width) {
        let vectors = (right + first * width).vectors
        for row in Swift.stride(from: 0, to: q.paddedRank, by: tileRows) {
          multiplyTile(
            panels.base + (first * q.paddedRank + row * width), rowStride: width, columnStride: 1, vectors,
            depth: min(width, t.paddedRank - first), into: products.base + (row * stride + column), stride: stride,
            adding: first > 0)
        }
      }
    }
    for row in 0..<q.paddedRank {
      let from = (products.base + row * stride).vectors
      for vector in 0..<t.paddedRank / 8 {
        Float.store(from[vector], result + (row * t.paddedRank + vector * 8))
      }
    }
  }

  /// C, by panels of its columns, with zeros after the last pivot.
  private func fillCorrelations(_ q: Basis, _ t: Basis) throws(CoverTreeError) {
    let width = PanelView<Double>.panelRows
    let columns = (t.rank + width - 1) / width * width
    let (left, right) = (q.points, t.points)
    multiply(left.features.view, rows: 0..<q.rank, right.features.view, into: products.base, stride: stride) { _ in
      columns
    }
    let scales = right.scales.base.vectors
    for i in 0..<q.paddedRank {
      if i < q.rank {
        try model.covariance.fill(
          rows: left.rows.base + i * model.dim, rowCount: 1, columns: right.rows.base, panels: right.panels.view,
          columnCount: columns, into: covariances.base, stride: stride)
      }
      let covariance = covariances.base.vectors
      let product = (products.base + i * stride).vectors
      let scale = i < q.rank ? left.scales[i] : 0
      for half in 0..<columns / 8 {
        let panel = half / 2 * q.paddedRank * width
        let correlation = i < q.rank ? (covariance[half] - product[half]) * (scales[half] * scale) : .zero
        Double.store(correlation, panels.base + (panel + i * width + half % 2 * 8))
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

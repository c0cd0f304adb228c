/// How the bases of two skeletons lie to each other: `B = L_Q^-1 C L_T^-T`, with `C` the residual correlations between
/// their pivots. Row-major, padded ranks; seen from either side.
struct BasisProduct {
  fileprivate let base: UnsafePointer<Float>
  fileprivate let rowStride: Int
  fileprivate let columnStride: Int
  /// Coordinates in the basis from which, and in the one to which points are projected.
  fileprivate let depth: Int
  let rank: Int

  /// Projects a panel of points given in one basis onto the other one: `result[t, :] = sum over s of B[s, t] points[s, :]`.
  @inline(__always)
  func project(
    _ points: UnsafePointer<Float>, into result: UnsafeMutablePointer<Float>
  ) {
    let vectors = UnsafeRawPointer(points).assumingMemoryBound(to: SIMD16<Float>.self)
    let width = PanelView<Float>.panelRows
    for row in stride(from: 0, to: rank, by: tileRows) {
      if columnStride == 1 {
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

/// The lengths of the first `count` of the 32 vectors of a panel of `rank` coordinates, none below the true one.
@inline(__always)
func lengths(
  _ panel: UnsafePointer<Float>, rank: Int, count: Int, _ body: (_ lane: Int, _ length: Float) -> Void
) {
  let vectors = UnsafeRawPointer(panel).assumingMemoryBound(to: SIMD16<Float>.self)
  var (low, high) = (SIMD16<Float>(repeating: 0), SIMD16<Float>(repeating: 0))
  for k in 0..<rank {
    low = Float.multiplyAdd(vectors[2 &* k], vectors[2 &* k], low)
    high = Float.multiplyAdd(vectors[2 &* k &+ 1], vectors[2 &* k &+ 1], high)
  }
  for lane in 0..<min(PanelView<Float>.panelRows, count) {
    body(lane, (lane < 16 ? low[lane] : high[lane - 16]).squareRoot() * SkeletonComparison.rounding)
  }
}

/// The products of all pairs of bases, and for every point the largest |rho| that it can have with any point of each
/// block, rounded up to one byte.
///
/// Memory: `2 P^2` bytes for `P` pivots in all, and one for each point and block.
final class BasisProducts: @unchecked Sendable {
  private let blocks: [BlockSkeleton]
  private let elements: Buffer<Float>
  /// Of the pair `Q < T` at `Q * blocks + T`.
  private let offsets: Buffer<Int>
  private let bounds: Buffer<UInt8>

  static func byteCount(_ blocks: [BlockSkeleton], points: Int) -> Int {
    let ranks = blocks.reduce(0) { $0 + $1.paddedRank }
    return 2 * ranks * ranks + points * blocks.count
  }

  init(_ blocks: [BlockSkeleton], _ model: ResidualModel, context: CallContext) throws(CoverTreeError) {
    self.blocks = blocks
    let count = blocks.count
    offsets = try Buffer(count: count * count, filledWith: 0)
    var total = 0
    for q in 0..<count {
      for t in q + 1..<max(q + 1, count) {
        offsets[q * count + t] = total
        total += blocks[q].paddedRank * blocks[t].paddedRank
      }
    }
    elements = try Buffer(count: total)
    bounds = try Buffer(count: model.count * count, filledWith: 255)
    try context.forEach(count, grain: 1) { (range, _) throws(CoverTreeError) in
      let maker = try BasisProductMaker(blocks, model)
      for q in range {
        for t in q + 1..<max(q + 1, count) {
          try maker.make(blocks[q], blocks[t], into: elements.base + offsets[q * count + t])
          maker.bound(model.places(ofBlock: q), by: self[q, t], blocks[q], blocks[t], bounds.base + t, stride: count)
          maker.bound(model.places(ofBlock: t), by: self[t, q], blocks[t], blocks[q], bounds.base + q, stride: count)
        }
      }
    }
  }

  var byteCount: Int { elements.byteCount + offsets.byteCount + bounds.byteCount }

  /// From the basis of one block to that of another.
  subscript(from: Int, to: Int) -> BasisProduct {
    let (q, t) = (min(from, to), max(from, to))
    return BasisProduct(
      elements.base + offsets[q * blocks.count + t], blocks[q], blocks[t], forward: from < to)
  }

  /// Bounds of one point, a byte for each block, in units of 1/255.
  func bounds(ofPlace place: Int) -> UnsafePointer<UInt8> { UnsafePointer(bounds.base) + place * blocks.count }
}

extension BasisProduct {
  /// - Parameter base: `B` of two skeletons, seen from the first one, or from the second.
  init(_ base: UnsafePointer<Float>, _ first: BlockSkeleton, _ second: BlockSkeleton, forward: Bool) {
    let stride = second.paddedRank
    self.init(
      base: base, rowStride: forward ? 1 : stride, columnStride: forward ? stride : 1,
      depth: forward ? first.paddedRank : stride, rank: forward ? stride : first.paddedRank)
  }
}

/// What one thread needs to make one product of bases after the other.
final class BasisProductMaker {
  private let model: ResidualModel
  private let products: Buffer<Double>
  private let covariances: Buffer<Double>
  private let panels: Buffer<Double>
  private let projected: Buffer<Float>
  private let stride: Int

  init(_ blocks: [BlockSkeleton], _ model: ResidualModel) throws(CoverTreeError) {
    self.model = model
    let most = blocks.reduce(0) { max($0, $1.paddedRank) }
    stride = (most + 15) / 16 * 16
    products = try Buffer(count: stride * stride)
    covariances = try Buffer(count: stride)
    panels = try Buffer(count: stride * stride)
    projected = try Buffer(count: stride * PanelView<Float>.panelRows)
  }

  /// Writes `L_Q^-1 C L_T^-T`.
  func make(
    _ q: BlockSkeleton, _ t: BlockSkeleton, into result: UnsafeMutablePointer<Float>
  ) throws(CoverTreeError) {
    let width = PanelView<Double>.panelRows
    try fillCorrelations(q, t)
    for first in Swift.stride(from: 0, to: t.paddedRank, by: width) {
      q.factor.solve(panels.base + first * q.paddedRank)
    }
    // Products with the rows of L_T^-1, panel by panel of columns, over what has become of C.
    for column in Swift.stride(from: 0, to: t.paddedRank, by: width) {
      let right = t.inverse.view.row(column)
      for first in Swift.stride(from: 0, to: t.paddedRank, by: width) {
        let vectors = UnsafeRawPointer(right + first * width).assumingMemoryBound(to: SIMD8<Double>.self)
        for row in Swift.stride(from: 0, to: q.paddedRank, by: tileRows) {
          multiplyTile(
            panels.base + (first * q.paddedRank + row * width), rowStride: width, columnStride: 1, vectors,
            depth: min(width, t.paddedRank - first), into: products.base + (row * stride + column), stride: stride,
            adding: first > 0)
        }
      }
    }
    for row in 0..<q.paddedRank {
      let from = UnsafeRawPointer(products.base + row * stride).assumingMemoryBound(to: SIMD8<Double>.self)
      for vector in 0..<t.paddedRank / 8 {
        Float.store(from[vector], result + (row * t.paddedRank + vector * 8))
      }
    }
  }

  /// C, by panels of its columns; zeros beyond the pivots.
  private func fillCorrelations(_ q: BlockSkeleton, _ t: BlockSkeleton) throws(CoverTreeError) {
    let width = PanelView<Double>.panelRows
    let columns = (t.rank + width - 1) / width * width
    multiply(q.pivotFeatures.view, rows: 0..<q.rank, t.pivotFeatures.view, into: products.base, stride: stride) { _ in
      columns
    }
    let scales = UnsafeRawPointer(t.pivotScales.base).assumingMemoryBound(to: SIMD8<Double>.self)
    for i in 0..<q.paddedRank {
      if i < q.rank {
        try model.covariance.fill(
          rows: q.pivotRows.base + i * model.dim, rowCount: 1, columns: t.pivotRows.base, panels: t.pivotPanels.view,
          columnCount: columns, into: covariances.base, stride: stride)
      }
      let covariance = UnsafeRawPointer(covariances.base).assumingMemoryBound(to: SIMD8<Double>.self)
      let product = UnsafeRawPointer(products.base + i * stride).assumingMemoryBound(to: SIMD8<Double>.self)
      let scale = i < q.rank ? q.pivotScales[i] : 0
      for half in 0..<columns / 8 {
        let panel = half / 2 * q.paddedRank * width
        let correlation = i < q.rank ? (covariance[half] - product[half]) * (scales[half] * scale) : .zero
        Double.store(correlation, panels.base + (panel + i * width + half % 2 * 8))
      }
    }
  }

  /// Bounds |rho| of the points of one block with any point of another, each in a byte rounded up.
  func bound(
    _ places: Range<Int>, by product: BasisProduct, _ own: BlockSkeleton, _ other: BlockSkeleton,
    _ bounds: UnsafeMutablePointer<UInt8>, stride: Int
  ) {
    let width = PanelView<Float>.panelRows
    for first in Swift.stride(from: 0, to: places.count, by: width) {
      product.project(own.coordinates.view.row(first), into: projected.base)
      lengths(projected.base, rank: product.rank, count: places.count - first) { lane, length in
        let bound = length + own.errors[first + lane] + other.largestError
        bounds[(places.lowerBound + first + lane) * stride] = byteAbove(bound)
      }
    }
  }
}

/// A bound of |rho| in units of 1/255, rounded up.
@inline(__always)
func byteAbove(_ bound: Float) -> UInt8 { bound < 1 ? UInt8((bound * 255).rounded(.up)) : 255 }

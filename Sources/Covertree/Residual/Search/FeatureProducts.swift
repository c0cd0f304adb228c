import CNumerics
import CovertreeBase

/// Products of a group's features with a block's.
final class FeatureProducts<S: Scalar> {
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
  ///   - columns: the features that are multiplied; nil for all.
  func multiply(_ rows: [Int], _ positions: Range<Int>, _ eligible: Buffer<Int>, _ columns: [Int]?) {
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
    let (left, right) = columns.map { packed(rows, positions, $0) } ?? (packed(rows), packed(positions))
    Covertree.multiply(left, rows: 0..<packed.count, right, into: products.base, stride: model.blockSize) { tile in
      var most = 0
      for slot in tile..<min(tile &+ tileRows, packed.count) { most = max(most, eligible[packed[slot]]) }
      return most
    }
  }

  /// Some features of queries and of a block.
  private func packed(_ rows: [Int], _ positions: Range<Int>, _ columns: [Int]) -> (PanelView<S>, PanelView<S>) {
    forget()
    packed = rows
    for (slot, i) in rows.enumerated() { slots[i] = slot }
    let left = PanelView(base: left.view.base, columns: columns.count)
    let right = PanelView(base: right.view.base, columns: columns.count)
    let width = PanelView<S>.panelRows
    for (slot, i) in rows.enumerated() {
      let (source, target) = (group.queries[i].point.features, left.row(slot))
      for (column, u) in columns.enumerated() { target[column &* width] = S(source[u] / unit) }
    }
    if let single = model.singleFeatures.view.from(row: positions.lowerBound) as? PanelView<S> {
      for first in Swift.stride(from: 0, to: positions.count, by: width) {
        let (source, target) = (single.row(first).vectors, right.row(first).vectors)
        for (column, u) in columns.enumerated() {
          target[2 &* column] = source[2 &* u]
          target[2 &* column &+ 1] = source[2 &* u &+ 1]
        }
      }
    } else {
      for j in 0..<positions.count {
        let (source, target) = (model.features.base + (positions.lowerBound + j) * model.rank, right.row(j))
        for (column, u) in columns.enumerated() { target[column &* width] = S(source[u]) }
      }
    }
    return (left, right)
  }

  /// Packs queries into the left side, unless they are there among few others.
  private func packed(_ rows: [Int]) -> PanelView<S> {
    if areRowsPacked && packed.count <= 2 * rows.count && rows.allSatisfy({ slots[$0] >= 0 }) { return left.view }
    forget()
    packed = rows
    areRowsPacked = true
    for (slot, i) in rows.enumerated() { slots[i] = slot }
    let group = group!
    left.view.pack(rows.count, times: 1 / unit) { group.queries[rows[$0]].point.features }
    return left.view
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

  /// The products of one query with the block that was multiplied last.
  func row(_ i: Int) -> UnsafePointer<S> { UnsafePointer(products.base) + slots[i] * model.blockSize }

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

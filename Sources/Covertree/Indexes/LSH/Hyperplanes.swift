import CovertreeBase
import Glibc

/// Random hyperplanes through the middle of the data, and the signed distances of vectors from them.
///
/// Normals are Gaussian, orthogonal to each other in groups: codes of equally many bits are then better (Ji et al., Super-bit
/// locality-sensitive hashing, 2012). For inner products a coordinate is added that gives all vectors one length, and is 0 for queries
/// (Neyshabur and Srebro, 2015).
final class Hyperplanes: @unchecked Sendable {
  static var batch: Int { 64 }
  private static var largestGroup: Int { 128 }
  private static var sample: Int { 4096 }

  let count: Int
  let dim: Int
  private let products: Bool
  private let normals: Panels<Float>
  /// By normal: its coordinate for the added one.
  private let added: Buffer<Float>
  /// By plane: the position of the middle of the data along its normal.
  let middles: Buffer<Float>
  /// The squared length of vectors with the added coordinate.
  let longest: Buffer<Double>
  private(set) var isPlaced = false

  /// The offset between the projections of consecutive vectors.
  var stride: Int { (count + PanelView<Float>.panelRows - 1) / PanelView<Float>.panelRows * PanelView<Float>.panelRows }

  init(count: Int, dim: Int, products: Bool, seed: UInt64) throws(CoverTreeError) {
    (self.count, self.dim, self.products) = (count, dim, products)
    let width = dim + 1
    var generator = SeededGenerator(seed: splitMix64(seed ^ 0x5A17))
    let rows = try Buffer<Double>(count: count * width)
    for plane in 0..<count {
      let row = rows.base + plane * width
      for d in 0..<width { row[d] = Self.gaussian(&generator) }
      if !products { row[dim] = 0 }
      Self.orthogonalize(row, width, to: plane % min(width - 1, Self.largestGroup))
    }
    normals = try Panels(rows: count, columns: dim)
    normals.view.pack(count) { UnsafePointer(rows.base + $0 * width) }
    added = try Buffer(count: count)
    for plane in 0..<count { added[plane] = Float(rows[plane * width + dim]) }
    middles = try Buffer(count: count, filledWith: 0)
    longest = try Buffer(count: 1, filledWith: 0)
  }

  private static func gaussian(_ generator: inout SeededGenerator) -> Double {
    let (a, b) = (Double(generator.next() >> 11) + 1, Double(generator.next() >> 11))
    return (-2 * log(a * 0x1p-53)).squareRoot() * cos(2 * .pi * b * 0x1p-53)
  }

  /// Makes a row orthogonal to `before` rows before it, and of length 1.
  private static func orthogonalize(_ row: UnsafeMutablePointer<Double>, _ width: Int, to before: Int) {
    for back in 0..<before {
      let other = row - (back + 1) * width
      var product = 0.0
      for d in 0..<width { product += row[d] * other[d] }
      for d in 0..<width { row[d] -= product * other[d] }
    }
    var length = 0.0
    for d in 0..<width { length += row[d] * row[d] }
    let inverse = 1 / max(length.squareRoot(), 1e-300)
    for d in 0..<width { row[d] *= inverse }
  }

  /// Sets the planes through the mean of a sample of vectors; once, because codes of vectors do not change.
  func setMiddles(_ vectors: Int, _ projector: Projections, row: (Int) -> PointsView<Float>) {
    guard !isPlaced, vectors > 0 else { return }
    isPlaced = true
    guard !products else {
      for index in 0..<vectors { longest[0] = max(longest[0], Self.squaredLength(row(index).base, dim)) }
      return
    }
    let step = max(1, vectors / Self.sample)
    var sums = [Float](repeating: 0, count: count)
    var sampled: Float = 0
    for index in Swift.stride(from: 0, to: vectors, by: step) {
      projector.run(row(index), queries: false)
      for plane in 0..<count { sums[plane] += projector.values[plane] }
      sampled += 1
    }
    for plane in 0..<count { middles[plane] = sums[plane] / sampled }
  }

  func setMiddles(middles: Buffer<Float>, longest: Double) {
    for plane in 0..<count { self.middles[plane] = middles[plane] }
    (self.longest[0], isPlaced) = (longest, true)
  }

  func unplace() {
    for plane in 0..<count { middles[plane] = 0 }
    (longest[0], isPlaced) = (0, false)
  }

  private static func squaredLength(_ row: UnsafePointer<Float>, _ dim: Int) -> Double {
    var sum = 0.0
    for d in 0..<dim { sum += Double(row[d]) * Double(row[d]) }
    return sum
  }

  /// One thread's projections of vectors onto the normals.
  final class Projections {
    private let planes: Hyperplanes
    /// The last vectors, padded to a whole tile.
    private let last: Buffer<Float>
    /// Signed distances from the planes: row by row, `stride` apart.
    let values: Buffer<Float>

    init(_ planes: Hyperplanes) throws(CoverTreeError) {
      self.planes = planes
      last = try Buffer(count: tileRows * planes.dim, filledWith: 0)
      values = try Buffer(count: Hyperplanes.batch * planes.stride)
    }

    /// - Parameters:
    ///   - vectors: at most a batch of them.
    ///   - queries: whether they are queries, not vectors of the index.
    func run(_ vectors: PointsView<Float>, queries: Bool) {
      multiply(vectors)
      let (stride, planeCount) = (planes.stride, planes.count)
      for index in 0..<vectors.count {
        let own = values.base + index * stride
        for plane in 0..<planeCount { own[plane] -= planes.middles[plane] }
        guard planes.products, !queries else { continue }
        let length = Hyperplanes.squaredLength(vectors.row(index), planes.dim)
        let rest = Float(max(0, planes.longest[0] - length).squareRoot())
        for plane in 0..<planeCount { own[plane] += rest * planes.added[plane] }
      }
    }

    /// Inner products with the normals: a slice of a panel of these stays in the first-level cache for all vectors.
    private func multiply(_ vectors: PointsView<Float>) {
      let (dim, stride, width) = (planes.dim, planes.stride, PanelView<Float>.panelRows)
      let whole = vectors.count / tileRows * tileRows
      for index in whole..<vectors.count {
        (last.base + (index - whole) * dim).update(from: vectors.row(index), count: dim)
      }
      for from in Swift.stride(from: 0, to: dim, by: depthOfTile) {
        for plane in Swift.stride(from: 0, to: stride, by: width) {
          let normals = UnsafeRawPointer(planes.normals.view.row(plane) + from * width)
            .assumingMemoryBound(to: Float.Lanes.self)
          for first in Swift.stride(from: 0, to: vectors.count, by: tileRows) {
            let isWhole = first < whole
            multiplyTile(
              (isWhole ? vectors.row(first) : UnsafePointer(last.base)) + from,
              rowStride: isWhole ? vectors.stride : dim, columnStride: 1, normals, depth: min(depthOfTile, dim - from),
              into: values.base + first * stride + plane, stride: stride, adding: from > 0)
          }
        }
      }
    }
  }

  var byteCount: Int { normals.byteCount + added.byteCount + middles.byteCount }
}

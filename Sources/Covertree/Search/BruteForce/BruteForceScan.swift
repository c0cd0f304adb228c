import CovertreeBase

/// The points' side of a brute-force scan: their squared lengths, reduced by the rounding that the scan allows for.
///
/// `|x - q|^2 = |x|^2 + |q|^2 - 2 x . q` cancels. An inner product may be off by some roundings of `|x| |q|`, which is at most `(|x|^2 +
/// |q|^2) / 2`. So a sum of squared lengths that are reduced by that share is never above the true one. The same shares bound twice the
/// negative inner product.
final class BruteForceNorms<S: Scalar>: @unchecked Sendable {
  /// One vector for each group of positions.
  let reduced: Buffer<S.Lanes>
  /// The share by which squared lengths are reduced.
  let slack: Double
  /// A bound on what underflow loses.
  let underflow: Double
  /// The largest squared length.
  let most: Double
  /// Squared lengths are below this, so sums of products do not overflow.
  static var limit: Double { Double(S.greatestFiniteMagnitude) / 16 }

  /// Bounds are useful if they are apart by at most this share of the squared diagonal of all points.
  private static var precision: Double { 1e-3 }

  /// The same bounds with other numbers in place of the reduced squared lengths.
  init(_ norms: BruteForceNorms, reduced: Buffer<S.Lanes>) {
    (self.reduced, slack, underflow, most) = (reduced, norms.slack, norms.underflow, norms.most)
  }

  /// - Returns: nil if squared lengths overflow the type, or points are so far from the origin that they cancel.
  init?<Points: ScannedPoints<S>>(_ points: Points, context: CallContext) throws(CoverTreeError) {
    let (dim, count, products) = (points.dim, points.count, points.products)
    slack = Double(2 * (roundings(inProductOf: dim) + 8)) * Double(S.ulpOfOne) / 2
    underflow = Double(dim + 4) * Double(S.leastNormalMagnitude)
    reduced = try Buffer(count: (count + S.width - 1) / S.width)
    let (reduced, slack) = (reduced, slack)
    let largest = try Buffer<Double>(count: context.threads, filledWith: 0)
    let rows = try Buffer<S>(count: context.threads * dim)
    try context.forEach(reduced.count, grain: 256) { (range, slot) throws(CoverTreeError) in
      let row = rows.base + slot * dim
      for group in range {
        for lane in 0..<S.width {
          let position = group * S.width + lane
          guard position < count else {
            reduced[group][lane] = .nan
            continue
          }
          points.copy(position, into: row)
          var sum = 0.0
          for d in 0..<dim { sum += Double(row[d]) * Double(row[d]) }
          largest[slot] = max(largest[slot], sum)
          reduced[group][lane] = -S.roundedUp(products ? sum * slack : -sum * (1 - slack))
        }
      }
    }
    most = largest.elements.max()!
    guard most < Self.limit else { return nil }
    guard !products else { return }
    let (low, high) = try points.extents(context)
    var squaredDiagonal = 0.0
    for d in 0..<dim { squaredDiagonal += (Double(high[d]) - Double(low[d])) * (Double(high[d]) - Double(low[d])) }
    guard 4 * slack * most <= Self.precision * squaredDiagonal else { return nil }
  }
}

/// One thread's comparison of batches of queries with every point. It serves data of many dimensions without structure, in which boxes
/// exclude little, on processors without products of bytes.
///
/// The inner products of a batch with a pair of groups of points are a tile of a matrix product, several times as fast as one scan per
/// query. They bound each distance from below.
final class BruteForceScan<Batch: QueryBatch>: BatchScan {
  typealias S = Batch.Points.S

  private let points: Batch.Points
  private let norms: BruteForceNorms<S>
  let batch: Batch
  /// Coordinates of the batch in strips of 8 queries; a strip is ordered by coordinate.
  private let left: Buffer<S>
  private let products: Buffer<S>
  /// By query: its own reduced squared length, and the threshold of twice an inner product less the point's squared length.
  private let lengths: Buffer<Double>
  /// By query: the upper bound less the lower bound.
  private let widths: Buffer<Double>
  private let limits: Buffer<S>
  /// Two groups of points.
  private let lanes: Buffer<S.Lanes>
  /// The factor from a score to the scale of the sums.
  private let factor: Double

  init(_ norms: BruteForceNorms<S>, _ batch: Batch) throws(CoverTreeError) {
    points = batch.points
    self.norms = norms
    self.batch = batch
    factor = points.products ? 2 : 1
    let size = Batch.size
    left = try Buffer(count: size * points.dim, filledWith: 0)
    products = try Buffer(count: size * 2 * S.width)
    lengths = try Buffer(count: size)
    widths = try Buffer(count: size)
    limits = try Buffer(count: size)
    lanes = try Buffer(count: 2 * points.dim)
  }

  func run() throws(CoverTreeError) {
    let groups = norms.reduced.count
    let rows = batch.rows
    let count = rows.count
    load(rows)
    for i in 0..<count { limits[i] = limit(i, batch.limit(i)) }
    for group in stride(from: 0, to: groups, by: 2) {
      multiply(group, min(group + 1, groups - 1), rows: count)
      for i in 0..<count {
        let row = (products.base + i &* 2 &* S.width).vectors
        for half in 0..<min(2, groups &- group) {
          let sums = S.multiplyAdd(row[half], S.Lanes(repeating: -2), norms.reduced[group &+ half])
          let hits = S.maskLessOrEqual(sums, S.Lanes(repeating: limits[i]))
          guard hits != 0 else { continue }
          try keep(hits, sums, group &+ half, i)
          limits[i] = limit(i, batch.limit(i))
        }
      }
    }
  }

  private func load(_ rows: [UnsafePointer<S>]) {
    for (i, query) in rows.enumerated() {
      let strip = left.base + (i / tileRows * tileRows * points.dim + i % tileRows)
      var sum = 0.0
      for d in 0..<points.dim {
        let x = query[d]
        strip[d &* tileRows] = x
        sum += Double(x) * Double(x)
      }
      guard sum < BruteForceNorms<S>.limit else {
        // Products with it could overflow, so it is compared with every point.
        for d in 0..<points.dim { strip[d &* tileRows] = 0 }
        (lengths[i], widths[i]) = (-.infinity, .infinity)
        continue
      }
      widths[i] = 3 * (norms.slack * (norms.most + sum) + norms.underflow) / factor
      lengths[i] = points.products ? -sum * norms.slack : sum * (1 - norms.slack)
    }
  }

  /// The limit of a point's reduced squared length less twice the inner product, for a score of at most `worst`.
  @inline(__always)
  private func limit(_ i: Int, _ worst: Double) -> S { S.roundedUp(factor * worst - lengths[i] + norms.underflow) }

  private func multiply(_ low: Int, _ high: Int, rows: Int) {
    let dim = points.dim
    let width = PanelView<S>.panelRows
    let firstLanes = points.lanes(ofGroup: low, lanes.base)
    let secondLanes = points.lanes(ofGroup: high, lanes.base + dim)
    for from in stride(from: 0, to: dim, by: depthOfTile) {
      let (first, second) = (firstLanes + from, secondLanes + from)
      for row in stride(from: 0, to: rows, by: tileRows) {
        multiplyTile(
          left.base + (row &* dim &+ from &* tileRows), columnStride: tileRows, first, second, vectorStride: 1,
          depth: min(depthOfTile, dim &- from), into: products.base + row &* width, stride: width, adding: from > 0)
      }
    }
  }

  /// Keeps the lanes of a group that passed, with bounds of their scores.
  private func keep(_ hits: UInt32, _ sums: S.Lanes, _ group: Int, _ i: Int) throws(CoverTreeError) {
    for lane in SetBits(hits) {
      let lower = (Double(sums[lane]) + lengths[i] - norms.underflow) / factor
      let upper = widths[i] == .infinity ? .infinity : lower + widths[i]
      try batch.keep(i, position: group &* S.width &+ lane, lower: lower, upper: upper)
    }
  }
}

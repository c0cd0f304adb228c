/// What a dense scan needs of a tree's points: their squared lengths, made smaller by the rounding that the scan allows for.
///
/// `|x - q|^2 = |x|^2 + |q|^2 - 2 x . q` cancels. An inner product may be off by some roundings of `|x| |q|`, which is at most
/// `(|x|^2 + |q|^2) / 2`: computed from squared lengths that are smaller by that share, the sum is never above the true one.
final class DenseNorms<S: Scalar>: @unchecked Sendable {
  /// One vector for each group of the box tree.
  let reduced: Buffer<S.Lanes>
  /// The share by which squared lengths are made smaller.
  let slack: Double
  /// What underflow may hide.
  let underflow: Double

  /// Bounds are at most this share of the squared diagonal of all points apart, or they tell too little.
  private static var precision: Double { 1e-3 }

  /// - Returns: nil where squared lengths overflow the type, or points lie so far from the origin that they cancel.
  init?(_ tree: BoxTree<S>, context: CallContext) throws(CoverTreeError) {
    let dim = tree.dim
    slack = Double(2 * (roundings(inProductOf: dim) + 8)) * Double(S.ulpOfOne) / 2
    underflow = Double(dim + 4) * Double(S.leastNormalMagnitude)
    reduced = try Buffer(count: tree.coordinates.count / dim)
    let (reduced, slack) = (reduced, slack)
    let largest = try Buffer<Double>(count: context.threads, filledWith: 0)
    try context.forEach(reduced.count, grain: 256) { (range, slot) throws(CoverTreeError) in
      for group in range {
        for lane in 0..<S.width {
          var sum = 0.0
          for d in 0..<dim {
            let x = Double(tree.coordinates[group * dim + d][lane])
            sum += x * x
          }
          // Lanes that hold no point are NaN, and stay it.
          if sum > largest[slot] { largest[slot] = sum }
          reduced[group][lane] = -S.roundedUp(-sum * (1 - slack))
        }
      }
    }
    let most = largest.elements.max()!
    guard most < Double(S.greatestFiniteMagnitude) / 16 else { return nil }
    guard 4 * slack * most <= Self.precision * tree.squaredDiagonal else { return nil }
  }
}

/// One thread's comparison of batches of queries with every point: what is left where boxes keep little out, as in many
/// dimensions without structure.
///
/// The inner products of a batch with a pair of groups of points are a tile of a matrix product, several times as fast as a
/// scan a query. They bound each distance from both sides: the k-th smallest upper bound is a limit for the lower ones.
/// Points that stay below it to the end, few more than `k`, are decided by the distance that every other search
/// decides by.
final class DenseScan<S: Scalar> {
  /// Queries that are compared together: they stay in the second cache.
  static var batchSize: Int { 64 }

  private let snapshot: TreeSnapshot<S>
  private let norms: DenseNorms<S>
  /// Coordinates of the batch in strips of 8 queries, coordinate by coordinate in a strip.
  private let left: Buffer<S>
  private let products: Buffer<S>
  /// Of each query: its own squared length, made smaller; and what twice an inner product has to reach beside the point's.
  private let lengths: Buffer<Double>
  private let limits: Buffer<S>
  private let candidates: [Stack<DenseCandidate>]
  private let rooms: [NearestCollector.Room]

  init(_ snapshot: TreeSnapshot<S>, _ norms: DenseNorms<S>, k: Int) throws(CoverTreeError) {
    self.snapshot = snapshot
    self.norms = norms
    let dim = snapshot.layout.dim
    left = try Buffer(count: Self.batchSize * dim, filledWith: 0)
    products = try Buffer(count: Self.batchSize * 2 * S.width)
    lengths = try Buffer(count: Self.batchSize)
    limits = try Buffer(count: Self.batchSize)
    var candidates: [Stack<DenseCandidate>] = []
    var rooms: [NearestCollector.Room] = []
    for _ in 0..<Self.batchSize {
      candidates.append(try Stack())
      rooms.append(try NearestCollector.Room(k: k))
    }
    (self.candidates, self.rooms) = (candidates, rooms)
  }

  /// What one query asks for: nothing beyond `bound`, squared.
  struct Query {
    let query: QuerySet<S>.Query
    let eligible: Eligibility
    let bound: Double
  }

  /// Compares up to `batchSize` queries with all points.
  ///
  /// - Parameter write: takes the nearest of each query, by its number in the batch.
  func run(_ queries: [Query], write: (_ i: Int, NearestCollector) -> Void) throws(CoverTreeError) {
    let groups = norms.reduced.count
    take(queries)
    var uppers: [NearestCollector] = []
    for (i, query) in queries.enumerated() {
      candidates[i].removeAll()
      uppers.append(NearestCollector(rooms[i], bound: query.bound))
      limits[i] = limit(i, query.bound)
    }
    for group in stride(from: 0, to: groups, by: 2) {
      multiply(group, min(group + 1, groups - 1), rows: queries.count)
      for i in 0..<queries.count {
        let row = UnsafeRawPointer(products.base + i &* 2 &* S.width).assumingMemoryBound(to: S.Lanes.self)
        for half in 0..<min(2, groups &- group) {
          let sums = S.multiplyAdd(row[half], S.Lanes(repeating: -2), norms.reduced[group &+ half])
          let hits = S.maskLessOrEqual(sums, S.Lanes(repeating: limits[i]))
          guard hits != 0 else { continue }
          try keep(hits, sums, group &+ half, i, queries[i], &uppers[i])
          limits[i] = limit(i, uppers[i].worst)
        }
      }
    }
    for (i, query) in queries.enumerated() { write(i, decided(i, query, uppers[i].worst)) }
  }

  private func take(_ queries: [Query]) {
    let dim = snapshot.layout.dim
    for (i, query) in queries.enumerated() {
      let strip = left.base + (i / tileRows * tileRows * dim + i % tileRows)
      var sum = 0.0
      for d in 0..<dim {
        let x = query.query.coordinates[d]
        strip[d &* tileRows] = x
        sum += Double(x) * Double(x)
      }
      lengths[i] = sum * (1 - norms.slack)
    }
  }

  /// What a point's reduced squared length less twice the inner product may be, for a distance of at most `worst`, squared.
  @inline(__always)
  private func limit(_ i: Int, _ worst: Double) -> S { S.roundedUp(worst - lengths[i] + norms.underflow) }

  private func multiply(_ low: Int, _ high: Int, rows: Int) {
    let dim = snapshot.layout.dim
    let coordinates = UnsafePointer(snapshot.boxes.coordinates.base)
    let width = PanelView<S>.panelRows
    for from in stride(from: 0, to: dim, by: depthOfTile) {
      let (first, second) = (coordinates + (low &* dim &+ from), coordinates + (high &* dim &+ from))
      for row in stride(from: 0, to: rows, by: tileRows) {
        multiplyTile(
          left.base + (row &* dim &+ from &* tileRows), columnStride: tileRows, first, second, vectorStride: 1,
          depth: min(depthOfTile, dim &- from), into: products.base + row &* width, stride: width, adding: from > 0)
      }
    }
  }

  /// Keeps the lanes of a group that passed, with bounds of their squared distances.
  private func keep(
    _ hits: UInt32, _ sums: S.Lanes, _ group: Int, _ i: Int, _ query: Query, _ uppers: inout NearestCollector
  ) throws(CoverTreeError) {
    let tree = snapshot.boxes
    let (leaf, part) = (group / tree.groupsPerLeaf, group % tree.groupsPerLeaf)
    var hits = hits
    while hits != 0 {
      let lane = hits.trailingZeroBitCount
      hits &= hits &- 1
      let place = leaf &* tree.leafSize &+ part &* S.width &+ lane
      let label = snapshot.layout.order[place]
      guard query.eligible.admits(label) else { continue }
      if let removed = snapshot.removed, removed[place] != 0 { continue }
      let lower = Double(sums[lane]) + lengths[i] - norms.underflow
      // Twice what the squared lengths were made smaller by, and a little for that they were.
      let width = 2.1 * norms.slack * (Double(norms.reduced[group][lane]) + lengths[i]) + 2 * norms.underflow
      try candidates[i].append(DenseCandidate(lower: lower, place: Int32(truncatingIfNeeded: place)))
      uppers.offer(lower + width, label)
    }
  }

  /// The nearest of the candidates that stayed within the limit.
  private func decided(_ i: Int, _ query: Query, _ worst: Double) -> NearestCollector {
    var nearest = NearestCollector(rooms[i], bound: query.bound)
    let (order, points, dim) = (snapshot.layout.order, snapshot.layout.points, snapshot.layout.dim)
    for candidate in candidates[i].elements where candidate.lower <= worst {
      let row = UnsafePointer(points.base) + Int(candidate.place) &* dim
      nearest.offer(squaredEuclidean(query.query.coordinates, row, dim: dim), order[candidate.place])
    }
    nearest.finish()
    return nearest
  }
}

/// A point that can be among the nearest: a bound below its squared distance, and its place.
struct DenseCandidate: BitwiseCopyable {
  var lower: Double
  var place: Int32
}

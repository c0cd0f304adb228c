import CovertreeBase

/// Chooses the next points of a max-min order, many at a time. A product of matrices compares the farthest points with all others and
/// bounds each distance from below (`BruteForceScan`). Only pairs that may be nearer than any pair before are decided.
///
/// A block is the farthest points at some moment. They are chosen one after the other, the farthest first, until a point outside could
/// come before them. Distances only fall, so this cannot happen while a point of the block is at least as far as its last point was at
/// first. In many dimensions a chosen point is near to few others, and nearly all points of a block are used.
///
/// Rows are in float32, less the centroid and scaled to a length of about 1, in panels of the points that are not chosen: O(n dim)
/// memory.
final class MaxMinBlocks {
  /// The result of a block.
  struct Outcome {
    /// The number of chosen points, at least one.
    var chosen = 0
    /// The number of pairs compared by products, and of distances computed.
    var compared = 0
    var decided = 0
  }

  private let points: PointsView<Double>
  private let queue: FarthestQueue
  private let context: CallContext
  private var panels: MaxMinPanels
  private var reach: MaxMinReach
  /// One for each slice of a block.
  private var scans: [BruteForceScan<NearerBatch>] = []

  /// The most points of a block: one batch per thread.
  static func size(_ context: CallContext) -> Int { context.threads * NearerBatch.size }

  init(_ points: PointsView<Double>, _ queue: FarthestQueue, _ context: CallContext) throws(CoverTreeError) {
    (self.points, self.queue, self.context) = (points, queue, context)
    panels = try MaxMinPanels(points, queue, context)
    reach = try MaxMinReach(panels, context)
  }

  /// Chooses some of the next points; `order` has room for all that remain.
  func choose(_ size: Int, into order: UnsafeMutablePointer<Int64>) throws(CoverTreeError) -> Outcome {
    var block: [Int] = []
    while block.count < size, let next = queue.removeFarthest() { block.append(next) }
    if queue.left * 2 < panels.count {
      panels = try MaxMinPanels(points, queue, context)
      reach = try MaxMinReach(panels, context)
      scans = []
    }
    try reach.update(queue, context)
    let chunk = (block.count + context.threads - 1) / context.threads
    let batches = try compare(block, each: min(NearerBatch.size, (chunk + tileRows - 1) / tileRows * tileRows))
    var outcome = Outcome(compared: block.count * panels.count)
    for batch in batches { outcome.decided += batch.decided }
    let lists = batches.flatMap(\.lists)
    // Points outside come after this one, now and later.
    let last = block[block.count - 1]
    let (limit, isAll) = (queue.distance[last], queue.isEmpty)
    var left = Array(block.indices)
    while !left.isEmpty {
      var best = 0
      for i in left.indices.dropFirst() where queue.precedes(block[left[i]], block[left[best]]) { best = i }
      let next = block[left[best]]
      let distance = queue.distance[next]
      guard isAll || distance > limit || (distance == limit && next <= last) else { break }
      order[outcome.chosen] = Int64(next)
      outcome.chosen += 1
      queue.choose(next)
      for near in lists[left[best]].elements where near.squared < queue.distance[near.index] {
        queue.distance[near.index] = near.squared
      }
      left.remove(at: best)
    }
    for i in left { queue.putBack(block[i]) }
    return outcome
  }

  /// Finds the points that each point of the block is nearer to than any chosen point is.
  private func compare(_ block: [Int], each size: Int) throws(CoverTreeError) -> [NearerBatch] {
    let count = (block.count + size - 1) / size
    while scans.count < count {
      scans.append(try BruteForceScan(reach.norms, NearerBatch(panels, points, queue)))
    }
    let scans = scans
    try context.forEach(count, grain: 1) { (range, _) throws(CoverTreeError) in
      for chunk in range {
        scans[chunk].batch.begin(Array(block[chunk * size..<min(block.count, (chunk + 1) * size)]))
        try scans[chunk].run()
        try scans[chunk].batch.decide()
      }
    }
    return scans[..<count].map(\.batch)
  }
}

/// The points that are not chosen yet, in float32: less their centroid, times a power of two that makes their length about 1.
private final class MaxMinPanels: ScannedPoints, @unchecked Sendable {
  typealias S = Float

  let count: Int
  let dim: Int
  var products: Bool { false }
  /// By position.
  let indices: Buffer<Int32>
  private let lanes: Buffer<Float.Lanes>
  private let center: [Double]
  let scale: Double

  init(_ points: PointsView<Double>, _ queue: FarthestQueue, _ context: CallContext) throws(CoverTreeError) {
    dim = points.dim
    let left = try context.collect(points.count) { queue.isChosen($0) ? nil : Int32($0) }
    (count, indices) = (left.count, left.buffer)
    var (center, largest) = ([Double](repeating: 0, count: points.dim), 0.0)
    for index in left.elements {
      for d in 0..<points.dim { center[d] += points.row(Int(index))[d] / Double(left.count) }
    }
    for index in left.elements {
      for d in 0..<points.dim { largest = max(largest, abs(points.row(Int(index))[d] - center[d])) }
    }
    let exponent = largest.isNormal ? max(-1000, min(1000, -Int(largest.exponent))) : 0
    scale = Double(sign: .plus, exponent: exponent, significand: 1)
    self.center = center
    lanes = try Buffer(count: (count + Float.width - 1) / Float.width * dim, filledWith: Float.Lanes(repeating: 0))
    let row = try Buffer<Float>(count: context.threads * dim)
    let scalars = lanes.scalars(Float.self)
    try context.forEach(count, grain: 1024) { (range, slot) throws(CoverTreeError) in
      let row = row.base + slot * dim
      for position in range {
        write(points.row(Int(indices[position])), into: row)
        let first = position / Float.width * dim * Float.width + position % Float.width
        for d in 0..<dim { scalars[first + d * Float.width] = row[d] }
      }
    }
  }

  /// Writes a point in this form.
  func write(_ point: UnsafePointer<Double>, into row: UnsafeMutablePointer<Float>) {
    for d in 0..<dim { row[d] = Float((point[d] - center[d]) * scale) }
  }

  func copy(_ position: Int, into target: UnsafeMutablePointer<Float>) {
    let point = UnsafePointer(lanes.base).point(position, dim)
    for d in 0..<dim { target[d] = point[d * Float.width] }
  }

  func lanes(ofGroup group: Int, _: UnsafeMutablePointer<Float.Lanes>) -> UnsafePointer<Float.Lanes> {
    UnsafePointer(lanes.base + group &* dim)
  }
}

/// Each point's reach: a nearer point may be nearer than all chosen points.
///
/// The scan's limits are the same for all positions, so a point's reach is subtracted from its squared length.
private final class MaxMinReach {
  let norms: BruteForceNorms<Float>
  private let panels: MaxMinPanels
  private let lengths: BruteForceNorms<Float>
  /// The largest error of a distance by rounding to float32.
  private let rounding: Double

  init(_ panels: MaxMinPanels, _ context: CallContext) throws(CoverTreeError) {
    guard let lengths = try BruteForceNorms(panels, context: context) else {
      throw CoverTreeError(.invalidArgument, "points: expected fewer than 250000 columns, got \(panels.dim)")
    }
    (self.panels, self.lengths) = (panels, lengths)
    norms = BruteForceNorms(lengths, reduced: try Buffer(count: lengths.reduced.count))
    // Half an ulp of each coordinate of both points, and underflow.
    rounding = lengths.most.squareRoot() * Double(Float.ulpOfOne) * 1.01 + Double(panels.dim) * 0x1p-140
  }

  /// Copies the points' distances from the chosen ones.
  func update(_ queue: FarthestQueue, _ context: CallContext) throws(CoverTreeError) {
    let (panels, lengths, reduced, rounding) = (panels, lengths.reduced, norms.reduced, rounding)
    try context.forEach(reduced.count, grain: 1024) { (range, _) throws(CoverTreeError) in
      for group in range {
        var lanes = lengths[group]
        for lane in 0..<min(Float.width, panels.count - group * Float.width) {
          let score = queue.distance[panels.indices[group * Float.width + lane]]
          guard score > -.infinity else {
            lanes[lane] = .infinity
            continue
          }
          let distance = Score.distance(score) * panels.scale * (1 + 1e-12) + rounding
          // The sum with the product is rounded, too.
          lanes[lane] = -Float.roundedUp(distance * distance * (1 + 1e-6) - Double(lanes[lane]))
        }
        reduced[group] = lanes
      }
    }
  }
}

/// Points of a block as queries, and the points that each is nearer to than all chosen points are.
private final class NearerBatch: QueryBatch, @unchecked Sendable {
  let points: MaxMinPanels
  private let exact: PointsView<Double>
  private let queue: FarthestQueue
  private let coordinates: Buffer<Float>
  private var block: [Int] = []
  private let waiting: [GrowableBuffer<Int32>]
  private let nearer: [GrowableBuffer<Candidate>]
  /// The number of computed distances.
  private(set) var decided = 0

  init(_ panels: MaxMinPanels, _ exact: PointsView<Double>, _ queue: FarthestQueue) throws(CoverTreeError) {
    (points, self.exact, self.queue) = (panels, exact, queue)
    coordinates = try Buffer(count: Self.size * panels.dim)
    waiting = try (0..<Self.size).map { (_) throws(CoverTreeError) in try GrowableBuffer() }
    nearer = try (0..<Self.size).map { (_) throws(CoverTreeError) in try GrowableBuffer() }
  }

  var rows: [UnsafePointer<Float>] { block.indices.map { UnsafePointer(coordinates.base + $0 * points.dim) } }
  /// By point of the block: nearer points with their distances from it.
  var lists: ArraySlice<GrowableBuffer<Candidate>> { nearer[..<block.count] }

  func begin(_ block: [Int]) {
    self.block = block
    decided = 0
    for (i, index) in block.enumerated() {
      points.write(exact.row(index), into: coordinates.base + i * points.dim)
      waiting[i].removeAll()
      nearer[i].removeAll()
    }
  }

  /// The positions have the limits.
  func limit(_ i: Int) -> Double { 0 }

  @inline(__always)
  func keep(_ i: Int, position: Int, lower: Double, upper: Double) throws(CoverTreeError) {
    guard position < points.count else { return }
    try waiting[i].append(points.indices[position])
  }

  /// Decides the pairs that were kept.
  func decide() throws(CoverTreeError) {
    for (i, index) in block.enumerated() {
      let row = exact.row(index)
      for other in waiting[i].elements where Int(other) != index {
        let score = euclideanScore(row, exact.row(Int(other)), dim: exact.dim)
        if score < queue.distance[other] { try nearer[i].append(Candidate(squared: score, index: other)) }
      }
      decided += waiting[i].count
    }
  }
}

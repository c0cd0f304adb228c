import CovertreeBase

/// The next points of a max-min order, many at a time: the farthest ones are compared with all others as a product of matrices
/// that bounds each distance from below (`BruteForceScan`), and only pairs that may be nearer than anything before are decided about.
///
/// A block is the farthest points of the moment. They are taken one after the other, the farthest first, as long as none
/// outside can come before them: distances only fall, so that is as long as one of them is still at least as far as the last of them was
/// at first. In many dimensions a point that is taken is near to few others, and nearly all of a block are used.
///
/// Rows stand in float32, less the centroid, made about 1 long, in panels of those that have not been taken: O(n dim) memory.
final class MaxMinBlocks {
  /// How a block went.
  struct Outcome {
    /// Points that were taken, at least one.
    var taken = 0
    /// Pairs that were compared by products, and of how many the distance was computed.
    var compared = 0
    var decided = 0
  }

  private let points: PointsView<Double>
  private let queue: FarthestQueue
  private let context: CallContext
  private var panels: MaxMinPanels
  private var reach: MaxMinReach
  /// One for each part of a block.
  private var scans: [MaxMinScan] = []

  /// Points of a block at most: a batch a thread.
  static func size(_ context: CallContext) -> Int { context.threads * NearerBatch.size }

  init(
    _ points: PointsView<Double>, _ queue: FarthestQueue, _ context: CallContext
  ) throws(CoverTreeError) {
    (self.points, self.queue, self.context) = (points, queue, context)
    panels = try MaxMinPanels(points, queue, context)
    reach = try MaxMinReach(panels, context)
  }

  /// Takes some of the next points.
  ///
  /// - Parameter order: has room for all that are left.
  func take(_ size: Int, into order: UnsafeMutablePointer<Int64>) throws(CoverTreeError) -> Outcome {
    var block: [Int] = []
    while block.count < size, let next = queue.removeFarthest() { block.append(next) }
    if queue.left * 2 < panels.count {
      panels = try MaxMinPanels(points, queue, context)
      reach = try MaxMinReach(panels, context)
      scans = []
    }
    try reach.take(queue, context)
    let part = (block.count + context.threads - 1) / context.threads
    let batches = try compare(block, each: min(NearerBatch.size, (part + tileRows - 1) / tileRows * tileRows))
    var outcome = Outcome(compared: block.count * panels.count)
    for batch in batches { outcome.decided += batch.decided }
    let lists = batches.flatMap(\.lists)
    // Whatever is outside comes after this one, now and later.
    let last = block[block.count - 1]
    let (limit, isAll) = (queue.distance[last], queue.isEmpty)
    var left = Array(block.indices)
    while !left.isEmpty {
      var best = 0
      for i in left.indices.dropFirst() where queue.precedes(block[left[i]], block[left[best]]) { best = i }
      let next = block[left[best]]
      let distance = queue.distance[next]
      guard isAll || distance > limit || (distance == limit && next <= last) else { break }
      order[outcome.taken] = Int64(next)
      outcome.taken += 1
      queue.take(next)
      for near in lists[left[best]].elements where near.squared < queue.distance[near.index] {
        queue.distance[near.index] = near.squared
      }
      left.remove(at: best)
    }
    for i in left { queue.putBack(block[i]) }
    return outcome
  }

  /// Finds all pairs of a point of the block and another one that are nearer than the other one has any yet.
  private func compare(_ block: [Int], each size: Int) throws(CoverTreeError) -> [NearerBatch] {
    let count = (block.count + size - 1) / size
    while scans.count < count {
      let batch = try NearerBatch(panels, points, queue)
      scans.append(MaxMinScan(batch, try BruteForceScan(reach.norms, batch)))
    }
    let scans = scans
    try context.forEach(count, grain: 1) { (range, _) throws(CoverTreeError) in
      for part in range {
        scans[part].batch.begin(Array(block[part * size..<min(block.count, (part + 1) * size)]))
        try scans[part].scan.run()
        try scans[part].batch.decide()
      }
    }
    return scans[..<count].map(\.batch)
  }
}

/// A part of a block, and what compares it.
private final class MaxMinScan: @unchecked Sendable {
  let batch: NearerBatch
  let scan: BruteForceScan<NearerBatch>

  init(_ batch: NearerBatch, _ scan: BruteForceScan<NearerBatch>) { (self.batch, self.scan) = (batch, scan) }
}

/// Points that have not been taken yet, as a scan sees them: less their centroid, times a power of two that makes them about
/// 1 long, in float32.
private final class MaxMinPanels: ScannedPoints, @unchecked Sendable {
  typealias S = Float

  let count: Int
  let dim: Int
  var products: Bool { false }
  /// By position.
  let labels: Buffer<Int32>
  private let lanes: Buffer<Float.Lanes>
  private let center: [Double]
  let scale: Double

  init(_ points: PointsView<Double>, _ queue: FarthestQueue, _ context: CallContext) throws(CoverTreeError) {
    dim = points.dim
    let left = try context.collect(points.count) { queue.isTaken($0) ? nil : Int32($0) }
    (count, labels) = (left.count, left.buffer)
    var (center, largest) = ([Double](repeating: 0, count: points.dim), 0.0)
    for label in left.elements {
      for d in 0..<points.dim { center[d] += points.row(Int(label))[d] / Double(left.count) }
    }
    for label in left.elements {
      for d in 0..<points.dim { largest = max(largest, abs(points.row(Int(label))[d] - center[d])) }
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
        write(points.row(Int(labels[position])), into: row)
        let first = position / Float.width * dim * Float.width + position % Float.width
        for d in 0..<dim { scalars[first + d * Float.width] = row[d] }
      }
    }
  }

  /// Writes a point as it stands here.
  func write(_ point: UnsafePointer<Double>, into row: UnsafeMutablePointer<Float>) {
    for d in 0..<dim { row[d] = Float((point[d] - center[d]) * scale) }
  }

  func copy(_ position: Int, into target: UnsafeMutablePointer<Float>) {
    let scalars = UnsafeRawPointer(lanes.base).assumingMemoryBound(to: Float.self)
    let first = position / Float.width * dim * Float.width + position % Float.width
    for d in 0..<dim { target[d] = scalars[first + d * Float.width] }
  }

  func lanes(ofGroup group: Int, _: UnsafeMutablePointer<Float.Lanes>) -> UnsafePointer<Float.Lanes> {
    UnsafePointer(lanes.base + group &* dim)
  }
}

/// How far every point looks: a point that is nearer than that may be nearer than all that were taken before it.
///
/// The scan's limits are the same for all positions. So what a position allows is taken off its squared length.
private final class MaxMinReach {
  let norms: BruteForceNorms<Float>
  private let panels: MaxMinPanels
  private let lengths: BruteForceNorms<Float>
  /// What rounding to float32 may add to a distance.
  private let rounding: Double

  init(_ panels: MaxMinPanels, _ context: CallContext) throws(CoverTreeError) {
    guard let lengths = try BruteForceNorms(panels, context: context) else {
      throw CoverTreeError(.invalidArgument, "points: expected fewer than 250000 columns, got \(panels.dim)")
    }
    (self.panels, self.lengths) = (panels, lengths)
    norms = BruteForceNorms(lengths, reduced: try Buffer(count: lengths.reduced.count))
    // Of both points: half an ulp of each coordinate, and what underflows.
    rounding = lengths.most.squareRoot() * Double(Float.ulpOfOne) * 1.01 + Double(panels.dim) * 0x1p-140
  }

  /// Takes over how far the points are from those taken.
  func take(_ queue: FarthestQueue, _ context: CallContext) throws(CoverTreeError) {
    let (panels, lengths, reduced, rounding) = (panels, lengths.reduced, norms.reduced, rounding)
    try context.forEach(reduced.count, grain: 1024) { (range, _) throws(CoverTreeError) in
      for group in range {
        var lanes = lengths[group]
        for lane in 0..<min(Float.width, panels.count - group * Float.width) {
          let score = queue.distance[panels.labels[group * Float.width + lane]]
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

/// Points of a block as queries, and the points that each is nearer to than all that were taken before.
private final class NearerBatch: QueryBatch, @unchecked Sendable {
  let points: MaxMinPanels
  private let exact: PointsView<Double>
  private let queue: FarthestQueue
  private let coordinates: Buffer<Float>
  private var block: [Int] = []
  private let waiting: [GrowableBuffer<Int32>]
  private let nearer: [GrowableBuffer<Candidate>]
  /// How many distances were computed.
  private(set) var decided = 0

  init(_ panels: MaxMinPanels, _ exact: PointsView<Double>, _ queue: FarthestQueue) throws(CoverTreeError) {
    (points, self.exact, self.queue) = (panels, exact, queue)
    coordinates = try Buffer(count: Self.size * panels.dim)
    var waiting: [GrowableBuffer<Int32>] = []
    var nearer: [GrowableBuffer<Candidate>] = []
    for _ in 0..<Self.size {
      waiting.append(try GrowableBuffer())
      nearer.append(try GrowableBuffer())
    }
    (self.waiting, self.nearer) = (waiting, nearer)
  }

  var rows: [UnsafePointer<Float>] { block.indices.map { UnsafePointer(coordinates.base + $0 * points.dim) } }
  /// Of each point of the block: points with their distances from it.
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

  /// How far a point looks is in the positions.
  func limit(_ i: Int) -> Double { 0 }

  @inline(__always)
  func keep(_ i: Int, position: Int, lower: Double, upper: Double) throws(CoverTreeError) {
    guard position < points.count else { return }
    try waiting[i].append(points.labels[position])
  }

  /// Decides about the pairs that were kept.
  func decide() throws(CoverTreeError) {
    for (i, index) in block.enumerated() {
      let row = exact.row(index)
      for label in waiting[i].elements where Int(label) != index {
        let score = euclideanScore(row, exact.row(Int(label)), dim: exact.dim)
        if score < queue.distance[label] { try nearer[i].append(Candidate(squared: score, index: label)) }
      }
      decided += waiting[i].count
    }
  }
}

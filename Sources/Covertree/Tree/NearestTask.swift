/// The `k` nearest points of each query of a set: by walking the boxes, or, where they keep nothing out, by comparing queries with
/// all points.
struct NearestTask<S: Scalar>: DimensionTask {
  let set: QuerySet<S>
  let snapshot: TreeSnapshot<S>
  let k: Int
  let options: SearchOptions
  let context: CallContext
  let counters: SearchCounters
  let indices: UnsafeMutablePointer<Int64>
  let distances: UnsafeMutablePointer<S>?

  /// Queries that tell how much boxes keep out.
  private static var probes: Int { 16 }
  /// Where a query is compared with more than this share of the points, comparing it with all of them by products of
  /// matrices costs less.
  private static var denseShare: Double { 0.25 }
  /// From so many dimensions on, up to so many neighbours: candidates of a batch of queries are held at once.
  private static var denseDimensions: Int { 16 }
  private static var denseNeighbors: Int { 1024 }
  /// Bytes are compared where rounding to them hides no more than this share of a neighbour's distance.
  private static var hiddenShare: Double { 0.05 }

  func run<D: Dimension>(_ dimension: D) throws(CoverTreeError) {
    guard snapshot.layout.dim >= Self.denseDimensions, k <= Self.denseNeighbors, set.count >= 8 * Self.probes else {
      try walk(0..<set.count, dimension)
      return
    }
    let compared = try walk(0..<Self.probes, dimension)
    let rest = Self.probes..<set.count
    guard Double(compared) > Self.denseShare * Double(Self.probes * snapshot.layout.count) else {
      try walk(rest, dimension)
      return
    }
    if let bytes = try snapshot.denseBytes(context), let excess = excessOfProbes(bytes) {
      let expected = { (query: QuerySet<S>.Query) in bytes.squaredLength(query.coordinates) + excess }
      try scan(rest, expected: options.predecessorsOnly ? nil : expected) { (batch) throws(CoverTreeError) in
        try ByteScan(bytes, batch)
      }
    } else if let norms = try snapshot.denseNorms(context) {
      try scan(rest, expected: nil) { (batch) throws(CoverTreeError) in
        try DenseScan(snapshot.boxes, norms, batch)
      }
    } else {
      try walk(rest, dimension)
    }
  }

  /// By how much a probe's squared distance from its k-th neighbour exceeds that from the points' centre, at most: many
  /// dimensions without structure leave little between queries.
  ///
  /// - Returns: nil where bytes hide too much beside the distances that the probes found.
  private func excessOfProbes(_ bytes: DenseBytes<S>) -> Double? {
    var excess = -Double.infinity
    var farthest = 0.0
    for place in 0..<Self.probes {
      let row = indices + set[place].row &* k
      guard let last = (0..<k).last(where: { row[$0] >= 0 }) else { continue }
      let neighbor = snapshot.layout.points.base + Int(snapshot.positions[Int(row[last])]) &* snapshot.layout.dim
      let squared = squaredEuclidean(set[place].coordinates, neighbor, dim: snapshot.layout.dim)
      excess = max(excess, squared - bytes.squaredLength(set[place].coordinates))
      farthest += squared.squareRoot()
    }
    return bytes.remainder <= Self.hiddenShare * farthest / Double(Self.probes) ? excess : nil
  }

  /// Compares queries with all points, in batches.
  ///
  /// - Parameter expected: a guess how far a query's k-th neighbour is, squared. Queries that find fewer than `k` points
  ///   within it are compared again without; where those are many, nothing is guessed any more.
  private func scan<B: BatchScan>(
    _ places: Range<Int>, expected: ((QuerySet<S>.Query) -> Double)?,
    _ make: (DenseBatch<S>) throws(CoverTreeError) -> B
  ) throws(CoverTreeError) {
    let size = DenseBatch<S>.size
    let room = min(k, snapshot.layout.count)
    let scanners = PerThread<Scanner<B>>(count: context.threads)
    try context.forEach((places.count + size - 1) / size, grain: 1) { (range, slot) throws(CoverTreeError) in
      let scanner = try scanners.value(slot) { () throws(CoverTreeError) in
        let batch = try DenseBatch(snapshot, k: room)
        return Scanner<B>(batch, try make(batch), guesses: expected != nil)
      }
      for part in range {
        let first = places.lowerBound + part * size
        let queries = (first..<min(places.upperBound, first + size)).map { set[$0] }
        let missed = try scanner.search(queries, options, room) {
          scanner.guesses ? min(farthestWanted, expected!($0)) : farthestWanted
        } write: {
          write($0, $1)
        }
        if missed.count * 4 > queries.count { scanner.guesses = false }
        _ = try scanner.search(missed, options, 0) { _ in
          farthestWanted
        } write: {
          write($0, $1)
        }
        counters.add(
          queries: queries.count, points: (queries.count + missed.count) * snapshot.layout.count, boxes: 0)
      }
    }
  }

  /// A thread's batch, and the scan that fills it.
  private final class Scanner<B: BatchScan> {
    private let batch: DenseBatch<S>
    private let scan: B
    var guesses: Bool

    init(_ batch: DenseBatch<S>, _ scan: B, guesses: Bool) {
      (self.batch, self.scan, self.guesses) = (batch, scan, guesses)
    }

    /// Searches for the nearest points within a bound of each query.
    ///
    /// - Returns: queries that found fewer than `enough`; nothing is written for them.
    func search(
      _ queries: [QuerySet<S>.Query], _ options: SearchOptions, _ enough: Int,
      within bound: (QuerySet<S>.Query) -> Double,
      write: (SortedNeighbors, QuerySet<S>.Query) -> Void
    ) throws(CoverTreeError) -> [QuerySet<S>.Query] {
      guard !queries.isEmpty else { return [] }
      batch.begin(queries.map { .init(query: $0, eligible: options.eligible($0), bound: bound($0)) })
      try scan.run()
      var missed: [QuerySet<S>.Query] = []
      for (i, query) in queries.enumerated() {
        let found = try batch.decided(i)
        if found.count >= enough || !guesses { write(found, query) } else { missed.append(query) }
      }
      return missed
    }
  }

  /// Walks the boxes for each query.
  ///
  /// - Returns: with how many points they were compared.
  @discardableResult
  private func walk<D: Dimension>(_ places: Range<Int>, _ dimension: D) throws(CoverTreeError) -> Int {
    let room = min(k, snapshot.layout.count)
    let compared = Counter()
    try context.forEach(places.count, grain: snapshot.queriesPerChunk) { (range, _) throws(CoverTreeError) in
      let part = range.lowerBound + places.lowerBound..<range.upperBound + places.lowerBound
      var search = try BoxSearch(snapshot.boxes, labels: snapshot.searchLabels, dimension: dimension)
      if room == 1 && part.count > 1 {
        try walkLanes(part, &search)
      } else if room <= NearestCollector.sortedLimit {
        try walkTiles(part, room, &search)
      } else {
        try walkSingly(part, room, &search)
      }
      counters.add(queries: range.count, points: search.pointsCompared, boxes: search.boxesCompared)
      compared.add(search.pointsCompared)
    }
    return compared.value
  }

  /// The nearest point of queries that follow each other, `width` of them at a time.
  private func walkLanes<D: Dimension>(_ places: Range<Int>, _ search: inout BoxSearch<S, D>) throws(CoverTreeError) {
    var lanes = try LaneSearch(snapshot.boxes, labels: snapshot.searchLabels, dimension: search.dimension)
    var closest = ClosestLanes<S>(lanes.slack)
    let scratch = try NearestCollector.Room(k: 1)
    let result = try Arena(Arena.size(1, of: Double.self), Arena.size(1, of: Int64.self))
    defer { withExtendedLifetime(result) {} }
    let (square, label) = (result.take(1, of: Double.self), result.take(1, of: Int64.self))
    for first in stride(from: places.lowerBound, to: places.upperBound, by: S.width) {
      let together = first..<min(places.upperBound, first + S.width)
      lanes.removeAll()
      for place in together {
        let query = set[place]
        lanes.add(query.coordinates, bound: farthestWanted, options.eligible(query))
      }
      try lanes.run(into: &closest)
      for place in together {
        let query = set[place]
        switch closest.outcome(place - first, of: lanes) {
        case .nothing:
          write(SortedNeighbors(count: 0, squares: square, labels: label), query)
        case .found(let place, let squared):
          square.pointee = squared
          label.pointee = Int64(snapshot.boxes.labels[place])
          write(SortedNeighbors(count: squared <= farthestWanted ? 1 : 0, squares: square, labels: label), query)
        case .undecided:
          var collector = DecidingNearest<S>(nearest: NearestCollector(scratch, bound: farthestWanted))
          try search.run(query.coordinates, options.eligible(query), into: &collector)
          write(collector.nearest.finished(), query)
        }
      }
    }
    search.count(lanes)
  }

  private func walkSingly<D: Dimension>(
    _ places: Range<Int>, _ k: Int, _ search: inout BoxSearch<S, D>
  ) throws(CoverTreeError) {
    let found = try NearestCollector.Room(k: k)
    for place in places {
      let query = set[place]
      var collector = DecidingNearest<S>(nearest: NearestCollector(found, bound: farthestWanted))
      try search.run(query.coordinates, options.eligible(query), into: &collector)
      write(collector.nearest.finished(), query)
    }
  }

  private var farthestWanted: Double { options.maximumDistance * options.maximumDistance }

  /// Queries that follow each other lie together: a tile of them begins at one frontier, and each looks no farther than
  /// to the neighbours of the one before it.
  private func walkTiles<D: Dimension>(
    _ places: Range<Int>, _ k: Int, _ search: inout BoxSearch<S, D>
  ) throws(CoverTreeError) {
    let room = try NearestFilter<S>.Room(k: k)
    defer { withExtendedLifetime(room) {} }
    let neighborhood = try Neighborhood<S>(dim: snapshot.layout.dim, k: k)
    let tile = try QueryTile<S>(dim: snapshot.layout.dim)
    let limit = search.slack.shown(farthestWanted)
    var place = places.lowerBound
    while place < places.upperBound {
      var queries = tile.take(from: place..<places.upperBound, search.dimension) { set[$0].coordinates }
      var reach = S.infinity
      if neighborhood.serves(before: earliest(queries)) && !queries.isEmpty {
        reach = search.slack.shown(
          beside: neighborhood.farthest(from: tile.low, tile.high, search.dimension))
        guard try tile.gather(reach: reach, &search) else { continue }
      } else {
        queries = place..<place + 1
      }
      for next in queries {
        let query = set[next]
        let eligible = options.eligible(query)
        var bound = min(limit, reach)
        if neighborhood.serves(before: eligible.before) {
          let farthest = neighborhood.farthest(from: query.coordinates, query.coordinates, search.dimension)
          bound = min(bound, search.slack.shown(beside: farthest))
        }
        var filter = NearestFilter(room, bound: bound, slack: search.slack)
        try search.run(query.coordinates, eligible, fromFrontier: reach < .infinity, into: &filter)
        let nearest = try filter.decided(search, query.coordinates, bound: farthestWanted, into: neighborhood)
        neighborhood.close(spare: options.excludesSelf ? (query.coordinates, query.index) : nil, search.dimension)
        write(nearest, query)
      }
      place = queries.upperBound
    }
  }

  /// The earliest bound on labels of some queries.
  @inline(__always)
  private func earliest(_ queries: Range<Int>) -> Int32 {
    guard options.predecessorsOnly else { return Int32.max }
    return queries.reduce(Int32.max) { min($0, set[$1].index) }
  }

  @inline(__always)
  private func write(_ found: SortedNeighbors, _ query: QuerySet<S>.Query) {
    let indices = indices + query.row &* k
    for rank in 0..<found.count { indices[rank] = found.labels[rank] }
    for rank in found.count..<k { indices[rank] = -1 }
    guard let distances else { return }
    let row = distances + query.row &* k
    for rank in 0..<found.count { row[rank] = S(found.squares[rank].squareRoot()) }
    // Squares that have underflowed come first; those of float32 coordinates cannot.
    var rank = 0
    while S.self == Double.self && rank < found.count && found.squares[rank] < smallestSquaredDistance {
      row[rank] = snapshot.tinyDistance(query.coordinates, Int(found.labels[rank]))
      rank &+= 1
    }
    for rank in found.count..<k { row[rank] = .infinity }
  }
}

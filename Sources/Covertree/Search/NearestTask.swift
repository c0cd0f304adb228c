/// The `k` nearest points of each query of a set: by walking the boxes, or, where they keep nothing out, by comparing queries with
/// all points.
struct NearestTask<Rows: NeighborRows>: DimensionTask {
  typealias S = Rows.S

  let set: QuerySet<S>
  let points: SearchPoints<S>
  let k: Int
  let options: SearchOptions
  let context: CallContext
  let counters: SearchCounters
  let rows: Rows
  /// Takes down what probes find.
  var recorder: Probes<S>?

  /// Queries are compared in batches for up to so many neighbours: candidates of a batch are held at once.
  private static var denseNeighbors: Int { 1024 }

  func run<D: Dimension>(_ dimension: D) throws(CoverTreeError) {
    guard k <= Self.denseNeighbors, DenseChoice.isOpen(dim: points.dim, queries: set.count) else {
      try walk(0..<set.count, dimension)
      return
    }
    let probes = try Probes<S>(DenseChoice.probes)
    var probing = self
    probing.recorder = probes
    let compared = try probing.walk(0..<DenseChoice.probes, dimension)
    let rest = DenseChoice.probes..<set.count
    guard DenseChoice.favorsComparing(compared: compared, queries: DenseChoice.probes, points: points.count) else {
      try walk(rest, dimension)
      return
    }
    let scan = DenseTask(
      points: points, set: set, k: min(k, points.count), options: options, context: context, counters: counters,
      rows: rows)
    if let bytes = try points.denseBytes(context), let guess = probes.guess(points, bytes) {
      try scan.run(rest, guess: options.areSomeTooLate ? nil : guess) { (batch) throws(CoverTreeError) in
        try ByteScan(bytes, batch)
      }
    } else if let norms = try points.denseNorms(context) {
      try scan.run(rest, guess: nil) { (batch) throws(CoverTreeError) in try DenseScan(norms, batch) }
    } else {
      try walk(rest, dimension)
    }
  }

  /// Walks the boxes for each query.
  ///
  /// - Returns: with how many points they were compared.
  @discardableResult
  fileprivate func walk<D: Dimension>(_ places: Range<Int>, _ dimension: D) throws(CoverTreeError) -> Int {
    let room = min(k, points.count)
    let compared = Counter()
    try context.forEach(places.count, grain: points.queriesPerChunk) { (range, _) throws(CoverTreeError) in
      let part = range.lowerBound + places.lowerBound..<range.upperBound + places.lowerBound
      var search = try BoxSearch(points.boxes, labels: points.labels, dimension: dimension)
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
    var lanes = try LaneSearch(points.boxes, labels: points.labels, dimension: search.dimension)
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
        lanes.add(query.coordinates, bound: options.farthestScore(query.row, S.self), options.eligible(query))
      }
      try lanes.run(into: &closest)
      for place in together {
        let query = set[place]
        switch closest.outcome(place - first, of: lanes) {
        case .nothing:
          try write(SortedNeighbors(count: 0, squares: square, labels: label), query)
        case .found(let place, let squared):
          square.pointee = squared
          label.pointee = Int64(points.boxes.labels[place])
          try write(
            SortedNeighbors(
              count: squared <= options.farthestScore(query.row, S.self) ? 1 : 0, squares: square, labels: label), query
          )
        case .undecided:
          var collector = DecidingNearest<S>(
            nearest: NearestCollector(scratch, bound: options.farthestScore(query.row, S.self)))
          try search.run(query.coordinates, options.eligible(query), into: &collector)
          try write(collector.nearest.finished(), query)
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
      var collector = DecidingNearest<S>(
        nearest: NearestCollector(found, bound: options.farthestScore(query.row, S.self)))
      try search.run(query.coordinates, options.eligible(query), into: &collector)
      try write(collector.nearest.finished(), query)
    }
  }

  /// Queries that follow each other lie together: a tile of them begins at one frontier, and each looks no farther than
  /// to the neighbours of the one before it.
  private func walkTiles<D: Dimension>(
    _ places: Range<Int>, _ k: Int, _ search: inout BoxSearch<S, D>
  ) throws(CoverTreeError) {
    let room = try NearestFilter<S>.Room(k: k)
    defer { withExtendedLifetime(room) {} }
    let neighborhood = try Neighborhood<S>(dim: points.dim, k: k)
    let tile = try QueryTile<S>(dim: points.dim)
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
        let (eligible, farthest) = (options.eligible(query), options.farthestScore(query.row, S.self))
        var bound = min(search.slack.shown(farthest), reach)
        if neighborhood.serves(before: eligible.before) {
          let reached = neighborhood.farthest(from: query.coordinates, query.coordinates, search.dimension)
          bound = min(bound, search.slack.shown(beside: reached))
        }
        var filter = NearestFilter(room, bound: bound, slack: search.slack)
        try search.run(query.coordinates, eligible, fromFrontier: reach < .infinity, into: &filter)
        let nearest = try filter.decided(search, query.coordinates, bound: farthest, into: neighborhood)
        neighborhood.close(spare: options.excludesSelf ? (query.coordinates, query.index) : nil, search.dimension)
        try write(nearest, query)
      }
      place = queries.upperBound
    }
  }

  /// The earliest bound on labels of some queries.
  @inline(__always)
  private func earliest(_ queries: Range<Int>) -> Int32 {
    guard options.areSomeTooLate else { return Int32.max }
    return queries.reduce(Int32.max) { min($0, options.eligible(set[$1]).before) }
  }

  @inline(__always)
  private func write(_ found: SortedNeighbors, _ query: QuerySet<S>.Query) throws(CoverTreeError) {
    try rows.write(found, query)
    if let recorder { recorder.take(found, query) }
  }
}

/// Where the neighbours of queries are written. To be known by its type where it is used.
protocol NeighborRows<S> {
  associatedtype S: Scalar
  func write(_ found: SortedNeighbors, _ query: QuerySet<S>.Query) throws(CoverTreeError)
}

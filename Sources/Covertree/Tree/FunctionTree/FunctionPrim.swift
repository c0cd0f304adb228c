import CovertreeBase

/// Completes a minimum spanning tree of objects by Prim's algorithm: from one component, it adds the least edge to another one, until all
/// are joined. Each round compares one object with all that are not in the tree yet.
///
/// A pair is evaluated at most once, and not at all if a pivot is in it, or if its lower bound comes after the least known edge to the component
/// outside. So the function is evaluated for fewer than n (n - 1) / 2 pairs, in blocks of rows that lie one after the other: this is the way
/// where bounds exclude little (`FunctionForest` is the other one). Memory is O(n).
///
/// Bounds are those of the pivots and of an *anchor*, an earlier row whose distances are kept. Rows of a cluster are added one after the
/// other. So an anchor in it is near the next rows, and far from most others. A row of which bounds exclude less than half is the next anchor.
final class FunctionPrim: @unchecked Sendable {
  /// Of a block of which bounds exclude less than this share, all pairs are evaluated, where the rows lie.
  private static let worthSkipping = 1.0 / 16
  /// Rounds between two measurements of what bounds exclude, and rounds that measure it.
  private static let (period, measured) = (256, 16)

  private let search: FunctionSearch
  private let snapshot: FunctionSnapshot
  /// By row: the tree index, the core distance, and the component.
  private let nodes: Buffer<Int32>
  private let cores: Buffer<Double>?
  private let components: Buffer<Int32>
  private let found: GrowableBuffer<TreeEdge>
  /// The rows of each component, one after the other; by component: the first of them.
  private let members: Buffer<Int32>
  private let starts: Buffer<Int32>
  /// Rows outside the tree, without pivots, and their objects, in the same order; by row: its place there, or -1.
  private let outside: Buffer<Int32>
  private let objects: ObjectRows
  private let places: Buffer<Int32>
  private var outsideCount = 0
  /// Rows of pivots outside the tree, with the numbers of the pivots.
  private var pivots: [(row: Int32, number: Int)] = []
  /// By row, and by component: the least known edge from the tree; `none` if none is known.
  private let nearest: Buffer<TreeEdge>
  private let least: Buffer<TreeEdge>
  private let workers: PerThread<Worker>
  private var rounds = 0
  private var usesBounds = true
  /// By row: the distance from the anchor, or -1; and those from the row that is compared now.
  private var fromAnchor: Buffer<Double>
  private var fromRow: Buffer<Double>
  private var anchor: Int32 = -1
  private let pairEvaluator: PairEvaluator
  /// Pairs that bounds exclude, and all; and those before the last measurement.
  private let (excluded, seen) = (Counter(), Counter())
  private var (excludedBefore, seenBefore) = (0, 0)

  /// - Parameters:
  ///   - search: of all objects.
  ///   - components: by row; a component is known by one of its rows.
  ///   - found: the edges in components, to which the others are added.
  init(
    _ search: FunctionSearch, nodes: Buffer<Int32>, cores: Buffer<Double>?, components: Buffer<Int32>,
    found: GrowableBuffer<TreeEdge>
  ) throws(CoverTreeError) {
    (self.search, snapshot, self.nodes, self.cores) = (search, search.snapshot, nodes, cores)
    (self.components, self.found) = (components, found)
    let count = nodes.count
    starts = try Buffer(count: count + 1, filledWith: 0)
    for component in components.elements { starts[Int(component) + 1] += 1 }
    for row in 0..<count { starts[row + 1] += starts[row] }
    members = try Buffer(count: count)
    places = try Buffer(count: count, filledWith: 0)
    for row in 0..<count {
      let component = Int(components[row])
      members[Int(starts[component] + places[component])] = Int32(row)
      places[component] += 1
    }
    outside = try Buffer(count: count)
    nearest = try Buffer(count: count, filledWith: .none)
    least = try Buffer(count: count, filledWith: .none)
    fromAnchor = try Buffer(count: count, filledWith: -1)
    fromRow = try Buffer(count: count, filledWith: -1)
    pairEvaluator = try PairEvaluator(search.function, snapshot.objects.type, context: search.context)
    workers = PerThread(count: search.context.threads)
    for row in 0..<count {
      let pivot = snapshot.links.pivot[nodes[row]]
      places[row] = pivot < 0 ? Int32(outsideCount) : -1
      guard pivot < 0 else {
        pivots.append((Int32(row), Int(pivot)))
        continue
      }
      outside[outsideCount] = Int32(row)
      outsideCount += 1
    }
    let ordered = try Buffer<Int32>(count: outsideCount)
    for place in 0..<outsideCount { ordered[place] = nodes[outside[place]] }
    objects = try ObjectRows(snapshot.objects, rows: ordered.elements)
  }

  /// Adds the edges that are missing.
  func run() throws(CoverTreeError) {
    defer {
      let ofWorkers = workers.all.reduce(0) { $0 + $1.evaluator.evaluations }
      search.counters.add(queries: 0, points: ofWorkers + pairEvaluator.evaluations, boxes: 0)
    }
    let (count, first) = (nodes.count, found.count)
    var next = components[0]
    while true {
      let rows = Int(starts[next])..<Int(starts[Int(next) + 1])
      for slot in rows { leave(members[slot]) }
      guard found.count < count - 1 else { return }
      for slot in rows {
        try compare(members[slot])
        let done = Double(found.count - first) / Double(count - first)
        search.context.stage(from: done, to: done)
      }
      next = choose()
      try found.append(least[next])
    }
  }

  /// Takes a row from those outside. The last one moves to its place.
  private func leave(_ row: Int32) {
    pivots.removeAll { $0.row == row }
    guard places[row] >= 0 else { return }
    outsideCount -= 1
    let (place, last) = (places[row], outside[outsideCount])
    outside[Int(place)] = last
    places[Int(last)] = place
    places[Int(row)] = -1
    UnsafeMutableRawPointer(mutating: objects.row(place)).copyMemory(
      from: objects.row(Int32(outsideCount)), byteCount: objects.type.rowBytes)
  }

  /// Finds the edges of a row to all objects outside.
  private func compare(_ row: Int32) throws(CoverTreeError) {
    let embedding = snapshot.embedding(nodes[row])
    for pivot in pivots { take(row, pivot.row, embedding[pivot.number]) }
    let own = Int(snapshot.links.pivot[nodes[row]])
    if own >= 0 {
      for place in 0..<outsideCount { note(row, outside[place], snapshot.embedding(nodes[outside[place]])[own]) }
    } else {
      plan()
      let (apart, excludedBefore) = (try distanceFromAnchor(row), excluded.value)
      let grain = DistanceFunction.pairsPerCall(rowBytes: objects.type.rowBytes)
      try search.context.forEach(outsideCount, grain: grain) { (range, slot) throws(CoverTreeError) in
        let worker = try workers.value(slot) { () throws(CoverTreeError) in try Worker(search) }
        try compare(row, range, apart, worker)
      }
      if 2 * (excluded.value - excludedBefore) < outsideCount {
        anchor = row
        swap(&fromAnchor, &fromRow)
      }
    }
    for place in 0..<outsideCount { lower(outside[place]) }
    for pivot in pivots { lower(pivot.row) }
  }

  /// The distance of a row from the anchor; -1 if it is not known, or of no use.
  private func distanceFromAnchor(_ row: Int32) throws(CoverTreeError) -> Double {
    guard usesBounds, anchor >= 0 else { return -1 }
    // Other rows were outside when the anchor was compared.
    guard components[row] == components[anchor] else { return fromAnchor[row] }
    try pairEvaluator.add(snapshot.objects.row(nodes[anchor]), snapshot.objects.row(nodes[row]))
    return try pairEvaluator.run()[0]
  }

  /// Decides whether bounds are worth their time. That does not depend on the number of threads.
  private func plan() {
    let round = rounds % Self.period
    if round == 0 {
      usesBounds = true
      (excludedBefore, seenBefore) = (excluded.value, seen.value)
    } else if round == Self.measured {
      let share = Double(excluded.value - excludedBefore) / Double(max(1, seen.value - seenBefore))
      usesBounds = share >= Self.worthSkipping
    }
    rounds += 1
  }

  private func compare(
    _ row: Int32, _ range: Range<Int>, _ apart: Double, _ worker: Worker
  ) throws(CoverTreeError) {
    let (evaluator, wanted) = (worker.evaluator, worker.wanted)
    evaluator.begin(snapshot.objects.row(nodes[row]))
    wanted.removeAll()
    let hasBounds = usesBounds || cores != nil
    if hasBounds {
      for place in range where mayBeLeast(row, outside[place], apart) { try wanted.append(Int32(place)) }
      excluded.add(range.count - wanted.count)
      seen.add(range.count)
    }
    if !hasBounds || Double(range.count - wanted.count) < Self.worthSkipping * Double(range.count) {
      let distances = try evaluator.run(objects.row(Int32(range.lowerBound)), count: range.count)
      for (slot, place) in range.enumerated() { take(row, outside[place], distances[slot]) }
    } else {
      for place in range { fromRow[Int(outside[place])] = -1 }
      for place in wanted.elements { evaluator.add(objects.row(place)) }
      let distances = try evaluator.run()
      for slot in 0..<wanted.count { take(row, outside[Int(wanted[slot])], distances[slot]) }
    }
  }

  /// Whether the edge of a pair may come before all known ones to the component outside.
  ///
  /// - Parameter apart: the distance of the row from the anchor, or -1.
  @inline(__always)
  private func mayBeLeast(_ row: Int32, _ other: Int32, _ apart: Double) -> Bool {
    var bound = 0.0
    if apart >= 0, fromAnchor[other] >= 0 { bound = max(0, thirdSide(apart, fromAnchor[other])) }
    if let cores { bound = max(bound, max(cores[row], cores[other])) }
    let limit = least[components[other]]
    guard usesBounds, bound < limit.score else { return TreeEdge(score: bound, between: row, and: other) < limit }
    bound = max(bound, snapshot.pivots.bound(snapshot.embedding(nodes[row]), snapshot.embedding(nodes[other])))
    return TreeEdge(score: bound, between: row, and: other) < limit
  }

  /// Takes a distance that was evaluated.
  @inline(__always)
  private func take(_ row: Int32, _ other: Int32, _ distance: Double) {
    fromRow[Int(other)] = distance
    note(row, other, distance)
  }

  /// Takes a distance.
  @inline(__always)
  private func note(_ row: Int32, _ other: Int32, _ distance: Double) {
    var score = distance
    if let cores { score = max(score, max(cores[row], cores[other])) }
    let edge = TreeEdge(score: score, between: row, and: other)
    if edge < nearest[other] { nearest[Int(other)] = edge }
  }

  @inline(__always)
  private func lower(_ row: Int32) {
    let component = Int(components[row])
    if nearest[row] < least[component] { least[component] = nearest[row] }
  }

  /// The component outside that is nearest to the tree.
  private func choose() -> Int32 {
    var best = TreeEdge.none
    var component: Int32 = -1
    func see(_ row: Int32) {
      let other = components[row]
      if component < 0 || least[other] < best { (best, component) = (least[other], other) }
    }
    for place in 0..<outsideCount { see(outside[place]) }
    for pivot in pivots { see(pivot.row) }
    return component
  }

  /// The memory of one thread.
  private final class Worker {
    let evaluator: RowEvaluator
    /// Places whose pairs are evaluated.
    let wanted: GrowableBuffer<Int32>

    init(_ search: FunctionSearch) throws(CoverTreeError) {
      evaluator = try RowEvaluator(search.function, search.snapshot.objects.type, context: search.context)
      wanted = try GrowableBuffer()
    }
  }
}

import CovertreeBase

/// The walk of one query through a tree of a caller's metric: best first, by lower bounds of distances.
///
/// The queue has objects, by a lower bound of their distance, and subtrees, by a lower bound of all distances in them. Bounds come from the
/// embeddings, and from known distances `d` of the query to a node: a child whose distance from that node is `e` is at least `|d - e|` away,
/// and nothing in a subtree of radius `r` is nearer than `d - r`. The entry with the lowest bound comes first, so of all searches
/// by these bounds none evaluates fewer objects (G. Hjaltason, H. Samet, "Distance browsing in spatial databases", ACM TODS 24,
/// 1999). If embeddings are far below distances (`PivotTable.isLoose`), the root of a subtree is evaluated before its children; so it is, too,
/// for results that take whole subtrees by bounds of all their distances.
///
/// For results whose reach never changes the order decides nothing: their queue is a stack.
///
/// If a walk needs distances it stops, so that one call evaluates the pairs of many walks.
struct FunctionWalk {
  /// Subtrees of at least this many nodes are worth the distance of their root.
  private static let worthwhile: Int32 = 3
  /// Distances that a walk in any order asks for at once.
  private static let most = 256

  private struct Entry: BitwiseCopyable, Comparable {
    /// No distance of the entry is below it.
    var key: Double
    /// A lower bound of the distance of the node itself.
    var own: Double
    var node: Int32
    var isSubtree: Bool

    /// Objects come before subtrees of the same bound.
    static func < (a: Entry, b: Entry) -> Bool {
      (a.key, a.isSubtree ? 1 : 0, a.node) < (b.key, b.isSubtree ? 1 : 0, b.node)
    }
  }

  private let snapshot: FunctionSnapshot
  /// nil if all objects may be found.
  private let admitted: AdmittedNodes?
  private let ahead: MinHeap<Entry>
  /// Instead of it, for walks in any order.
  private let stack: GrowableBuffer<Entry>
  private let asked: GrowableBuffer<Entry>
  private var embedding: UnsafePointer<Double>
  private var eligible = IndexFilter()
  private var evaluated = 0

  init(_ snapshot: FunctionSnapshot, _ admitted: AdmittedNodes?) throws(CoverTreeError) {
    (self.snapshot, self.admitted) = (snapshot, admitted)
    ahead = try MinHeap()
    stack = try GrowableBuffer()
    asked = try GrowableBuffer()
    embedding = snapshot.embedding(0)
  }

  /// The nodes whose distances the walk needs now.
  var needed: Int { asked.count }
  func needed(_ slot: Int) -> Int32 { asked[slot].node }

  /// Begins at the root.
  mutating func begin<R: FunctionResult>(
    _ embedding: UnsafePointer<Double>, _ eligible: IndexFilter, into result: inout R
  ) throws(CoverTreeError) {
    (self.embedding, self.eligible, evaluated) = (embedding, eligible, 0)
    ahead.removeAll()
    stack.removeAll()
    asked.removeAll()
    // The distances of pivots are known.
    for (pivot, index) in snapshot.pivots.indices.enumerated() {
      let node = Int(index) < snapshot.nodes.count ? snapshot.nodes[index] : -1
      if node >= 0, isCounted(node, by: result) { try result.add(embedding[pivot], index, at: node) }
    }
    let own = max(0, snapshot.pivots.bound(embedding, snapshot.embedding(0)))
    let isSubtree = snapshot.layout.count > 1
    try push(Entry(key: isSubtree ? 0 : own, own: own, node: 0, isSubtree: isSubtree), for: result)
  }

  /// Goes on until the walk needs distances, or has ended: then it needs none.
  mutating func advance<R: FunctionResult>(into result: inout R) throws(CoverTreeError) {
    asked.removeAll()
    // The more it has evaluated, the more it asks for at once.
    let most = R.isOrdered ? 1 + evaluated / 8 : Self.most
    while asked.count < most, let entry = R.isOrdered ? ahead.pop() : stack.popLast() {
      guard entry.key <= result.reach else {
        // The others of a heap are not nearer. On a stack none is beyond the reach, except the root.
        ahead.removeAll()
        continue
      }
      try entry.isSubtree ? open(entry, into: &result) : decide(entry, into: &result)
    }
    evaluated += asked.count
  }

  /// Takes the distances that the walk needed.
  mutating func take<R: FunctionResult>(
    _ distances: UnsafeBufferPointer<Double>, into result: inout R
  ) throws(CoverTreeError) {
    for slot in 0..<asked.count { try note(asked[slot], distances[slot], into: &result) }
  }

  @inline(__always)
  private func push<R: FunctionResult>(_ entry: Entry, for result: R) throws(CoverTreeError) {
    try R.isOrdered ? ahead.push(entry) : stack.append(entry)
  }

  private func isCounted<R: FunctionResult>(_ node: Int32, by result: R) -> Bool {
    (admitted?.contains(node) ?? snapshot.isLive(node)) && eligible.admits(snapshot.layout.order[node])
      && result.admits(node)
  }

  /// The nodes of a subtree that may be found, as far as that does not depend on the query.
  private func size(of subtree: Int32) -> Int32 {
    admitted?.count(below: subtree) ?? snapshot.layout.subtreeEnd[subtree] - subtree
  }

  private mutating func decide<R: FunctionResult>(_ entry: Entry, into result: inout R) throws(CoverTreeError) {
    // A duplicate may have a lower index.
    let mayWait = snapshot.links.hasDuplicates[entry.node] != 0
    guard mayWait || result.wants(entry.own, snapshot.layout.order[entry.node]) else { return }
    let pivot = snapshot.links.pivot[entry.node]
    guard pivot < 0 else { return try note(entry, embedding[Int(pivot)], into: &result) }
    try asked.append(entry)
  }

  private mutating func open<R: FunctionResult>(_ entry: Entry, into result: inout R) throws(CoverTreeError) {
    let node = entry.node
    let pivot = snapshot.links.pivot[node]
    if pivot >= 0 { return try note(entry, embedding[Int(pivot)], into: &result) }
    if snapshot.pivots.isLoose || R.takesSubtrees && entry.own <= result.reach, size(of: node) >= Self.worthwhile {
      return try asked.append(entry)
    }
    try pushChildren(of: entry, at: nil, into: &result)
    guard isCounted(node, by: result), entry.own <= result.reach else { return }
    try push(Entry(key: entry.own, own: entry.own, node: node, isSubtree: false), for: result)
  }

  /// Handles an entry whose distance is known.
  private mutating func note<R: FunctionResult>(
    _ entry: Entry, _ distance: Double, into result: inout R
  ) throws(CoverTreeError) {
    let node = entry.node
    if R.takesSubtrees, entry.isSubtree {
      let radius = snapshot.layout.radius[node]
      let slack = DistanceFunction.slack * (distance + radius)
      if take(node, from: max(entry.key, distance - radius - slack), to: distance + radius + slack, into: &result) {
        return
      }
    }
    // Results have the pivots already.
    if isCounted(node, by: result), snapshot.links.pivot[node] < 0 {
      try result.add(distance, snapshot.layout.order[node], at: node)
    }
    if entry.isSubtree {
      try pushChildren(of: entry, at: distance, into: &result)
    } else if snapshot.links.hasDuplicates[node] != 0 {
      for child in snapshot.children(of: node) where snapshot.layout.levels[child] == TreeNodes.duplicate {
        try push(child, own: distance, key: distance, most: distance, into: &result)
      }
    }
  }

  /// - Parameter distance: of the query to the entry's node, if it is known.
  private mutating func pushChildren<R: FunctionResult>(
    of entry: Entry, at distance: Double?, into result: inout R
  ) throws(CoverTreeError) {
    let (layout, links, pivots) = (snapshot.layout, snapshot.links, snapshot.pivots)
    // The duplicates of a node that may be evaluated wait for its distance.
    let waits = distance == nil && isCounted(entry.node, by: result)
    for child in snapshot.children(of: entry.node) where layout.subtreeMin[child] < eligible.upperIndex {
      let isDuplicate = layout.levels[child] == TreeNodes.duplicate
      if isDuplicate, waits { continue }
      let near = pivots.bound(embedding, snapshot.embedding(child))
      var own = max(near, entry.key)
      var key = max(near - links.reach[child], entry.key)
      if let distance {
        let apart = links.parentDistance[child]
        own = max(own, isDuplicate ? distance : thirdSide(distance, apart))
        let radius = layout.radius[child]
        key = max(key, thirdSide(distance, apart) - radius * (1 + DistanceFunction.slack))
      }
      var most = Double.infinity
      if R.takesSubtrees {
        most = pivots.upperBound(embedding, snapshot.embedding(child))
        if let distance {
          most = min(most, (distance + links.parentDistance[child]) * (1 + 2 * DistanceFunction.slack))
        }
      }
      try push(child, own: own, key: key, most: most, into: &result)
    }
  }

  /// Lets a result take a subtree whose distances are between two bounds.
  private func take<R: FunctionResult>(
    _ node: Int32, from least: Double, to most: Double, into result: inout R
  ) -> Bool {
    result.take(node, end: snapshot.layout.subtreeEnd[node], from: least, to: most)
  }

  /// - Parameters:
  ///   - own: a lower bound of the distance of a node.
  ///   - key: of all distances in its subtree.
  ///   - most: an upper bound of the distance of the node.
  private mutating func push<R: FunctionResult>(
    _ node: Int32, own: Double, key: Double, most: Double, into result: inout R
  ) throws(CoverTreeError) {
    let reach = result.reach
    if R.takesSubtrees {
      let isLeaf = snapshot.layout.subtreeEnd[node] - node == 1
      let farthest = isLeaf ? most : (most + snapshot.layout.radius[node]) * (1 + 2 * DistanceFunction.slack)
      if take(node, from: isLeaf ? own : key, to: farthest, into: &result) { return }
    }
    guard snapshot.layout.subtreeEnd[node] - node > 1 else {
      if own <= reach, isCounted(node, by: result) {
        try push(Entry(key: own, own: own, node: node, isSubtree: false), for: result)
      }
      return
    }
    guard key <= reach, size(of: node) > 0, result.mayUse(node) else { return }
    try push(Entry(key: min(key, own), own: own, node: node, isSubtree: true), for: result)
  }
}

/// Collects the objects that a walk finds.
protocol FunctionResult {
  /// Objects that are farther are of no use.
  var reach: Double { get }
  /// Whether a node that searches find counts.
  func admits(_ node: Int32) -> Bool
  /// Whether some nodes of a subtree may be of use.
  func mayUse(_ subtree: Int32) -> Bool
  /// Whether an object of at least this distance may be of use.
  func wants(_ distance: Double, _ index: Int32) -> Bool
  /// Takes an object, which has a dataset index and a node.
  mutating func add(_ distance: Double, _ index: Int32, at node: Int32) throws(CoverTreeError)
  /// Whether objects that are found lower the reach, so that near ones should come first.
  static var isOrdered: Bool { get }
  /// Whether whole subtrees may be taken.
  static var takesSubtrees: Bool { get }
  /// Takes all objects of a subtree, which ends before a node, but not the pivots among them. Their distances are between two bounds.
  /// Returns false if they have to be seen.
  mutating func take(_ subtree: Int32, end: Int32, from least: Double, to most: Double) -> Bool
}

extension FunctionResult {
  static var isOrdered: Bool { true }
  static var takesSubtrees: Bool { false }
  mutating func take(_ subtree: Int32, end: Int32, from least: Double, to most: Double) -> Bool { false }
  func admits(_ node: Int32) -> Bool { true }
  func mayUse(_ subtree: Int32) -> Bool { true }
}

/// The `k` nearest objects.
struct NearestObjects: FunctionResult {
  var nearest: TopK

  var reach: Double { nearest.worst }
  func wants(_ distance: Double, _ index: Int32) -> Bool { nearest.wants(distance, index) }
  mutating func add(_ distance: Double, _ index: Int32, at node: Int32) { nearest.insert(distance, index) }
}

/// All objects within a distance.
struct ObjectsWithin: FunctionResult {
  static var isOrdered: Bool { false }
  let reach: Double
  let found: GrowableBuffer<Candidate>

  func wants(_ distance: Double, _ index: Int32) -> Bool { distance <= reach }
  mutating func add(_ distance: Double, _ index: Int32, at node: Int32) throws(CoverTreeError) {
    if distance <= reach { try found.append(Candidate(squared: distance, index: index)) }
  }
}

import CovertreeBase

/// The vectors of an index, their ids, and their *slots*, in the order in which vectors were added.
///
/// Slots of removed vectors are dead until a compaction of the table moves later ones up. Vectors are stored in float32, in a smaller
/// form, or in both. With both, candidates are found among the smaller ones (`scanned`) and ranked by the others (`decisive`). Those in
/// float32 may be pinned in a store.
final class VectorTable: @unchecked Sendable {
  let dim: Int
  let options: IndexOptions
  /// The caller's vectors in float32; nil if only a smaller form is stored.
  private(set) var exact: VectorRows?
  private(set) var small: VectorRows?
  private(set) var ids: GrowableBuffer<Int64>
  /// The order in which vectors were added, for ties: it differs from the order of slots after a permutation.
  private(set) var serials: GrowableBuffer<Int32>
  /// By slot: 1 for removed vectors.
  private(set) var dead: GrowableBuffer<UInt8>
  private(set) var deadCount = 0
  private let slotOf: IdTable
  private(set) var nextID: Int64 = 0
  /// Whether the use of bytes was decided.
  var isJudged = false

  /// Squares of such coordinates, and sums of them, do not overflow a float.
  static var coordinateLimit: Float { 1e15 }

  /// Slots in use, dead ones included.
  var count: Int { ids.count }
  /// Vectors that searches find.
  var liveCount: Int { ids.count - deadCount }
  /// The rows in which candidates are found.
  var scanned: VectorRows { small ?? exact! }
  /// The rows by which answers are ranked.
  var decisive: VectorRows { exact ?? small! }

  /// - Parameter source: a store whose rows of float32 are read in place; nil for own rows.
  init(dim: Int, options: IndexOptions, source: RowSource?) throws(CoverTreeError) {
    self.dim = dim
    self.options = options
    (ids, serials, dead, slotOf) = (try GrowableBuffer(), try GrowableBuffer(), try GrowableBuffer(), try IdTable())
    let products = options.metric.comparesProducts
    if let source {
      exact = try VectorRows(of: source, products: products, bytes: GrowableBuffer())
    } else if options.storage == .float32 || options.reranks {
      exact = try VectorRows(.float32, dim: dim, products: products, padded: options.kind != .kdTree)
    }
    if options.storage != .float32 {
      small = try VectorRows(options.storage, dim: dim, products: products, padded: true)
    }
  }

  init(
    dim: Int, options: IndexOptions, exact: VectorRows?, small: VectorRows?, ids: Buffer<Int64>,
    serials: Buffer<Int32>, dead: Buffer<UInt8>, nextID: Int64
  ) throws(CoverTreeError) {
    (self.dim, self.options, self.exact, self.small, self.nextID) = (dim, options, exact, small, nextID)
    (self.ids, self.serials, self.dead) = (
      GrowableBuffer(viewing: ids), GrowableBuffer(viewing: serials), GrowableBuffer(viewing: dead)
    )
    deadCount = dead.elements.reduce(0) { $0 + Int($1) }
    slotOf = try IdTable()
    try slotOf.reserve(ids.count)
    for slot in 0..<ids.count where dead[slot] == 0 {
      guard self.slot(of: ids[slot]) == nil else {
        throw CoverTreeError(.corrupt, "index: two vectors of the file have the id \(ids[slot])")
      }
      slotOf.insert(Int32(slot), in: ids.base)
    }
  }

  func slot(of id: Int64) -> Int? { slotOf.slot(of: id, in: ids.base, dead: dead.base) }

  func slots(of ids: UnsafeBufferPointer<Int64>) throws(CoverTreeError) -> Buffer<Int32> {
    let slots = try Buffer<Int32>(count: ids.count)
    for (position, id) in ids.enumerated() {
      guard let slot = slot(of: id) else {
        throw CoverTreeError(.notFound, "ids[\(position)]: the index has no vector \(id)")
      }
      slots[position] = Int32(slot)
    }
    return slots
  }

  /// By slot: 1 for vectors that may be found; nil if all may.
  func admitted(_ filter: IDFilter) throws(CoverTreeError) -> Buffer<UInt8>? {
    if case .all = filter, deadCount == 0 { return nil }
    let flags = try Buffer<UInt8>(count: count, filledWith: 0)
    switch filter {
    case .all: for slot in 0..<count { flags[slot] = 1 - dead[slot] }
    case .ids(let list): for id in list { if let slot = slot(of: id) { flags[slot] = 1 } }
    case .bitmap(let bytes):
      for slot in 0..<count where dead[slot] == 0 {
        let id = ids[slot]
        guard id >= 0, id >> 3 < Int64(bytes.count) else { continue }
        flags[slot] = bytes[Int(id >> 3)] >> UInt8(id & 7) & 1
      }
    }
    return flags
  }

  var byteCount: Int {
    ids.byteCount + serials.byteCount + dead.byteCount + slotOf.byteCount + (exact?.byteCount ?? 0)
      + (small?.byteCount ?? 0)
  }

  /// Copies arrays of a file, before they are changed.
  func own() throws(CoverTreeError) {
    try ids.own()
    try serials.own()
    try dead.own()
    try exact?.own()
    try small?.own()
  }

  /// Adds vectors, or nothing.
  ///
  /// - Parameter given: an id for each; nil for the numbers after the largest so far.
  /// - Returns: the first slot.
  func append(
    _ vectors: NewVectors, ids given: UnsafeBufferPointer<Int64>?, context: CallContext
  ) throws(CoverTreeError) -> Int {
    let (first, nextID) = (count, nextID)
    do throws(CoverTreeError) {
      try insert(vectors, ids: given, context: context)
    } catch {
      truncate(to: first, nextID: nextID)
      throw error
    }
    return first
  }

  private func insert(
    _ vectors: NewVectors, ids given: UnsafeBufferPointer<Int64>?, context: CallContext
  ) throws(CoverTreeError) {
    let (first, more) = (count, vectors.count)
    let pending = try pendingVectors(vectors, context: context)
    let scratch = try Buffer<Float>(count: (context.threads + 1) * decisive.coordinates)
    for rows in [exact, small] { try rows?.reserve(more) { pending.row($0, or: scratch.base) } }
    try appendIDs(given, more)
    exact?.extend(by: more)
    small?.extend(by: more)
    let (exact, small, lease) = (exact, small, pending.lease)
    let unhurried = CallContext(threads: context.threads)  // cannot be cancelled any more
    try unhurried.forEach(more, grain: 256) { (range, thread) throws(CoverTreeError) in
      let own = scratch.base + (thread + 1) * decisive.coordinates
      for position in range {
        let row = try pending.stableRow(position, copiedTo: own, dim)
        if let lease { exact?.set(first + position, lease.rows[position]) } else { exact?.set(first + position, row) }
        small?.set(first + position, row)
      }
    }
    lease?.keep()
  }

  /// Adds ids, or nothing.
  private func appendIDs(_ given: UnsafeBufferPointer<Int64>?, _ more: Int) throws(CoverTreeError) {
    let first = count
    guard first + more < Int(Int32.max) else {
      throw CoverTreeError(.invalidArgument, "vectors: an index holds at most 2^31 - 2 of them")
    }
    let (last, overflow) = nextID.addingReportingOverflow(Int64(more))
    guard given != nil || !overflow else { throw CoverTreeError(.invalidArgument, "ids: no numbers are left to give") }
    try ids.reserve(more)
    try serials.reserve(more)
    try dead.reserve(more)
    let areNumbers = given == nil && nextID == Int64(first) && slotOf.plain == first
    if !areNumbers { try slotOf.reserve(more) }
    let nextSerial = try nextSerial(first, more)
    // From here on only an id can be wrong.
    try ids.resize(to: first + more)
    try dead.resize(to: first + more)
    (dead.base + first).update(repeating: 0, count: more)
    for position in 0..<more {
      let id = given?[position] ?? nextID + Int64(position)
      // Numbers that are assigned here are new.
      guard given == nil || slot(of: id) == nil else {
        slotOf.truncate(to: first, in: ids.base, dead: dead.base, count: first + position)
        try ids.resize(to: first)
        try dead.resize(to: first)
        throw CoverTreeError(.exists, "ids[\(position)]: the index already has a vector \(id)")
      }
      ids[first + position] = id
      slotOf.insert(Int32(first + position), in: ids.base)
    }
    try serials.resize(to: first + more)
    for position in 0..<more { serials[first + position] = nextSerial + Int32(position) }
    if let largest = given?.max() {
      nextID = max(nextID, largest == .max ? .max : largest + 1)
    } else {
      nextID = last
    }
  }

  /// The next serial number. Serial numbers are renumbered before they exceed 31 bits.
  private func nextSerial(_ count: Int, _ more: Int) throws(CoverTreeError) -> Int32 {
    guard let last = serials.elements[..<count].max() else { return 0 }
    guard Int(last) + more >= Int(Int32.max) else { return last + 1 }
    let keys = try Buffer<UInt64>(count: count)
    for slot in 0..<count { keys[slot] = UInt64(serials[slot]) }
    let order = try sortedOrder(ofKeys: keys, context: CallContext())
    for (rank, slot) in order.elements.enumerated() { serials[Int(slot)] = Int32(rank) }
    return Int32(count)
  }

  /// Removes the vectors from a slot on, and the numbers that were assigned to them.
  func truncate(to slot: Int, nextID: Int64) {
    self.nextID = nextID
    slotOf.truncate(to: slot, in: ids.base, dead: dead.base, count: count)
    for gone in slot..<count { deadCount -= Int(dead[gone]) }
    shorten(to: slot)
    exact?.truncate(to: slot)
    small?.truncate(to: slot)
    if slot == 0 { judgeAgain() }
  }

  private func shorten(to count: Int) {
    try? ids.resize(to: count)
    try? serials.resize(to: count)
    try? dead.resize(to: count)
  }

  /// The state that `judgeAgain` resets.
  var judgement: (isJudged: Bool, small: VectorRows?) {
    get { (isJudged, small) }
    set { (isJudged, small) = newValue }
  }

  /// Removes the bytes, and decides again about their use.
  func judgeAgain() {
    isJudged = false
    if options.storage == .float32 { small = nil }
  }

  /// Marks vectors as removed. Repeated slots are an error, and then nothing is marked.
  func kill(_ slots: Buffer<Int32>) throws(CoverTreeError) {
    for (position, slot) in slots.elements.enumerated() {
      guard dead[Int(slot)] == 0 else {
        for before in slots.elements[..<position] { dead[Int(before)] = 0 }
        throw CoverTreeError(.invalidArgument, "ids[\(position)]: \(ids[Int(slot)]) is named twice")
      }
      dead[Int(slot)] = 1
    }
    for slot in slots.elements { slotOf.remove(slot, in: ids.base) }
    deadCount += slots.count
  }

  func revive(_ slots: Buffer<Int32>) {
    for slot in slots.elements {
      dead[Int(slot)] = 0
      slotOf.insert(slot, in: ids.base)
    }
    deadCount -= slots.count
  }

  /// A plan that moves living vectors together.
  struct Compaction {
    /// The new slot of each slot, -1 for dead ones.
    let map: Buffer<Int32>
    /// The living slots, in ascending order.
    fileprivate let kept: Buffer<Int32>
  }

  /// Plans a compaction, and reserves all memory that it needs.
  func compaction() throws(CoverTreeError) -> Compaction {
    let map = try Buffer<Int32>(count: count, filledWith: -1)
    let kept = try Buffer<Int32>(count: liveCount)
    try slotOf.makeRoom(forAll: liveCount)
    var next = 0
    for slot in 0..<count where dead[slot] == 0 {
      (map[slot], kept[next]) = (Int32(next), Int32(slot))
      next += 1
    }
    return Compaction(map: map, kept: kept)
  }

  /// Moves living vectors together, as planned. It cannot fail, because nothing grows.
  func compact(_ plan: Compaction) {
    let (kept, count) = (plan.kept, plan.kept.count)
    for (to, from) in kept.elements.enumerated() {
      ids[to] = ids[Int(from)]
      serials[to] = serials[Int(from)]
    }
    dead.base.update(repeating: 0, count: count)
    shorten(to: count)
    exact?.keep(kept.elements)
    small?.keep(kept.elements)
    deadCount = 0
    slotOf.refill(count, in: ids.base)
  }

  /// Permutes the vectors: slot `slot` gets the vector of `order[slot]`. No vector is dead.
  func permute(_ order: Buffer<Int32>) throws(CoverTreeError) {
    let (newIDs, newSerials) = (try Buffer<Int64>(count: count), try Buffer<Int32>(count: count))
    let (newExact, newSmall) = (try exact?.permuted(order), try small?.permuted(order))
    try slotOf.makeRoom(forAll: count)
    for (to, from) in order.elements.enumerated() { (newIDs[to], newSerials[to]) = (ids[from], serials[from]) }
    ids.base.update(from: newIDs.base, count: count)
    serials.base.update(from: newSerials.base, count: count)
    (exact, small) = (newExact, newSmall)
    slotOf.refill(count, in: ids.base)
  }

  func removeAll() throws(CoverTreeError) {
    try slotOf.removeAll()
    shorten(to: 0)
    exact?.truncate(to: 0)
    small?.truncate(to: 0)
    (deadCount, nextID) = (0, 0)
    judgeAgain()
  }

  /// Adds smaller rows, computed from the exact ones.
  func addSmall(_ storage: VectorStorage, context: CallContext) throws(CoverTreeError) {
    guard let exact else { return }
    let rows = try VectorRows(storage, dim: dim, products: options.metric.comparesProducts, padded: true)
    let scratch = try Buffer<Float>(count: context.threads * exact.coordinates)
    try rows.reserve(count) { exact.floats($0, or: scratch.base) }
    rows.extend(by: count)
    try context.forEach(count, grain: 256) { (range, thread) throws(CoverTreeError) in
      let own = scratch.base + thread * exact.coordinates
      for slot in range { rows.set(slot, exact.floats(slot, or: own)) }
    }
    small = rows
  }
}

import CNumerics
import CovertreeBase

/// One long code per vector, with a bit for each plane. The candidates are the vectors whose codes differ least from the query's.
///
/// Codes are in groups of sixteen, word by word (`cn_hamming_within`), and a query is compared with all of them: 32 bits of sixteen codes
/// per instruction.
final class HammingCodes: Hashes, @unchecked Sendable {
  let bits: Int
  let words: Int
  private(set) var codes: GrowableBuffer<UInt32>
  private(set) var count = 0

  /// Codes that are compared together.
  static var group: Int { 16 }

  init(bits: Int) throws(CoverTreeError) {
    (self.bits, words) = (bits, (bits + 31) / 32)
    codes = try GrowableBuffer()
  }

  func paddedCount(_ count: Int) -> Int { (count + Self.group - 1) / Self.group * Self.group }

  func extend(to count: Int, context: CallContext) throws(CoverTreeError) {
    let before = codes.count
    try codes.resize(to: paddedCount(count) * words)
    if codes.count > before { (codes.base + before).update(repeating: 0, count: codes.count - before) }
    self.count = count
  }

  func set(_ slot: Int, _ distances: UnsafePointer<Float>) {
    withUnsafeTemporaryAllocation(of: UInt32.self, capacity: words) { code in
      cn_signs(distances, Int64(bits), code.baseAddress!)
      for word in 0..<words { codes[offset(slot, word)] = code[word] }
    }
  }

  @inline(__always)
  private func offset(_ slot: Int, _ word: Int) -> Int {
    (slot / Self.group * words + word) * Self.group + slot % Self.group
  }

  func link(from first: Int) throws(CoverTreeError) {}

  func set(_ codes: Buffer<UInt32>, count: Int) { (self.codes, self.count) = (GrowableBuffer(viewing: codes), count) }

  func truncate(to count: Int) {
    self.count = min(count, self.count)
    try? codes.resize(to: paddedCount(self.count) * words)
  }

  func compaction(_ map: Buffer<Int32>) -> () -> Void { { self.renumber(map) } }

  private func renumber(_ map: Buffer<Int32>) {
    var kept = 0
    for slot in 0..<map.count where map[slot] >= 0 {
      for word in 0..<words { codes[offset(kept, word)] = codes[offset(slot, word)] }
      kept += 1
    }
    truncate(to: kept)
  }

  func own() throws(CoverTreeError) { try codes.own() }
  var byteCount: Int { codes.byteCount }

  func seekers(
    for search: IndexSearch, wanted: Int, probes: Int, copies: Int
  ) -> () throws(CoverTreeError) -> any CandidateSeeker {
    { () throws(CoverTreeError) in try CodeSeeker(self, search, wanted) }
  }
}

/// One thread's searches among codes: several queries at a time, so that a chunk of the codes stays in the first-level cache.
private final class CodeSeeker: CandidateSeeker {
  private let codes: HammingCodes
  private let search: IndexSearch
  private let wanted: Int
  private let searches: Buffer<CodeSearch>
  private let memory: [AnyObject]
  /// The initial limit of differing bits: a little more than the last queries needed. The result does not depend on it.
  private var guess: Int

  /// Queries that are searched together.
  private static var together: Int { 8 }
  /// Groups of codes that are compared before the limit is lowered.
  private static var chunk: Int { 32 }

  init(_ codes: HammingCodes, _ search: IndexSearch, _ wanted: Int) throws(CoverTreeError) {
    (self.codes, self.search, self.wanted) = (codes, search, wanted)
    let inChunk = Self.chunk * HammingCodes.group
    let queries = try Buffer<UInt32>(count: Self.together * codes.words)
    let room = 2 * (inChunk + wanted)
    let found = try Buffer<CodeSearch.Found>(count: Self.together * room)
    let histograms = try Buffer<Int32>(count: Self.together * (codes.bits + 1))
    let keys = try Buffer<UInt32>(count: inChunk + HammingCodes.group)
    searches = try Buffer(count: Self.together)
    for index in 0..<Self.together {
      searches[index] = CodeSearch(
        bits: codes.bits, wanted: wanted, room: room, query: queries.base + index * codes.words,
        found: found.base + index * room, histogram: histograms.base + index * (codes.bits + 1), keys: keys.base)
    }
    memory = [queries, found, histograms, keys]
    guess = codes.bits / 4
  }

  func find(_ index: Int, of queries: ProjectedQueries, _ list: Shortlist) throws(CoverTreeError) {
    guard wanted > 0 else { return }
    if index % Self.together == 0 { gather(queries, index..<min(queries.count, index + Self.together)) }
    try searches.base[index % Self.together].pick(list)
  }

  func findAll(_ list: Shortlist) throws(CoverTreeError) {
    for slot in 0..<Int32(codes.count) where search.admits(slot) { try list.add(slot) }
  }

  private func gather(_ queries: ProjectedQueries, _ range: Range<Int>) {
    let searches = searches.base
    for (index, query) in range.enumerated() { searches[index].begin(queries[query], within: guess) }
    compare(0..<range.count)
    var sum = 0
    for index in 0..<range.count {
      while searches[index].isShort {
        searches[index].lookFarther()
        compare(index..<index + 1)
      }
      sum += searches[index].most
    }
    guess = min(codes.bits, sum / range.count + 1 + codes.bits / 32)
  }

  private func compare(_ range: Range<Int>) {
    let group = HammingCodes.group
    let groups = codes.paddedCount(codes.count) / group
    for first in stride(from: 0, to: groups, by: Self.chunk) {
      let chunk = CodeSearch.Chunk(
        codes: codes.codes.base + first * group * codes.words, groups: min(groups - first, Self.chunk),
        words: codes.words, first: Int32(first * group), end: Int32(codes.count))
      for index in range { searches.base[index].compare(chunk, search) }
    }
  }
}

/// One query's search: codes that differ from its own in few bits, and in fewer as the search goes on.
private struct CodeSearch: BitwiseCopyable {
  struct Found: BitwiseCopyable {
    var slot: Int32
    var bits: Int32
  }

  /// Some of the codes, the slot of the first one, and the end of all slots.
  struct Chunk {
    let codes: UnsafePointer<UInt32>
    let groups: Int
    let words: Int
    let first: Int32
    let end: Int32
  }

  let bits: Int
  let wanted: Int
  let room: Int
  let query: UnsafeMutablePointer<UInt32>
  /// By slot, from the first; it may contain codes beyond the current limit.
  let found: UnsafeMutablePointer<Found>
  /// By number of bits: the number of found codes that differ in this many.
  let histogram: UnsafeMutablePointer<Int32>
  /// Scratch: the results of a chunk.
  let keys: UnsafeMutablePointer<UInt32>
  var count = 0
  /// The number of found codes that differ in at most `most` bits.
  var near = 0
  /// The current limit of differing bits: fewer bits would not give enough codes.
  var most = 0

  private static let hasVectorPopcount = cn_has_vector_popcount()

  mutating func begin(_ distances: UnsafePointer<Float>, within most: Int) {
    cn_signs(distances, Int64(bits), query)
    self.most = most
    forget()
  }

  private mutating func forget() {
    histogram.update(repeating: 0, count: bits + 1)
    (count, near) = (0, 0)
  }

  var isShort: Bool { near < wanted && most < bits }

  /// Starts again with a larger limit.
  mutating func lookFarther() {
    most = min(bits, most + 1 + bits / 16)
    forget()
  }

  /// Collects admitted codes within `most` bits, and lowers `most` while enough codes remain.
  ///
  /// Once there are enough, later codes that differ in just `most` bits are excluded, because slots ascend. So equal codes are not
  /// collected one by one.
  mutating func compare(_ chunk: Chunk, _ search: IndexSearch) {
    let limit = near >= wanted ? most - 1 : most
    guard limit >= 0 else { return }
    let hits = cn_hamming_within(
      chunk.codes, Int64(chunk.groups), Int64(chunk.words), query, UInt32(limit), Self.hasVectorPopcount, keys)
    if count + Int(hits) > room { keepWanted() }
    for hit in 0..<Int(hits) {
      let slot = chunk.first + Int32(keys[hit] & 0xFFFF)
      // Codes behind the last slot are found, too.
      guard slot < chunk.end && search.admits(slot) else { continue }
      let bits = Int32(keys[hit] >> 16)
      found[count] = Found(slot: slot, bits: bits)
      histogram[Int(bits)] += 1
      count += 1
      near += 1
    }
    while near - Int(histogram[most]) >= wanted {
      near -= Int(histogram[most])
      most -= 1
    }
  }

  /// Keeps the codes that differ least, and of the last number of bits the first.
  private mutating func keepWanted() {
    var rest = wanted - (near - Int(histogram[most]))
    var kept = 0
    for position in 0..<count where Int(found[position].bits) <= most {
      if Int(found[position].bits) == most {
        guard rest > 0 else { continue }
        rest -= 1
      }
      found[kept] = found[position]
      kept += 1
    }
    histogram[most] -= Int32(near - kept)
    (count, near) = (kept, kept)
  }

  mutating func pick(_ list: Shortlist) throws(CoverTreeError) {
    keepWanted()
    for position in 0..<count { try list.add(found[position].slot) }
  }
}

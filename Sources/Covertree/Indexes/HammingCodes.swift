import CNumerics

/// One long code a vector, a bit a plane; candidates are those whose codes differ least from the query's.
///
/// Codes stand in groups of eight, word by word (`cn_hamming_within`), and are compared with all of them: 64 bits of eight codes
/// an instruction.
final class HammingCodes: Hashes, @unchecked Sendable {
  private let bits: Int
  let words: Int
  private(set) var codes: Stack<UInt64>
  private(set) var count = 0

  /// Codes that are compared together.
  private static var group: Int { 8 }

  init(bits: Int) throws(CoverTreeError) {
    (self.bits, words) = (bits, (bits + 63) / 64)
    codes = try Stack()
  }

  func places(_ count: Int) -> Int { (count + Self.group - 1) / Self.group * Self.group }

  func extend(to count: Int) throws(CoverTreeError) {
    let before = codes.count
    try codes.resize(to: places(count) * words)
    if codes.count > before { (codes.base + before).update(repeating: 0, count: codes.count - before) }
    self.count = count
  }

  func set(_ slot: Int, _ distances: UnsafePointer<Float>) {
    for word in 0..<words { codes[place(slot, word)] = Self.word(distances + 64 * word, min(64, bits - 64 * word)) }
  }

  @inline(__always)
  private func place(_ slot: Int, _ word: Int) -> Int { (slot / 8 * words + word) * 8 + slot % 8 }

  @inline(__always)
  fileprivate static func word(_ distances: UnsafePointer<Float>, _ bits: Int) -> UInt64 {
    var word: UInt64 = 0
    for bit in 0..<bits where distances[bit] > 0 { word |= 1 << UInt64(bit) }
    return word
  }

  func link(from first: Int) throws(CoverTreeError) {}

  /// Codes from a file.
  func set(_ codes: Buffer<UInt64>, count: Int) { (self.codes, self.count) = (Stack(viewing: codes), count) }

  func truncate(to count: Int) {
    self.count = min(count, self.count)
    try? codes.resize(to: places(self.count) * words)
  }

  func renumber(_ map: Buffer<Int32>) {
    var kept = 0
    for slot in 0..<map.count where map[slot] >= 0 {
      for word in 0..<words { codes[place(kept, word)] = codes[place(slot, word)] }
      kept += 1
    }
    truncate(to: kept)
  }

  func own() throws(CoverTreeError) { try codes.own() }
  var byteCount: Int { codes.byteCount }

  func seeker(_ count: Int, wanted: Int, probes: Int) throws(CoverTreeError) -> any CandidateSeeker {
    try CodeSeeker(self, wanted)
  }

  /// One thread's searches.
  private final class CodeSeeker: CandidateSeeker {
    private let codes: HammingCodes
    private let wanted: Int
    private let query: Buffer<UInt64>
    /// Codes that differ in few bits: their slots, and in how many.
    private let slots: Buffer<Int32>
    private let counts: Buffer<UInt16>
    private var found = 0
    /// By number of bits: how many codes differ in so many.
    private let histogram: Buffer<Int32>
    /// Within how many bits there are likely to be enough, from the query before; what is found does not depend on it.
    private var most: Int
    private let hasVectorPopcount = cn_has_vector_popcount()

    init(_ codes: HammingCodes, _ wanted: Int) throws(CoverTreeError) {
      (self.codes, self.wanted) = (codes, wanted)
      query = try Buffer(count: codes.words)
      slots = try Buffer(count: codes.places(codes.count) + 1)
      counts = try Buffer(count: codes.places(codes.count) + 1)
      histogram = try Buffer(count: codes.bits + 1)
      most = codes.bits / 4
    }

    func find(_ distances: UnsafePointer<Float>, _ search: IndexSearch, _ list: Shortlist) throws(CoverTreeError) {
      guard wanted > 0 else { return }
      for word in 0..<codes.words {
        query[word] = HammingCodes.word(distances + 64 * word, min(64, codes.bits - 64 * word))
      }
      gather(search)
      while found < wanted && most < codes.bits {
        most = min(codes.bits, most + 1 + codes.bits / 32)
        gather(search)
      }
      let last = try pick(list)
      most = min(codes.bits, last + 1 + codes.bits / 64)
    }

    /// Gathers the codes within `most` bits of vectors that may be found.
    private func gather(_ search: IndexSearch) {
      let all = Int(
        cn_hamming_within(
          codes.codes.base, Int64(codes.places(codes.count) / 8), Int64(codes.words), query.base, UInt64(most),
          hasVectorPopcount, slots.base, counts.base))
      found = all
      // Places behind the last slot are found, too.
      guard search.admitted != nil || codes.count < codes.places(codes.count) else { return }
      found = 0
      for place in 0..<all where Int(slots[place]) < codes.count && search.admits(slots[place]) {
        (slots[found], counts[found]) = (slots[place], counts[place])
        found += 1
      }
    }

    /// Takes those that differ least, and of the last number of bits the first.
    ///
    /// - Returns: that number of bits.
    private func pick(_ list: Shortlist) throws(CoverTreeError) -> Int {
      histogram.base.update(repeating: 0, count: histogram.count)
      for place in 0..<found { histogram[Int(counts[place])] += 1 }
      var (last, before) = (0, 0)
      while last < codes.bits && before + Int(histogram[last]) < wanted {
        before += Int(histogram[last])
        last += 1
      }
      var rest = wanted - before
      for place in 0..<found where Int(counts[place]) <= last {
        guard Int(counts[place]) < last || rest > 0 else { continue }
        rest -= Int(counts[place]) == last ? 1 : 0
        try list.add(slots[place])
      }
      return last
    }
  }
}

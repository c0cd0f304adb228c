import CNumerics

/// One long code a vector, a bit a plane; candidates are those whose codes differ least from the query's.
///
/// Codes stand in groups of eight, word by word (`cn_hamming`), and are compared with all of them: 64 bits of eight codes an
/// instruction.
final class HammingCodes: Hashes, @unchecked Sendable {
  private let bits: Int
  let words: Int
  private(set) var codes: Stack<UInt64>
  private(set) var count = 0

  /// Codes that are looked at together when the nearest are picked.
  fileprivate static var block: Int { 32 }

  init(bits: Int) throws(CoverTreeError) {
    (self.bits, words) = (bits, (bits + 63) / 64)
    codes = try Stack()
  }

  func places(_ count: Int) -> Int { (count + Self.block - 1) / Self.block * Self.block }

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
    /// By slot: in how many bits its code differs. In whole blocks; those behind the last slot differ most.
    private let counts: Buffer<UInt16>
    private let near: Stack<Int32>
    /// By number of bits: how many codes differ in so many.
    private let histogram: Buffer<Int32>
    private let hasVectorPopcount = cn_has_vector_popcount()

    /// Every so many blocks are a sample.
    private static var sampleStep: Int { 8 }

    init(_ codes: HammingCodes, _ wanted: Int) throws(CoverTreeError) {
      (self.codes, self.wanted) = (codes, wanted)
      query = try Buffer(count: codes.words)
      counts = try Buffer(count: codes.places(codes.count))
      histogram = try Buffer(count: codes.bits + 2)
      near = try Stack()
    }

    func find(_ distances: UnsafePointer<Float>, _ search: IndexSearch, _ list: Shortlist) throws(CoverTreeError) {
      guard wanted > 0 else { return }
      for word in 0..<codes.words {
        query[word] = HammingCodes.word(distances + 64 * word, min(64, codes.bits - 64 * word))
      }
      cn_hamming(
        codes.codes.base, Int64(counts.count / 8), Int64(codes.words), query.base, hasVectorPopcount, counts.base)
      for place in codes.count..<counts.count { counts[place] = .max }
      if let admitted = search.admitted {
        for slot in 0..<codes.count where admitted[slot] == 0 { counts[slot] = .max }
      }
      let most = try gather()
      try pick(most, list)
    }

    /// Gathers at least as many as are wanted, of codes that differ in few bits.
    ///
    /// - Returns: in how many at most.
    private func gather() throws(CoverTreeError) -> Int {
      var most = estimate()
      while true {
        near.removeAll()
        for first in stride(from: 0, to: counts.count, by: HammingCodes.block) {
          var hits = cn_u16x32_mask_at_most(counts.base + first, UInt16(most))
          while hits != 0 {
            try near.append(Int32(truncatingIfNeeded: first &+ hits.trailingZeroBitCount))
            hits &= hits &- 1
          }
        }
        if near.count >= wanted || most >= codes.bits { return most }
        most = min(codes.bits, most + 1 + codes.bits / 64)
      }
    }

    /// A number of bits within which a sample says that there are enough.
    private func estimate() -> Int {
      histogram.base.update(repeating: 0, count: histogram.count)
      let block = HammingCodes.block
      let step = counts.count > 4 * Self.sampleStep * block ? Self.sampleStep : 1
      for first in stride(from: 0, to: counts.count, by: step * block) {
        for place in first..<first + block { histogram[min(Int(counts[place]), codes.bits + 1)] += 1 }
      }
      var found = 0
      for bits in 0...codes.bits {
        found += Int(histogram[bits]) * step
        if found * 8 >= wanted * 9 { return bits }
      }
      return codes.bits
    }

    /// Takes those that differ least, and of the last number of bits the first.
    private func pick(_ most: Int, _ list: Shortlist) throws(CoverTreeError) {
      guard near.count > wanted else {
        for slot in near.elements { try list.add(slot) }
        return
      }
      histogram.base.update(repeating: 0, count: most + 1)
      for slot in near.elements { histogram[Int(counts[slot])] += 1 }
      var (last, before) = (0, 0)
      while before + Int(histogram[last]) < wanted {
        before += Int(histogram[last])
        last += 1
      }
      var rest = wanted - before
      for slot in near.elements {
        let count = Int(counts[slot])
        if count < last {
          try list.add(slot)
        } else if count == last && rest > 0 {
          try list.add(slot)
          rest -= 1
        }
      }
    }
  }
}

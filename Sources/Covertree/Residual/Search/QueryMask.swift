/// The queries of a group that a comparison is for: bits, 64 per word.
struct QueryMask {
  private var words = InlineArray<4, UInt64>(repeating: 0)
  private(set) var isEmpty = true

  init() {}

  init(all count: Int) {
    for i in 0..<count { insert(i) }
  }

  @inline(__always)
  mutating func insert(_ i: Int) {
    words[i >> 6] |= 1 &<< UInt64(i & 63)
    isEmpty = false
  }

  @inline(__always)
  func contains(_ i: Int) -> Bool { words[i >> 6] & (1 &<< UInt64(i & 63)) != 0 }

  var count: Int { (0..<4).reduce(0) { $0 + words[$1].nonzeroBitCount } }

  /// Whether any of `count` queries from `first` on is active; `count` divides 64 and `first`.
  @inline(__always)
  func contains(anyOf first: Int, _ count: Int) -> Bool {
    (words[first >> 6] >> UInt64(first & 63)) & (UInt64.max >> UInt64(64 &- count)) != 0
  }
}

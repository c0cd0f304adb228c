/// The numbers of the bits that are set, the lowest first.
struct SetBits: Sequence, IteratorProtocol {
  private var bits: UInt32

  @inline(__always)
  init(_ bits: UInt32) { self.bits = bits }

  @inline(__always)
  mutating func next() -> Int? {
    guard bits != 0 else { return nil }
    defer { bits &= bits &- 1 }
    return bits.trailingZeroBitCount
  }
}

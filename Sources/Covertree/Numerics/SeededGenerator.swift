import CovertreeBase

/// A reproducible stream of random numbers: SplitMix64 from a seed.
struct SeededGenerator: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    defer { state &+= 0x9E37_79B9_7F4A_7C15 }
    return splitMix64(state)
  }
}

extension Buffer {
  func shuffle(seed: UInt64) {
    var generator = SeededGenerator(seed: seed)
    var elements = UnsafeMutableBufferPointer(start: base, count: count)
    elements.shuffle(using: &generator)
  }
}

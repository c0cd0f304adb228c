import CNumerics
import CovertreeBase

/// A 64-bit hash of vectors of one dimension, by their bits, with both zeros as one.
///
/// It depends on a secret seed. An attacker who knew it could choose many vectors with one hash, and every look-up would search all of
/// them.
@usableFromInline
package struct VectorHash {
  package let seed: (UInt64, UInt64)
  @usableFromInline
  let dim: Int
  /// Eight keys for each 16 coordinates. Each is random: with keys derived from one another, differences of vectors could cancel out for
  /// any seed.
  @usableFromInline
  package let keys: Buffer<UInt64>

  package init(dim: Int, seed: (UInt64, UInt64)) throws(CoverTreeError) {
    (self.dim, self.seed) = (dim, seed)
    keys = try Buffer(count: (dim + 15) / 16 * 8)
    for position in 0..<keys.count { keys[position] = splitMix64(seed.0 ^ splitMix64(seed.1 &+ UInt64(position))) }
  }

  /// - Returns: false if a number of the vector is not finite.
  @inlinable @inline(__always)
  package func callAsFunction(_ vector: UnsafePointer<Float>, _ hash: UnsafeMutablePointer<UInt64>) -> Bool {
    cn_hash_floats(vector, Int64(dim), keys.base, hash) != 0
  }
}

/// Random numbers of this process, the seeds of its tables in memory.
@usableFromInline
enum ProcessSeed {
  static let vectors = randomNumber()
  @usableFromInline
  static let low = randomNumber()
  @usableFromInline
  static let high = randomNumber()
  @usableFromInline
  static let offset = randomNumber()
}

/// A hash of an id, seeded for this process: two words and a small number.
@inlinable @inline(__always)
package func seededHash(_ low: UInt64, _ high: UInt64 = 0, kind: UInt32 = 0) -> UInt64 {
  // Products with random numbers of twice the length, of which the upper half is kept (Dietzfelbinger, 1996).
  let products = product(low, ProcessSeed.low) &+ product(high, ProcessSeed.high)
  return splitMix64(products &+ ProcessSeed.offset.0 &+ UInt64(kind) &* ProcessSeed.offset.1)
}

@inlinable @inline(__always)
func product(_ word: UInt64, _ key: (UInt64, UInt64)) -> UInt64 {
  key.0 &* word &+ key.1.multipliedFullWidth(by: word).high
}

/// A random number of 128 bits.
package func randomNumber() -> (UInt64, UInt64) { (.random(in: .min ... .max), .random(in: .min ... .max)) }

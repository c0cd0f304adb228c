import CovertreeBase

/// The nearest vectors that a walk through a graph has met, sorted, and which of them it has expanded.
///
/// A vector is one number: its score, as an integer of the same order, its slot, and, as the last bit, whether the walk has expanded it.
/// So comparing integers keeps them sorted.
struct Beam {
  /// Scratch of one thread: for beams of up to `capacity` among `count` vectors.
  final class Scratch {
    fileprivate let keys: Buffer<UInt64>
    /// By slot: the number of the last walk that met it.
    fileprivate let met: Buffer<UInt8>
    fileprivate var walk: UInt8 = 0
    let fresh: Buffer<Int32>
    let scores: Buffer<Float>
    let capacity: Int

    init(capacity: Int, count: Int, degree: Int) throws(CoverTreeError) {
      self.capacity = capacity
      keys = try Buffer(count: capacity + 1)
      met = try Buffer(count: count, filledWith: 0)
      fresh = try Buffer(count: degree)
      scores = try Buffer(count: degree)
    }
  }

  private let keys: UnsafeMutablePointer<UInt64>
  private let met: UnsafeMutablePointer<UInt8>
  private let walk: UInt8
  private let limit: Int
  private(set) var count = 0
  /// The first that is not expanded.
  private var next = 0

  /// - Parameter limit: the number of vectors to keep, at most the scratch's capacity.
  @inline(__always)
  init(_ scratch: Scratch, limit: Int) {
    if scratch.walk == .max {
      scratch.met.base.update(repeating: 0, count: scratch.met.count)
      scratch.walk = 0
    }
    scratch.walk &+= 1
    (keys, met, walk, self.limit) = (scratch.keys.base, scratch.met.base, scratch.walk, limit)
  }

  /// Whether a vector is met for the first time.
  @inline(__always)
  func meets(_ slot: Int32) -> Bool {
    let position = met + Int(slot)
    guard position.pointee != walk else { return false }
    position.pointee = walk
    return true
  }

  /// Whether a vector is near enough.
  @inline(__always)
  func accepts(_ key: UInt64) -> Bool { count < limit || key < keys[count &- 1] }

  /// Inserts a vector, if it is near enough.
  @inline(__always)
  mutating func insert(_ slot: Int32, _ score: Float) { insert(Self.key(slot, score)) }

  @inline(__always)
  mutating func insert(_ key: UInt64) {
    var position = count
    if count == limit {
      guard key < keys[count &- 1] else { return }
      position &-= 1
    } else {
      count &+= 1
    }
    while position > 0 && keys[position &- 1] > key {
      keys[position] = keys[position &- 1]
      position &-= 1
    }
    keys[position] = key
    if position < next { next = position }
  }

  /// Marks and returns the nearest vector that is not expanded, or returns -1.
  @inline(__always)
  mutating func advance() -> Int32 {
    while next < count && keys[next] & 1 != 0 { next &+= 1 }
    guard next < count else { return -1 }
    keys[next] |= 1
    next &+= 1
    return slot(next &- 1)
  }

  /// The vector that will probably be expanded next, or -1.
  @inline(__always)
  var following: Int32 { next < count ? slot(next) : -1 }

  @inline(__always)
  func slot(_ position: Int) -> Int32 { Self.slot(keys[position]) }

  @inline(__always)
  static func slot(_ key: UInt64) -> Int32 { Int32(truncatingIfNeeded: (key & 0xFFFF_FFFF) >> 1) }

  @inline(__always)
  func score(_ position: Int) -> Float {
    let bits = UInt32(truncatingIfNeeded: keys[position] >> 32)
    return Float(bitPattern: bits >> 31 == 0 ? ~bits : bits ^ 0x8000_0000)
  }

  @inline(__always)
  static func key(_ slot: Int32, _ score: Float) -> UInt64 {
    // Adding zero makes one of the two zeros.
    let bits = (score + 0).bitPattern
    let ordered = bits ^ (UInt32(bitPattern: Int32(bitPattern: bits) >> 31) | 0x8000_0000)
    return UInt64(ordered) << 32 | UInt64(UInt32(bitPattern: slot)) << 1
  }
}

import CovertreeBase

/// Vectors that a walk has met and not expanded, the nearest on top: a binary heap of a beam's keys. O(log count) for each.
final class WalkQueue {
  private let keys: GrowableBuffer<UInt64>

  init() throws(CoverTreeError) { keys = try GrowableBuffer() }

  func removeAll() { keys.removeAll() }

  func push(_ key: UInt64) throws(CoverTreeError) {
    try keys.append(key)
    var position = keys.count &- 1
    while position > 0, keys[(position &- 1) >> 1] > key {
      keys[position] = keys[(position &- 1) >> 1]
      position = (position &- 1) >> 1
    }
    keys[position] = key
  }

  func pop() -> UInt64? {
    guard keys.count > 0 else { return nil }
    let (first, moved, count) = (keys[0], keys[keys.count &- 1], keys.count &- 1)
    keys.removeLast()
    guard count > 0 else { return first }
    var position = 0
    while true {
      var child = 2 &* position &+ 1
      guard child < count else { break }
      if child &+ 1 < count, keys[child &+ 1] < keys[child] { child &+= 1 }
      guard keys[child] < moved else { break }
      keys[position] = keys[child]
      position = child
    }
    keys[position] = moved
    return first
  }
}

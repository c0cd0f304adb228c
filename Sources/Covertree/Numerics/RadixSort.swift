import CovertreeBase

/// Bits of a key that one pass of `sortedOrder` sorts by.
let bitsPerSortingPass = 11

/// The permutation that sorts 64-bit keys, with equal keys in their old order: `result[rank] = index`.
///
/// Least significant digit first, `bitsPerSortingPass` per pass, without passes in which all keys agree. O(n) per pass, in parallel by up
/// to 64 blocks.
func sortedOrder(ofKeys keys: Buffer<UInt64>, context: CallContext) throws(CoverTreeError) -> Buffer<Int32> {
  let count = keys.count
  let digits = bitsPerSortingPass
  let radix = 1 << digits
  let block = max(1 << 13, (count + 63) / 64)
  let blocks = (count + block - 1) / block

  var all: UInt64 = .max
  var any: UInt64 = 0
  for key in keys.elements {
    all &= key
    any |= key
  }
  // The first pass reads the keys in the order of their indices, every later one the result of the last.
  typealias Sorted = (keys: Buffer<UInt64>, order: Buffer<Int32>)
  var (from, to): (Sorted?, Sorted?) = (nil, nil)
  let starts = try Buffer<Int32>(count: max(1, blocks) * radix)

  for shift in stride(from: 0, to: 64, by: digits) {
    guard ((all ^ any) >> UInt64(shift)) & UInt64(radix - 1) != 0 else { continue }
    let (source, order) = (from?.keys ?? keys, from?.order)
    if to == nil { to = (try Buffer(count: count), try Buffer(count: count)) }
    let target = to!
    @inline(__always) func digit(_ key: UInt64) -> Int { Int((key >> UInt64(shift)) & UInt64(radix - 1)) }
    try context.forEach(blocks, grain: 1) { (range, _) throws(CoverTreeError) in
      for b in range {
        let counts = starts.base + b * radix
        counts.update(repeating: 0, count: radix)
        for index in b * block..<min(count, (b + 1) * block) { counts[digit(source[index])] += 1 }
      }
    }
    var total: Int32 = 0
    for value in 0..<radix {
      for b in 0..<blocks {
        let here = starts[b * radix + value]
        starts[b * radix + value] = total
        total += here
      }
    }
    try context.forEach(blocks, grain: 1) { (range, _) throws(CoverTreeError) in
      for b in range {
        let next = starts.base + b * radix
        for index in b * block..<min(count, (b + 1) * block) {
          let key = source[index]
          let position = Int(next[digit(key)])
          next[digit(key)] += 1
          target.keys[position] = key
          target.order[position] = order?[index] ?? Int32(index)
        }
      }
    }
    (from, to) = (target, from)
  }
  if let from { return from.order }
  return try Buffer(counting: count)
}

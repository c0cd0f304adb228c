import CovertreeBase

/// The least and the greatest coordinate of points in each of the first `dim` elements; infinite without points. `row` gets the number of a
/// point, and the slot of its thread.
@inline(__always)
func extents<S: Scalar>(
  of count: Int, dim: Int, _ context: CallContext, row: (_ point: Int, _ slot: Int) -> UnsafePointer<S>
) throws(CoverTreeError) -> (low: Buffer<S>, high: Buffer<S>) {
  let grain = 1 << 14
  let slots = max(1, min(context.threads, (count + grain - 1) / grain))
  // No two threads write to the same cache line.
  let stride = (dim + 31) / 32 * 32
  let low = try Buffer<S>(count: slots * stride, filledWith: .infinity)
  let high = try Buffer<S>(count: slots * stride, filledWith: -.infinity)
  try context.forEach(count, grain: grain) { (range, slot) throws(CoverTreeError) in
    let (low, high) = (low.base + slot * stride, high.base + slot * stride)
    for point in range {
      let row = row(point, slot)
      for d in 0..<dim {
        if row[d] < low[d] { low[d] = row[d] }
        if row[d] > high[d] { high[d] = row[d] }
      }
    }
  }
  for slot in 1..<slots {
    for d in 0..<dim {
      low[d] = min(low[d], low[slot * stride + d])
      high[d] = max(high[d], high[slot * stride + d])
    }
  }
  return (low, high)
}

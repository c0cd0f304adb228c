import CovertreeBase

/// The least and the greatest coordinate of points in each of the first `dim` elements; infinite without points. `row` gets the number of a
/// point, and the slot of its thread.
@inline(__always)
func extents<S: Scalar>(
  of count: Int, dim: Int, _ context: CallContext, row: (_ point: Int, _ slot: Int) -> UnsafePointer<S>
) throws(CoverTreeError) -> (low: Buffer<S>, high: Buffer<S>) {
  let low = try Buffer<S>(count: context.threads * dim, filledWith: .infinity)
  let high = try Buffer<S>(count: context.threads * dim, filledWith: -.infinity)
  try context.forEach(count, grain: 1024) { (range, slot) throws(CoverTreeError) in
    let (low, high) = (low.base + slot * dim, high.base + slot * dim)
    for point in range {
      let row = row(point, slot)
      for d in 0..<dim {
        low[d] = row[d] < low[d] ? row[d] : low[d]
        high[d] = row[d] > high[d] ? row[d] : high[d]
      }
    }
  }
  for slot in 1..<max(1, context.threads) {
    for d in 0..<dim {
      low[d] = min(low[d], low[slot * dim + d])
      high[d] = max(high[d], high[slot * dim + d])
    }
  }
  return (low, high)
}

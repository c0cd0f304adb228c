/// How many of ascending labels are below a bound.
@inline(__always)
func prefix(of labels: UnsafePointer<Int32>, _ count: Int, below bound: Int32) -> Int {
  var (low, high) = (0, count)
  while low < high {
    let middle = (low &+ high) >> 1
    if labels[middle] < bound { low = middle &+ 1 } else { high = middle }
  }
  return low
}

/// How many of ascending numbers are below a bound: where the first one that is not would be.
@inline(__always)
func lowerBound(of bound: Int32, in numbers: UnsafePointer<Int32>, _ count: Int) -> Int {
  var (low, high) = (0, count)
  while low < high {
    let middle = (low &+ high) >> 1
    if numbers[middle] < bound { low = middle &+ 1 } else { high = middle }
  }
  return low
}

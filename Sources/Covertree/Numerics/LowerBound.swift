/// The number of ascending numbers below a bound: the position of the first number at or above it.
@inline(__always)
func lowerBound(of bound: Int32, in numbers: UnsafePointer<Int32>, _ count: Int) -> Int {
  var (low, high) = (0, count)
  while low < high {
    let middle = (low &+ high) >> 1
    if numbers[middle] < bound { low = middle &+ 1 } else { high = middle }
  }
  return low
}

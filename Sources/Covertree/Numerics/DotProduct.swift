/// The inner product of two vectors whose length is a multiple of 8. Every exact decision about a pair uses this value, so its order of
/// summation is the same everywhere.
@inline(__always)
func dot(_ a: UnsafePointer<Double>, _ b: UnsafePointer<Double>, count: Int) -> Double {
  let (x, y, vectors) = (a.vectors, b.vectors, count / 8)
  let zero = SIMD8<Double>(repeating: 0)
  var (s0, s1, s2, s3) = (zero, zero, zero, zero)
  var i = 0
  while i &+ 4 <= vectors {
    s0 = Double.multiplyAdd(x[i], y[i], s0)
    s1 = Double.multiplyAdd(x[i &+ 1], y[i &+ 1], s1)
    s2 = Double.multiplyAdd(x[i &+ 2], y[i &+ 2], s2)
    s3 = Double.multiplyAdd(x[i &+ 3], y[i &+ 3], s3)
    i &+= 4
  }
  while i < vectors {
    s0 = Double.multiplyAdd(x[i], y[i], s0)
    i &+= 1
  }
  let sum = (s0 + s1) + (s2 + s3)
  let half = sum.lowHalf + sum.highHalf
  let quarter = half.lowHalf + half.highHalf
  return quarter[0] + quarter[1]
}

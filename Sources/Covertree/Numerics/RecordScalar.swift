import CNumerics

/// Operations on the records of points, by coordinate type.
public protocol RecordScalar {
  /// Extends sides by records of `size` bytes that begin with 3, 4, 8 or 16 coordinates. At each, up to 4 or a power of two of them are
  /// read.
  static func extend(
    _ low: UnsafeMutablePointer<Self>, _ high: UnsafeMutablePointer<Self>, _ records: UnsafeRawPointer, _ count: Int,
    _ size: Int, _ dim: Int)
  /// Extends sides by some rows of points.
  static func extend(
    _ low: UnsafeMutablePointer<Self>, _ high: UnsafeMutablePointer<Self>, _ points: UnsafePointer<Self>, _ stride: Int,
    dim: Int, _ rows: UnsafePointer<Int32>, _ count: Int)
  static func partition(
    _ records: UnsafeMutableRawPointer, _ count: Int, _ size: Int, at offset: Int, below pivot: Self,
    _ aside: UnsafeMutableRawPointer
  ) -> Int
  static func partition(
    _ rows: UnsafeMutablePointer<Int32>, _ count: Int, column: UnsafePointer<Self>, _ stride: Int, below pivot: Self,
    _ aside: UnsafeMutableRawPointer
  ) -> Int
  /// The key of a rank among at most `comparedKeys`; there is room for a vector after them.
  static func ranked(_ keys: UnsafeMutablePointer<Self>, _ count: Int, _ rank: Int) -> Self
}

extension Float: RecordScalar {
  @inline(__always)
  public static func extend(
    _ low: UnsafeMutablePointer<Float>, _ high: UnsafeMutablePointer<Float>, _ records: UnsafeRawPointer, _ count: Int,
    _ size: Int, _ dim: Int
  ) {
    if dim <= 4 {
      cn_extent_f32x4(records, Int64(count), Int64(size), low, high)
    } else if dim <= 8 {
      cn_extent_f32x8(records, Int64(count), Int64(size), low, high)
    } else {
      cn_extent_f32x16(records, Int64(count), Int64(size), low, high)
    }
  }
  public static func extend(
    _ low: UnsafeMutablePointer<Float>, _ high: UnsafeMutablePointer<Float>, _ points: UnsafePointer<Float>,
    _ stride: Int, dim: Int, _ rows: UnsafePointer<Int32>, _ count: Int
  ) {
    cn_extent_of_rows_f32(points, Int64(stride), rows, Int64(count), Int64(dim), low, high)
  }
  @inline(__always)
  public static func partition(
    _ records: UnsafeMutableRawPointer, _ count: Int, _ size: Int, at offset: Int, below pivot: Float,
    _ aside: UnsafeMutableRawPointer
  ) -> Int {
    Int(cn_partition_f32(records, Int64(count), Int64(size), Int64(offset), pivot, aside))
  }
  @inline(__always)
  public static func partition(
    _ rows: UnsafeMutablePointer<Int32>, _ count: Int, column: UnsafePointer<Float>, _ stride: Int, below pivot: Float,
    _ aside: UnsafeMutableRawPointer
  ) -> Int {
    Int(cn_partition_rows_f32(rows, Int64(count), 4, column, Int64(stride), pivot, aside))
  }
  @inline(__always)
  public static func ranked(_ keys: UnsafeMutablePointer<Float>, _ count: Int, _ rank: Int) -> Float {
    for position in count..<(count + 15) & ~15 { keys[position] = .infinity }
    return cn_ranked_f32(keys, Int64(count), Int64(rank))
  }
}

extension Double: RecordScalar {
  @inline(__always)
  public static func extend(
    _ low: UnsafeMutablePointer<Double>, _ high: UnsafeMutablePointer<Double>, _ records: UnsafeRawPointer,
    _ count: Int, _ size: Int, _ dim: Int
  ) {
    if dim <= 4 {
      cn_extent_f64x4(records, Int64(count), Int64(size), low, high)
    } else {
      cn_extent_f64x8(records, Int64(count), Int64(size), low, high)
    }
  }
  public static func extend(
    _ low: UnsafeMutablePointer<Double>, _ high: UnsafeMutablePointer<Double>, _ points: UnsafePointer<Double>,
    _ stride: Int, dim: Int, _ rows: UnsafePointer<Int32>, _ count: Int
  ) {
    cn_extent_of_rows_f64(points, Int64(stride), rows, Int64(count), Int64(dim), low, high)
  }
  @inline(__always)
  public static func partition(
    _ records: UnsafeMutableRawPointer, _ count: Int, _ size: Int, at offset: Int, below pivot: Double,
    _ aside: UnsafeMutableRawPointer
  ) -> Int {
    Int(cn_partition_f64(records, Int64(count), Int64(size), Int64(offset), pivot, aside))
  }
  @inline(__always)
  public static func partition(
    _ rows: UnsafeMutablePointer<Int32>, _ count: Int, column: UnsafePointer<Double>, _ stride: Int,
    below pivot: Double, _ aside: UnsafeMutableRawPointer
  ) -> Int {
    Int(cn_partition_rows_f64(rows, Int64(count), 4, column, Int64(stride), pivot, aside))
  }
  @inline(__always)
  public static func ranked(_ keys: UnsafeMutablePointer<Double>, _ count: Int, _ rank: Int) -> Double {
    for position in count..<(count + 7) & ~7 { keys[position] = .infinity }
    return cn_ranked_f64(keys, Int64(count), Int64(rank))
  }
}

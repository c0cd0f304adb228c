import CNumerics
import CovertreeBase

/// A coordinate type, with the kernels' 512-bit vector of it.
///
/// On narrower machines the compiler divides such a vector into halves or quarters; the source is the same.
public protocol Scalar: BinaryFloatingPoint, SIMDScalar, Codable, Sendable, BitwiseCopyable {
  associatedtype Lanes: SIMD, BitwiseCopyable where Lanes.Scalar == Self
  /// A number of a point for each lane.
  associatedtype Positions: SIMD, BitwiseCopyable where Positions.Scalar == Int32

  /// The largest coordinate whose squared differences stay finite in float64, with room for a sum over dimensions.
  static var coordinateLimit: Double { get }

  /// Bit `i` is set if `a[i] <= b[i]`.
  static func maskLessOrEqual(_ a: Lanes, _ b: Lanes) -> UInt32
  /// `a * b + c` per lane.
  static func multiplyAdd(_ a: Lanes, _ b: Lanes, _ c: Lanes) -> Lanes
  static func maximum(_ a: Lanes, _ b: Lanes) -> Lanes
  static func minimum(_ a: Lanes, _ b: Lanes) -> Lanes
  static func magnitude(_ lanes: Lanes) -> Lanes
  /// Numbers of at least 0 to a power of at least 1; see `powers.h` for the error.
  static func power(_ lanes: Lanes, _ exponent: Double) -> Lanes
  /// The largest lane.
  static func largest(_ lanes: Lanes) -> Self
  /// Stores the lanes whose bit is set, one after the other. There is room for all lanes; those after the packed ones are unspecified.
  static func store(_ lanes: Lanes, _ mask: UInt32, packedTo target: UnsafeMutablePointer<Self>)
  static func store(_ positions: Positions, _ mask: UInt32, packedTo target: UnsafeMutablePointer<Int32>)
  /// Bit `i` is set if `indices[i]` is below `below` and not `except`; `indices` is aligned for a vector.
  static func maskAdmitted(_ indices: UnsafePointer<Int32>, below: Int32, except: Int32) -> UInt32
  /// By lane: the number of smaller numbers.
  static func ranks(_ lanes: Lanes, among numbers: UnsafePointer<Self>, _ count: Int) -> Positions
  /// Each lane's distance if an index is below the lane's `below` and not its `except`; otherwise infinity.
  static func admitted(_ distances: Lanes, _ index: Int32, below: Positions, except: Positions) -> Lanes
  /// A distance in one lane, infinity in the others.
  static func inLane(_ lane: Int, _ distance: Self) -> Lanes
  /// Per lane: `position` if `a < b`, otherwise the lane of `others`.
  static func position(_ position: Int32, whereLess a: Lanes, _ b: Lanes, _ others: Positions) -> Positions
  /// The lanes moved up by one; the last lane of `below` comes first.
  static func up(_ below: Lanes, _ lanes: Lanes) -> Lanes
  /// Eight lanes as float64, from lane `8 * part`.
  static func widened(_ lanes: Lanes, part: Int) -> SIMD8<Double>
  /// Writes eight numbers, rounded to this type.
  static func store(_ numbers: SIMD8<Double>, _ target: UnsafeMutablePointer<Self>)
  /// The nearest value that is not below `value`.
  static func roundedUp(_ value: Double) -> Self
}

extension Scalar {
  /// Lanes of one vector.
  @inline(__always) static var width: Int { Lanes.scalarCount }
}

extension Float: Scalar {
  public typealias Lanes = SIMD16<Float>
  public typealias Positions = SIMD16<Int32>
  public static var coordinateLimit: Double { Double(Float.greatestFiniteMagnitude) }

  @inline(__always)
  public static func maskLessOrEqual(_ a: Lanes, _ b: Lanes) -> UInt32 { cn_f32x16_mask_le(a, b) }
  @inline(__always)
  public static func multiplyAdd(_ a: Lanes, _ b: Lanes, _ c: Lanes) -> Lanes { cn_f32x16_fma(a, b, c) }
  @inline(__always)
  public static func maximum(_ a: Lanes, _ b: Lanes) -> Lanes { cn_f32x16_max(a, b) }
  @inline(__always)
  public static func minimum(_ a: Lanes, _ b: Lanes) -> Lanes { cn_f32x16_min(a, b) }
  @inline(__always)
  public static func magnitude(_ lanes: Lanes) -> Lanes { cn_f32x16_abs(lanes) }
  @inline(__always)
  public static func power(_ lanes: Lanes, _ exponent: Double) -> Lanes { cn_f32x16_power(lanes, Float(exponent)) }
  @inline(__always)
  public static func largest(_ lanes: Lanes) -> Float { cn_f32x16_largest(lanes) }
  @inline(__always)
  public static func store(_ lanes: Lanes, _ mask: UInt32, packedTo target: UnsafeMutablePointer<Float>) {
    cn_f32x16_store_packed(target, lanes, mask)
  }
  @inline(__always)
  public static func store(_ positions: Positions, _ mask: UInt32, packedTo target: UnsafeMutablePointer<Int32>) {
    cn_i32x16_store_packed(target, positions, mask)
  }
  @inline(__always)
  public static func up(_ below: Lanes, _ lanes: Lanes) -> Lanes { cn_f32x16_up(below, lanes) }
  @inline(__always)
  public static func maskAdmitted(_ indices: UnsafePointer<Int32>, below: Int32, except: Int32) -> UInt32 {
    cn_i32x16_mask_admitted(UnsafeRawPointer(indices).load(as: SIMD16<Int32>.self), below, except)
  }
  @inline(__always)
  public static func ranks(_ lanes: Lanes, among numbers: UnsafePointer<Self>, _ count: Int) -> Positions {
    cn_f32x16_ranks(lanes, numbers, count)
  }
  @inline(__always)
  public static func admitted(_ distances: Lanes, _ index: Int32, below: Positions, except: Positions) -> Lanes {
    cn_f32x16_admitted(distances, index, below, except)
  }
  @inline(__always)
  public static func inLane(_ lane: Int, _ distance: Float) -> Lanes {
    cn_f32x16_in_lane(distance, Int32(truncatingIfNeeded: lane))
  }
  @inline(__always)
  public static func position(_ position: Int32, whereLess a: Lanes, _ b: Lanes, _ others: Positions) -> Positions {
    cn_f32x16_number_where_less(a, b, position, others)
  }
  @inline(__always)
  public static func widened(_ lanes: Lanes, part: Int) -> SIMD8<Double> {
    cn_f32x8_widen(part == 0 ? lanes.lowHalf : lanes.highHalf)
  }
  @inline(__always)
  public static func store(_ numbers: SIMD8<Double>, _ target: UnsafeMutablePointer<Float>) {
    UnsafeMutableRawPointer(target).storeBytes(of: cn_f64x8_narrow(numbers), as: SIMD8<Float>.self)
  }
  @inline(__always)
  public static func roundedUp(_ value: Double) -> Float {
    let nearest = Float(value)
    return Double(nearest) < value ? nearest.nextUp : nearest
  }
}

extension Double: Scalar {
  public typealias Lanes = SIMD8<Double>
  public typealias Positions = SIMD8<Int32>
  /// Beyond 2^500 a squared difference may overflow.
  public static var coordinateLimit: Double { 0x1p500 }

  @inline(__always)
  public static func maskLessOrEqual(_ a: Lanes, _ b: Lanes) -> UInt32 { cn_f64x8_mask_le(a, b) }
  @inline(__always)
  public static func multiplyAdd(_ a: Lanes, _ b: Lanes, _ c: Lanes) -> Lanes { cn_f64x8_fma(a, b, c) }
  @inline(__always)
  public static func maximum(_ a: Lanes, _ b: Lanes) -> Lanes { cn_f64x8_max(a, b) }
  @inline(__always)
  public static func minimum(_ a: Lanes, _ b: Lanes) -> Lanes { cn_f64x8_min(a, b) }
  @inline(__always)
  public static func magnitude(_ lanes: Lanes) -> Lanes { cn_f64x8_abs(lanes) }
  @inline(__always)
  public static func power(_ lanes: Lanes, _ exponent: Double) -> Lanes { cn_f64x8_power(lanes, exponent) }
  @inline(__always)
  public static func largest(_ lanes: Lanes) -> Double { cn_f64x8_largest(lanes) }
  @inline(__always)
  public static func store(_ lanes: Lanes, _ mask: UInt32, packedTo target: UnsafeMutablePointer<Double>) {
    cn_f64x8_store_packed(target, lanes, mask)
  }
  @inline(__always)
  public static func store(_ positions: Positions, _ mask: UInt32, packedTo target: UnsafeMutablePointer<Int32>) {
    cn_i32x8_store_packed(target, positions, mask)
  }
  @inline(__always)
  public static func up(_ below: Lanes, _ lanes: Lanes) -> Lanes { cn_f64x8_up(below, lanes) }
  @inline(__always)
  public static func maskAdmitted(_ indices: UnsafePointer<Int32>, below: Int32, except: Int32) -> UInt32 {
    cn_i32x8_mask_admitted(UnsafeRawPointer(indices).load(as: SIMD8<Int32>.self), below, except)
  }
  @inline(__always)
  public static func ranks(_ lanes: Lanes, among numbers: UnsafePointer<Self>, _ count: Int) -> Positions {
    cn_f64x8_ranks(lanes, numbers, count)
  }
  @inline(__always)
  public static func admitted(_ distances: Lanes, _ index: Int32, below: Positions, except: Positions) -> Lanes {
    cn_f64x8_admitted(distances, index, below, except)
  }
  @inline(__always)
  public static func inLane(_ lane: Int, _ distance: Double) -> Lanes {
    cn_f64x8_in_lane(distance, Int64(truncatingIfNeeded: lane))
  }
  @inline(__always)
  public static func position(_ position: Int32, whereLess a: Lanes, _ b: Lanes, _ others: Positions) -> Positions {
    cn_f64x8_number_where_less(a, b, position, others)
  }
  @inline(__always)
  public static func widened(_ lanes: Lanes, part: Int) -> SIMD8<Double> { lanes }
  @inline(__always)
  public static func store(_ numbers: SIMD8<Double>, _ target: UnsafeMutablePointer<Double>) {
    UnsafeMutableRawPointer(target).storeBytes(of: numbers, as: SIMD8<Double>.self)
  }
  @inline(__always)
  public static func roundedUp(_ value: Double) -> Double { value }
}

extension UnsafePointer where Pointee: Scalar {
  /// The same memory, by vectors.
  @inline(__always)
  var vectors: UnsafePointer<Pointee.Lanes> { UnsafeRawPointer(self).assumingMemoryBound(to: Pointee.Lanes.self) }
}

extension UnsafeMutablePointer where Pointee: Scalar {
  @inline(__always)
  var vectors: UnsafeMutablePointer<Pointee.Lanes> {
    UnsafeMutableRawPointer(self).assumingMemoryBound(to: Pointee.Lanes.self)
  }
}

extension UnsafePointer where Pointee: SIMD {
  /// The same memory, by scalars.
  @inline(__always)
  var scalars: UnsafePointer<Pointee.Scalar> { UnsafeRawPointer(self).assumingMemoryBound(to: Pointee.Scalar.self) }
}

extension UnsafeMutablePointer where Pointee: SIMD {
  @inline(__always)
  var scalars: UnsafeMutablePointer<Pointee.Scalar> {
    UnsafeMutableRawPointer(self).assumingMemoryBound(to: Pointee.Scalar.self)
  }
}

extension Buffer where Element: SIMD, Element.Scalar: BitwiseCopyable {
  /// The same memory, by scalars.
  func scalars<S: Scalar>(_: S.Type) -> Buffer<S> { reinterpreted() }
}

extension Buffer where Element: Scalar {
  /// The same memory, by vectors.
  func vectors() -> Buffer<Element.Lanes> { reinterpreted() }
}

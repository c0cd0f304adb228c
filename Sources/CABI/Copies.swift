import CCovertree
import Covertree
import CovertreeBase

/// The copies of the caller's memory that a call makes. They live as long as the call.
///
/// Another thread of the caller may write to an array while a call reads it. The answers are then useless, but nothing else may happen.
/// So numbers are checked in a copy, and used from there. If the core copies an array itself, it checks that copy, and the caller's array
/// is passed on unchanged.
final class Copies {
  private var first: AnyObject?
  private var others: [AnyObject] = []

  func elements<T: BitwiseCopyable>(_ given: UnsafeBufferPointer<T>) throws(CoverTreeError) -> UnsafeBufferPointer<T> {
    guard let base = given.baseAddress, given.count > 0 else { return given }
    let copy = try Buffer<T>(count: given.count)
    copy.base.update(from: base, count: given.count)
    keep(copy)
    return copy.elements
  }

  func indices(_ base: In<Int64>, _ count: Int64, _ name: String) throws(CoverTreeError) -> UnsafeBufferPointer<Int64> {
    guard count >= 0, count < Int64(Int32.max) else {
      throw CoverTreeError(.shape, "\(name): expected 0 to 2^31 - 2 of them, got \(count)")
    }
    return try array(base, Int(count), name)
  }

  /// An array that may be NULL only if it is empty.
  func array<T: BitwiseCopyable>(
    _ base: In<T>, _ count: Int, _ name: String
  ) throws(CoverTreeError) -> UnsafeBufferPointer<T> {
    try elements(UnsafeBufferPointer(start: count == 0 ? base : required(base, name), count: count))
  }

  /// Numbers that are `stride` bytes apart.
  func numbers(_ base: UnsafeRawPointer, count: Int, stride: Int) throws(CoverTreeError) -> UnsafeBufferPointer<Int64> {
    let given = UnsafeBufferPointer(start: base.assumingMemoryBound(to: Int64.self), count: count)
    guard stride != MemoryLayout<Int64>.stride, count > 0 else { return try elements(given) }
    let copy = try Buffer<Int64>(count: count)
    for row in 0..<count { copy[row] = base.load(fromByteOffset: row * stride, as: Int64.self) }
    keep(copy)
    return copy.elements
  }

  /// The rows without gaps.
  func points<S: Scalar>(_ given: PointsView<S>) throws(CoverTreeError) -> PointsView<S> {
    let copy = try given.copied()
    keep(copy)
    return PointsView(base: UnsafePointer(copy.base), count: given.count, dim: given.dim)
  }

  func points(_ given: AnyPoints) throws(CoverTreeError) -> AnyPoints {
    switch given {
    case .float32(let view): .float32(try points(view))
    case .float64(let view): .float64(try points(view))
    }
  }

  func keep(_ copy: AnyObject) {
    if first == nil { first = copy } else { others.append(copy) }
  }
}

/// Runs the body of an export with arrays of the caller, as `status` does.
func copying(_ body: (Copies) throws(CoverTreeError) -> Void) -> covertree_status {
  let copies = Copies()
  return withExtendedLifetime(copies) { status { () throws(CoverTreeError) in try body(copies) } }
}

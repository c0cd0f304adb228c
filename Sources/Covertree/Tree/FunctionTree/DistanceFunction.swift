import CovertreeBase
import Glibc

/// A metric of the caller: a function of pairs of objects. Any thread may call it.
public struct DistanceFunction: @unchecked Sendable {
  /// Fills `count` distances, from rows of `left` to the rows of `right` with the same number.
  public typealias Fill = (
    _ count: Int, _ left: UnsafeRawPointer, _ right: UnsafeRawPointer, _ distances: UnsafeMutablePointer<Double>
  ) throws(CoverTreeError) -> Void

  let fill: Fill

  public init(fill: @escaping Fill) { self.fill = fill }

  /// The square of a distance must not overflow.
  static let largest = 0x1p500

  /// The share of two distances by which their difference may exceed the third side of the triangle, because the function rounds. It allows
  /// for functions that compute in float32.
  static let slack = 0x1p-22
}

/// What a row of objects is.
public enum ObjectType: Equatable, Sendable {
  case float32(dim: Int)
  case float64(dim: Int)
  /// A number that stands for an object of the caller.
  case number

  public var columns: Int {
    switch self {
    case .float32(let dim), .float64(let dim): dim
    case .number: 1
    }
  }

  var rowBytes: Int {
    switch self {
    case .float32(let dim): 4 * dim
    case .float64(let dim): 8 * dim
    case .number: 8
    }
  }

  var name: String {
    switch self {
    case .float32(let dim): "\(dim) columns of float32"
    case .float64(let dim): "\(dim) columns of float64"
    case .number: "numbers of objects"
    }
  }
}

/// Objects in the caller's memory: `count` rows, `stride` bytes from row to row.
public struct ObjectsView: @unchecked Sendable {
  let base: UnsafeRawPointer
  let type: ObjectType
  public let count: Int
  let stride: Int

  public init(base: UnsafeRawPointer, type: ObjectType, count: Int, stride: Int) {
    (self.base, self.type, self.count, self.stride) = (base, type, count, stride)
  }

  public init(_ points: AnyPoints) {
    switch points {
    case .float32(let view):
      self.init(base: view.base, type: .float32(dim: view.dim), count: view.count, stride: 4 * view.stride)
    case .float64(let view):
      self.init(base: view.base, type: .float64(dim: view.dim), count: view.count, stride: 8 * view.stride)
    }
  }
}

/// Objects as bytes, row after row.
final class ObjectRows: @unchecked Sendable {
  let type: ObjectType
  let count: Int
  let bytes: Buffer<UInt8>

  init(type: ObjectType, count: Int) throws(CoverTreeError) {
    (self.type, self.count) = (type, count)
    bytes = try Buffer(count: count * type.rowBytes)
  }

  /// Rows in memory that is only read.
  init(_ bytes: Buffer<UInt8>, type: ObjectType) {
    (self.type, self.bytes, count) = (type, bytes, bytes.count / type.rowBytes)
  }

  /// A copy of the caller's rows. Coordinates must be finite.
  convenience init(_ view: ObjectsView, named name: String, context: CallContext) throws(CoverTreeError) {
    try self.init(type: view.type, count: view.count)
    for row in 0..<count { copy(view.base + row * view.stride, to: row) }
    switch type {
    case .float32(let dim):
      try PointsView(bytes.reinterpreted(as: Float.self), count: count, dim: dim).checkCoordinates(
        named: name, context: context)
    case .float64(let dim):
      try PointsView(bytes.reinterpreted(as: Double.self), count: count, dim: dim).checkCoordinates(
        named: name, context: context)
    case .number: break
    }
  }

  /// Some rows of others, in any order.
  convenience init(_ other: ObjectRows, rows: UnsafeBufferPointer<Int32>) throws(CoverTreeError) {
    try self.init(type: other.type, count: rows.count)
    for (row, source) in rows.enumerated() { copy(other.row(source), to: row) }
  }

  /// The rows of two lists of objects of the same type, one after the other.
  convenience init(_ first: ObjectRows, then second: ObjectRows) throws(CoverTreeError) {
    try self.init(type: first.type, count: first.count + second.count)
    bytes.base.update(from: first.bytes.base, count: first.bytes.count)
    (bytes.base + first.bytes.count).update(from: second.bytes.base, count: second.bytes.count)
  }

  @inline(__always)
  func row(_ row: Int32) -> UnsafeRawPointer { UnsafeRawPointer(bytes.base + Int(row) &* type.rowBytes) }

  private func copy(_ source: UnsafeRawPointer, to row: Int) {
    memcpy(bytes.base + row * type.rowBytes, source, type.rowBytes)
  }
}

/// Pairs of objects that one thread has the function evaluate together.
///
/// One call of the function for many pairs costs a caller's interpreter little more than one for a single pair.
final class PairEvaluator {
  private static let pairsPerCall = 4096

  private let function: DistanceFunction
  private let rowBytes: Int
  private let context: CallContext
  private let left: GrowableBuffer<UInt8>
  private let right: GrowableBuffer<UInt8>
  private let distances: GrowableBuffer<Double>
  private(set) var evaluations = 0

  init(_ function: DistanceFunction, _ type: ObjectType, context: CallContext) throws(CoverTreeError) {
    (self.function, rowBytes, self.context) = (function, type.rowBytes, context)
    left = try GrowableBuffer()
    right = try GrowableBuffer()
    distances = try GrowableBuffer()
  }

  func removeAll() {
    left.removeAll()
    right.removeAll()
  }

  @inline(__always)
  func add(_ a: UnsafeRawPointer, _ b: UnsafeRawPointer) throws(CoverTreeError) {
    try left.append(UnsafeBufferPointer(start: a.assumingMemoryBound(to: UInt8.self), count: rowBytes))
    try right.append(UnsafeBufferPointer(start: b.assumingMemoryBound(to: UInt8.self), count: rowBytes))
  }

  /// The distances of the pairs that were added, in that order; valid until the next call.
  func run() throws(CoverTreeError) -> UnsafeBufferPointer<Double> {
    let count = left.count / rowBytes
    try distances.resize(to: count)
    for first in stride(from: 0, to: count, by: Self.pairsPerCall) {
      try context.poll()
      let some = min(Self.pairsPerCall, count - first)
      try function.fill(some, left.base + first * rowBytes, right.base + first * rowBytes, distances.base + first)
    }
    for distance in distances.elements where !(distance >= 0 && distance <= DistanceFunction.largest) {
      throw CoverTreeError(.invalidArgument, "metric: expected distances from 0 to 2^500, got \(distance)")
    }
    evaluations += count
    removeAll()
    return distances.elements
  }
}

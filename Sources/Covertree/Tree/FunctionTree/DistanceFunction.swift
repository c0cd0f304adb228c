import CovertreeBase
import Glibc

/// A metric of the caller: a function of pairs of objects. Any thread may call it.
public struct DistanceFunction: @unchecked Sendable {
  /// Fills `count` distances, from rows of `left` to the rows of `right` with the same number.
  public typealias Fill = (
    _ count: Int, _ left: UnsafeRawPointer, _ right: UnsafeRawPointer, _ distances: UnsafeMutablePointer<Double>
  ) throws(CoverTreeError) -> Void

  /// What makes two functions the same one: addresses of the caller.
  public struct Identity: Equatable, Sendable {
    let function: UInt
    let data: UInt

    public init(function: UInt, data: UInt) { (self.function, self.data) = (function, data) }
  }

  let fill: Fill
  let identity: Identity

  public init(_ identity: Identity, fill: @escaping Fill) { (self.identity, self.fill) = (identity, fill) }

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
/// One call of the function for many pairs costs a caller's interpreter little more than one for a single pair. The rows of a call fit into
/// a processor's cache.
final class PairEvaluator {
  private let function: DistanceFunction
  private let rowBytes: Int
  private let pairsPerCall: Int
  private let context: CallContext
  private let left: GrowableBuffer<UInt8>
  private let right: GrowableBuffer<UInt8>
  private let distances: GrowableBuffer<Double>
  private var waiting = 0
  /// Whether the distances are those of an earlier run.
  private var isRead = false
  private(set) var evaluations = 0

  init(_ function: DistanceFunction, _ type: ObjectType, context: CallContext) throws(CoverTreeError) {
    (self.function, rowBytes, self.context) = (function, type.rowBytes, context)
    pairsPerCall = DistanceFunction.pairsPerCall(rowBytes: rowBytes)
    left = try GrowableBuffer()
    right = try GrowableBuffer()
    distances = try GrowableBuffer()
  }

  @inline(__always)
  func add(_ a: UnsafeRawPointer, _ b: UnsafeRawPointer) throws(CoverTreeError) {
    if waiting == pairsPerCall { try evaluate() }
    try left.append(UnsafeBufferPointer(start: a.assumingMemoryBound(to: UInt8.self), count: rowBytes))
    try right.append(UnsafeBufferPointer(start: b.assumingMemoryBound(to: UInt8.self), count: rowBytes))
    waiting &+= 1
  }

  /// The distances of the pairs that were added, in that order; valid until the next call.
  func run() throws(CoverTreeError) -> UnsafeBufferPointer<Double> {
    try evaluate()
    isRead = true
    return distances.elements
  }

  private func evaluate() throws(CoverTreeError) {
    if isRead { distances.removeAll() }
    isRead = false
    let first = distances.count
    try distances.resize(to: first + waiting)
    try function.evaluate(waiting, left.base, right.base, into: distances.base + first, context)
    evaluations += waiting
    waiting = 0
    left.removeAll()
    right.removeAll()
  }
}

/// Evaluates the function from one object to many at a time, on one thread.
final class RowEvaluator {
  private let function: DistanceFunction
  private let rowBytes: Int
  private let context: CallContext
  /// Copies of the object, and how many there are.
  private let left: Buffer<UInt8>
  private let right: Buffer<UInt8>
  private let distances: Buffer<Double>
  private var copies = 0
  private var gathered = 0
  private var object: UnsafeRawPointer?
  private(set) var evaluations = 0

  /// Objects that one call compares at most.
  let most: Int

  init(_ function: DistanceFunction, _ type: ObjectType, context: CallContext) throws(CoverTreeError) {
    (self.function, rowBytes, self.context) = (function, type.rowBytes, context)
    most = DistanceFunction.pairsPerCall(rowBytes: rowBytes)
    left = try Buffer(count: most * rowBytes)
    right = try Buffer(count: most * rowBytes)
    distances = try Buffer(count: most)
  }

  /// Sets the object from which distances are.
  func begin(_ object: UnsafeRawPointer) {
    guard object != self.object else { return }
    (self.object, copies) = (object, 0)
  }

  /// Adds an object to those that the next `run` compares.
  @inline(__always)
  func add(_ other: UnsafeRawPointer) {
    UnsafeMutableRawPointer(right.base + gathered &* rowBytes).copyMemory(from: other, byteCount: rowBytes)
    gathered &+= 1
  }

  /// The distances to the objects that were added; valid until the next call.
  func run() throws(CoverTreeError) -> UnsafePointer<Double> {
    defer { gathered = 0 }
    return try run(UnsafeRawPointer(right.base), count: gathered)
  }

  /// The distances to some rows.
  func run(_ rows: UnsafeRawPointer, count: Int) throws(CoverTreeError) -> UnsafePointer<Double> {
    while copies < count {
      UnsafeMutableRawPointer(left.base + copies * rowBytes).copyMemory(from: object!, byteCount: rowBytes)
      copies += 1
    }
    try function.evaluate(count, UnsafeRawPointer(left.base), rows, into: distances.base, context)
    evaluations += count
    return UnsafePointer(distances.base)
  }
}

extension DistanceFunction {
  /// Pairs that one call of the function evaluates.
  static func pairsPerCall(rowBytes: Int) -> Int { max(64, min(4096, (1 << 18) / rowBytes)) }

  /// Evaluates some pairs, and checks their distances.
  fileprivate func evaluate(
    _ count: Int, _ left: UnsafeRawPointer, _ right: UnsafeRawPointer, into distances: UnsafeMutablePointer<Double>,
    _ context: CallContext
  ) throws(CoverTreeError) {
    guard count > 0 else { return }
    try context.poll()
    try fill(count, left, right, distances)
    for slot in 0..<count where !(distances[slot] >= 0 && distances[slot] <= Self.largest) {
      throw CoverTreeError(.invalidArgument, "metric: expected distances from 0 to 2^500, got \(distances[slot])")
    }
  }
}

import CovertreeBase

/// The points of a model that searches do not find: removed ones, and in a call with a filter also those that it does not admit. They keep
/// their positions and indices, so all structures of the model stay. In a compacted model, indices are its own numbers (`DatasetIndices`).
final class RemovedPoints: @unchecked Sendable {
  /// By index: 1 for removed points.
  let marks: Buffer<UInt8>
  /// Indices of the other points, ascending.
  let remaining: Buffer<Int64>

  init(_ marks: Buffer<UInt8>) throws(CoverTreeError) {
    self.marks = marks
    remaining = try Buffer(count: marks.elements.count { $0 == 0 })
    var next = 0
    for index in 0..<marks.count where marks[index] == 0 {
      remaining[next] = Int64(index)
      next += 1
    }
  }

  /// Some points by their numbers below `count`, and those that were removed before.
  ///
  /// - Parameter given: their dataset indices, for messages.
  convenience init(
    _ numbers: UnsafeBufferPointer<Int64>, of count: Int, and earlier: RemovedPoints?,
    named given: UnsafeBufferPointer<Int64>
  ) throws(CoverTreeError) {
    let marks = try Buffer<UInt8>(count: count, filledWith: 0)
    if let earlier { marks.base.update(from: earlier.marks.base, count: earlier.marks.count) }
    for (row, number) in numbers.enumerated() {
      guard number >= 0, number < count, earlier?.has(Int32(number)) != true else {
        throw CoverTreeError(.notFound, "indices[\(row)]: the model has no point \(given[row])")
      }
      guard marks[Int(number)] == 0 else {
        throw CoverTreeError(.invalidArgument, "indices[\(row)]: point \(given[row]) is named twice")
      }
      marks[Int(number)] = 1
    }
    try self.init(marks)
  }

  /// These points and, of a model of as many points as a mask has bytes, those that the mask does not admit.
  static func with(
    _ earlier: RemovedPoints?, excludedBy mask: UnsafeBufferPointer<UInt8>
  ) throws(CoverTreeError) -> RemovedPoints {
    let marks = try Buffer<UInt8>(count: mask.count)
    for index in 0..<mask.count { marks[index] = mask[index] == 0 ? 1 : 0 }
    if let earlier {
      for index in 0..<mask.count { marks[index] |= earlier.marks[index] }
    }
    return try RemovedPoints(marks)
  }

  /// By index: the number of remaining points of lower indices; -1 for removed points.
  func rows() throws(CoverTreeError) -> Buffer<Int32> {
    let rows = try Buffer<Int32>(count: marks.count, filledWith: -1)
    for (row, index) in remaining.elements.enumerated() { rows[Int(index)] = Int32(row) }
    return rows
  }

  /// The same among more points.
  func extended(to count: Int) throws(CoverTreeError) -> RemovedPoints {
    let none = UnsafeBufferPointer<Int64>(start: nil, count: 0)
    return try RemovedPoints(none, of: count, and: self, named: none)
  }

  /// Whether the point of an index is removed. More indices may have been given since.
  @inline(__always)
  func has(_ index: Int32) -> Bool { Int(index) < marks.count && marks[Int(index)] != 0 }

  var byteCount: Int { marks.byteCount + remaining.byteCount }
}

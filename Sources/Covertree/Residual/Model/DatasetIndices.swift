import CovertreeBase

/// The dataset indices of the points of a model that was compacted. The model itself numbers its points from 0 on without gaps, in the order
/// of their dataset indices: so ties, predecessors and upper indices mean the same in both. Only the public methods of `ResidualSearch`
/// see dataset indices.
final class DatasetIndices: @unchecked Sendable {
  /// By number: ascending.
  let ofNumbers: Buffer<Int64>
  /// The index that the next point gets.
  let next: Int

  init(_ ofNumbers: Buffer<Int64>, next: Int) { (self.ofNumbers, self.next) = (ofNumbers, next) }

  /// The number of points with lower indices.
  func numberBelow(_ index: Int64) -> Int {
    var (low, high) = (0, ofNumbers.count)
    while low < high {
      let middle = (low + high) / 2
      if ofNumbers[middle] < index { low = middle + 1 } else { high = middle }
    }
    return low
  }

  /// The number of a point; nil if the model does not have it.
  func number(_ index: Int64) -> Int64? {
    let number = numberBelow(index)
    return number < ofNumbers.count && ofNumbers[number] == index ? Int64(number) : nil
  }

  /// Some of the points.
  func keeping(_ numbers: Buffer<Int64>) throws(CoverTreeError) -> DatasetIndices {
    let kept = try Buffer<Int64>(count: numbers.count)
    for row in 0..<numbers.count { kept[row] = ofNumbers[Int(numbers[row])] }
    return DatasetIndices(kept, next: next)
  }

  /// The same with more points.
  func extended(by count: Int) throws(CoverTreeError) -> DatasetIndices {
    guard next + count < Int(Int32.max) else {
      throw CoverTreeError(
        .invalidArgument, "points: the next index would be \(next + count), at most 2^31 - 2 is possible")
    }
    let all = try Buffer<Int64>(count: ofNumbers.count + count)
    all.base.update(from: ofNumbers.base, count: ofNumbers.count)
    for row in 0..<count { all[ofNumbers.count + row] = Int64(next + row) }
    return DatasetIndices(all, next: next + count)
  }

  /// Replaces numbers by dataset indices; -1 stays.
  func replace(_ numbers: UnsafeMutableBufferPointer<Int64>) {
    for slot in numbers.indices where numbers[slot] >= 0 { numbers[slot] = ofNumbers[Int(numbers[slot])] }
  }

  var byteCount: Int { ofNumbers.byteCount }
}

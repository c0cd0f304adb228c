import CovertreeBase

/// Removal of points. A search without some points shares all structures of the search that has them, and leaves the points out of its
/// candidates; so a removal costs a few bytes a point. If more than a quarter of the model's points are left out, a model of the others
/// replaces it, with the same features. Then its points have numbers of their own (`DatasetIndices`).
extension ResidualSearch {
  /// The same search without some more points, by dataset index.
  public func removing(
    _ indices: UnsafeBufferPointer<Int64>, context: CallContext
  ) throws(CoverTreeError) -> ResidualSearch {
    let start = monotonicSeconds()
    let numbers = try numbers(indices)
    defer { withExtendedLifetime(numbers) {} }
    let removed = try RemovedPoints(numbers?.elements ?? indices, of: model.count, and: removed, named: indices)
    let left = removed.remaining
    guard left.count > 0, 4 * (model.count - left.count) > model.count else {
      return try leavingOut(removed, since: start)
    }
    return try keeping(left, since: start, context: context)
  }

  /// The number of points that searches find.
  var remainingCount: Int { removed?.remaining.count ?? model.count }

  /// The dataset index that the next point gets.
  var nextIndex: Int { datasetIndices?.next ?? model.count }

  /// Whether searches find the point of a dataset index.
  func finds(_ index: Int64) -> Bool {
    guard index >= 0, index < Int64(nextIndex) else { return false }
    let number = datasetIndices.map { $0.number(index) } ?? index
    return number.map { removed?.has(Int32($0)) != true } ?? false
  }

  /// Throws unless all are dataset indices of points that searches find.
  func check(_ list: StoredIndices, named name: String) throws(CoverTreeError) {
    try list.check(below: nextIndex, named: name)
    guard removed != nil || datasetIndices != nil else { return }
    for (row, index) in list.elements.enumerated() where !finds(index) {
      throw CoverTreeError(.notFound, "\(name)[\(row)]: point \(index) was removed")
    }
  }

  /// The numbers of points in the model, -1 for indices that it does not have; nil if the indices are the numbers.
  func numbers(_ indices: UnsafeBufferPointer<Int64>) throws(CoverTreeError) -> Buffer<Int64>? {
    guard let datasetIndices else { return nil }
    let numbers = try Buffer<Int64>(count: indices.count)
    for (row, index) in indices.enumerated() { numbers[row] = datasetIndices.number(index) ?? -1 }
    return numbers
  }

  /// By dataset index: the position of its point; not set for points that the model does not have.
  func positionsOfIndices() throws(CoverTreeError) -> Buffer<Int32> {
    guard let datasetIndices else { return model.positionOfIndex }
    let positions = try Buffer<Int32>(count: datasetIndices.next, filledWith: -1)
    for number in 0..<model.count { positions[Int(datasetIndices.ofNumbers[number])] = model.positionOfIndex[number] }
    return positions
  }

  /// By position: the dataset index.
  func indicesOfPositions() throws(CoverTreeError) -> Buffer<Int32> {
    let indices = try Buffer<Int32>(count: model.count)
    indices.base.update(from: model.order.base, count: model.count)
    if let known = datasetIndices?.ofNumbers {
      for position in 0..<model.count { indices[position] = Int32(known[Int(indices[position])]) }
    }
    return indices
  }

  /// The hash of the points that searches find, as the caller gave them, by dataset index.
  func pointHash(_ context: CallContext) throws(CoverTreeError) -> UInt64 {
    guard removed != nil || datasetIndices != nil else { return model.inputs.pointHash }
    return try model.inputs.view(dim: model.dim).hash(context: context) { [removed, datasetIndices] number in
      guard removed?.has(Int32(number)) != true else { return nil }
      return datasetIndices.map { Int($0.ofNumbers[number]) } ?? number
    }
  }
}

/// The arguments of a call in the numbers of a compacted model.
struct NumberedCall {
  let queries: ResidualQueries
  let options: SearchOptions
  /// Keeps the memory of both alive.
  private let owned: [AnyObject]

  /// - Parameter queries: whose dataset indices are checked.
  init(_ queries: ResidualQueries, _ options: SearchOptions, in search: ResidualSearch) throws(CoverTreeError) {
    guard let indices = search.datasetIndices else {
      (self.queries, self.options, owned) = (queries, options, [])
      return
    }
    var (queries, options) = (queries, options)
    var owned: [AnyObject] = []
    if case .stored(let list) = queries, let numbers = try search.numbers(list.elements) {
      queries = .stored(StoredIndices(numbers.elements))
      owned.append(numbers)
    }
    if let before = options.before {
      let upper = try Buffer<Int64>(count: before.count)
      for row in 0..<before.count { upper[row] = Int64(indices.numberBelow(before[row])) }
      options.before = upper.elements
      owned.append(upper)
    }
    if let admitted = options.admitted {
      let mask = try Buffer<UInt8>(count: indices.ofNumbers.count)
      for number in 0..<mask.count { mask[number] = admitted[Int(indices.ofNumbers[number])] }
      options.admitted = mask.elements
      owned.append(mask)
    }
    (self.queries, self.options, self.owned) = (queries, options, owned)
  }
}

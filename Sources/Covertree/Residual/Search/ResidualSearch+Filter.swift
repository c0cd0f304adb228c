import CovertreeBase

/// Filters. A search leaves out the points that a filter does not admit, as it leaves out removed ones. Or it *gathers* the admitted points,
/// if they are few and queries many enough: it makes a search of them alone for the call. Points keep their features, so answers are the same
/// to the bit.
extension ResidualSearch {
  /// Answers a call with its filter.
  ///
  /// - Parameter request: leaves out removed points only.
  /// - Returns: the dataset indices of the points in the answer, by number; nil if they are the numbers.
  func answerCall(_ queries: ResidualQueryRows, _ request: SearchRequest) throws(CoverTreeError) -> DatasetIndices? {
    var request = request
    if let mask = request.options.admitted {
      let others = try RemovedPoints.with(removed, excludedBy: mask)
      if let way = wayToGather(others.remaining.count, request.goal, for: queries.count) {
        return try answer(queries, request, without: others, by: way)
      }
      request.leftOut = others.remaining.count < mask.count ? others : nil
    }
    try answer(queries, request)
    return datasetIndices
  }

  /// Answers a call by a search of the points that it admits.
  private func answer(
    _ queries: ResidualQueryRows, _ request: SearchRequest, without others: RemovedPoints, by way: WayToGather
  ) throws(CoverTreeError) -> DatasetIndices? {
    let (call, context) = (try GatheredCall(queries, request, without: others), request.context)
    let gathered = try context.within(from: 0, to: 0.2) { () throws(CoverTreeError) in
      try keeping(others.remaining, inBlocks: way == .inBlocks, since: monotonicSeconds(), context: context)
    }
    context.stage(from: 0.2, to: 1)
    try call.answer(by: gathered, of: model)
    count(gathered.info.statistics)
    return gathered.datasetIndices
  }

  /// How to search some admitted points alone; nil if it does not pay. Measured for 16 384 to 131 072 points in 3 and 12 dimensions, with
  /// 128 to 512 inducing points.
  private func wayToGather(_ admitted: Int, _ goal: SearchGoal, for queries: Int) -> WayToGather? {
    guard admitted > 0 else { return nil }
    let left = Double(model.count) / Double(admitted)
    let worth = Double(queries) * (left - 1)
    guard let lowRankBlocks else {
      guard decayBounds != nil else { return worth > WayToGather.leastWorthOfAll ? .directly : nil }
      return admitted <= WayToGather.mostNearPoints && worth > WayToGather.leastWorth ? .directly : nil
    }
    // Between regions, only bounds are known from earlier searches.
    let factor = lowRankBlocks.blocksPerRegion > 1 ? 0.5 : 1
    var areFew = left > factor * WayToGather.few
    if case .nearest(let k) = goal, left > WayToGather.least {
      areFew = areFew || Double(k) * left > factor * WayToGather.deep
    }
    guard areFew, worth > WayToGather.leastWorth else { return nil }
    return admitted * model.rank > WayToGather.mostDirect && queries > admitted / 2 ? .inBlocks : .directly
  }
}

/// How admitted points are searched alone.
private enum WayToGather {
  /// All of them are compared by their features. They cost nothing but a copy.
  case directly
  /// In blocks with bounds, as in any other model.
  case inBlocks

  /// A copy pays if the number of queries is above this, times the number of admitted points over the number of the others. The second is for
  /// searches that compare all points.
  static let leastWorth = 64.0
  static let leastWorthOfAll = 16.0
  /// If more points than this are admitted, the bounds by decay of the whole model exclude more than what a copy saves.
  static let mostNearPoints = 512
  /// Low-rank blocks compare all points. If fewer than one of this number is admitted, that is too much work.
  static let few = 16.0
  /// The same is true if less than a quarter is admitted, and the `k` nearest admitted points are about as far as this number of the nearest
  /// of all points.
  static let deep = 160.0
  static let least = 4.0
  /// With more points times features, low-rank blocks of the admitted points pay for many queries.
  static let mostDirect = 1 << 19
}

/// A call in the numbers of the points that its filter admits.
private struct GatheredCall {
  private let queries: ResidualQueryRows
  /// Without a filter. Upper indices belong to rows, because not all queries have a number.
  private let request: SearchRequest
  /// By row: the number of the query, or of the next admitted point.
  private let numbers: Buffer<Int64>
  /// The rows of queries that are admitted, and of others.
  private let own: GrowableBuffer<Int32>
  private let others: GrowableBuffer<Int32>
  private let before: Buffer<Int64>?

  /// - Parameter leftOut: the points that are not admitted.
  init(
    _ queries: ResidualQueryRows, _ given: SearchRequest, without leftOut: RemovedPoints
  ) throws(CoverTreeError) {
    let admitted = DatasetIndices(leftOut.remaining, next: leftOut.marks.count)
    (own, others) = (try GrowableBuffer(), try GrowableBuffer())
    numbers = try Buffer(count: queries.count)
    if case .stored(let indices, let rows) = queries {
      for row in rows.elements {
        let index = indices?[Int(row)] ?? Int64(row)
        numbers[row] = Int64(admitted.numberBelow(index))
        try (leftOut.has(Int32(index)) ? others : own).append(row)
      }
    }
    let options = given.options
    if let upper = options.before {
      let before = try Buffer<Int64>(count: queries.count)
      for row in 0..<before.count { before[row] = Int64(admitted.numberBelow(upper[row])) }
      self.before = before
    } else {
      before = options.predecessorsOnly ? numbers : nil
    }
    var request = given
    (request.options.admitted, request.options.predecessorsOnly) = (nil, false)
    (request.options.before, request.leftOut) = (before?.elements, nil)
    (self.queries, self.request) = (queries, request)
  }

  /// Asks a search of the admitted points: for these, and for other queries, which have features from the whole model.
  func answer(by gathered: ResidualSearch, of whole: ResidualModel) throws(CoverTreeError) {
    defer { withExtendedLifetime(self) {} }
    guard case .stored(let indices, _) = queries else { return try gathered.answer(queries, request) }
    if own.count > 0 { try gathered.answer(.stored(numbers.elements, rows: own.buffer), request) }
    if others.count > 0 { try gathered.answer(indices, rows: others.buffer, of: whole, request) }
  }
}

import CovertreeBase

/// The queries of a residual search.
public enum ResidualQueries: @unchecked Sendable {
  /// Points of the model, by dataset index.
  case stored(StoredIndices)
  /// All points of the model, in the order of their indices.
  case allStored
  /// New points, by their raw coordinates; with their features and residual variances if these are known.
  case points(PointsView<Double>, features: PointsView<Double>?, residualVariance: UnsafePointer<Double>?)
}

extension SearchOptions {
  func check(_ queries: ResidualQueries) throws(CoverTreeError) {
    try checkBounds()
    guard maximumDistance == .infinity else {
      throw CoverTreeError(.unsupported, "max_distance: is not supported in the residual-correlation metric")
    }
    guard case .points = queries else { return }
    if predecessorsOnly {
      throw CoverTreeError(
        .invalidArgument,
        "predecessor_mode: new points have no dataset index to come after; give before, or dataset indices as queries")
    }
    if excludesSelf {
      throw CoverTreeError(
        .invalidArgument, "exclude_self: new points are not in the dataset; give dataset indices as queries")
    }
  }
}

/// Queries in the order in which they run: in groups of near ones.
final class ResidualQuerySet: @unchecked Sendable {
  private let rows: Buffer<Int32>
  private let before: Buffer<Int32>
  private let limits: Buffer<Double>
  private let positions: Buffer<Int32>
  private let indices: Buffer<Int32>
  let excludesSelf: Bool
  /// The equal points that count; nil for all.
  var copies: FirstCopies?
  private let coordinates: Buffer<UnsafePointer<Double>>
  private let features: Buffer<UnsafePointer<Double>>
  private let residualVariance: Buffer<Double>
  private var groups: [(range: Range<Int>, block: Int?)] = []
  /// Keeps the memory of new points alive.
  private let owned: [Buffer<Double>]

  var count: Int { rows.count }
  var groupCount: Int { groups.count }

  subscript(group: Int) -> QueryGroup {
    let (range, block) = groups[group]
    return QueryGroup(
      count: range.count, rows: UnsafePointer(rows.base) + range.lowerBound,
      before: UnsafePointer(before.base) + range.lowerBound, limits: UnsafePointer(limits.base) + range.lowerBound,
      positions: UnsafePointer(positions.base) + range.lowerBound,
      indices: UnsafePointer(indices.base) + range.lowerBound, excludesSelf: excludesSelf, copies: copies,
      coordinates: UnsafePointer(coordinates.base) + range.lowerBound,
      features: UnsafePointer(features.base) + range.lowerBound,
      residualVariance: UnsafePointer(residualVariance.base) + range.lowerBound, block: block)
  }

  private init(count: Int, excludesSelf: Bool, owned: [Buffer<Double>]) throws(CoverTreeError) {
    rows = try Buffer(count: count)
    before = try Buffer(count: count)
    limits = try Buffer(count: count)
    positions = try Buffer(count: count)
    indices = try Buffer(count: count)
    coordinates = try Buffer(count: count)
    features = try Buffer(count: count)
    residualVariance = try Buffer(count: count)
    self.excludesSelf = excludesSelf
    self.owned = owned
  }

  /// Points of the model: those of one block make one or more groups.
  ///
  /// - Parameters:
  ///   - indices: of all queries, one per row; nil for all points.
  ///   - selected: the rows to search for.
  convenience init(
    _ indices: UnsafeBufferPointer<Int64>?, rows selected: UnsafeBufferPointer<Int32>, in model: ResidualModel,
    options: SearchOptions, groupSize: Int, context: CallContext
  ) throws(CoverTreeError) {
    let count = selected.count
    try self.init(count: count, excludesSelf: options.excludesSelf, owned: [])
    let keys = try Buffer<UInt64>(count: count)
    for (slot, row) in selected.enumerated() {
      keys[slot] = UInt64(model.positionOfIndex[Int(indices?[Int(row)] ?? Int64(row))])
    }
    let sequence = try sortedOrder(ofKeys: keys, context: context)
    for slot in 0..<count {
      let row = selected[Int(sequence[slot])]
      let position = Int(keys[Int(sequence[slot])])
      rows[slot] = row
      positions[slot] = Int32(position)
      self.indices[slot] = model.order[position]
      before[slot] = options.upperIndex(ofRow: Int(row), index: model.order[position])
      limits[slot] = options.limits?[Int(row)] ?? .infinity
      coordinates[slot] = UnsafePointer(model.coordinates.base) + position * model.dim
      features[slot] = UnsafePointer(model.features.base) + position * model.rank
      residualVariance[slot] = model.residualVariance[position]
    }
    var first = 0
    while first < count {
      let block = Int(positions[first]) / model.blockSize
      var end = first + 1
      while end < count, end - first < groupSize, Int(positions[end]) / model.blockSize == block { end += 1 }
      groups.append((first..<end, block))
      first = end
    }
  }

  /// New points: near ones make a group.
  convenience init(
    _ new: NewPoints, in model: ResidualModel, options: SearchOptions, groupSize: Int, context: CallContext
  ) throws(CoverTreeError) {
    let (count, scaled, made) = (new.count, new.coordinates, new.features)
    try self.init(count: count, excludesSelf: false, owned: [scaled, made])
    let view = PointsView(scaled, count: count, dim: model.dim)
    let sequence = try BlockPartition(view, blockSize: groupSize, context: context).order
    for slot in 0..<count {
      let row = Int(sequence[slot])
      rows[slot] = Int32(row)
      before[slot] = options.upperIndex(ofRow: row, index: Int32.max)
      limits[slot] = options.limits?[row] ?? .infinity
      positions[slot] = -1
      self.indices[slot] = -1
      coordinates[slot] = UnsafePointer(scaled.base) + row * model.dim
      features[slot] = UnsafePointer(made.base) + row * model.rank
      residualVariance[slot] = new.residualVariance[row]
    }
    fillGroups(groupSize)
  }

  private func fillGroups(_ groupSize: Int) {
    for first in Swift.stride(from: 0, to: count, by: groupSize) {
      groups.append((first..<min(count, first + groupSize), nil))
    }
  }

  /// Some of the queries, by their rows, in full groups.
  func subset(_ wanted: GrowableBuffer<Int32>, groupSize: Int) throws(CoverTreeError) -> ResidualQuerySet {
    let isWanted = try Buffer<Bool>(count: 1 + Int(rows.elements.max() ?? 0), filledWith: false)
    for row in wanted.elements { isWanted[row] = true }
    let set = try ResidualQuerySet(count: wanted.count, excludesSelf: excludesSelf, owned: owned)
    set.copies = copies
    var next = 0
    for slot in 0..<count where isWanted[rows[slot]] {
      set.rows[next] = rows[slot]
      set.before[next] = before[slot]
      set.limits[next] = limits[slot]
      set.positions[next] = positions[slot]
      set.indices[next] = indices[slot]
      set.coordinates[next] = coordinates[slot]
      set.features[next] = features[slot]
      set.residualVariance[next] = residualVariance[slot]
      next += 1
    }
    set.fillGroups(groupSize)
    return set
  }
}

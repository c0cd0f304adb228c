import CovertreeBase

/// Covariances by the caller's kernel between the points of some sets: one call of it serves all sets of a run.
///
/// Points that follow each other are near, so their sets have members in common. A run ends where a longer one would cost more for each of
/// its points.
final class BlockCovariances {
  /// The cost of a call of the kernel, in pairs.
  private static let pairsPerCall = 4096
  /// The most points of a block: its covariances need 32 MiB.
  private static let mostPoints = 2048

  private let callback: CallbackKernel
  private let dim: Int
  /// The points of the block.
  private let members: GrowableBuffer<Int32>
  /// The place of each point in the block, -1 for others.
  private let slots: GrowableBuffer<Int32>
  private let coordinates: GrowableBuffer<Double>
  private let values: GrowableBuffer<Double>
  /// Of the pairs, for derivatives; nil if these are not wanted.
  private let weights: GrowableBuffer<Double>?

  private var count: Int { members.count }

  init(_ callback: CallbackKernel, dim: Int, withWeights: Bool) throws(CoverTreeError) {
    (self.callback, self.dim) = (callback, dim)
    members = try GrowableBuffer()
    slots = try GrowableBuffer()
    coordinates = try GrowableBuffer()
    values = try GrowableBuffer()
    weights = withWeights ? try GrowableBuffer() : nil
  }

  /// Computes the covariances of some points and their sets, as many as one call should serve.
  ///
  /// - Parameters:
  ///   - range: of members.
  ///   - set: of each.
  /// - Returns: the end of the run.
  func load(
    _ range: Range<Int>, of points: VecchiaPoints, set: (Int) -> UnsafeBufferPointer<Int32>
  ) throws(CoverTreeError) -> Int {
    for member in members.elements { slots[Int(member)] = -1 }
    members.removeAll()
    while slots.count < points.count { try slots.append(-1) }
    var (end, cost) = (range.lowerBound, Double.infinity)
    while end < range.upperBound {
      let before = count
      try insert(Int32(end))
      for member in set(end) { try insert(member) }
      let longer = Double(Self.pairsPerCall + count * count) / Double(end + 1 - range.lowerBound)
      guard end == range.lowerBound || longer <= cost && count <= Self.mostPoints else {
        for slot in before..<count { slots[Int(members[slot])] = -1 }
        try members.resize(to: before)
        break
      }
      (end, cost) = (end + 1, longer)
    }
    try coordinates.resize(to: count * dim)
    for (slot, member) in members.elements.enumerated() {
      (coordinates.base + slot * dim).update(from: points.coordinates(Int(member)), count: dim)
    }
    try values.resize(to: count * count)
    try callback.fill(coordinates.base, count, coordinates.base, count, values.base)
    if let weights {
      try weights.resize(to: count * count)
      weights.base.update(repeating: 0, count: weights.count)
    }
    return end
  }

  private func insert(_ member: Int32) throws(CoverTreeError) {
    guard slots[Int(member)] < 0 else { return }
    slots[Int(member)] = Int32(count)
    try members.append(member)
  }

  /// The place of a pair. A kernel may round differently if its arguments change places, so a pair has one place.
  @inline(__always)
  private func place(_ a: Int, _ b: Int) -> Int {
    let (first, second) = (Int(slots[a]), Int(slots[b]))
    return max(first, second) &* count &+ min(first, second)
  }

  /// The covariance of two members.
  @inline(__always)
  func value(_ a: Int, _ b: Int) -> Double { values[place(a, b)] }

  /// Adds a weight of the derivatives of a pair.
  @inline(__always)
  func add(_ weight: Double, _ a: Int, _ b: Int) { weights![place(a, b)] += weight }

  /// Adds the derivatives of all pairs with their weights.
  func add(to gradient: KernelGradient) throws(CoverTreeError) {
    guard let weights else { return }
    try gradient.add(
      rows: coordinates.base, rowCount: count, columns: coordinates.base, columnCount: count, weights: weights.base,
      stride: count)
  }
}

import CovertreeBase

/// A metric over a fixed set of points, known by their numbers, as a build of the cover tree uses it.
///
/// Distances are squared and in float64, or scores if squares underflow (`Score`); these decide levels and ties.
protocol Metric: Sendable {
  /// Some of the points, prepared for searches.
  associatedtype Sources: Sendable
  /// One thread's searches among them.
  associatedtype Finder: SourceFinder

  /// Whether searches are faster if points that know the same centre follow each other.
  static var prefersCells: Bool { get }

  var pointCount: Int { get }
  func sources(_ points: GrowableBuffer<Int32>, context: CallContext) throws(CoverTreeError) -> Sources
  func finder(_ sources: Sources) throws(CoverTreeError) -> Finder

  /// Vector operations to compare a point with `count` others.
  func operations(comparing count: Int) -> Int

  /// The scores of the distances from a point to others.
  func scores(
    from point: Int32, to others: UnsafeBufferPointer<Int32>, into scores: UnsafeMutablePointer<Double>
  ) throws(CoverTreeError)
}

extension Metric {
  static var prefersCells: Bool { false }
}

/// The centres that pending points know, by point.
struct KnownCenters {
  let center: Buffer<Int32>
  /// Of its distance.
  let score: Buffer<Double>
}

/// The reach of the searches of one level, in scores.
struct LevelReach {
  /// The level's radius: a farther source covers no point.
  var radius: Double
  /// Half of it. A point that knows a source within the radius needs only nearer sources than this, on lower levels.
  var half: Double

  init(ofLevel level: Int32) {
    radius = radiusScore(ofLevel: level)
    half = radiusScore(ofLevel: level - 1)
  }

  /// The score below which a point that knows a source with the score `known` wants others.
  @inline(__always)
  func bar(knowing known: Double) -> Double { known > radius ? radius.nextUp : min(known, half.nextUp) }
}

/// Sources are known by their *position*: a number in an order that suits the searches. They were made from `list`.
protocol SourceFinder {
  /// Finds for each point a source within the reach that is closer than the one it knows: the nearest of all if that is within half of
  /// the reach.
  ///
  /// - Parameter found: gets the position of the source in the list.
  mutating func nearest(
    to points: UnsafeBufferPointer<Int32>, knowing known: KnownCenters, reach: LevelReach,
    found: (_ point: Int32, _ listed: Int32, _ score: Double) -> Void
  ) throws(CoverTreeError)

  /// Finds the other sources within a radius (inclusive) of each of those at `positions`, from a multiple of 16 on, in any order.
  ///
  /// - Parameter wanted: whether a pair matters.
  mutating func neighbors(
    of positions: Range<Int>, in list: GrowableBuffer<Int32>, knowing known: KnownCenters?, within radius: Double,
    wanted: (_ position: Int32, _ neighbor: Int32) -> Bool,
    found: (_ position: Int32, _ neighbor: Int32) throws(CoverTreeError) -> Void
  ) throws(CoverTreeError)

  /// The position in the list of the source at a position.
  func listed(_ position: Int) -> Int

  var distanceEvaluations: Int { get }
}

import CovertreeBase

/// What the building of a tree asks of a metric over a fixed set of points, known by their numbers.
///
/// Distances come squared and in float64, or as scores where squares underflow (`Score`); that is how levels and ties are decided.
protocol Metric: Sendable {
  /// Some of the points, made ready to be searched.
  associatedtype Sources: Sendable
  /// One thread's searches among them.
  associatedtype Finder: SourceFinder

  var pointCount: Int { get }
  func sources(_ points: GrowableBuffer<Int32>, context: CallContext) throws(CoverTreeError) -> Sources
  func finder(_ sources: Sources) throws(CoverTreeError) -> Finder

  /// Vector operations that comparing a point with `count` others may take.
  func operations(comparing count: Int) -> Int

  func squaredDistance(_ a: Int32, _ b: Int32) -> Double
}

/// How far the searches of one level look, in scores.
struct LevelReach {
  /// The level's radius: a farther source covers no point.
  var radius: Double
  /// Half of it: to a point that knows of a source within the radius only what is nearer than this matters, on lower levels.
  var half: Double

  init(ofLevel level: Int32) {
    radius = radiusScore(ofLevel: level)
    half = radiusScore(ofLevel: level - 1)
  }

  /// The score below which a point wants sources, which knows of one with the score `known`.
  @inline(__always)
  func bar(knowing known: Double) -> Double { known > radius ? radius.nextUp : min(known, half.nextUp) }
}

/// Sources are known by their *position*: an order that suits the searches. `list` is what they were made from.
protocol SourceFinder {
  /// Finds for each point a source within the reach that is closer than the one it knows of: the nearest of all where that is
  /// within half of the reach.
  ///
  /// - Parameter known: by point, the score of what it knows of.
  /// - Parameter found: with where the source stands in the list.
  mutating func nearest(
    to points: UnsafeBufferPointer<Int32>, knowing known: Buffer<Double>, reach: LevelReach,
    found: (_ point: Int32, _ listed: Int32, _ score: Double) -> Void
  ) throws(CoverTreeError)

  /// Finds the other sources within a radius (inclusive) of each of those at some positions, in any order.
  ///
  /// - Parameter positions: from a multiple of 16 on.
  mutating func neighbors(
    of positions: Range<Int>, in list: GrowableBuffer<Int32>, within radius: Double,
    found: (_ position: Int32, _ neighbor: Int32) throws(CoverTreeError) -> Void
  ) throws(CoverTreeError)

  /// Where the source at a position stands in the list.
  func listed(_ position: Int) -> Int

  var distanceEvaluations: Int { get }
}

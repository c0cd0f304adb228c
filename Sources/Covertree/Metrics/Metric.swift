/// What the building of a tree asks of a metric over a fixed set of points, known by their numbers.
///
/// Distances come squared and in float64, or as scores where squares underflow (`Score`); that is how levels and ties are decided.
protocol Metric: Sendable {
  /// Some of the points, made ready to be searched.
  associatedtype Sources: Sendable
  /// One thread's searches among them.
  associatedtype Finder: SourceFinder

  var pointCount: Int { get }
  func sources(_ points: Stack<Int32>, context: CallContext) throws(CoverTreeError) -> Sources
  func finder(_ sources: Sources) throws(CoverTreeError) -> Finder

  /// Vector operations that comparing a point with `count` others may take.
  func operations(comparing count: Int) -> Int

  func squaredDistance(_ a: Int32, _ b: Int32) -> Double
}

/// Sources are known by their place in the list that they were made from.
protocol SourceFinder {
  /// Finds the nearest source of each point, if it is closer than the point's bound (squared): its place, and its squared
  /// distance. Of several it is the first in the list.
  mutating func nearest(
    to points: UnsafeBufferPointer<Int32>, closerThan bounds: Buffer<Double>,
    found: (_ point: Int32, _ place: Int32, _ squared: Double) -> Void
  ) throws(CoverTreeError)

  /// Finds the other sources within a squared radius (inclusive) of each of those at some places, in any order.
  ///
  /// - Parameter list: what the sources were made from.
  mutating func neighbors(
    of places: Range<Int>, in list: Stack<Int32>, within squaredRadius: Double,
    found: (_ place: Int32, _ neighbor: Int32) throws(CoverTreeError) -> Void
  ) throws(CoverTreeError)

  var distanceEvaluations: Int { get }
}

/// The points that count for a query, by index.
struct IndexFilter {
  /// Only indices below this count.
  var upperIndex = Int32.max
  /// An index that does not count.
  var excludedIndex: Int32 = -1

  @inline(__always)
  func admits(_ index: Int32) -> Bool { index < upperIndex && index != excludedIndex }
}

/// Which points count for a query.
struct Eligibility {
  /// Labels below this.
  var before = Int32.max
  /// A label that does not count.
  var excluded: Int32 = -1

  @inline(__always)
  func admits(_ label: Int32) -> Bool { label < before && label != excluded }
}

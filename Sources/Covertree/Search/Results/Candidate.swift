/// A neighbour while it is being searched for. Neighbours are ordered by distance, then by index.
struct Candidate: BitwiseCopyable {
  var squared: Double
  var index: Int32

  @inline(__always)
  static func < (a: Candidate, b: Candidate) -> Bool {
    a.squared < b.squared || (a.squared == b.squared && a.index < b.index)
  }
}

/// Neighbours of a query, the nearest first, in scratch memory that the next query overwrites.
struct SortedNeighbors {
  let count: Int
  let squares: UnsafePointer<Double>
  let indices: UnsafePointer<Int64>
}

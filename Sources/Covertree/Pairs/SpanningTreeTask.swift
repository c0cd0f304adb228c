import CovertreeBase
import Glibc

/// The minimum spanning tree of all points, by distance or by *mutual reachability*: the largest of the distance of two points and
/// of the distances of both to their `mutualCount`-th neighbour.
///
/// Components join by the lists of their points' nearest neighbours, as long as enough of them can; then searches find their least edges.
/// The sorted edges do not depend on the order in which they were found.
struct SpanningTreeTask<S: Scalar>: DimensionTask {
  let whole: WholeTree<S>
  /// 0 for distance.
  let mutualCount: Int
  let context: CallContext

  /// A search is worth its time if the lists join fewer components than one in this many.
  private static var fewest: Int { 4 }
  /// Leaves of a thread's chunk.
  private static var grain: Int { 4 }

  func run<D: MetricSpace>(_ dimension: D) throws(CoverTreeError) -> PairLists<S> {
    guard whole.count > 1 else { return try PairLists(count: 0, keepsDistances: true) }
    let forest = try context.within(from: 0, to: 0.4) { () throws(CoverTreeError) in
      let found = try FoundNeighbors(whole, mutualCount: mutualCount, dimension, context: context)
      return try SpanningForest(
        whole, NearestCandidates(found, mutualCount: mutualCount, context: context))
    }
    let labels = try NodeLabels(forest)
    let searches = PerThread<ComponentSearch<S, D>>(count: context.threads)
    while forest.rootCount > 1 {
      let done = 1 - log(Double(forest.rootCount)) / log(Double(whole.count))
      context.stage(from: 0.4 + 0.6 * done, to: 0.4 + 0.6 * done)
      try forest.readLists(context)
      forest.findLeast()
      let isSearched = forest.certainCount * Self.fewest < forest.rootCount
      if isSearched {
        try labels.update(forest, context)
        try context.forEach(whole.tree.leafCount, grain: Self.grain) { (range, slot) throws(CoverTreeError) in
          let search = try searches.value(slot) { () throws(CoverTreeError) in
            try ComponentSearch(forest, labels, dimension)
          }
          for leaf in range { try search.run(leaf, context, slot: slot) }
        }
        forest.findLeast()
      }
      try forest.join(all: isSearched, context)
    }
    return try sorted(forest.edges, dimension)
  }

  private func sorted<D: MetricSpace>(
    _ edges: GrowableBuffer<TreeEdge>, _ dimension: D
  ) throws(CoverTreeError) -> PairLists<S> {
    let sorted = try edges.sorted(context)
    let pairs = try PairLists<S>(count: sorted.count, keepsDistances: true)
    for number in 0..<sorted.count {
      pairs.indices[2 * number] = whole.datasetIndex(sorted[number].low)
      pairs.indices[2 * number + 1] = whole.datasetIndex(sorted[number].high)
      pairs.distances![number] = whole.distance(sorted[number].score, dimension)
    }
    return pairs
  }
}

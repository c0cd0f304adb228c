import CCovertree
import Covertree
import CovertreeBase

// Questions on pairs of points.

typealias PairsHandle = Box<AnyPairLists>

@_cdecl("covertree_tree_pairs") @implementation
public func covertree_tree_pairs(
  _ tree: Handle, _ other: Handle, _ radius: Double, _ with_distances: Int32, _ options: In<covertree_call_options>,
  _ pairs: Out<Handle>
) -> covertree_status {
  trees.run(tree, options) { (tree, context, _) throws(CoverTreeError) in
    let output = try required(pairs, "pairs")
    let other = other == nil ? nil : try trees.value(other, named: "other", context)
    let found = try tree.pairs(within: radius, of: other, keepsDistances: with_distances != 0, context: context)
    output.pointee = handles.add(PairsHandle(found))
  }
}

@_cdecl("covertree_tree_spanning_tree") @implementation
public func covertree_tree_spanning_tree(
  _ tree: Handle, _ mutual_k: Int64, _ options: In<covertree_call_options>, _ edges: Out<Handle>
) -> covertree_status {
  trees.run(tree, options) { (tree, context, _) throws(CoverTreeError) in
    let output = try required(edges, "edges")
    let found = try tree.spanningTree(mutualCount: Int(mutual_k), context: context)
    output.pointee = handles.add(PairsHandle(found))
  }
}

extension covertree_pair_count_options: CallOptions {}

@_cdecl("covertree_tree_pair_counts") @implementation
public func covertree_tree_pair_counts(
  _ tree: Handle, _ other: Handle, _ radii: In<Double>, _ n_radii: Int64, _ options: In<covertree_pair_count_options>,
  _ counts: UnsafeMutableRawPointer?
) -> covertree_status {
  copying { (copies) throws(CoverTreeError) in
    let options = try covertree_pair_count_options.read(options)
    let context = try options.context()
    let tree = try trees.value(tree, context)
    let other = other == nil ? nil : try trees.value(other, named: "other", context)
    let output = try required(counts, "counts")
    let radii = try Arguments.numbers(radii, n_radii, "radii", copies)
    let own = try options.weights.map { (base) throws(CoverTreeError) in
      try Arguments.numbers(base, options.n_weights, "weights", copies)
    }
    let isShared = other == nil && options.other_weights == options.weights
    let others =
      isShared
      ? own
      : try options.other_weights.map { (base) throws(CoverTreeError) in
        try Arguments.numbers(base, options.n_other_weights, "other_weights", copies)
      }
    try tree.pairCounts(
      within: radii, of: other, weights: PairWeights(own: own, others: others), context: context
    ).copy(to: output)
  }
}

extension Arguments {
  /// A copy of some float64 numbers.
  fileprivate static func numbers(
    _ base: In<Double>, _ count: Int64, _ name: String, _ copies: Copies
  ) throws(CoverTreeError) -> UnsafeBufferPointer<Double> {
    guard count >= 0, count < Int64(Int32.max) else {
      throw CoverTreeError(.shape, "\(name): expected 0 to 2^31 - 2 of them, got \(count)")
    }
    let base = count == 0 ? base : try required(base, name)
    return try copies.elements(UnsafeBufferPointer(start: base, count: Int(count)))
  }
}

@_cdecl("covertree_pairs_get") @implementation
public func covertree_pairs_get(_ pairs: Handle, _ view: Out<covertree_pairs_view>) -> covertree_status {
  status { () throws(CoverTreeError) in
    let handle: PairsHandle = try handles.object(pairs, named: "pairs")
    let lists = handle.value
    try required(view, "view").pointee = covertree_pairs_view(
      n_pairs: Int64(lists.count), dtype: dtype(isFloat32: lists.isFloat32), reserved: 0, indices: lists.indices,
      distances: lists.distances)
  }
}

@_cdecl("covertree_pairs_free") @implementation
public func covertree_pairs_free(_ pairs: Handle) { handles.remove(pairs, PairsHandle.self) }

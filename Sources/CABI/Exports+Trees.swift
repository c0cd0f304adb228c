import CCovertree
import Covertree
import CovertreeBase

// Building, changing and inspecting trees.

@_cdecl("covertree_tree_build") @implementation
public func covertree_tree_build(
  _ points: In<covertree_matrix>, _ options: In<covertree_tree_options>, _ tree: Out<Handle>
) -> covertree_status {
  status { () throws(CoverTreeError) in
    let points = try required(points, "points").pointee
    let output = try required(tree, "tree")
    let options = try covertree_tree_options.read(options)
    if let function = try options.distanceFunction(columns: Int(points.columns)) {
      let objects = try Arguments.objects(points, "points", minimum: 1)
      let built = try FunctionTree(objects, by: function, options: options.checked(), context: options.context())
      output.pointee = trees.add(.function(built))
      return
    }
    let view = try Arguments.points(points, "points", minimum: 1)
    let built = try AnyCoverTree.build(view, options: options.checked(dim: view.dim), context: options.context())
    output.pointee = trees.add(built)
  }
}

@_cdecl("covertree_tree_free") @implementation
public func covertree_tree_free(_ tree: Handle) { trees.remove(tree) }

@_cdecl("covertree_tree_insert") @implementation
public func covertree_tree_insert(
  _ tree: Handle, _ points: In<covertree_matrix>, _ options: In<covertree_call_options>, _ first_index: Out<Int64>
) -> covertree_status {
  trees.run(tree, options) { (tree, context, _) throws(CoverTreeError) in
    let matrix = try required(points, "points").pointee
    let first =
      Arguments.isObjects(matrix)
      ? try tree.insert(Arguments.objects(matrix, "points", minimum: 0), context: context)
      : try tree.insert(Arguments.points(matrix, "points", minimum: 0), context: context)
    first_index?.pointee = Int64(first)
  }
}

@_cdecl("covertree_tree_remove") @implementation
public func covertree_tree_remove(
  _ tree: Handle, _ indices: In<Int64>, _ n_indices: Int64, _ options: In<covertree_call_options>
) -> covertree_status {
  trees.run(tree, options) { (tree, context, copies) throws(CoverTreeError) in
    try tree.remove(copies.indices(indices, n_indices, "indices"), context: context)
  }
}

@_cdecl("covertree_tree_validate") @implementation
public func covertree_tree_validate(_ tree: Handle, _ options: In<covertree_call_options>) -> covertree_status {
  trees.run(tree, options) { (tree, context, _) throws(CoverTreeError) in try tree.validate(context: context) }
}

@_cdecl("covertree_tree_get_info") @implementation
public func covertree_tree_get_info(_ tree: Handle, _ info: Out<covertree_tree_info>) -> covertree_status {
  trees.run(tree) { (tree, _, _) throws(CoverTreeError) in
    let output = try required(info, "info")
    let info = tree.info
    let cover = info.cover
    output.pointee = covertree_tree_info(
      n_points: Int64(info.pointCount), n_nodes: Int64(info.nodeCount ?? 0), n_segments: Int64(info.segmentCount),
      next_index: Int64(info.nextIndex), dim: Int64(info.dim), dtype: tree.pointType,
      order: info.options.order.rawValue, leaf_size: Int32(info.options.leafSize), root_level: info.rootLevel ?? 0,
      seed: info.options.seed, memory_bytes: Int64(info.memoryBytes), total_seconds: info.changeSeconds,
      distance_evaluations: Int64(cover.insertion.distanceEvaluations),
      conflict_edges: Int64(cover.insertion.conflictEdges), conflict_rounds: Int64(cover.insertion.rounds),
      levels_entered: Int64(cover.insertion.levels), order_seconds: cover.orderSeconds,
      insert_seconds: cover.insertion.seconds, layout_seconds: cover.layoutSeconds, queries: Int64(info.queries),
      points_compared: Int64(info.pointsCompared), boxes_compared: Int64(info.boxesCompared))
  }
}

extension AnyCoverTree {
  /// The `covertree_dtype` of its points.
  fileprivate var pointType: Int32 {
    guard case .function(let tree) = self else { return dtype(isFloat32: isFloat32) }
    return switch tree.type {
    case .float32: Float.dtype
    case .float64: Double.dtype
    case .number: Int32(COVERTREE_DTYPE_OBJECT.rawValue)
    }
  }
}

func dtype(isFloat32: Bool) -> Int32 { isFloat32 ? Float.dtype : Double.dtype }

@_cdecl("covertree_tree_export") @implementation
public func covertree_tree_export(
  _ tree: Handle, _ options: In<covertree_call_options>, _ arrays: Out<Handle>
) -> covertree_status {
  trees.run(tree, options) { (tree, context, _) throws(CoverTreeError) in
    let output = try required(arrays, "arrays")
    output.pointee = handles.add(ArraysHandle(try tree.export(context: context), isFloat32: tree.isFloat32))
  }
}

@_cdecl("covertree_tree_indices") @implementation
public func covertree_tree_indices(
  _ tree: Handle, _ in_leaf_order: Int32, _ n_rows: Int64, _ indices: Out<Int64>
) -> covertree_status {
  trees.run(tree) { (tree, _, _) throws(CoverTreeError) in
    guard n_rows >= 0 else { throw CoverTreeError(.shape, "n_rows: expected the number of points, got \(n_rows)") }
    try tree.copyIndices(inLeafOrder: in_leaf_order != 0, count: Int(n_rows), into: required(indices, "indices"))
  }
}

@_cdecl("covertree_tree_points") @implementation
public func covertree_tree_points(
  _ tree: Handle, _ rows: In<Int64>, _ n_rows: Int64, _ options: In<covertree_call_options>,
  _ points: UnsafeMutableRawPointer?
) -> covertree_status {
  trees.run(tree, options) { (tree, context, copies) throws(CoverTreeError) in
    let indices = try copies.indices(rows, n_rows, "rows")
    try tree.copyPoints(indices, into: required(points, "points"), context: context)
  }
}

@_cdecl("covertree_arrays_get") @implementation
public func covertree_arrays_get(_ arrays: Handle, _ view: Out<covertree_arrays_view>) -> covertree_status {
  status { () throws(CoverTreeError) in
    let handle: ArraysHandle = try handles.object(arrays, named: "arrays")
    let arrays = handle.arrays
    try required(view, "view").pointee = covertree_arrays_view(
      n_nodes: Int64(arrays.nodeCount), dim: Int64(arrays.dim), dtype: dtype(isFloat32: handle.isFloat32),
      is_current: arrays.isCurrent() ? 1 : 0, points: arrays.points, order: arrays.order, levels: arrays.levels,
      parents: arrays.parents, children_offsets: arrays.childrenOffsets, children: arrays.children,
      radius: arrays.radius, subtree_end: arrays.subtreeEnd, subtree_min: arrays.subtreeMin,
      subtree_max: arrays.subtreeMax, removed: arrays.removed)
  }
}

@_cdecl("covertree_arrays_free") @implementation
public func covertree_arrays_free(_ arrays: Handle) { handles.remove(arrays, ArraysHandle.self) }

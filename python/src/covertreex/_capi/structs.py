"""The structs of the headers, field by field."""

from __future__ import annotations

import ctypes
from ctypes import POINTER, Structure, c_char_p, c_double, c_int32, c_int64, c_uint32, c_uint64, c_void_p

PROGRESS = ctypes.CFUNCTYPE(c_int32, c_void_p, c_double)
KERNEL = ctypes.CFUNCTYPE(c_int32, c_void_p, c_void_p, c_int64, c_void_p, c_int64, c_int64, c_void_p)


class Matrix(Structure):
    """covertree_matrix."""

    _fields_ = [
        ("data", c_void_p),
        ("dtype", c_int32),
        ("reserved", c_int32),
        ("rows", c_int64),
        ("columns", c_int64),
        ("row_stride", c_int64),
    ]


class Features(Structure):
    """covertree_features."""

    _fields_ = [("v_matrix", Matrix), ("residual_variance", c_void_p), ("kernel_diagonal", c_void_p)]


class _Options(Structure):
    """Options with their defaults: zeros, behind their size."""

    def __init__(self) -> None:
        super().__init__(ctypes.sizeof(self))


class TreeOptions(_Options):
    """covertree_tree_options."""

    _fields_ = [
        ("struct_size", c_uint32),
        ("n_threads", c_int32),
        ("order", c_int32),
        ("leaf_size", c_int32),
        ("seed", c_uint64),
        ("progress", PROGRESS),
        ("progress_user_data", c_void_p),
    ]


class CallOptions(_Options):
    """covertree_call_options."""

    _fields_ = [
        ("struct_size", c_uint32),
        ("n_threads", c_int32),
        ("progress", PROGRESS),
        ("progress_user_data", c_void_p),
    ]


class SearchOptions(_Options):
    """covertree_search_options."""

    _fields_ = [
        ("struct_size", c_uint32),
        ("n_threads", c_int32),
        ("flags", c_uint32),
        ("reserved", c_uint32),
        ("max_distance", c_double),
        ("progress", PROGRESS),
        ("progress_user_data", c_void_p),
        ("before", c_void_p),
        ("limits", c_void_p),
        ("scores", c_void_p),
    ]


class TreeInfo(Structure):
    """covertree_tree_info."""

    _fields_ = [
        *((name, c_int64) for name in ("n_points", "n_nodes", "n_segments", "next_index", "dim")),
        *((name, c_int32) for name in ("dtype", "order", "leaf_size", "root_level")),
        ("seed", c_uint64),
        ("memory_bytes", c_int64),
        ("total_seconds", c_double),
        *((name, c_int64) for name in ("distance_evaluations", "conflict_edges", "conflict_rounds", "levels_entered")),
        *((name, c_double) for name in ("order_seconds", "insert_seconds", "layout_seconds")),
        *((name, c_int64) for name in ("queries", "points_compared", "boxes_compared")),
    ]


class ResidualOptions(_Options):
    """covertree_residual_options."""

    _fields_ = [
        ("struct_size", c_uint32),
        *((name, c_int32) for name in ("n_threads", "kernel", "reserved")),
        ("variance", c_double),
        ("lengthscale", c_void_p),
        ("n_lengthscales", c_int64),
        ("inducing_points", c_void_p),
        ("n_inducing", c_int64),
        ("jitter", c_double),
        ("kernel_fn", KERNEL),
        ("kernel_user_data", c_void_p),
        ("progress", PROGRESS),
        ("progress_user_data", c_void_p),
        ("features", POINTER(Features)),
        ("block_size", c_int64),
        ("tau", c_double),
    ]


class ResidualInfo(Structure):
    """covertree_residual_info."""

    _fields_ = [
        *((name, c_int64) for name in ("n_points", "dim", "n_features", "n_blocks", "n_pivots", "memory_bytes")),
        *((name, c_double) for name in ("variance", "jitter", "build_seconds")),
        *((name, c_int64) for name in ("queries", "blocks_estimated", "blocks_compared")),
        *((name, c_int64) for name in ("points_bounded", "points_exact")),
        *((f"{phase}_seconds", c_double) for phase in ("order", "feature", "skeleton", "bound", "search")),
    ]


class NeighborsView(Structure):
    """covertree_neighbors_view."""

    _fields_ = [
        ("n_queries", c_int64),
        ("n_neighbors", c_int64),
        ("dtype", c_int32),
        ("reserved", c_int32),
        *((name, c_void_p) for name in ("offsets", "indices", "distances", "scores")),
    ]


class ArraysView(Structure):
    """covertree_arrays_view."""

    _fields_ = [
        ("n_nodes", c_int64),
        ("dim", c_int64),
        ("dtype", c_int32),
        ("is_current", c_int32),
        *((name, c_void_p) for name in ("points", "order", "levels", "parents", "children_offsets", "children")),
        *((name, c_void_p) for name in ("radius", "subtree_end", "subtree_min", "subtree_max", "removed")),
    ]


class ResidualView(Structure):
    """covertree_residual_view."""

    _fields_ = [
        *((name, c_int64) for name in ("n_points", "dim", "n_features", "feature_stride", "block_size", "n_blocks")),
        *((name, c_int64) for name in ("blocks_per_region", "n_regions")),
        *((name, c_int32) for name in ("kernel", "is_current")),
        *((name, c_double) for name in ("kernel_variance", "variance")),
        *((name, c_void_p) for name in ("order", "positions", "coordinates", "v_matrix", "residual_variance")),
        *((name, c_void_p) for name in ("scales", "pivot_offsets", "pivots", "coefficient_offsets", "coefficients")),
        *((name, c_void_p) for name in ("remaining_norms", "bounds", "product_offsets", "products")),
    ]


class Section(Structure):
    """covertree_section."""

    _fields_ = [
        ("name", c_char_p),
        ("dtype", c_int32),
        ("reserved", c_int32),
        ("rows", c_int64),
        ("columns", c_int64),
        ("data", c_void_p),
    ]


class FileInfo(Structure):
    """covertree_file_info."""

    _fields_ = [
        ("n_bytes", c_int64),
        ("bytes", c_void_p),
        ("input_hash", c_uint64),
        ("kind", c_int32),
        ("format_version", c_int32),
        ("n_sections", c_int64),
    ]


class IndexOptions(_Options):
    """covertree_index_options."""

    _fields_ = [
        ("struct_size", c_uint32),
        *((name, c_int32) for name in ("kind", "metric", "storage")),
        ("flags", c_uint32),
        *((name, c_int32) for name in ("leaf_size", "split", "lsh_mode", "n_bits", "n_tables", "n_probes")),
        *((name, c_int32) for name in ("n_candidates", "m", "ef_construction", "ef_search", "reserved")),
        ("seed", c_uint64),
    ]


class IndexSearchOptions(_Options):
    """covertree_index_search_options."""

    _fields_ = [
        ("struct_size", c_uint32),
        *((name, c_int32) for name in ("n_threads", "filter_kind", "ef_search")),
        ("filter", c_void_p),
        ("n_filter", c_int64),
        *((name, c_int32) for name in ("n_probes", "n_candidates")),
        ("progress", PROGRESS),
        ("progress_user_data", c_void_p),
    ]


class StoreInfo(Structure):
    """covertree_store_info."""

    _fields_ = [
        ("dim", c_int64),
        ("n_ids", c_int64),
        ("n_unique", c_int64),
        ("n_slots", c_int64),
        ("n_free", c_int64),
        ("row_bytes", c_int64),
        ("n_reserved", c_int64),
        ("memory_bytes", c_int64),
        ("file_bytes", c_int64),
        ("generation", c_int64),
        ("sync", c_int32),
        ("flags", c_uint32),
    ]


class IndexInfo(Structure):
    """covertree_index_info."""

    _fields_ = [
        *((name, c_int64) for name in ("n_vectors", "n_removed", "dim", "next_id", "memory_bytes", "comparisons")),
        ("options", IndexOptions),
    ]

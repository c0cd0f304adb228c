"""The structs of the headers, field by field: ``TreeInfo`` is ``covertree_tree_info``."""

from __future__ import annotations

import ctypes
from ctypes import POINTER, Structure, c_char_p, c_double, c_int32, c_int64, c_uint32, c_uint64, c_void_p
from typing import Any

PROGRESS = ctypes.CFUNCTYPE(c_int32, c_void_p, c_double)
KERNEL = ctypes.CFUNCTYPE(c_int32, c_void_p, c_void_p, c_int64, c_void_p, c_int64, c_int64, c_void_p)
DISTANCE = ctypes.CFUNCTYPE(c_int32, c_void_p, c_int64, c_int64, c_void_p, c_void_p, c_void_p)

_TYPES: dict[str, Any] = {
    "int32": c_int32, "uint32": c_uint32, "int64": c_int64, "uint64": c_uint64, "double": c_double, "text": c_char_p,
    "array": c_void_p, "handle": c_void_p, "pointer": c_void_p, "progress": PROGRESS, "kernel": KERNEL, "void": None,
    "distance": DISTANCE,
}  # fmt: skip


def type_of(name: str) -> Any:
    """A type by its name in declarations, or the name of a struct, with a star for its address."""
    if name.endswith("*"):
        return POINTER(type_of(name[:-1]))
    return _TYPES[name] if name in _TYPES else globals()[name]


def _fields(declarations: str) -> list[tuple[str, Any]]:
    """Fields of a struct, declared as in C: a type and names, then a semicolon."""
    words = map(str.split, declarations.split(";"))
    return [(name, type_of(kind)) for kind, *names in words for name in names]


class Matrix(Structure):
    _fields_ = _fields("pointer data; int32 dtype reserved; int64 rows columns row_stride")


class Features(Structure):
    _fields_ = _fields("Matrix v_matrix; array residual_variance kernel_diagonal")


class Outline(Structure):
    _fields_ = _fields("handle pivots; int64 n_points; array ranks coordinates errors indices")


class OutlineWanted(Structure):
    _fields_ = _fields("array before least")


class _Options(Structure):
    """Options with their defaults: zeros, behind their size."""

    def __init__(self, **values: Any) -> None:
        super().__init__(ctypes.sizeof(self), **values)


class TreeOptions(_Options):
    _fields_ = _fields("""
        uint32 struct_size; int32 n_threads order leaf_size; uint64 seed; progress progress; pointer progress_user_data;
        int32 metric degrees; double exponent radius; array weights periods inverse_covariance;
        distance distance_fn; pointer distance_user_data
    """)


class CallOptions(_Options):
    _fields_ = _fields("uint32 struct_size; int32 n_threads; progress progress; pointer progress_user_data")


class SearchOptions(_Options):
    _fields_ = _fields("""
        uint32 struct_size; int32 n_threads; uint32 flags reserved; double max_distance;
        progress progress; pointer progress_user_data; array before limits scores admitted;
        int64 n_admitted; array max_distances
    """)


class TreeInfo(Structure):
    _fields_ = _fields("""
        int64 n_points n_nodes n_segments next_index dim; int32 dtype order leaf_size root_level; uint64 seed;
        int64 memory_bytes; double total_seconds;
        int64 distance_evaluations conflict_edges conflict_rounds levels_entered;
        double order_seconds insert_seconds layout_seconds; int64 queries points_compared boxes_compared
    """)


class ResidualOptions(_Options):
    _fields_ = _fields("""
        uint32 struct_size; int32 n_threads kernel reserved; double variance; array lengthscale; int64 n_lengthscales;
        array inducing_points; int64 n_inducing; double jitter; kernel kernel_fn; pointer kernel_user_data;
        progress progress; pointer progress_user_data; Features* features; int64 block_size; double tau
    """)


class ResidualInfo(Structure):
    _fields_ = _fields("""
        int64 n_points dim n_features n_blocks n_pivots memory_bytes; double variance jitter build_seconds;
        int64 queries blocks_estimated blocks_compared points_bounded points_exact;
        double order_seconds feature_seconds skeleton_seconds bound_seconds search_seconds; int64 next_index
    """)


class VifOptions(_Options):
    _fields_ = _fields("""
        uint32 struct_size; int32 n_threads kernel reserved; double variance; array lengthscale; int64 n_lengthscales;
        array inducing_points; int64 n_inducing; double jitter; array noise; int64 n_noise;
        progress progress; pointer progress_user_data; kernel kernel_fn; pointer kernel_user_data;
        kernel kernel_gradient_fn; int64 n_kernel_parameters
    """)


class VifPoints(Structure):
    _fields_ = _fields("Matrix points; array offsets neighbors; double noise")


class VifInfo(Structure):
    _fields_ = _fields("""
        int64 n_points dim n_inducing n_neighbors n_parameters memory_bytes; double jitter log_determinant
    """)


class VifTotals(Structure):
    _fields_ = _fields("int64 n_points; double log_determinant; array products projections")


class VifTerms(Structure):
    _fields_ = _fields("array quadratics gradients inducing")


class NeighborsView(Structure):
    _fields_ = _fields("int64 n_queries n_neighbors; int32 dtype reserved; array offsets indices distances scores")


class PairCountOptions(_Options):
    _fields_ = _fields("""
        uint32 struct_size; int32 n_threads; progress progress; pointer progress_user_data;
        array weights; int64 n_weights; array other_weights; int64 n_other_weights
    """)


class PairsView(Structure):
    _fields_ = _fields("int64 n_pairs; int32 dtype reserved; array indices distances")


class ArraysView(Structure):
    _fields_ = _fields("""
        int64 n_nodes dim; int32 dtype is_current; array points order levels parents children_offsets children
        radius subtree_end subtree_min subtree_max removed
    """)


class ResidualView(Structure):
    _fields_ = _fields("""
        int64 n_points dim n_features feature_stride block_size n_blocks blocks_per_region n_regions;
        int32 kernel is_current; double kernel_variance variance; array order positions coordinates v_matrix
        residual_variance scales pivot_offsets pivots coefficient_offsets coefficients remaining_norms bounds
        product_offsets products
    """)


class Section(Structure):
    _fields_ = _fields("text name; int32 dtype reserved; int64 rows columns; array data")


class FileInfo(Structure):
    _fields_ = _fields("int64 n_bytes; array bytes; uint64 input_hash; int32 kind format_version; int64 n_sections")


class IndexOptions(_Options):
    _fields_ = _fields("""
        uint32 struct_size; int32 kind metric storage; uint32 flags; int32 leaf_size split lsh_mode n_bits n_tables
        n_probes n_candidates m ef_construction ef_search reserved; uint64 seed
    """)


class IndexSearchOptions(_Options):
    _fields_ = _fields("""
        uint32 struct_size; int32 n_threads filter_kind ef_search; array filter; int64 n_filter;
        int32 n_probes n_candidates; progress progress; pointer progress_user_data
    """)


class StoreInfo(Structure):
    _fields_ = _fields("""
        int64 dim n_ids n_unique n_slots n_free row_bytes n_reserved memory_bytes file_bytes generation;
        int32 sync; uint32 flags
    """)


class IndexInfo(Structure):
    _fields_ = _fields("int64 n_vectors n_removed dim next_id memory_bytes comparisons; IndexOptions options")

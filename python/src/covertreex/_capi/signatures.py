"""The functions of the headers: the types of their results and of their arguments."""

from __future__ import annotations

from ctypes import POINTER, c_void_p
from typing import Any

from .structs import type_of

HANDLE_OUT = POINTER(c_void_p)

# Functions without ``covertree_`` and their parameters; functions of the same types share a line. They return an int32,
# most often a status, unless the line says another type.
_DECLARATIONS = """
version_number abi_version -> uint32
build_info last_error -> text
last_errno get_num_threads
set_num_threads: int32
tree_free neighbors_free pairs_free arrays_free file_free residual_free residual_arrays_free -> void: handle
vif_free vif_part_free -> void: handle
index_free store_free store_rows_free -> void: handle

tree_build: Matrix* TreeOptions* handle*
tree_insert: handle Matrix* CallOptions* int64*
tree_validate index_rebuild index_optimize store_check store_compact: handle CallOptions*
tree_remove index_remove store_remove: handle array int64 CallOptions*
tree_knn residual_knn: handle Matrix* int64 SearchOptions* array array
tree_radius residual_radius: handle Matrix* double SearchOptions* handle*
tree_radius_count residual_radius_count: handle Matrix* double SearchOptions* array
neighbors_get: handle NeighborsView*
tree_pairs: handle handle double int32 CallOptions* handle*
tree_spanning_tree: handle int64 CallOptions* handle*
tree_pair_counts: handle handle array int64 PairCountOptions* array
pairs_get: handle PairsView*
tree_get_info: handle TreeInfo*
tree_indices: handle int32 int64 array
tree_points: handle array int64 CallOptions* array
tree_export residual_export: handle CallOptions* handle*
arrays_get: handle ArraysView*

tree_save residual_save vif_save index_save: handle text Section* int64 CallOptions*
tree_encode residual_encode vif_encode index_encode: handle Section* int64 CallOptions* handle*
tree_load: handle handle*
tree_load_function: handle TreeOptions* handle*
residual_load: handle ResidualOptions* handle*
vif_load: handle VifOptions* handle*
index_load: handle handle CallOptions* handle*
sections_save: text uint64 Section* int64 CallOptions*
file_open: text uint32 CallOptions* handle*
file_copy: array int64 uint32 CallOptions* handle*
file_get_info: handle FileInfo*
file_get_section: handle int64 Section*
hash_points: Matrix* CallOptions* uint64*

residual_build: Matrix* ResidualOptions* handle*
residual_extend residual_with_points: handle Matrix* CallOptions* handle*
residual_remove: handle array int64 CallOptions* handle*
residual_distances: handle array int64 array int64 CallOptions* array
residual_features: handle Matrix* CallOptions* array array
residual_build_tree: handle TreeOptions* handle*
residual_validate_tree: handle handle CallOptions*
residual_get_info: handle ResidualInfo*
residual_arrays_get: handle ResidualView*
residual_outline: handle int64 double CallOptions* int64* handle* double*
residual_projections: handle Matrix* Features* CallOptions* array
residual_bounds: handle array int64 handle double CallOptions* array
residual_outline_points: handle double CallOptions* array array array handle*
outline_bounds: Outline* Outline* OutlineWanted* CallOptions* array
outline_bounds_given: Outline* Matrix* Features* OutlineWanted* CallOptions* array
residual_knn_given: handle Matrix* Features* int64 SearchOptions* array array
vif_build: Matrix* array array array VifOptions* handle*
vif_with_parameters: handle VifOptions* handle*
vif_log_likelihood: handle Matrix* CallOptions* array array
vif_solve: handle Matrix* CallOptions* array
vif_precision: handle CallOptions* array
vif_predict vif_predict_jointly: handle Matrix* VifPoints* CallOptions* array array
vif_draw: handle VifPoints* array int64 CallOptions* array
vif_factor: handle array array array
vif_get_info vif_part_get_info: handle VifInfo*
vif_part_build: Matrix* int64 array array array VifOptions* handle*
vif_part_with_parameters: handle VifOptions* handle*
vif_part_sums: handle Matrix* CallOptions* double* array array
vif_part_terms: handle Matrix* VifTotals* CallOptions* VifTerms*
vif_part_log_likelihood: handle VifTotals* VifTerms* int64 CallOptions* array array
vif_part_predict: handle Matrix* VifTotals* VifPoints* CallOptions* array array
maxmin_order: Matrix* CallOptions* array
spread_sample: Matrix* int64 uint64 CallOptions* array
hilbert_keys: Matrix* array array CallOptions* array

index_create: int64 handle IndexOptions* handle*
index_add: handle array Matrix* CallOptions* int64*
index_update: handle array Matrix* CallOptions*
index_clear: handle
index_search: handle Matrix* int64 IndexSearchOptions* array array
index_radius: handle Matrix* double IndexSearchOptions* handle*
index_get index_contains store_find: handle array int64 array
index_ids store_check_slots: handle array int64
index_get_info: handle IndexInfo*

store_create: int64 handle*
store_open: text int64 int32 uint32 CallOptions* handle*
store_add: handle array text array Matrix* CallOptions* array
store_add_one -> int64: handle array array
store_find_one -> int64: handle array
store_slot_count: handle int64 int64*
store_list: handle int64* int64 array array int64*
store_name: handle array array int64 int64*
store_rows_get: handle handle* pointer* int64*
store_get_info: handle StoreInfo*
store_snapshot: handle text CallOptions*
store_restore: text text CallOptions*
"""


def _signatures() -> dict[str, tuple[Any, list[Any]]]:
    found = {}
    for line in filter(None, _DECLARATIONS.splitlines()):
        functions, _, parameters = line.partition(":")
        names, _, result = functions.partition(" -> ")
        for name in names.split():
            found[f"covertree_{name}"] = type_of(result or "int32"), [type_of(kind) for kind in parameters.split()]
    return found


#: Every function of the headers: its result and its arguments.
SIGNATURES = _signatures()

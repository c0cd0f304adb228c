"""The one place that knows ctypes: finds the library, declares its functions, turns statuses into exceptions."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # it makes no enumerations, so that all signals take microseconds
import ctypes
import itertools
import os
import signal
import threading
import weakref
from collections.abc import Callable
from ctypes import POINTER, Structure, c_char_p, c_double, c_int32, c_int64, c_uint32, c_uint64, c_void_p
from pathlib import Path
from typing import Any

from . import _arguments, _arrays

ABI_VERSION = 1
LIBRARY = "lib/libcovertree-load.so"  # needs the one for this machine (scripts/stage)
PROGRESS = ctypes.CFUNCTYPE(c_int32, c_void_p, c_double)
KERNEL = ctypes.CFUNCTYPE(c_int32, c_void_p, c_void_p, c_int64, c_void_p, c_int64, c_int64, c_void_p)


class CoverTreeError(RuntimeError):
    """A failure of the library that is not the caller's argument: a broken rule, a busy tree, a cancelled call."""


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


_matrix = POINTER(Matrix)
_handle_out = POINTER(c_void_p)
_sections = [POINTER(Section), c_int64]  # sections, n

# Every function of the headers: what it gives, what it takes.
SIGNATURES: dict[str, tuple[Any, list[Any]]] = {
    "covertree_version_number": (c_uint32, []),
    "covertree_abi_version": (c_uint32, []),
    "covertree_build_info": (c_char_p, []),
    "covertree_last_error": (c_char_p, []),
    "covertree_last_errno": (c_int32, []),
    "covertree_set_num_threads": (c_int32, [c_int32]),
    "covertree_get_num_threads": (c_int32, []),
    "covertree_tree_build": (c_int32, [_matrix, POINTER(TreeOptions), _handle_out]),
    "covertree_tree_free": (None, [c_void_p]),
    "covertree_tree_insert": (c_int32, [c_void_p, _matrix, POINTER(CallOptions), POINTER(c_int64)]),
    "covertree_tree_remove": (c_int32, [c_void_p, c_void_p, c_int64, POINTER(CallOptions)]),
    "covertree_tree_validate": (c_int32, [c_void_p, POINTER(CallOptions)]),
    "covertree_tree_knn": (c_int32, [c_void_p, _matrix, c_int64, POINTER(SearchOptions), c_void_p, c_void_p]),
    "covertree_tree_radius": (c_int32, [c_void_p, _matrix, c_double, POINTER(SearchOptions), _handle_out]),
    "covertree_tree_radius_count": (c_int32, [c_void_p, _matrix, c_double, POINTER(SearchOptions), c_void_p]),
    "covertree_neighbors_get": (c_int32, [c_void_p, POINTER(NeighborsView)]),
    "covertree_neighbors_free": (None, [c_void_p]),
    "covertree_tree_get_info": (c_int32, [c_void_p, POINTER(TreeInfo)]),
    "covertree_tree_indices": (c_int32, [c_void_p, c_int32, c_int64, c_void_p]),
    "covertree_tree_points": (c_int32, [c_void_p, c_void_p, c_int64, POINTER(CallOptions), c_void_p]),
    "covertree_tree_export": (c_int32, [c_void_p, POINTER(CallOptions), _handle_out]),
    "covertree_arrays_get": (c_int32, [c_void_p, POINTER(ArraysView)]),
    "covertree_arrays_free": (None, [c_void_p]),
    "covertree_tree_save": (c_int32, [c_void_p, c_char_p, *_sections, POINTER(CallOptions)]),
    "covertree_tree_encode": (c_int32, [c_void_p, *_sections, POINTER(CallOptions), _handle_out]),
    "covertree_tree_load": (c_int32, [c_void_p, _handle_out]),
    "covertree_residual_save": (c_int32, [c_void_p, c_char_p, *_sections, POINTER(CallOptions)]),
    "covertree_residual_encode": (c_int32, [c_void_p, *_sections, POINTER(CallOptions), _handle_out]),
    "covertree_residual_load": (c_int32, [c_void_p, POINTER(ResidualOptions), _handle_out]),
    "covertree_sections_save": (c_int32, [c_char_p, c_uint64, *_sections, POINTER(CallOptions)]),
    "covertree_file_open": (c_int32, [c_char_p, c_uint32, POINTER(CallOptions), _handle_out]),
    "covertree_file_copy": (c_int32, [c_void_p, c_int64, c_uint32, POINTER(CallOptions), _handle_out]),
    "covertree_file_get_info": (c_int32, [c_void_p, POINTER(FileInfo)]),
    "covertree_file_get_section": (c_int32, [c_void_p, c_int64, POINTER(Section)]),
    "covertree_file_free": (None, [c_void_p]),
    "covertree_hash_points": (c_int32, [_matrix, POINTER(CallOptions), POINTER(c_uint64)]),
    "covertree_residual_build": (c_int32, [_matrix, POINTER(ResidualOptions), _handle_out]),
    "covertree_residual_free": (None, [c_void_p]),
    "covertree_residual_knn": (c_int32, [c_void_p, _matrix, c_int64, POINTER(SearchOptions), c_void_p, c_void_p]),
    "covertree_residual_distances": (
        c_int32,
        [c_void_p, c_void_p, c_int64, c_void_p, c_int64, POINTER(CallOptions), c_void_p],
    ),
    "covertree_residual_extend": (c_int32, [c_void_p, _matrix, POINTER(CallOptions), _handle_out]),
    "covertree_residual_features": (c_int32, [c_void_p, _matrix, POINTER(CallOptions), c_void_p, c_void_p]),
    "covertree_residual_build_tree": (c_int32, [c_void_p, POINTER(TreeOptions), _handle_out]),
    "covertree_residual_validate_tree": (c_int32, [c_void_p, c_void_p, POINTER(CallOptions)]),
    "covertree_residual_get_info": (c_int32, [c_void_p, POINTER(ResidualInfo)]),
    "covertree_residual_export": (c_int32, [c_void_p, POINTER(CallOptions), _handle_out]),
    "covertree_residual_arrays_get": (c_int32, [c_void_p, POINTER(ResidualView)]),
    "covertree_residual_arrays_free": (None, [c_void_p]),
    "covertree_maxmin_order": (c_int32, [_matrix, POINTER(CallOptions), c_void_p]),
    "covertree_spread_sample": (c_int32, [_matrix, c_int64, c_uint64, POINTER(CallOptions), c_void_p]),
    "covertree_hilbert_keys": (c_int32, [_matrix, c_void_p, c_void_p, POINTER(CallOptions), c_void_p]),
    "covertree_residual_with_points": (c_int32, [c_void_p, _matrix, POINTER(CallOptions), _handle_out]),
    "covertree_residual_outline": (
        c_int32,
        [c_void_p, c_int64, c_double, POINTER(CallOptions), POINTER(c_int64), _handle_out, POINTER(c_double)],
    ),
    "covertree_residual_projections": (
        c_int32,
        [c_void_p, _matrix, POINTER(Features), POINTER(CallOptions), c_void_p],
    ),
    "covertree_residual_bounds": (
        c_int32,
        [c_void_p, c_void_p, c_int64, c_void_p, c_double, POINTER(CallOptions), c_void_p],
    ),
    "covertree_residual_knn_given": (
        c_int32,
        [c_void_p, _matrix, POINTER(Features), c_int64, POINTER(SearchOptions), c_void_p, c_void_p],
    ),
    "covertree_index_create": (c_int32, [c_int64, c_void_p, POINTER(IndexOptions), _handle_out]),
    "covertree_index_free": (None, [c_void_p]),
    "covertree_index_add": (c_int32, [c_void_p, c_void_p, _matrix, POINTER(CallOptions), POINTER(c_int64)]),
    "covertree_index_update": (c_int32, [c_void_p, c_void_p, _matrix, POINTER(CallOptions)]),
    "covertree_index_remove": (c_int32, [c_void_p, c_void_p, c_int64, POINTER(CallOptions)]),
    "covertree_index_clear": (c_int32, [c_void_p]),
    "covertree_index_rebuild": (c_int32, [c_void_p, POINTER(CallOptions)]),
    "covertree_index_optimize": (c_int32, [c_void_p, POINTER(CallOptions)]),
    "covertree_index_search": (
        c_int32,
        [c_void_p, _matrix, c_int64, POINTER(IndexSearchOptions), c_void_p, c_void_p],
    ),
    "covertree_index_radius": (c_int32, [c_void_p, _matrix, c_double, POINTER(IndexSearchOptions), _handle_out]),
    "covertree_index_get": (c_int32, [c_void_p, c_void_p, c_int64, c_void_p]),
    "covertree_index_contains": (c_int32, [c_void_p, c_void_p, c_int64, c_void_p]),
    "covertree_index_ids": (c_int32, [c_void_p, c_void_p, c_int64]),
    "covertree_index_get_info": (c_int32, [c_void_p, POINTER(IndexInfo)]),
    "covertree_index_save": (c_int32, [c_void_p, c_char_p, *_sections, POINTER(CallOptions)]),
    "covertree_index_encode": (c_int32, [c_void_p, *_sections, POINTER(CallOptions), _handle_out]),
    "covertree_index_load": (c_int32, [c_void_p, c_void_p, POINTER(CallOptions), _handle_out]),
    "covertree_store_create": (c_int32, [c_int64, _handle_out]),
    "covertree_store_open": (c_int32, [c_char_p, c_int64, c_int32, c_uint32, POINTER(CallOptions), _handle_out]),
    "covertree_store_free": (None, [c_void_p]),
    "covertree_store_add": (
        c_int32,
        [c_void_p, c_void_p, c_char_p, c_void_p, _matrix, POINTER(CallOptions), c_void_p],
    ),
    "covertree_store_add_one": (c_int64, [c_void_p, c_void_p, c_void_p]),
    "covertree_store_remove": (c_int32, [c_void_p, c_void_p, c_int64, POINTER(CallOptions)]),
    "covertree_store_find": (c_int32, [c_void_p, c_void_p, c_int64, c_void_p]),
    "covertree_store_find_one": (c_int64, [c_void_p, c_void_p]),
    "covertree_store_slot_count": (c_int32, [c_void_p, c_int64, POINTER(c_int64)]),
    "covertree_store_check_slots": (c_int32, [c_void_p, c_void_p, c_int64]),
    "covertree_store_list": (c_int32, [c_void_p, POINTER(c_int64), c_int64, c_void_p, c_void_p, POINTER(c_int64)]),
    "covertree_store_name": (c_int32, [c_void_p, c_void_p, c_void_p, c_int64, POINTER(c_int64)]),
    "covertree_store_rows_get": (c_int32, [c_void_p, _handle_out, POINTER(c_void_p), POINTER(c_int64)]),
    "covertree_store_rows_free": (None, [c_void_p]),
    "covertree_store_get_info": (c_int32, [c_void_p, POINTER(StoreInfo)]),
    "covertree_store_snapshot": (c_int32, [c_void_p, c_char_p, POINTER(CallOptions)]),
    "covertree_store_restore": (c_int32, [c_char_p, c_char_p, POINTER(CallOptions)]),
    "covertree_store_check": (c_int32, [c_void_p, POINTER(CallOptions)]),
    "covertree_store_compact": (c_int32, [c_void_p, POINTER(CallOptions)]),
}

# Statuses that have an exception of Python's own; the others are CoverTreeError.
_EXCEPTIONS: dict[int, type[Exception]] = {
    10: ValueError,
    11: ValueError,
    20: IndexError,
    21: ValueError,
    30: MemoryError,
}
_IO = 40


def _load() -> ctypes.CDLL:
    path = os.environ.get("COVERTREE_LIBRARY") or str(Path(__file__).parent / LIBRARY)
    try:
        library = ctypes.CDLL(path)
    except OSError as error:
        raise ImportError(f"covertreex: the library could not be loaded from {path}: {error}") from error
    for name, (result, arguments) in SIGNATURES.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    found = library.covertree_abi_version()
    if found != ABI_VERSION:
        raise ImportError(f"covertreex: {path} has ABI version {found}, this package needs {ABI_VERSION}")
    return library


lib = _load()


def check(status: int, **names: str) -> None:
    """Raise what a status other than 0 stands for, with the library's message.

    `names` says what the library's parameters are called in Python, where that differs.
    """
    if status:
        message = _arguments.rename(lib.covertree_last_error().decode(), names)
        if status == _IO:
            raise OSError(lib.covertree_last_errno(), message)  # FileNotFoundError and the like, by its number
        raise _EXCEPTIONS.get(status, CoverTreeError)(message)


def answer(errors: list[BaseException], function: Callable[..., object], *arguments: Any) -> int:
    """Call a caller's function out of a callback of the library: 0, or 1 if it raised, which ends the library's call.

    ctypes loses an exception that leaves a callback. So the exception goes to the end of ``errors``.
    """
    try:
        function(*arguments)
    except BaseException as error:
        errors.append(error)
        return 1
    return 0


class Callee:
    """Something that the library calls back. The library has its number, and no reference to it.

    So the callbacks of ctypes are made once, for all calls. One that is made for a call refers to that call, and
    ``byref`` of the options refers to the callback. Before Python 3.12 the garbage collector does not see that
    reference: the frame of a call that fails would stay in memory for good with all arguments, by way of its own
    exception.
    """

    def __init__(self) -> None:
        self.number = next(_numbers)
        self.errors: list[BaseException] = []
        _callees[self.number] = self

    def __call__(self, *arguments: Any) -> int:
        """Answer the library: 0 to go on, 1 to end its call."""
        raise NotImplementedError


_callees: weakref.WeakValueDictionary[int, Callee] = weakref.WeakValueDictionary()
_numbers = itertools.count(1)


def _call_back(number: int, *arguments: Any) -> int:
    callee = _callees.get(number)
    return 1 if callee is None else callee(*arguments)


_REPORT, CALL_KERNEL = PROGRESS(_call_back), KERNEL(_call_back)


class _Watch(Callee):
    """A caller's report of progress, as the library calls it. What the report returns means nothing."""

    def __init__(self, report: Callable[[float], object] | None) -> None:
        super().__init__()
        self._report = report
        self.cancelled = False

    def __call__(self, share: float) -> int:
        if self.cancelled or self.errors:
            return 1
        return 0 if self._report is None else answer(self.errors, self._report, share)

    def cancel(self, error: BaseException) -> None:
        """End the call, which then raises this."""
        self.cancelled = True
        self.errors.insert(0, error)


def run(
    function: Callable[..., int],
    *arguments: Any,
    options: Any,
    report: Callable[[float], object] | None = None,
    **names: str,
) -> None:
    """Call a function that may take long, so that Ctrl-C ends it, and raise what its status stands for.

    Signals reach Python in the main thread only, between two of its instructions. So the main thread waits while
    another one calls the library, and tells it to end when an interrupt comes.
    """
    if report is not None:
        _arguments.function(report, "progress")
    watch = _Watch(report)
    options.progress, options.progress_user_data = _REPORT, watch.number

    def work() -> None:
        if not watch.cancelled:
            answer(watch.errors, lambda: check(function(*arguments), **names))

    try:
        if threading.current_thread() is threading.main_thread():
            _run_beside(work, watch)
        else:
            work()
        if watch.errors:
            raise watch.errors[0]
    finally:
        watch.errors.clear()  # the exception refers to this frame, and must not be referred to from here


def _run_beside(work: Callable[[], None], watch: _Watch) -> None:
    """Do work in a thread of its own, and come back when it has ended, however often this one is interrupted.

    Events tell, not the thread: ``Thread.join`` takes a thread whose wait was interrupted for one that has ended
    (bpo-45274, up to Python 3.12), and arrays would be freed that the library works with.
    """
    begun, ended = threading.Event(), threading.Event()
    pending = [work]

    def beside() -> None:
        begun.set()
        pending.pop()()  # once it has ended, this thread refers to nothing of the call
        ended.set()

    try:
        if _start(beside):
            ended.wait()
        else:
            _run_here(work, watch)
        return
    except BaseException as error:  # what a signal's handler raises
        watch.cancel(error)
    while True:
        try:
            if begun.wait(1):  # or else it was never started; and if it is yet, it ends at once
                ended.wait()
            return
        except BaseException as error:  # another interrupt
            watch.cancel(error)


def _start(function: Callable[[], None]) -> bool:
    """Run a function in a thread of its own; False if there are no more threads to be had."""
    try:
        threading.Thread(target=function, name="covertree").start()
    except RuntimeError as error:
        # A handler of a signal may raise this, too.
        if not str(error).startswith(("can't start new thread", "can't create new thread")):
            raise
        return False
    return True


_SIGNALS = sorted(signal.valid_signals())


def _run_here(work: Callable[[], None], watch: _Watch) -> None:
    """Do work in the main thread. What the handler of a signal raises meanwhile ends it.

    Python runs handlers inside callbacks, and ctypes would lose what they raise there. So they are called by others
    that keep it.
    """

    def kept(handler: Callable[..., object]) -> Callable[..., None]:
        def handle(*arguments: Any) -> None:
            try:
                handler(*arguments)
            except BaseException as error:
                watch.cancel(error)

        return handle

    of_python = {number: handler for number in _SIGNALS if callable(handler := _signal.getsignal(number))}
    try:
        for number, handler in of_python.items():
            _signal.signal(number, kept(handler))
        work()
    finally:
        for number, handler in of_python.items():
            _signal.signal(number, handler)


def build_info() -> str:
    """Name, version and instruction set of the loaded library."""
    return str(lib.covertree_build_info().decode())


def get_num_threads() -> int:
    """Threads of calls that do not say how many they want."""
    return int(lib.covertree_get_num_threads())


def set_num_threads(n_threads: int) -> None:
    """Set the threads of calls that do not say how many they want.

    Parameters
    ----------
    n_threads : int
        0 restores the default: the processors that this process may use.
    """
    check(lib.covertree_set_num_threads(_arrays.integer(n_threads, "n_threads", minimum=0, maximum=1024)))

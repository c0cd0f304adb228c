"""Vector indexes: ``covertree_index_*``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from ctypes import byref, c_int64

import numpy as np
from numpy.typing import NDArray

from .._arrays import results
from . import files
from .calls import Lists, call, call_options, lists, made
from .files import Arrays
from .library import check, lib, read
from .memory import Handle, Owner, address, matrix, optional, start
from .running import ProgressReport
from .structs import IndexInfo, IndexOptions, IndexSearchOptions

_FILTER_IDS, _FILTER_BITMAP = 1, 2
_RERANK = 1
_SEARCH_DEFAULTS = IndexSearchOptions()


def options_of(*, kind: int, metric: int, storage: int, rerank: bool, own: Mapping[str, int]) -> IndexOptions:
    """Options of an index; ``own`` are the seed, and options of its kind by their names."""
    options = IndexOptions()
    options.kind, options.metric, options.storage, options.flags = kind, metric, storage, _RERANK if rerank else 0
    for name, value in own.items():
        setattr(options, name, value)
    return options


def create(dim: int, store: Handle | None, options: IndexOptions) -> Owner:
    """Create an index."""
    owner = Owner(lib.covertree_index_free)
    check(lib.covertree_index_create(dim, store, byref(options), byref(owner.handle)))
    return owner


def search_options(
    n_threads: int, tuning: Mapping[str, int], filter: NDArray[np.int64] | NDArray[np.uint8] | None
) -> IndexSearchOptions:
    """Options of a search; ``filter`` is the ids that may be found, or a bit for each id."""
    options = IndexSearchOptions.from_buffer_copy(_SEARCH_DEFAULTS)
    options.n_threads = n_threads
    for name, value in tuning.items():
        setattr(options, name, value)
    if filter is not None:
        options.filter_kind = _FILTER_BITMAP if filter.dtype == np.uint8 else _FILTER_IDS
        options.filter, options.n_filter = start(filter), len(filter)
        options.kept = filter  # the array lives as long as the options
    return options


# Changes


def add(
    index: Handle,
    ids: NDArray[np.int64] | None,
    vectors: NDArray[np.float32] | NDArray[np.int64],
    *,
    n_threads: int,
    progress: ProgressReport | None = None,
) -> int:
    """Add vectors, or slots of a store. Returns the first id where ``ids`` is None."""
    options, first = call_options(n_threads), c_int64()
    arguments = (index, optional(ids), matrix(vectors), byref(options), byref(first))
    call(lib.covertree_index_add, arguments, options, progress)
    return first.value


def update(
    index: Handle,
    ids: NDArray[np.int64],
    vectors: NDArray[np.float32] | NDArray[np.int64],
    *,
    n_threads: int,
    progress: ProgressReport | None = None,
) -> None:
    """Replace vectors."""
    options = call_options(n_threads)
    call(lib.covertree_index_update, (index, address(ids), matrix(vectors), byref(options)), options, progress)


def remove(index: Handle, ids: NDArray[np.int64], *, n_threads: int) -> None:
    """Remove vectors."""
    options = call_options(n_threads)
    call(lib.covertree_index_remove, (index, address(ids), len(ids), byref(options)), options, None)


def clear(index: Handle) -> None:
    """Remove all vectors."""
    check(lib.covertree_index_clear(index))


def rebuild(index: Handle, *, n_threads: int, progress: ProgressReport | None = None) -> None:
    """Rebuild the structure from the vectors."""
    options = call_options(n_threads)
    call(lib.covertree_index_rebuild, (index, byref(options)), options, progress)


def optimize(index: Handle, *, n_threads: int) -> None:
    """Put vectors that are near in a graph near in memory."""
    options = call_options(n_threads)
    call(lib.covertree_index_optimize, (index, byref(options)), options, None)


# Searches


def search(
    index: Handle,
    queries: NDArray[np.float32],
    k: int,
    options: IndexSearchOptions,
    *,
    progress: ProgressReport | None = None,
    brief: bool = False,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Find the ``k`` nearest vectors of each query: their ids and distances."""
    ids = results(len(queries), k, np.int64)
    distances = results(len(queries), k, np.float32)
    arguments = (index, matrix(queries), k, byref(options), address(ids), address(distances))
    call(lib.covertree_index_search, arguments, options, progress, brief=brief)
    return ids, distances


def radius(
    index: Handle,
    queries: NDArray[np.float32],
    r: float,
    options: IndexSearchOptions,
    *,
    progress: ProgressReport | None = None,
    brief: bool = False,
) -> Lists:
    """Find the vectors within a distance of each query; indices are ids."""
    return lists(lib.covertree_index_radius, (index, matrix(queries), r), options, progress, brief=brief)


# Properties


def get(index: Handle, ids: NDArray[np.int64], dim: int) -> NDArray[np.float32]:
    """The vectors of some ids, as the index keeps them."""
    vectors = np.empty((len(ids), dim), np.float32)
    check(lib.covertree_index_get(index, address(ids), len(ids), address(vectors)))
    return vectors


def contains(index: Handle, ids: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Which ids the index has: 1 or 0 for each."""
    found = np.zeros(len(ids), np.uint8)
    check(lib.covertree_index_contains(index, address(ids), len(ids), address(found)))
    return found


def ids(index: Handle, count: int) -> NDArray[np.int64]:
    """All ids, in the order in which their vectors were added."""
    found = np.empty(count, np.int64)
    check(lib.covertree_index_ids(index, address(found), count))
    return found


def get_info(index: Handle) -> IndexInfo:
    """An index in numbers."""
    return read(lib.covertree_index_get_info, index, IndexInfo)


# Files


def save(index: Handle, path: str, sections: Arrays, *, n_threads: int, progress: ProgressReport | None = None) -> None:
    """Write an index to a file, in one step, with sections of the caller."""
    files.save(lib.covertree_index_save, (index, os.fsencode(path)), sections, n_threads, progress)


def encode(index: Handle, sections: Arrays, *, n_threads: int) -> Owner:
    """The file in memory."""
    return files.encode(lib.covertree_index_encode, index, sections, n_threads)


def load(file: Owner, store: Handle | None, *, n_threads: int) -> Owner:
    """The index in a file; ``store`` is for one over a store."""
    function, free = lib.covertree_index_load, lib.covertree_index_free
    if store is not None:
        return made(function, free, (file.handle, store), call_options(n_threads), None)
    owner = Owner(free)
    check(function(file.handle, None, None, byref(owner.handle)))
    return owner

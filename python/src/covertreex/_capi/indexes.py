"""Vector indexes: ``covertree_index_*``."""

from __future__ import annotations

from collections.abc import Mapping
from ctypes import byref, c_int64
from typing import Union

import numpy as np
from numpy.typing import NDArray

from .._arrays import results
from . import files
from .calls import BRIEF, How, Lists, Unpack, Way, call, lists, made
from .library import check, lib, read
from .memory import Handle, Int64s, Owner, address, matrix
from .structs import IndexInfo, IndexOptions, IndexSearchOptions

#: Vectors, or slots of a store.
Vectors = Union[NDArray[np.float32], Int64s]

_FILTER_IDS, _FILTER_BITMAP = 1, 2
_RERANK = 1
_search_options, _SEARCH_DEFAULTS = IndexSearchOptions.from_buffer_copy, IndexSearchOptions()


def options_of(*, kind: int, metric: int, storage: int, rerank: bool, own: Mapping[str, int]) -> IndexOptions:
    """Options of an index; ``own`` are the seed, and options of its kind by their names."""
    return IndexOptions(kind=kind, metric=metric, storage=storage, flags=_RERANK if rerank else 0, **own)


def create(dim: int, store: Handle | None, options: IndexOptions) -> Owner:
    """Create an index."""
    return made(lib.covertree_index_create, lib.covertree_index_free, BRIEF, dim, store, options=options)


def search_options(
    n_threads: int, tuning: Mapping[str, int], filter: Int64s | NDArray[np.uint8] | None
) -> IndexSearchOptions:
    """Options of a search; ``filter`` is the ids that may be found, or a bit for each id."""
    options = _search_options(_SEARCH_DEFAULTS)
    options.n_threads = n_threads
    for name, value in tuning.items():
        setattr(options, name, value)
    if filter is not None:
        options.filter_kind = _FILTER_BITMAP if filter.dtype == np.uint8 else _FILTER_IDS
        options.filter, options.n_filter = address(filter), len(filter)
        options.kept = filter  # the array lives as long as the options
    return options


def add(index: Handle, ids: Int64s | None, vectors: Vectors, **how: Unpack[How]) -> int:
    """Add vectors. Returns the first id where ``ids`` is None."""
    first = c_int64()
    call(lib.covertree_index_add, how, (index, address(ids), matrix(vectors)), byref(first))
    return first.value


def update(index: Handle, ids: Int64s, vectors: Vectors, **how: Unpack[How]) -> None:
    """Replace vectors."""
    call(lib.covertree_index_update, how, (index, address(ids), matrix(vectors)))


def remove(index: Handle, ids: Int64s, **how: Unpack[How]) -> None:
    """Remove vectors."""
    call(lib.covertree_index_remove, how, (index, address(ids), len(ids)))


def clear(index: Handle) -> None:
    """Remove all vectors."""
    check(lib.covertree_index_clear(index))


def rebuild(index: Handle, **how: Unpack[How]) -> None:
    """Rebuild the structure from the vectors."""
    call(lib.covertree_index_rebuild, how, (index,))


def optimize(index: Handle, **how: Unpack[How]) -> None:
    """Put vectors that are near in a graph near in memory."""
    call(lib.covertree_index_optimize, how, (index,))


def search(
    index: Handle, queries: NDArray[np.float32], k: int, options: IndexSearchOptions, **way: Unpack[Way]
) -> tuple[Int64s, NDArray[np.float32]]:
    """Find the ``k`` nearest vectors of each query: their ids and distances."""
    ids, distances = results(len(queries), k, np.int64), results(len(queries), k, np.float32)
    asked = index, matrix(queries), k
    call(lib.covertree_index_search, way, asked, address(ids), address(distances), options=options)
    return ids, distances


def radius(
    index: Handle, queries: NDArray[np.float32], r: float, options: IndexSearchOptions, **way: Unpack[Way]
) -> Lists:
    """Find the vectors within a distance of each query; indices are ids."""
    return lists(lib.covertree_index_radius, way, index, matrix(queries), r, options=options)


def get(index: Handle, ids: Int64s, dim: int) -> NDArray[np.float32]:
    """The vectors of some ids, as the index keeps them."""
    vectors = np.empty((len(ids), dim), np.float32)
    check(lib.covertree_index_get(index, address(ids), len(ids), address(vectors)))
    return vectors


def contains(index: Handle, ids: Int64s) -> NDArray[np.uint8]:
    """For each id, 1 if the index has it, else 0."""
    found = np.zeros(len(ids), np.uint8)
    check(lib.covertree_index_contains(index, address(ids), len(ids), address(found)))
    return found


def ids(index: Handle, count: int) -> Int64s:
    """All ids, in the order in which their vectors were added."""
    found = np.empty(count, np.int64)
    check(lib.covertree_index_ids(index, address(found), count))
    return found


def get_info(index: Handle) -> IndexInfo:
    """An index in numbers."""
    return read(lib.covertree_index_get_info, index, IndexInfo)


#: Write an index to a file, and the same in memory.
_writer = files.Writer("index")
save, encode = _writer.save, _writer.encode


def load(file: Owner, store: Handle | None, *, n_threads: int) -> Owner:
    """The index in a file; ``store`` is for one over a store."""
    how: How = {"n_threads": n_threads, "brief": store is None}
    return made(lib.covertree_index_load, lib.covertree_index_free, how, file.handle, store)

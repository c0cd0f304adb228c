"""The indexes of each kind."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .. import _calls
from .._capi import indexes
from ..store import VectorStore
from ._options import choice
from ._vector_index import VectorIndex

_SPLITS = ("median", "sliding_midpoint", "median_extent")
_LSH_MODES = ("codes", "tables")


class BruteForce(VectorIndex):
    """Every query is compared with every vector: exact.

    Parameters
    ----------
    dim : int or VectorStore
        Number of coordinates of a vector; or a store, whose vectors the index reads in place.
    metric : {"l2", "sqeuclidean", "ip", "cosine"}
        How distances are measured.
    storage : {"float32", "float16", "int8"}
        The stored type of a coordinate; int8 has a scale for each vector. Answers are exact for the stored values.
    rerank : bool
        Whether float32 is stored in addition to a smaller type, and ranks the results. Over a store it always is.
    """

    _kind = 0

    def __init__(
        self, dim: int | VectorStore, *, metric: str = "l2", storage: str = "float32", rerank: bool = False
    ) -> None:
        super().__init__(dim, metric, storage, rerank)

    def _is_brief(self, rows: NDArray[np.float32]) -> bool:
        return rows.size * len(self) < _calls.COORDINATES_WORTH_A_THREAD


class KDTree(VectorIndex):
    """A k-d tree: exact, for few dimensions.

    In many dimensions without structure queries are compared with all vectors instead.

    Parameters
    ----------
    dim
        As in :class:`BruteForce`.
    metric : {"l2", "sqeuclidean", "cosine"}
        How distances are measured; over a store not ``"cosine"``.
    leaf_size : int
        Vectors that are compared together.
    split : {"median", "sliding_midpoint", "median_extent"}
        Where it is cut: at the median of the coordinate of greatest variance, in the middle of the widest extent, at
        the median of that.
    """

    _kind = 1
    _own = ("leaf_size", "split")

    def __init__(
        self, dim: int | VectorStore, *, metric: str = "l2", leaf_size: int = 32, split: str = "median"
    ) -> None:
        super().__init__(dim, metric, leaf_size=leaf_size, split=choice(split, _SPLITS, "split"))


class LSH(VectorIndex):
    """Random hyperplanes: vectors on the same side of most of them are candidates, and are ranked exactly.

    Parameters
    ----------
    dim, metric, storage, rerank
        As in :class:`BruteForce`.
    mode : {"codes", "tables"}
        Codes of many bits, which are compared with all others; or tables of buckets, of which some are searched.
    n_bits : int
        Bits of a code (by default 256), or of the number of a bucket (12).
    n_candidates : int
        Vectors with codes like the query's that are compared with it.
    n_tables, n_probes : int
        Tables, and the buckets that a search reads in each.
    seed : int
        Of the hyperplanes.
    """

    _kind = 2
    _own = ("lsh_mode", "n_bits", "n_candidates", "n_tables", "n_probes")
    _tuning = ("n_candidates", "n_probes")

    def __init__(
        self,
        dim: int | VectorStore,
        *,
        metric: str = "l2",
        mode: str = "codes",
        n_bits: int | None = None,
        n_candidates: int = 200,
        n_tables: int = 8,
        n_probes: int = 16,
        storage: str = "float32",
        rerank: bool = False,
        seed: int = 0,
    ) -> None:
        number = choice(mode, _LSH_MODES, "mode")
        bits = n_bits if n_bits is not None else (256, 12)[number]
        super().__init__(
            dim, metric, storage, rerank, seed, lsh_mode=number, n_bits=bits, n_candidates=n_candidates,
            n_tables=n_tables, n_probes=n_probes,
        )  # fmt: skip


class HNSW(VectorIndex):
    """A hierarchical navigable small world graph: most of the neighbours, in little time.

    The graph is the same for any number of threads. If float32 is stored, so are bytes, by which candidates are found,
    unless rounding would hide too much.

    Parameters
    ----------
    dim, metric, storage, rerank
        As in :class:`BruteForce`.
    m : int
        Links of a vector on each level, twice as many on the lowest.
    ef_construction : int
        Vectors that a search for links keeps.
    ef_search : int
        Vectors that a search keeps, at least ``k``; the larger, the more of the neighbours it finds.
    seed : int
        Of the levels.
    """

    _kind = 3
    _own = ("m", "ef_construction", "ef_search")
    _tuning = ("ef_search",)

    def __init__(
        self,
        dim: int | VectorStore,
        *,
        metric: str = "l2",
        m: int = 16,
        ef_construction: int = 200,
        ef_search: int = 64,
        storage: str = "float32",
        rerank: bool = False,
        seed: int = 0,
    ) -> None:
        own = {"m": m, "ef_construction": ef_construction, "ef_search": ef_search}
        super().__init__(dim, metric, storage, rerank, seed, **own)

    def optimize(self) -> None:
        """Store vectors that are near in the graph near in memory. Answers stay the same."""
        self._call(indexes.optimize)

"""The kinds of vector index that arrwDB has.

Each kind exists twice, under the names of arrwDB's Python class and of its Rust wrapper. The two differ in
`index_type`, statistics, ``repr`` and the type of ids: in a Rust wrapper, an id that is the text of a UUID becomes one.
"""

from __future__ import annotations

import warnings
from collections.abc import Hashable
from typing import Any

from ... import _arrays, indexes
from . import structure
from .base import VectorIndex
from .stores import as_uuid

_MAX_LEVEL = 16
_MOST_BUCKETS = 1 << 28


class BruteForceIndex(VectorIndex):
    """Compares each query with all vectors: exact.

    Parameters
    ----------
    vector_store, **options
        Those of :class:`VectorIndex` and :class:`covertreex.indexes.BruteForce`.
    """

    _kind, _type, _name = indexes.BruteForce, "brute_force", "BruteForceIndex"


class KDTreeIndex(VectorIndex):
    """A k-d tree: exact.

    Vectors are found as soon as they are added, without :meth:`rebuild`.

    Parameters
    ----------
    vector_store, **options
        Those of :class:`VectorIndex` and :class:`covertreex.indexes.KDTree`.
    rebuild_threshold : int
        Number of changes after which the tree is built again; 0 leaves that to the tree.
    """

    _kind, _type, _name, _incremental = indexes.KDTree, "kd_tree", "KDTreeIndex", False

    def __init__(self, vector_store: Any, rebuild_threshold: int = 100, **options: Any) -> None:
        self._rebuild_threshold = _arrays.integer(rebuild_threshold, "rebuild_threshold", minimum=0)
        self._modifications = 0
        super().__init__(vector_store, **options)

    def _changed(self) -> None:
        self._modifications += 1
        if 0 < self._rebuild_threshold <= self._modifications:
            self._contents.index.rebuild()
            self._rebuilt()

    def _rebuilt(self) -> None:
        self._modifications = 0

    def _depth(self) -> int:
        return structure.tree_depth(self._contents.index)

    def _details(self) -> dict[str, Any]:
        return {
            "tree_depth": self._depth(),
            "modifications_since_rebuild": self._modifications,
            "rebuild_threshold": self._rebuild_threshold,
        }

    def _shown(self) -> dict[str, Any]:
        return {"depth": self._depth()}


class LSHIndex(VectorIndex):
    """Locality-sensitive hashing by random hyperplanes: finds most of the neighbours.

    Parameters
    ----------
    vector_store, **options
        Those of :class:`VectorIndex` and :class:`covertreex.indexes.LSH`: `n_probes` is the number of buckets that a
        search reads in each table, `n_candidates` the number of vectors that it compares.
    num_tables : int
        Number of hash tables, 1 to 256.
    hash_size : int
        Number of bits of a hash, 1 to 24. All tables together have at most 2^28 buckets.
    seed : int, optional
        Determines the hyperplanes; 0 by default.
    """

    _kind, _type, _name = indexes.LSH, "lsh", "LSHIndex"

    def __init__(
        self, vector_store: Any, num_tables: int = 10, hash_size: int = 10, seed: int | None = None, **options: Any
    ) -> None:
        self._num_tables = _arrays.integer(num_tables, "num_tables", minimum=1, maximum=256)
        self._hash_size = _arrays.integer(hash_size, "hash_size", minimum=1, maximum=24)
        if num_tables << hash_size > _MOST_BUCKETS:
            raise ValueError(
                f"num_tables, hash_size: expected at most 2^28 buckets, got {num_tables} tables of 2^{hash_size}"
            )
        seed = 0 if seed is None else seed
        super().__init__(vector_store, mode="tables", n_tables=num_tables, n_bits=hash_size, seed=seed, **options)

    def _details(self) -> dict[str, Any]:
        total = structure.bucket_count(self._contents.index) if len(self) else 0
        return {
            "num_tables": self._num_tables,
            "hash_size": self._hash_size,
            "total_buckets": total,
            "avg_bucket_size": round(len(self) * self._num_tables / total, 2) if total else 0.0,
        }

    def _shown(self) -> dict[str, Any]:
        return {"tables": self._num_tables, "hash_size": self._hash_size}


class HNSWIndex(VectorIndex):
    """A hierarchical navigable small world graph: finds nearly all neighbours, fast.

    Parameters
    ----------
    vector_store, **options
        Those of :class:`VectorIndex` and :class:`covertreex.indexes.HNSW`.
    M : int
        Number of links of a vector on each level, twice as many on the lowest; 2 to 512.
    ef_construction : int
        Number of vectors that a search for links keeps.
    ef_search : int
        Number of vectors that a search keeps. A greater one finds more of the neighbours.
    max_level : int
        Has no effect: the number of levels follows from `M` and the number of vectors.
    seed : int, optional
        Determines the levels of vectors; 0 by default.
    """

    _kind, _type, _name = indexes.HNSW, "hnsw", "HNSWIndex"

    def __init__(
        self,
        vector_store: Any,
        M: int = 16,
        ef_construction: int = 200,
        ef_search: int = 50,
        max_level: int = _MAX_LEVEL,
        seed: int | None = None,
        **options: Any,
    ) -> None:
        self._m = _arrays.integer(M, "M", minimum=2, maximum=512)
        self._ef_construction, self._ef_search = ef_construction, ef_search
        if _arrays.integer(max_level, "max_level", minimum=0) != _MAX_LEVEL:
            warnings.warn("max_level: it has no effect on this graph", stacklevel=2)
        seed = 0 if seed is None else seed
        super().__init__(vector_store, m=M, ef_construction=ef_construction, ef_search=ef_search, seed=seed, **options)

    def _details(self) -> dict[str, Any]:
        details = {"M": self._m, "ef_construction": self._ef_construction, "ef_search": self._ef_search}
        if not len(self):
            return details
        counts, links = structure.graph_levels(self._contents.index)
        return {**details, "num_levels": len(counts), "level_counts": counts, "avg_connections": round(links, 2)}

    def _shown(self) -> dict[str, Any]:
        return {"M": self._m, "ef_search": self._ef_search}


class _RustWrapper(VectorIndex):
    """The features of arrwDB's Rust wrappers: UUIDs as ids, statistics with the dimension, and a short ``repr``."""

    def _key(self, vector_id: Hashable) -> Hashable:
        found = as_uuid(vector_id) if isinstance(vector_id, str) else None
        return vector_id if found is None else found

    @property
    def index_type(self) -> str:
        """Name of the kind of index."""
        return f"rust_{self._type}"

    def _common(self) -> dict[str, Any]:
        return {**super()._common(), "type": self._type, "dimension": self._dimension}

    def _shown(self) -> dict[str, Any]:
        return {}


class RustBruteForceIndexWrapper(_RustWrapper, BruteForceIndex):
    """:class:`BruteForceIndex` as arrwDB's Rust wrapper."""

    _name = "RustBruteForceIndex"


class RustKDTreeIndexWrapper(_RustWrapper, KDTreeIndex):
    """:class:`KDTreeIndex` as arrwDB's Rust wrapper."""

    _name = "RustKDTreeIndex"


class RustLSHIndexWrapper(_RustWrapper, LSHIndex):
    """:class:`LSHIndex` as arrwDB's Rust wrapper."""

    _name = "RustLSHIndex"


class RustHNSWIndexWrapper(_RustWrapper, HNSWIndex):
    """:class:`HNSWIndex` as arrwDB's Rust wrapper."""

    _name = "RustHNSWIndex"
    _shown = HNSWIndex._shown

    def _common(self) -> dict[str, Any]:
        return {**super()._common(), "type": self.index_type}

    def _details(self) -> dict[str, Any]:
        details = super()._details()
        details.pop("level_counts", None)
        return {"m": self._m, **details}

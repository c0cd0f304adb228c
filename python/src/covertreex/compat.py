"""Vector indexes by the method names of older systems: ids and places in a store go in, lists of pairs come out."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import indexes
from .store import VectorStore

__all__ = ["BruteForceIndex", "HNSWIndex", "KDTreeIndex", "LSHIndex"]


class _Size(int):
    """A number that can also be called, as `size` is a method to some and a property to others."""

    def __call__(self) -> int:
        return int(self)


class _StoreIndex:
    """An index over vectors of a store.

    Parameters
    ----------
    store : object
        A :class:`covertreex.VectorStore`, whose slots are places: vectors are read there. Or whatever gives the vector
        at a place: by ``get_vector(place)``, by ``get_slot(place)``, or as ``store[place]``, as an array does: vectors
        are copied when they are added.
    **options
        Those of the index in :mod:`covertreex.indexes`.
    """

    _kind: type[indexes.VectorIndex]

    def __init__(self, store: Any, **options: Any) -> None:
        self._store = store
        self._options = options
        self._index: indexes.VectorIndex | None = None
        self._places: dict[Hashable, int] = {}

    def _vector(self, place: int) -> NDArray[np.float32]:
        for name in ("get_vector", "get_slot", "__getitem__"):
            if hasattr(self._store, name):
                return np.asarray(getattr(self._store, name)(place), np.float32)
        raise TypeError(f"store: expected get_vector, get_slot or [], got {type(self._store).__name__}")

    def add_vector(self, id: Hashable, vector_index: int) -> None:
        """Add the vector at a place of the store; an id that is there gets it in place of its own."""
        lends = isinstance(self._store, VectorStore)
        vector = None if lends else self._vector(vector_index)[None]
        index = self._index
        if index is None:
            index = self._kind(self._store if vector is None else vector.size, **self._options)
        change = index.update if id in self._places else index.add
        change([id], vector, slots=[vector_index] if lends else None)
        # An index that could not take its first vector would have a dimension by a vector that is not there.
        self._index = index
        self._places[id] = vector_index

    def search(self, query: ArrayLike, k: int, distance_threshold: float | None = None) -> list[tuple[Hashable, float]]:
        """Find the nearest vectors: ids and distances, the nearest first.

        Parameters
        ----------
        query : array_like, shape (dim,)
            A vector.
        k : int
            How many at most.
        distance_threshold : float, optional
            Nothing farther than this.
        """
        if self._index is None:
            return []
        ids, distances = self._index.search_one(query, k)
        pairs = list(zip(ids.tolist(), distances.tolist()))
        return [pair for pair in pairs if distance_threshold is None or pair[1] <= distance_threshold]

    def remove_vector(self, id: Hashable) -> bool:
        """Take out the vector of an id; false where there is none."""
        if self._index is None or id not in self._places:
            return False
        self._index.remove([id])
        del self._places[id]
        return True

    def rebuild(self) -> None:
        """Read all vectors from the store again, and make the index anew of them."""
        before = self._places, self._index
        self._places, self._index = {}, None
        try:
            for id, place in before[0].items():
                self.add_vector(id, place)
        except BaseException:
            self._places, self._index = before
            raise
        if self._index is not None:
            self._index.rebuild()

    def clear(self) -> None:
        """Take out everything."""
        self._places.clear()
        self._index = None

    @property
    def size(self) -> _Size:
        """How many vectors there are."""
        return _Size(len(self._places))

    def __len__(self) -> int:
        return len(self._places)

    def get_statistics(self) -> dict[str, Any]:
        """The index in numbers."""
        known = {} if self._index is None else asdict(self._index.stats())
        return {"type": self._kind.__name__, "size": len(self._places), **known}


class BruteForceIndex(_StoreIndex):
    """:class:`covertreex.indexes.BruteForce` over a store."""

    _kind = indexes.BruteForce


class KDTreeIndex(_StoreIndex):
    """:class:`covertreex.indexes.KDTree` over a store."""

    _kind = indexes.KDTree


class LSHIndex(_StoreIndex):
    """:class:`covertreex.indexes.LSH` over a store."""

    _kind = indexes.LSH


class HNSWIndex(_StoreIndex):
    """:class:`covertreex.indexes.HNSW` over a store."""

    _kind = indexes.HNSW

"""The methods that arrwDB's vector indexes have in common, over :mod:`covertreex.indexes`.

Indexes accept ids and the indices of vectors in a store, and return lists of pairs.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Hashable
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ... import _arguments, _arrays, indexes
from .stores import underlying

_NO_ID = object()


class _Size(int):
    """A number that can also be called, because `size` is a method in arrwDB."""

    def __call__(self) -> int:
        return int(self)


class _Contents:
    """An index with integers as ids, and the callers' ids for them."""

    def __init__(self, index: indexes.VectorIndex) -> None:
        self.index = index
        self.entries: dict[Hashable, tuple[int, int]] = {}  # by id: the integer, and the index in the store
        self.ids: dict[int, Hashable] = {}  # by integer

    def add(self, some: list[tuple[Hashable, int]], vectors: NDArray[Any] | None) -> None:
        """Add vectors by ids and indices in the store; without `vectors` the index reads the store's."""
        slots = [slot for _, slot in some] if vectors is None else None
        keys = self.index.add(None, vectors, slots=slots).tolist()
        for key, (one, slot) in zip(keys, some):
            self.ids[key] = one
            self.entries[one] = key, slot

    def remove(self, one: Hashable) -> None:
        key, _ = self.entries[one]
        self.index.remove([key])
        del self.entries[one], self.ids[key]


class VectorIndex:
    """The methods that all indexes have.

    Parameters
    ----------
    vector_store : object
        The store of the vectors. A :class:`VectorArena`, a :class:`RustVectorStoreWrapper` or a
        :class:`covertreex.VectorStore` shares its vectors, except with a k-d tree in the cosine metric. From any other
        store they are copied when they are added: by ``get_vector_by_index(index)``, ``get_slot(index)``,
        ``get_vector(index)`` or ``store[index]``, the first of these that it has.
    **options
        Options of the index in :mod:`covertreex.indexes`; `metric` is ``"cosine"`` by default.

    Raises
    ------
    TypeError, ValueError
        If an option is not valid.
    """

    _kind: ClassVar[type[indexes.VectorIndex]]
    _type: ClassVar[str]  # in `index_type` and in statistics
    _name: ClassVar[str]  # in `repr`
    _incremental: ClassVar[bool] = True

    def __init__(self, vector_store: Any, **options: Any) -> None:
        self._vector_store = vector_store
        self._options = {"metric": "cosine", **options}
        self._own_store = underlying(vector_store)
        copies = self._kind is indexes.KDTree and self._options["metric"] == "cosine"
        self._shared_store = None if copies else self._own_store
        self._dimension = _dimension_of(vector_store)
        self._changing = threading.RLock()
        self._contents = self._made(self._dimension)

    def _made(self, dimension: int | None) -> _Contents:
        """Make an empty index. While the dimension is unknown, it only serves to check the options."""
        source = (dimension or 1) if self._shared_store is None else self._shared_store
        return _Contents(self._kind(source, **self._options))

    def _key(self, vector_id: Hashable) -> Hashable:
        """Return the form in which an id is kept and returned."""
        return vector_id

    def _vector(self, vector_index: int) -> NDArray[Any]:
        """Read a vector from the store; ValueError if it is missing."""
        number = _arrays.integer(vector_index, "vector_index", minimum=0)
        fault = f"vector_index: expected one with a vector in the store, got {number}"
        try:
            vector = _read(self._vector_store, number)
        except LookupError as error:
            raise ValueError(f"{fault}: {error}") from error
        if vector is None:
            raise ValueError(fault)
        row = np.asarray(vector)
        if row.ndim != 1 or self._dimension not in (None, row.size):
            raise ValueError(
                f"vector_index: expected a vector of shape ({self._dimension or 'dim'},) in the store, got {row.shape}"
                f" for {number}"
            )
        return row

    # Changes

    def add_vector(self, vector_id: Hashable, vector_index: int) -> None:
        """Add the vector with an index in the store under a new id.

        Raises
        ------
        ValueError
            If the index already has the id, or the store has no vector with that index.
        """
        one = self._key(vector_id)
        with self._changing:
            if one in self._contents.entries:
                raise ValueError(f"vector_id: expected a new one, got {vector_id!r}, which already exists in the index")
            vector = self._vector(vector_index)
            contents = self._contents if self._dimension is not None else self._made(vector.size)
            try:
                contents.add([(one, vector_index)], vector[None] if self._shared_store is None else None)
            except LookupError as error:  # the slot was freed in the meantime
                raise ValueError(f"vector_index: {error.args[0]}") from error
            self._contents, self._dimension = contents, vector.size
            self._changed()

    def remove_vector(self, vector_id: Hashable) -> bool:
        """Remove the vector of an id; return False if the index has no such id."""
        one = self._key(vector_id)
        with self._changing:
            if one not in self._contents.entries:
                return False
            self._contents.remove(one)
            self._changed()
            return True

    def rebuild(self) -> None:
        """Build the index again.

        The vectors of a store that does not belong to covertreex are read again.

        Raises
        ------
        ValueError
            If a vector is no longer in such a store; the index stays as it was.
        """
        with self._changing:
            if self._own_store is not None:
                self._contents.index.rebuild()
            else:
                some = [(one, slot) for one, (_, slot) in self._contents.entries.items()]
                vectors = [self._vector(slot) for _, slot in some]
                fresh = self._made(self._dimension)
                if some:
                    fresh.add(some, np.stack(vectors))
                self._contents = fresh
            self._rebuilt()

    def clear(self) -> None:
        """Remove all vectors."""
        with self._changing:
            self._contents = self._made(self._dimension)
            self._rebuilt()

    def _changed(self) -> None:
        """Note that a vector was added or removed."""

    def _rebuilt(self) -> None:
        """Note that the index was built again."""

    # Searches

    def search(
        self, query_vector: ArrayLike, k: int, distance_threshold: float | None = None
    ) -> list[tuple[Any, float]]:
        """Find the nearest vectors.

        Parameters
        ----------
        query_vector : array_like, shape (dimension,)
        k : int
            The greatest number of vectors to return.
        distance_threshold : float, optional
            Vectors at a greater distance are left out. It is rounded to float32, the type of distances.

        Returns
        -------
        list of (id, float)
            Ids and distances, the nearest first.

        Raises
        ------
        ValueError
            If `k` is below 1, or the query has another shape, is not finite, or is zero where the metric is the cosine.
        """
        k = _arrays.integer(k, "k", minimum=1)
        threshold = _threshold(distance_threshold)
        contents, query = self._contents, np.asarray(query_vector)
        if self._dimension is not None and query.shape != (self._dimension,):
            raise ValueError(f"query_vector: expected shape ({self._dimension},), got {query.shape}")
        if not contents.ids:
            return []
        keys, distances = contents.index.knn_one(k, query=query)
        near = distances <= threshold
        # A vector that another thread is adding or removing at the moment has no id.
        ids = [contents.ids.get(key, _NO_ID) for key in keys[near].tolist()]
        return [pair for pair in zip(ids, distances[near].tolist()) if pair[0] is not _NO_ID]

    # Description

    @property
    def size(self) -> _Size:
        """Number of vectors; ``size()`` is the same."""
        return _Size(len(self._contents.entries))

    def __len__(self) -> int:
        return len(self._contents.entries)

    @property
    def index_type(self) -> str:
        """Name of the kind of index."""
        return self._type

    @property
    def supports_incremental_updates(self) -> bool:
        """False for the kind that arrwDB recommends to rebuild after changes, the k-d tree."""
        return self._incremental

    def get_statistics(self) -> dict[str, Any]:
        """Return ``type``, ``size``, ``vector_store_dim``, ``supports_incremental``, and the numbers of its kind.

        Those that describe the structure are counted, which takes time proportional to its size.
        """
        return {**self._common(), **self._details()}

    def _common(self) -> dict[str, Any]:
        return {
            "type": self.index_type,
            "size": len(self),
            "vector_store_dim": self._dimension,
            "supports_incremental": self.supports_incremental_updates,
        }

    def _details(self) -> dict[str, Any]:
        return {}

    def _shown(self) -> dict[str, Any]:
        """Return the fields of `repr` that the kind of index has."""
        return {}

    def __repr__(self) -> str:
        fields = {"size": len(self), "dimension": self._dimension, **self._shown()}
        return f"{self._name}({', '.join(f'{name}={value}' for name, value in fields.items())})"


def _threshold(value: float | None) -> np.float32:
    """Return a greatest distance in the type of distances."""
    number = math.inf if value is None else _arguments.number(value, "distance_threshold")
    if math.isnan(number):
        raise ValueError("distance_threshold: expected a number, got nan")
    with np.errstate(over="ignore"):  # a number beyond float32 becomes infinite and excludes nothing
        limit: np.float32 = np.float32(number)
    return limit


def _dimension_of(store: Any) -> int | None:
    """Return the number of coordinates that a store says its vectors have; None if it does not."""
    for name in ("dimension", "dim"):
        value = getattr(store, name, None)
        if hasattr(value, "__index__"):
            return _arrays.integer(value, f"vector_store.{name}", minimum=1)
    shape = getattr(store, "shape", None)
    if shape is None:
        return None
    if len(shape) != 2:
        raise ValueError(f"vector_store: expected two dimensions (n, dim), got shape {tuple(shape)}")
    return _arrays.integer(shape[1], "vector_store.shape[1]", minimum=1)


def _read(store: Any, index: int) -> Any:
    """Read a vector from a store of any kind."""
    for name in ("get_vector_by_index", "get_slot", "get_vector", "__getitem__"):
        if hasattr(store, name):
            return getattr(store, name)(index)
    raise TypeError(f"vector_store: expected one with get_vector_by_index, got {type(store).__name__}")

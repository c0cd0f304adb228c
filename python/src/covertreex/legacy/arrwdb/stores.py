"""The vector stores of arrwDB, over :class:`covertreex.VectorStore`."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ... import _arrays, _files
from ...store import VectorStore
from ...store._keys import Id


class VectorArena:
    """Vectors by ids of *chunks*, each vector kept once: arrwDB's store.

    Equal vectors share an *index*, which is a slot of the underlying :attr:`store`. The index is free again when the
    last chunk with the vector is removed.

    Parameters
    ----------
    dimension : int
        Number of coordinates of a vector.
    initial_capacity : int
        The least ``capacity`` that :meth:`get_statistics` reports. The store grows as needed.
    use_mmap : bool
        Whether the vectors are on disk, in the folder `mmap_path`.
    mmap_path : path-like, optional
        A folder for the store. It is created if necessary; a store that is already there is opened with its vectors.

    Raises
    ------
    ValueError
        If `dimension` or `initial_capacity` is below 1, or if `use_mmap` is set without `mmap_path`.
    """

    _name: ClassVar[str] = "VectorArena"
    _in_memory: ClassVar[str] = "in-memory"

    def __init__(
        self,
        dimension: int,
        initial_capacity: int = 1000,
        use_mmap: bool = False,
        mmap_path: _files.PathLike | None = None,
    ) -> None:
        dimension = _arrays.integer(dimension, "dimension", minimum=1)
        self._initial_capacity = _arrays.integer(initial_capacity, "initial_capacity", minimum=1)
        if use_mmap and mmap_path is None:
            raise ValueError("mmap_path: expected a path with use_mmap=True, got None")
        self._storage = "memory-mapped" if use_mmap else self._in_memory
        if use_mmap and mmap_path is not None:
            Path(mmap_path).parent.mkdir(parents=True, exist_ok=True)
            self._store = VectorStore.open(mmap_path, dimension, sync="normal")
        else:
            self._store = VectorStore(dimension)

    def _key(self, chunk_id: Any) -> Id:
        """The id that the underlying store uses for a chunk."""
        key: Id = chunk_id
        return key

    # Changes

    def add_vector(self, chunk_id: Id, vector: ArrayLike) -> int:
        """Add the vector of a new chunk.

        Parameters
        ----------
        chunk_id : uuid.UUID, str or int
        vector : array_like, shape (dimension,)
            Finite; converted to float32.

        Returns
        -------
        int
            The index of the vector. It is the index of an equal vector if the store has one.

        Raises
        ------
        ValueError
            If the chunk already has a vector, or the vector has another shape.
        """
        key = self._key(chunk_id)
        if key in self._store:
            raise ValueError(f"chunk_id: expected a new one, got {chunk_id!r}, which already has a vector")
        return self._store.add(key, vector)

    def remove_vector(self, chunk_id: Id) -> bool:
        """Remove a chunk, and its vector if no other chunk has it; return False if the store has no such chunk."""
        try:
            self._store.remove(self._key(chunk_id))
        except KeyError:
            return False
        return True

    def flush(self) -> None:
        """Do nothing: a store on disk writes each change before the call returns."""

    # Vectors

    def get_vector(self, chunk_id: Id) -> NDArray[np.float32] | None:
        """Return a copy of the vector of a chunk, or None if the store has no such chunk."""
        try:
            vector: NDArray[np.float32] = self._store.get(self._key(chunk_id)).copy()
        except KeyError:
            return None
        return vector

    def get_vector_by_index(self, index: int) -> NDArray[np.float32]:
        """Return a copy of the vector with an index.

        Raises
        ------
        IndexError
            If the index was never used, or is free.
        """
        count = self._store.stats().n_slots
        if not 0 <= _arrays.integer(index, "index", minimum=-(2**63)) < count:
            raise IndexError(f"index: expected at least 0 and below {count}, got {index}")
        if self._store.n_owners(index) == 0:
            raise IndexError(f"index: expected one with a vector, got {index}, which has been freed")
        vector: NDArray[np.float32] = self._store.get_slot(index).copy()
        return vector

    def get_vectors_by_indices(self, indices: Iterable[int]) -> NDArray[np.float32]:
        """Return copies of the vectors with some indices, shape (m, dimension); see :meth:`get_vector_by_index`."""
        vectors = [self.get_vector_by_index(index) for index in indices]
        return np.stack(vectors) if vectors else np.empty((0, self.dimension), np.float32)

    def get_all_vectors(self) -> NDArray[np.float32]:
        """Return copies of all vectors in the order of their indices, shape (count, dimension)."""
        return self.get_vectors_by_indices(sorted({slot for _, slot in self._store.items()}))

    # Numbers

    @property
    def store(self) -> VectorStore:
        """The underlying store."""
        return self._store

    @property
    def dimension(self) -> int:
        """Number of coordinates of a vector."""
        return self._store.dim

    @property
    def count(self) -> int:
        """Number of different vectors."""
        return self._store.n_unique

    @property
    def total_references(self) -> int:
        """Number of chunks."""
        return len(self._store)

    def get_statistics(self) -> dict[str, Any]:
        """Return the numbers of the store.

        They are ``unique_vectors``, ``total_references``, ``capacity``, ``utilization`` (unique vectors as a percentage
        of the capacity), ``free_indices``, ``dimension`` and ``storage_type``.
        """
        stats = self._store.stats()
        capacity = max(self._initial_capacity, stats.n_slots)
        return {
            "unique_vectors": stats.n_unique,
            "total_references": stats.n_ids,
            "capacity": capacity,
            "utilization": round(100 * stats.n_unique / capacity, 2),
            "free_indices": stats.n_free,
            "dimension": stats.dim,
            "storage_type": self._storage,
        }

    def stats(self) -> dict[str, Any]:
        """Return the same as :meth:`get_statistics`."""
        return self.get_statistics()

    def __len__(self) -> int:
        return self.count

    def __repr__(self) -> str:
        return (
            f"{self._name}(dimension={self.dimension}, vectors={self.count}, references={self.total_references}, "
            f"storage={self._storage})"
        )


class RustVectorStoreWrapper(VectorArena):
    """The store of arrwDB that was written in Rust. Chunks are known by the text of their ids.

    It has the parameters and methods of :class:`VectorArena`.
    """

    _name = "RustVectorStore"
    _in_memory = "rust-in-memory"

    def _key(self, chunk_id: Any) -> Id:
        if isinstance(chunk_id, uuid.UUID):
            return chunk_id
        text = str(chunk_id)
        found = as_uuid(text)
        # The store keeps a UUID in 16 bytes; only the usual form of its text means the same chunk.
        return found if found is not None and str(found) == text else text

    def get_statistics(self) -> dict[str, Any]:
        """Return the numbers of :meth:`VectorArena.get_statistics`, and the ``type``."""
        return {"type": "rust_vector_store", **super().get_statistics()}


def as_uuid(text: str) -> uuid.UUID | None:
    """Return the UUID of a text, or None if it is not a UUID."""
    try:
        return uuid.UUID(text)
    except ValueError:
        return None


def underlying(store: Any) -> VectorStore | None:
    """Return the :class:`covertreex.VectorStore` of a store; None for a store of another kind."""
    if isinstance(store, VectorArena):
        return store.store
    return store if isinstance(store, VectorStore) else None

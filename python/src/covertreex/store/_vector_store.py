"""Vectors by ids, in memory or on disk."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _arguments, _arrays, _calls, _files
from .._calls import ProgressReport
from .._capi import Owner, check, stores
from .._capi.stores import add_one, find_one
from . import _ids
from ._keys import LOW, NUMBERS, UUIDS, Id, decoded, keys_of, listed, names_of, packed

_SYNCS = ("full", "normal", "off")
_LISTED = 4096


@dataclass(frozen=True)
class StoreStats:
    """A store in numbers."""

    n_ids: int
    n_unique: int  #: vectors
    n_slots: int  #: with free ones
    n_free: int
    dim: int
    memory_bytes: int  #: without rows that are mapped from a file
    file_bytes: int  #: of the rows on disk; 0 in memory
    generation: int  #: changes that were committed to disk
    sync: str
    read_only: bool


class VectorStore(_calls.Closeable):
    """Vectors of float32, each kept once, by ids of int, ``str`` or ``uuid.UUID``.

    An int fits 64 bits; a ``str`` is any text that UTF-8 can hold. NumPy's integers and strings become Python's. Other
    objects are not ids, nor are booleans: TypeError. Several ids may be in any iterable: an array, a pandas Series, a
    generator; a set is an error if order matters. An unknown id is a KeyError, a slot that is free or does not exist an
    IndexError.

    Equal vectors (bit for bit, but for the sign of zeros) share a *slot*, a row that does not move while an id has it;
    it is used again when no id has it. Reads run in several threads at once, a change waits for them, and they for it.
    A change that fails has no effect. ``progress`` of all calls is as in :func:`covertreex.cover_tree`.

    Parameters
    ----------
    dim : int
        Coordinates of a vector.

    See Also
    --------
    VectorStore.open : a store on disk.
    """

    _noun = "store"
    _functions: ClassVar = stores

    def __init__(self, dim: int) -> None:
        super().__init__()
        self._begin(stores.create(_arrays.integer(dim, "dim", minimum=1)))

    @classmethod
    def open(
        cls,
        path: _files.PathLike,
        dim: int | None = None,
        *,
        sync: str = "full",
        read_only: bool = False,
        progress: ProgressReport | None = None,
    ) -> VectorStore:
        """Open a store in a folder, or make a new one.

        Parameters
        ----------
        path : path-like
            A folder with no other files.
        dim : int, optional
            Coordinates of a vector: required for a new store, checked for an existing one.
        sync : {"full", "normal", "off"}
            The failure that a change survives after it has returned. ``"full"``: a power failure. ``"normal"``: the end
            of the process; after a power failure the last changes may be missing, and the store is whole. ``"off"``:
            the end of the process; changes do not wait for the disk. With the others, all files are synced first.
        read_only : bool
            Whether to read only, so that another process may write. The next call sees its commits. Slots that it
            frees are not used again while there are readers.

        Raises
        ------
        OSError
            If files cannot be read or written.
        CoverTreeError
            If another process has the store open for writing, or files are damaged, or of another version or kind.
        """
        size = 0 if dim is None else _arrays.integer(dim, "dim", minimum=1)
        number = _SYNCS.index(_arguments.choice(sync, "sync", _SYNCS))
        store = cls._blank()
        path, threads = _arguments.path(path), _calls.threads(None)
        store._begin(stores.open(path, size, number, read_only=read_only, n_threads=threads, progress=progress))
        return store

    @classmethod
    def restore(
        cls,
        snapshot: _files.PathLike,
        path: _files.PathLike,
        *,
        sync: str = "full",
        progress: ProgressReport | None = None,
    ) -> VectorStore:
        """Make a store of a snapshot, at a free path, and open it."""
        _arguments.choice(sync, "sync", _SYNCS)
        from_path, to_path = _arguments.path(snapshot, "snapshot"), _arguments.path(path)
        stores.restore(from_path, to_path, n_threads=_calls.threads(None), progress=progress)
        return cls.open(path, sync=sync)

    def _begin(self, owner: Owner) -> None:
        self._adopt(owner)
        self._plain = stores.plain_handle(owner)
        #: All rows that have addresses. Rows of existing slots can be read.
        self._rows = stores.rows(owner)
        self._shape: tuple[int, ...] = self._rows.shape[1:]
        self._row_bytes = 4 * self.dim

    # Changes

    def add(self, id: Id, vector: ArrayLike) -> int:
        """Add a vector of shape (dim,), finite and converted to float32, under a new id, and return its slot."""
        # The usual ids, inlined: these lines take a microsecond, and calls would take another.
        if type(id) is _Uuid:
            key = (id.int | UUIDS).to_bytes(24, "little")
        elif type(id) is int and -(2**63) <= id < 2**63:
            key = (id & LOW | NUMBERS).to_bytes(24, "little")
        else:
            with _arguments.renamed(vectors="vector[]"):
                return int(self.add_batch([id], self._one(vector)[None])[0])
        # Making bytes takes a third of the time of an address from ctypes, and reading their length half the time.
        row = vector.tobytes() if type(vector) is _ARRAY and vector.dtype is _FLOAT and vector.ndim == 1 else b""
        if len(row) != self._row_bytes:
            row = self._one(vector).tobytes()
        slot = add_one(self._plain, key, row)
        if slot < 0:
            self._open()
            self._check(-slot, vectors="vector[]")
        return slot

    def _one(self, vector: ArrayLike) -> NDArray[np.float32]:
        given = _arrays.of_shape(vector, "vector", self._shape)
        with np.errstate(over="ignore"):  # overflow becomes infinite, and is refused as such
            return np.ascontiguousarray(given, np.float32)

    def add_batch(
        self, ids: Iterable[Id], vectors: ArrayLike, *, progress: ProgressReport | None = None
    ) -> NDArray[np.int64]:
        """Add vectors, shape (m, dim), under m new ids, all or none. Returns their slots, int64 of shape (m,)."""
        given = listed(ids)
        rows = _arrays.points(vectors, "vectors", dtype=_FLOAT)
        if len(given) != len(rows):
            raise ValueError(f"ids: expected one for each of {len(rows)} vectors, got {len(given)}")
        keys = keys_of(given)
        names, ends = names_of(given, keys)
        brief = len(rows) * max(self.dim, _LOOKED_UP) < _QUICK
        return self._call(stores.add, keys, names, ends, rows, progress=progress, brief=brief)

    def remove(self, id: Id) -> None:
        """Remove an id; the vector is removed with its last id. KeyError for an unknown id."""
        self.remove_batch([id])

    def remove_batch(self, ids: Iterable[Id]) -> None:
        """Remove ids, all or none. KeyError for an id that is unknown, or is given twice."""
        keys = keys_of(listed(ids, in_order=False))
        with _ids.missing():
            self._call(stores.remove, keys, brief=len(keys) * _LOOKED_UP < _QUICK)

    # Contents

    def slot(self, id: Id) -> int:
        """Return the slot of an id; KeyError for an unknown id."""
        slot = self._find(id)
        if slot < 0:
            raise KeyError(f"the store has no vector {id!r}")
        return slot

    def _find(self, id: Id) -> int:
        slot = find_one(self._plain, packed(id))
        if slot < -1:
            self._open()
            self._check(-slot)
        return slot

    def slots(self, ids: Iterable[Id]) -> NDArray[np.int64]:
        """Return the slot of each id; -1 for unknown ids."""
        return stores.find(self._open(), keys_of(listed(ids)))

    def _known_slots(self, ids: Iterable[Id]) -> NDArray[np.int64]:
        """The slot of each id; KeyError for one that is not there."""
        given = listed(ids)
        slots = self.slots(given)
        if slots.size and slots.min() < 0:
            unknown = int(slots.argmin())
            raise KeyError(f"ids: the store has no vector {_ids.builtin(given[unknown])!r}")
        return slots

    def contains(self, id: Any) -> bool:
        """Whether there is a vector with an id."""
        try:
            return self._find(id) >= 0
        except (TypeError, ValueError):  # no such id is there
            return False

    def __contains__(self, id: Any) -> bool:
        return self.contains(id)

    def get(self, id: Id) -> NDArray[np.float32]:
        """Return the vector of an id, shape (dim,): a read-only view of its slot. KeyError for an unknown id.

        The view stays valid when the store is closed. Its values change when the slot is used for another vector.
        """
        row: NDArray[np.float32] = self._rows[self.slot(id)]
        return row

    def get_slot(self, slot: int) -> NDArray[np.float32]:
        """Return the vector in a slot, shape (dim,): a read-only view. IndexError for a free slot."""
        number = _slot(slot)
        if self.n_owners(number) == 0:
            raise IndexError(f"slot: {number} is free")
        row: NDArray[np.float32] = self._rows[number]
        return row

    def n_owners(self, slot: int) -> int:
        """Return the number of ids of a slot; 0 for a free slot. IndexError for one that does not exist."""
        return stores.slot_count(self._open(), _slot(slot))

    def get_batch(self, slots: ArrayLike) -> NDArray[np.float32]:
        """Return the vectors in some slots, shape (m, dim): a view if the slots are consecutive, or else a copy.

        IndexError for a slot that is free, or does not exist.
        """
        wanted = self._in_use(slots)
        if wanted.size and (np.diff(wanted) == 1).all():
            view: NDArray[np.float32] = self._rows[wanted[0] : wanted[-1] + 1]
            return view
        return np.ascontiguousarray(self._rows[wanted])

    def _in_use(self, slots: ArrayLike) -> NDArray[np.int64]:
        """Slots as an array; IndexError where an id has no vector in one."""
        array = np.asarray(slots)
        if array.dtype.kind == "u" and array.size and array.max() >= 2**63:
            raise IndexError(f"slots: expected slots of the store, got {array.max()}")
        wanted = _arrays.copied_indices(array if array.size else _NONE, "slots")
        stores.check_slots(self._open(), wanted)
        return wanted

    def __len__(self) -> int:
        return int(self._info().n_ids)

    def __iter__(self) -> Iterator[Id]:
        """All ids."""
        for id, _ in self.items():
            yield id

    def items(self) -> Iterator[tuple[Id, int]]:
        """Iterate over ids and their slots. Ids that are added or removed during the iteration may be among them."""
        cursor = 0
        while True:
            cursor, found, slots = stores.list_ids(self._open(), cursor, _LISTED)
            if not len(found):
                return
            columns = (found[name].tolist() for name in ("low", "high", "kind"))
            for row, numbers in enumerate(zip(*columns)):
                one = decoded(*numbers)
                yield stores.name(self._open(), found[row : row + 1]).decode() if one is None else one, int(slots[row])

    @property
    def dim(self) -> int:
        """Coordinates of a vector."""
        return self._shape[0]

    @property
    def n_unique(self) -> int:
        """The number of vectors."""
        return int(self._info().n_unique)

    def stats(self) -> StoreStats:
        """Return counts, memory and the size of files."""
        info = self._info()
        numbers = _calls.numbers_of(StoreStats, info)
        numbers["sync"], numbers["read_only"] = _SYNCS[info.sync], bool(info.flags & stores.READ_ONLY)
        return StoreStats(**numbers)

    def __repr__(self) -> str:
        if self._handle is None:
            return "VectorStore(closed)"
        return f"VectorStore(n_ids={len(self)}, n_unique={self.n_unique}, dim={self.dim})"

    # Maintenance

    def snapshot(self, path: _files.PathLike, *, progress: ProgressReport | None = None) -> None:
        """Write a copy of the current store to a new folder. If it fails, there is no folder.

        Readers and the writer continue during the copy. The copy has the permissions of the store.
        """
        self._call(stores.snapshot, _arguments.path(path), progress=progress)

    def check(self, *, progress: ProgressReport | None = None) -> None:
        """Compare rows with their hashes and the catalogue with its checksums; CoverTreeError names a difference."""
        self._call(stores.verify, progress=progress)

    def compact(self, *, progress: ProgressReport | None = None) -> None:
        """Return the memory, or the disk space, of free rows to the system. Slots do not change.

        On disk, all changes survive a power failure afterwards, whatever ``sync`` is.
        """
        self._call(stores.compact, progress=progress)

    @staticmethod
    def _check(status: int, **names: str) -> None:
        with _ids.missing():
            check(status, **names)


_ARRAY, _FLOAT, _Uuid = np.ndarray, np.dtype(np.float32), uuid.UUID
_QUICK = 1 << 23  # coordinates
_LOOKED_UP = 1 << 12  # coordinates in the time of a look-up, where hashes of a hostile file are all the same
_NONE = np.empty(0, np.int64)


def _slot(slot: Any) -> int:
    try:
        return _arrays.integer(slot, "slot", minimum=0)
    except ValueError as error:
        raise IndexError(str(error)) from None

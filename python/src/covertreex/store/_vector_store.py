"""Vectors by ids, in memory or on disk."""

from __future__ import annotations

import ctypes
import hashlib
import operator
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Union

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _arguments, _arrays, _calls, _files, _native
from .._calls import ProgressReport
from .._native import lib
from . import _ids

__all__ = ["StoreStats", "VectorStore"]

Id = Union[int, str, uuid.UUID]

_SYNCS = ("full", "normal", "off")
_READ_ONLY = 1
_NUMBER, _UUID, _NAME = 1, 2, 3
_ID = np.dtype([("low", np.uint64), ("high", np.uint64), ("kind", np.uint32), ("reserved", np.uint32)])
_LOW = 2**64 - 1
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

    An int fits 64 bits; a ``str`` is any text that UTF-8 can hold. NumPy's integers and strings become Python's.
    Booleans, floats, bytes, tuples and None are not ids: TypeError. Several ids may be in any iterable: an array, a
    pandas Series or Index, a view of a dictionary, a generator; a set is an error if order matters. An unknown id is a
    KeyError, a slot that is free or does not exist an IndexError.

    Equal vectors (bit for bit, but for the sign of zeros) share a *slot*, a row that does not move while an id has it;
    it is used again when no id has it. Reads run in several threads at once, a change waits for them, and they for it.
    A change that fails has no effect.

    Parameters
    ----------
    dim : int
        Coordinates of a vector.

    See Also
    --------
    VectorStore.open : a store on disk.
    """

    _noun = "store"

    def __init__(self, dim: int) -> None:
        super().__init__()
        owner = _calls.Owner(lib.covertree_store_free)
        _native.check(lib.covertree_store_create(_arrays.integer(dim, "dim", minimum=1), owner.handle))
        self._begin(owner)

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
        progress : callable, optional
            Called with the share done; an exception that it raises ends the call.

        Raises
        ------
        OSError
            If files cannot be read or written.
        CoverTreeError
            If another process has the store open for writing; if files are damaged, of another version or of another
            kind.
        """
        size = 0 if dim is None else _arrays.integer(dim, "dim", minimum=1)
        _arguments.choice(sync, "sync", _SYNCS)
        store = cls.__new__(cls)
        _calls.Closeable.__init__(store)
        owner = _calls.Owner(lib.covertree_store_free)
        flags = _READ_ONLY if read_only else 0
        options = _calls.call_options(None)
        _native.run(
            lib.covertree_store_open, _files.encoded_path(path), size, _SYNCS.index(sync), flags, ctypes.byref(options),
            owner.handle, options=options, report=progress,
        )  # fmt: skip
        store._begin(owner)
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
        """Make a store of a snapshot, at a path where none is, and open it."""
        _arguments.choice(sync, "sync", _SYNCS)
        options = _calls.call_options(None)
        _native.run(
            lib.covertree_store_restore, _files.encoded_path(snapshot, "snapshot"), _files.encoded_path(path),
            ctypes.byref(options), options=options, report=progress,
        )  # fmt: skip
        return cls.open(path, sync=sync)

    def _begin(self, owner: _calls.Owner) -> None:
        self._take(owner)
        handle = owner.handle
        #: The handle as an argument that needs no conversion. It is a number: nothing is at that address.
        self._argument = ctypes.byref(ctypes.c_char.from_address(handle.value or 0))
        info = self._info()
        self._shape = (int(info.dim),)
        self._row_bytes = 4 * int(info.dim)
        rows = _calls.Owner(lib.covertree_store_rows_free)
        base, row_bytes = ctypes.c_void_p(), ctypes.c_int64()
        _native.check(lib.covertree_store_rows_get(handle, rows.handle, ctypes.byref(base), ctypes.byref(row_bytes)))
        #: All rows that there are addresses for; those of slots that there are can be read.
        self._rows = _arrays.view(
            rows, base.value, (int(info.n_reserved), int(info.dim)), np.float32, row_bytes=row_bytes.value,
        )  # fmt: skip

    # Changes

    def add(self, id: Id, vector: ArrayLike) -> int:
        """Add a vector under a new id.

        Parameters
        ----------
        id : int, str or uuid.UUID
            A new id.
        vector : array_like, shape (dim,)
            Finite; converted to float32.

        Returns
        -------
        int
            The slot of the vector.
        """
        # As they nearly always are: what follows takes a microsecond, and calls would take another.
        if type(id) is _Uuid:
            key = (id.int | _UUIDS).to_bytes(24, "little")
        elif type(id) is int and -(2**63) <= id < 2**63:
            key = (id & _LOW | _NUMBERS).to_bytes(24, "little")
        else:
            with _arguments.renamed(vectors="vector[]"):
                return int(self.add_batch([id], self._one(vector)[None])[0])
        # Bytes are made in a third of the time in which ctypes finds an address, and tell the length at half the price.
        row = vector.tobytes() if type(vector) is _ARRAY and vector.dtype is _FLOAT and vector.ndim == 1 else b""
        if len(row) != self._row_bytes:
            row = self._one(vector).tobytes()
        slot: int = _add_one(self._argument, key, row)
        if slot < 0:
            self._open()
            self._check(-slot, vectors="vector[]")
        return slot

    def _one(self, vector: ArrayLike) -> NDArray[np.float32]:
        given = _arrays.array_of(vector, "vector")
        _arrays.check_real(given, vector, "vector")
        if given.shape != self._shape:
            raise ValueError(f"vector: expected shape {self._shape}, got {given.shape}")
        with np.errstate(over="ignore"):  # what overflows becomes infinite, and is refused as such
            return np.ascontiguousarray(given, np.float32)

    def add_batch(
        self, ids: Iterable[Id], vectors: ArrayLike, *, progress: ProgressReport | None = None
    ) -> NDArray[np.int64]:
        """Add vectors under new ids, all or none.

        Parameters
        ----------
        ids : m ids in order
            None of which the store has, and none twice.
        vectors : array_like, shape (m, dim)
        progress : callable, optional
            Called with the share done; an exception that it raises ends the call.

        Returns
        -------
        numpy.ndarray of int64, shape (m,)
            The slots.
        """
        listed = _listed(ids)
        rows = _arrays.points(vectors, "vectors", dtype=_FLOAT)
        if len(listed) != len(rows):
            raise ValueError(f"ids: expected one for each of {len(rows)} vectors, got {len(listed)}")
        keys = _keys(listed)
        names, ends = _names(listed, keys)
        slots = np.empty(len(rows), np.int64)
        options = _calls.call_options(None)
        arguments = (
            self._open(), keys.ctypes.data, names, None if ends is None else ends.ctypes.data, _calls.matrix(rows),
            ctypes.byref(options), slots.ctypes.data,
        )  # fmt: skip
        self._run(lib.covertree_store_add, arguments, len(rows) * max(self.dim, _LOOKED_UP), options, progress)
        return slots

    def remove(self, id: Id) -> None:
        """Remove an id; the vector is removed with its last id. KeyError for an unknown id."""
        self.remove_batch([id])

    def remove_batch(self, ids: Iterable[Id]) -> None:
        """Remove ids, all or none. KeyError for an id that is unknown, or is given twice."""
        keys = _keys(_listed(ids, in_order=False))
        options = _calls.call_options(None)
        arguments = self._open(), keys.ctypes.data, len(keys), ctypes.byref(options)
        try:
            self._run(lib.covertree_store_remove, arguments, len(keys) * _LOOKED_UP, options, None)
        except IndexError as error:
            raise KeyError(str(error)) from None

    # Contents

    def slot(self, id: Id) -> int:
        """Return the slot of an id; KeyError for an unknown id."""
        slot = self._find(id)
        if slot < 0:
            raise KeyError(f"the store has no vector {id!r}")
        return slot

    def _find(self, id: Id) -> int:
        slot: int = _find_one(self._argument, _packed(id))
        if slot < -1:
            self._open()
            self._check(-slot)
        return slot

    def slots(self, ids: Iterable[Id]) -> NDArray[np.int64]:
        """Return the slot of each id; -1 for unknown ids."""
        keys = _keys(_listed(ids))
        slots = np.empty(len(keys), np.int64)
        _native.check(lib.covertree_store_find(self._open(), keys.ctypes.data, len(keys), slots.ctypes.data))
        return slots

    def _known_slots(self, ids: Iterable[Id]) -> NDArray[np.int64]:
        """The slot of each id; KeyError for one that is not there."""
        listed = _listed(ids)
        slots = self.slots(listed)
        if slots.size and slots.min() < 0:
            place = int(slots.argmin())
            raise KeyError(f"ids: the store has no vector {_ids.builtin(listed[place])!r}")
        return slots

    def contains(self, id: Any) -> bool:
        """Whether there is a vector with an id."""
        try:
            return self._find(id) >= 0
        except (TypeError, ValueError):  # what cannot be an id is not there
            return False

    def __contains__(self, id: Any) -> bool:
        return self.contains(id)

    def get(self, id: Id) -> NDArray[np.float32]:
        """Return the vector of an id, shape (dim,): a read-only view of its slot. KeyError for an unknown id.

        The view stays valid when the store is closed. Its values change when no id has the vector any more and the slot
        is used again; make a copy if you need them longer.
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
        count = ctypes.c_int64()
        _native.check(lib.covertree_store_slot_count(self._open(), _slot(slot), ctypes.byref(count)))
        return count.value

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
        _native.check(lib.covertree_store_check_slots(self._open(), wanted.ctypes.data, len(wanted)))
        return wanted

    def __len__(self) -> int:
        return int(self._info().n_ids)

    def __iter__(self) -> Iterator[Id]:
        """All ids."""
        for id, _ in self.items():
            yield id

    def items(self) -> Iterator[tuple[Id, int]]:
        """Iterate over ids and their slots. Ids that are added or removed during the iteration may be among them."""
        place, written = ctypes.c_int64(), ctypes.c_int64()
        ids, slots = np.empty(_LISTED, _ID), np.empty(_LISTED, np.int64)
        while True:
            arguments = ctypes.byref(place), _LISTED, ids.ctypes.data, slots.ctypes.data, ctypes.byref(written)
            _native.check(lib.covertree_store_list(self._open(), *arguments))
            if not written.value:
                return
            found = ids[: written.value]
            columns = (found[name].tolist() for name in ("low", "high", "kind"))
            for row, (low, high, kind) in enumerate(zip(*columns)):
                if kind == _NUMBER:
                    one: Id = low - 2**64 if low >= 2**63 else low
                elif kind == _UUID:
                    one = uuid.UUID(int=high << 64 | low)
                else:
                    one = self._name(found[row : row + 1])
                yield one, int(slots[row])

    def _name(self, key: NDArray[Any]) -> str:
        """The name that an id is a digest of."""
        length = ctypes.c_int64()
        _native.check(lib.covertree_store_name(self._open(), key.ctypes.data, None, 0, ctypes.byref(length)))
        text = ctypes.create_string_buffer(max(1, length.value))
        _native.check(lib.covertree_store_name(self._open(), key.ctypes.data, text, length.value, ctypes.byref(length)))
        return text.raw[: length.value].decode()

    @property
    def dim(self) -> int:
        """Coordinates of a vector."""
        return self._shape[0]

    @property
    def n_unique(self) -> int:
        """How many vectors there are."""
        return int(self._info().n_unique)

    def stats(self) -> StoreStats:
        """Return counts, memory and the size of files."""
        info = self._info()
        numbers = ("n_ids", "n_unique", "n_slots", "n_free", "dim", "memory_bytes", "file_bytes", "generation")
        return StoreStats(
            **{name: int(getattr(info, name)) for name in numbers},
            sync=_SYNCS[info.sync],
            read_only=bool(info.flags & _READ_ONLY),
        )

    def __repr__(self) -> str:
        if self._handle is None:
            return "VectorStore(closed)"
        return f"VectorStore(n_ids={len(self)}, n_unique={self.n_unique}, dim={self.dim})"

    # Maintenance

    def snapshot(self, path: _files.PathLike, *, progress: ProgressReport | None = None) -> None:
        """Write a copy of the current store to a new folder. If it fails, there is no folder.

        Readers and the writer continue during the copy. The copy has the permissions of the store.
        """
        self._maintain(lib.covertree_store_snapshot, progress, _files.encoded_path(path))

    def check(self, *, progress: ProgressReport | None = None) -> None:
        """Compare rows with their hashes and the catalogue with its checksums; CoverTreeError names a difference."""
        self._maintain(lib.covertree_store_check, progress)

    def compact(self, *, progress: ProgressReport | None = None) -> None:
        """Return the memory, or the disk space, of free rows to the system. Slots do not change.

        On disk, all changes survive a power failure afterwards, whatever ``sync`` is.
        """
        self._maintain(lib.covertree_store_compact, progress)

    def _maintain(self, function: Any, progress: ProgressReport | None, *arguments: Any) -> None:
        options = _calls.call_options(None)
        _native.run(function, self._open(), *arguments, ctypes.byref(options), options=options, report=progress)

    def _info(self) -> Any:
        info = _native.StoreInfo()
        _native.check(lib.covertree_store_get_info(self._open(), ctypes.byref(info)))
        return info

    def _run(
        self, function: Any, arguments: tuple[Any, ...], work: int, options: Any, progress: ProgressReport | None
    ) -> None:
        # What ends within milliseconds needs no thread that waits for interrupts.
        if progress is None and work < _QUICK:
            self._check(function(*arguments))
            return
        _native.run(function, *arguments, options=options, report=progress)

    @staticmethod
    def _check(status: int, **names: str) -> None:
        try:
            _native.check(status, **names)
        except IndexError as error:
            raise KeyError(str(error)) from None


_ARRAY, _FLOAT, _Uuid = np.ndarray, np.dtype(np.float32), uuid.UUID
_QUICK = 1 << 23  # coordinates
_LOOKED_UP = 1 << 12  # coordinates in the time of a look-up, where hashes of a hostile file are all the same
_NONE = np.empty(0, np.int64)
_int_of = operator.attrgetter("int")  # of a UUID: half the time of its `bytes`
# Calls of a microsecond notice how their arguments are converted: these take what needs no conversion.
_add_one, _find_one = lib["covertree_store_add_one"], lib["covertree_store_find_one"]
_add_one.restype = _find_one.restype = ctypes.c_int64
_NUMBERS, _UUIDS = _NUMBER << 128, _UUID << 128


def _packed(id: Id) -> bytes:
    """An id as the library has it: a covertree_id, as a number of 24 bytes."""
    if type(id) is int and -(2**63) <= id < 2**63:
        return (id & _LOW | _NUMBERS).to_bytes(24, "little")
    if type(id) is uuid.UUID:
        return (id.int | _UUIDS).to_bytes(24, "little")
    return _keys(_ids.gathered([id], _plain)).tobytes()


def _slot(slot: Any) -> int:
    try:
        return _arrays.integer(slot, "slot", minimum=0)
    except ValueError as error:
        raise IndexError(str(error)) from None


def _listed(ids: Any, *, in_order: bool = True) -> _ids.Given:
    if _ids.is_one(ids):
        raise TypeError(f"ids: expected a sequence of ids, got {ids!r}")
    return _ids.gathered(ids, _plain, in_order=in_order)


def _plain(one: Any, name: str) -> Id:
    """An id of a store as a plain int, str or UUID."""
    found = _ids.builtin(one)
    if type(found) in (int, str) or isinstance(found, uuid.UUID):
        return found  # type: ignore[no-any-return]
    raise TypeError(f"{name}: expected int, str or uuid.UUID, got {one!r}")


def _keys(ids: _ids.Given) -> NDArray[Any]:
    """Ids as the library has them."""
    keys = np.zeros(len(ids), _ID)
    if isinstance(ids, np.ndarray):
        keys["low"], keys["kind"] = ids.view(np.uint64), _NUMBER
        return keys
    kind = type(ids[0])
    if operator.countOf(map(type, ids), kind) != len(ids):
        kind = object  # of several kinds
    if kind is uuid.UUID:
        return _of_bytes(keys, _UUID, b"".join([number.to_bytes(16, "big") for number in map(_int_of, ids)]))
    if kind is str:
        return _of_bytes(keys, _NAME, b"".join([_digest(one) for one in ids]))
    for place, one in enumerate(ids):
        keys[place] = _key(one)
    return keys


def _of_bytes(keys: NDArray[Any], kind: int, joined: bytes) -> NDArray[Any]:
    halves = np.frombuffer(joined, ">u8").reshape(-1, 2)
    keys["high"], keys["low"], keys["kind"] = halves[:, 0], halves[:, 1], kind
    return keys


def _digest(name: str) -> bytes:
    try:
        return hashlib.blake2b(name.encode(), digest_size=16).digest()
    except UnicodeEncodeError:
        raise ValueError(f"ids: expected text that UTF-8 can hold, got {name!r}") from None


def _key(one: Id) -> tuple[int, int, int, int]:
    if isinstance(one, int):
        if not -(2**63) <= one < 2**63:
            raise ValueError(f"ids: {one} does not fit an int64")
        return one & _LOW, 0, _NUMBER, 0
    if isinstance(one, uuid.UUID):
        return one.int & _LOW, one.int >> 64, _UUID, 0
    digest = int.from_bytes(_digest(one), "big")
    return digest & _LOW, digest >> 64, _NAME, 0


def _names(ids: _ids.Given, keys: NDArray[Any]) -> tuple[bytes | None, NDArray[np.int64] | None]:
    """Names of the ids that have one, one after the other, and where each ends."""
    if not (keys["kind"] == _NAME).any():
        return None, None
    encoded = [one.encode() if isinstance(one, str) else b"" for one in ids]
    return b"".join(encoded), np.cumsum([len(one) for one in encoded], dtype=np.int64)

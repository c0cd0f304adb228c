"""Stores of vectors: ``covertree_store_*``."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from ctypes import byref, c_int64, c_void_p
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .calls import How, Unpack, call, made
from .library import check, lib, read
from .memory import Handle, Int64s, Owner, address, matrix, view
from .structs import StoreInfo

#: An id, as a covertree_id, and the kinds of ids.
ID = np.dtype([("low", np.uint64), ("high", np.uint64), ("kind", np.uint32), ("reserved", np.uint32)])
NUMBER, UUID, NAME = 1, 2, 3

READ_ONLY = 1


def create(dim: int) -> Owner:
    """Create a store in memory."""
    owner = Owner(lib.covertree_store_free)
    check(lib.covertree_store_create(dim, byref(owner.handle)))
    return owner


def open(path: str, dim: int, sync: int, *, read_only: bool, **how: Unpack[How]) -> Owner:
    """Open a store in a folder."""
    flags = READ_ONLY if read_only else 0
    return made(lib.covertree_store_open, lib.covertree_store_free, how, os.fsencode(path), dim, sync, flags)


def restore(snapshot: str, path: str, **how: Unpack[How]) -> None:
    """Make a store of a snapshot."""
    call(lib.covertree_store_restore, how, (os.fsencode(snapshot), os.fsencode(path)))


def add(
    store: Handle,
    ids: NDArray[Any],
    names: bytes | None,
    name_ends: Int64s | None,
    vectors: NDArray[np.float32],
    **how: Unpack[How],
) -> Int64s:
    """Add vectors under new ids, and return their slots."""
    slots = np.empty(len(vectors), np.int64)
    given = store, address(ids), names, address(name_ends), matrix(vectors)
    call(lib.covertree_store_add, how, given, address(slots))
    return slots


def remove(store: Handle, ids: NDArray[Any], **how: Unpack[How]) -> None:
    """Remove ids."""
    call(lib.covertree_store_remove, how, (store, address(ids), len(ids)))


# Calls of a microsecond notice how their arguments are converted. So these functions accept bare values: a
# handle out of `plain_handle`, and an id, or the coordinates of a vector, as bytes.


def plain_handle(store: Owner) -> Any:
    """The handle as an argument that needs no conversion. It is a number: nothing is at that address."""
    return byref(ctypes.c_char.from_address(store.handle.value or 0))


def _unconverted(name: str) -> Any:
    function = lib[name]  # another object than the attribute of this name, with no types of arguments
    function.restype = c_int64
    return function


#: Add one vector under an id without a name: its slot, or a negated status.
add_one: Callable[[Any, bytes, bytes], int] = _unconverted("covertree_store_add_one")
#: The slot of an id; -1 if the store does not have it; or a negated status, below that.
find_one: Callable[[Any, bytes], int] = _unconverted("covertree_store_find_one")


def find(store: Handle, ids: NDArray[Any]) -> Int64s:
    """The slot of each id; -1 for missing ids."""
    slots = np.empty(len(ids), np.int64)
    check(lib.covertree_store_find(store, address(ids), len(ids), address(slots)))
    return slots


def slot_count(store: Handle, slot: int) -> int:
    """The number of ids that have a slot."""
    count = c_int64()
    check(lib.covertree_store_slot_count(store, slot, byref(count)))
    return count.value


def check_slots(store: Handle, slots: Int64s) -> None:
    """Raise where a slot is free, or has never been."""
    check(lib.covertree_store_check_slots(store, address(slots), len(slots)))


def list_ids(store: Handle, cursor: int, capacity: int) -> tuple[int, NDArray[Any], Int64s]:
    """Some ids and their slots, none at the end, and the cursor of the next call. The first cursor is 0."""
    next_cursor, written = c_int64(cursor), c_int64()
    ids, slots = np.empty(capacity, ID), np.empty(capacity, np.int64)
    check(lib.covertree_store_list(store, byref(next_cursor), capacity, address(ids), address(slots), byref(written)))
    return next_cursor.value, ids[: written.value], slots[: written.value]


def name(store: Handle, id: NDArray[Any]) -> bytes:
    """The name of an id, which is an array of one."""
    length = c_int64()
    check(lib.covertree_store_name(store, address(id), None, 0, byref(length)))
    text = ctypes.create_string_buffer(max(1, length.value))
    check(lib.covertree_store_name(store, address(id), text, length.value, byref(length)))
    return text.raw[: length.value]


def rows(store: Owner) -> NDArray[np.float32]:
    """All rows that have addresses. Rows of existing slots can be read."""
    owner, info = Owner(lib.covertree_store_rows_free), get_info(store.handle)
    base, row_bytes = c_void_p(), c_int64()
    check(lib.covertree_store_rows_get(store.handle, byref(owner.handle), byref(base), byref(row_bytes)))
    shape = (int(info.n_reserved), int(info.dim))
    return view(owner, base.value, shape, np.float32, row_bytes=row_bytes.value)


def get_info(store: Handle) -> StoreInfo:
    """A store in numbers."""
    return read(lib.covertree_store_get_info, store, StoreInfo)


def snapshot(store: Handle, path: str, **how: Unpack[How]) -> None:
    """Copy a store to a folder that is not there."""
    call(lib.covertree_store_snapshot, how, (store, os.fsencode(path)))


def verify(store: Handle, **how: Unpack[How]) -> None:
    """Compare rows with their hashes, and the catalogue with its checksums."""
    call(lib.covertree_store_check, how, (store,))


def compact(store: Handle, **how: Unpack[How]) -> None:
    """Give the memory or the disk space of free rows back."""
    call(lib.covertree_store_compact, how, (store,))

"""Ids of a store as the library has them: numbers, UUIDs, and digests of names."""

from __future__ import annotations

import hashlib
import operator
import uuid
from typing import Any, Union

import numpy as np
from numpy.typing import NDArray

from .._capi.stores import ID, NAME, NUMBER, UUID
from . import _ids

Id = Union[int, str, uuid.UUID]

LOW = 2**64 - 1
# An id is a number of 24 bytes, whose third 8 bytes are the kind.
NUMBERS, UUIDS = NUMBER << 128, UUID << 128
_int_of = operator.attrgetter("int")  # of a UUID: half the time of its `bytes`


def packed(id: Id) -> bytes:
    """An id as the library has it: a covertree_id, as a number of 24 bytes."""
    if type(id) is int and -(2**63) <= id < 2**63:
        return (id & LOW | NUMBERS).to_bytes(24, "little")
    if type(id) is uuid.UUID:
        return (id.int | UUIDS).to_bytes(24, "little")
    return keys_of(_ids.gathered([id], _plain)).tobytes()


def listed(ids: Any, *, in_order: bool = True) -> _ids.Given:
    if _ids.is_one(ids):
        raise TypeError(f"ids: expected a sequence of ids, got {ids!r}")
    return _ids.gathered(ids, _plain, in_order=in_order)


def _plain(one: Any, name: str) -> Id:
    """An id of a store as a plain int, str or UUID."""
    found = _ids.builtin(one)
    if type(found) in (int, str) or isinstance(found, uuid.UUID):
        return found  # type: ignore[no-any-return]
    raise TypeError(f"{name}: expected int, str or uuid.UUID, got {one!r}")


def keys_of(ids: _ids.Given) -> NDArray[Any]:
    """Ids as the library has them."""
    keys = np.zeros(len(ids), ID)
    if isinstance(ids, np.ndarray):
        keys["low"], keys["kind"] = ids.view(np.uint64), NUMBER
        return keys
    kind = type(ids[0])
    if operator.countOf(map(type, ids), kind) != len(ids):
        kind = object  # of several kinds
    if kind is uuid.UUID:
        return _of_bytes(keys, UUID, b"".join([number.to_bytes(16, "big") for number in map(_int_of, ids)]))
    if kind is str:
        return _of_bytes(keys, NAME, b"".join([_digest(one) for one in ids]))
    for row, one in enumerate(ids):
        keys[row] = _key(one)
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
        return one & LOW, 0, NUMBER, 0
    if isinstance(one, uuid.UUID):
        return one.int & LOW, one.int >> 64, UUID, 0
    digest = int.from_bytes(_digest(one), "big")
    return digest & LOW, digest >> 64, NAME, 0


def names_of(ids: _ids.Given, keys: NDArray[Any]) -> tuple[bytes | None, NDArray[np.int64] | None]:
    """Names of the ids that have one, one after the other, and where each ends."""
    if not (keys["kind"] == NAME).any():
        return None, None
    encoded = [one.encode() if isinstance(one, str) else b"" for one in ids]
    return b"".join(encoded), np.cumsum([len(one) for one in encoded], dtype=np.int64)


def decoded(low: int, high: int, kind: int) -> Id | None:
    """The id that the library has; None for a name, of which it has a digest."""
    if kind == NUMBER:
        return low - 2**64 if low >= 2**63 else low
    return uuid.UUID(int=high << 64 | low) if kind == UUID else None

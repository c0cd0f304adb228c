"""Ids of vectors: int64 as the library has them, or anything hashable by a number in its stead."""

from __future__ import annotations

import contextlib
import itertools
import json
import numbers
import operator
import traceback
import uuid
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Union

import numpy as np
from numpy.typing import NDArray

from .._capi import check

# Ids in files: a type's name, to text and from it.
_WRITTEN: dict[str, tuple[type, Any, Any]] = {
    "str": (str, str, str),
    "uuid": (uuid.UUID, str, uuid.UUID),
    "int": (int, str, int),
    "bytes": (bytes, bytes.hex, bytes.fromhex),
}
# Sections of a file: ids as JSON, and their numbers; and the library's, of all vectors.
SECTIONS = ("covertreex.ids", "covertreex.keys")
NUMBERS = ("ids", "dead")

# Ids as calls get them: an array where all are int64, a list otherwise.
Given = Union[NDArray[np.int64], "list[Any]"]


@contextlib.contextmanager
def missing() -> Iterator[None]:
    """Raise KeyError for ids that are not there. The library's functions do not know them from other numbers."""
    try:
        yield
    except IndexError as error:
        *_, (frame, _) = traceback.walk_tb(error.__traceback__)
        if frame.f_code is not check.__code__:
            raise  # the caller's own, out of a report of progress or a handler of a signal
        raise KeyError(str(error)) from None


def is_one(ids: Any) -> bool:
    """True if this is one id, not several: text, bytes, and anything without iteration."""
    if isinstance(ids, (str, bytes, bytearray, np.generic)):
        return True
    if hasattr(ids, "__array__"):
        return np.ndim(ids) == 0
    return not isinstance(ids, Iterable)


def gathered(
    ids: Any, plain: Callable[[Any, str], Any] | None = None, *, name: str = "ids", in_order: bool = True
) -> Given:
    """One id or several in any iterable, as an array of int64 where all are such integers, or else as plain objects.

    ``plain`` makes a plain object of an id, or raises; by default it is :func:`hashable`. With ``in_order`` a set is
    refused, which has no order.
    """
    listed = _listed(ids, name, in_order)
    if isinstance(listed, np.ndarray):
        return listed
    if operator.countOf(map(type, listed), int) != len(listed):
        listed = [(plain or hashable)(one, name) for one in listed]
        if not all(type(one) is int for one in listed):
            return listed
    try:
        return np.array(listed, np.int64)
    except OverflowError:
        return listed


def _listed(ids: Any, name: str, in_order: bool) -> NDArray[np.int64] | list[Any]:
    if is_one(ids):
        return [ids[()] if isinstance(ids, np.ndarray) else ids]
    if in_order and isinstance(ids, (set, frozenset)):
        raise TypeError(f"{name}: expected a sequence, got a set, which has no order")
    if not hasattr(ids, "__array__"):
        return list(ids)
    array = np.asarray(ids)
    if array.ndim != 1:
        raise ValueError(f"{name}: expected one dimension, got shape {array.shape}")
    if array.dtype.kind == "i" or (array.dtype.kind == "u" and (not array.size or array.max() < 2**63)):
        return np.ascontiguousarray(array, np.int64)
    # `tolist` makes integers of dates.
    return list(array) if array.dtype.kind in "mM" else list(array.tolist())


def builtin(one: Any) -> Any:
    """An id of a subclass, or NumPy's, as a plain int, str or bytes; anything else unchanged."""
    if isinstance(one, np.ndarray) and one.ndim == 0:
        one = one[()]
    if isinstance(one, (int, np.integer)) and not isinstance(one, bool):
        return int(one)
    if isinstance(one, str):
        return str.__str__(one)
    return bytes(one) if isinstance(one, bytes) else one


def hashable(one: Any, name: str) -> Any:
    """An id of an index: an integer, text, or anything hashable that is not a number.

    Equal ids are the same id. So ``True`` and ``1.0``, which equal 1, are refused, as are values unequal to themselves.
    """
    one = builtin(one)
    if type(one) is int:
        return one
    try:
        hash(one)
        is_number = isinstance(one, (bool, np.bool_, numbers.Number))
        # A value that does not equal itself, as NaT, would never be found.
        is_id = one is not None and not is_number and bool(operator.eq(one, one))
    except (TypeError, ValueError):
        is_id = False
    if not is_id:
        raise TypeError(f"{name}: expected integers, text, or other hashable objects that are not numbers, got {one!r}")
    return one


class Integers:
    """Ids that are int64 already."""

    is_integral = True

    def found(self, ids: Given) -> NDArray[np.int64]:
        """Numbers of the ids that the library may have."""
        return ids if isinstance(ids, np.ndarray) else np.array([one for one in ids if _fits(one)], np.int64)

    def known(self, ids: Given, *, distinct: bool = False) -> NDArray[np.int64]:
        """Numbers of ids; the library says itself which it has not, or are there twice."""
        if isinstance(ids, np.ndarray):
            return ids
        one = next(one for one in ids if not _fits(one))
        raise KeyError(f"ids: the index has no vector {one!r}")

    def names(self, keys: NDArray[np.int64]) -> NDArray[Any]:
        return keys

    def accepting(self, ids: Given, present: Callable[[], NDArray[np.int64]]) -> Integers | Names:
        """These, or others that accept new ids, too; `present` gives those there are."""
        if isinstance(ids, np.ndarray):
            return self
        keys = present().tolist()
        return Names(keys, keys)

    def add(self, ids: Given) -> NDArray[np.int64]:
        assert isinstance(ids, np.ndarray)
        return ids

    def remove(self, keys: NDArray[np.int64]) -> None:
        pass

    def encoded(self) -> dict[str, NDArray[Any]]:
        return {}


class Names:
    """Ids of any hashable kind, each with a number that the library knows it by; ids that are gone are forgotten."""

    is_integral = False

    def __init__(self, keys: Iterable[int] = (), names: Iterable[Any] = ()) -> None:
        self._names: dict[int, Any] = dict(zip(keys, names))
        self._keys = {name: key for key, name in self._names.items()}
        largest = max(self._names, default=-1)
        # Numbers ascend, so that a search that runs during a removal does not find another id.
        self._next = largest + 1 if 0 <= largest < 2**62 else 0

    def found(self, ids: Given) -> NDArray[np.int64]:
        """Numbers of the ids that are there."""
        keys = (self._keys.get(one) for one in _plain_list(ids))
        return np.array([key for key in keys if key is not None], np.int64)

    def known(self, ids: Given, *, distinct: bool = False) -> NDArray[np.int64]:
        """Numbers of ids, all of which are there; with `distinct`, none of them twice."""
        listed = _plain_list(ids)
        for one in listed:
            if one not in self._keys:
                raise KeyError(f"ids: the index has no vector {one!r}")
        keys = np.array([self._keys[one] for one in listed], np.int64)
        order = np.argsort(keys, kind="stable")
        again = np.flatnonzero(np.diff(keys[order]) == 0)
        if distinct and len(again):
            raise ValueError(f"ids: expected distinct ids, got {listed[order[again[0] + 1]]!r} twice")
        return keys

    def names(self, keys: NDArray[np.int64]) -> NDArray[Any]:
        """Ids of numbers; None for others, as -1 is."""
        found = np.empty(keys.size, object)
        found[:] = list(map(self._names.get, keys.ravel().tolist()))
        return found.reshape(keys.shape)

    def accepting(self, ids: Given, present: Callable[[], NDArray[np.int64]]) -> Names:
        return self

    def add(self, ids: Given) -> NDArray[np.int64]:
        """Give new ids numbers, or raise and give none."""
        listed = _plain_list(ids)
        seen = set()
        for one in listed:
            if one in self._keys:
                raise ValueError(f"ids: the index already has a vector {one!r}")
            if one in seen:
                raise ValueError(f"ids: expected distinct ids, got {one!r} twice")
            seen.add(one)
        free = (key for key in itertools.count(self._next) if key not in self._names)
        keys = list(itertools.islice(free, len(listed)))
        self._names.update(zip(keys, listed))
        self._keys.update(zip(listed, keys))
        self._next = keys[-1] + 1 if keys else self._next
        return np.array(keys, np.int64)

    def remove(self, keys: NDArray[np.int64]) -> None:
        for key in keys.tolist():
            del self._keys[self._names.pop(key)]

    def encoded(self) -> dict[str, NDArray[Any]]:
        """The ids as sections of a file."""
        text = json.dumps([_written(name) for name in self._names.values()]).encode()
        arrays = np.frombuffer(text, np.uint8), np.array(list(self._names), np.int64)
        return dict(zip(SECTIONS, arrays)) if self._names else {}

    @classmethod
    def decoded(cls, sections: dict[str, NDArray[Any]]) -> Names:
        """Read what :meth:`encoded` wrote, and compare it with the library's numbers of the vectors."""
        try:
            names = [_read(entry) for entry in json.loads(sections[SECTIONS[0]].tobytes())]
            keys = sections[SECTIONS[1]].ravel().tolist()
            made = cls(keys, names)
            if not len(names) == len(keys) == len(made._names) == len(made._keys):
                raise ValueError("ids or numbers are there twice, or some are missing")
            numbers, dead = (sections[name].ravel() for name in NUMBERS)
            if not np.array_equal(np.sort(keys), np.sort(numbers[dead == 0])):
                raise ValueError("its numbers are not those of the vectors")
            return made
        except (ValueError, TypeError, KeyError, IndexError) as error:
            raise ValueError(f"{SECTIONS[0]}: this section of the file is damaged: {error}") from None


Ids = Union[Integers, Names]


def _fits(one: Any) -> bool:
    return type(one) is int and -(2**63) <= one < 2**63


def _plain_list(ids: Given) -> list[Any]:
    return list(ids.tolist()) if isinstance(ids, np.ndarray) else ids


def _written(name: Any) -> list[str]:
    for kind, (of, write, _) in _WRITTEN.items():
        if type(name) is of:
            return [kind, write(name)]
    raise TypeError(f"ids: str, int, bytes and uuid.UUID can be written to a file, got {name!r}")


def _read(entry: Any) -> Any:
    return _WRITTEN[entry[0]][2](entry[1])

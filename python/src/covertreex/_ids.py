"""Ids of vectors: int64 as the library has them, or anything hashable by a number that stands for it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _arrays

# What ids are written to files as: a type's name, to text and from it.
_WRITTEN: dict[str, tuple[type, Any, Any]] = {
    "str": (str, str, str),
    "uuid": (uuid.UUID, str, uuid.UUID),
    "int": (int, str, int),
    "bytes": (bytes, bytes.hex, bytes.fromhex),
}


def is_one(ids: Any) -> bool:
    """Whether this is one id, not several."""
    return not isinstance(ids, (list, tuple, set, frozenset, dict, range, np.ndarray)) or np.ndim(ids) == 0  # type: ignore[arg-type]


def as_integers(ids: Any) -> NDArray[np.int64] | None:
    """Ids as int64, or None where some are no integers."""
    if isinstance(ids, np.ndarray):
        return _arrays.indices(np.atleast_1d(ids), "ids") if ids.dtype.kind in "iu" else None
    listed = [ids] if is_one(ids) else list(ids)
    if not all(isinstance(one, (int, np.integer)) and not isinstance(one, bool) for one in listed):
        return None
    if not all(-(2**63) <= one < 2**63 for one in listed):
        return None
    return np.array(listed, np.int64)


class Integers:
    """Ids that are int64 already."""

    is_integral = True

    def keys(self, ids: Any) -> NDArray[np.int64]:
        """Numbers of ids that the library may or may not have."""
        found = as_integers(ids)
        if found is None:
            raise TypeError("ids: this index has integers of 64 bits as ids, got others")
        return found

    def known(self, ids: Any) -> NDArray[np.int64]:
        """Numbers of ids that the library is to have."""
        found = as_integers(ids)
        if found is None:
            raise KeyError(f"ids: the index has integers of 64 bits as ids, got {ids!r}")
        return found

    def names(self, keys: NDArray[np.int64]) -> NDArray[Any]:
        return keys

    def add(self, ids: Any) -> NDArray[np.int64]:
        return self.keys(ids)

    def remove(self, keys: NDArray[np.int64]) -> None:
        pass

    def encoded(self) -> dict[str, NDArray[Any]]:
        return {}


class Names:
    """Ids of any hashable kind, each with a number that the library knows it by."""

    is_integral = False

    def __init__(self, names: Sequence[Any] = ()) -> None:
        self._names: list[Any] = list(names)  # by number; None for those that are gone
        self._keys = {name: key for key, name in enumerate(self._names) if name is not None}

    @staticmethod
    def _listed(ids: Any) -> list[Any]:
        listed = [ids] if is_one(ids) else list(ids)
        for one in listed:
            if one is None or not isinstance(one, Hashable):
                raise TypeError(f"ids: expected something hashable, got {one!r}")
        return listed

    def keys(self, ids: Any) -> NDArray[np.int64]:
        """Numbers of ids; -1 for those that are not there."""
        return np.array([self._keys.get(one, -1) for one in self._listed(ids)], np.int64)

    def known(self, ids: Any) -> NDArray[np.int64]:
        """Numbers of ids, all of which are there."""
        listed = self._listed(ids)
        for one in listed:
            if one not in self._keys:
                raise KeyError(f"ids: the index has no vector {one!r}")
        return self.keys(listed)

    def names(self, keys: NDArray[np.int64]) -> NDArray[Any]:
        """Ids that numbers stand for; None for -1."""
        names = self._names
        found = np.empty(keys.size, object)
        found[:] = [names[key] if key >= 0 else None for key in keys.ravel().tolist()]
        return found.reshape(keys.shape)

    def add(self, ids: Any) -> NDArray[np.int64]:
        """Give new ids numbers."""
        listed = self._listed(ids)
        seen = set(listed)
        for one in listed:
            if one in self._keys:
                raise ValueError(f"ids: the index already has a vector {one!r}")
            if one not in seen:
                raise ValueError(f"ids: {one!r} is there twice")
            seen.discard(one)
        first = len(self._names)
        self._names.extend(listed)
        self._keys.update((name, first + place) for place, name in enumerate(listed))
        return np.arange(first, first + len(listed))

    def remove(self, keys: NDArray[np.int64]) -> None:
        for key in keys.tolist():
            del self._keys[self._names[key]]
            self._names[key] = None

    def encoded(self) -> dict[str, NDArray[Any]]:
        """The ids as a section of a file."""
        return {
            "covertreex.ids": np.frombuffer(json.dumps([_written(name) for name in self._names]).encode(), np.uint8)
        }

    @classmethod
    def decoded(cls, section: NDArray[np.uint8]) -> Names:
        try:
            return cls([_read(entry) for entry in json.loads(section.tobytes())])
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(f"covertreex.ids: this section of the file is damaged: {error}") from None


def _written(name: Any) -> list[str] | None:
    if name is None:
        return None
    for kind, (of, write, _) in _WRITTEN.items():
        if type(name) is of:
            return [kind, write(name)]
    raise TypeError(f"ids: str, int, bytes and uuid.UUID can be written to a file, got {name!r}")


def _read(entry: Any) -> Any:
    return None if entry is None else _WRITTEN[entry[0]][2](entry[1])

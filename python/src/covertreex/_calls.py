"""Common code of the calls of objects: handles, rows of queries, threads, and progress."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from types import ModuleType
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from . import _arguments, _arrays, _capi
from ._settings import active_config

# Searches and changes of fewer rows end too soon to be interrupted. So does a call that compares or moves fewer
# coordinates.
ROWS_WORTH_A_THREAD = 1000
COORDINATES_WORTH_A_THREAD = 1 << 27
# Building handles each coordinate some hundred times.
COORDINATES_WORTH_A_BUILD = 1 << 17

ProgressReport = _capi.ProgressReport
Self = TypeVar("Self", bound="Closeable")
Result = TypeVar("Result")


class Closeable:
    """Something that holds a handle of the library: a context manager that frees it when it is left."""

    _noun = "tree"  # in messages
    #: The functions of the binding for it.
    _functions: ClassVar[ModuleType]

    def __init__(self) -> None:
        self._handle: _capi.Handle | None = None
        self._owner: _capi.Owner | None = None

    @classmethod
    def _blank(cls: type[Self]) -> Self:
        """One without a handle; the rest of it is the caller's to set."""
        made = object.__new__(cls)
        Closeable.__init__(made)
        return made

    @classmethod
    def _holding(cls: type[Self], owner: _capi.Owner) -> Self:
        made = cls._blank()
        made._adopt(owner)
        return made

    def _adopt(self, owner: _capi.Owner) -> None:
        """Replace the handle. Calls that run on the old one end on it."""
        before = self._owner
        self._handle, self._owner = owner.handle, owner
        if before is not None:
            before.free()

    def _open(self) -> _capi.Handle:
        if self._handle is None:
            raise ValueError(f"{self._noun}: is closed")
        return self._handle

    def _call(
        self, function: Callable[..., Result], *arguments: Any, n_threads: int | None = None, **how: Any
    ) -> Result:
        """Call a function of the binding, with the threads of the call or of the settings."""
        return function(self._open(), *arguments, n_threads=threads(n_threads), **how)

    def _info(self) -> Any:
        return self._functions.get_info(self._open())

    def close(self) -> None:
        """Free the memory. Arrays that were exported stay valid."""
        if self._owner is not None:
            self._owner.free()
        self._handle = None

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def numbers_of(kind: Any, info: Any) -> dict[str, Any]:
    """The fields of a record of numbers that the library has in a struct."""
    return {one.name: getattr(info, one.name) for one in fields(kind) if hasattr(info, one.name)}


def query_rows(queries: ArrayLike | None, tree: Any, dtype: np.dtype[Any]) -> _capi.Rows:
    """Queries by their type: all points of a tree, dataset indices, or coordinates."""
    if queries is None:
        return len(tree)
    if type(queries) is np.ndarray and queries.ndim == 2 and queries.dtype is dtype and queries.flags.carray:
        return queries  # as they nearly always are
    array = _arrays.own_queries(queries, lambda: tree.dim)
    return array if _arrays.are_indices(array) else _arrays.queries(array, "queries", dtype)


def threads(n_threads: int | None) -> int:
    """Threads of a call: as it says, or as the active settings do; 0 for the library's own default."""
    if n_threads is None:
        return active_config().threads or 0
    return _arrays.integer(n_threads, "n_threads", minimum=1, maximum=1024)


def part(report: ProgressReport | None, start: float, end: float) -> ProgressReport | None:
    """A report for one part of a call, whose shares are those from ``start`` to ``end`` of the whole."""
    if report is None:
        return None
    whole = _arguments.function(report, "progress")
    return lambda share: whole(start + (end - start) * share)

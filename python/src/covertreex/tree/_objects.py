"""What trees of a caller's metric hold: rows of coordinates, numbers, or objects of any kind."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Union

import numpy as np
from numpy.typing import NDArray

from .. import _arguments, _arrays, _files, _frames
from .._capi.callbacks import compiled
from .._capi.memory import DTYPES, Float64s, Int64s, objects
from .._capi.structs import Matrix

#: Rows of a tree, or queries, as the library reads them.
Given = Union[NDArray[Any], Matrix]


class Vectors:
    """Rows of coordinates. The metric gets blocks, ``metric(X, Y)``, and gives distances of shape (len(X), len(Y))."""

    def __init__(self, metric: Callable[..., Any] | None, dtype: np.dtype[Any]) -> None:
        self._metric, self.dtype = metric, dtype

    def rows(self, values: Any, name: str) -> Given:
        return _arrays.points(values, name, dtype=self.dtype)

    def queries(self, values: Any) -> Given:
        return self.rows(values, "queries")

    def again(self, rows: NDArray[Any]) -> Any:
        """Points, as queries, from rows of the library."""
        return rows

    def check(self, file: _files.File, points: Any) -> None:
        """Raise where a file was saved from other points."""
        _files.check_rows(file, _arrays.points(points, "points", dtype=self.dtype))

    def distances(self, left: NDArray[Any], right: NDArray[Any]) -> Float64s:
        """The distances of pairs: a block for each row of ``left`` with those that follow each other."""
        assert self._metric is not None
        return _by_runs(self._metric, (left[1:] != left[:-1]).any(axis=1), left, right)


class Numbers:
    """Numbers that stand for objects of the caller. The metric gets pairs, ``metric(i, j)``, and gives (len(i),)."""

    dtype = np.dtype(np.int64)

    def __init__(self, metric: Callable[..., Any] | None) -> None:
        self._metric = metric

    def rows(self, values: Any, name: str) -> Given:
        numbers = _column(values)
        return _shown(_arrays.copied_indices(numbers, name))

    def queries(self, values: Any) -> Given:
        if np.ndim(values) != 2:
            raise ValueError("queries: expected dataset indices, or a column of numbers of objects, shape (q, 1)")
        return self.rows(values, "queries")

    def again(self, rows: NDArray[Any]) -> Any:
        return rows

    def check(self, file: _files.File, points: Any) -> None:
        numbers = _arrays.copied_indices(_column(points), "points")
        _files.check_rows(file, numbers[:, None].astype(np.float64))

    def distances(self, left: Int64s, right: Int64s) -> Float64s:
        assert self._metric is not None
        return _arrays.returned(self._metric(left, right), "metric", (len(left),))


class Objects:
    """Objects of any kind. The metric gets two lists, ``metric(X, Y)``, and gives shape (len(X), len(Y))."""

    dtype = np.dtype(np.int64)

    def __init__(self, metric: Callable[..., Any] | None, held: Mapping[int, Any] | None = None) -> None:
        if metric is None:
            raise TypeError("points: expected an array of numbers for a compiled metric, got other objects")
        self._metric = metric
        self._held: dict[int, Any] = dict(held or {})
        self._stored, self._guests = itertools.count(max(self._held, default=-1) + 1), itertools.count(-1, -1)

    @property
    def held(self) -> dict[int, Any]:
        """The objects of the tree, by their numbers."""
        return {number: one for number, one in dict(self._held).items() if number >= 0}

    def rows(self, values: Any, name: str) -> Given:
        return self._hold(_sequence(values, name), self._stored)

    def queries(self, values: Any) -> Given:
        """Queries are held as long as their matrix lives."""
        return self._hold(_sequence(values, "queries"), self._guests)

    def again(self, rows: NDArray[Any]) -> Any:
        return [self._held[number] for number in rows.reshape(-1).tolist()]

    def _hold(self, values: Sequence[Any], numbers: itertools.count[int]) -> Matrix:
        taken = list(itertools.islice(numbers, len(values)))
        self._held.update(zip(taken, values))
        shown = _shown(np.array(taken, np.int64))
        if numbers is self._guests:
            weakref.finalize(shown, self._forget, taken)
        return shown

    def _forget(self, numbers: list[int]) -> None:
        for number in numbers:
            self._held.pop(number, None)

    def distances(self, left: Int64s, right: Int64s) -> Float64s:
        def metric(x: Int64s, y: Int64s) -> Any:
            return self._metric([held[number] for number in x.tolist()], [held[number] for number in y.tolist()])

        held = self._held
        return _by_runs(metric, left[1:] != left[:-1], left, right)


Domain = Union[Vectors, Numbers, Objects]

#: A section of the files of trees whose points are neither rows of coordinates nor numbers of the caller.
KIND = "covertreex.objects"


def domain_of(points: Any, metric: Any, dtype: np.dtype[Any] | None) -> Domain:
    """The kind of some points, for a metric that is a Python function, or compiled."""
    known = compiled(metric)
    function = None if known is not None else _arguments.function(metric, "metric")
    if isinstance(points, range) or (isinstance(points, np.ndarray) and points.ndim == 1 and points.dtype.kind in "iu"):
        return Numbers(function)
    if known is not None:
        return Numbers(None) if known.dtype.kind == "i" else Vectors(None, known.dtype)
    if _are_vectors(points):
        array = _arrays.points(points, "points", dtype=dtype)
        return Vectors(function, array.dtype)
    return Objects(function)


def domain_of_file(file: _files.File, metric: Any, points: Any, held: Mapping[int, Any] | None = None) -> Domain:
    """The kind of the points of a file, of which ``held`` are the objects, by their numbers, or ``points`` are all."""
    if metric is None:
        raise ValueError("metric: expected the function of the tree, which is not in its file")
    known = compiled(metric)
    function = None if known is not None else _arguments.function(metric, "metric")
    settings = file.sections("settings").get("settings")
    if settings is None or settings.shape != (8,):
        settings = np.zeros(8, np.int64)  # which the library refuses
    if held is not None or file.shape(KIND) is not None:
        return Objects(function, _held(file, points, int(settings[1])) if held is None else held)
    dtype = DTYPES.get(int(settings[4]), np.dtype(np.float64))
    if known is not None and known.dtype != dtype:
        raise ValueError(f"metric: expected a function of {dtype} for this file, got one of {known.dtype}")
    domain = Numbers(function) if dtype.kind == "i" else Vectors(function, dtype)
    if points is not None:
        domain.check(file, points)
    return domain


def _held(file: _files.File, points: Any, n_given: int) -> dict[int, Any]:
    """The objects of a file by their numbers, from a list of all that the tree was given."""
    if points is None:
        raise ValueError("points: expected a list of the objects of the tree, which are not in its file")
    listed = _sequence(points, "points")
    if len(listed) != n_given:
        raise ValueError(f"points: expected {n_given} objects, one for each dataset index, got {len(listed)}")
    arrays = file.sections("objects", "order", "pivots.objects", "pivots.indices")
    pairs = itertools.chain(
        zip(arrays["objects"].tolist(), arrays["order"].tolist()),
        zip(arrays["pivots.objects"].tolist(), arrays["pivots.indices"].tolist()),
    )
    # The library checks the indices before it calls the metric.
    return {number: listed[index] for number, index in pairs if 0 <= index < n_given}


def _are_vectors(points: Any) -> bool:
    if isinstance(points, np.ndarray):
        return points.ndim == 2 and points.dtype.kind in "biuf"
    if _frames.is_table(points):
        return bool(np.ndim(points) == 2)
    if not isinstance(points, (list, tuple)):
        return hasattr(points, "__array__")
    try:
        array = np.asarray(points)
    except ValueError:  # of different lengths
        return False
    return array.ndim == 2 and array.dtype.kind in "biuf"


def _sequence(values: Any, name: str) -> Sequence[Any]:
    """A list of objects: not of numbers, which are dataset indices."""
    if isinstance(values, (str, bytes, dict)) or not hasattr(values, "__len__"):
        raise TypeError(f"{name}: expected a sequence of objects, got {_arguments.described(values)}")
    listed = list(values)
    if listed and all(isinstance(one, (int, np.integer)) for one in listed):
        raise TypeError(f"{name}: expected objects; integers are numbers of objects, in an array or a range")
    return listed


def _column(values: Any) -> Any:
    if isinstance(values, range):
        return np.arange(values.start, values.stop, values.step)
    array = _arrays.array_of(values, "points")
    return array.reshape(-1) if array.ndim == 2 and array.shape[1] == 1 else array


def _shown(numbers: Int64s) -> Matrix:
    shown = objects(numbers)
    shown.kept = numbers  # the array lives as long as its matrix
    return shown


def _by_runs(metric: Callable[..., Any], changes: NDArray[np.bool_], left: Any, right: Any) -> Float64s:
    """Call a function of blocks for each run of equal left rows."""
    ends = [*(np.flatnonzero(changes) + 1).tolist(), len(left)]
    found = np.empty(len(left))
    first = 0
    for end in ends:
        block = metric(left[first : first + 1], right[first:end])
        found[first:end] = _arrays.returned(block, "metric", (1, end - first))[0]
        first = end
    return found

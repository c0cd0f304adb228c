"""Points, exact searches among them, and their cover tree."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from .. import _arguments, _arrays, _calls, _engines, _files
from .._calls import ProgressReport
from .._capi import DTYPES, Rows, count, trees
from .._exports.tree_arrays import Neighbors, TreeArrays, show_arrays
from .._scores import largest_reported
from .._settings import active_config
from .._telemetry import recorded
from ._exported import arrays_of, state
from ._graphs import NeighborGraphs
from ._metric import is_transformed, metric_of, metric_of_sections
from ._options import checked_leaf_size, kept_dtype, kernels_for_numba, resolve_engine, set_metric, tree_options
from ._pairs import PairQuestions
from ._stats import CoverStats, TreeStats


class CoverTree(PairQuestions, NeighborGraphs):
    """Points, exact searches among them, and their compressed cover tree.

    For the parameters see :func:`covertreex.cover_tree`. Searches walk k-d trees. The cover tree is built when
    something asks for it: :meth:`export_arrays`, :meth:`validate`, ``stats().levels``, plots and the Numba kernels.

    Points are known by their *dataset index*: their row in ``points``, and onwards for batches inserted later. Every
    answer equals the answer of a brute force in float64, ties going to the lower index, for any number of threads.

    Searches may run in several threads at once, and during a change, which they do not see. Calls free the GIL, and
    Ctrl-C stops a long one. ``n_threads`` and ``progress`` of all calls are as for :func:`covertreex.cover_tree`. A
    tree is a context manager: leaving it, like :meth:`close`, frees the memory.
    """

    _functions: ClassVar = trees
    # The arrays of a state in another metric than plain Euclidean distance.
    _exported: tuple[tuple[int, int], TreeArrays] | None = None

    @recorded("build")
    def __init__(
        self,
        points: ArrayLike,
        *,
        metric: str = "euclidean",
        metric_params: Mapping[str, Any] | None = None,
        period: ArrayLike | None = None,
        engine: str | None = None,
        order: str | None = None,
        leaf_size: int | None = None,
        seed: int | None = None,
        dtype: DTypeLike | None = None,
        n_threads: int | None = None,
        progress: ProgressReport | None = None,
    ) -> None:
        super().__init__()
        self.engine, self.order = resolve_engine(engine, order)
        settings = active_config()
        kept = kept_dtype(settings.dtype if dtype is None else dtype)
        if is_transformed(metric):
            if kept == np.float32:
                raise ValueError(f"dtype: expected float64 for metric {metric!r}, got float32")
            kept = np.dtype(np.float64)
        points = _arrays.points(points, "points", dtype=kept)
        size = settings.leaf_size if leaf_size is None else leaf_size
        options = tree_options(
            self.order, (settings.seed or 0) if seed is None else seed, n_threads, leaf_size=checked_leaf_size(size)
        )
        self.dtype = self._dtype = points.dtype
        self._metric = metric_of(metric, metric_params, period, points.shape[1])
        if not self._metric.is_plain:
            set_metric(options, self._metric)
        brief = points.size < _calls.COORDINATES_WORTH_A_BUILD
        with _arguments.renamed(weights="w", periods="period"):
            self._adopt(trees.build(points, options, progress=progress, brief=brief))
        self._metric = self._metric.fitted(points)

    # Description

    @property
    def build_time(self) -> float:
        """Seconds of the last build, insertion or removal."""
        return float(self._info().total_seconds)

    @property
    def metric(self) -> str:
        """The name of the metric."""
        return self._metric.name

    @property
    def metric_params(self) -> dict[str, Any]:
        """Parameters of the metric."""
        return dict(self._metric.parameters)

    @property
    def period(self) -> NDArray[np.float64] | None:
        """The period of each coordinate, infinity without one; None if none has a period."""
        periods = self._metric.periods
        return None if periods is None else periods.copy()

    @property
    def indices(self) -> NDArray[np.int64]:
        """Dataset indices of the points, ascending; they are the rows of a search with ``queries=None``."""
        return self._indices()

    def _described(self) -> str:
        return f"dtype={self.dtype}, metric={self.metric!r}, order={self.order!r}"

    def stats(self) -> TreeStats:
        """Return memory, counts of searches, and the levels of the cover tree."""
        return TreeStats(**_calls.numbers_of(TreeStats, self._info()), _cover=self._cover_stats)

    def _cover_stats(self) -> CoverStats:
        arrays = show_arrays(self._call(trees.export))
        levels, counts = np.unique(arrays.levels, return_counts=True)
        histogram = {int(level): int(count) for level, count in zip(levels[::-1], counts[::-1])}
        duplicates = histogram.pop(int(np.iinfo(np.int32).min), 0)
        numbers = _calls.numbers_of(CoverStats, self._info())
        return CoverStats(n_duplicates=duplicates, levels=histogram, **numbers)

    def export_arrays(self, *, n_threads: int | None = None, progress: ProgressReport | None = None) -> TreeArrays:
        """Show the arrays of the compressed cover tree, without a copy.

        The cover tree is built if it is missing. Points that were inserted since it was built are inserted into it, as
        one batch. The arrays are read-only, later changes of the tree do not touch them, and they stay valid when it is
        closed.

        In another metric than plain Euclidean distance, they are made at the first call after a change, from all
        points; :class:`covertreex.TreeArrays` says how they are arranged.
        """
        if self._metric.is_plain:
            return show_arrays(self._call(trees.export, n_threads=n_threads, progress=progress))
        if self._exported is None or self._exported[0] != state(self):
            metric = self._metric.exported(self.dim)
            self._exported = arrays_of(self, metric, n_threads=n_threads, progress=progress)
        return self._exported[1]

    def validate(self, *, n_threads: int | None = None, progress: ProgressReport | None = None) -> bool:
        """Check every rule of the search structure and of the cover tree, which is built if it is missing.

        Of the cover tree: one root, covering, separation over the whole tree, duplicates, radii, order. Returns True.
        CoverTreeError where a rule is broken; the message names the first pair of points that breaks it.
        """
        self._call(trees.validate, n_threads=n_threads, progress=progress)
        return True

    def close(self) -> None:
        """Free the memory. Arrays that were exported stay valid."""
        super().close()
        self._exported = None

    # Changes

    @recorded("insert")
    def insert(
        self, points: ArrayLike, *, n_threads: int | None = None, progress: ProgressReport | None = None
    ) -> NDArray[np.int64]:
        """Add a batch of points, shape (m, dim), which are converted to the tree's dtype.

        Returns their dataset indices, int64 of shape (m,), which follow all that were given before.
        """
        array = _arrays.points(points, "points", dtype=self.dtype)
        brief = self._is_changed_briefly(len(array))
        first = self._call(trees.insert, array, n_threads=n_threads, progress=progress, brief=brief)
        return np.arange(first, first + len(array))

    @recorded("remove")
    def remove(
        self, indices: ArrayLike, *, n_threads: int | None = None, progress: ProgressReport | None = None
    ) -> None:
        """Remove points by their dataset indices: one, or m of them, no two the same. The others keep theirs.

        IndexError for an index that the tree does not have; nothing is removed then.
        """
        gone = _arrays.indices(indices, "indices", one=True)
        brief = self._is_changed_briefly(len(gone))
        self._call(trees.remove, gone, n_threads=n_threads, progress=progress, brief=brief)

    # Searches

    @recorded("knn")
    def knn(
        self,
        k: int | ArrayLike,
        *,
        queries: ArrayLike | None = None,
        return_distances: bool = False,
        predecessor_mode: bool = False,
        before: ArrayLike | None = None,
        exclude_self: bool = False,
        max_distance: float | ArrayLike | None = None,
        filter: ArrayLike | None = None,
        n_threads: int | None = None,
        progress: ProgressReport | None = None,
    ) -> Any:
        """Find the ``k`` nearest points of each query.

        Parameters
        ----------
        k : int or array_like of int, shape (m,)
            At least 1. It may exceed the number of points. A list has ranks from 1 up: ``[1, 3]`` is for the nearest
            and the third nearest point.
        queries : array_like, optional
            New points, floats of shape (q, dim), which are not rounded, or one of them, of shape (dim,); or points of
            the tree, integers of shape (q,) or, unless ``dim`` is 1, (q, 1): their dataset indices; or None for all
            points of the tree in the order of their indices.
        return_distances : bool
            Whether to return the distances too.
        predecessor_mode : bool
            Only points with a lower dataset index than the query's own. Not for new points.
        before : array_like of int, shape (q,), optional
            For each query: only points with a dataset index below this. ``predecessor_mode`` is the case
            ``before = queries``.
        exclude_self : bool
            Leave out the query itself, by its dataset index; its duplicates stay. Not for new points.
        max_distance : float or array_like, shape (q,), optional
            Nothing farther than this (inclusive): a neighbour counts if its distance is at most this, before or after
            it is rounded to the tree's dtype. An array has one number for each query.
        filter : array_like, optional
            Only points that it admits are found: booleans, one for each dataset index ever given, of which those of
            removed points are ignored; or integers, the dataset indices of admitted points. Queries by dataset index
            need not be admitted. Each call reads all of it, so it is for many queries.

        Returns
        -------
        indices : numpy.ndarray of int64, shape (q, k) or (q, m)
            Sorted by (distance, index); -1 if there are fewer than ``k``. For one point as a vector the shape is (k,)
            or (m,).
        distances : numpy.ndarray of that shape
            In the tree's dtype; infinity for missing neighbours. Only with ``return_distances``.
        """
        most, columns = _arrays.ranks(k)
        queries, is_vector = self._as_rows(queries)
        asked: dict[str, Any] = {
            "queries": queries, "n_threads": n_threads, "predecessor_mode": predecessor_mode, "before": before,
            "exclude_self": exclude_self, "max_distance": max_distance,
        }  # fmt: skip
        if self.engine == "hybrid":
            kernels = kernels_for_numba(filter=filter, max_distance=max_distance)
            shown = kernels.show_tree(self.export_arrays(n_threads=n_threads))
            found = kernels.tree_knn(shown, most, return_distances=return_distances, progress=progress, **asked)
            found = found if return_distances else (found,)
        else:
            rows, dtype, options = self._asked(filter=filter, **asked)
            indices, distances, _ = trees.knn(
                self._open(), rows, most, options, dtype=dtype if return_distances else None, progress=progress,
                **self._way(rows),
            )  # fmt: skip
            found = (indices,) if distances is None else (indices, distances.astype(self.dtype, copy=False))
        return _arrays.answers(found, columns, is_vector)

    @recorded("radius")
    def radius(
        self,
        r: float | ArrayLike,
        *,
        queries: ArrayLike | None = None,
        return_distances: bool = False,
        predecessor_mode: bool = False,
        exclude_self: bool = False,
        filter: ArrayLike | None = None,
        count_only: bool = False,
        n_threads: int | None = None,
        progress: ProgressReport | None = None,
    ) -> Any:
        """Find all points within a radius of each query; options are as in :meth:`knn`.

        Parameters
        ----------
        r : float or array_like, shape (q,)
            The radius, or one for each query, at least 0; inclusive, as ``max_distance`` of :meth:`knn` is.
        count_only : bool
            Only count them.

        Returns
        -------
        Neighbors or numpy.ndarray of int64, shape (q,)
            The counts with ``count_only``. For one point as a vector: its count, or the Neighbors of one query.
        """
        queries, is_vector = self._as_rows(queries)
        asked: dict[str, Any] = {
            "queries": queries, "n_threads": n_threads, "predecessor_mode": predecessor_mode,
            "exclude_self": exclude_self,
        }  # fmt: skip
        if self.engine == "hybrid":
            kernels = kernels_for_numba(filter=filter, r=r)
            shown = kernels.show_tree(self.export_arrays(n_threads=n_threads))
            wanted = {"return_distances": return_distances, "count_only": count_only, "progress": progress}
            found = kernels.tree_radius(shown, r, **wanted, **asked)
            return found[0] if count_only and is_vector else found
        reach, radii = (0.0, r) if _arguments.is_many(r) else (_arguments.number(r, "r"), None)
        rows, dtype, options = self._asked(filter=filter, radii=radii, **asked)
        if dtype is not self.dtype:
            reach = largest_reported(reach, self.dtype)
        handle, way = self._open(), self._way(rows)
        if count_only:
            counts = trees.radius_count(handle, rows, reach, options, progress=progress, **way)
            return counts[0] if is_vector else counts
        found = trees.radius(handle, rows, reach, options, progress=progress, **way)
        distances = found.distances.astype(self.dtype, copy=False) if return_distances else None
        return Neighbors(found.offsets, found.indices, distances)

    # Files

    @classmethod
    def _of_file(cls, file: _files.File, engine: str | None = None) -> CoverTree:
        tree = cls._holding(trees.load(file.owner))
        tree.engine, _ = resolve_engine(engine, None)
        sections = file.sections("settings", "metric")  # which the library has checked
        settings = sections["settings"]
        tree.order, tree._metric = _engines.ORDERS[settings[2]], metric_of_sections(settings, sections.get("metric"))
        tree.dtype = tree._dtype = DTYPES[int(settings[5])]
        return tree

    def _opening(self) -> tuple[Any, ...]:
        return (self.engine,)

    # Between the two languages

    def _indices(self, *, in_leaf_order: bool = False) -> NDArray[np.int64]:
        """Dataset indices of the points: ascending, or so that points that follow each other are near each other."""
        return trees.indices(self._open(), len(self), in_leaf_order=in_leaf_order)

    def _points(self, indices: NDArray[np.int64]) -> NDArray[Any]:
        """Coordinates of points by their dataset indices."""
        return self._call(trees.points, np.ascontiguousarray(indices, np.int64), self.dim, self.dtype)

    def _as_rows(self, queries: Any) -> tuple[Any, bool]:
        """Queries, and whether they are one point as a vector, which becomes a row."""
        return _arrays.as_rows(queries, lambda: self.dim)

    def _way(self, rows: Rows) -> dict[str, Any]:
        """How a search is called."""
        return {"brief": self._is_searched_briefly(rows)}

    def _is_searched_briefly(self, rows: Rows) -> bool:
        n_rows = count(rows)
        if n_rows < _calls.ROWS_WORTH_A_THREAD:
            return True
        info = self._info()
        return bool(n_rows * info.n_points * info.dim < _calls.COORDINATES_WORTH_A_THREAD)

    def _is_changed_briefly(self, n_rows: int) -> bool:
        # A change may move all points.
        if n_rows >= _calls.ROWS_WORTH_A_THREAD:
            return False
        info = self._info()
        return bool(info.n_points * info.dim < _calls.COORDINATES_WORTH_A_THREAD)

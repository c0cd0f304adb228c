"""Cover trees of any objects, by a metric of the caller."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from .. import _arguments, _arrays, _calls, _engines
from .._calls import ProgressReport
from .._capi import trees
from .._capi.callbacks import CallbackMetric, CompiledMetric, compiled
from .._capi.calls import search_options
from .._capi.memory import Rows, count
from .._exports.metric_arrays import FUNCTION
from .._exports.tree_arrays import TreeArrays, show_arrays
from .._settings import active_config
from .._telemetry import recorded
from ._cover_tree import CoverTree
from ._objects import Given, Vectors, domain_of
from ._options import kept_dtype, tree_options


class MetricTree(CoverTree):
    """A compressed cover tree of any objects, by a metric of your own, and exact searches in it.

    :func:`covertreex.cover_tree` makes one if ``metric`` is a function. The metric must be one: 0 from an object to
    itself, the same in both directions, and never longer than a way by a third object. If it is not, calls still end,
    but may miss neighbours; :meth:`validate` names objects that show it.

    Points are known by their dataset index, as in :class:`CoverTree`. Distances are float64. Evaluations of the metric
    are what a search costs: ``stats()`` has their number, ``distance_evaluations`` of the build, and
    ``points_compared`` of all searches.

    A Python function is called from one thread at a time. A compiled one is called from all threads.
    """

    @recorded("build")
    def __init__(
        self,
        points: Any,
        metric: Callable[..., Any] | CompiledMetric,
        *,
        order: str | None = None,
        seed: int | None = None,
        dtype: DTypeLike | None = None,
        n_threads: int | None = None,
        progress: ProgressReport | None = None,
    ) -> None:
        _calls.Closeable.__init__(self)
        settings = active_config()
        self.engine = "native"
        self.order = _engines.resolve("native", settings.order if order is None else order)[1]
        self.dtype = self._dtype = np.dtype(np.float64)
        self._function = metric
        kept = kept_dtype(settings.dtype if dtype is None else dtype)
        known = compiled(metric)
        self._domain = domain_of(points, known or metric, kept)
        self._callee = None if known else CallbackMetric(self._domain.distances, self._domain.dtype)
        self._seed = (settings.seed or 0) if seed is None else seed
        options = tree_options(self.order, self._seed, self._threads(n_threads))
        options.metric = trees.FUNCTION
        if self._callee is not None:
            self._callee.give(options)
        elif known is not None:
            trees.set_function(options, known.address)
        rows = self._domain.rows(points, "points")
        self._adopt(trees.build(rows, options, progress=progress, kernel=self._callee))

    @property
    def metric(self) -> Any:
        """The metric."""
        return self._function

    @property
    def metric_params(self) -> dict[str, Any]:
        """Parameters of the metric: a function has none."""
        return {}

    @property
    def period(self) -> None:
        """None: only metrics of the library have periods."""
        return

    def _described(self) -> str:
        name = getattr(self._function, "__name__", type(self._function).__name__)
        return f"metric={name}, order={self.order!r}"

    def insert(
        self, points: Any, *, n_threads: int | None = None, progress: ProgressReport | None = None
    ) -> NDArray[np.int64]:
        """Add a batch of objects of the same kind, and return their dataset indices, int64 of shape (m,)."""
        rows = self._domain.rows(points, "points")
        first = self._call(trees.insert, rows, n_threads=n_threads, progress=progress)
        return np.arange(first, first + _length(rows))

    def export_arrays(self, *, n_threads: int | None = None, progress: ProgressReport | None = None) -> TreeArrays:
        """Show the arrays of the cover tree. Its points are float64: coordinates, or numbers of objects."""
        arrays = show_arrays(self._call(trees.export, n_threads=n_threads, progress=progress))
        arrays.metric = FUNCTION
        return arrays

    def save(self, path: Any, *, progress: ProgressReport | None = None) -> None:
        """Refused: a function cannot be written to a file. Trees can be pickled, if the function can be."""
        super().save(path, progress=progress)

    # Between the two languages

    def _threads(self, n_threads: int | None) -> int | None:
        threads = _calls.threads(n_threads)
        return 1 if self._callee is not None else threads or None

    def _call(self, function: Callable[..., Any], *arguments: Any, n_threads: int | None = None, **how: Any) -> Any:
        if function in {trees.insert, trees.remove, trees.validate, trees.export}:
            how["kernel"] = self._callee
        return super()._call(function, *arguments, n_threads=self._threads(n_threads), **how)

    def _as_rows(self, queries: Any) -> tuple[Any, bool]:
        return queries, False  # a vector may be several objects

    def _way(self, rows: Rows) -> dict[str, Any]:
        return {"kernel": self._callee}

    def _asked(
        self,
        queries: Any,
        n_threads: int | None,
        *,
        predecessor_mode: bool,
        exclude_self: bool,
        before: ArrayLike | None = None,
        max_distance: Any = None,
        radii: Any = None,
        filter: Any = None,
    ) -> tuple[Any, np.dtype[Any], Any]:
        if filter is not None:
            raise ValueError("filter: expected None for a metric that is a function")
        if radii is not None:
            raise TypeError(f"r: expected a number for a metric that is a function, got {_arguments.described(radii)}")
        rows = self._query_rows(queries)
        if max_distance is not None:
            max_distance = _arguments.number(max_distance, "max_distance")
        upper = _arrays.upper_indices(before, _length(rows))
        threads = self._threads(n_threads) or 0
        return rows, self.dtype, search_options(threads, predecessor_mode, exclude_self, max_distance, upper)

    def _query_rows(self, queries: Any) -> Given | int:
        """Queries by their type: all points, dataset indices, or new objects."""
        if queries is None:
            return len(self)
        if isinstance(queries, range):
            queries = np.arange(queries.start, queries.stop, queries.step)
        if isinstance(queries, (list, tuple)) and queries and all(type(one) is int for one in queries):
            queries = np.array(queries)
        if isinstance(queries, np.ndarray) and queries.ndim == 1 and queries.dtype.kind in "iu":
            return _arrays.indices(queries, "queries")
        return self._domain.queries(queries)

    def _points(self, indices: NDArray[np.int64]) -> NDArray[Any]:
        if not isinstance(self._domain, Vectors):
            raise TypeError("points: objects of a metric have no coordinates")
        rows: NDArray[Any] = self._call(
            trees.points, np.ascontiguousarray(indices, np.int64), self.dim, self._domain.dtype
        )
        return rows

    def __reduce_ex__(self, protocol: Any) -> Any:
        info = self._info()
        if info.n_points != info.next_index:
            raise TypeError("tree: a tree of a function, from which points were removed, cannot be pickled or copied")
        rows = self._call(trees.points, np.arange(len(self)), info.dim, self._domain.dtype)
        held = self._domain.originals(rows)
        return _rebuilt, (held, self._function, self.order, self._seed)


def _rebuilt(points: Any, metric: Any, order: str, seed: int) -> MetricTree:
    dtype = points.dtype if isinstance(points, np.ndarray) and points.ndim == 2 else None
    return MetricTree(points, metric, order=order, seed=seed, dtype=dtype)


def _length(rows: Any) -> int:
    return rows.rows if hasattr(rows, "row_stride") else count(rows)

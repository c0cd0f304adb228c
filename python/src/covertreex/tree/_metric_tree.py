"""Cover trees of any objects, by a metric of the caller."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from .. import _arguments, _arrays, _calls, _engines, _files
from .._calls import ProgressReport
from .._capi import pairs, trees
from .._capi.callbacks import CallbackMetric, CompiledMetric, compiled
from .._capi.memory import Handle, Rows, count
from .._capi.structs import TreeOptions
from .._exports.metric_arrays import FUNCTION
from .._exports.tree_arrays import TreeArrays, show_arrays
from .._settings import active_config
from .._telemetry import recorded
from . import _metric_pairs
from ._cover_tree import CoverTree
from ._objects import KIND, Domain, Objects, Vectors, domain_of, domain_of_file
from ._options import kept_dtype, tree_options

# Functions of the library that call the metric.
_CALLING = {
    trees.insert, trees.remove, trees.validate, trees.export, pairs.within, pairs.counts, pairs.spanning_tree,
}  # fmt: skip


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
        self.order = _engines.resolve("native", settings.order if order is None else order)[1]
        kept = kept_dtype(settings.dtype if dtype is None else dtype)
        self._begin(metric, domain_of(points, compiled(metric) or metric, kept))
        seed = (settings.seed or 0) if seed is None else seed
        options = self._with_metric(tree_options(self.order, seed, self._threads(n_threads) or None))
        rows = self._domain.rows(points, "points")
        self._adopt(trees.build(rows, options, progress=progress, kernel=self._callee))

    def _begin(self, metric: Callable[..., Any] | CompiledMetric, domain: Domain) -> None:
        self.engine = "native"
        self.dtype = self._dtype = np.dtype(np.float64)
        self._function, self._domain = metric, domain
        self._callee = None if compiled(metric) else CallbackMetric(domain.distances, domain.dtype)

    def _with_metric(self, options: TreeOptions) -> TreeOptions:
        """Options of a build, or of a file that is opened, with the metric."""
        options.metric = trees.FUNCTION
        known = compiled(self._function)
        if self._callee is not None:
            self._callee.give(options)
        elif known is not None:
            trees.set_function(options, known.address)
        return options

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
        return np.arange(first, first + count(rows))

    def export_arrays(self, *, n_threads: int | None = None, progress: ProgressReport | None = None) -> TreeArrays:
        """Show the arrays of the cover tree. Its points are float64: coordinates, or numbers of objects."""
        arrays = show_arrays(self._call(trees.export, n_threads=n_threads, progress=progress))
        arrays.metric = FUNCTION
        return arrays

    # Files and copies

    def save(self, path: _files.PathLike, *, progress: ProgressReport | None = None) -> None:
        """Write the tree to a file in one step: an existing file is replaced when all is on the disk.

        The file has all of the structure, and rows of coordinates or numbers. It has neither the function nor objects
        of any other kind: ``covertreex.load(path, metric=function, points=objects)`` gets them again, and does not
        build the tree again. For the rest see :meth:`CoverTree.save`.
        """
        super().save(path, progress=progress)

    def _settings(self) -> dict[str, NDArray[Any]]:
        return {KIND: np.zeros(0, np.uint8)} if isinstance(self._domain, Objects) else {}

    @classmethod
    def _of_function(
        cls,
        file: _files.File,
        metric: Any,
        points: Any = None,
        progress: ProgressReport | None = None,
        held: Mapping[int, Any] | None = None,
    ) -> MetricTree:
        """The tree in a file, and its objects if it has some: ``points``, or ``held`` by their numbers."""
        tree = cls._blank()
        tree._begin(metric, domain_of_file(file, metric, points, held))
        options = tree._with_metric(tree_options("hilbert", 0, tree._threads(None) or None))
        tree._adopt(trees.load_function(file.owner, options, progress=progress, kernel=tree._callee))
        tree.order = _engines.ORDERS[tree._info().order]
        return tree

    def __reduce_ex__(self, protocol: Any) -> Any:
        held = self._domain.held if isinstance(self._domain, Objects) else None
        return _restored, (type(self), self._file().bytes, self._function, held)

    # Between the two languages

    def _threads(self, n_threads: int | None) -> int:
        threads = _calls.threads(n_threads)
        return 1 if self._callee is not None else threads

    def _call(self, function: Callable[..., Any], *arguments: Any, n_threads: int | None = None, **how: Any) -> Any:
        if function in _CALLING:
            how["kernel"] = self._callee
        return super()._call(function, *arguments, n_threads=self._threads(n_threads) or None, **how)

    def _as_rows(self, queries: Any) -> tuple[Any, bool]:
        return queries, False  # a vector may be several objects

    def _way(self, rows: Rows) -> dict[str, Any]:
        return {"kernel": self._callee}

    def _rows_of(self, queries: Any) -> tuple[Any, np.dtype[Any]]:
        """Queries by their type: all points, dataset indices, or new objects."""
        if queries is None:
            return len(self), self.dtype
        if isinstance(queries, range):
            queries = np.arange(queries.start, queries.stop, queries.step)
        if isinstance(queries, (list, tuple)) and queries and all(type(one) is int for one in queries):
            queries = np.array(queries)
        if isinstance(queries, np.ndarray) and queries.ndim == 1 and queries.dtype.kind in "iu":
            return _arrays.indices(queries, "queries"), self.dtype
        return self._domain.queries(queries), self.dtype

    def _points(self, indices: NDArray[np.int64]) -> NDArray[Any]:
        if not isinstance(self._domain, Vectors):
            raise TypeError("points: objects of a metric have no coordinates")
        return self._rows_at(indices)

    def _rows_at(self, indices: NDArray[np.int64]) -> NDArray[Any]:
        """Rows of the library: of coordinates, or numbers of objects."""
        asked = np.ascontiguousarray(indices, np.int64)
        rows: NDArray[Any] = self._call(trees.points, asked, self.dim, self._domain.dtype)
        return rows

    def _objects(self, indices: NDArray[np.int64]) -> Any:
        """Objects of the tree, as queries for another one."""
        return self._domain.again(self._rows_at(indices))

    # Pairs with another tree. The library knows whether two compiled metrics are one. Objects of two trees have no
    # numbers in common, so for a Python function it gets one of the trees.

    def _pairs(self, r: float, other: Any, *, distances: bool, **how: Any) -> pairs.Pairs:
        if other is None:
            return super()._pairs(r, None, distances=distances, **how)
        self._other(other)
        if self._callee is None and other is not self:
            return super()._pairs(r, other, distances=distances, **how)
        return _metric_pairs.within(self, other, r, distances=distances, **how)

    def _counts(self, radii: Any, other: Any, own: Any, others: Any, **how: Any) -> NDArray[Any]:
        if other is None or self._callee is None:
            return super()._counts(radii, other, own, others, **how)
        return _metric_pairs.counts(self, other, radii, own, others, **how)

    def _other(self, other: Any) -> Handle:
        if not isinstance(other, MetricTree):
            raise TypeError(f"other: expected a MetricTree, got {_arguments.described(other)}")
        handle = super()._other(other)
        if other._function != self._function:
            raise ValueError("other: expected a tree of the same metric")
        if type(other._domain) is not type(self._domain):
            raise ValueError("other: expected a tree of objects of the same kind")
        if other.dim != self.dim:
            raise ValueError(f"other: expected a tree of {self.dim} coordinates, got {other.dim}")
        if other._domain.dtype != self._domain.dtype:
            raise ValueError(f"other: expected points in {self._domain.dtype}, got {other._domain.dtype}")
        return handle


def _restored(
    kind: type[MetricTree], data: NDArray[np.uint8], metric: Any, held: Mapping[int, Any] | None
) -> MetricTree:
    return kind._of_function(_files.File.copy(data), metric, held=held)

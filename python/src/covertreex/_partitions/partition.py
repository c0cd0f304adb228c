"""One partition of the points, and its searches."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _calls
from .._capi import Float64s, Int64s, Rows, partitions, residuals, trees
from .._capi.calls import Wanted, search_options
from .._capi.structs import SearchOptions
from .._scores import largest_reported
from ..kernels import Stationary
from ..residual import ResidualTree
from ..tree import CoverTree
from .layout import Bounded, Extent, Layout
from .outline import Needs, Outline, PointOutline, outlines
from .queries import Answer, Nearest, Queries, Within


def places(indices: Int64s, wanted: Int64s) -> NDArray[np.intp]:
    """The places, among indices that ascend, of those wanted ones that are there."""
    found = np.searchsorted(indices, wanted)
    inside = found < len(indices)
    found = found[inside]
    there: NDArray[np.intp] = found[indices[found] == wanted[inside]]
    return there


class Partition:
    """Points of a dataset, which know their indices in it, and the tree of them."""

    def __init__(
        self, indices: Int64s, tree: CoverTree | ResidualTree, values: NDArray[np.float64] | None = None
    ) -> None:
        self.indices = indices  # ascending: so ties go to the lower one inside of the tree, too
        self.tree = tree
        #: (n, columns) what else is known of the points, in the order of the indices. It is not in files.
        self.values = values

    def __len__(self) -> int:
        return len(self.indices)

    def __sizeof__(self) -> int:
        of_values = 0 if self.values is None else self.values.nbytes
        return self.indices.nbytes + of_values + int(self.tree._info().memory_bytes)

    def points(self, local: NDArray[Any] | slice = slice(None)) -> NDArray[Any]:
        """Coordinates by ascending dataset index: of all points, or of some by their position in it."""
        if isinstance(self.tree, ResidualTree):
            return self.tree._coords[local]
        return self.tree._points(np.arange(len(self))[local])

    def __reduce__(self) -> Any:
        return Partition, (np.array(self.indices), self.tree, self.values)

    def extent(self, n_points: int | None = None) -> Extent:
        """The extent of the points, of ``n_points`` in all partitions."""
        points = self.points()
        low, high = points.min(axis=0).astype(np.float64), points.max(axis=0).astype(np.float64)
        center = low / 2 + high / 2
        square = np.zeros(len(points))
        for d in range(points.shape[1]):
            square += (points[:, d].astype(np.float64) - center[d]) ** 2
        known, lengthscale = None, None
        if isinstance(self.tree, ResidualTree):
            kernel = self.tree.kernel
            if self.tree._is_spatial and isinstance(kernel, Stationary):
                lengthscale = np.broadcast_to(np.asarray(kernel.lengthscale, np.float64), low.shape)
            else:
                known = outlines(self.tree, self.indices, len(self) if n_points is None else n_points)
        radius = float(np.sqrt(square.max()))
        return Extent(low, high, center, radius, len(self), int(self.indices[0]), known, lengthscale)

    def own(self, some: Int64s | slice = slice(None)) -> Queries:
        """Points of the partition as queries, by ascending index: of some dataset indices, or a slice of near ones."""
        tree, features = self.tree, None
        if isinstance(some, slice):
            if isinstance(tree, ResidualTree):
                near = tree._model().arrays["block_order"]
            else:
                near = tree._indices(in_leaf_order=True)
            local = np.sort(near[some])
        else:
            local = places(self.indices, some)
        if isinstance(tree, ResidualTree):
            shown = tree._model().arrays
            positions, columns = shown["block_places"][local], tree.stats().n_features
            v = np.ascontiguousarray(shown["v_matrix"][positions, :columns])
            features = (v, np.ascontiguousarray(shown["residual_variance"][positions]))
        own = self.indices[local]
        return Queries(rows=own, points=self.points(local), own=own, features=features)

    def near(self, queries: Queries, layout: Layout, number: int, limits: Float64s) -> Iterator[Bounded]:
        """The partitions that can have anything for points of this one, which has a number: as :meth:`Layout.near`."""
        if isinstance(self.tree, ResidualTree) and layout.lengthscale is None:
            assert queries.own is not None
            assert queries.features is not None
            tree, local, own = self.tree, np.searchsorted(self.indices, queries.own), layout.outlines[number]
            points, features = np.ascontiguousarray(queries.points, np.float64), queries.features
            positions = tree._model().arrays["block_places"][local].astype(np.int64)

            def of_points(outline: PointOutline, needs: Needs) -> Float64s:
                if not isinstance(own, PointOutline):
                    return outline.largest(points, features, needs)
                rho = outline.largest_of(own, positions, needs)
                # The few that are left have an error of their own in this bound, and none in the other one.
                left = np.flatnonzero(rho >= needs.least)
                if len(left):
                    some = features[0][left], features[1][left]
                    rho[left] = np.minimum(rho[left], outline.largest(points[left], some, needs.some(left)))
                return rho

            def of_groups(outline: Outline) -> Float64s:
                return outline.largest_of(tree, local)

            return layout.outlined(of_groups, of_points, queries.before, limits, number)
        return layout.bounded(queries.points, limits)

    # Searches

    def nearest(self, queries: Queries, k: int, *, exclude_self: bool = False, n_threads: int | None = None) -> Nearest:
        """The ``k`` nearest of the partition's points to each query, within its limit."""
        handle, options = self.tree._open(), self._options(queries, exclude_self, n_threads)
        brief = len(queries) < _calls.ROWS_WORTH_A_THREAD
        wanted: Wanted = {"dtype": self._compared(queries), "scores": True, "brief": brief}
        if isinstance(self.tree, CoverTree):
            found = trees.knn(handle, self._rows(queries), k, options, **wanted)
        elif queries.own is not None:
            found = residuals.knn(handle, self._rows(queries), k, options, **wanted)
        else:
            assert queries.features is not None
            points, given = np.ascontiguousarray(queries.points, np.float64), residuals.GivenFeatures(*queries.features)
            found = partitions.residual_knn_given(handle, points, given, k, options, **wanted)
        indices, distances, scores = found
        assert distances is not None and scores is not None
        indices[:] = np.where(indices < 0, -1, self.indices[indices])
        return Nearest(indices, distances.astype(self.tree._dtype, copy=False), scores)

    def answer(self, queries: Queries, k: int, *, exclude_self: bool = False, n_threads: int | None = None) -> Answer:
        """The same, of those queries alone for which the partition has something."""
        found = self.nearest(queries, k, exclude_self=exclude_self, n_threads=n_threads)
        asked = np.flatnonzero(found.indices[:, 0] >= 0)
        return Answer(asked, found if len(asked) == len(queries) else found.each(operator.itemgetter(asked)))

    def within(
        self, queries: Queries, radius: float, *, exclude_self: bool = False, n_threads: int | None = None
    ) -> Within:
        """All of the partition's points within a radius of each query."""
        dtype, options = self.tree._dtype, self._options(queries, exclude_self, n_threads, list_scores=True)
        if self._compared(queries) != dtype:
            radius = largest_reported(radius, dtype)
        brief = len(queries) < _calls.ROWS_WORTH_A_THREAD
        found = trees.radius(self.tree._open(), self._rows(queries), radius, options, brief=brief)
        distances = found.distances.astype(dtype)
        return Within(np.array(found.offsets), self.indices[found.indices], distances, np.array(found.scores))

    def _compared(self, queries: Queries) -> np.dtype[Any]:
        """The type in which queries are compared with the points."""
        dtype = self.tree._dtype
        return dtype if queries.own is not None else np.promote_types(dtype, queries.points.dtype)

    def _rows(self, queries: Queries) -> Rows:
        """Queries as arguments of the library's search."""
        given = queries.points if queries.own is None else np.searchsorted(self.indices, queries.own)
        return _calls.query_rows(given, self.tree, self.tree._dtype)

    def _options(
        self, queries: Queries, exclude_self: bool, n_threads: int | None, *, list_scores: bool = False
    ) -> SearchOptions:
        before = None if queries.before is None else np.searchsorted(self.indices, queries.before).astype(np.int64)
        limits = None if queries.limits is None else np.ascontiguousarray(queries.limits)
        return search_options(
            _calls.threads(n_threads), exclude_self=exclude_self and queries.own is not None, before=before,
            limits=limits, list_scores=list_scores,
        )  # fmt: skip

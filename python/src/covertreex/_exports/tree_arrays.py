"""Neighbours of a radius search, and the arrays of a cover tree, as the library exports them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._arrays import read_only
from .._capi import Owner, trees
from .metric_arrays import MetricArrays, coordinates, radii


class Neighbors(NamedTuple):
    """Neighbours within a radius, as lists of their own lengths (CSR).

    Those of query ``i`` are at ``offsets[i]:offsets[i + 1]``, sorted by (distance, index).
    """

    offsets: NDArray[np.int64]
    indices: NDArray[np.int64]
    distances: NDArray[Any] | None


class _TreeArrays(NamedTuple):
    points: NDArray[Any]  #: (n, dim) in the tree's dtype
    order: NDArray[np.int32]  #: (n,) dataset index of each node
    levels: NDArray[np.int32]  #: (n,) cover radius 2**level; the lowest int32 for a duplicate of its parent
    parents: NDArray[np.int32]  #: (n,) -1 for the root
    children_offsets: NDArray[np.int32]  #: (n + 1,) into `children`
    children: NDArray[np.int32]  #: (n - 1,)
    radius: NDArray[Any]  #: (n,) the largest distance to a descendant, rounded up, in the tree's dtype
    subtree_end: NDArray[np.int32]  #: (n,) the subtree of t is t:subtree_end[t]
    subtree_min: NDArray[np.int32]  #: (n,) the smallest dataset index in the subtree
    subtree_max: NDArray[np.int32]  #: (n,) the largest
    removed: NDArray[np.uint8] | None  #: (n,) 1 for removed points; None if there are no such points


class TreeArrays(_TreeArrays):
    """The arrays of a tree of ``n`` nodes: read-only, 64-byte aligned, not copied, and alive as long as any of them is.

    Node ``t`` is the ``t``-th in depth-first order; node 0 is the root. Attributes are the arrays, as a named tuple.

    A tree in another metric than plain Euclidean distance is arranged by the Euclidean distance between coordinates
    that :class:`covertreex.tree.MetricArrays` describes. Levels and duplicates are of this distance. So are the radii,
    but for norms and periodic boxes, whose radii are of the metric itself. Such arrays are made for the export, and not
    aligned. ``points`` are as they were given, or moved into the periodic box.
    """

    metric: MetricArrays | None = None  #: None for plain Euclidean distance, and for residual correlations

    _owner: Owner | None = None
    # Whether the tree has changed, if the arrays are not the library's own.
    _has_changed: Callable[[], bool] | None = None
    _arranged: NDArray[Any] | None = None
    # What kernels for Numba make of the arrays.
    _shown: Any = None

    @property
    def arrangement(self) -> NDArray[Any]:
        """(n, columns) the coordinates by which the tree is arranged; see :class:`covertreex.tree.MetricArrays`."""
        if self.metric is None or self.metric.name == "function":
            return self.points
        if self._arranged is None:
            self._arranged = read_only(coordinates(self.metric, self.points))
        return self._arranged

    @property
    def stale(self) -> bool:
        """True if the tree has been changed or closed since: then these are its earlier arrays."""
        if self._has_changed is not None:
            return self._has_changed()
        return self._owner is not None and not trees.arrays_are_current(self._owner)

    def __getstate__(self) -> dict[str, Any]:
        # A pickle has arrays of its own: no tree can make them stale.
        return {name: value for name, value in vars(self).items() if not name.startswith("_")}


def show_arrays(owner: Owner) -> TreeArrays:
    """Show arrays that the library exported."""
    exported = TreeArrays(**trees.arrays_get(owner))
    exported._owner = owner
    return exported


def arrays_in_metric(
    metric: MetricArrays, arranged: TreeArrays, indices: NDArray[np.int64], points: NDArray[Any]
) -> TreeArrays:
    """The arrays of a tree in a metric.

    ``arranged`` are those of the coordinates of ``points``, whose ascending dataset indices are ``indices``.
    """
    given = read_only(points[arranged.order])
    radius = arranged.radius
    if metric.is_norm:
        radius = radii(metric, given, arranged.parents, arranged.subtree_end)
    # The order of indices is that of rows.
    labels = indices.astype(np.int32)
    changed = {name: read_only(labels[getattr(arranged, name)]) for name in ("order", "subtree_min", "subtree_max")}
    arrays = TreeArrays(*arranged._replace(points=given, radius=radius, **changed))
    arrays.metric, arrays._arranged = metric, arranged.points
    return arrays

"""The arrays of trees in other metrics than plain Euclidean distance, for which the library has no cover tree.

They are those of the cover tree of coordinates by which a tree in the metric can be arranged.
"""

from __future__ import annotations

import weakref
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .. import _calls
from .._capi import trees
from .._exports.metric_arrays import MetricArrays, coordinates
from .._exports.tree_arrays import TreeArrays, arrays_in_metric, show_arrays
from ._options import tree_options


class _Tree(Protocol):
    order: str
    _handle: Any

    @property
    def dim(self) -> int: ...

    def _info(self) -> Any: ...

    def _indices(self) -> NDArray[np.int64]: ...

    def _points(self, indices: NDArray[np.int64]) -> NDArray[Any]: ...


def state(tree: _Tree) -> tuple[int, int]:
    """Numbers that no two states of a tree have in common: it only loses points until it is given others."""
    info = tree._info()
    return int(info.next_index), int(info.n_points)


def arrays_of(
    tree: _Tree, metric: MetricArrays, *, n_threads: int | None, progress: _calls.ProgressReport | None
) -> tuple[tuple[int, int], TreeArrays]:
    """The state of a tree, and its arrays."""
    known, indices, points = _points(tree)
    removed = None
    if not len(indices):
        # A tree has a node. This one stands for no point, and is at a place of which every metric has a distance.
        indices, points, removed = np.zeros(1, np.int64), np.ones((1, tree.dim), points.dtype), np.ones(1, np.uint8)
    options = tree_options(tree.order, 0, n_threads)
    built = trees.build(np.ascontiguousarray(coordinates(metric, points)), options, progress=progress)
    arranged = show_arrays(trees.export(built.handle, n_threads=_calls.threads(n_threads)))
    built.free()
    arrays = arrays_in_metric(metric, arranged._replace(removed=removed), indices, points)
    reference = weakref.ref(tree)

    def has_changed() -> bool:
        one = reference()
        return one is None or one._handle is None or state(one) != known

    arrays._has_changed = has_changed
    return known, arrays


def _points(tree: _Tree) -> tuple[tuple[int, int], NDArray[np.int64], NDArray[Any]]:
    """The points of one state of a tree, which other threads may change."""
    while True:
        known = state(tree)
        try:
            indices = tree._indices()
            points = tree._points(indices)
        except Exception:
            if state(tree) == known:
                raise
            continue
        if state(tree) == known:
            return known, indices, points

"""Kernels for Numba that walk a tree's exported arrays in place, callable from your own jitted code.

:func:`as_numba` gives a tree in the form that kernels read. :func:`nearest` and :func:`within` search a tree for one
query, without an allocation if its metric is plain Euclidean distance, and :func:`residual_nearest` searches a residual
tree. :func:`knn` and :func:`radius` run them for many queries, in threads. Answers are the same as the library's:
distances are computed in float64 step by step as there, and ties go to the lower dataset index.

:func:`metric` goes the other way: it compiles a metric of your own for the library.

Trees that are made with ``engine="hybrid"`` search by these kernels themselves.
"""

from __future__ import annotations

import warnings
from typing import Any, overload

from numpy.typing import ArrayLike

from . import _arguments, _arrays, _calls
from ._exports.residual_arrays import ResidualArrays
from ._exports.tree_arrays import TreeArrays
from ._jit.common import NO_EXCLUSION, NO_LIMIT, squared_distance
from ._jit.metrics import metric
from ._jit.residual import NumbaResidualTree, residual_distance, show_model
from ._jit.residual_queries import residual_knn
from ._jit.skeletons import Workspace, residual_nearest, workspace
from ._jit.spaces import NumbaMetric
from ._jit.tree_queries import tree_knn, tree_radius
from ._jit.walk import NumbaTree, nearest, show_tree, within
from .residual import ResidualTree
from .tree import CoverTree

__all__ = [
    "NO_EXCLUSION", "NO_LIMIT", "NumbaMetric", "NumbaResidualTree", "NumbaTree", "Workspace", "as_numba", "knn",
    "metric", "nearest", "radius", "residual_distance", "residual_nearest", "squared_distance", "within", "workspace",
]  # fmt: skip


@overload
def as_numba(tree: ResidualTree | ResidualArrays) -> NumbaResidualTree: ...  # type: ignore[overload-overlap]


@overload
def as_numba(tree: CoverTree | TreeArrays) -> NumbaTree: ...


def as_numba(tree: Any) -> Any:
    """Return the arrays of a tree in the form that the kernels read.

    Parameters
    ----------
    tree : CoverTree, TreeArrays, ResidualTree or ResidualArrays
        A tree in any metric of the library, or the result of its ``export_arrays()``. If the tree has changed since
        then, there is a warning.

    Returns
    -------
    NumbaTree or NumbaResidualTree
        It keeps the memory alive, whatever becomes of the tree.
    """
    if isinstance(tree, ResidualTree):
        return show_model(tree._model().arrays)
    _arguments.instance(tree, "tree", (CoverTree, TreeArrays, ResidualTree))
    arrays = tree if isinstance(tree, TreeArrays) else tree.export_arrays()
    if arrays.stale:
        warnings.warn("tree: it has changed since these arrays were exported", stacklevel=2)
    return show_model(vars(arrays)) if isinstance(arrays, ResidualArrays) else show_tree(arrays)


def knn(
    tree: CoverTree | NumbaTree | ResidualTree,
    k: int,
    *,
    queries: ArrayLike | None = None,
    return_distances: bool = False,
    predecessor_mode: bool = False,
    before: ArrayLike | None = None,
    exclude_self: bool = False,
    max_distance: float | None = None,
    n_threads: int | None = None,
    progress: _calls.ProgressReport | None = None,
) -> Any:
    """Find the ``k`` nearest points of each query: :meth:`covertreex.CoverTree.knn` or ``ResidualTree.knn`` by kernels.

    Kernels are compiled at the first call and kept on disk. Residual trees of more than 65 536 points, those without
    skeletons, and new points are compared by their features, without skeletons: exact, and slow.
    """
    k = _arrays.integer(k, "k", minimum=1)
    options: dict[str, Any] = {
        "queries": queries, "return_distances": return_distances, "predecessor_mode": predecessor_mode,
        "before": before, "exclude_self": exclude_self, "max_distance": max_distance, "n_threads": n_threads,
        "progress": progress,
    }  # fmt: skip
    if not isinstance(tree, ResidualTree):
        return tree_knn(_shown(tree), k, **options)
    return residual_knn(tree, k, **options)


def _shown(tree: Any) -> NumbaTree:
    """A tree in the form that kernels read."""
    if isinstance(tree, NumbaTree):
        return tree
    return as_numba(_arguments.instance(tree, "tree", (CoverTree,)))


def radius(
    tree: CoverTree | NumbaTree,
    r: float,
    *,
    queries: ArrayLike | None = None,
    return_distances: bool = False,
    predecessor_mode: bool = False,
    exclude_self: bool = False,
    count_only: bool = False,
    n_threads: int | None = None,
    progress: _calls.ProgressReport | None = None,
) -> Any:
    """Find all points within a radius of each query: :meth:`covertreex.CoverTree.radius` by :func:`within`."""
    return tree_radius(
        _shown(tree), r, queries=queries, return_distances=return_distances, predecessor_mode=predecessor_mode,
        exclude_self=exclude_self, count_only=count_only, n_threads=n_threads, progress=progress,
    )  # fmt: skip

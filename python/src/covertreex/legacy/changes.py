"""Building and changing trees that do not change: each step gives another one."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _arrays, factory
from ..residual import ResidualTree
from ..tree import CoverTree
from . import metrics
from .backend import TreeBackend
from .host_data import Indices
from .trees import PCCTree, Recipe, Searcher


def rows(points: Any) -> NDArray[Any]:
    """Points as rows: a single one may be of shape (dim,), or a number."""
    array = np.asarray(points)
    if array.ndim == 0:
        return array.reshape(1, 1)
    if array.ndim == 1:
        return array[None] if array.size else array.reshape(0, 0)
    return array


def batch_rows(batch_points: Any, backend: TreeBackend) -> NDArray[Any]:
    """The points of a batch as finite rows of a backend's type."""
    given = rows(batch_points)
    if not len(given):
        return np.empty(given.shape, backend.default_float)
    array = _arrays.points(given, "batch_points", dtype=np.dtype(backend.default_float))
    _arrays.check_finite(array, "batch_points")
    return array


def built(tree: PCCTree, points: NDArray[Any]) -> PCCTree:
    """A tree of points instead of an empty one, made by its recipe."""
    native = _native(points, tree.recipe)
    return PCCTree.of(native, tree.stats.after(inserted=len(native)), tree.backend, tree.recipe)


def _native(points: NDArray[Any], recipe: Recipe) -> Searcher:
    options = recipe.options
    data = options.get("data")
    if data is not None:
        found: Searcher = data.tree(**{name: value for name, value in options.items() if name != "data"})
        return found
    if recipe.is_lite:
        points = lite_rows(points, "points")
    tree: Searcher = factory.cover_tree(points, **{"metric": "auto", **options})
    return tree


def lite_rows(points: NDArray[Any], name: str) -> NDArray[np.float64]:
    """Rows whose squared Euclidean distance is twice one less their correlation."""
    units = metrics.unit_rows(points)
    flat = np.flatnonzero(~units.any(axis=1))
    if len(flat):
        raise ValueError(f"{name}[{flat[0]}]: expected coordinates that differ, as a correlation needs them")
    return units


def extended(tree: PCCTree, points: NDArray[Any]) -> PCCTree:
    """A tree with points more, whose dataset indices follow those there are; a copy of it changes."""
    if tree.is_empty():
        return built(tree, points)
    native = copy.copy(tree.native)
    if len(points):
        native.insert(lite_rows(points, "points") if tree.recipe.is_lite else points)
    return PCCTree.of(native, tree.stats.after(inserted=len(points)), tree.backend, tree.recipe)


def indices_in(tree: PCCTree, given: ArrayLike) -> Indices:
    """Dataset indices to remove, ascending: all exist, and no two are the same."""
    array = np.atleast_1d(np.asarray(given))
    if array.size and array.dtype.kind not in "iu":
        raise TypeError(f"indices: expected integers, got dtype {array.dtype}")
    indices = np.sort(array.reshape(-1).astype(np.int64))
    n = tree.num_points
    for index in indices[(indices < 0) | (indices >= n)][:1]:
        raise ValueError(f"indices: expected 0 to {n - 1}, got {index}")
    for index in indices[1:][np.diff(indices) == 0][:1]:
        raise ValueError(f"indices: expected no two the same, got {index} twice")
    return indices


def descendants(tree: PCCTree, removed: Indices) -> Indices:
    """Nodes below some nodes that are not among these themselves, ascending."""
    n = tree.num_points
    below, above = np.zeros(n + 1, bool), np.append(np.asarray(tree.parents, np.int64), -1)
    below[removed] = True
    # Each round looks twice as far up. The last entry, with index -1, is above all roots.
    for _ in range(n.bit_length()):
        below |= below[above]
        above = np.where(above >= 0, above[above], -1)
    below[removed] = False
    return np.flatnonzero(below[:n])


def remaining(tree: PCCTree, removed: Indices) -> tuple[Indices, Indices]:
    """Old numbers of the nodes that remain, in the order of the new ones.

    As in covertreex 0.4.x: first nodes without a removed ancestor, ascending, then the others, by level and number.
    """
    below = descendants(tree, removed)
    levels = np.asarray(tree.top_levels, np.int64)[below]
    stayed = np.setdiff1d(np.arange(tree.num_points), np.concatenate([removed, below]))
    return stayed, below[np.lexsort((below, levels))]


def reduced(tree: PCCTree, removed: Indices) -> PCCTree:
    """The tree of the remaining points, renumbered from 0 in the order of :func:`remaining`."""
    if not len(removed):
        return tree
    kept = np.concatenate(remaining(tree, removed))
    stats = tree.stats.after(deleted=len(removed))
    if not len(kept):
        return PCCTree.empty(dimension=tree.dimension, backend=tree.backend).replace(stats=stats)
    native = tree.native
    if isinstance(native, ResidualTree):
        return PCCTree.of(_residual_of(native, kept), stats, tree.backend, tree.recipe)
    options = {name: value for name, value in tree.recipe.options.items() if name != "metric"}
    options = {"dtype": native.dtype, "order": native.order, **options}
    return PCCTree.of(CoverTree(tree.points[kept], **options), stats, tree.backend, tree.recipe)


def _residual_of(native: ResidualTree, kept: Indices) -> ResidualTree:
    """Some points of a residual tree, with the inducing points that it has."""
    if native.inducing_points is None:
        raise TypeError("delete: points cannot be removed from a residual tree whose v_matrix was given")
    return ResidualTree(
        native._coords[kept], kernel=native.kernel, inducing_points=native.inducing_points,
        jitter=native.stats().jitter, cover_tree_metric=native.cover_tree_metric, engine=native.engine,
        order=native.order, seed=native.seed,
    )  # fmt: skip

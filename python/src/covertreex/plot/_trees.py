"""Pictures of trees, conditioning sets and correlations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PatchCollection
from matplotlib.patches import Circle
from numpy.typing import ArrayLike

from .. import _arguments, _arrays
from .._capi import callbacks
from ..kernels import scaled
from ..residual import ResidualTree
from ..tree import CoverTree, TreeArrays
from ..vecchia import ConditioningSets
from ._panels import NEAR, QUIET, SELF, in_the_plane, panel, panels

_DUPLICATE = int(np.iinfo(np.int32).min)


def _arrays_of(tree: CoverTree | ResidualTree) -> TreeArrays:
    """The arrays of a cover tree whose levels are distances in the metric of the tree."""
    arrays = _arguments.instance(tree, "tree", (CoverTree, ResidualTree)).export_arrays()
    if arrays.metric is not None and arrays.metric.name != "function":
        raise ValueError(f"metric: expected plain Euclidean distance or a function, got {arrays.metric.name!r}")
    return arrays


def levels(tree: CoverTree | ResidualTree, *, ax: Axes | None = None) -> Axes:
    """Draw how many nodes each level of a cover tree has.

    Parameters
    ----------
    tree : CoverTree or ResidualTree
        Of the latter, the cover tree that it exports.
    ax : matplotlib.axes.Axes, optional
        Where to.
    """
    of_nodes = _arrays_of(tree).levels
    ax = panel(ax)
    found, counts = np.unique(of_nodes[of_nodes != _DUPLICATE], return_counts=True)
    ax.bar(found, counts, color=NEAR)
    ax.invert_xaxis()  # the root first
    duplicates = len(of_nodes) - int(counts.sum())
    title = f"{len(of_nodes):,} nodes" + (f", {duplicates:,} of them duplicates" if duplicates else "")
    ax.set(yscale="log", xlabel="level: nodes cover what is within 2**level", ylabel="nodes", title=title)
    ax.set_ylim(0.8, None)
    return ax


def tree(tree: CoverTree | ResidualTree, *, n_levels: int = 4, axes: Sequence[Axes] | None = None) -> list[Axes]:
    """Draw a cover tree level by level: nodes, the balls that they cover, and the edges to their parents.

    Points of more than two dimensions are projected onto the two in which they vary most; balls are drawn in two only.

    Parameters
    ----------
    tree : CoverTree or ResidualTree
        Of the latter, the cover tree that it exports.
    n_levels : int
        Levels to draw, from the highest that has more than one node.
    axes : sequence of matplotlib.axes.Axes, optional
        Where to, one for each level.
    """
    n_levels = _arrays.integer(n_levels, "n_levels", minimum=1)
    arrays = _arrays_of(tree)
    locations, of_nodes = in_the_plane(np.asarray(arrays.points, float)), arrays.levels
    there = np.unique(of_nodes[of_nodes != _DUPLICATE])[::-1]
    shown = there[1 : 1 + n_levels] if len(there) > 1 else there
    axes = panels(axes, len(shown), (3.4 * len(shown), 3.6))
    has_balls = arrays.points.shape[1] <= 2 and not isinstance(tree, ResidualTree)
    for ax, level in zip(axes, shown):
        nodes = np.flatnonzero(of_nodes >= level)
        new = nodes[of_nodes[nodes] == level]
        ax.scatter(*locations.T, s=4, color=QUIET, linewidths=0)
        if has_balls:
            balls = [Circle(center, 2.0**level) for center in locations[nodes]]
            ax.add_collection(PatchCollection(balls, facecolor=NEAR, alpha=0.08, edgecolor=NEAR, linewidth=0.5))
        parents = arrays.parents[new]
        edges = np.stack([locations[new[parents >= 0]], locations[parents[parents >= 0]]], axis=1)
        ax.add_collection(LineCollection(list(edges), colors=SELF, linewidths=0.6))
        ax.scatter(*locations[nodes].T, s=12, color=NEAR, linewidths=0)
        ax.set_aspect("equal", adjustable="datalim")
        ax.set(xticks=[], yticks=[])
        ax.set_title(f"level {level}: {len(new):,} of {len(nodes):,} nodes", fontsize=9)
    return axes


def conditioning_set(points: ArrayLike, sets: ConditioningSets, rank: int, *, ax: Axes | None = None) -> Axes:
    """Draw a point, the points before it, and its conditioning set among them, on their map.

    Parameters
    ----------
    points : array_like, shape (n, dim)
        The points that the sets were found for. Of more than two dimensions, the two in which they vary most are drawn.
    sets : covertreex.vecchia.ConditioningSets
        The result of :func:`covertreex.vecchia.neighbors`.
    rank : int
        The point, by its position in the order.
    """
    _arguments.instance(sets, "sets", (ConditioningSets,))
    ax = panel(ax)
    locations = in_the_plane(_arrays.points(points, "points", dtype=np.dtype(np.float64)))
    n = len(sets.order)
    if len(locations) != n:
        raise ValueError(f"points: expected {n} points, as the sets have, got {len(locations)}")
    rank = _arrays.integer(rank, "rank", minimum=0, maximum=n - 1)
    neighbors = sets.neighbors[rank]
    neighbors = neighbors[neighbors >= 0]
    ordered = locations[sets.order]
    ax.scatter(*ordered[rank + 1 :].T, s=3, color=QUIET, alpha=0.5, linewidths=0, label="after it")
    ax.scatter(*ordered[:rank].T, s=6, color="#7b8794", linewidths=0, label="before it")
    ax.scatter(*ordered[neighbors].T, s=26, color=NEAR, linewidths=0, label=f"its {len(neighbors)} neighbours")
    ax.scatter(*ordered[rank : rank + 1].T, s=70, color=SELF, marker="*", label=f"rank {rank:,}")
    ax.set_aspect("equal", adjustable="datalim")
    ax.legend(fontsize=8, loc="best")
    return ax


def correlation_decay(
    tree: ResidualTree, *, n_points: int = 400, n_bins: int = 30, seed: int = 0, ax: Axes | None = None
) -> Axes:
    """Draw how residual correlation falls with distance, and the correlation of the kernel itself.

    Parameters
    ----------
    tree : ResidualTree
        Of a kernel of :mod:`covertreex.kernels`.
    n_points : int
        Points of a sample, whose pairs are drawn.
    n_bins : int
        Bins of distance, for the medians.
    seed : int
        Of the sample.
    """
    _arguments.instance(tree, "tree", (ResidualTree,))
    n_points = _arrays.integer(n_points, "n_points", minimum=2)
    n_bins = _arrays.integer(n_bins, "n_bins", minimum=1, maximum=100_000)
    seed = _arrays.integer(seed, "seed", minimum=0, maximum=2**64 - 1)
    ax = panel(ax)
    rows = np.random.default_rng(seed).permutation(tree.n_points)[:n_points]
    points = tree._coords[tree.indices[rows]]
    # Features of the sample alone, if possible: all may be gigabytes.
    given = tree.inducing_points is None
    v, p = (tree.v_matrix[rows], tree.residual_variance[rows]) if given else tree.features(points)
    kernel: Any = tree.kernel
    covariances = callbacks.covariances(kernel, points, points)
    one, other = np.triu_indices(len(rows), 1)
    over = scaled(points, kernel, "points")
    distances = np.linalg.norm(over[one] - over[other], axis=1)
    deviations = np.sqrt(np.diag(covariances))
    prior = np.abs(covariances[one, other]) / (deviations[one] * deviations[other])
    residual = np.abs((covariances - v @ v.T)[one, other]) / np.sqrt(p[one] * p[other])
    ax.scatter(distances, residual, s=1, color=QUIET, linewidths=0, rasterized=True)
    edges = np.linspace(0, np.quantile(distances, 0.98), n_bins + 1)
    middles = (edges[:-1] + edges[1:]) / 2
    for values, color, label in [(prior, SELF, "of the kernel, median"), (residual, NEAR, "residual, median")]:
        inside = [values[(distances >= low) & (distances < high)] for low, high in zip(edges[:-1], edges[1:])]
        ax.plot(middles, [np.median(one) if len(one) else np.nan for one in inside], color=color, label=label)
    ax.set(xlim=(0, edges[-1]), ylim=(0, 1.02), xlabel="distance, in lengthscales", ylabel="correlation, absolute")
    ax.legend(fontsize=8)
    return ax

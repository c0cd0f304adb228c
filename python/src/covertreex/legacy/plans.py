"""Plans: reports of insertions and deletions, by the names of covertreex 0.4.x."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..residual import ResidualTree
from . import changes
from .conflicts import ConflictGraph
from .deferred import Deferred, Later
from .independent_sets import MISResult
from .traversal import TraversalResult
from .trees import PCCTree

__all__ = [
    "BatchDeletePlan",
    "BatchInsertPlan",
    "BatchInsertTimings",
    "DeleteLevelSummary",
    "LevelSummary",
    "PrefixBatchGroup",
    "PrefixBatchResult",
]

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class BatchInsertTimings:
    """Seconds of the stages. The library inserts in one phase; all of it is counted as the first one."""

    traversal_seconds: float
    conflict_graph_seconds: float = 0.0
    mis_seconds: float = 0.0


@dataclass(frozen=True)
class LevelSummary:
    """The points of a batch whose parents are on one level."""

    level: int  #: 0 for points without a parent
    candidates: Indices
    selected: Indices
    dominated: Indices


@dataclass(frozen=True)
class BatchInsertPlan(Deferred):
    """The results of the stages of an insertion for a batch, in the tree before it.

    Numbers are positions in the batch in the order of the plan: position ``i`` is the row ``batch_permutation[i]``, or
    ``i`` if that is None. ``selected_indices`` are an independent set of the conflict graph, ``dominated_indices`` the
    others. The library's insertion keeps stricter rules, so a node's parent in the tree may be another one. The fields
    of a plan that comes with an insertion are computed on first access.
    """

    traversal: TraversalResult
    conflict_graph: ConflictGraph
    mis_result: MISResult
    selected_indices: Indices
    dominated_indices: Indices
    level_summaries: tuple[LevelSummary, ...]
    timings: BatchInsertTimings
    batch_permutation: Indices | None = field(default_factory=lambda: None)
    batch_order_strategy: str = "natural"
    batch_order_metrics: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class PrefixBatchGroup:
    """Points of a batch that entered together."""

    permutation_indices: Indices  #: positions in the batch
    plan: BatchInsertPlan
    prefix_factor: float | None = None
    domination_ratio: float | None = None


@dataclass(frozen=True)
class PrefixBatchResult:
    """How a batch entered a tree in groups."""

    permutation: Indices
    groups: tuple[PrefixBatchGroup, ...]
    order_strategy: str
    order_metrics: dict[str, float]


@dataclass(frozen=True)
class DeleteLevelSummary:
    """Points of one level that lost an ancestor, by their old numbers, and their levels in the new tree."""

    level: int  #: in the old tree
    uncovered: Indices  #: all of them
    promoted: Indices  #: those whose new parent is not one of them
    reattached: Indices  #: those whose new parent is one of them
    promoted_levels: Indices  #: in the new tree
    reattached_levels: Indices
    mis_iterations: int  #: rounds of independent sets, of the whole new tree


@dataclass(frozen=True)
class BatchDeletePlan(Deferred):
    """How points left a tree.

    The remaining points are renumbered from 0: first the points that kept their ancestors, in their old order, then
    ``reattached_order``. The new tree is built from all of them. ``level_summaries`` are computed on first access.
    """

    removed_indices: Indices
    retained_count: int  #: points that kept their ancestors
    reattach_indices: Indices  #: descendants of removed points, ascending
    level_summaries: tuple[DeleteLevelSummary, ...]  #: by level, the lowest first
    reattached_order: Indices  #: descendants of removed points, by level and number
    created_new_root: bool


def of_removal(tree: PCCTree, removed: Indices, made: Callable[[], PCCTree]) -> BatchDeletePlan:
    """Make the plan of removing points from a tree.

    Parameters
    ----------
    tree : PCCTree
        The tree before.
    removed : numpy.ndarray of int64
        The points, ascending.
    made : callable
        ``made() -> tree``: the tree afterwards.
    """
    stayed, reattached = changes.remaining(tree, removed)
    lost_root = bool((tree.parents[removed] < 0).any())
    summaries: Any = Later(lambda: _deleted_levels(tree, stayed, reattached, made()))
    return BatchDeletePlan(removed, len(stayed), np.sort(reattached), summaries, reattached, lost_root)


def _deleted_levels(
    before: PCCTree, stayed: Indices, reattached: Indices, after: PCCTree
) -> tuple[DeleteLevelSummary, ...]:
    if not len(reattached):
        return ()
    native: Any = after.native
    rounds = (native.euclidean if isinstance(native, ResidualTree) else native).stats().conflict_rounds
    old_levels = np.asarray(before.top_levels, np.int64)[reattached]
    numbers = np.arange(len(stayed), after.num_points)  # new ones
    new_levels, parents = np.asarray(after.top_levels, np.int64)[numbers], np.asarray(after.parents)[numbers]
    summaries = []
    for level in np.unique(old_levels):
        group = np.flatnonzero(old_levels == level)
        is_below = np.isin(parents[group], numbers[group])
        promoted, below = group[~is_below], group[is_below]
        levels = (new_levels[promoted], new_levels[below])
        nodes = (reattached[group], reattached[promoted], reattached[below])
        summaries.append(DeleteLevelSummary(int(level), *nodes, *levels, int(rounds)))
    return tuple(summaries)

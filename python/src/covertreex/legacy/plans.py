"""Plans: reports of insertions and deletions, by the names of covertreex 0.4.x."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..residual import ResidualTree
from .trees import PCCTree

__all__ = [
    "BatchDeletePlan",
    "BatchInsertPlan",
    "BatchInsertTimings",
    "ConflictGraph",
    "DeleteLevelSummary",
    "LevelSummary",
    "MISResult",
    "PrefixBatchGroup",
    "PrefixBatchResult",
    "TraversalResult",
]

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class TraversalResult:
    """Where the points of a batch came to stand."""

    parents: Indices  #: dataset indices; -1 for the root
    levels: NDArray[np.int32]
    engine: str = "native"


@dataclass(frozen=True)
class ConflictGraph:
    """Pairs of points that were too near each other to enter a level together."""

    num_edges: int


@dataclass(frozen=True)
class MISResult:
    """Independent sets of these graphs."""

    independent_set: NDArray[np.uint8]  #: 1 for points whose parent was there before the batch
    iterations: int


@dataclass(frozen=True)
class BatchInsertTimings:
    """Seconds. Insertion is one phase here, all of it counted as the first."""

    traversal_seconds: float
    conflict_graph_seconds: float = 0.0
    mis_seconds: float = 0.0


@dataclass(frozen=True)
class LevelSummary:
    """The points of a batch on one level, by their places in it."""

    level: int
    candidates: Indices
    selected: Indices
    dominated: Indices


@dataclass(frozen=True)
class BatchInsertPlan:
    """How a batch entered a tree.

    ``selected_indices`` are places in the batch of points whose parent was in the tree before, and of a new root;
    ``dominated_indices`` those of points that hang under another one of the batch.
    """

    traversal: TraversalResult
    conflict_graph: ConflictGraph
    mis_result: MISResult
    selected_indices: Indices
    dominated_indices: Indices
    level_summaries: tuple[LevelSummary, ...]
    timings: BatchInsertTimings
    batch_permutation: Any = None
    batch_order_strategy: str = "hilbert"
    batch_order_metrics: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class PrefixBatchGroup:
    """A part of a batch that entered together."""

    permutation_indices: Indices  #: places in the batch
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
    """Points of one level that lost an ancestor. There are none here: the tree is made anew."""

    level: int
    uncovered: Indices
    promoted: Indices
    reattached: Indices
    promoted_levels: Indices
    reattached_levels: Indices
    mis_iterations: int


@dataclass(frozen=True)
class BatchDeletePlan:
    """How points left a tree.

    The remaining points are renumbered from 0 and keep their order. In covertreex 0.4.x, descendants of deleted points
    (``reattach_indices``) came last, in ``reattached_order``. Both are empty here, so the new numbers follow from the
    plan in the same way.
    """

    removed_indices: Indices
    retained_count: int
    reattach_indices: Indices
    level_summaries: tuple[DeleteLevelSummary, ...]
    reattached_order: Indices
    created_new_root: bool


def of_insertion(tree: PCCTree, first: int) -> BatchInsertPlan:
    """The plan of a batch whose first point has this dataset index, in the tree that has it."""
    parents, levels = tree.parents[first:].astype(np.int64), tree.top_levels[first:]
    is_selected = parents < first
    native = tree.native
    summaries = tuple(
        LevelSummary(int(level), on, on[is_selected[on]], on[~is_selected[on]])
        for level in np.unique(levels)[::-1]
        for on in [np.flatnonzero(levels == level)]
    )
    built = (native.euclidean if isinstance(native, ResidualTree) else native).stats()
    return BatchInsertPlan(
        traversal=TraversalResult(parents, levels),
        conflict_graph=ConflictGraph(built.conflict_edges),
        mis_result=MISResult(is_selected.astype(np.uint8), built.conflict_rounds),
        selected_indices=np.flatnonzero(is_selected),
        dominated_indices=np.flatnonzero(~is_selected),
        level_summaries=summaries,
        timings=BatchInsertTimings(native.build_time),
        batch_order_strategy=native.order,
    )


def of_removal(tree: PCCTree, removed: Indices) -> BatchDeletePlan:
    """The plan of taking points out of a tree."""
    none = np.empty(0, np.int64)
    lost_root = bool(len(removed)) and bool((tree.parents[removed] < 0).any())
    return BatchDeletePlan(removed, tree.num_points - len(removed), none, (), none, lost_root)

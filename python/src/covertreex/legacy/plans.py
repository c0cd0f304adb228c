"""Plans: reports of insertions and deletions, by the names of covertreex 0.4.x."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from .conflicts import ConflictGraph
from .deferred import Deferred
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
    """What the stages of an insertion say about a batch, for the tree before it.

    Numbers are places in the batch in the order of the plan: place ``i`` is the row ``batch_permutation[i]``, or ``i``
    where that is None. ``selected_indices`` are an independent set of the conflict graph, ``dominated_indices`` the
    others. The library's insertion keeps stricter rules, so a node's parent in the tree may be another one. The fields
    of plans that come with an insertion are worked out when somebody looks at them.
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


def of_removal(tree: PCCTree, removed: Indices) -> BatchDeletePlan:
    """The plan of taking points out of a tree."""
    none = np.empty(0, np.int64)
    lost_root = bool(len(removed)) and bool((tree.parents[removed] < 0).any())
    return BatchDeletePlan(removed, tree.num_points - len(removed), none, (), none, lost_root)

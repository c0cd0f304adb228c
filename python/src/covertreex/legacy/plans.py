"""Plans: reports of insertions and deletions. That of an insertion is made by the stages of covertreex 0.4.x."""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..residual import ResidualTree
from . import changes
from .backend import TreeBackend
from .batch_order import prepare_batch_points
from .conflicts import ConflictGraph, build_conflict_graph
from .context import RuntimeContext, runtime_context
from .deferred import Deferred, later
from .host_data import Indices
from .independent_sets import MISResult, run_mis
from .model import RuntimeConfig
from .traversal import TraversalResult, traverse_collect_scopes
from .trees import PCCTree

_OF_COORDINATES: dict[str, Any] = {"metric": "euclidean"}


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
    """The insertion of a batch into a tree, in groups."""

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
    """The removal of points from a tree.

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
    """Make the plan of removing points, ascending, from a tree; ``made()`` gives the tree afterwards."""
    stayed, reattached = changes.remaining(tree, removed)
    lost_root = bool((tree.parents[removed] < 0).any())
    summaries = later(lambda: _deleted_levels(tree, stayed, reattached, made()))
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
    new_levels, parents = np.asarray(after.top_levels, np.int64)[numbers], after.parents[numbers]
    summaries = []
    for level in np.unique(old_levels):
        group = np.flatnonzero(old_levels == level)
        is_below = np.isin(parents[group], numbers[group])
        promoted, below = group[~is_below], group[is_below]
        levels = (new_levels[promoted], new_levels[below])
        nodes = (reattached[group], reattached[promoted], reattached[below])
        summaries.append(DeleteLevelSummary(int(level), *nodes, *levels, int(rounds)))
    return tuple(summaries)


def plan_batch_insert(
    tree: PCCTree,
    batch_points: ArrayLike,
    *,
    backend: TreeBackend | None = None,
    mis_seed: int | None = None,
    apply_batch_order: bool = True,
    context: RuntimeContext | None = None,
) -> BatchInsertPlan:
    """Say what an insertion would do, by the stages of covertreex 0.4.x: traversal, conflict graph, independent set.

    It compares all new points with all nodes, and with each other: O(m n + m**2).

    Parameters
    ----------
    tree, batch_points, backend, context
        As of :func:`covertreex.algo.traverse_collect_scopes`.
    mis_seed : int, optional
        For the independent set; by default the seed of the settings.
    apply_batch_order : bool
        Whether the points are put into the order of the settings first.
    """
    backend = tree.backend if backend is None else backend
    context = runtime_context() if context is None else context
    runtime = context.config
    points, permutation, facts = prepare_batch_points(
        backend=backend, batch_points=batch_points, runtime=runtime, apply_batch_order=apply_batch_order
    )
    start = time.perf_counter()
    traversal = traverse_collect_scopes(tree, points, backend=backend, context=context)
    traversed = time.perf_counter()
    graph = build_conflict_graph(tree, traversal, points, backend=backend, context=context)
    joined = time.perf_counter()
    independent = run_mis(backend, graph, seed=mis_seed, runtime=runtime)
    seconds = (traversed - start, joined - traversed, time.perf_counter() - joined)
    is_selected = _selected(independent, graph)
    return BatchInsertPlan(
        traversal=traversal, conflict_graph=graph, mis_result=independent,
        selected_indices=np.flatnonzero(is_selected), dominated_indices=np.flatnonzero(~is_selected),
        level_summaries=_summaries(traversal, is_selected), timings=BatchInsertTimings(*seconds),
        batch_permutation=permutation,
        batch_order_strategy=runtime.batch_order_strategy if apply_batch_order else "natural",
        batch_order_metrics=facts,
    )  # fmt: skip


def _selected(independent: MISResult, graph: ConflictGraph) -> NDArray[np.bool_]:
    is_selected = np.asarray(independent.independent_set).astype(bool)
    if graph.forced_selected is not None:
        is_selected |= np.asarray(graph.forced_selected).astype(bool)
    if graph.forced_dominated is not None:
        is_selected &= ~np.asarray(graph.forced_dominated).astype(bool)
    return is_selected


def _summaries(traversal: TraversalResult, is_selected: NDArray[np.bool_]) -> tuple[LevelSummary, ...]:
    levels = np.where(np.asarray(traversal.parents) >= 0, np.asarray(traversal.levels), 0)
    return tuple(
        LevelSummary(int(level), on, on[is_selected[on]], on[~is_selected[on]])
        for level in np.unique(levels)
        for on in [np.flatnonzero(levels == level)]
    )


def of_insertion(
    before: PCCTree, after: PCCTree, config: RuntimeConfig, mis_seed: int | None, in_order: bool
) -> BatchInsertPlan:
    """Make the plan that comes with an insertion; its fields are computed on first access.

    The stages work on the cover tree of ``before``, in its coordinates; with residual correlation these are the scaled
    ones. ``in_order`` says whether the batch has the order of the settings.
    """

    @functools.cache
    def plan() -> BatchInsertPlan:
        context = RuntimeContext(dataclasses.replace(config, **_OF_COORDINATES))
        batch = after.points[before.num_points :]
        return plan_batch_insert(before, batch, mis_seed=mis_seed, apply_batch_order=in_order, context=context)

    def of_plan(name: str) -> Any:
        return later(lambda: getattr(plan(), name))

    names = {one.name for one in dataclasses.fields(BatchInsertPlan)} - {"timings", "batch_order_strategy"}
    return BatchInsertPlan(
        timings=BatchInsertTimings(0.0 if after.is_empty() else after.native.build_time),
        batch_order_strategy=config.batch_order_strategy if in_order else "natural",
        **{name: of_plan(name) for name in names},
    )

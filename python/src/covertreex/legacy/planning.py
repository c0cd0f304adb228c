"""Plans of insertions: the stages one after another, by the rules of covertreex 0.4.x."""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import context as contexts
from .backend import TreeBackend
from .batch_order import prepare_batch_points
from .conflicts import ConflictGraph, build_conflict_graph
from .deferred import Later
from .independent_sets import MISResult, run_mis
from .model import RuntimeConfig
from .plans import BatchInsertPlan, BatchInsertTimings, LevelSummary
from .traversal import TraversalResult, traverse_collect_scopes
from .trees import PCCTree

__all__ = ["of_insertion", "plan_batch_insert"]

_OF_COORDINATES: dict[str, Any] = {"metric": "euclidean"}


def plan_batch_insert(
    tree: PCCTree,
    batch_points: ArrayLike,
    *,
    backend: TreeBackend | None = None,
    mis_seed: int | None = None,
    apply_batch_order: bool = True,
    context: contexts.RuntimeContext | None = None,
) -> BatchInsertPlan:
    """Say what an insertion would do, by the stages of covertreex 0.4.x: traversal, conflict graph, independent set.

    It compares all new points with all nodes, and with each other: O(m n + m**2).

    Parameters
    ----------
    tree : PCCTree
        It stays as it is.
    batch_points : array_like, shape (m, dim)
        The points.
    backend : TreeBackend, optional
        Types of the arrays; by default the tree's.
    mis_seed : int, optional
        For the independent set; by default the seed of the settings.
    apply_batch_order : bool
        Whether the points are put into the order of the settings first.
    context : RuntimeContext, optional
        Settings; by default the active ones.

    Returns
    -------
    BatchInsertPlan
    """
    backend = tree.backend if backend is None else backend
    context = contexts.runtime_context() if context is None else context
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
    ones.

    Parameters
    ----------
    before, after : PCCTree
        The tree before the insertion, and after it.
    config : RuntimeConfig
        Settings.
    mis_seed : int, optional
        As of :func:`plan_batch_insert`.
    in_order : bool
        Whether the batch has the order of the settings.
    """

    @functools.cache
    def plan() -> BatchInsertPlan:
        context = contexts.RuntimeContext(dataclasses.replace(config, **_OF_COORDINATES))
        batch = after.points[before.num_points :]
        return plan_batch_insert(before, batch, mis_seed=mis_seed, apply_batch_order=in_order, context=context)

    names = {one.name for one in dataclasses.fields(BatchInsertPlan)} - {"timings", "batch_order_strategy"}
    later: dict[str, Any] = {name: Later(functools.partial(_field, plan, name)) for name in names}
    return BatchInsertPlan(
        timings=BatchInsertTimings(0.0 if after.is_empty() else after.native.build_time),
        batch_order_strategy=config.batch_order_strategy if in_order else "natural",
        **later,
    )


def _field(plan: Callable[[], BatchInsertPlan], name: str) -> Any:
    return getattr(plan(), name)

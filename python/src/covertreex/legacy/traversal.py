"""The first stage of an insertion: a parent for each new point, and the nodes that it may be in conflict about.

The parent is the nearest node. A point's radius is the parent's cover radius ``2**(level + 1)``, or the radius of the
parent's subtree if it is larger. The point's scope is: all nodes within this radius, the parent, and the parent's next
siblings. (Y. Gu, Z. Napier, Y. Sun and L. Wang, "Parallel cover trees and their applications", SPAA 2022.)

Distances are computed in blocks of rows, all pairs of them: O(m n) for m new points. Building of trees does not use
this; the library has its own insertion.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import changes, metrics
from . import context as contexts
from .backend import TreeBackend
from .deferred import Deferred
from .grouping import select_topk_by_level
from .model import RuntimeConfig
from .runtime import LITE
from .strategies import Strategies
from .trees import PCCTree

__all__ = [
    "ResidualTraversalCache",
    "TraversalResult",
    "TraversalStrategy",
    "TraversalTimings",
    "traverse_collect_scopes",
]

_PAIRS = 1 << 22  # distances in a block


@dataclass(frozen=True)
class TraversalTimings:
    """Seconds of the steps of the stage, and its counts. Steps without a clock of their own are 0."""

    pairwise_seconds: float
    mask_seconds: float
    semisort_seconds: float
    chain_seconds: float = 0.0
    nonzero_seconds: float = 0.0
    sort_seconds: float = 0.0
    assemble_seconds: float = 0.0
    tile_seconds: float = 0.0
    build_wall_seconds: float = 0.0
    scope_chunk_segments: int = 0
    scope_chunk_emitted: int = 0
    scope_chunk_max_members: int = 0
    scope_chunk_scans: int = 0
    scope_chunk_points: int = 0
    scope_chunk_dedupe: int = 0
    scope_chunk_saturated: int = 0
    scope_cache_hits: int = 0
    scope_cache_prefetch: int = 0
    scope_budget_start: int = 0
    scope_budget_final: int = 0
    scope_budget_escalations: int = 0
    scope_budget_early_terminate: int = 0
    whitened_block_pairs: int = 0
    whitened_block_seconds: float = 0.0
    whitened_block_calls: int = 0
    kernel_provider_pairs: int = 0
    kernel_provider_seconds: float = 0.0
    kernel_provider_calls: int = 0


@dataclass(frozen=True)
class ResidualTraversalCache(Deferred):
    """Residual correlations that the stage has computed, for the next stage."""

    batch_indices: NDArray[np.int64]  #: (m,) dataset indices
    pairwise: NDArray[np.float32]  #: (m, m) distances among the new points
    scope_radii: NDArray[np.float64] | None = None  #: (m,) the largest distance in each scope
    scope_saturated: NDArray[np.uint8] | None = None  #: (m,) 1 for scopes that were cut to the limit
    scope_chunk_iterations: NDArray[np.int64] | None = None
    scope_chunk_points: NDArray[np.int64] | None = None
    scope_dedupe_hits: NDArray[np.int64] | None = None
    scope_radius_initial: NDArray[np.float64] | None = None  #: (m,) radii before limits
    scope_radius_limits: NDArray[np.float64] | None = None  #: (m,) radii of the scopes
    scope_radius_caps: NDArray[np.float64] | None = None  #: (m,) limits by level, where there are any


@dataclass(frozen=True)
class TraversalResult:
    """Parents and scopes of new points."""

    parents: NDArray[Any]  #: (m,) nodes; -1 in an empty tree
    levels: NDArray[Any]  #: (m,) the parents' levels; -1 in an empty tree
    conflict_scopes: tuple[tuple[int, ...], ...]  #: the nodes of each scope, by level, the highest first
    scope_indptr: NDArray[Any]  #: (m + 1,) where the scope of each point begins in ``scope_indices``
    scope_indices: NDArray[Any]  #: the nodes of all scopes
    timings: TraversalTimings
    residual_cache: ResidualTraversalCache | None = None
    engine: str = "unknown"  #: the strategy
    gate_active: bool = False


class TraversalStrategy(Protocol):
    """How parents and scopes are found."""

    def collect(self, tree: PCCTree, batch: Any, *, backend: TreeBackend, runtime: RuntimeConfig) -> TraversalResult:
        """Find those of a batch of points."""
        ...


traversal_strategies = Strategies("traversal", "covertreex.traversal")


def traverse_collect_scopes(
    tree: PCCTree,
    batch_points: ArrayLike,
    *,
    backend: TreeBackend | None = None,
    context: contexts.RuntimeContext | None = None,
) -> TraversalResult:
    """Find a parent and a scope for each point of a batch. The tree does not change.

    Parameters
    ----------
    tree : PCCTree
        The tree.
    batch_points : array_like, shape (m, dim)
        The points: for residual correlation points of the data that is configured, by coordinates or indices.
    backend : TreeBackend, optional
        Types of the result; by default the tree's.
    context : RuntimeContext, optional
        Settings (metric, ``scope_chunk_target``, ...); by default the active ones.

    Returns
    -------
    TraversalResult
    """
    backend = tree.backend if backend is None else backend
    batch = changes.batch_rows(batch_points, backend)
    if not len(batch):
        return without_scopes(backend, 0)
    runtime = (contexts.runtime_context() if context is None else context).config
    if tree.is_empty() and runtime.metric != "residual_correlation":
        return without_scopes(backend, len(batch))
    strategy: TraversalStrategy = traversal_strategies.select(runtime, backend)
    return strategy.collect(tree, batch, backend=backend, runtime=runtime)


def without_scopes(backend: TreeBackend, count: int) -> TraversalResult:
    """The result for an empty tree."""
    nowhere = backend.asarray(np.full(count, -1), dtype=backend.default_int)
    return TraversalResult(
        parents=nowhere, levels=nowhere.copy(), conflict_scopes=((),) * count,
        scope_indptr=backend.asarray(np.zeros(count + 1), dtype=backend.default_int),
        scope_indices=backend.asarray([], dtype=backend.default_int), timings=TraversalTimings(0.0, 0.0, 0.0),
    )  # fmt: skip


class EuclideanTraversal:
    """Parents and scopes by distances of coordinates, or by correlations of coordinates."""

    def collect(self, tree: PCCTree, batch: Any, *, backend: TreeBackend, runtime: RuntimeConfig) -> TraversalResult:
        """Find those of a batch of points."""
        if batch.shape[1] != tree.dimension:
            raise ValueError(f"batch_points: expected {tree.dimension} columns, got {batch.shape[1]}")
        metric = metrics.get_metric(runtime.metric)
        parents, scopes = np.empty(len(batch), np.int64), []
        nearest_seconds, scope_seconds = 0.0, 0.0
        for rows in blocks(len(batch), tree.num_points):
            start = time.perf_counter()
            distances = np.asarray(metric.pairwise(backend, batch[rows], tree.points))
            parents[rows] = distances.argmin(axis=1)
            middle = time.perf_counter()
            radii = cover_radii(tree, parents[rows])
            scopes += scopes_of(tree, parents[rows], distances <= radii[:, None], int(runtime.scope_chunk_target))
            nearest_seconds += middle - start
            scope_seconds += time.perf_counter() - middle
        timings = TraversalTimings(nearest_seconds, 0.0, scope_seconds)
        return result_of(tree, parents, scopes, backend, timings=timings, engine="euclidean_dense")


traversal_strategies.register(
    "euclidean_dense", predicate=lambda runtime, backend: runtime.metric in ("euclidean", LITE),
    factory=EuclideanTraversal, is_own=True,
)  # fmt: skip


def blocks(rows: int, columns: int) -> Iterator[slice]:
    """Cut rows so that a block of distances has some million of them."""
    step = max(1, _PAIRS // max(1, columns))
    return (slice(first, min(first + step, rows)) for first in range(0, rows, step))


def cover_radii(tree: PCCTree, parents: NDArray[np.int64]) -> NDArray[np.float64]:
    """The radius of each parent: of its cover, or of its subtree if that is larger."""
    levels = np.asarray(tree.top_levels)[parents].astype(np.float64)
    radii: NDArray[np.float64] = np.maximum(np.exp2(levels + 1), np.asarray(tree.si_cache, np.float64)[parents])
    return radii


def scopes_of(
    tree: PCCTree, parents: NDArray[np.int64], within: NDArray[np.bool_], limit: int
) -> list[NDArray[np.int64]]:
    """The scope of each point of a block, with the parent in it.

    Parameters
    ----------
    tree : PCCTree
        The tree.
    parents : numpy.ndarray of int64, shape (b,)
        The points' parents.
    within : numpy.ndarray of bool, shape (b, n)
        The nodes within each point's radius. It is changed.
    limit : int
        Nodes of a scope; 0 for any number. The highest ones stay, and the parent.
    """
    levels, siblings = np.asarray(tree.top_levels, np.int64), np.asarray(tree.next_cache, np.int64)
    chains = {int(parent): _chain(siblings, int(parent)) for parent in np.unique(parents)}
    found = []
    for parent, row in zip(parents.tolist(), within):
        row[chains[parent]] = True
        nodes = np.flatnonzero(row)
        scope = select_topk_by_level(nodes, levels[nodes], limit)
        if parent not in scope:
            scope = np.append(scope[:-1], parent)
        found.append(scope)
    return found


def _chain(siblings: NDArray[np.int64], node: int) -> list[int]:
    """A node and its next siblings; up to one that comes again, as arrays of a caller may lead in a circle."""
    chain: dict[int, None] = {}
    while 0 <= node < len(siblings) and node not in chain:
        chain[node] = None
        node = int(siblings[node])
    return list(chain)


def result_of(
    tree: PCCTree,
    parents: NDArray[np.int64],
    scopes: list[NDArray[np.int64]],
    backend: TreeBackend,
    **more: Any,
) -> TraversalResult:
    """Put parents and scopes into arrays of a backend's types."""
    to_int: Callable[[Any], Any] = lambda values: backend.asarray(values, dtype=backend.default_int)  # noqa: E731
    return TraversalResult(
        parents=to_int(parents), levels=to_int(np.asarray(tree.top_levels)[parents]),
        conflict_scopes=tuple(tuple(scope.tolist()) for scope in scopes),
        scope_indptr=to_int(np.cumsum([0, *map(len, scopes)])),
        scope_indices=to_int(np.concatenate(scopes)), **more,
    )  # fmt: skip

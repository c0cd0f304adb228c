"""The first stage of an insertion: a parent for each new point, and the nodes that it may be in conflict about.

The parent is the nearest node. A point's radius is the parent's cover radius ``2**(level + 1)``, or the radius of the
parent's subtree if it is larger. The point's scope is: all nodes within this radius, the parent, and the parent's next
siblings. (Y. Gu, Z. Napier, Y. Sun and L. Wang, "Parallel cover trees and their applications", SPAA 2022.)

Distances are computed in blocks of rows, all pairs of them: O(m n) for m new points. Building of trees does not use
this; the library has its own insertion.

By residual correlation, points must be in the data that is configured. The limits of covertreex 0.4.x hold: a least
radius, a largest radius for each level, a largest number of nodes. A scope has all nodes within its radius up to that
number; there is no budget that stops the scan earlier.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import changes, host_data, metrics
from .backend import TreeBackend
from .context import RuntimeContext, runtime_context
from .deferred import Deferred, later
from .grouping import select_topk_by_level
from .host_data import Floats, Indices
from .model import RuntimeConfig
from .residual_distances import (
    ResidualDistanceTelemetry,
    compute_residual_distances_from_kernel,
    compute_residual_pairwise_matrix,
    decode_indices,
)
from .runtime import LITE
from .scope_caps import get_scope_cap_table
from .strategies import Strategies
from .trees import PCCTree

_PAIRS = 1 << 22  # distances in a block
_MOST_NODES, _USUAL_NODES = 16_384, 64  # of a scope by residual correlation: by any setting, and without one
_SLACK = 1e-9


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

    batch_indices: Indices  #: (m,) dataset indices
    pairwise: NDArray[np.float32]  #: (m, m) distances among the new points
    scope_radii: Floats | None = None  #: (m,) the largest distance in each scope
    scope_saturated: NDArray[np.uint8] | None = None  #: (m,) 1 for scopes that were cut to the limit
    scope_chunk_iterations: Indices | None = None
    scope_chunk_points: Indices | None = None
    scope_dedupe_hits: Indices | None = None
    scope_radius_initial: Floats | None = None  #: (m,) radii before limits
    scope_radius_limits: Floats | None = None  #: (m,) radii of the scopes
    scope_radius_caps: Floats | None = None  #: (m,) limits by level, if there are any


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


traversal_strategies = Strategies("traversal", "covertreex.traversal")


def traverse_collect_scopes(
    tree: PCCTree, batch_points: ArrayLike, *, backend: TreeBackend | None = None, context: RuntimeContext | None = None
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
    """
    backend = tree.backend if backend is None else backend
    batch = changes.batch_rows(batch_points, backend)
    if not len(batch):
        return _without_scopes(backend, 0)
    runtime = (runtime_context() if context is None else context).config
    if tree.is_empty() and runtime.metric != "residual_correlation":
        return _without_scopes(backend, len(batch))
    strategy: TraversalStrategy = traversal_strategies.select(runtime, backend)
    return strategy.collect(tree, batch, backend=backend, runtime=runtime)


class EuclideanTraversal:
    """Parents and scopes by distances of coordinates, or by correlations of coordinates."""

    def collect(self, tree: PCCTree, batch: Any, *, backend: TreeBackend, runtime: RuntimeConfig) -> TraversalResult:
        """Find those of a batch of points."""
        if batch.shape[1] != tree.dimension:
            raise ValueError(f"batch_points: expected {tree.dimension} columns, got {batch.shape[1]}")
        metric = metrics.get_metric(runtime.metric)
        parents, scopes = np.empty(len(batch), np.int64), []
        nearest_seconds, scope_seconds = 0.0, 0.0
        for rows in _blocks(len(batch), tree.num_points):
            start = time.perf_counter()
            distances = np.asarray(metric.pairwise(backend, batch[rows], tree.points))
            parents[rows] = distances.argmin(axis=1)
            middle = time.perf_counter()
            radii = _cover_radii(tree, parents[rows])
            scopes += _scopes_of(tree, parents[rows], distances <= radii[:, None], int(runtime.scope_chunk_target))
            nearest_seconds += middle - start
            scope_seconds += time.perf_counter() - middle
        timings = TraversalTimings(nearest_seconds, 0.0, scope_seconds)
        levels = tree.top_levels[parents]
        return _result_of(backend, parents, levels, scopes, timings=timings, engine="euclidean_dense")


class ResidualTraversal:
    """Parents and scopes by residual correlation."""

    def collect(self, tree: PCCTree, batch: Any, *, backend: TreeBackend, runtime: RuntimeConfig) -> TraversalResult:
        """Find those of a batch of points of the dataset."""
        start = time.perf_counter()
        data, counts = host_data.get_residual_backend(), ResidualDistanceTelemetry()
        asked = decode_indices(data, batch)
        nodes = decode_indices(data, tree.points) if not tree.is_empty() else np.empty(0, np.int64)
        pairwise = later(lambda: compute_residual_pairwise_matrix(data, asked))
        if not len(nodes):
            return _without_nodes(backend, asked, pairwise, runtime)
        parents, scopes = np.empty(len(asked), np.int64), []
        initial, limits, caps, observed = np.empty((4, len(asked)))
        limit = _scope_limit(runtime)
        for rows in _blocks(len(asked), len(nodes)):
            began = time.perf_counter()
            kernel = data.kernel_provider(asked[rows], nodes)
            counts.record_kernel(len(asked[rows]), len(nodes), time.perf_counter() - began)
            distances = compute_residual_distances_from_kernel(data, asked[rows], nodes, kernel)
            parents[rows] = distances.argmin(axis=1)
            initial[rows] = np.maximum(_cover_radii(tree, parents[rows]), runtime.residual_radius_floor)
            caps[rows] = _caps(tree.top_levels[parents[rows]], runtime)
            limits[rows] = np.minimum(initial[rows], caps[rows])
            within = distances <= limits[rows][:, None] + _SLACK
            scopes += _scopes_of(tree, parents[rows], within.copy(), limit)
            observed[rows] = np.where(within, distances, 0.0).max(axis=1)
        sizes = np.array(list(map(len, scopes)))
        is_cut = (sizes >= limit).astype(np.uint8)
        cache = ResidualTraversalCache(
            batch_indices=asked, pairwise=pairwise, scope_radii=observed,
            scope_saturated=is_cut, scope_radius_initial=initial, scope_radius_limits=limits,
            scope_radius_caps=caps if np.isfinite(caps).any() else None,
        )  # fmt: skip
        wall = time.perf_counter() - start
        timings = TraversalTimings(
            counts.kernel_seconds, 0.0, wall - counts.kernel_seconds, build_wall_seconds=wall,
            scope_chunk_segments=len(asked), scope_chunk_emitted=int(is_cut.sum()),
            scope_chunk_max_members=int(sizes.max()), scope_chunk_points=counts.kernel_pairs,
            scope_chunk_saturated=int(is_cut.sum()), kernel_provider_pairs=counts.kernel_pairs,
            kernel_provider_seconds=counts.kernel_seconds, kernel_provider_calls=counts.kernel_calls,
        )  # fmt: skip
        levels, engine = tree.top_levels[parents], "residual_parallel"
        return _result_of(backend, parents, levels, scopes, timings=timings, residual_cache=cache, engine=engine)


traversal_strategies.register(
    "euclidean_dense", predicate=lambda runtime, backend: runtime.metric in ("euclidean", LITE),
    factory=EuclideanTraversal, is_own=True,
)  # fmt: skip
traversal_strategies.register(
    "residual_sparse", predicate=lambda runtime, backend: runtime.metric == "residual_correlation",
    factory=ResidualTraversal, is_own=True,
)  # fmt: skip


def _blocks(rows: int, columns: int) -> Iterator[slice]:
    """Cut rows so that a block of distances has some million of them."""
    step = max(1, _PAIRS // max(1, columns))
    return (slice(first, first + step) for first in range(0, rows, step))


def _cover_radii(tree: PCCTree, parents: Indices) -> Floats:
    """The radius of each parent: of its cover, or of its subtree if that is larger."""
    levels = tree.top_levels[parents].astype(np.float64)
    radii: Floats = np.maximum(np.exp2(levels + 1), np.asarray(tree.si_cache, np.float64)[parents])
    return radii


def _scopes_of(tree: PCCTree, parents: Indices, within: NDArray[np.bool_], limit: int) -> list[Indices]:
    """The scope of each point of a block, with the parent in it.

    ``within``, of shape (b, n), says which nodes are within each point's radius; it is changed. A scope has at most
    ``limit`` nodes, or any number if that is 0: the highest ones, and the parent.
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


def _chain(siblings: Indices, node: int) -> list[int]:
    """A node and its next siblings; up to one that comes again, as arrays of a caller may lead in a circle."""
    chain: dict[int, None] = {}
    while 0 <= node < len(siblings) and node not in chain:
        chain[node] = None
        node = int(siblings[node])
    return list(chain)


def _without_nodes(
    backend: TreeBackend, asked: Indices, pairwise: NDArray[np.float32], runtime: RuntimeConfig
) -> TraversalResult:
    floor = np.full(len(asked), runtime.residual_radius_floor)
    cache = ResidualTraversalCache(
        batch_indices=asked, pairwise=pairwise, scope_radii=np.zeros(len(asked)),
        scope_saturated=np.zeros(len(asked), np.uint8), scope_radius_initial=floor, scope_radius_limits=floor.copy(),
    )  # fmt: skip
    return _without_scopes(backend, len(asked), residual_cache=cache, engine="residual_parallel")


def _scope_limit(runtime: RuntimeConfig) -> int:
    limit = int(runtime.scope_chunk_target) if runtime.scope_chunk_target > 0 else _MOST_NODES
    most = _USUAL_NODES if runtime.residual_scope_member_limit is None else runtime.residual_scope_member_limit
    return min(limit, most) if most > 0 else limit


def _caps(levels: NDArray[Any], runtime: RuntimeConfig) -> Floats:
    """The largest radius of each level; infinity for a level without one."""
    table = get_scope_cap_table(runtime.residual_scope_cap_path)
    caps = np.full(len(levels), np.inf) if table is None else table.lookup(levels)
    if runtime.residual_scope_cap_default > 0:
        caps = np.where(np.isfinite(caps), caps, runtime.residual_scope_cap_default)
    return np.maximum(caps, runtime.residual_radius_floor)


def _without_scopes(backend: TreeBackend, count: int, **more: Any) -> TraversalResult:
    """The result for an empty tree."""
    nowhere, scopes = np.full(count, -1), [np.empty(0, np.int64)] * count
    return _result_of(backend, nowhere, nowhere.copy(), scopes, timings=TraversalTimings(0.0, 0.0, 0.0), **more)


def _result_of(
    backend: TreeBackend, parents: NDArray[Any], levels: NDArray[Any], scopes: list[Indices], **more: Any
) -> TraversalResult:
    """Put parents and scopes into arrays of a backend's types."""
    indptr, indices = np.cumsum([0, *map(len, scopes)]), np.concatenate([np.empty(0, np.int64), *scopes])
    parents, levels, indptr, indices = (
        backend.asarray(one, dtype=backend.default_int) for one in (parents, levels, indptr, indices)
    )
    return TraversalResult(parents, levels, tuple(tuple(one.tolist()) for one in scopes), indptr, indices, **more)

"""The second stage of an insertion: a graph of the new points that are in each other's way.

Two points are neighbours if their scopes share a node and their distance is at most the smaller radius. An independent
set of this graph can enter the tree at once. (Y. Gu, Z. Napier, Y. Sun and L. Wang, "Parallel cover trees and their
applications", SPAA 2022.)
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import changes, host_data, metrics
from .backend import TreeBackend
from .context import RuntimeContext, runtime_context
from .deferred import Deferred, later
from .grouping import group_by_int
from .host_data import Floats, Indices
from .model import RuntimeConfig
from .residual_distances import compute_residual_pairwise_matrix, decode_indices
from .strategies import Strategies
from .traversal import TraversalResult
from .trees import PCCTree

_RESIDUAL = "residual_correlation"


class ResidualPairwiseCacheError(RuntimeError):
    """A conflict graph by residual correlation needs the distances that the traversal has computed."""


@dataclass(frozen=True)
class ConflictGraphTimings:
    """Seconds of the steps of the stage, and its counts. Steps without a clock of their own are 0."""

    pairwise_seconds: float
    scope_group_seconds: float
    adjacency_seconds: float
    annulus_seconds: float
    adjacency_membership_seconds: float = 0.0
    adjacency_targets_seconds: float = 0.0
    adjacency_scatter_seconds: float = 0.0
    adjacency_filter_seconds: float = 0.0
    adjacency_sort_seconds: float = 0.0
    adjacency_dedup_seconds: float = 0.0
    adjacency_extract_seconds: float = 0.0
    adjacency_csr_seconds: float = 0.0
    adjacency_total_pairs: float = 0.0
    adjacency_candidate_pairs: float = 0.0
    adjacency_max_group_size: float = 0.0
    scope_bytes_h2d: int = 0
    scope_bytes_d2h: int = 0
    scope_groups: int = 0  #: nodes that are in a scope
    scope_groups_unique: int = 0  #: different sets of points that such nodes have
    scope_domination_ratio: float = 0.0  #: the second over the first
    scope_chunk_segments: int = 0
    scope_chunk_emitted: int = 0
    scope_chunk_max_members: int = 0
    scope_chunk_pair_cap: int = 0
    scope_chunk_pairs_before: int = 0
    scope_chunk_pairs_after: int = 0
    scope_chunk_pair_merges: int = 0
    mis_seconds: float = 0.0
    pairwise_reused: int = 0
    grid_cells: int = 0
    grid_leaders_raw: int = 0
    grid_leaders_after: int = 0
    grid_local_edges: int = 0
    arena_bytes: int = 0
    degree_cap: int = 0
    degree_pruned_pairs: int = 0


@dataclass(frozen=True)
class ConflictGraph(Deferred):
    """A graph of points by their indices in the batch: neighbours of ``i`` are ``indices[indptr[i]:indptr[i + 1]]``."""

    indptr: NDArray[Any]  #: (m + 1,)
    indices: NDArray[Any]  #: each edge from both of its points, ascending for each point
    pairwise_distances: NDArray[Any]  #: (m, m)
    scope_indptr: NDArray[Any]
    scope_indices: NDArray[Any]
    radii: NDArray[Any]  #: (m,)
    annulus_bounds: NDArray[Any]  #: (m, 2) 0 and the radius
    annulus_bins: NDArray[Any]  #: (m,) the radius as a power of 2, rounded down; 0 for smaller ones than 1
    annulus_bin_indptr: NDArray[Any]
    annulus_bin_indices: NDArray[Any]
    annulus_bin_ids: NDArray[Any]
    timings: ConflictGraphTimings
    forced_selected: NDArray[Any] | None = None  #: (m,) 1 for points that a strategy has chosen itself
    forced_dominated: NDArray[Any] | None = None  #: (m,) 1 for points that it has excluded
    grid_cells: int = 0
    grid_leaders_raw: int = 0
    grid_leaders_after: int = 0
    grid_local_edges: int = 0

    @property
    def num_nodes(self) -> int:
        """Points."""
        return len(self.indptr) - 1

    @property
    def num_edges(self) -> int:
        """Entries of ``indices``: two for each pair of neighbours."""
        return len(self.indices)

    @property
    def num_scopes(self) -> int:
        """Scopes."""
        return len(self.scope_indptr) - 1


@dataclass(frozen=True)
class ConflictGraphContext(Deferred):
    """The input of a strategy."""

    backend: TreeBackend
    runtime: RuntimeConfig
    batch: Any  #: (m, dim) the points
    batch_size: int
    scope_indptr: Any
    scope_indices: Any
    radii: Any  #: (m,)
    radii_np: Floats
    pairwise: Any  #: (m, m) distances
    pairwise_np: NDArray[Any]
    residual_pairwise_np: NDArray[Any] | None  #: the same with residual correlation, else None
    point_ids: Any  #: the point of each entry of ``scope_indices``
    levels: Any  #: (m,) the parents' levels; 0 for points without a parent
    grid_points: Any | None = None
    chunk_target_override: int | None = None
    batch_dataset_indices: Indices | None = None


@dataclass(frozen=True)
class AdjacencyBuild:
    """The result of a strategy: edges, in either form, and counts.

    Edges by ``sources`` and ``targets`` are compared with the radii afterwards, unless ``radius_pruned``; those by
    ``csr_indptr`` and ``csr_indices`` are the graph.
    """

    sources: Any
    targets: Any
    membership_seconds: float = 0.0
    targets_seconds: float = 0.0
    scatter_seconds: float = 0.0
    dedup_seconds: float = 0.0
    csr_indptr: Any | None = None
    csr_indices: Any | None = None
    total_pairs: int = 0
    candidate_pairs: int = 0
    max_group_size: int = 0
    scope_groups: int = 0
    scope_groups_unique: int = 0
    scope_domination_ratio: float = 0.0
    bytes_h2d: int = 0
    bytes_d2h: int = 0
    radius_pruned: bool = False
    scope_chunk_segments: int = 1
    scope_chunk_emitted: int = 0
    scope_chunk_max_members: int = 0
    scope_chunk_pair_cap: int = 0
    scope_chunk_pairs_before: int = 0
    scope_chunk_pairs_after: int = 0
    scope_chunk_pair_merges: int = 0
    forced_selected: Any | None = None
    forced_dominated: Any | None = None
    grid_cells: int = 0
    grid_leaders_raw: int = 0
    grid_leaders_after: int = 0
    grid_local_edges: int = 0
    arena_bytes: int = 0
    degree_cap: int = 0
    degree_pruned_pairs: int = 0


class ConflictGraphStrategy(Protocol):
    """How edges are found."""

    def build(self, ctx: ConflictGraphContext) -> AdjacencyBuild:
        """Find the edges."""


#: Predicates get the settings, whether the metric is residual correlation, and whether its distances are known.
conflict_strategies = Strategies("conflict", "covertreex.conflict")

# Counts of a strategy that a graph repeats.
GRID_COUNTS = ("grid_cells", "grid_leaders_raw", "grid_leaders_after", "grid_local_edges")
_FORCED = ("forced_selected", "forced_dominated")


class _Pairs(NamedTuple):
    """Distances among the points of a batch."""

    distances: Callable[[], Any]  #: computes them once
    indices: Any = None  #: dataset indices, with residual correlation
    reused: bool = False


def build_conflict_graph(
    tree: PCCTree,
    traversal: TraversalResult,
    batch_points: ArrayLike,
    *,
    backend: TreeBackend | None = None,
    context: RuntimeContext | None = None,
) -> ConflictGraph:
    """Find which points of a batch are in each other's way.

    Parameters
    ----------
    tree, batch_points, backend
        As of :func:`covertreex.algo.traverse_collect_scopes`.
    traversal : TraversalResult
        Parents and scopes of the points, of that function.
    context : RuntimeContext, optional
        Settings (metric, ``conflict_graph_impl``, ...); by default the active ones.

    Raises
    ------
    ResidualPairwiseCacheError
        With residual correlation, if ``traversal`` has lost its ``residual_cache``.
    """
    backend = tree.backend if backend is None else backend
    runtime = (runtime_context() if context is None else context).config
    batch = changes.batch_rows(batch_points, backend)
    if len(batch) != len(traversal.parents):
        raise ValueError(f"batch_points: expected {len(traversal.parents)}, as in traversal, got {len(batch)}")
    is_residual = runtime.metric == _RESIDUAL
    start = time.perf_counter()
    pairs = _pairs(backend, runtime, traversal, batch)
    paired = time.perf_counter()
    radii = _radii(tree, traversal, runtime)
    given = _context(backend, runtime, batch, traversal, radii, pairs)
    grouped = time.perf_counter()
    strategy: ConflictGraphStrategy = conflict_strategies.select(runtime, is_residual, is_residual)
    built = strategy.build(given)
    indptr, indices = _rows_of_edges(built, given)
    joined = time.perf_counter()
    bins = _bins(radii)
    groups = group_by_int(bins, np.arange(len(bins)), backend=backend)
    seconds = (paired - start, grouped - paired, joined - grouped, time.perf_counter() - joined)
    to_int, to_float = backend.default_int, backend.default_float
    return ConflictGraph(
        indptr=backend.asarray(indptr, dtype=to_int), indices=backend.asarray(indices, dtype=to_int),
        pairwise_distances=later(pairs.distances),
        scope_indptr=traversal.scope_indptr, scope_indices=traversal.scope_indices,
        radii=backend.asarray(radii, dtype=to_float),
        annulus_bounds=backend.asarray(np.column_stack([np.zeros(len(radii)), radii]), dtype=to_float),
        annulus_bins=backend.asarray(bins, dtype=to_int), annulus_bin_indptr=groups.indptr,
        annulus_bin_indices=backend.asarray(groups.values, dtype=to_int), annulus_bin_ids=groups.keys,
        timings=_timings(seconds, built, pairs), **{name: getattr(built, name) for name in (*GRID_COUNTS, *_FORCED)},
    )  # fmt: skip


def _pairs(backend: TreeBackend, runtime: RuntimeConfig, traversal: TraversalResult, batch: Any) -> _Pairs:
    if runtime.metric != _RESIDUAL:
        return _Pairs(functools.cache(lambda: metrics.get_metric(runtime.metric).pairwise(backend, batch, batch)))
    cache = traversal.residual_cache
    if cache is not None:
        return _Pairs(lambda: cache.pairwise, cache.batch_indices, True)
    if traversal.engine.startswith("residual") and (np.asarray(traversal.parents) >= 0).any():
        raise ResidualPairwiseCacheError("traversal: expected one with its residual_cache, got None")
    data = host_data.get_residual_backend()
    indices = decode_indices(data, batch)
    return _Pairs(functools.cache(lambda: compute_residual_pairwise_matrix(data, indices)), indices)


def _radii(tree: PCCTree, traversal: TraversalResult, runtime: RuntimeConfig) -> Floats:
    parents = np.asarray(traversal.parents, np.int64)
    radii = np.exp2(np.asarray(traversal.levels, np.float64) + 1)
    has_parent = np.flatnonzero(parents >= 0)
    subtree = np.asarray(tree.si_cache, np.float64)[parents[has_parent]]
    radii[has_parent] = np.fmax(radii[has_parent], np.where(np.isfinite(subtree), subtree, 0))
    cache = traversal.residual_cache
    if runtime.metric == _RESIDUAL and cache is not None and cache.scope_radii is not None:
        reached = np.maximum(cache.scope_radii, runtime.residual_radius_floor)
        known = has_parent[np.isfinite(reached[has_parent])]
        radii[known] = reached[known]
    return radii


def _context(
    backend: TreeBackend,
    runtime: RuntimeConfig,
    batch: Any,
    traversal: TraversalResult,
    radii: Floats,
    pairs: _Pairs,
) -> ConflictGraphContext:
    starts = np.asarray(traversal.scope_indptr, np.int64)
    levels = np.where(np.asarray(traversal.parents) >= 0, np.asarray(traversal.levels), 0)
    distances = later(pairs.distances)
    return ConflictGraphContext(
        backend=backend, runtime=runtime, batch=batch, batch_size=len(batch), scope_indptr=traversal.scope_indptr,
        scope_indices=traversal.scope_indices, radii=backend.asarray(radii, dtype=backend.default_float),
        radii_np=radii, pairwise=distances, pairwise_np=distances,
        residual_pairwise_np=distances if runtime.metric == _RESIDUAL else None,
        point_ids=np.repeat(np.arange(len(batch)), starts[1:] - starts[:-1]), levels=levels,
        batch_dataset_indices=pairs.indices,
    )  # fmt: skip


def _rows_of_edges(built: AdjacencyBuild, given: ConflictGraphContext) -> tuple[NDArray[Any], NDArray[Any]]:
    """The graph by rows; edges of a strategy that has not compared distances with radii are compared here."""
    if built.csr_indptr is not None and built.csr_indices is not None:
        return np.asarray(built.csr_indptr), np.asarray(built.csr_indices)
    sources, targets = np.asarray(built.sources, np.int64), np.asarray(built.targets, np.int64)
    if len(sources) and not built.radius_pruned:
        near = np.asarray(given.pairwise_np)[sources, targets]
        kept = near <= np.minimum(given.radii_np[sources], given.radii_np[targets])
        sources, targets = sources[kept], targets[kept]
    order = np.lexsort((targets, sources))
    counts = np.bincount(sources, minlength=given.batch_size)
    return np.concatenate([[0], np.cumsum(counts)]), targets[order]


def _bins(radii: Floats) -> Indices:
    finite = np.isfinite(radii)
    exponents = np.floor(np.log2(np.maximum(np.where(finite, radii, 1.0), 1.0)))
    return np.where(finite, exponents, -1).astype(np.int64)


def _timings(seconds: tuple[float, float, float, float], built: AdjacencyBuild, pairs: _Pairs) -> ConflictGraphTimings:
    names, known = ConflictGraphTimings.__dataclass_fields__, vars(built)
    counts: dict[str, Any] = {name: value for name, value in known.items() if name in names}
    counts |= {f"adjacency_{name}": float(known[name]) for name in known if f"adjacency_{name}" in names}
    counts |= {f"scope_{name}": known[name] for name in known if f"scope_{name}" in names}
    return ConflictGraphTimings(*seconds, **counts, pairwise_reused=int(pairs.reused))

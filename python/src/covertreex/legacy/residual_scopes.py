"""Parents and scopes by residual correlation; see :mod:`covertreex.legacy.traversal`.

Points must be in the residual data that is configured. The limits of covertreex 0.4.x hold: a least radius, a largest
radius for each level, a largest number of nodes. A scope has all nodes within its radius up to that number; there is no
budget that stops the scan earlier.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import host_data
from .backend import TreeBackend
from .deferred import Later
from .model import RuntimeConfig
from .residual_distances import (
    ResidualDistanceTelemetry,
    compute_residual_distances_from_kernel,
    compute_residual_pairwise_matrix,
    decode_indices,
)
from .scope_caps import get_scope_cap_table
from .traversal import (
    ResidualTraversalCache,
    TraversalResult,
    TraversalTimings,
    blocks,
    cover_radii,
    result_of,
    scopes_of,
    traversal_strategies,
    without_scopes,
)
from .trees import PCCTree

__all__ = ["ResidualTraversal"]

_MOST_NODES, _USUAL_NODES = 16_384, 64  # of a scope: by any setting, and without one
_SLACK = 1e-9

Floats = NDArray[np.float64]


class ResidualTraversal:
    """Parents and scopes by residual correlation."""

    def collect(self, tree: PCCTree, batch: Any, *, backend: TreeBackend, runtime: RuntimeConfig) -> TraversalResult:
        """Find those of a batch of points of the dataset."""
        start = time.perf_counter()
        data, counts = host_data.get_residual_backend(), ResidualDistanceTelemetry()
        asked = decode_indices(data, batch)
        nodes = decode_indices(data, tree.points) if not tree.is_empty() else np.empty(0, np.int64)
        pairwise = Later(lambda: compute_residual_pairwise_matrix(data, asked))
        if not len(nodes):
            return _without_nodes(backend, asked, pairwise, runtime)
        parents, scopes = np.empty(len(asked), np.int64), []
        reach = [np.empty(len(asked)) for _ in range(4)]
        initial, limits, caps, observed = reach
        limit = _scope_limit(runtime)
        for rows in blocks(len(asked), len(nodes)):
            began = time.perf_counter()
            kernel = data.kernel_provider(asked[rows], nodes)
            counts.record_kernel(len(asked[rows]), len(nodes), time.perf_counter() - began)
            distances = compute_residual_distances_from_kernel(data, asked[rows], nodes, kernel)
            parents[rows] = distances.argmin(axis=1)
            levels = np.asarray(tree.top_levels)[parents[rows]]
            initial[rows] = np.maximum(cover_radii(tree, parents[rows]), runtime.residual_radius_floor)
            caps[rows] = _caps(levels, runtime)
            limits[rows] = np.minimum(initial[rows], caps[rows])
            within = distances <= limits[rows][:, None] + _SLACK
            scopes += scopes_of(tree, parents[rows], within.copy(), limit)
            observed[rows] = np.where(within, distances, 0.0).max(axis=1)
        sizes = np.array(list(map(len, scopes)))
        is_cut = (sizes >= limit).astype(np.uint8)
        cache = ResidualTraversalCache(
            batch_indices=asked, pairwise=pairwise, scope_radii=observed,  # type: ignore[arg-type]
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
        more = {"timings": timings, "residual_cache": cache, "engine": "residual_parallel"}
        return result_of(tree, parents, scopes, backend, **more)


def _without_nodes(
    backend: TreeBackend, asked: NDArray[np.int64], pairwise: Later, runtime: RuntimeConfig
) -> TraversalResult:
    empty = without_scopes(backend, len(asked))
    floor = np.full(len(asked), runtime.residual_radius_floor)
    cache = ResidualTraversalCache(
        batch_indices=asked, pairwise=pairwise, scope_radii=np.zeros(len(asked)),  # type: ignore[arg-type]
        scope_saturated=np.zeros(len(asked), np.uint8), scope_radius_initial=floor, scope_radius_limits=floor.copy(),
    )  # fmt: skip
    return TraversalResult(**{**vars(empty), "residual_cache": cache, "engine": "residual_parallel"})


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


traversal_strategies.register(
    "residual_sparse", predicate=lambda runtime, backend: runtime.metric == "residual_correlation",
    factory=ResidualTraversal, is_own=True,
)  # fmt: skip

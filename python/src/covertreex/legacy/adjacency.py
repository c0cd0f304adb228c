"""Strategies for the edges of a conflict graph: by the nodes that scopes share, and by grids."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .conflicts import AdjacencyBuild, ConflictGraphContext, conflict_strategies
from .host_data import Floats, Indices

_SHIFTS = 3
_FINEST = 1e-6  # the least width of a cell, relative to the extent of the points
_RESIDUAL_SLACK = 1e-9

_NONE = np.empty(0, np.int64)


class ScopeConflicts:
    """Edges between points that share a node of their scopes and are within the smaller one of their radii."""

    def build(self, ctx: ConflictGraphContext) -> AdjacencyBuild:
        """Find the edges."""
        start = time.perf_counter()
        groups, n_nodes = _groups(np.asarray(ctx.scope_indices, np.int64), np.asarray(ctx.point_ids, np.int64))
        grouped = time.perf_counter()
        counts: dict[str, Any] = {
            "membership_seconds": grouped - start, "scope_groups": n_nodes, "scope_groups_unique": len(groups),
            "scope_domination_ratio": len(groups) / n_nodes if n_nodes else 0.0,
            "max_group_size": max(map(len, groups), default=0),
        }  # fmt: skip
        shared = [group for group in groups if len(group) > 1]
        if not shared:
            return AdjacencyBuild(_NONE, _NONE, radius_pruned=True, **counts)
        is_edge = np.zeros((ctx.batch_size, ctx.batch_size), bool)
        for group in shared:
            is_edge[np.ix_(group, group)] = True
        np.fill_diagonal(is_edge, False)
        candidates = int(np.count_nonzero(is_edge))
        slack = 0.0 if ctx.residual_pairwise_np is None else _RESIDUAL_SLACK
        is_edge &= np.asarray(ctx.pairwise_np) <= np.minimum.outer(ctx.radii_np, ctx.radii_np) + slack
        sources, targets = np.nonzero(is_edge)
        return AdjacencyBuild(
            sources, targets, radius_pruned=True, scatter_seconds=time.perf_counter() - grouped,
            candidate_pairs=candidates, total_pairs=len(sources), **counts,
        )  # fmt: skip


def _groups(nodes: Indices, points: Indices) -> tuple[list[Indices], int]:
    """The different sets of points that have a node in their scopes, and the number of nodes."""
    order = np.lexsort((points, nodes))
    nodes, points = nodes[order], points[order]
    cuts = np.flatnonzero(np.diff(nodes)) + 1
    groups = np.split(points, cuts) if len(nodes) else []
    return list({group.tobytes(): group for group in groups}.values()), len(groups)


class GridConflicts:
    """No edges, but a choice of points: the first one in each cell of some shifted grids, as far as they are apart.

    A cell is as wide as the cover radius of the level below. The order of the points in a cell, and later of the
    leaders, is a hash of index and level: the finalizer of SplitMix64 (G. Steele, D. Lea and C. Flood, "Fast splittable
    pseudorandom number generators", OOPSLA 2014).
    """

    def build(self, ctx: ConflictGraphContext) -> AdjacencyBuild:
        """Choose the points."""
        points = np.asarray(ctx.batch if ctx.grid_points is None else ctx.grid_points, np.float64)
        levels = np.asarray(ctx.levels, np.int64)
        seeds = ctx.runtime.seeds
        seed = seeds.resolved("residual_grid", fallback=seeds.resolved("mis"))
        leaders, ranks, cells = _leaders(points, levels, seed)
        chosen, compared = _apart(points, np.exp2(levels + 1.0), leaders[np.argsort(ranks[leaders], kind="stable")])
        selected = np.zeros(len(points), np.int32)
        selected[chosen] = 1
        counts = np.diff(np.asarray(ctx.scope_indptr, np.int64))
        used = int(np.count_nonzero(counts))
        return AdjacencyBuild(
            _NONE, _NONE, csr_indptr=np.zeros(len(points) + 1, np.int64), csr_indices=_NONE, radius_pruned=True,
            max_group_size=int(counts.max(initial=0)), scope_groups=len(counts), scope_groups_unique=used,
            scope_domination_ratio=used / len(counts) if len(counts) else 0.0, forced_selected=selected,
            forced_dominated=1 - selected, grid_cells=cells, grid_leaders_raw=len(leaders),
            grid_leaders_after=len(chosen), grid_local_edges=compared,
        )  # fmt: skip


def _leaders(points: Floats, levels: Indices, seed: int) -> tuple[Indices, NDArray[np.uint64], int]:
    """The first point in each cell of some grids, the least rank of each point, and the number of cells."""
    extent = float(np.ptp(points, axis=0).max(initial=0.0))
    widths = np.maximum(np.exp2(levels.astype(np.float64)), max(_FINEST * extent, np.finfo(float).tiny))
    hashed = np.arange(len(points), dtype=np.uint64) ^ (levels.astype(np.uint64) << np.uint64(33))
    ranks = np.full(len(points), np.iinfo(np.uint64).max)
    is_leader, cells = np.zeros(len(points), bool), 0
    for shift in range(seed, seed + _SHIFTS):
        offset = np.random.default_rng(shift).random(points.shape[1]) - 0.5
        cell = np.unique(np.floor(points / widths[:, None] + offset), axis=0, return_inverse=True)[1].reshape(-1)
        rank = _mixed(hashed ^ np.uint64(shift + 1))
        order = np.lexsort((rank, cell))
        first = order[np.flatnonzero(np.diff(cell[order], prepend=-1))]
        cells += len(first)
        is_leader[first] = True
        ranks[first] = np.minimum(ranks[first], rank[first])
    return np.flatnonzero(is_leader), ranks, cells


def _apart(points: Floats, radii: Floats, leaders: Indices) -> tuple[list[int], int]:
    """The leaders, one after another, that are farther from those before than the smaller radius; and comparisons."""
    chosen: list[int] = []
    compared = 0
    for leader in leaders.tolist():
        distances = np.linalg.norm(points[chosen] - points[leader], axis=1)
        near = np.flatnonzero(distances <= np.minimum(radii[chosen], radii[leader]))
        compared += int(near[0]) + 1 if len(near) else len(chosen)
        if not len(near):
            chosen.append(leader)
    return chosen, compared


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    x = values ^ (values >> np.uint64(30))
    x = x * np.uint64(0xBF58476D1CE4E5B9)
    x = x ^ (x >> np.uint64(27))
    x = x * np.uint64(0x94D049BB133111EB)
    return np.asarray(x ^ (x >> np.uint64(31)))


def _is_impl(name: str, residual: bool) -> object:
    return lambda runtime, is_residual, _: is_residual is residual and runtime.conflict_graph_impl == name


for _name, _predicate, _factory in (
    ("residual_grid", _is_impl("grid", True), GridConflicts),
    ("residual", lambda _, is_residual, is_known: is_residual and is_known, ScopeConflicts),
    ("segmented", _is_impl("segmented", False), ScopeConflicts),
    ("grid", _is_impl("grid", False), GridConflicts),
    ("dense", lambda *_: True, ScopeConflicts),
):
    conflict_strategies.register(_name, predicate=_predicate, factory=_factory, is_own=True)  # type: ignore[arg-type]

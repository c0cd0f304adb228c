"""Maximal independent sets of graphs.

Graphs of low degree are processed node by node, which gives the lexicographically first set; others in rounds (M. Luby,
"A simple parallel algorithm for the maximal independent set problem", SIAM J. Comput. 15, 1986): in each round the
nodes enter whose priority is above the priorities of all their neighbours. Priorities are a hash of node, seed and
round, by shifts of G. Marsaglia, "Xorshift RNGs", J. Stat. Soft. 8 (2003). They are a bijection of the node, so no two
are equal.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .backend import TreeBackend
from .conflicts import ConflictGraph
from .context import current_runtime_context
from .model import RuntimeConfig

__all__ = ["MISResult", "batch_mis_seeds", "run_mis"]

_LOW_DEGREE = 8
_GOLDEN = 0x9E3779B9  # 2**32 over the golden ratio: neighbouring rounds have far apart bits


@dataclass(frozen=True)
class MISResult:
    """A maximal independent set: no two of its nodes are neighbours, and each other node has a neighbour in it."""

    independent_set: NDArray[Any]  #: (nodes,) 1 for nodes of the set, 0 for others
    iterations: int  #: rounds


def _config(runtime: RuntimeConfig | None) -> RuntimeConfig:
    if runtime is not None:
        return runtime
    active = current_runtime_context()
    return RuntimeConfig.from_env() if active is None else active.config


def batch_mis_seeds(count: int, *, seed: int | None = None, runtime: RuntimeConfig | None = None) -> tuple[int, ...]:
    """Derive ``count`` seeds from one seed, one for each batch: numbers from 0 to 2**32 - 1.

    The default is the seed of ``runtime``, or of the active settings.
    """
    if count < 0:
        raise ValueError(f"count: expected 0 or more, got {count}")
    if count == 0:
        return ()
    first = _config(runtime).seeds.resolved("mis") if seed is None else seed
    return tuple(int(one.generate_state(1)[0]) for one in np.random.SeedSequence(first).spawn(count))


def run_mis(
    backend: TreeBackend, graph: ConflictGraph, *, seed: int | None = None, runtime: RuntimeConfig | None = None
) -> MISResult:
    """Find a maximal independent set of a conflict graph. The same graph and seed give the same set.

    Parameters
    ----------
    backend : TreeBackend
        The type of the result.
    graph : ConflictGraph
        Its ``indptr`` and ``indices`` are read; each edge is in them from both of its nodes.
    seed, runtime : optional
        For the priorities of graphs with a degree above 8; as of :func:`batch_mis_seeds`.
    """
    indptr, indices = np.asarray(graph.indptr, np.int64), np.asarray(graph.indices, np.int64)
    n = len(indptr) - 1
    if n == 0:
        return MISResult(backend.asarray([], dtype=backend.default_int), 0)
    degrees = np.diff(indptr)
    if degrees.max() <= _LOW_DEGREE:
        members, rounds = _in_sequence(indptr, indices), 1
    else:
        chosen = _config(runtime).seeds.resolved("mis") if seed is None else seed
        members, rounds = _in_rounds(np.repeat(np.arange(n), degrees), indices, n, chosen)
    return MISResult(backend.asarray(members, dtype=backend.default_int), rounds)


def _in_sequence(indptr: NDArray[np.int64], indices: NDArray[np.int64]) -> NDArray[np.bool_]:
    members = np.ones(len(indptr) - 1, bool)
    for node in np.flatnonzero(np.diff(indptr)):
        if members[node]:
            neighbours = indices[indptr[node] : indptr[node + 1]]
            members[neighbours[neighbours != node]] = False
    return members


def _in_rounds(
    sources: NDArray[np.int64], targets: NDArray[np.int64], n: int, seed: int
) -> tuple[NDArray[np.bool_], int]:
    is_edge = sources != targets
    sources, targets = sources[is_edge], targets[is_edge]
    active, members = np.ones(n, bool), np.zeros(n, bool)
    rounds = 0
    while active.any():
        rounds += 1
        rank = _priorities(n, seed, rounds)
        winners = active.copy()
        winners[sources[active[targets] & (rank[targets] > rank[sources])]] = False
        members |= winners
        active[winners] = False
        active[targets[winners[sources]]] = False
    return members, rounds


def _priorities(n: int, seed: int, iteration: int) -> NDArray[np.uint32]:
    key = np.uint32((seed ^ (iteration * _GOLDEN)) & 0xFFFFFFFF)
    x = np.arange(n, dtype=np.uint32) ^ key
    x ^= x << np.uint32(13)
    x ^= x >> np.uint32(17)
    x ^= x << np.uint32(5)
    return np.asarray(x)

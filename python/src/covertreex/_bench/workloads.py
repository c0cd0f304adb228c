"""Named workloads: data, a search, its truth in float64, and others that do the same."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..factory import cover_tree, residual_tree
from ..kernels import RBF, Kernel, Matern52
from . import truth
from .clocks import alternate, timed
from .peers import PEERS

Found = NDArray[Any]


@dataclass(frozen=True)
class Workload:
    """Standard normal points, and a search among them."""

    name: str
    title: str
    n_points: int
    dim: int
    k: int
    n_queries: int | None  #: None: all points, each among those before it
    kernel: Kernel | None = None
    n_inducing: int = 512

    def points(self, scale: float) -> NDArray[np.float64]:
        """The points, of which there are fewer where ``scale`` is below 1."""
        return np.random.default_rng(42).standard_normal((max(64, int(self.n_points * scale)), self.dim))

    def queries(self, n_points: int, scale: float) -> NDArray[Any] | None:
        """New points, or for residual correlation some of the points."""
        if self.n_queries is None:
            return None
        rng, count = np.random.default_rng(7), max(1, int(self.n_queries * scale))
        if self.kernel is None:
            return rng.standard_normal((count, self.dim))
        return rng.choice(n_points, min(count, n_points), replace=False)


WORKLOADS = {
    one.name: one
    for one in (
        Workload("euclidean-3d", "32 768 x 3, k 50, Euclidean", 32_768, 3, 50, 32_768),
        Workload("euclidean-8d", "200 000 x 8, k 10, Euclidean", 200_000, 8, 10, 10_000),
        Workload("gold-rbf", "the gold standard: 32 768 x 3, 1 024 queries, k 50, RBF", 32_768, 3, 50, 1024, RBF()),
        Workload("gold-matern52", "the gold standard with Matern 5/2", 32_768, 3, 50, 1024, Matern52()),
        Workload("vecchia-rbf", "30 nearest predecessors of 32 768 x 3, RBF", 32_768, 3, 30, None, RBF()),
        Workload("vecchia-matern52", "the same with Matern 5/2", 32_768, 3, 30, None, Matern52()),
    )
}


@dataclass(frozen=True)
class Result:
    """The result of one contender on a workload."""

    workload: str
    who: str
    n_points: int
    build_seconds: float
    first_seconds: float  #: of the first search, which makes structures for later ones
    seconds: float  #: of a later search
    queries_per_second: float
    recall: float


def run(name: str, *, scale: float, who: list[str], turns: int, report: Callable[[float], object]) -> list[Result]:
    """Measure on a workload: ``"covertreex"`` and peers, whose later searches alternate."""
    workload = WORKLOADS[name]
    points = workload.points(scale)
    queries = workload.queries(len(points), scale)
    n_queries = len(points) if queries is None else len(queries)
    true = _truth(workload, points, queries)
    builds, searches, firsts, recalls = {}, {}, {}, {}
    for done, one in enumerate(who):
        if one in PEERS:
            PEERS[one]()  # Importing a package is not a part of its build.
        builds[one], searches[one] = timed(partial(CONTENDERS[one], workload, points, queries))
        firsts[one], found = timed(searches[one])
        recalls[one] = true.recall(found)
        report((done + 1) / (len(who) + 1))
    later = {one: statistics.median(times or [firsts[one]]) for one, times in alternate(searches, turns).items()}
    report(1.0)
    return [
        Result(name, one, len(points), builds[one], firsts[one], later[one], n_queries / later[one], recalls[one])
        for one in who
    ]


def _truth(workload: Workload, points: NDArray[np.float64], queries: NDArray[Any] | None) -> truth.Truth:
    if workload.kernel is not None:
        return truth.residual(_residual_tree(workload, points), points, queries, workload.k)
    assert queries is not None
    return truth.euclidean(points, queries, workload.k, most=200)


def _residual_tree(workload: Workload, points: NDArray[np.float64]) -> Any:
    assert workload.kernel is not None
    return residual_tree(points, workload.kernel, n_inducing=min(workload.n_inducing, len(points)))


def _ours(workload: Workload, points: NDArray[np.float64], queries: NDArray[Any] | None) -> Callable[[], Found]:
    tree: Any = cover_tree(points) if workload.kernel is None else _residual_tree(workload, points)
    return lambda: tree.knn(workload.k, queries=queries, predecessor_mode=queries is None)


def _brute_force(workload: Workload, points: NDArray[np.float64], queries: NDArray[Any] | None) -> Callable[[], Found]:
    """NumPy in float64, block by block."""
    kernel, k = workload.kernel, workload.k
    n = len(points) if queries is None else len(queries)
    if kernel is not None:
        tree = _residual_tree(workload, points)
        v, p = tree.v_matrix, tree.residual_variance

    def block(rows: NDArray[np.int64]) -> Found:
        if kernel is None:
            assert queries is not None
            q = queries[rows]
            distances = (points**2).sum(axis=1) - 2 * q @ points.T
        else:
            indices = rows if queries is None else queries[rows]
            distances = -np.abs((kernel(points[indices], points) - v[indices] @ v.T) / np.sqrt(p))
            if queries is None:
                distances[np.arange(len(points)) >= indices[:, None]] = np.inf
        best = np.argpartition(distances, k - 1, axis=1)[:, :k]
        near = np.take_along_axis(distances, best, axis=1)
        best = np.where(np.isinf(near), -1, best)
        return np.take_along_axis(best, np.argsort(near, axis=1, kind="stable"), axis=1)

    return lambda: np.concatenate([block(np.arange(first, min(n, first + 256))) for first in range(0, n, 256)])


def _peer(
    name: str, workload: Workload, points: NDArray[np.float64], queries: NDArray[Any] | None
) -> Callable[[], Found]:
    if workload.kernel is not None or queries is None:
        raise ValueError(f"{workload.name}: only covertreex and numpy know residual correlation")
    peer = PEERS[name]()
    tree = peer.build(points)
    return lambda: peer.query(tree, queries, workload.k)


#: Who can be measured; each makes a search of a workload and its data.
CONTENDERS: dict[str, Callable[[Workload, NDArray[np.float64], NDArray[Any] | None], Callable[[], Found]]] = {
    "covertreex": _ours,
    "numpy": _brute_force,
    **{name: partial(_peer, name) for name in PEERS},
}

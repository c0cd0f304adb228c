"""Named workloads: data, a search, its truth in float64, and others that do the same."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .factory import cover_tree, residual_tree
from .kernels import RBF, Kernel, Matern52

# Rows whose answers are compared with the truth.
_CHECKED = 200

Found = NDArray[np.int64]


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
    first_seconds: float  #: of the first search, which prepares what later ones share
    seconds: float  #: of a later search
    queries_per_second: float
    recall: float


def run(name: str, *, scale: float, who: list[str], turns: int, report: Callable[[float], object]) -> list[Result]:
    """Measure on a workload, one after the other: ``"covertreex"`` and peers."""
    workload = WORKLOADS[name]
    points = workload.points(scale)
    queries = workload.queries(len(points), scale)
    n_queries = len(points) if queries is None else len(queries)
    truth = _Truth(workload, points, queries)
    results = []
    for place, one in enumerate(who):
        if one in _PACKAGES:
            importlib.import_module(_PACKAGES[one])  # which takes time that is not theirs
        start = time.perf_counter()
        search = CONTENDERS[one](workload, points, queries)
        built = time.perf_counter() - start
        times = []
        for _ in range(1 + turns):
            start = time.perf_counter()
            found = search()
            times.append(time.perf_counter() - start)
        later = float(np.median(times[1:] or times))
        results.append(Result(name, one, len(points), built, times[0], later, n_queries / later, truth.recall(found)))
        report((place + 1) / len(who))
    return results


class _Truth:
    """Distances in float64 of some queries to all points."""

    def __init__(self, workload: Workload, points: NDArray[np.float64], queries: NDArray[Any] | None) -> None:
        n = len(points) if queries is None else len(queries)
        self._rows = np.unique(np.linspace(0, n - 1, min(n, _CHECKED)).astype(int))
        self._k = workload.k
        if workload.kernel is None:
            assert queries is not None
            self._distances = _euclidean(queries[self._rows], points)
            return
        indices = self._rows if queries is None else queries[self._rows]
        tree = _residual_tree(workload, points)
        v, p = tree.v_matrix, tree.residual_variance
        covariances = workload.kernel(points[indices], points) - v[indices] @ v.T
        self._distances = 1 - np.abs(covariances / np.sqrt(np.outer(p[indices], p)))
        if queries is None:
            self._distances[np.arange(len(points)) >= indices[:, None]] = np.inf

    def recall(self, found: Found) -> float:
        """The share of the neighbours that are no farther than the true ones."""
        hits = wanted = 0
        for row, distances in zip(found[self._rows], self._distances):
            most = min(self._k, int(np.isfinite(distances).sum()))
            if most:
                bound = np.partition(distances, most - 1)[most - 1]
                there = row[row >= 0][:most]
                hits += int((distances[there] <= bound * (1 + 1e-9) + 1e-12).sum())
                wanted += most
        return hits / wanted if wanted else 1.0


def _euclidean(queries: NDArray[np.float64], points: NDArray[np.float64]) -> NDArray[np.float64]:
    squares = np.zeros((len(queries), len(points)))
    for column in range(points.shape[1]):
        squares += (queries[:, column, None] - points[None, :, column]) ** 2
    return squares


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


def _scipy(workload: Workload, points: NDArray[np.float64], queries: NDArray[Any] | None) -> Callable[[], Found]:
    tree = importlib.import_module("scipy.spatial").cKDTree(_euclidean_only(workload, points))
    return lambda: np.asarray(tree.query(queries, workload.k, workers=-1)[1])


def _sklearn(workload: Workload, points: NDArray[np.float64], queries: NDArray[Any] | None) -> Callable[[], Found]:
    tree = importlib.import_module("sklearn.neighbors").KDTree(_euclidean_only(workload, points))
    return lambda: np.asarray(tree.query(queries, workload.k, return_distance=False))


def _pykdtree(workload: Workload, points: NDArray[np.float64], queries: NDArray[Any] | None) -> Callable[[], Found]:
    tree = importlib.import_module("pykdtree.kdtree").KDTree(_euclidean_only(workload, points))
    return lambda: np.asarray(tree.query(queries, workload.k)[1], np.int64)


def _euclidean_only(workload: Workload, points: NDArray[np.float64]) -> NDArray[np.float64]:
    if workload.kernel is not None:
        raise ValueError(f"{workload.name}: only covertreex and numpy know residual correlation")
    return points


_PACKAGES = {"scipy": "scipy.spatial", "scikit-learn": "sklearn.neighbors", "pykdtree": "pykdtree.kdtree"}

#: Who can be measured; each makes a search of a workload and its data.
CONTENDERS: dict[str, Callable[[Workload, NDArray[np.float64], NDArray[Any] | None], Callable[[], Found]]] = {
    "covertreex": _ours,
    "numpy": _brute_force,
    "scipy": _scipy,
    "scikit-learn": _sklearn,
    "pykdtree": _pykdtree,
}

"""Searches for conditioning sets, among points by rank."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .. import _calls
from .._calls import ProgressReport
from ..kernels import scaled
from ..residual import ResidualTree
from ..residual._inputs import KernelLike
from ..tree import CoverTree

Ranks = NDArray[np.int64]


class Search:
    """The data of a model, by rank, in a tree of the model's metric.

    The first search for new points builds a tree that stays, of the size of the features.

    ``n_neighbors`` of a search are fewer where there are no more points. New points have the ranks from n on.
    """

    def __init__(
        self,
        ranked: NDArray[np.float64],
        kernel: KernelLike,
        metric: str,
        inducing: NDArray[np.float64],
        jitter: float,
    ) -> None:
        self._ranked, self._kernel, self._metric = ranked, kernel, metric
        self._inducing, self._jitter = inducing, jitter
        self._tree: ResidualTree | CoverTree | None = None

    def with_kernel(self, kernel: KernelLike) -> Search:
        """The same points, to be searched by the metric of another kernel."""
        return Search(self._ranked, kernel, self._metric, self._inducing, self._jitter)

    def _in_space(self, points: NDArray[np.float64], n_threads: int | None) -> CoverTree:
        return CoverTree(scaled(points, self._kernel, "coords"), n_threads=n_threads)

    def _built(
        self, n_threads: int | None, progress: ProgressReport | None
    ) -> tuple[ResidualTree | CoverTree, ProgressReport | None]:
        """The tree, and the report of the search that follows."""
        if self._tree is None:
            build, progress = _calls.part(progress, 0, 0.4), _calls.part(progress, 0.4, 1)
            if self._metric == "euclidean":
                self._tree = self._in_space(self._ranked, n_threads)
            else:
                self._tree = ResidualTree(
                    self._ranked, kernel=self._kernel, inducing_points=self._inducing, jitter=self._jitter,
                    n_threads=n_threads, progress=build,
                )  # fmt: skip
        return self._tree, progress

    def predecessors(self, n_neighbors: int, n_threads: int | None, progress: ProgressReport | None) -> Ranks:
        """The nearest of the points before each one, (n, k), filled up with -1."""
        n = len(self._ranked)
        width = min(n_neighbors, n - 1)
        if width <= 0:
            return np.empty((n, 0), np.int64)
        tree, progress = self._built(n_threads, progress)
        found = tree.knn(width, predecessor_mode=True, n_threads=n_threads, progress=progress)
        self._tree = None  # the model needs the memory
        return np.asarray(found, np.int64)

    def nearest(
        self, points: NDArray[np.float64], n_neighbors: int, n_threads: int | None, progress: ProgressReport | None
    ) -> Ranks:
        """The nearest data of new points, (q, k)."""
        width = min(n_neighbors, len(self._ranked))
        if not width or not len(points):
            return np.empty((len(points), 0), np.int64)
        tree, progress = self._built(n_threads, progress)
        queries = scaled(points, self._kernel, "new") if isinstance(tree, CoverTree) else points
        return np.asarray(tree.knn(width, queries=queries, n_threads=n_threads, progress=progress), np.int64)

    def nearest_of_all(
        self, points: NDArray[np.float64], n_neighbors: int, n_threads: int | None, progress: ProgressReport | None
    ) -> Ranks:
        """For each new point the nearest of the data and of the new points before it, (q, k), filled up with -1."""
        n = len(self._ranked)
        width = min(n_neighbors, n + len(points) - 1)
        if width <= 0 or not len(points):
            return np.empty((len(points), 0), np.int64)
        tree, progress = self._built(n_threads, progress)
        if isinstance(tree, ResidualTree):
            found = tree.conditioning_sets(width, queries=points, cond="all", n_threads=n_threads, progress=progress)
            return np.asarray(found, np.int64)
        with self._in_space(np.concatenate([self._ranked, points]), n_threads) as both:
            rows = np.arange(n, n + len(points))
            found = both.knn(width, queries=rows, predecessor_mode=True, n_threads=n_threads, progress=progress)
        return np.asarray(found, np.int64)

"""The truth in float64, and the share of it that a search found."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Distances = NDArray[np.float64]

# Coordinates to compare, at most, if more than 50 queries are checked.
_COORDINATES = 3e8


class Truth:
    """The nearest points of some queries, with all points that are equally far.

    ``distances`` returns the distances of a query, by its row, to all points: infinite for points that do not count.
    The tolerances cover the rounding of these distances.
    """

    def __init__(
        self,
        distances: Callable[[int], Distances],
        rows: Iterable[int],
        k: int,
        *,
        rtol: float = 1e-12,
        atol: float = 0,
    ) -> None:
        self._nearest: list[tuple[int, int, NDArray[np.intp]]] = []
        for row in rows:
            true = distances(row)
            count = min(k, int(np.isfinite(true).sum()))
            if count:
                farthest = np.partition(true, count - 1)[count - 1]
                self._nearest.append((row, count, np.flatnonzero(true <= farthest * (1 + rtol) + atol)))

    def recall(self, found: NDArray[Any]) -> float:
        """The share of the nearest points that is in ``found``, which has a row of indices for each query."""
        found = found.reshape(len(found), -1)
        hits = sum(min(count, len(np.intersect1d(found[row], near))) for row, count, near in self._nearest)
        wanted = sum(count for _, count, _ in self._nearest)
        return hits / wanted if wanted else 1.0


def checked_rows(n: int, most: int, n_coordinates: int = 0) -> list[int]:
    """Evenly spaced rows of ``n``: ``most`` of them, or fewer if each is compared with many coordinates."""
    if n_coordinates:
        most = min(most, max(50, int(_COORDINATES / n_coordinates)))
    return sorted({int(row) for row in np.linspace(0, n - 1, min(n, most))})


def squared_distances(points: NDArray[Any], query: NDArray[Any]) -> Distances:
    """Squared Euclidean distances; column by column, so that mapped points of any size need little memory."""
    total = np.zeros(len(points))
    for column, value in enumerate(query):
        total += (points[:, column].astype(np.float64) - np.float64(value)) ** 2
    return total


def euclidean(points: NDArray[Any], queries: NDArray[Any], k: int, most: int = 500) -> Truth:
    """The nearest points of up to ``most`` of the queries."""
    rows = checked_rows(len(queries), most, points.size)
    return Truth(lambda row: squared_distances(points, queries[row]), rows, k)


def residual(tree: Any, points: NDArray[Any], queries: NDArray[Any] | None, k: int, most: int = 200) -> Truth:
    """The nearest points of some points of a residual tree; without ``queries``, those before each of all points."""
    kernel, v, p = tree.kernel, tree.v_matrix, tree.residual_variance

    def distances(row: int) -> Distances:
        index = row if queries is None else queries[row]
        covariances = kernel(points[index : index + 1], points)[0] - v @ v[index]
        true = 1 - np.minimum(np.abs(covariances) / np.sqrt(p[index] * p), 1)
        if queries is None:
            true[index:] = np.inf
        return np.asarray(true, np.float64)

    rows = checked_rows(len(points if queries is None else queries), most)
    return Truth(distances, rows, k, rtol=1e-9, atol=1e-12)

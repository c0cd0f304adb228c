"""Neighbours in other metrics than Euclidean: ours, SciPy's cKDTree and scikit-learn's BallTree, in turns, with recall.

    metrics.py            writes metrics.md
    metrics.py --quick    smaller, writes nothing

Each row has the same points, queries and threads for all. Recall is the share of the nearest 10 of up to 500 queries by a
float64 brute force. The last column is our time relative to our own search by plain Euclidean distance of the same points;
for great circles also of the unit vectors, whose Euclidean neighbours are the right ones. scikit-learn searches in one thread, so it has a tenth of the queries, and its time is multiplied.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import covertreex
import numpy as np
from covertreex._bench.clocks import timed
from covertreex._bench.truth import Truth, checked_rows
from measuring import OtherPrograms
from processes import options
from scipy.spatial import cKDTree
from sklearn.neighbors import BallTree
from tables import machine, spaced, table, write

sys.path.insert(0, str(Path(__file__).parents[1] / "python" / "tests"))
import metric_oracle

K = 10
VI = np.array([[2.0, 0.3, 0.1], [0.3, 1.0, 0.2], [0.1, 0.2, 0.5]])


class Case(NamedTuple):
    """A metric as we know it, and as peers do."""

    title: str
    metric: str
    parameters: Mapping[str, Any] = MappingProxyType({})
    period: float | None = None
    scipy: dict[str, Any] | None = None  # of a query
    ball_tree: dict[str, Any] | None = None
    make: str = "cube"


CASES = (
    Case("Euclidean", "euclidean", scipy={}),
    Case("Manhattan", "manhattan", scipy={"p": 1}),
    Case("Chebyshev", "chebyshev", scipy={"p": np.inf}),
    Case("Minkowski, p = 3", "minkowski", {"p": 3}, scipy={"p": 3}),
    Case("Minkowski, p = 2.5", "minkowski", {"p": 2.5}, scipy={"p": 2.5}),
    Case("Euclidean, weights", "euclidean", {"w": [1.0, 2.0, 0.5]}),
    Case("Euclidean, periodic", "euclidean", period=1.0, scipy={}),
    Case("Manhattan, periodic", "manhattan", period=1.0, scipy={"p": 1}),
    Case(
        "great circle, degrees",
        "haversine",
        {"unit": "degrees"},
        ball_tree={"metric": "haversine"},
        make="sphere",
    ),
    Case("cosine", "cosine", make="vectors"),
    Case(
        "Mahalanobis",
        "mahalanobis",
        {"VI": VI},
        ball_tree={"metric": "mahalanobis", "VI": VI},
        make="vectors",
    ),
)


def drawn(make: str, n: int, rng: np.random.Generator) -> np.ndarray:
    """Points: float32 in the unit cube, or float64 of a normal distribution, or on a sphere in degrees or as unit vectors."""
    if make == "cube":
        return rng.random((n, 3), dtype=np.float32)
    if make == "vectors":
        return rng.normal(size=(n, 3))
    heights, turns = rng.uniform(-1, 1, n), rng.uniform(-180, 180, n)
    if make == "sphere":
        return np.column_stack([np.degrees(np.arcsin(heights)), turns])
    around, wide = np.radians(turns), np.sqrt(1 - heights**2)
    return np.column_stack([wide * np.cos(around), wide * np.sin(around), heights])


def fastest(
    turns: int, *searches: Callable[[], np.ndarray]
) -> tuple[list[float], np.ndarray]:
    """Seconds of the fastest turn of each search, and what the first one found."""
    runs = [[timed(search) for search in searches] for _ in range(turns)]
    seconds = [min(run[which][0] for run in runs) for which in range(len(searches))]
    return seconds, runs[-1][0][1]


def euclidean(make: str, n: int, n_queries: int) -> Callable[[], np.ndarray]:
    """Our search by plain Euclidean distance."""
    rng = np.random.default_rng(1)
    points, queries = drawn(make, n, rng), drawn(make, n_queries, rng)
    tree = covertreex.cover_tree(points)
    return lambda: tree.knn(K, queries=queries, return_distances=True)[0]


def truth(case: Case, points: np.ndarray, queries: np.ndarray) -> Truth:
    """The nearest points by a brute force."""

    def distances(row: int) -> np.ndarray:
        return metric_oracle.distances(
            queries[row : row + 1],
            points,
            case.metric,
            period=case.period,
            **case.parameters,
        )[0]

    rows = checked_rows(len(queries), 500, 3 * len(points))
    return Truth(distances, rows, K, rtol=1e-9)


def searches(
    case: Case, points: np.ndarray, queries: np.ndarray
) -> dict[str, tuple[Callable[[], np.ndarray], int]]:
    """The search of each contender, and the share of the queries that it has, as a divisor."""
    tree = covertreex.cover_tree(
        points, metric=case.metric, metric_params=case.parameters, period=case.period
    )
    found: dict[str, tuple[Callable[[], np.ndarray], int]] = {
        "covertreex": (
            lambda: tree.knn(K, queries=queries, return_distances=True)[0],
            1,
        )
    }
    if case.scipy is not None:
        peer = cKDTree(points, boxsize=case.period)
        how = case.scipy
        found["scipy"] = (lambda: peer.query(queries, K, workers=-1, **how)[1], 1)
    if case.ball_tree is not None:
        turn = np.pi / 180 if case.make == "sphere" else 1.0
        ball, few = BallTree(points * turn, **case.ball_tree), queries[::10] * turn
        found["scikit-learn"] = (lambda: ball.query(few, K)[1], 10)
    return found


def main() -> None:
    """Measure, print, and write the table."""
    given = options(__doc__, turns=5).parse_args()
    n, n_queries, turns = (
        (50_000, 20_000, 1) if given.quick else (1_000_000, 200_000, given.turns)
    )
    others, lines = OtherPrograms(), []
    plain: dict[str, Callable[[], np.ndarray]] = {}
    for case in CASES:
        rng = np.random.default_rng(1)
        points, queries = drawn(case.make, n, rng), drawn(case.make, n_queries, rng)
        besides = [case.make, *(["units"] if case.make == "sphere" else [])]
        for make in besides:
            plain.setdefault(make, euclidean(make, n, n_queries))
        truths: dict[int, Truth] = {}
        for name, (search, share) in searches(case, points, queries).items():
            ours = [plain[make] for make in besides] if name == "covertreex" else []
            (seconds, *others_seconds), indices = fastest(turns, search, *ours)
            if share not in truths:
                truths[share] = truth(case, points, queries[::share])
            recall = truths[share].recall(indices)
            times = ", ".join(f"{seconds / one:.2f}" for one in others_seconds)
            micros = seconds * share / n_queries * 1e6
            lines.append([case.title, name, f"{micros:.2f}", f"{recall:.4f}", times])
            print(*lines[-1], flush=True)
    head = ["metric", "contender", "µs a query", "recall", "times our Euclidean"]
    note = (
        f"{spaced(n)} points of 3 coordinates (great circle: 2), float32 in a cube or float64, {spaced(n_queries)} "
        f"queries, k = {K}; the fastest of {turns} turns, each with our Euclidean search (great circle: of latitude and "
        f"longitude, and of unit vectors), on {machine()}, with {others.cores():.1f} cores in use by other programs. "
        "`benchmarks/metrics.py` writes this table."
    )
    if not given.quick:
        write(
            Path(__file__).with_name("metrics"),
            "\n".join([*table(head, lines), "", note]),
        )


if __name__ == "__main__":
    main()

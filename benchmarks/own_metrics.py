"""Cover trees of a metric of the caller, beside PyNNDescent, scikit-learn's BallTree and brute force, with recall.

    own_metrics.py            writes own_metrics.md
    own_metrics.py --quick    smaller, writes nothing

What counts is the number of evaluations of the metric: of the build for each object, and of a search for each query. The
metrics are compiled by Numba, for all contenders. BallTree counts its own evaluations; those of PyNNDescent are not known.
BallTree calls a function through the interpreter, so it has a hundredth of the queries, and its time is multiplied.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import covertreex
import numba
import numpy as np
from covertreex._bench.clocks import timed
from covertreex.numba import metric as compiled
from measuring import OtherPrograms
from processes import options
from pynndescent import NNDescent
from sklearn.neighbors import BallTree
from tables import machine, spaced, table, write

K = 10
LONGEST = 16


@numba.njit
def great_circle(x, y):
    """Of latitudes and longitudes in radians."""
    a = (
        math.sin((x[0] - y[0]) / 2) ** 2
        + math.cos(x[0]) * math.cos(y[0]) * math.sin((x[1] - y[1]) / 2) ** 2
    )
    return 2 * math.asin(min(1.0, math.sqrt(a)))


@numba.njit
def edit_distance(x, y):
    """Of two rows: the length of a word, and its letters."""
    n, m = int(x[0]), int(y[0])
    row = np.arange(m + 1)
    for i in range(1, n + 1):
        last, row[0] = row[0], i
        for j in range(1, m + 1):
            change = last + (x[i] != y[j])
            last = row[j]
            row[j] = min(row[j] + 1, row[j - 1] + 1, change)
    return float(row[m])


@numba.njit
def hamming(x, y):
    """The number of bits that differ."""
    found = 0
    for i in range(len(x)):
        found += x[i] != y[i]
    return float(found)


@numba.njit
def jaccard(x, y):
    """1 - the share of the common bits."""
    both, one = 0, 0
    for i in range(len(x)):
        a, b = x[i] != 0, y[i] != 0
        both += a and b
        one += a or b
    return 1.0 - both / one if one else 0.0


@numba.njit
def time_warping(x, y):
    """Dynamic time warping within 4 steps: not a metric, as it breaks the triangle inequality."""
    n = len(x)
    before = np.full(n + 1, np.inf)
    before[0] = 0.0
    for i in range(1, n + 1):
        row = np.full(n + 1, np.inf)
        for j in range(max(1, i - 4), min(n, i + 4) + 1):
            row[j] = abs(x[i - 1] - y[j - 1]) + min(
                before[j], row[j - 1], before[j - 1]
            )
        before = row
    return before[n]


def sphere(n: int, rng: np.random.Generator) -> np.ndarray:
    """Points on a sphere."""
    return np.column_stack(
        [np.arcsin(rng.uniform(-1, 1, n)), rng.uniform(-np.pi, np.pi, n)]
    )


def words(n: int, rng: np.random.Generator) -> np.ndarray:
    """Words of syllables, and variants of them with a letter changed: lengths, then letters."""
    syllables = [
        "".join(rng.choice(list("bcdfglmnprst"), 1))
        + "".join(rng.choice(list("aeiou"), 1))
        for _ in range(50)
    ]
    found: set[str] = set()
    while len(found) < n:
        word = "".join(rng.choice(syllables, rng.integers(2, 6)))
        found.add(word)
        letters = list(word)
        letters[rng.integers(len(letters))] = str(
            rng.choice(list("abcdefghijklmnopqrstuvwxyz"))
        )
        found.add("".join(letters) + str(rng.choice(["", "s", "ing", "er"])))
    rows = np.zeros((n, LONGEST + 1))
    for row, word in zip(rows, sorted(found)[:n]):
        row[0] = len(word)
        row[1 : len(word) + 1] = list(word.encode())
    return rng.permutation(rows)


def fingerprints(n: int, rng: np.random.Generator) -> np.ndarray:
    """Bits of molecules that are alike in families: each differs from the first of its family in some bits."""
    families = rng.random((max(1, n // 50), 256)) < 0.15
    bits = families[rng.integers(len(families), size=n)]
    return (bits ^ (rng.random((n, 256)) < rng.uniform(0.005, 0.06, (n, 1)))).astype(
        np.float64
    )


def walks(n: int, rng: np.random.Generator) -> np.ndarray:
    """Time series: random walks of 32 steps that are alike in families."""
    families = rng.standard_normal((max(1, n // 20), 32)).cumsum(axis=1)
    return families[rng.integers(len(families), size=n)] + 0.3 * rng.standard_normal(
        (n, 32)
    ).cumsum(axis=1)


class Case(NamedTuple):
    """A metric and its objects."""

    title: str
    metric: Callable[..., float]
    make: Callable[[int, np.random.Generator], np.ndarray]
    n: int
    queries: int
    ball_tree: str | None = None  # its own metric of this name, for all queries
    graph: bool = True  # whether PyNNDescent takes part


CASES = (
    Case("great circle", great_circle, sphere, 100_000, 2000, "haversine"),
    Case("edit distance, words", edit_distance, words, 100_000, 1000, graph=False),
    Case("Hamming, 256 bits", hamming, fingerprints, 20_000, 1000, "hamming"),
    Case("Jaccard, 256 bits", jaccard, fingerprints, 20_000, 1000, "jaccard"),
    Case("dynamic time warping (no metric)", time_warping, walks, 20_000, 500),
)


def nearest_by_brute_force(function: Callable[..., float]) -> Callable[..., np.ndarray]:
    """All distances of queries from points, in one thread, as a function."""

    @numba.njit
    def distances(queries, points):
        found = np.empty((len(queries), len(points)))
        for i in range(len(queries)):
            for j in range(len(points)):
                found[i, j] = function(queries[i], points[j])
        return found

    distances(np.ones((1, 4)), np.ones((1, 4)))
    return distances


def recall(distances: np.ndarray, indices: np.ndarray) -> float:
    """The share of the k nearest, ties counted as found."""
    worst = np.sort(distances, axis=1)[:, K - 1 : K]
    return float(
        (np.take_along_axis(distances, indices, 1) <= worst * (1 + 1e-9) + 1e-12).mean()
    )


def rows_of(case: Case, n: int, n_queries: int) -> list[list[str]]:
    """The rows of one metric."""
    rng = np.random.default_rng(1)
    drawn = case.make(n + n_queries, rng)
    points, queries = drawn[:n], drawn[n:]
    brute = nearest_by_brute_force(case.metric)
    brute_seconds, truth = timed(lambda: brute(queries, points))
    lines = []

    def add(
        name: str,
        build: float,
        evaluations: Any,
        seconds: float,
        asked: Any,
        found: np.ndarray | None,
    ) -> None:
        shown = (
            "1.0000" if found is None else f"{recall(truth[: len(found)], found):.4f}"
        )
        numbers = [
            f"{one:.1f}" if isinstance(one, float) else one
            for one in (evaluations, asked)
        ]
        lines.append(
            [
                case.title,
                name,
                f"{build:.1f}",
                numbers[0],
                f"{seconds / n_queries * 1e6:.0f}",
                numbers[1],
                shown,
            ]
        )
        print(*lines[-1], flush=True)

    own = compiled(case.metric)
    covertreex.cover_tree(points[:100], metric=own).knn(1)
    build, tree = timed(lambda: covertreex.cover_tree(points, metric=own))
    seconds, found = timed(lambda: tree.knn(K, queries=queries))
    stats = tree.stats()
    add(
        "covertreex",
        build,
        stats.distance_evaluations / n,
        seconds,
        stats.points_compared / n_queries,
        found,
    )
    add("brute force", 0.0, 0.0, brute_seconds, float(n), None)

    few = queries[: max(1, n_queries // 100)]
    build, ball = timed(lambda: BallTree(points, metric=case.ball_tree or case.metric))
    before = ball.get_n_calls()
    asked = queries if case.ball_tree else few
    seconds, found = timed(lambda: ball.query(asked, K, return_distance=False))
    calls = (ball.get_n_calls() - before) / len(asked)
    add("BallTree", build, before / n, seconds * n_queries / len(asked), calls, found)

    if not case.graph:
        return lines
    build, graph = timed(
        lambda: NNDescent(points, metric=case.metric, n_neighbors=2 * K, random_state=1)
    )
    graph.query(queries[:5], K)
    seconds, (found, _) = timed(lambda: graph.query(queries, K))
    add("PyNNDescent", build, "", seconds, "", found)
    return lines


def main() -> None:
    """Measure, print, and write the table."""
    given = options(__doc__, turns=1).parse_args()
    others, lines = OtherPrograms(), []
    for case in CASES:
        n, n_queries = (2000, 100) if given.quick else (case.n, case.queries)
        lines += rows_of(case, n, n_queries)
    head = [
        "metric", "contender", "build, s", "evaluations an object", "µs a query", "evaluations a query", "recall",
    ]  # fmt: skip
    sizes = ", ".join(f"{case.title} {spaced(case.n)}" for case in CASES)
    note = (
        f"Objects: {sizes}; k = {K}, new objects as queries, on {machine()}, with {others.cores():.1f} cores in use by other "
        "programs. Ties count as found. PyNNDescent had no graph of the words after 6 minutes. covertreex and PyNNDescent use all cores. `benchmarks/own_metrics.py` writes this table."
    )
    if not given.quick:
        write(
            Path(__file__).with_name("own_metrics"),
            "\n".join([*table(head, lines), "", note]),
        )


if __name__ == "__main__":
    main()

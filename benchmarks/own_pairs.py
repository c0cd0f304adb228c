"""Questions on pairs in cover trees of a metric of the caller, beside scikit-learn's BallTree and brute force.

    own_pairs.py            writes own_pairs.md
    own_pairs.py --quick    smaller, writes nothing

What counts is the number of evaluations of the metric for each object; that of the build is included. The radius has about
ten neighbours; counts are for ten radii up to three times that one. Brute force evaluates each pair once, in one thread, by
Numba; its spanning tree is Prim's. BallTree has no spanning tree, and counts pairs by its radius search.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import covertreex
import numba
import numpy as np
from covertreex._bench.clocks import timed
from covertreex.numba import metric as compiled
from own_metrics import CASES, Case
from processes import options
from sklearn.neighbors import BallTree
from tables import machine, spaced, table, write

N = 5_000
NEIGHBOURS = 10
RADII = 10


def by_brute_force(function: Callable[..., float]) -> tuple[Any, Any, Any]:
    """The number of pairs within a radius, the numbers within many, and the weight of a spanning tree."""

    @numba.njit
    def pairs(points, radius):
        found = 0
        for i in range(len(points)):
            for j in range(i):
                found += function(points[i], points[j]) <= radius
        return found

    @numba.njit
    def counts(points, radii):
        found = np.zeros(len(radii) + 1, np.int64)
        for i in range(len(points)):
            for j in range(i):
                found[np.searchsorted(radii, function(points[i], points[j]))] += 1
        return found[:-1].cumsum()

    @numba.njit
    def spanning_tree(points):
        n = len(points)
        nearest, is_in, at, weight = np.full(n, np.inf), np.zeros(n, np.bool_), 0, 0.0
        for _ in range(n - 1):
            is_in[at] = True
            following, least = -1, np.inf
            for j in range(n):
                if not is_in[j]:
                    nearest[j] = min(nearest[j], function(points[at], points[j]))
                    if nearest[j] < least:
                        following, least = j, nearest[j]
            weight, at = weight + least, following
        return weight

    few = np.ones((2, 4))
    pairs(few, 1.0), counts(few, np.ones(2)), spanning_tree(few)
    return pairs, counts, spanning_tree


def radius_of(points: np.ndarray, case: Case) -> float:
    """A radius with about ten neighbours, by a sample."""
    with covertreex.cover_tree(points, metric=compiled(case.metric)) as tree:
        _, distances = tree.knn(
            NEIGHBOURS + 1, queries=points[:200], return_distances=True
        )
    return float(np.median(distances[:, -1]))


def rows_of(case: Case, n: int) -> list[list[str]]:
    """The rows of one metric."""
    points = case.make(n, np.random.default_rng(2))
    radius = radius_of(points, case)
    pairs, counts, spanning_tree = by_brute_force(case.metric)
    every = (n - 1) / 2
    lines = []

    def add(
        question: str, who: str, seconds: float, evaluations: float, is_equal: bool
    ) -> None:
        numbers = [f"{seconds:.2f}", f"{evaluations:.0f}"]
        lines.append([case.title, question, who, *numbers, "yes" if is_equal else "NO"])
        print(*lines[-1], flush=True)

    def ours(ask: Callable[[Any], Any]) -> tuple[float, float, Any]:
        """The time, the evaluations for each object, and the answer."""

        def built_and_asked() -> tuple[Any, Any]:
            tree = covertreex.cover_tree(points, metric=compiled(case.metric))
            return tree, ask(tree)

        seconds, (tree, answer) = timed(built_and_asked)
        stats = tree.stats()
        return seconds, (stats.distance_evaluations + stats.points_compared) / n, answer

    brute_seconds, wanted = timed(lambda: pairs(points, radius))
    seconds, evaluations, found = ours(lambda tree: tree.pairs_within(radius))
    add("pairs", "covertreex", seconds, evaluations, len(found) == wanted)
    add("pairs", "brute force", brute_seconds, every, True)

    few = points[: max(1, n // 100)]
    build, ball = timed(lambda: BallTree(points, metric=case.metric))
    built = ball.get_n_calls()

    def by_ball_tree(question: str, ask: Callable[[], Any], wanted: Any) -> None:
        before = ball.get_n_calls()
        asking, found = timed(ask)
        calls = (built + (ball.get_n_calls() - before) * n / len(few)) / n
        seconds = build + asking * n / len(few)
        add(question, "BallTree", seconds, calls, np.array_equal(found, wanted))

    metric, radii = compiled(case.metric), np.linspace(0, 3 * radius, RADII + 1)[1:]
    tree = covertreex.cover_tree(points, metric=metric)
    wanted = tree.radius(radius, queries=few, count_only=True)
    ask = lambda: ball.query_radius(few, radius, count_only=True)
    by_ball_tree("pairs", ask, wanted)

    brute_seconds, numbers = timed(lambda: counts(points, radii))
    seconds, evaluations, found = ours(lambda tree: tree.count_pairs(radii))
    same = np.array_equal(found, 2 * numbers + n)
    add("counts", "covertreex", seconds, evaluations, same)
    add("counts", "brute force", brute_seconds, every, True)
    wanted = covertreex.cover_tree(few, metric=metric).count_pairs(radii, tree)
    by_ball_tree("counts", lambda: ball.two_point_correlation(few, radii), wanted)

    brute_seconds, weight = timed(lambda: spanning_tree(points))
    seconds, evaluations, found = ours(lambda tree: tree.minimum_spanning_tree())
    same = bool(np.isclose(np.sum(found.lengths), weight, rtol=1e-9))
    add("spanning tree", "covertreex", seconds, evaluations, same)
    add("spanning tree", "brute force", brute_seconds, every, True)
    return lines


def main() -> None:
    """Measure, print, and write the table."""
    given = options(__doc__, turns=1).parse_args()
    n, lines = 1000 if given.quick else N, []
    for case in CASES[:4]:
        lines += rows_of(case, n)
    head = ["metric", "question", "contender", "s", "evaluations an object", "equal"]
    note = (
        f"{spaced(n)} objects, on {machine()}. BallTree calls a function through the interpreter: it has a hundredth of the "
        "objects, and its time is multiplied. `benchmarks/own_pairs.py` writes this table."
    )
    if not given.quick:
        write(
            Path(__file__).with_name("own_pairs"),
            "\n".join([*table(head, lines), "", note]),
        )


if __name__ == "__main__":
    main()

"""Searches among admitted points: a filter of ours beside trees of the admitted points alone, in one run.

    filters.py            writes filters.md
    filters.py --quick    smaller, writes nothing

A filter is for one call, so the trees of the admitted points are built in the call. Time is the time of all threads of the process, the
median of the turns: SciPy has one thread. Recall is the share of SciPy's neighbours that are found, with equal distances counting alike.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from covertreex import cover_tree
from covertreex._bench.clocks import timed
from processes import options
from scipy.spatial import cKDTree
from tables import machine, spaced, table, write

K = 10
SHARES = (0.01, 0.1, 0.5, 1.0)

Found = tuple[np.ndarray, np.ndarray]
Contenders = dict[str, Callable[[], Found]]


def scattered(points: np.ndarray, share: float) -> np.ndarray:
    """At random."""
    return np.random.default_rng(1).random(len(points)) < share


def region(points: np.ndarray, share: float) -> np.ndarray:
    """In a half-space."""
    return points[:, 0] <= np.quantile(points[:, 0], share)


def contenders(points: np.ndarray, queries: np.ndarray, mask: np.ndarray) -> Contenders:
    """The nearest admitted points: indices and distances."""
    tree = cover_tree(points)

    def of_part(search: Callable[[np.ndarray], Found]) -> Found:
        rows = np.flatnonzero(mask)
        indices, distances = search(points[rows])
        return rows[indices], distances

    def ours_of_part(part: np.ndarray) -> Found:
        return cover_tree(part).knn(K, queries=queries, return_distances=True)

    def theirs_of_part(part: np.ndarray) -> Found:
        distances, indices = cKDTree(part).query(queries, K)
        return indices, distances

    return {
        "covertree, filter": lambda: tree.knn(
            K, queries=queries, filter=mask, return_distances=True
        ),
        "covertree, no filter": lambda: tree.knn(
            K, queries=queries, return_distances=True
        ),
        "covertree of the part": lambda: of_part(ours_of_part),
        "SciPy of the part": lambda: of_part(theirs_of_part),
    }


def recall(found: Found, true: Found, mask: np.ndarray) -> float:
    """The share of neighbours that are admitted, and not farther than the true ones."""
    right = mask[found[0]] & (found[1] <= true[1] * (1 + 1e-12))
    return float(right.mean())


def compared(
    question: list[str], made: Contenders, mask: np.ndarray, turns: int
) -> Iterator[list[str]]:
    """A line for each contender."""
    seconds: dict[str, list[float]] = {name: [] for name in made}
    results: dict[str, Any] = {}
    for _ in range(turns):
        for name, contender in made.items():
            took, results[name] = timed(contender, time.process_time)
            seconds[name].append(took)
    true = results["SciPy of the part"]
    ours = statistics.median(seconds["covertree, filter"])
    for name, times in seconds.items():
        took = statistics.median(times)
        found = (
            ""
            if name == "covertree, no filter"
            else f"{recall(results[name], true, mask):.4f}"
        )
        yield [*question, name, found, f"{1000 * took:.1f}", f"{took / ours:.2f}"]


def main() -> None:
    """Measure, print, and write the table."""
    given = options(__doc__, turns=5).parse_args()
    n, turns = (50_000, 1) if given.quick else (1_000_000, given.turns)
    points = np.random.default_rng(0).random((n, 3))
    lines: list[list[str]] = []
    for n_queries in (1000, 100_000):
        queries = np.random.default_rng(2).random((n_queries, 3))
        for choose in (scattered, region):
            for share in SHARES if choose is scattered else SHARES[:2]:
                mask = choose(points, share)
                kind = (choose.__doc__ or "").rstrip(".").lower()
                question = [spaced(n_queries), f"{share:.0%}, {kind}"]
                for line in compared(
                    question, contenders(points, queries, mask), mask, turns
                ):
                    lines.append(line)
                    print(*line, sep=" | ", flush=True)
    head = [
        "queries",
        "admitted",
        "contender",
        "recall",
        "CPU time, ms",
        "times the filter's",
    ]
    note = (
        f"{K} neighbours among {spaced(n)} x 3 uniform points. Medians of {turns} turns on {machine()}; `benchmarks/filters.py` "
        "writes this table. The trees of the part are built in the call; the tree with the filter is there before."
    )
    if not given.quick:
        text = "\n".join([*table(head, lines, 3), "", note])
        write(Path(__file__).with_name("filters"), text)


if __name__ == "__main__":
    main()

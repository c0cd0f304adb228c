"""Pairs of points and spanning trees: ours beside SciPy and the packages of HDBSCAN, in one run.

    pairs.py            writes pairs.md
    pairs.py --quick    smaller, writes nothing

Time is the time of all threads of the process, the median of the turns: SciPy has one thread. Errors are the pairs that a contender has and
SciPy has not, or the other way round; and of spanning trees the largest relative difference from our lengths, of float64, sorted.
"""

from __future__ import annotations

import importlib.util
import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from covertreex import cover_tree
from covertreex._bench.clocks import timed
from processes import options
from scipy.spatial import cKDTree
from tables import machine, spaced, table, write

Contenders = dict[str, Callable[[], Any]]


def uniform(n: int) -> np.ndarray:
    """Uniform points."""
    return np.random.default_rng(0).random((n, 3))


def clustered(n: int) -> np.ndarray:
    """20 clusters of different widths."""
    rng = np.random.default_rng(0)
    centres, widths = rng.uniform(0, 10, (20, 3)), rng.uniform(0.05, 1, 20)
    kind = rng.integers(0, 20, n)
    return rng.normal(centres[kind], widths[kind, None])


def pair_contenders(points: np.ndarray, r: float) -> Contenders:
    """Pairs within a radius, in any order."""
    tree, theirs = cover_tree(points), cKDTree(points)
    return {
        "covertree": lambda: tree.pairs_within(r),
        "SciPy": lambda: theirs.query_pairs(r, output_type="ndarray"),
    }


def pair_errors(found: np.ndarray, true: np.ndarray, n: int) -> str:
    """Pairs that only one of two arrays has."""
    codes = [np.sort(pairs[:, 0] * n + pairs[:, 1]) for pairs in (found, true)]
    return str(len(np.setxor1d(*codes)))


def count_contenders(points: np.ndarray, r: float, weights: Any) -> Contenders:
    """Ordered pairs within 20 radii."""
    tree, theirs = cover_tree(points), cKDTree(points)
    radii = np.linspace(r / 20, r, 20)
    return {
        "covertree": lambda: tree.count_pairs(radii, weights=weights),
        "SciPy": lambda: theirs.count_neighbors(theirs, radii, weights=weights),
    }


def count_errors(found: np.ndarray, true: np.ndarray) -> str:
    """The largest relative difference of counts."""
    return f"{np.max(abs(found - true) / true):.1g}"


def tree_contenders(points: np.ndarray, k: int) -> Contenders:
    """Spanning trees by mutual reachability, as sorted lengths; the packages that are installed."""
    made: Contenders = {
        "covertree": lambda: cover_tree(points).minimum_spanning_tree(k).lengths
    }
    if importlib.util.find_spec("fast_hdbscan"):
        from fast_hdbscan.hdbscan import compute_minimum_spanning_tree

        compute_minimum_spanning_tree(points[:2000], min_samples=k)  # compiled
        made["fast_hdbscan"] = lambda: np.sort(
            compute_minimum_spanning_tree(points, min_samples=k)[0][:, 2]
        )
    if importlib.util.find_spec("hdbscan"):
        from hdbscan._hdbscan_boruvka import KDTreeBoruvkaAlgorithm
        from sklearn.neighbors import KDTree

        # The sizes of leaves are those that the package chooses itself; one process, whose time counts.
        made["hdbscan"] = lambda: np.sort(
            KDTreeBoruvkaAlgorithm(
                KDTree(points, leaf_size=40),
                k,
                leaf_size=13,
                approx_min_span_tree=False,
                n_jobs=1,
            ).spanning_tree()[:, 2]
        )
    if len(points) <= MOST_OF_SKLEARN and importlib.util.find_spec("sklearn"):
        from sklearn.cluster import HDBSCAN

        # It does not return its spanning tree; its time includes the clusters.
        made["scikit-learn"] = lambda: (
            HDBSCAN(min_samples=k + 1, copy=True).fit(points) and np.empty(0)
        )
    return made


#: It compares all pairs: at 200 000 points for an hour.
MOST_OF_SKLEARN = 20_000


def tree_errors(found: np.ndarray, true: np.ndarray) -> str:
    """The largest relative difference of lengths."""
    return f"{np.max(abs(found - true) / true):.1g}" if len(found) else ""


def compared(
    question: str,
    contenders: Contenders,
    turns: int,
    errors: Callable[[Any, Any], str],
    truth: str,
) -> Iterator[list[str]]:
    """A line for each contender."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    results: dict[str, Any] = {}
    for _ in range(turns):
        for name, contender in contenders.items():
            took, results[name] = timed(contender, time.process_time)
            seconds[name].append(took)
    ours = statistics.median(seconds["covertree"])
    for name, times in seconds.items():
        took = statistics.median(times)
        yield [
            question,
            name,
            errors(results[name], results[truth]),
            f"{took:.2f}",
            f"{took / ours:.1f}",
        ]


def main() -> None:
    """Measure, print, and write the table."""
    given = options(__doc__, turns=3).parse_args()
    n, turns = (20_000, 1) if given.quick else (200_000, given.turns)
    warnings.simplefilter("ignore")
    lines: list[list[str]] = []

    def add(*asked: Any) -> None:
        for line in compared(*asked):
            lines.append(line)
            print(*line, flush=True)

    for make in (uniform, clustered):
        points = make(n)
        kind = f"{(make.__doc__ or '').rstrip('.').lower()}, {spaced(n)} x 3"
        r = float(cover_tree(points).knn(20, return_distances=True)[1][:, -1].mean())

        def differing(found: Any, true: Any) -> str:
            return pair_errors(found, true, n)

        add(
            f"pairs within a radius, {kind}",
            pair_contenders(points, r),
            turns,
            differing,
            "SciPy",
        )
        weights = np.random.default_rng(1).random(n)
        for name, some in (("counts", None), ("weighted counts", weights)):
            add(
                f"{name} for 20 radii, {kind}",
                count_contenders(points, 2 * r, some),
                turns,
                count_errors,
                "SciPy",
            )
        for size in sorted({min(n, MOST_OF_SKLEARN), n}):
            kind = f"{(make.__doc__ or '').rstrip('.').lower()}, {spaced(size)} x 3"
            add(
                f"spanning tree, mutual_k 5, {kind}",
                tree_contenders(make(size), 5),
                turns,
                tree_errors,
                "covertree",
            )
    head = [
        "question",
        "contender",
        "errors",
        "CPU time, s",
        "times covertree's",
    ]
    note = f"Medians of {turns} turns on {machine()}; `benchmarks/pairs.py` writes this table."
    if not given.quick:
        text = "\n".join([*table(head, lines), "", note])
        write(Path(__file__).with_name("pairs"), text)


if __name__ == "__main__":
    main()

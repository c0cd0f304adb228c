"""Pairs of points and spanning trees: ours beside SciPy and the packages of HDBSCAN, in one run.

    pairs.py            writes pairs.md
    pairs.py --quick    smaller, writes nothing

Corrfunc, which needs the headers of GSL, is a contender if it is installed. Time is the processor time of all threads, the median of the
turns: SciPy has one thread, and Corrfunc is given one. A contender that takes more than `PATIENCE` has one
turn. Errors are the pairs that a contender has and SciPy has not, or the other way round; of counts the largest relative difference from
SciPy's; and of spanning trees the largest one from our lengths, of float64, sorted.
"""

from __future__ import annotations

import importlib.util
import statistics
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from covertreex import cover_tree
from covertreex._bench.clocks import timed
from processes import options
from scipy.spatial import cKDTree
from tables import machine, spaced, table, write

Contenders = dict[str, Callable[[], Any]]

#: CPU seconds of a turn after which a contender has no other one.
PATIENCE = 5.0
#: scikit-learn compares all pairs.
MOST_OF_SKLEARN = 10_000
NOTHING: Mapping[str, Any] = MappingProxyType({})


class Metric(NamedTuple):
    """A metric as we know it, as trees and questions of SciPy do, and as trees of scikit-learn."""

    title: str
    ours: Mapping[str, Any] = NOTHING
    box: Mapping[str, Any] = NOTHING
    norm: Mapping[str, Any] = NOTHING
    sklearn: str | None = None


EUCLIDEAN = Metric("", sklearn="euclidean")
MANHATTAN = Metric(
    "Manhattan", {"metric": "manhattan"}, norm={"p": 1}, sklearn="manhattan"
)
PERIODIC = Metric("periodic box", {"period": 1.0}, box={"boxsize": 1.0})
SPHERE = Metric("great circle", {"metric": "haversine"}, sklearn="haversine")


def uniform(n: int) -> np.ndarray:
    """Uniform points."""
    return np.random.default_rng(0).random((n, 3))


def clustered(n: int) -> np.ndarray:
    """20 clusters of different widths."""
    rng = np.random.default_rng(0)
    centres, widths = rng.uniform(0, 10, (20, 3)), rng.uniform(0.05, 1, 20)
    kind = rng.integers(0, 20, n)
    return rng.normal(centres[kind], widths[kind, None])


def sphere(n: int) -> np.ndarray:
    """Uniform latitudes and longitudes."""
    rng = np.random.default_rng(0)
    return np.column_stack(
        [np.arcsin(rng.uniform(-1, 1, n)), rng.uniform(-np.pi, np.pi, n)]
    )


def pair_contenders(points: np.ndarray, r: float, metric: Metric) -> Contenders:
    """Pairs within a radius, in any order."""
    tree, theirs = cover_tree(points, **metric.ours), cKDTree(points, **metric.box)
    return {
        "covertree": lambda: tree.pairs_within(r),
        "SciPy": lambda: theirs.query_pairs(r, output_type="ndarray", **metric.norm),
    }


def pair_errors(found: np.ndarray, true: np.ndarray, n: int) -> str:
    """Pairs that only one of two arrays has."""
    codes = [np.sort(pairs[:, 0] * n + pairs[:, 1]) for pairs in (found, true)]
    return str(len(np.setxor1d(*codes)))


def count_contenders(
    points: np.ndarray, r: float, weights: Any, metric: Metric
) -> Contenders:
    """Ordered pairs within 20 radii."""
    tree, theirs = cover_tree(points, **metric.ours), cKDTree(points, **metric.box)
    radii = np.linspace(r / 20, r, 20)
    made: Contenders = {
        "covertree": lambda: tree.count_pairs(radii, weights=weights),
        "SciPy": lambda: theirs.count_neighbors(
            theirs, radii, weights=weights, **metric.norm
        ),
    }
    if metric in (EUCLIDEAN, PERIODIC) and importlib.util.find_spec("Corrfunc"):
        made["Corrfunc"] = lambda: corrfunc_counts(points, radii, weights, metric)
    return made


def corrfunc_counts(
    points: np.ndarray, radii: np.ndarray, weights: Any, metric: Metric
) -> np.ndarray:
    """The same by grids of cells. Its intervals include the lower radius and not the upper one."""
    from Corrfunc.theory.DD import DD

    rows = dict(zip("XYZ", np.ascontiguousarray(points.T)))
    weighting = {"weights1": weights, "weight_type": "pair_product"}
    intervals = DD(
        autocorr=1,
        nthreads=1,
        binfile=np.concatenate([[0.0], radii]),
        **{f"{axis}1": row for axis, row in rows.items()},
        periodic=metric is PERIODIC,
        boxsize=metric.box.get("boxsize"),
        **({} if weights is None else weighting),
    )
    sums = intervals["npairs"] * (1 if weights is None else intervals["weightavg"])
    return np.cumsum(sums)


def relative_errors(found: np.ndarray, true: np.ndarray) -> str:
    """The largest relative difference of counts or lengths."""
    return f"{np.max(abs(found - true) / true):.1g}" if len(found) else ""


def tree_contenders(points: np.ndarray, k: int, metric: Metric) -> Contenders:
    """Spanning trees by mutual reachability, as sorted lengths; the packages that are installed."""
    made: Contenders = {
        "covertree": lambda: (
            cover_tree(points, **metric.ours).minimum_spanning_tree(k).lengths
        )
    }
    if metric is EUCLIDEAN and importlib.util.find_spec("fast_hdbscan"):
        from fast_hdbscan.hdbscan import compute_minimum_spanning_tree

        compute_minimum_spanning_tree(points[:2000], min_samples=k)  # compiled
        made["fast_hdbscan"] = lambda: np.sort(
            compute_minimum_spanning_tree(points, min_samples=k)[0][:, 2]
        )
    if importlib.util.find_spec("hdbscan"):
        from hdbscan import _hdbscan_boruvka as boruvka
        from sklearn.neighbors import BallTree, KDTree

        kinds = KDTree, boruvka.KDTreeBoruvkaAlgorithm
        if metric is SPHERE:
            kinds = BallTree, boruvka.BallTreeBoruvkaAlgorithm
        # The sizes of leaves are those that the package chooses itself; one process, whose time counts.
        made["hdbscan"] = lambda: np.sort(
            kinds[1](
                kinds[0](points, leaf_size=40, metric=metric.sklearn),
                k,
                metric=metric.sklearn,
                leaf_size=13,
                approx_min_span_tree=False,
                n_jobs=1,
            ).spanning_tree()[:, 2]
        )
    if len(points) <= MOST_OF_SKLEARN and importlib.util.find_spec("sklearn"):
        from sklearn.cluster import HDBSCAN

        # It does not return its spanning tree; its time includes the clusters.
        made["scikit-learn"] = lambda: (
            HDBSCAN(min_samples=k + 1, metric=metric.sklearn, copy=True).fit(points)
            and np.empty(0)
        )
    return made


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
    for turn in range(turns):
        for name, contender in contenders.items():
            if turn and max(seconds[name]) > PATIENCE:
                continue
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


def questions(
    n: int,
) -> Iterator[tuple[str, Contenders, Callable[[Any, Any], str], str]]:
    """The questions: what they are called, who answers, and what is an error against whom."""

    def differing(found: Any, true: Any) -> str:
        return pair_errors(found, true, n)

    for make, metric in (
        (uniform, EUCLIDEAN),
        (clustered, EUCLIDEAN),
        (uniform, MANHATTAN),
        (uniform, PERIODIC),
    ):
        points = make(n)
        kind = f"{described(make, metric)}, {spaced(n)} x 3"
        tree = cover_tree(points, **metric.ours)
        r = float(tree.knn(20, return_distances=True)[1][:, -1].mean())
        pairs = pair_contenders(points, r, metric)
        yield f"pairs within a radius, {kind}", pairs, differing, "SciPy"
        counts = count_contenders(points, 2 * r, None, metric)
        yield f"counts for 20 radii, {kind}", counts, relative_errors, "SciPy"
        if metric is EUCLIDEAN:
            weights = np.random.default_rng(1).random(n)
            sums = count_contenders(points, 2 * r, weights, metric)
            title = f"weighted counts for 20 radii, {kind}"
            yield title, sums, relative_errors, "SciPy"
    for make, metric, sizes in (
        (uniform, EUCLIDEAN, (MOST_OF_SKLEARN, 2 * n)),
        (clustered, EUCLIDEAN, (MOST_OF_SKLEARN, 2 * n)),
        (uniform, MANHATTAN, (2 * n,)),
        (sphere, SPHERE, (2 * n,)),
    ):
        for size in sizes:
            points = make(size)
            kind = f"{described(make, metric)}, {spaced(size)} x {points.shape[1]}"
            trees = tree_contenders(points, 5, metric)
            title = f"spanning tree, mutual_k 5, {kind}"
            yield title, trees, relative_errors, "covertree"


def described(make: Callable[[int], np.ndarray], metric: Metric) -> str:
    """A metric and a set of points in words."""
    kind = (make.__doc__ or "").rstrip(".").lower()
    return f"{metric.title}, {kind}" if metric.title else kind


def main() -> None:
    """Measure, print, and write the table."""
    given = options(__doc__, turns=3).parse_args()
    n, turns = (20_000, 1) if given.quick else (100_000, given.turns)
    warnings.simplefilter("ignore")
    lines: list[list[str]] = []
    for question, contenders, errors, truth in questions(n):
        for line in compared(question, contenders, turns, errors, truth):
            lines.append(line)
            print(*line, flush=True)
    head = [
        "question",
        "contender",
        "errors",
        "CPU time, s",
        "times covertree's",
    ]
    note = (
        f"Processor time: medians of {turns} turns, or one turn if that takes more than {PATIENCE:.0f} s, on {machine()}. "
        f"scikit-learn, which compares all pairs, is left out above {spaced(MOST_OF_SKLEARN)} points, and fast_hdbscan in "
        "other metrics, which it does not have. Corrfunc counts by grids of cells. `benchmarks/pairs.py` writes this table."
    )
    if not given.quick:
        text = "\n".join([*table(head, lines), "", note])
        write(Path(__file__).with_name("pairs"), text)


if __name__ == "__main__":
    main()

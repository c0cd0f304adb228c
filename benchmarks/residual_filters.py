"""Residual searches among admitted points: a filter of ours beside trees of the admitted points alone, and NumPy, in one run.

    residual_filters.py           writes residual_filters.md
    residual_filters.py --quick   smaller, writes nothing

A filter is for one call, so the trees of the admitted points are built in the call, in the same process as the whole tree: kernel, inducing
points and factor stay. Time is the time of all threads of the process, the median of the turns. NumPy compares up to 128 of the queries
with the admitted points in float64, and its time is that of as many queries. "equal" is the share of all neighbours that are the same
in the tree of the part, by index. Recall is the share of neighbours that are admitted, and not farther than NumPy's, up to rounding.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from covertreex import residual_tree
from covertreex._bench.clocks import timed
from processes import options
from residual import BruteForce, problem
from tables import machine, spaced, table, write

K = 30
KERNELS = ("RBF", "Matern52", "Matern12")
SHARES = (0.01, 0.1, 0.5)
N_NUMPY = 128
# Seconds after which the threads of NumPy's products have stopped waiting for more of them.
PAUSE = 0.05
# The largest error of a distance's square that rounding of the features makes.
ROUNDING = 1e-6


class Part:
    """NumPy in float64 among the admitted points."""

    def __init__(self, every: BruteForce, mask: np.ndarray) -> None:
        self._all, self._rows, self._mask = every, np.flatnonzero(mask), mask

    def _squares(self, queries: np.ndarray, covariances: np.ndarray) -> np.ndarray:
        """1 - |rho| of queries, by dataset index, to all admitted points."""
        true, rows = self._all, self._rows
        scale = np.sqrt(true.p[queries, None] * true.p[rows])
        rho = np.abs(covariances - true.v[queries] @ true.v[rows].T) / scale
        squares = 1 - np.minimum(rho, 1)
        squares[rows == queries[:, None]] = 0
        return squares

    def _fast_kernel(self, queries: np.ndarray) -> np.ndarray:
        """Covariances in the way of a NumPy user who wants speed."""
        true, rows = self._all, self._rows
        products = true.scaled[queries] @ true.scaled[rows].T
        squared = true.squares[queries, None] + true.squares[rows] - 2 * products
        return true.kernel.variance * true.kernel._correlation(np.maximum(squared, 0))

    def search(self, queries: np.ndarray) -> None:
        """The nearest admitted points of each query."""
        squares = self._squares(queries, self._fast_kernel(queries))
        np.argpartition(squares, K - 1, axis=1)

    def recall(self, queries: np.ndarray, found: np.ndarray) -> float:
        """The share of the neighbours that are right."""
        x = self._all.x
        squares = self._squares(queries, self._all.kernel(x[queries], x[self._rows]))
        farthest = np.partition(squares, K - 1, axis=1)[:, K - 1 : K]
        columns = np.minimum(np.searchsorted(self._rows, found), len(self._rows) - 1)
        own = np.take_along_axis(squares, columns, axis=1)
        return float((self._mask[found] & (own <= farthest + ROUNDING)).mean())


def median_of(
    turns: int, contenders: dict[str, Callable[[], Any]]
) -> tuple[dict[str, float], dict[str, Any]]:
    """Seconds of each contender, and what it found."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    found = {}
    for _ in range(turns):
        for name, contender in contenders.items():
            time.sleep(PAUSE)
            took, found[name] = timed(contender, time.process_time)
            seconds[name].append(took)
    return {name: statistics.median(times) for name, times in seconds.items()}, found


def measured(work: dict[str, Any], turns: int) -> Iterator[list[str]]:
    """The rows of a kernel."""
    x, kernel, inducing, _ = problem(work)
    every, rng = BruteForce(work), np.random.default_rng(3)
    tree = residual_tree(x, kernel, inducing_points=inducing)
    tree.knn(K)
    for share in SHARES:
        mask = rng.random(len(x)) < share
        numpy = Part(every, mask)
        for n_queries in (100, len(x) // 4):
            rows = rng.permutation(len(x))[:n_queries]
            some = rows[:N_NUMPY]
            seconds, found = median_of(turns, {
                "filter": lambda: tree.knn(K, queries=rows, filter=mask),  # noqa: B023
                "of the part": lambda: tree.with_points(x[mask]).knn(K, queries=x[rows]),  # noqa: B023
                "NumPy": lambda: numpy.search(some),  # noqa: B023
            })  # fmt: skip
            seconds["NumPy"] *= len(rows) / len(some)
            equal = found["filter"] == np.flatnonzero(mask)[found["of the part"]]
            recall = numpy.recall(some, found["filter"][: len(some)])
            yield [
                work["kernel"], f"{share:.0%}", spaced(n_queries), *(f"{1000 * took:.0f}" for took in seconds.values()),
                f"{equal.mean():.4f}", f"{recall:.4f}",
            ]  # fmt: skip


def main() -> None:
    """Measure, print, and write the table."""
    chosen = options(__doc__, turns=3).parse_args()
    n, turns = (8192, 1) if chosen.quick else (32768, chosen.turns)
    base = {"n": n, "dim": 3, "m": 128, "k": K, "all": False}
    lines = []
    for kernel in KERNELS:
        for line in measured({**base, "kernel": kernel}, turns):
            lines.append(line)
            print(*line, sep=" | ", flush=True)
    head = [
        "kernel", "admitted", "queries", "filter, ms", "of the part, ms", "NumPy of the part, ms", "equal",
        "recall",
    ]  # fmt: skip
    note = (
        f"{K} neighbours by residual correlation among {spaced(n)} x 3 normal points with {base['m']} inducing points; CPU time, medians of "
        f"{turns} turns on {machine()}. `benchmarks/residual_filters.py` writes this table."
    )
    if not chosen.quick:
        write(
            Path(__file__).with_name("residual_filters"),
            "\n".join([*table(head, lines, 3), "", note]),
        )


if __name__ == "__main__":
    main()

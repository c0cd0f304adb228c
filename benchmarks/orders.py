"""Graphs of vectors that come in some order: ours and hnswlib with the same parameters, in one run, with recall.

    orders.py            writes orders.md
    orders.py --quick    smaller, writes nothing

Recall counts vectors that are at most as far as the tenth nearest by a float64 brute force, for m = 16, ef_construction = 200 and
ef_search = 64. Time is the time of all threads of the process while the graph is built, the median of the turns.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import hnswlib
import numpy as np
from covertreex._bench import truth
from covertreex._bench.clocks import timed
from covertreex.indexes import HNSW
from processes import options
from tables import machine, table, write

K, EF = 10, 64


def clusters(n: int, rng: np.random.Generator) -> np.ndarray:
    """200 clusters, one after the other."""
    return np.repeat(rng.normal(size=(200, 64)), n // 200, axis=0) + 0.2 * rng.normal(
        size=(n // 200 * 200, 64)
    )


def walk(n: int, rng: np.random.Generator) -> np.ndarray:
    """A random walk."""
    return np.cumsum(rng.normal(size=(n, 8)), axis=0)


def raster(n: int, rng: np.random.Generator) -> np.ndarray:
    """The pixels of a picture, row by row."""
    side = int(n**0.5)
    return (
        np.stack(
            np.meshgrid(np.arange(side), np.arange(side), indexing="ij"), axis=-1
        ).reshape(-1, 2)
        * 1.0
    )


def values(n: int, rng: np.random.Generator) -> np.ndarray:
    """Sorted numbers."""
    return np.sort(rng.normal(size=(n, 1)), axis=0)


def series(n: int, rng: np.random.Generator) -> np.ndarray:
    """Windows of a time series."""
    signal = np.sin(np.arange(n + 31) / 50) + 0.1 * rng.normal(size=n + 31)
    return np.lib.stride_tricks.sliding_window_view(signal, 32)


class Made(NamedTuple):
    """A graph: how long it took to build, and the nearest that it finds."""

    seconds: float
    found: np.ndarray


def ours(batch: int) -> Callable[[np.ndarray, np.ndarray], Made]:
    """A graph of the library, of vectors that come in batches."""

    def make(vectors: np.ndarray, queries: np.ndarray) -> Made:
        index = HNSW(vectors.shape[1], ef_search=EF)

        def add() -> None:
            for first in range(0, len(vectors), batch):
                index.add(None, vectors[first : first + batch])

        return Made(timed(add, time.process_time)[0], index.knn(K, queries=queries)[0])

    return make


def theirs(vectors: np.ndarray, queries: np.ndarray) -> Made:
    """A graph of hnswlib."""
    index: Any = hnswlib.Index("l2", vectors.shape[1])
    index.init_index(len(vectors), M=16, ef_construction=200)
    seconds, _ = timed(lambda: index.add_items(vectors), time.process_time)
    index.set_ef(EF)
    return Made(seconds, index.knn_query(queries, k=K)[0])


def main() -> None:
    """Measure, print, and write the table."""
    given = options(__doc__, turns=3).parse_args()
    n, turns = (4_000, 1) if given.quick else (20_000, given.turns)
    contenders = {
        "one call": ours(n * 2),
        "100 a call": ours(100),
        "1 a call": ours(1),
        "hnswlib": theirs,
    }
    lines = []
    for make in (clusters, walk, raster, values, series):
        rng = np.random.default_rng(1)
        given = np.ascontiguousarray(make(n, rng), np.float32)
        for order, vectors in (
            ("as they come", given),
            ("shuffled", given[rng.permutation(len(given))]),
        ):
            chosen = vectors[rng.choice(len(vectors), 1000)]
            queries = chosen + np.float32(0.05) * rng.normal(size=chosen.shape).astype(
                np.float32
            )
            true = truth.euclidean(vectors, queries, K, most=1000)
            made: dict[str, list[Made]] = {name: [] for name in contenders}
            for _ in range(turns):
                for name, contender in contenders.items():
                    made[name].append(contender(vectors, queries))
            seconds = {
                name: statistics.median(one.seconds for one in ones)
                for name, ones in made.items()
            }
            kind = " ".join((make.__doc__ or "").rstrip(".").lower().split())
            title = f"{kind}, {len(vectors)} x {vectors.shape[1]}"
            for name, ones in made.items():
                share = statistics.median(true.recall(one.found) for one in ones)
                took, times = seconds[name], seconds[name] / seconds["hnswlib"]
                figures = [f"{share:.4f}", f"{took:.2f}", f"{times:.2f}"]
                lines.append([title, order, name, *figures])
                print(*lines[-1], flush=True)
    head = ["vectors", "order", "contender", "recall", "build, s", "times hnswlib's"]
    note = f"Medians of {turns} turns on {machine()}; `benchmarks/orders.py` writes this table."
    if not given.quick:
        text = "\n".join([*table(head, lines, n_words=3), "", note])
        write(Path(__file__).with_name("orders"), text)


if __name__ == "__main__":
    main()

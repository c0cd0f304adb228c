"""Partitions that queries by residual correlation visit, and the time of all processors, compared with the tree in one piece.

    machines_visits.py            writes machines_visits.md
    machines_visits.py --quick    smaller, writes nothing

A worker of two threads is in this process, so its time includes everything. A query visits at least the partitions that
have neighbours of it, and its own.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import covertreex.dask
import dask.array as da
import numpy as np
from covertreex import residual_tree
from covertreex._bench.clocks import timed
from covertreex.kernels import RBF, Matern52
from dask.distributed import Client, LocalCluster
from processes import options
from tables import machine, table, write

HERE = Path(__file__).parent
PARTITIONS = 16


def least_visits(tree: Any, points: np.ndarray, neighbours: np.ndarray) -> float:
    """The mean number of partitions that have neighbours of a query, or the query."""
    of = tree._curve.result().partitions(points, np.arange(len(points)))
    of_each = np.where(neighbours >= 0, of[neighbours], of[:, None])
    sets = np.sort(np.concatenate([of_each, of[:, None]], axis=1), axis=1)
    return float(1 + (np.diff(sets, axis=1) > 0).sum(axis=1).mean())


def measured(
    client: Client, name: str, points: np.ndarray, k: int, **made: Any
) -> list[str]:
    """A row of the table."""
    n = len(points)
    whole = residual_tree(points, **made)
    one, wanted = timed(lambda: whole.knn(k, predecessor_mode=True), time.process_time)
    array = da.from_array(points, chunks=(-(-n // PARTITIONS), 3))
    tree = covertreex.dask.cover_tree(
        array, client=client, n_partitions=PARTITIONS, **made
    )
    many, found = timed(
        lambda: tree.knn(k, predecessor_mode=True).compute(), time.process_time
    )
    took = tree.last_search
    return [
        f"{name}, {k} predecessors",
        f"{least_visits(tree, points, wanted):.2f}",
        f"{took.visits / n:.2f}",
        str(took.rounds),
        f"{(took.bytes_sent + took.bytes_received) / n:,.0f}",
        f"{one:.1f}",
        f"{many:.1f}",
        "the same" if (found == wanted).all() else "DIFFERENT",
    ]


def main() -> None:
    """Measure, and write the results."""
    given = options(__doc__).parse_args()
    n, m = (8_000, 128) if given.quick else (32_768, 512)
    rng = np.random.default_rng(0)
    normal, cube = rng.standard_normal((n, 3)), rng.random((n, 3))
    cluster = LocalCluster(
        n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None
    )
    with cluster, Client(cluster) as client:
        rows = [
            measured(client, name, points, k, kernel=kernel, n_inducing=count)
            for name, points, kernel, count, k in [
                (f"RBF, normal, m = {m}", normal, RBF(), m, 30),
                (f"Matern 5/2, normal, m = {m}", normal, Matern52(), m, 30),
                ("Matern 5/2 (0.3), cube, m = 128", cube, Matern52(0.3), 128, 15),
                ("Matern 5/2 (0.3), normal, m = 128", normal, Matern52(0.3), 128, 30),
            ]
        ]
    head = "partitions with neighbours | partitions a query sees | rounds | bytes a query | in one piece, CPU s | CPU s"
    note = f"{n:,} x 3 in {PARTITIONS} partitions, on {machine()}, one worker of two threads."
    text = "\n".join(
        [
            *table(["", *head.split(" | "), "neighbours"], rows, n_words=1),
            "",
            note,
        ]
    )
    print(text)
    if not given.quick:
        write(HERE / "machines_visits", text)


if __name__ == "__main__":
    main()

"""Neighbours of points in files, on a Dask cluster, and a report of the tasks of the workers.

By default the cluster is two processes on this machine. To use another one, give the address of its scheduler.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import covertreex.dask
import numpy as np
from dask.distributed import Client, LocalCluster, performance_report


def write_points(folder: Path, n_files: int, rows: int) -> None:
    """Write files of points for the example."""
    rng = np.random.default_rng(0)
    for number in range(n_files):
        points = rng.standard_normal((rows, 3), dtype=np.float32)
        np.save(folder / f"points-{number:03d}.npy", points)


def main() -> None:
    """Build, search, and print the traffic over the network."""
    with tempfile.TemporaryDirectory() as name:
        folder, report = Path(name) / "points", Path(name) / "report.html"
        folder.mkdir()
        write_points(folder, 8, 25_000)
        address = (
            sys.argv[1]
            if len(sys.argv) > 1
            else LocalCluster(n_workers=2, dashboard_address=":0")
        )
        with Client(address) as client, performance_report(report):
            tree = covertreex.dask.cover_tree(folder, client=client, n_partitions=8)
            print(tree)
            indices = tree.knn(10, exclude_self=True)
            first = indices[:2].compute()
            print("neighbours of the first two points:", first.tolist())
            took = tree.last_search
            assert took is not None
            print(
                f"{took.rounds} rounds, {took.visits / len(tree):.2f} partitions a query, "
                f"{(took.bytes_sent + took.bytes_received) / len(tree):.0f} bytes a query between them"
            )
            print("largest partition:", tree.partition_sizes.max(), "points")
        print(f"tasks of the workers: a report of {report.stat().st_size // 1024} kB")


if __name__ == "__main__":
    main()

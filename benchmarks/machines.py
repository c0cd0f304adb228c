"""Trees in partitions, on a Dask cluster and out of core, beside the tree in one piece.

make bench           everything; writes machines.md
machines.py --quick  smaller, writes nothing

Workers are two processes of one thread each on this machine. What goes over the network is counted: queries that are sent to another
partition than their own, and what that answers. Neighbours are compared with those of the tree in one piece, bit for bit, and
some of them with float64 distances.
"""

from __future__ import annotations

import argparse
import functools
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import covertreex.dask
import dask.array as da
import numpy as np
from covertreex import ResidualTree, cover_tree, residual_tree
from covertreex.kernels import RBF, Matern52
from dask.distributed import Client, LocalCluster
from euclidean import machine

HERE = Path(__file__).parent
K = 10
CHECKED = 200


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """A result, and the seconds that it took."""
    start = time.perf_counter()
    result = work()
    return result, time.perf_counter() - start


def squares(points: np.ndarray, row: int) -> np.ndarray:
    """Squared distances of a point from all, in float64."""
    total = np.zeros(len(points))
    for d in range(points.shape[1]):
        total += (points[:, d].astype(np.float64) - np.float64(points[row, d])) ** 2
    return total


def predecessors(points: np.ndarray, tree: ResidualTree) -> Callable[[int], np.ndarray]:
    """Squared residual-correlation distances of a point from those before it, in float64, by the textbook."""
    v, p = tree.v_matrix, tree.residual_variance

    def distances(row: int) -> np.ndarray:
        covariances = tree.kernel(points[row : row + 1], points[:row])[0]
        rho = (covariances - v[:row] @ v[row]) / np.sqrt(p[:row] * p[row])
        return 1 - np.minimum(np.abs(rho), 1)

    return distances


def recall(
    true: Callable[[int], np.ndarray], found: np.ndarray, rows: np.ndarray
) -> float:
    """The share of float64 neighbours among those found of some points; equally distant ones count."""
    hits, k = 0, found.shape[1]
    for row in rows:
        distances = true(row)
        farthest = np.partition(distances, k - 1)[k - 1]
        hits += int((distances[found[row]] <= farthest * (1 + 1e-9) + 1e-12).sum())
    return hits / (k * len(rows))


def line(name: str, n: int, tree: Any, build: float, search: float, same: str) -> str:
    """A row of a table: what a search of all points took."""
    took, sizes = tree.last_search, tree.partition_sizes
    sent = (took.bytes_sent + took.bytes_received) / n
    return (
        f"| {name} | {build:.1f} | {search:.1f} | {took.rounds} | {took.visits / n:.2f} | {sent:,.0f}"
        f" | {sizes.max() / sizes.mean():.3f} | {same} |"
    )


HEAD = [
    "| | build, s | search, s | rounds | partitions a query sees | bytes a query | largest partition / mean | neighbours |",
    "| --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |",
]


def compared(
    client: Client, name: str, points: np.ndarray, counts: list[int], **options: Any
) -> list[str]:
    """All points' neighbours in one piece, and in more and more partitions."""
    n, residual = len(points), "kernel" in options
    search = {"k": 30, "predecessor_mode": True} if residual else {"k": K}
    whole, build = timed(
        lambda: (residual_tree if residual else cover_tree)(points, **options)
    )
    wanted, took = timed(lambda: whole.knn(**search))
    true = (
        predecessors(points, whole) if residual else functools.partial(squares, points)
    )
    rows = np.random.default_rng(1).choice(np.arange(n // 2, n), CHECKED, replace=False)
    right = recall(true, wanted, rows)
    lines = [
        f"| {name}, in one piece, two threads | {build:.1f} | {took:.1f} | | | | | recall {right:.4f} |"
    ]
    array = da.from_array(points, chunks=(-(-n // 16), 3))
    for count in counts:
        tree, build = timed(
            lambda count=count: covertreex.dask.cover_tree(
                array, client=client, n_partitions=count, **options
            )
        )
        found, took = timed(lambda tree=tree: tree.knn(**search).compute())
        same = "the same" if (found == wanted).all() else "DIFFERENT"
        lines.append(line(f"{name}, {count} partitions", n, tree, build, took, same))
        del tree
    return lines


def out_of_core(n: int) -> list[str]:
    """Points in a file, in a process of its own, whose memory is told."""
    with tempfile.TemporaryDirectory(dir=HERE) as name:
        folder = Path(name)
        points = np.lib.format.open_memmap(
            folder / "points.npy", "w+", np.float32, (n, 3)
        )
        rng = np.random.default_rng(0)
        for first in range(0, n, 1 << 20):
            some = points[first : first + (1 << 20)]
            some[:] = rng.standard_normal(some.shape, dtype=np.float32)
        points.flush()
        told = subprocess.run(
            [sys.executable, __file__, "--mapped", name],
            check=True,
            capture_output=True,
            text=True,
        ).stdout.split()
        build, search, memory = map(float, told)
        found = np.load(folder / "out" / "indices.npy", mmap_mode="r")
        rows = np.random.default_rng(1).choice(n, 50, replace=False)
        return [
            "| | build, s | all points' 10 neighbours, s | resident memory at most, GiB | recall |",
            "| --- | ---: | ---: | ---: | ---: |",
            f"| {n:,} x 3 float32 | {build:.0f} | {search:.0f} | {memory:.2f} | {recall(functools.partial(squares, points), found, rows):.4f} |",
        ]


def mapped(name: str) -> None:
    """Build and search out of core: what `out_of_core` has a process for."""
    folder = Path(name)
    points = np.load(folder / "points.npy", mmap_mode="r")
    tree, build = timed(lambda: cover_tree(points, folder=folder / "tree"))
    _, search = timed(lambda: tree.knn(K, out=folder / "out"))
    print(build, search, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)


def main() -> None:
    """Measure, and write what came out."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="small; write nothing")
    parser.add_argument("--mapped", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.mapped:
        mapped(arguments.mapped)
        return
    quick = arguments.quick
    n, n_residual, m, n_mapped = (
        (40_000, 8_000, 128, 1_000_000) if quick else (500_000, 32_768, 512, 50_000_000)
    )
    rng = np.random.default_rng(0)
    shapes = {
        "normal": rng.standard_normal((n, 3), dtype=np.float32),
        "clusters of very different density": np.concatenate(
            [
                10 * rng.random(3) + scale * rng.standard_normal((n // 5, 3))
                for scale in (1, 0.1, 1e-2, 1e-3, 1e-4)
            ]
        ).astype(np.float32),
        "nine tenths duplicates": rng.standard_normal((n // 10, 3), dtype=np.float32)[
            rng.integers(0, n // 10, n)
        ],
        "all in one place, a 25th as many": np.full((n // 25, 3), 0.5, np.float32),
    }
    cluster = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0")
    with cluster, Client(cluster) as client:
        lines = [f"{n:,} x 3 float32, the {K} nearest of all points:", "", *HEAD]
        for name, points in shapes.items():
            counts = [1, 4, 16, 64] if name == "normal" else [16]
            lines += compared(client, name, points, counts)
        lines += [
            "",
            f"{n_residual:,} x 3, {m} inducing points, 30 predecessors of all points:",
        ]
        lines += ["", *HEAD]
        points = rng.standard_normal((n_residual, 3))
        for name, kernel in (("RBF", RBF()), ("Matern 5/2", Matern52())):
            lines += compared(
                client, name, points, [1, 4, 16], kernel=kernel, n_inducing=m
            )
    lines += [
        "",
        "Out of core, partitions of 4 000 000 points:",
        "",
        *out_of_core(n_mapped),
    ]
    lines += [
        "",
        f"On {machine()}, two workers of one thread each; `make bench` writes these tables.",
    ]
    print("\n".join(lines))
    if not quick:
        (HERE / "machines.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()

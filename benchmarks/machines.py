"""Trees in partitions, on a Dask cluster and out of core, beside the tree in one piece.

make bench           everything; writes machines.md
machines.py --quick  smaller, writes nothing

Workers are two processes of one thread each on this machine. What goes over the network is counted: queries that are sent to another
partition than their own, and what that answers. Neighbours are compared with those of the tree in one piece, bit for bit, and
some of them with float64 distances.
"""

from __future__ import annotations

import argparse
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
from covertreex import cover_tree
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


def recall(points: np.ndarray, found: np.ndarray, rows: np.ndarray) -> float:
    """The share of float64 neighbours among those found of some points; equally distant ones count."""
    hits = 0
    for row in rows:
        squares = np.zeros(len(points))
        for d in range(points.shape[1]):
            squares += (
                points[:, d].astype(np.float64) - np.float64(points[row, d])
            ) ** 2
        farthest = np.partition(squares, K - 1)[K - 1]
        hits += int((squares[found[row]] <= farthest * (1 + 1e-12)).sum())
    return hits / (K * len(rows))


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


def euclidean(
    client: Client, n: int, shapes: dict[str, np.ndarray], counts: dict[str, list[int]]
) -> list[str]:
    """All points of several shapes, in more and more partitions."""
    lines = []
    for name, points in shapes.items():
        whole, build = timed(lambda points=points: cover_tree(points))
        wanted, search = timed(lambda whole=whole: whole.knn(K))
        rows = np.random.default_rng(1).choice(n, CHECKED, replace=False)
        lines.append(
            f"| {name}, in one piece, two threads | {build:.1f} | {search:.1f} | | | | | recall "
            f"{recall(points, wanted, rows):.4f} |"
        )
        array = da.from_array(points, chunks=(-(-n // 16), 3))
        for count in counts[name]:
            tree, build = timed(
                lambda array=array, count=count: covertreex.dask.cover_tree(
                    array, client=client, n_partitions=count
                )
            )
            found, search = timed(lambda tree=tree: tree.knn(K).compute())
            same = "the same" if (found == wanted).all() else "DIFFERENT"
            lines.append(
                line(f"{name}, {count} partitions", n, tree, build, search, same)
            )
            del tree
    return lines


def residual(client: Client, n: int, m: int, counts: list[int]) -> list[str]:
    """30 predecessors of all points by residual correlation."""
    points = np.random.default_rng(0).standard_normal((n, 3))
    array = da.from_array(points, chunks=(-(-n // 16), 3))
    lines = []
    for name, kernel in (("RBF", RBF()), ("Matern 5/2", Matern52())):
        options = {"kernel": kernel, "inducing_count": m}
        whole, build = timed(lambda options=options: cover_tree(points, **options))
        wanted, search = timed(lambda whole=whole: whole.knn(30, predecessor_mode=True))
        lines.append(
            f"| {name}, in one piece, two threads | {build:.1f} | {search:.1f} | | | | | exact |"
        )
        for count in counts:
            tree, build = timed(
                lambda count=count, options=options: covertreex.dask.cover_tree(
                    array, client=client, n_partitions=count, **options
                )
            )
            found, search = timed(
                lambda tree=tree: tree.knn(30, predecessor_mode=True).compute()
            )
            same = "the same" if (found == wanted).all() else "DIFFERENT"
            lines.append(
                line(f"{name}, {count} partitions", n, tree, build, search, same)
            )
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
            f"| {n:,} x 3 float32 | {build:.0f} | {search:.0f} | {memory:.2f} | {recall(points, found, rows):.4f} |",
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
        "all in one place": np.full((n, 3), 0.5, np.float32),
    }
    counts = {name: [16] for name in shapes} | {"normal": [1, 4, 16, 64]}
    cluster = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0")
    with cluster, Client(cluster) as client:
        lines = [
            f"{n:,} x 3 float32, the {K} nearest of all points:",
            "",
            *HEAD,
            *euclidean(client, n, shapes, counts),
        ]
        lines += [
            "",
            f"{n_residual:,} x 3, {m} inducing points, 30 predecessors of all points:",
            "",
            *HEAD,
        ]
        lines += residual(client, n_residual, m, [1, 4, 16])
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

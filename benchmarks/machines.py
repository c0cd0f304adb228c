"""Trees in partitions, on a Dask cluster and out of core, compared with the tree in one piece.

    machines.py             on a cluster; writes machines.md
    machines.py --mapped    out of core; writes machines_mapped.md
    machines.py --quick     smaller, writes nothing

Workers are two processes of one thread each on this machine. Bytes over the network are counted: queries that are sent to another
partition than their own, and its answers. Neighbours are compared with the neighbours of the tree in one piece, bit for
bit, and some of them with float64 distances.
"""

from __future__ import annotations

import json
import resource
import tempfile
from pathlib import Path
from typing import Any

import covertreex.dask
import dask.array as da
import numpy as np
from covertreex import cover_tree, residual_tree
from covertreex._bench import truth
from covertreex._bench.clocks import timed
from covertreex.kernels import RBF, Matern52
from dask.distributed import Client, LocalCluster
from distributed import SchedulerPlugin
from processes import once, options
from tables import machine, table, write

HERE = Path(__file__).parent
K = 10


class Counted(SchedulerPlugin):
    """Counts the tasks that workers have ended."""

    name = "counted"

    def __init__(self) -> None:
        self.done = 0

    def transition(self, key: Any, start: str, finish: str, *_: Any, **__: Any) -> None:
        """Count a task when its result is there."""
        self.done += start == "processing" and finish == "memory"


def line(
    name: str, n: int, tree: Any, build: float, search: float, tasks: int, same: str
) -> list[str]:
    """A row of a table: the cost of a search of all points."""
    took, sizes = tree.last_search, tree.partition_sizes
    sent = (took.bytes_sent + took.bytes_received) / n
    return [
        name,
        f"{build:.1f}",
        f"{search:.1f}",
        str(tasks),
        str(took.rounds),
        f"{took.visits / n:.2f}",
        f"{sent:,.0f}",
        f"{sizes.max() / sizes.mean():.3f}",
        same,
    ]


def searches(lines: list[list[str]]) -> list[str]:
    """Rows of `compared` as Markdown."""
    head = "build, s | search, s | tasks | rounds | partitions a query sees | bytes a query | largest partition / mean"
    return table(["", *head.split(" | "), "neighbours"], lines, n_words=1)


def compared(
    client: Client,
    counted: Counted,
    name: str,
    points: np.ndarray,
    counts: list[int],
    **made: Any,
) -> list[list[str]]:
    """All points' neighbours in one piece, and in more and more partitions."""
    n, residual = len(points), "kernel" in made
    search = {"k": 30, "predecessor_mode": True} if residual else {"k": K}
    make = residual_tree if residual else cover_tree
    build, whole = timed(lambda: make(points, **made))
    took, wanted = timed(lambda: whole.knn(**search))
    if residual:
        true = truth.residual(whole, points, None, search["k"])
    else:
        true = truth.euclidean(points, points, K)
    right = f"recall {true.recall(wanted):.4f}"
    first = [f"{name}, in one piece, two threads", f"{build:.1f}", f"{took:.1f}"]
    lines = [[*first, "", "", "", "", "", right]]
    array = da.from_array(points, chunks=(-(-n // 16), 3))
    for count in counts:
        before = counted.done
        build, tree = timed(
            lambda count=count: covertreex.dask.cover_tree(
                array, client=client, n_partitions=count, **made
            )
        )
        took, found = timed(lambda tree=tree: tree.knn(**search).compute())
        same = "the same" if (found == wanted).all() else "DIFFERENT"
        tasks, label = counted.done - before, f"{name}, {count} partitions"
        lines.append(line(label, n, tree, build, took, tasks, same))
        del tree
    return lines


def out_of_core(n: int) -> list[str]:
    """Points in a file, in a process of its own, whose memory is measured."""
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
        one = once(__file__, ["--case", name])
        found = np.load(folder / "out" / "indices.npy", mmap_mode="r")
        recall = truth.euclidean(points, points, K, most=50).recall(found)
        row = [
            f"{n:,} x 3 float32",
            f"{one['build']:.0f}",
            f"{one['search']:.0f}",
            f"{one['memory']:.2f}",
            f"{recall:.4f}",
        ]
    head = "build, s | all points' 10 neighbours, s | resident memory at most, GiB | recall"
    return table(["", *head.split(" | ")], [row], n_words=1)


def mapped(name: str) -> None:
    """Build and search out of core, in the process of `out_of_core`."""
    folder = Path(name)
    points = np.load(folder / "points.npy", mmap_mode="r")
    build, tree = timed(lambda: cover_tree(points, folder=folder / "tree"))
    search, _ = timed(lambda: tree.knn(K, out=folder / "out"))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(json.dumps({"build": build, "search": search, "memory": memory}))


def main() -> None:
    """Measure, and write the results."""
    parser = options(__doc__)
    parser.add_argument("--mapped", action="store_true", help="measure out of core")
    given = parser.parse_args()
    if given.case:
        mapped(given.case)
        return
    if given.mapped:
        note = f"Partitions of 4 000 000 points, on {machine()}."
        rows = out_of_core(1_000_000 if given.quick else 50_000_000)
        shown("machines_mapped", [*rows, "", note], given.quick)
        return
    n, n_residual, m = (40_000, 8_000, 128) if given.quick else (500_000, 32_768, 512)
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
        rows, counted = [], Counted()
        cluster.scheduler.add_plugin(counted)
        for name, points in shapes.items():
            counts = [1, 4, 16, 64] if name == "normal" else [16]
            rows += compared(client, counted, name, points, counts)
        text = [
            f"{n:,} x 3 float32, the {K} nearest of all points:",
            "",
            *searches(rows),
        ]
        points, rows = rng.standard_normal((n_residual, 3)), []
        for name, kernel in (("RBF", RBF()), ("Matern 5/2", Matern52())):
            rows += compared(
                client, counted, name, points, [1, 4, 16], kernel=kernel, n_inducing=m
            )
    title = f"{n_residual:,} x 3, {m} inducing points, 30 predecessors of all points:"
    text += ["", title, "", *searches(rows)]
    note = f"On {machine()}, two workers of one thread each; `make bench` writes these tables."
    shown("machines", [*text, "", note], given.quick)


def shown(name: str, lines: list[str], is_quick: bool) -> None:
    """Print a table, and write it unless it is a quick one."""
    text = "\n".join(lines)
    print(text)
    if not is_quick:
        write(HERE / name, text)


if __name__ == "__main__":
    main()

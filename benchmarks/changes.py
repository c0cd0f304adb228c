"""Points that come and go: ours beside what PyPI has for trees that change, and beside building anew.

    changes.py              1 000 000 x 3; writes changes.json and changes.md
    changes.py --quick      a fiftieth of the points and changes, one turn; writes nothing
    changes.py --n 200000   another number of points; writes nothing

Points, uniform in the unit cube and in float32, come to a tree that was built of the others. Each contender runs in a process of its
own, in turns. Changes one by one end after some seconds if they are slow; then the rest comes at once. Searches after changes are
timed in turns with those of a tree that is freshly built of the same points, and recall is against the float64 truth.

SciPy's cKDTree, scikit-learn's trees and pykdtree have no changes: what they cost is another tree. likd-tree takes points in three
dimensions, gives none back, and finds the nearest one; Rtree (libspatialindex) takes, gives back, and finds for one query at a time.
"""

from __future__ import annotations

import argparse
import ctypes
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from contenders import recall
from euclidean import machine
from turns import Figures, best, cell, in_turns, printed, spaced, table, write

HERE = Path(__file__).parent
TURNS = 3
K = 10
N, SINGLES, BATCH, FEW = 1_000_000, 100_000, 10_000, 1_000
# Seconds that changes one by one may take.
PATIENCE = 20.0
N_QUERIES = 20_000

PEERS = {
    "covertreex": "**covertree**, from Python",
    "covertreex-c": "**covertree**, from C",
    "pykdtree": "pykdtree, built anew",
    "scipy": "scipy cKDTree, built anew",
    "likd-tree": "likd-tree, the nearest one",
    "rtree": "Rtree",
}


class Data:
    """Points that are there, points that come, and queries."""

    def __init__(self, n: int) -> None:
        rng = np.random.default_rng(11)
        share = n / N
        self.singles, self.batch = (
            max(50, int(one * share)) for one in (SINGLES, BATCH)
        )
        self.few = min(FEW, self.singles // 2)
        self.points = rng.random((n, 3), dtype=np.float32)
        self.more = rng.random((self.singles, 3), dtype=np.float32)
        self.batches = rng.random((3, self.batch, 3), dtype=np.float32)
        self.queries = rng.random(
            (max(500, int(N_QUERIES * share)), 3), dtype=np.float32
        )
        self.gone = rng.permutation(n)


def one_by_one(work: Callable[[int], Any], n: int) -> tuple[int, float, float]:
    """How many of `n` calls were made, their seconds, and those of the slowest."""
    clock = time.perf_counter
    start = last = clock()
    longest, made = 0.0, 0
    while made < n and last - start < PATIENCE:
        work(made)
        made += 1
        end = clock()
        longest, last = max(longest, end - last), end
    return made, last - start, longest


def loops_in_c() -> Any:
    """Compile the loops of changes.c, and return them."""
    library = HERE.parent / "build" / "changes.so"
    library.parent.mkdir(exist_ok=True)
    include = HERE.parent / "include"
    command = ["cc", "-O2", "-shared", "-fPIC", f"-I{include}", "-o", str(library)]
    subprocess.run([*command, str(HERE / "changes.c")], check=True)
    loops = ctypes.CDLL(str(library))
    for loop in (loops.insert_loop, loops.remove_loop):
        loop.restype = ctypes.c_double
    return loops


class Loops:
    """Changes of one of our trees one by one, from C or from Python."""

    def __init__(self, tree: Any, from_c: bool, patience: float = PATIENCE) -> None:
        self.tree, self.patience = tree, patience
        self.loops = loops_in_c() if from_c else None

    def insert(self, points: np.ndarray) -> tuple[int, float, float]:
        if self.loops is None:
            rows = [points[row : row + 1] for row in range(len(points))]
            return one_by_one(lambda row: self.tree.insert(rows[row]), len(rows))
        points = np.ascontiguousarray(points)
        return self.call("insert", "insert", points, *map(ctypes.c_int64, points.shape))

    def remove(self, indices: np.ndarray) -> tuple[int, float, float]:
        if self.loops is None:
            ids = [int(one) for one in indices]
            return one_by_one(lambda place: self.tree.remove(ids[place]), len(ids))
        indices = np.ascontiguousarray(indices, np.int64)
        return self.call("remove", "remove", indices, ctypes.c_int64(len(indices)))

    def call(
        self, loop: str, name: str, array: np.ndarray, *sizes: Any
    ) -> tuple[int, float, float]:
        from covertreex._capi.library import lib

        done, longest = ctypes.c_int64(), ctypes.c_double()
        took = getattr(self.loops, f"{loop}_loop")(
            ctypes.cast(getattr(lib, f"covertree_tree_{name}"), ctypes.c_void_p),
            self.tree._open(),
            ctypes.c_void_p(array.ctypes.data),
            *sizes,
            ctypes.c_double(self.patience),
            ctypes.byref(done),
            ctypes.byref(longest),
        )
        return done.value, took, longest.value


def both(
    first: tuple[int, float, float], then: tuple[int, float, float]
) -> tuple[int, float, float]:
    """Calls that go on where others ended."""
    return first[0] + then[0], first[1] + then[1], max(first[2], then[2])


def told(what: str, made: int, took: float, longest: float) -> Figures:
    return {
        f"{what}_one_us": took / made * 1e6,
        f"{what}_made": made,
        f"{what}_longest_ms": longest * 1e3,
    }


def compared(
    tree: Any, rows: np.ndarray, labels: np.ndarray, queries: np.ndarray, name: str
) -> Figures:
    """Searches of a tree that was changed, and of one that is freshly built of what it has, by turns."""
    from covertreex import cover_tree

    fresh = cover_tree(rows)
    changed_s = fresh_s = float("inf")
    for _ in range(5):
        changed_s = min(changed_s, best(lambda: tree.knn(K, queries=queries), 1))
        fresh_s = min(fresh_s, best(lambda: fresh.knn(K, queries=queries), 1))
    found = tree.knn(K, queries=queries)
    same = (found == labels[fresh.knn(K, queries=queries)]).all(axis=1).mean()
    one = queries[:1]
    return {
        f"{name}_qps": len(queries) / changed_s,
        f"{name}_times": changed_s / fresh_s,
        f"{name}_one_times": best(lambda: tree.knn(K, queries=one), 300)
        / best(lambda: fresh.knn(K, queries=one), 300),
        f"{name}_same": float(same),
    }


def ours(data: Data, from_c: bool) -> Figures:
    """Our tree through all changes."""
    from covertreex import cover_tree

    queries = data.queries
    cover_tree(data.points[:1000]).insert(data.points[:1])
    figures: Figures = {
        "n": len(data.points),
        "singles": data.singles,
        "batch": data.batch,
        "few": data.few,
    }
    tree = cover_tree(data.points)
    figures["fresh_qps"] = len(queries) / best(lambda: tree.knn(K, queries=queries), 3)
    loops, n, few = Loops(tree, from_c), len(data.points), data.few
    rows = np.concatenate([data.points, data.more])

    # The first few alone, as a tree that is asked after them has not yet been merged.
    first = loops.insert(data.more[:few])
    figures.update(told("few", *first))
    if first[0] < few:
        tree.insert(data.more[first[0] : few])
    figures.update(compared(tree, rows[: n + few], np.arange(n + few), queries, "few"))

    if first[0] == few:
        first = both(first, loops.insert(data.more[few:]))
    if len(tree) < len(rows):
        tree.insert(rows[len(tree) :])
    figures.update(told("insert", *first))
    figures.update(compared(tree, rows, np.arange(len(rows)), queries, "many"))

    at_once = [best(lambda: tree.insert(batch), 1) for batch in data.batches]  # noqa: B023
    figures["insert_batch_ms"] = float(np.median(at_once)) * 1e3
    rows = np.concatenate([rows, *data.batches])

    gone = data.gone[: data.batch]
    removed, took, longest = loops.remove(gone)
    figures.update(told("remove", removed, took, longest))
    turns = []
    for turn in range(3):
        ids = data.gone[(turn + 1) * data.batch : (turn + 2) * data.batch]
        turns.append(best(lambda: tree.remove(ids), 1))  # noqa: B023
    figures["remove_batch_ms"] = float(np.median(turns)) * 1e3
    labels = np.setdiff1d(
        np.arange(len(rows)),
        np.r_[gone[:removed], data.gone[data.batch : 4 * data.batch]],
    )
    figures.update(compared(tree, rows[labels], labels, queries, "left"))
    found = np.searchsorted(labels, tree.knn(K, queries=queries))
    figures["recall"] = recall(rows[labels], queries, found, K)
    return figures


def rebuilt(
    data: Data, build: Callable[[np.ndarray], Any], query: Callable[..., Any]
) -> Figures:
    """One more, ten thousand more, one less: whatever it is, it costs a tree."""
    build(data.points[:1000])
    rows = np.concatenate([data.points, data.more])
    tree = build(data.points)
    took = best(lambda: query(tree, data.queries), 3)
    one_more = best(lambda: build(np.concatenate([data.points, data.more[:1]])), 3)
    more = best(lambda: build(np.concatenate([data.points, data.batches[0]])), 3)
    one_less = best(lambda: build(np.delete(data.points, 7, axis=0)), 3)
    less = best(
        lambda: build(np.delete(data.points, data.gone[: data.batch], axis=0)), 3
    )
    tree = build(rows)
    found = query(tree, data.queries)
    return {
        "fresh_qps": len(data.queries) / took,
        "insert_one_us": one_more * 1e6,
        "insert_batch_ms": more * 1e3,
        "remove_one_us": one_less * 1e6,
        "remove_batch_ms": less * 1e3,
        "recall": recall(rows, data.queries, found.astype(np.int64), K),
    }


def pykdtree(data: Data) -> Figures:
    from pykdtree.kdtree import KDTree

    return rebuilt(data, KDTree, lambda tree, q: tree.query(q, K)[1])


def scipy(data: Data) -> Figures:
    from scipy.spatial import cKDTree

    return rebuilt(data, cKDTree, lambda tree, q: tree.query(q, K, workers=2)[1])


def likd(data: Data) -> Figures:
    """A tree for robots: three dimensions, insertion, the nearest point."""
    from likd_tree import KDTree

    tree, queries = KDTree(), data.queries
    tree.build(data.points)

    def search() -> Any:
        return tree.nearest_neighbors(queries)

    figures: Figures = {"fresh_qps": len(queries) / best(search, 3)}
    rows = [data.more[row : row + 1] for row in range(len(data.more))]
    first = one_by_one(lambda row: tree.add_points(rows[row]), data.few)
    figures["few_qps"] = len(queries) / best(search, 3)
    rest = rows[first[0] :]
    made, took, longest = both(
        first, one_by_one(lambda row: tree.add_points(rest[row]), len(rest))
    )
    # A thread of its own puts the tree in order; what is not done yet is done here.
    start = time.perf_counter()
    tree.wait_for_rebuild()
    figures.update(told("insert", made, took + time.perf_counter() - start, longest))
    figures["many_qps"] = len(queries) / best(search, 3)
    start = time.perf_counter()
    tree.add_points(data.batches[0])
    tree.wait_for_rebuild()
    figures["insert_batch_ms"] = (time.perf_counter() - start) * 1e3
    inside = np.concatenate([data.points, data.more[:made], data.batches[0]])
    figures["recall"] = recall(
        inside, queries, search()[1].reshape(-1, 1).astype(np.int64), 1
    )
    return figures


def rtree(data: Data) -> Figures:
    """Boxes of libspatialindex, each of them a point."""
    from rtree import index

    def box(row: np.ndarray) -> tuple[float, ...]:
        x, y, z = row.tolist()
        return x, y, z, x, y, z

    told_of = index.Property(dimension=3)
    tree = index.Index(
        ((row, box(point), None) for row, point in enumerate(data.points)),
        properties=told_of,
    )
    queries = data.queries[:300]

    def search() -> np.ndarray:
        # All that are as far as the K-th come too.
        return np.array([sorted(tree.nearest(box(one), K))[:K] for one in queries])

    n, figures = len(data.points), {"fresh_qps": len(queries) / best(search, 2)}
    more = data.more
    first = one_by_one(lambda row: tree.insert(n + row, box(more[row])), data.few)
    figures["few_qps"] = len(queries) / best(search, 2)
    made = first[0]
    first = both(
        first,
        one_by_one(
            lambda row: tree.insert(n + made + row, box(more[made + row])),
            len(more) - made,
        ),
    )
    figures.update(told("insert", *first))
    figures["many_qps"] = len(queries) / best(search, 2)
    inside = np.concatenate([data.points, more[: first[0]]])
    figures["recall"] = recall(inside, queries, search(), K)

    def leave(place: int) -> None:
        row = int(data.gone[place])
        tree.delete(row, box(data.points[row]))

    figures.update(told("remove", *one_by_one(leave, data.batch)))
    return figures


BODIES: dict[str, Callable[[Data], Figures]] = {
    "covertreex": lambda data: ours(data, False),
    "covertreex-c": lambda data: ours(data, True),
    "pykdtree": pykdtree,
    "scipy": scipy,
    "likd-tree": likd,
    "rtree": rtree,
}


def lines_of(rows: dict[str, Figures]) -> list[str]:
    """What changes cost, and what searches cost after them, as Markdown."""
    head = (
        "| insert 1, µs | calls | slowest, ms | insert {0}, ms | remove 1, µs | slowest, ms | remove {0}, ms "
        "| queries/s as built | after {1} single insertions | after all | recall"
    ).format(*(spaced(next(iter(rows.values()))[key]) for key in ("batch", "few")))
    keys = (
        "insert_one_us insert_made:,.0f insert_longest_ms insert_batch_ms remove_one_us remove_longest_ms "
        "remove_batch_ms fresh_qps:,.0f few_qps:,.0f many_qps:,.0f recall:.4f"
    )
    return table(
        head.split(" | "),
        [
            [
                PEERS[peer],
                *(
                    cell(row, *one.partition(":")[::2])
                    if ":" in one
                    else cell(row, one)
                    for one in keys.split()
                ),
            ]
            if "error" not in row
            else [PEERS[peer], row["error"]]
            for peer, row in rows.items()
        ],
        n_words=1,
    )


def after(rows: dict[str, Figures]) -> list[str]:
    """Searches after changes beside those of a fresh tree, as Markdown."""
    states = {
        "few": "{few:_} single insertions",
        "many": "{singles:_} insertions",
        "left": "removals, too",
    }
    lines = []
    for peer, row in rows.items():
        if "error" in row or "few_times" not in row:
            continue
        for place, (name, title) in enumerate(states.items()):
            lines.append(
                [
                    PEERS[peer] if place == 0 else "",
                    title.format(**row).replace("_", " "),
                    *(
                        cell(row, f"{name}_{key}", form)
                        for key, form in (
                            ("times", ".2f"),
                            ("one_times", ".2f"),
                            ("same", ".4f"),
                        )
                    ),
                ]
            )
    head = [
        "",
        "after",
        "time of all queries, times a fresh tree's",
        "of one query",
        "same answers",
    ]
    return table(head, lines)


def main() -> None:
    """Measure, print, and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--n", type=int, default=N)
    parser.add_argument("--turns", type=int, default=TURNS)
    parser.add_argument("--case", help=argparse.SUPPRESS)
    parser.add_argument("--peer", choices=BODIES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    n = options.n // 50 if options.quick and not options.case else options.n
    if options.case:
        printed(BODIES[options.peer](Data(n)))
        return
    rows = in_turns(
        __file__,
        "changes",
        BODIES,
        1 if options.quick else options.turns,
        ["--n", str(n)],
    )
    notes = (
        f"{spaced(n)} points, uniform in the unit cube, float32, {K} neighbours, in batches of queries; Rtree's one by one. SciPy, "
        "scikit-learn and pykdtree have no changes: they cost another tree. likd-tree has insertion alone, and finds the nearest one.\n"
        f"Medians of {1 if options.quick else options.turns} turn(s) on {machine()}; `benchmarks/changes.py` writes these tables."
    )
    text = "\n".join([*lines_of(rows), "", *after(rows), "", notes])
    print(text)
    if not options.quick and n == N:
        write("changes", text, {"machine": machine(), "n": n, "rows": rows})


if __name__ == "__main__":
    main()

"""Points that come and go: ours, trees of PyPI that can change, and trees that are built again.

    changes.py              1 000 000 x 3; writes changes.json and changes.md
    changes.py --quick      a fiftieth of the points and changes, one turn; writes nothing
    changes.py --n 200000   another number of points; writes nothing

Points, uniform in the unit cube and in float32, come to a tree that was built of the others. Each contender runs in a process of its
own, in turns. If changes one by one take long, the rest of them is made in one batch. Searches after changes alternate
with searches of a tree that is freshly built of the same points, and recall is against the float64 truth.

SciPy's cKDTree, scikit-learn's trees and pykdtree cannot change: a change costs another tree. likd-tree can insert points of three
dimensions, and finds the nearest one. Rtree (libspatialindex) can insert and remove, and searches for one query at a time.
"""

from __future__ import annotations

import ctypes
import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from contenders import CONTENDERS, compiled
from covertreex._bench import truth
from covertreex._bench.clocks import alternate
from measuring import fastest_of
from processes import Figures, in_turns, once, options
from tables import cell, machine, spaced, table, titled, write

K = 10
N, SINGLES, BATCH, FEW = 1_000_000, 100_000, 10_000, 1_000
# Seconds that changes one by one may take.
PATIENCE = 20.0
N_QUERIES = 20_000

PEERS = {
    "covertreex": "**covertree**, from Python",
    "covertreex-c": "**covertree**, from C",
    "pykdtree": "pykdtree, built again",
    "scipy": "scipy cKDTree, built again",
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
    """The number of calls made, of `n`, their seconds, and the seconds of the slowest."""
    clock = time.perf_counter
    start = last = clock()
    longest, made = 0.0, 0
    while made < n and last - start < PATIENCE:
        work(made)
        made += 1
        end = clock()
        longest, last = max(longest, end - last), end
    return made, last - start, longest


class Loops:
    """Changes of one of our trees one by one, from C or from Python."""

    def __init__(self, tree: Any, from_c: bool, patience: float = PATIENCE) -> None:
        self.tree, self.patience = tree, patience
        self.loops = (
            compiled("changes", "insert_loop", "remove_loop") if from_c else None
        )

    def insert(self, points: np.ndarray) -> tuple[int, float, float]:
        if self.loops is None:
            rows = [points[row : row + 1] for row in range(len(points))]
            return one_by_one(lambda row: self.tree.insert(rows[row]), len(rows))
        points = np.ascontiguousarray(points)
        return self.call("insert", "insert", points, *map(ctypes.c_int64, points.shape))

    def remove(self, indices: np.ndarray) -> tuple[int, float, float]:
        if self.loops is None:
            ids = [int(one) for one in indices]
            return one_by_one(lambda row: self.tree.remove(ids[row]), len(ids))
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


def figures_of(what: str, made: int, took: float, longest: float) -> Figures:
    return {
        f"{what}_one_us": took / made * 1e6,
        f"{what}_made": made,
        f"{what}_longest_ms": longest * 1e3,
    }


def compared(
    tree: Any, rows: np.ndarray, labels: np.ndarray, queries: np.ndarray, name: str
) -> Figures:
    """Searches of a tree that was changed, and of one that is freshly built of its points, by turns."""
    from covertreex import cover_tree

    fresh = cover_tree(rows)
    trees = {"changed": tree, "fresh": fresh}
    searches = {key: partial(one.knn, K, queries=queries) for key, one in trees.items()}
    changed_s, fresh_s = map(min, alternate(searches, 5).values())
    found = tree.knn(K, queries=queries)
    same = (found == labels[fresh.knn(K, queries=queries)]).all(axis=1).mean()
    one = queries[:1]
    return {
        f"{name}_qps": len(queries) / changed_s,
        f"{name}_times": changed_s / fresh_s,
        f"{name}_one_times": fastest_of(300, lambda: tree.knn(K, queries=one))
        / fastest_of(300, lambda: fresh.knn(K, queries=one)),
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
    figures["fresh_qps"] = len(queries) / fastest_of(
        3, lambda: tree.knn(K, queries=queries)
    )
    loops, n, few = Loops(tree, from_c), len(data.points), data.few
    rows = np.concatenate([data.points, data.more])

    # The first few alone, as a tree that is asked after them has not yet been merged.
    first = loops.insert(data.more[:few])
    figures.update(figures_of("few", *first))
    if first[0] < few:
        tree.insert(data.more[first[0] : few])
    figures.update(compared(tree, rows[: n + few], np.arange(n + few), queries, "few"))

    if first[0] == few:
        first = both(first, loops.insert(data.more[few:]))
    if len(tree) < len(rows):
        tree.insert(rows[len(tree) :])
    figures.update(figures_of("insert", *first))
    figures.update(compared(tree, rows, np.arange(len(rows)), queries, "many"))

    at_once = [fastest_of(1, lambda: tree.insert(batch)) for batch in data.batches]  # noqa: B023
    figures["insert_batch_ms"] = float(np.median(at_once)) * 1e3
    rows = np.concatenate([rows, *data.batches])

    gone = data.gone[: data.batch]
    removed, took, longest = loops.remove(gone)
    figures.update(figures_of("remove", removed, took, longest))
    turns = []
    for turn in range(3):
        ids = data.gone[(turn + 1) * data.batch : (turn + 2) * data.batch]
        turns.append(fastest_of(1, lambda: tree.remove(ids)))  # noqa: B023
    figures["remove_batch_ms"] = float(np.median(turns)) * 1e3
    labels = np.setdiff1d(
        np.arange(len(rows)),
        np.r_[gone[:removed], data.gone[data.batch : 4 * data.batch]],
    )
    figures.update(compared(tree, rows[labels], labels, queries, "left"))
    found = np.searchsorted(labels, tree.knn(K, queries=queries))
    figures["recall"] = truth.euclidean(rows[labels], queries, K).recall(found)
    return figures


def rebuilt(data: Data, peer: str) -> Figures:
    """A tree that does not change, after points have come or gone: each time it is built again."""
    build, search = CONTENDERS[peer]()[:2]

    def query(tree: Any, queries: np.ndarray) -> np.ndarray:
        return search(tree, queries, K)

    build(data.points[:1000])
    rows = np.concatenate([data.points, data.more])
    tree = build(data.points)
    took = fastest_of(3, lambda: query(tree, data.queries))
    one_more = fastest_of(
        3, lambda: build(np.concatenate([data.points, data.more[:1]]))
    )
    more = fastest_of(3, lambda: build(np.concatenate([data.points, data.batches[0]])))
    one_less = fastest_of(3, lambda: build(np.delete(data.points, 7, axis=0)))
    less = fastest_of(
        3, lambda: build(np.delete(data.points, data.gone[: data.batch], axis=0))
    )
    tree = build(rows)
    found = query(tree, data.queries)
    return {
        "fresh_qps": len(data.queries) / took,
        "insert_one_us": one_more * 1e6,
        "insert_batch_ms": more * 1e3,
        "remove_one_us": one_less * 1e6,
        "remove_batch_ms": less * 1e3,
        "recall": truth.euclidean(rows, data.queries, K).recall(found),
    }


def likd(data: Data) -> Figures:
    """A tree for robots: three dimensions, insertion, the nearest point."""
    from likd_tree import KDTree

    tree, queries = KDTree(), data.queries
    tree.build(data.points)

    def search() -> Any:
        return tree.nearest_neighbors(queries)

    figures: Figures = {"fresh_qps": len(queries) / fastest_of(3, search)}
    rows = [data.more[row : row + 1] for row in range(len(data.more))]
    first = one_by_one(lambda row: tree.add_points(rows[row]), data.few)
    figures["few_qps"] = len(queries) / fastest_of(3, search)
    rest = rows[first[0] :]
    made, took, longest = both(
        first, one_by_one(lambda row: tree.add_points(rest[row]), len(rest))
    )
    # A thread of its own puts the tree in order; this waits for the rest.
    start = time.perf_counter()
    tree.wait_for_rebuild()
    figures.update(
        figures_of("insert", made, took + time.perf_counter() - start, longest)
    )
    figures["many_qps"] = len(queries) / fastest_of(3, search)
    start = time.perf_counter()
    tree.add_points(data.batches[0])
    tree.wait_for_rebuild()
    figures["insert_batch_ms"] = (time.perf_counter() - start) * 1e3
    inside = np.concatenate([data.points, data.more[:made], data.batches[0]])
    figures["recall"] = truth.euclidean(inside, queries, 1).recall(search()[1])
    return figures


def rtree(data: Data) -> Figures:
    """Boxes of libspatialindex, each of them a point."""
    from rtree import index

    def box(row: np.ndarray) -> tuple[float, ...]:
        x, y, z = row.tolist()
        return x, y, z, x, y, z

    properties = index.Property(dimension=3)
    tree = index.Index(
        ((row, box(point), None) for row, point in enumerate(data.points)),
        properties=properties,
    )
    queries = data.queries[:300]

    def search() -> np.ndarray:
        # All that are as far as the K-th come too.
        return np.array([sorted(tree.nearest(box(one), K))[:K] for one in queries])

    n, figures = len(data.points), {"fresh_qps": len(queries) / fastest_of(2, search)}
    more = data.more
    first = one_by_one(lambda row: tree.insert(n + row, box(more[row])), data.few)
    figures["few_qps"] = len(queries) / fastest_of(2, search)
    made = first[0]
    first = both(
        first,
        one_by_one(
            lambda row: tree.insert(n + made + row, box(more[made + row])),
            len(more) - made,
        ),
    )
    figures.update(figures_of("insert", *first))
    figures["many_qps"] = len(queries) / fastest_of(2, search)
    inside = np.concatenate([data.points, more[: first[0]]])
    figures["recall"] = truth.euclidean(inside, queries, K).recall(search())

    def leave(number: int) -> None:
        row = int(data.gone[number])
        tree.delete(row, box(data.points[row]))

    figures.update(figures_of("remove", *one_by_one(leave, data.batch)))
    return figures


BODIES: dict[str, Callable[[Data], Figures]] = {
    "covertreex": lambda data: ours(data, False),
    "covertreex-c": lambda data: ours(data, True),
    "pykdtree": lambda data: rebuilt(data, "pykdtree"),
    "scipy": lambda data: rebuilt(data, "scipy"),
    "likd-tree": likd,
    "rtree": rtree,
}


def lines_of(rows: dict[str, Figures]) -> list[str]:
    """The costs of changes, and of searches after them, as Markdown."""
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
    """Searches after changes, compared with a fresh tree, as Markdown."""
    states = {
        "few": "{few:_} single insertions",
        "many": "{singles:_} insertions",
        "left": "removals, too",
    }
    lines = []
    for peer, row in rows.items():
        if "few_times" not in row:
            continue
        for who, name in titled(states, PEERS[peer]):
            state = states[name].format(**row).replace("_", " ")
            ratios = [
                cell(row, f"{name}_{key}", ".2f") for key in ("times", "one_times")
            ]
            lines.append([who, state, *ratios, cell(row, f"{name}_same", ".4f")])
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
    parser = options(__doc__, turns=3)
    parser.add_argument("--n", type=int, default=N)
    given = parser.parse_args()
    if given.case:
        print(json.dumps(BODIES[given.peer](Data(given.n))))
        return
    n, turns = (given.n // 50, 1) if given.quick else (given.n, given.turns)
    arguments = ["--case", "changes", "--n", str(n)]
    rows = in_turns(
        BODIES, turns, lambda peer: once(__file__, [*arguments, "--peer", peer])
    )
    notes = (
        f"{spaced(n)} points, uniform in the unit cube, float32, {K} neighbours, in batches of queries; Rtree's one by one. Trees of "
        "SciPy, scikit-learn and pykdtree cannot change: a change costs another tree. likd-tree can only insert, and finds one neighbour.\n"
        f"Medians of {turns} turn(s) on {machine()}; `benchmarks/changes.py` writes these tables."
    )
    text = "\n".join([*lines_of(rows), "", *after(rows), "", notes])
    print(text)
    if not given.quick and n == N:
        write(
            Path(__file__).with_name("changes"),
            text,
            {"machine": machine(), "n": n, "rows": rows},
        )


if __name__ == "__main__":
    main()

"""The vector store compared with plain Python: a dictionary of arrays, and one with a dictionary of their bytes.

    store.py            everything; writes store.md
    store.py --quick    smaller, writes nothing

Figures are medians of turns, in which contenders alternate; a difference or ratio is computed for each turn, and its median is
given. Found vectors are compared with the added ones, bit for bit, and the results of searches with float64 distances.
"""

from __future__ import annotations

import mmap
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from covertreex import VectorStore
from covertreex._bench.clocks import alternate, timed
from processes import options
from tables import machine, table, write

HERE = Path(__file__).parent
DIM = 384
Work = Callable[[], Any]


class PythonStore:
    """Deduplication as one writes it: vectors by their bytes, and a list of them."""

    def __init__(self) -> None:
        self.slot_of: dict[Any, int] = {}
        self.by_bytes: dict[bytes, int] = {}
        self.counts: list[int] = []
        self.vectors: list[np.ndarray] = []

    def add(self, id: Any, vector: np.ndarray) -> int:
        """Add a vector."""
        key = (vector + 0.0).tobytes()
        slot = self.by_bytes.get(key)
        if slot is None:
            slot = self.by_bytes[key] = len(self.vectors)
            self.vectors.append(vector.copy())
            self.counts.append(0)
        self.counts[slot] += 1
        self.slot_of[id] = slot
        return slot


class Turns:
    """Seconds of works that alternate."""

    def __init__(self, works: dict[str, Work], turns: int) -> None:
        self._seconds = alternate(works, turns)

    def __getitem__(self, name: str) -> float:
        return statistics.median(self._seconds[name])

    def _pairs(self, name: str, other: str) -> zip[tuple[float, float]]:
        return zip(self._seconds[name], self._seconds[other])

    def times(self, name: str, other: str) -> float:
        """How many times as long one takes."""
        return statistics.median(a / b for a, b in self._pairs(name, other))

    def over(self, name: str, other: str) -> float:
        """How much longer one takes."""
        return statistics.median(a - b for a, b in self._pairs(name, other))


def added(ids: list[Any], rows: np.ndarray) -> VectorStore:
    """A store in memory to which a batch was added."""
    store = VectorStore(DIM)
    store.add_batch(ids, rows)
    return store


def singly(store: Any, ids: list[Any], rows: list[np.ndarray]) -> Any:
    """Add vectors one by one."""
    for id, row in zip(ids, rows):
        store.add(id, row)
    return store


def dictionary(ids: list[Any], rows: list[np.ndarray]) -> dict[Any, np.ndarray]:
    """A dictionary of copies."""
    kept = {}
    for id, row in zip(ids, rows):
        kept[id] = row.copy()
    return kept


def copied_to_new_memory(rows: np.ndarray) -> np.ndarray:
    """A copy in memory that the process has not had before, by large pages as a store has them."""
    memory = mmap.mmap(
        -1, rows.nbytes + (2 << 20), mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    )
    memory.madvise(mmap.MADV_HUGEPAGE)
    copy = np.frombuffer(memory, np.float32, rows.size).reshape(rows.shape)
    np.copyto(copy, rows)
    return copy


def added_to_new_memory(ids: list[Any], rows: np.ndarray) -> float:
    """Seconds of adding to a store that does not get the memory of one before, as another has that."""
    with VectorStore(DIM):
        store = VectorStore(DIM)
        taken, _ = timed(lambda: store.add_batch(ids, rows))
    store.close()
    return taken


def in_memory(n: int, turns: int) -> list[list[str]]:
    """Rows of the table: work in memory."""
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((n, DIM), dtype=np.float32)
    halves = np.concatenate([rows[: n // 2], rows[: n // 2]])
    ids = [uuid.UUID(int=int(number)) for number in rng.integers(0, 2**62, n)]
    numbers = list(range(n))
    listed, listed_halves = list(rows), list(halves)
    target = np.empty_like(rows)
    batch = Turns(
        {
            "copy": lambda: np.copyto(target, rows),
            "add": lambda: added(numbers, rows),
            "copy new": lambda: copied_to_new_memory(rows),
            "add new": lambda: added_to_new_memory(numbers, rows),
            "dedup": lambda: added(numbers, halves),
            "python dedup": lambda: singly(PythonStore(), numbers, listed_halves),
        },
        turns,
    )
    one = Turns(
        {
            "dict": lambda: dictionary(ids, listed),
            "add": lambda: singly(VectorStore(DIM), ids, listed),
        },
        turns,
    )
    store, plain = added(ids, rows), dictionary(ids, listed)
    order = [ids[i] for i in rng.permutation(n)]
    get = Turns(
        {
            "dict": lambda: [plain[id] for id in order],
            "get": lambda: [store.get(id) for id in order],
        },
        turns,
    )
    assert all(np.array_equal(store.get(id), row) for id, row in zip(ids, rows))
    dedup = added(ids, halves)
    assert dedup.n_unique == n // 2
    assert all(np.array_equal(dedup.get(id), row) for id, row in zip(ids, halves))
    each = 1e6 / n

    def times(name: str, other: str) -> str:
        return f"{batch[other] * 1e3:.1f} ms ({batch.times(name, other):.1f} times)"

    more = one.over("add", "dict") * each
    faster = batch.times("python dedup", "dedup")
    return [
        [
            f"add {n:,} x {DIM} in one batch, to memory of a store before",
            f"{batch['add'] * 1e3:.1f} ms",
            f"copying to memory that is there: {times('add', 'copy')}",
        ],
        [
            "the same, to new memory",
            f"{batch['add new'] * 1e3:.1f} ms",
            f"copying to new memory: {times('add new', 'copy new')}",
        ],
        [
            "add one by one",
            f"{one['add'] * each:.2f} us each",
            f"dict of copies: {one['dict'] * each:.2f} us ({more:.2f} us more)",
        ],
        [
            f"add {n:,}, half of them twice",
            f"{batch['dedup'] * 1e3:.1f} ms",
            f"dict and bytes: {batch['python dedup'] * 1e3:.1f} ms ({faster:.1f} times)",
        ],
        [
            "get, at random, without a copy",
            f"{get['get'] * each:.2f} us",
            f"dict: {get['dict'] * each:.2f} us",
        ],
    ]


def durable(n: int, turns: int, folder: Path) -> list[list[str]]:
    """Rows of the table: adding to a store on disk."""
    rows = np.random.default_rng(1).standard_normal((n, DIM), dtype=np.float32)
    ids = [uuid.UUID(int=number * 7919) for number in range(n)]

    def add(sync: str) -> None:
        path = folder / sync
        with VectorStore.open(path, DIM, sync=sync) as store:
            times[sync].append(timed(lambda: store.add_batch(ids, rows))[0])
            assert np.array_equal(store.get(ids[-1]), rows[-1])
        shutil.rmtree(path)

    times: dict[str, list[float]] = {"full": [], "normal": [], "off": []}
    for _ in range(turns):
        for sync in times:
            add(sync)
    return [
        [
            f"durable batch, sync {sync}",
            f"{n / statistics.median(taken):,.0f} vectors/s",
            "",
        ]
        for sync, taken in times.items()
    ]


REOPEN = """
import sys
from covertreex import VectorStore
from covertreex._bench.clocks import timed
opened, store = timed(lambda: VectorStore.open(sys.argv[1], read_only=True))
print(opened, timed(lambda: store.get(int(sys.argv[2])))[0])
"""

# Brute force over a store in a process of its own: seconds to make it, of one query and of a batch, and the memory in MB.
SEARCH = """
import sys, numpy as np
from covertreex import VectorStore
from covertreex._bench.clocks import timed
from covertreex.indexes import BruteForce

def anonymous():
    lines = open("/proc/self/status").read().splitlines()
    return int(next(line for line in lines if line.startswith("RssAnon")).split()[1]) / 1024

store = VectorStore.open(sys.argv[1], read_only=True)
queries = np.load(sys.argv[2])
before = anonymous()
index = BruteForce(store)
made, _ = timed(lambda: index.add())
single, _ = timed(lambda: index.knn(10, queries=queries[:1]))
batch, (ids, _) = timed(lambda: index.knn(10, queries=queries))
np.save(sys.argv[3], ids)
print(made, single, batch, anonymous() - before)
"""


def run(source: str, *arguments: object, group: Path | None = None) -> list[float]:
    """The numbers that a script prints, in a control group."""

    def enter() -> None:
        if group is not None:
            (group / "cgroup.procs").write_text(str(os.getpid()))

    done = subprocess.run(
        [sys.executable, "-c", source, *map(str, arguments)],
        capture_output=True, text=True, check=True, preexec_fn=enter,
    )  # fmt: skip
    return [float(number) for number in done.stdout.split()]


def large(n: int, folder: Path) -> list[list[str]]:
    """Rows of the table: a store of many vectors, opened again and searched in processes of their own."""
    path, rng = folder / "large", np.random.default_rng(2)
    queries = rng.standard_normal((64, DIM), dtype=np.float32)
    nearest: list[Any] = [(np.empty(0), np.empty(0, np.int64))] * len(queries)
    with VectorStore.open(path, DIM, sync="off") as store:
        for first in range(0, n, 50_000):
            rows = rng.standard_normal((min(50_000, n - first), DIM), dtype=np.float32)
            store.add_batch(range(first, first + len(rows)), rows)
            wide = rows.astype(float)
            squares = (wide**2).sum(axis=1) - 2 * queries.astype(float) @ wide.T
            for i, found in enumerate(squares):
                best = np.argpartition(found, 10)[:10]
                together = (
                    np.r_[nearest[i][0], found[best]],
                    np.r_[nearest[i][1], first + best],
                )
                order = np.argsort(together[0])[:10]
                nearest[i] = together[0][order], together[1][order]
    opened, got = np.median([run(REOPEN, path, n // 3) for _ in range(5)], axis=0)
    np.save(folder / "queries.npy", queries)
    row_bytes = n * DIM * 4
    truth = np.array([found for _, found in nearest])
    lines = [
        [
            f"open {n:,} x {DIM} again",
            f"{opened * 1e3:.0f} ms, first `get` {got * 1e3:.2f} ms",
            f"{row_bytes / 1e6:,.0f} MB of rows, mapped",
        ]
    ]
    # Python alone takes some tens of megabytes.
    group = memory_group(row_bytes * 6 // 10) if row_bytes > 5e8 else None
    for where in [None, group] if group else [None]:
        # Rows that were just written are in memory still.
        evict(path / "rows.bin")
        arguments = path, folder / "queries.npy", folder / "ids.npy"
        made, single, batch, grown = run(SEARCH, *arguments, group=where)
        ids = np.load(folder / "ids.npy")
        recall = np.mean([len(np.intersect1d(a, b)) for a, b in zip(ids, truth)]) / 10
        limit = f" in {row_bytes * 0.6 / 1e6:,.0f} MB of memory" if where else ""
        lines.append(
            [
                f"brute force over it, cold{limit}",
                f"one query {single:.1f} s, {len(queries)} more {batch:.1f} s, recall {recall:.4f}",
                f"{grown:,.0f} MB of its own, made in {made:.1f} s",
            ]
        )
    if group:
        group.rmdir()
    shutil.rmtree(path)
    return lines


def evict(path: Path) -> None:
    """Have the system drop the pages of a file from memory."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def memory_group(limit: int) -> Path | None:
    """A control group with a limit in bytes; None if the system refuses it."""
    own = [
        line.split(":")[2]
        for line in Path("/proc/self/cgroup").read_text().splitlines()
        if ":memory:" in line
    ]
    path = Path(f"/sys/fs/cgroup/memory{own[0] if own else ''}/covertree-{os.getpid()}")
    try:
        path.mkdir()
        (path / "memory.limit_in_bytes").write_text(str(limit))
    except OSError:
        return None
    return path


def main() -> None:
    """Measure, and write the results."""
    given = options(__doc__, turns=25).parse_args()
    n = 10_000
    n_large, turns = (50_000, 5) if given.quick else (1_000_000, given.turns)
    lines = in_memory(n, turns)
    with tempfile.TemporaryDirectory(dir=HERE) as name:
        lines += durable(n, turns, Path(name))
        lines += large(n_large, Path(name))
    head = ["", "covertree", "compared with"]
    note = f"Medians of {turns} turns on {machine()}; `make bench` writes this table."
    text = "\n".join([*table(head, lines, n_words=1), "", note])
    print(text)
    if not given.quick:
        write(HERE / "store", text)


if __name__ == "__main__":
    main()

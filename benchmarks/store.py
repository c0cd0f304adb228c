"""The vector store beside what one writes in Python: a dictionary of arrays, and one with a dictionary of their bytes.

make bench        everything; writes store.json and store.md
store.py --quick  smaller, writes nothing

Figures are medians of turns, in which contenders alternate. What is added is compared with what is found, bit for bit.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from covertreex import VectorStore
from euclidean import machine

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


def alternating(works: dict[str, Work], turns: int) -> dict[str, float]:
    """The median of each work's seconds."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(turns):
        for name, work in works.items():
            start = time.perf_counter()
            kept = work()
            times[name].append(time.perf_counter() - start)
            del kept
    return {name: statistics.median(taken) for name, taken in times.items()}


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


def in_memory(n: int, turns: int) -> dict[str, float]:
    """Seconds of what is done in memory."""
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((n, DIM), dtype=np.float32)
    halves = np.concatenate([rows[: n // 2], rows[: n // 2]])
    ids = [uuid.UUID(int=int(number)) for number in rng.integers(0, 2**62, n)]
    numbers = list(range(n))
    listed, listed_halves = list(rows), list(halves)
    times = alternating(
        {
            "copy": rows.copy,
            "add_batch": lambda: added(numbers, rows),
            "dict singly": lambda: dictionary(ids, listed),
            "add singly": lambda: singly(VectorStore(DIM), ids, listed),
            "python dedup": lambda: singly(PythonStore(), numbers, listed_halves),
            "dedup": lambda: added(numbers, halves),
            "dedup singly": lambda: singly(VectorStore(DIM), numbers, listed_halves),
        },
        turns,
    )
    store, plain = added(ids, rows), dictionary(ids, listed)
    order = [ids[i] for i in rng.permutation(n)]
    times.update(
        alternating(
            {
                "dict get": lambda: [plain[id] for id in order],
                "get": lambda: [store.get(id) for id in order],
            },
            turns,
        )
    )
    assert all(np.array_equal(store.get(id), row) for id, row in zip(ids, rows))
    dedup = added(ids, halves)
    assert dedup.n_unique == n // 2
    assert all(np.array_equal(dedup.get(id), row) for id, row in zip(ids, halves))
    return times


def durable(n: int, turns: int, folder: Path) -> dict[str, float]:
    """Seconds of adding to a store on disk."""
    rows = np.random.default_rng(1).standard_normal((n, DIM), dtype=np.float32)
    ids = [uuid.UUID(int=number * 7919) for number in range(n)]

    def add(sync: str) -> None:
        path = folder / sync
        with VectorStore.open(path, DIM, sync=sync) as store:
            start = time.perf_counter()
            store.add_batch(ids, rows)
            times[sync].append(time.perf_counter() - start)
            assert np.array_equal(store.get(ids[-1]), rows[-1])
        shutil.rmtree(path)

    times: dict[str, list[float]] = {"full": [], "normal": [], "off": []}
    for _ in range(turns):
        for sync in times:
            add(sync)
    return {
        f"durable {sync}": statistics.median(taken) for sync, taken in times.items()
    }


COLD = """
import resource, sys, time, numpy as np
from covertreex import VectorStore
start = time.perf_counter()
store = VectorStore.open(sys.argv[1], read_only=True)
opened = time.perf_counter() - start
start = time.perf_counter()
store.get(int(sys.argv[2]))
print(opened, time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def large(n: int, folder: Path) -> dict[str, float]:
    """Seconds of opening a store of many vectors again, in a process of its own."""
    path = folder / "large"
    rng = np.random.default_rng(2)
    with VectorStore.open(path, DIM, sync="off") as store:
        for first in range(0, n, 50_000):
            count = min(50_000, n - first)
            store.add_batch(
                range(first, first + count),
                rng.standard_normal((count, DIM), dtype=np.float32),
            )
    runs = []
    for _ in range(5):
        said = subprocess.run(
            [sys.executable, "-c", COLD, str(path), str(n // 3)],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        runs.append([float(number) for number in said.stdout.split()])
    opened, got, kilobytes = (statistics.median(column) for column in zip(*runs))
    shutil.rmtree(path)
    return {"open large": opened, "first get": got, "large MB": kilobytes / 1024}


def table(n: int, n_large: int, s: dict[str, float]) -> str:
    """What came out, as Markdown."""
    each = 1e6 / n
    lines = [
        "| | covertree | beside it |",
        "| --- | ---: | ---: |",
        (
            f"| add {n} x {DIM} in one batch | {s['add_batch'] * 1e3:.1f} ms | copying the array: {s['copy'] * 1e3:.1f} ms"
            f" ({s['add_batch'] / s['copy']:.1f} times) |"
        ),
        (
            f"| add one by one | {s['add singly'] * each:.2f} us each | dict of copies: {s['dict singly'] * each:.2f} us"
            f" ({(s['add singly'] - s['dict singly']) * each:.2f} us more) |"
        ),
        (
            f"| add {n}, half of them twice | {s['dedup'] * 1e3:.1f} ms | dict and bytes: {s['python dedup'] * 1e3:.1f} ms"
            f" ({s['python dedup'] / s['dedup']:.1f} times) |"
        ),
        f"| the same, one by one | {s['dedup singly'] * 1e3:.1f} ms | {s['python dedup'] * 1e3:.1f} ms |",
        f"| get, at random, without a copy | {s['get'] * each:.2f} us | dict: {s['dict get'] * each:.2f} us |",
    ]
    lines += [
        f"| durable batch, sync {sync} | {n / s[f'durable {sync}']:,.0f} vectors/s | |"
        for sync in ("full", "normal", "off")
    ]
    lines += [
        (
            f"| open {n_large:,} x {DIM} again | {s['open large'] * 1e3:.0f} ms, first `get` {s['first get'] * 1e3:.2f} ms,"
            f" {s['large MB']:.0f} MB resident | {n_large * DIM * 4 / 1e6:.0f} MB of rows |"
        ),
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure, and write what came out."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="small; write nothing")
    quick = parser.parse_args().quick
    n, n_large, turns = (10_000, 50_000, 3) if quick else (10_000, 1_000_000, 9)
    with tempfile.TemporaryDirectory(dir=HERE) as name:
        seconds = in_memory(n, turns)
        seconds |= durable(n, turns, Path(name))
        seconds |= large(n_large, Path(name))
    text = f"{table(n, n_large, seconds)}\n\nMedians of {turns} turns on {machine()}; `make bench` writes this table."
    print(text)
    print(f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")
    if not quick:
        (HERE / "store.json").write_text(
            json.dumps({"machine": machine(), "seconds": seconds}, indent=1) + "\n"
        )
        (HERE / "store.md").write_text(text + "\n")


if __name__ == "__main__":
    main()

"""Euclidean neighbours: ours and the peers in one run, with recall against the float64 truth.

    make bench                      everything; writes euclidean.json, euclidean.md and the plot
    euclidean.py --quick            smaller, writes nothing
    euclidean.py --workload NAME    one of them

Each contender runs in a process of its own, in turns. A figure is the median of the turns.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import old_version
from contenders import CONTENDERS, TITLES, WORKLOADS, Contender, Workload, normal
from covertreex._bench import truth
from covertreex._bench.clocks import timed
from measuring import fastest, peak_bytes, resident_bytes
from processes import Figures, in_turns, once, options
from tables import cell, machine, table, titled, write

HERE = Path(__file__).parent
PATIENCE = 400
N_SINGLE = 300
OWN_ROWS = 100_000

# Contenders in the plot of growth with n.
GROWN = ("covertreex", "pykdtree", "scipy")
# Trees that take a minute to build.
SLOW_TO_BUILD = ("100k-128d",)


def slow_batch(queries: np.ndarray) -> np.ndarray:
    """Queries for contenders that take long."""
    return queries[: max(1000, len(queries) // 100)]


def measured(peer: str, name: str, quick: bool) -> Figures:
    """One contender on one workload, in this process."""
    if name.startswith("grow-"):
        n = int(name.removeprefix("grow-"))
        workload = Workload(name, normal(n, 3, min(n, 200_000)), 10)
    else:
        workload = WORKLOADS[name]
    points, queries = workload.make(quick)
    contender, k = CONTENDERS[peer](), workload.k
    # Imports and thread pools do not count.
    contender.query(contender.build(points[:100]), queries[:100], 1)

    before = resident_bytes()
    build, tree = timed(lambda: contender.build(points))
    peak = peak_bytes() - before
    if build < 1:
        build = min(build, fastest(lambda: contender.build(points))[0])
    batch = slow_batch(queries) if peer == "sklearn" else queries
    took, found = fastest(lambda: contender.query(tree, batch, k))
    figures = {
        "n": len(points),
        "build_s": build,
        "batch_qps": len(batch) / took,
        "single_us": single(contender, tree, queries, k),
        "recall": truth.euclidean(points, batch, k).recall(found),
        "peak_bytes": peak,
    }
    if contender.own and name in WORKLOADS:
        # A contender that searches for its own points as for any others does so for some of them.
        every = 1 if peer == "covertreex" else -(-len(points) // OWN_ROWS)
        own, some = contender.own, points[::every]
        figures["self_qps"] = len(some) / fastest(lambda: own(tree, some, k))[0]
    if contender.from_c and points.dtype == np.float32:
        figures["c_us"] = contender.from_c(tree, points, queries[:2000], k) * 1e6
    if workload.radius and contender.within and contender.count:
        within, count = contender.within, contender.count
        some, r = queries[:100_000], workload.radius
        figures["within_qps"] = len(some) / fastest(lambda: within(tree, some, r))[0]
        took, counts = fastest(lambda: count(tree, some, r))
        figures["count_qps"] = len(some) / took
        figures["within_mean"] = float(np.mean(counts))
    return figures


def single(contender: Contender, tree: Any, queries: np.ndarray, k: int) -> float:
    """Microseconds of a query alone: the median of many."""
    took = []
    for row in range(min(N_SINGLE, len(queries))):
        one = queries[row : row + 1]
        start = time.perf_counter()
        contender.query(tree, one, k)
        took.append(time.perf_counter() - start)
    return float(np.median(took)) * 1e6


def run(peer: str, workload: str, quick: bool) -> Figures:
    """Run one contender once, in its own process."""
    arguments = ["--case", workload, "--peer", peer, *(["--quick"] if quick else [])]
    figures = once(__file__, arguments, patience=PATIENCE)
    if peer == "faiss" and "error" not in figures:
        # Its matrix products depend on the processor that OpenBLAS detects: the better of two.
        environment = {**os.environ, "OPENBLAS_CORETYPE": "SkylakeX"}
        other = once(__file__, arguments, environment=environment, patience=PATIENCE)
        if other.get("batch_qps", 0) > figures["batch_qps"]:
            return other
    return figures


def old(workload: str) -> Figures | None:
    """covertreex 0.4.5 on a workload, once: it takes minutes. None if it is not here."""
    points, queries = WORKLOADS[workload].make(False)
    k, queries = WORKLOADS[workload].k, slow_batch(queries)
    figures = old_version.measured(points, queries, k)
    if figures and "error" not in figures:
        found = figures.pop("found")
        figures["recall"] = truth.euclidean(points, queries, k).recall(found)
        figures["n"] = len(points)
    return figures


def measure(workload: str, quick: bool, n_turns: int) -> dict[str, Figures]:
    """Run all contenders in turns; medians of the figures."""
    peers = [peer for peer in WORKLOADS[workload].peers if peer != old_version.NAME]
    n_turns = 1 if workload in SLOW_TO_BUILD else n_turns
    rows = in_turns(peers, n_turns, lambda peer: run(peer, workload, quick))
    if len(peers) < len(WORKLOADS[workload].peers) and not quick:
        rows[old_version.NAME] = old(workload) or {"error": "needs Python 3.12"}
    return {peer: row for peer, row in rows.items() if "error" not in row}


def search_table(results: dict[str, dict[str, Figures]]) -> list[str]:
    """Searches for k neighbours as Markdown."""
    head = "workload |  | build ms | queries/s | self-queries/s | one query from C µs | from Python µs | recall"
    lines = []
    for workload, rows in results.items():
        for title, peer in titled(rows, WORKLOADS[workload].title):
            row = rows[peer]
            cells = [
                cell(row, "build_s", scale=1e3),
                *(cell(row, key, ",.0f") for key in ("batch_qps", "self_qps")),
                *(cell(row, key) for key in ("c_us", "single_us")),
                cell(row, "recall", ".4f"),
                f"{row['peak_bytes'] / row['n']:,.0f}",
            ]
            lines.append([title, TITLES[peer], *cells])
    return table([*head.split(" | "), "peak memory, B a point"], lines)


def radius_table(results: dict[str, dict[str, Figures]]) -> list[str]:
    """Radius searches as Markdown."""
    lines = []
    for workload, rows in results.items():
        searched = [peer for peer, row in rows.items() if "within_qps" in row]
        name = WORKLOADS[workload].title.rsplit(",", 1)[0]
        title = f"{name}, radius {WORKLOADS[workload].radius}"
        for first, peer in titled(searched, title):
            row = rows[peer]
            rates = [cell(row, key, ",.0f") for key in ("within_qps", "count_qps")]
            lines.append([first, TITLES[peer], cell(row, "within_mean"), *rates])
    head = ["radius search", "", "within it, mean", "queries/s", "counts/s"]
    return table(head, lines)


def growth() -> list[Figures]:
    """Build and search ever larger sets."""
    rows = []
    for exponent in range(12, 24):
        for peer in GROWN:
            result = run(peer, f"grow-{2**exponent}", quick=False)
            if "error" in result:
                continue
            rows.append({"peer": peer, "n": 2**exponent, **result})
            print(
                f"  {peer:12} n {2**exponent:8}: {result['build_s'] * 1e3:8.1f} ms, {result['batch_qps']:10,.0f} q/s"
            )
    return rows


def plot(rows: list[Figures], path: Path) -> None:
    """Draw build time and queries per second against n."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for peer in GROWN:
        mine = [r for r in rows if r["peer"] == peer]
        left.loglog(
            [r["n"] for r in mine],
            [r["build_s"] for r in mine],
            "o-",
            label=TITLES[peer].strip("*"),
        )
        right.loglog(
            [r["n"] for r in mine],
            [r["batch_qps"] for r in mine],
            "o-",
            label=TITLES[peer].strip("*"),
        )
    left.set(
        xlabel="points", ylabel="seconds to build", title="Build, dimension 3, float32"
    )
    right.set(
        xlabel="points", ylabel="queries a second", title="10 nearest of fresh points"
    )
    for axes in (left, right):
        axes.grid(True, which="both", alpha=0.3)
        axes.legend()
    figure.savefig(path, dpi=110)


def main() -> None:
    """Measure, print, and write."""
    parser = options(__doc__, turns=3)
    parser.add_argument("--workload", choices=WORKLOADS)
    given = parser.parse_args()
    if given.case:
        print(json.dumps(measured(given.peer, given.case, given.quick)))
        return
    results, turns = {}, 1 if given.quick else given.turns
    for name in [given.workload] if given.workload else WORKLOADS:
        print(f"{name}:", flush=True)
        results[name] = measure(name, given.quick, turns)
    note = f"Medians of {turns} turn(s) on {machine()}; `make bench` writes this table."
    text = "\n".join([*search_table(results), "", *radius_table(results), "", note])
    print(text)
    if given.quick or given.workload:
        return
    print("growth:", flush=True)
    rows = growth()
    figures = {"machine": machine(), "workloads": results, "growth": rows}
    write(HERE / "euclidean", text, figures)
    plot(rows, HERE / "euclidean.png")


if __name__ == "__main__":
    main()

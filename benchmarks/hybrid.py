"""Built in Swift, searched in Numba, compared with the library's own search and NumPy's brute force: build, transfer, query.

    hybrid.py            writes hybrid.json and hybrid.md
    hybrid.py --quick    once, writes nothing

Each of them runs in a process of its own. "ready" is the time of what the first search makes for later ones; "transfer" is the time
to show the arrays to the kernels after that. Compiling the kernels is measured separately, with and without compiled kernels on the
disk. Recall is against the float64 truth.
"""

from __future__ import annotations

import json
import os
import statistics
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from covertreex._bench import truth
from covertreex._bench.clocks import timed
from processes import Figures, once, options
from residual import WORKLOADS, BruteForce, problem
from tables import cell, table, write

NAMES = [name for name, work in WORKLOADS.items() if work["n"] == 32768]
EUCLIDEAN = "Euclidean, 32 768 x 3, k 50"


def compiled() -> float:
    """Seconds until the kernels have answered for the first time, on trees of a few points."""
    from covertreex import cover_tree, kernels
    from covertreex import numba as jitted

    points = np.random.default_rng(0).random((600, 2))
    trees = [
        cover_tree(points.astype(np.float32)),
        cover_tree(points, kernel=kernels.RBF(0.5), inducing_count=16),
    ]
    return timed(lambda: [jitted.knn(tree, 3) for tree in trees])[0]


def run(name: str, engine: str, turns: int) -> Figures:
    """One engine on one workload: seconds, and the recall."""
    from covertreex import cover_tree
    from covertreex import numba as jitted

    if engine == "hybrid":
        compiled()
    times: dict[str, list[float]] = {
        "build": [],
        "ready": [],
        "transfer": [],
        "query": [],
    }

    def measure(what: str, body: Any) -> Any:
        took, result = timed(body)
        times[what].append(took)
        return result

    if name == EUCLIDEAN:
        x, rows, k, options = euclidean_points(), None, 50, {}
    else:
        work = WORKLOADS[name]
        x, kernel, inducing, rows = problem(work)
        k, options = work["k"], {"kernel": kernel, "inducing_points": inducing}
        rows = None if work["all"] else rows
    predecessors = name.startswith("all")
    for _ in range(turns):
        tree = measure("build", lambda: cover_tree(x, engine=engine, **options))

        def ask(tree: Any = tree) -> Any:
            return tree.knn(k, queries=rows, predecessor_mode=predecessors)

        if engine == "hybrid":
            measure("ready", lambda tree=tree: jitted.as_numba(tree))
            measure("transfer", lambda tree=tree: jitted.as_numba(tree))
            found = measure("query", ask)
        else:
            # The first search makes structures for later ones, and answers too.
            measure("ready", ask)
            found = measure("query", ask)
            times["ready"][-1] = max(0.0, times["ready"][-1] - times["query"][-1])
            times["transfer"].append(0.0)
        tree.close()
    medians = {what: statistics.median(values) for what, values in times.items()}
    if name == EUCLIDEAN:
        recall = truth.euclidean(x, x, k).recall(found)
    else:
        rows = np.random.default_rng(1).choice(len(x), 1024, replace=False)
        true = BruteForce(work).truth()
        recall = true.recall(found[rows] if predecessors else found)
    return {**medians, "count": len(found), "recall": recall}


def euclidean_points() -> np.ndarray:
    return np.random.default_rng(42).standard_normal((32768, 3)).astype(np.float32)


def numpy_seconds(name: str) -> float:
    """Seconds a query of NumPy's brute force."""
    if name != EUCLIDEAN:
        return BruteForce(WORKLOADS[name]).seconds()
    x = euclidean_points()
    squares = (x**2).sum(axis=1)
    rows = np.random.default_rng(1).choice(len(x), 256, replace=False)

    def search() -> None:
        for some in np.split(rows, 4):
            np.argpartition(squares - 2 * x[some] @ x.T, 49, axis=1)

    return timed(search)[0] / len(rows)


def measured(engine: str, name: str, turns: int) -> Figures:
    """A case in this process."""
    if engine == "compile":
        return {"seconds": compiled()}
    if engine == "NumPy":
        return {"seconds": numpy_seconds(name)}
    return run(name, engine, turns)


def measure(name: str, turns: int) -> list[Figures]:
    """Both engines and NumPy on one workload."""
    lines = []
    case = ["--case", name, "--turns", str(turns), "--peer"]
    for engine in ("native", "hybrid"):
        one = once(__file__, [*case, engine])
        if "error" in one:
            raise SystemExit(f"{name}, {engine}: {one['error']}")
        lines.append({"workload": name, "engine": engine, **one})
        print("  ", lines[-1], flush=True)
    count = lines[0]["count"]
    seconds = once(__file__, [*case, "NumPy"])["seconds"] * count
    brute = {"engine": "NumPy", "query": seconds, "count": count, "recall": 1.0}
    return [*lines, {"workload": name, **brute}]


def compile_seconds() -> list[float]:
    """Of the kernels: without compiled ones on the disk, and with them."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "NUMBA_CACHE_DIR": folder}
        case = ["--case", "kernels", "--peer", "compile"]
        runs = [once(__file__, case, environment=environment) for _ in range(2)]
    return [one["seconds"] for one in runs]


def lines_of(results: list[Figures], cold: float, warm: float) -> list[str]:
    """The results as Markdown."""
    lines = []
    for row in results:
        engine = row["engine"]
        steps = [row.get(what) for what in ("build", "ready", "transfer", "query")]
        total = None if None in steps else sum(steps)
        lines.append(
            [
                row["workload"] if engine == "native" else "",
                {"hybrid": "**hybrid**", "NumPy": "NumPy, brute force"}.get(
                    engine, engine
                ),
                cell(row, "build", ".2f"),
                cell(row, "ready", ".2f"),
                cell(row, "transfer", ".0f", 1e6) if engine == "hybrid" else "",
                cell(row, "query", ".2f"),
                cell({"total": total}, "total", ".2f"),
                f"{row['count'] / row['query']:,.0f}",
                cell(row, "recall", ".4f"),
            ]
        )
    head = "workload |  | build s | ready s | transfer µs | query s | total s | queries/s | recall"
    note = f"Compiling the kernels takes {cold:.0f} s once on a machine, and {warm:.1f} s in each process after that."
    return [*table(head.split(" | "), lines), "", note]


def main() -> None:
    """Measure, print, and write."""
    given = options(__doc__, turns=3).parse_args()
    if given.case:
        print(json.dumps(measured(given.peer, given.case, given.turns)))
        return
    cold, warm = compile_seconds()
    results = []
    for name in NAMES[:1] if given.quick else [EUCLIDEAN, *NAMES]:
        print(name, flush=True)
        results += measure(name, 1 if given.quick else given.turns)
    text = "\n".join(lines_of(results, cold, warm))
    print(text)
    if not given.quick:
        figures = {"compile_s": cold, "compiled_before_s": warm, "results": results}
        write(Path(__file__).with_name("hybrid"), text, figures)


if __name__ == "__main__":
    main()

"""Built in Swift, searched in Numba, beside the library's own search and NumPy's brute force: build, transfer, query, total.

    hybrid.py            writes hybrid.json and hybrid.md
    hybrid.py --quick    once, writes nothing

Every way runs in a process of its own. "ready" is what the first search makes for later ones; "transfer" is what it takes to
show the arrays to the kernels after that. Compiling the kernels is told apart, on a machine that has none of them yet, and on
one that has them on its disk. Recall is against the float64 truth.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent

sys.path.insert(0, str(HERE))
from residual import WORKLOADS, brute_force, in_process, n_checked, problem, recall

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
    start = time.perf_counter()
    for tree in trees:
        jitted.knn(tree, 3)
    return time.perf_counter() - start


def run(name: str, engine: str, turns: int) -> dict[str, Any]:
    """One way on one workload: seconds, and the neighbours that are checked."""
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

    def timed(what: str, body: Any) -> Any:
        start = time.perf_counter()
        result = body()
        times[what].append(time.perf_counter() - start)
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
        tree = timed("build", lambda: cover_tree(x, engine=engine, **options))

        def ask(tree: Any = tree) -> Any:
            return tree.knn(k, queries=rows, predecessor_mode=predecessors)

        if engine == "hybrid":
            timed("ready", lambda tree=tree: jitted.as_numba(tree))
            timed("transfer", lambda tree=tree: jitted.as_numba(tree))
            found = timed("query", ask)
        else:
            # The first search is what makes later ones ready, and answers too.
            timed("ready", ask)
            found = timed("query", ask)
            times["ready"][-1] = max(0.0, times["ready"][-1] - times["query"][-1])
            times["transfer"].append(0.0)
        tree.close()
    result = {what: statistics.median(values) for what, values in times.items()}
    checked = np.random.default_rng(1).choice(len(x), 1024, replace=False)[
        : n_checked(len(x))
    ]
    return {
        **result,
        "count": len(found),
        "found": (found[checked] if rows is None else found[: len(checked)]).tolist(),
    }


def euclidean_points() -> np.ndarray:
    return np.random.default_rng(42).standard_normal((32768, 3)).astype(np.float32)


def numpy_euclidean(k: int) -> tuple[float, np.ndarray, np.ndarray]:
    """Seconds a query, and negative squared distances of the rows that are checked."""
    x = euclidean_points()
    squares = (x**2).sum(axis=1)
    rows = np.random.default_rng(1).choice(len(x), 1024, replace=False)
    start = time.perf_counter()
    for first in range(0, 256, 64):
        some = rows[first : first + 64]
        np.argpartition(squares - 2 * x[some] @ x.T, k - 1, axis=1)
    seconds = (time.perf_counter() - start) / 256
    wide = x.astype(np.float64)
    checked = rows[: n_checked(len(x))]
    return seconds, -((wide[checked, None] - wide[None]) ** 2).sum(axis=2), checked


def share(found: np.ndarray, nearness: np.ndarray) -> float:
    """Recall where nearness is negative."""
    least = np.sort(nearness, axis=1)[:, -found.shape[1]]
    return float(
        np.mean(
            np.take_along_axis(nearness, found, axis=1)
            >= least[:, None] * (1 + 1e-6) - 1e-12
        )
    )


def measure(name: str, turns: int) -> list[dict[str, Any]]:
    """All ways on one workload."""
    if name == EUCLIDEAN:
        seconds, nearness, _ = numpy_euclidean(50)
    else:
        work = WORKLOADS[name]
        x, kernel, inducing, rows = problem(work)
        seconds, nearness, _ = brute_force(
            x, kernel, inducing, rows, work["k"], work["all"]
        )
    lines = []
    for engine in ("native", "hybrid"):
        code = f"import hybrid, json; print(json.dumps(hybrid.run({name!r}, {engine!r}, {turns})))"
        one = in_process(code)
        found = np.array(one.pop("found"))
        one["recall"] = (
            share(found, nearness) if name == EUCLIDEAN else recall(found, nearness)
        )
        lines.append({"workload": name, "engine": engine, **one})
        print("  ", lines[-1], flush=True)
    count = lines[0]["count"]
    lines.append(
        {
            "workload": name,
            "engine": "NumPy",
            "query": seconds * count,
            "count": count,
            "recall": 1.0,
        }
    )
    return lines


def compile_seconds() -> tuple[float, float]:
    """Of the kernels, for a machine that has none of them, and for one that has them on its disk."""
    code = f"import sys; sys.path.insert(0, {str(HERE)!r}); import hybrid; print(hybrid.compiled())"
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "NUMBA_CACHE_DIR": folder}
        cold, warm = (
            float(
                subprocess.run(
                    [sys.executable, "-c", code],
                    env=environment,
                    capture_output=True,
                    text=True,
                    check=True,
                ).stdout
            )
            for _ in range(2)
        )
    return cold, warm


def table(lines: list[dict[str, Any]], cold: float, warm: float) -> str:
    """The results as Markdown."""
    text = [
        "| workload | | build s | ready s | transfer µs | query s | total s | queries/s | recall |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for line in lines:
        known = "build" in line
        total = sum(
            line.get(what, 0) for what in ("build", "ready", "transfer", "query")
        )
        cells = [
            line["workload"] if line["engine"] == "native" else "",
            {"native": "native", "hybrid": "**hybrid**"}.get(
                line["engine"], "NumPy, brute force"
            ),
            f"{line['build']:.2f}" if known else "",
            f"{line['ready']:.2f}" if known else "",
            f"{line['transfer'] * 1e6:.0f}" if line["engine"] == "hybrid" else "",
            f"{line['query']:.2f}",
            f"{total:.2f}" if known else "",
            f"{line['count'] / line['query']:,.0f}",
            f"{line['recall']:.4f}",
        ]
        text.append(f"| {' | '.join(cells)} |")
    text.append("")
    text.append(
        f"Compiling the kernels takes {cold:.0f} s once on a machine, and {warm:.1f} s in each process after that."
    )
    return "\n".join(text) + "\n"


def main() -> None:
    """Measure, and write what came out."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--quick", action="store_true", help="the gold standard once; write nothing"
    )
    quick = parser.parse_args().quick
    cold, warm = compile_seconds()
    lines = []
    for name in NAMES[:1] if quick else [EUCLIDEAN, *NAMES]:
        print(name, flush=True)
        lines += measure(name, 1 if quick else 3)
    text = table(lines, cold, warm)
    print(text)
    if quick:
        return
    results = {"compile_s": cold, "compiled_before_s": warm, "results": lines}
    (HERE / "hybrid.json").write_text(json.dumps(results, indent=1) + "\n")
    (HERE / "hybrid.md").write_text(text)


if __name__ == "__main__":
    main()

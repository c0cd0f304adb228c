"""Residual-correlation neighbours: ours beside NumPy, covertreex 0.4.5 and GPBoost, with recall against float64.

    residual.py                 everything but GPBoost; writes residual.json, residual.md and the plot
    residual.py --gpboost       with GPBoost's likelihood, whose time is nearly all this search: half an hour
    residual.py --quick         smaller, writes nothing

NumPy is measured with and without the machine's OPENBLAS_* variables, and the better figure stands. Peers run in processes
of their own, one after the other. The first call of ours, which makes the products of bases, is told apart. "refit" is
new hyperparameters and new inducing points on the same coordinates, and all neighbours again.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
DATA = HERE.parent.parent / "shared" / "data"
N_QUERIES = 1024
CHECKED = 200


def points(name: str, n: int, dim: int) -> np.ndarray:
    """Coordinates of a workload."""
    if name != "argo":
        return np.random.default_rng(0).standard_normal((n, dim))
    raw = np.load(DATA / "argo2016.npy").astype(np.float64)
    longitude, latitude, day = np.radians(raw[:, 0]), np.radians(raw[:, 1]), raw[:, 2]
    sphere = [
        np.cos(latitude) * np.cos(longitude),
        np.cos(latitude) * np.sin(longitude),
        np.sin(latitude),
        day / 60,
    ]
    return np.stack(sphere, axis=1)[np.random.default_rng(0).permutation(len(raw))]


# Name: data, n, dim, kernel, lengthscale, inducing points, k, predecessors of all points or random queries.
WORKLOADS: dict[str, dict[str, Any]] = {
    "gold standard, RBF": {"n": 32768, "dim": 3, "kernel": "RBF", "m": 512, "k": 50, "all": False},
    "gold standard, Matern 5/2": {"n": 32768, "dim": 3, "kernel": "Matern52", "m": 512, "k": 50, "all": False},
    "all predecessors, RBF": {"n": 32768, "dim": 3, "kernel": "RBF", "m": 512, "k": 30, "all": True},
    "all predecessors, Matern 5/2": {"n": 32768, "dim": 3, "kernel": "Matern52", "m": 512, "k": 30, "all": True},
    "argo, ARD Matern 3/2": {
        "data": "argo", "n": 32436, "dim": 4, "kernel": "Matern32", "lengthscale": [0.5, 0.5, 0.3, 1.0], "m": 200,
        "k": 30, "all": True, "gpboost": True,
    },
    "13 000 x 18, RBF": {
        "n": 13000, "dim": 18, "kernel": "RBF", "lengthscale": 4.0, "m": 200, "k": 30, "all": True, "gpboost": True,
    },
    "100 000 x 10, Matern 3/2": {
        "n": 100_000, "dim": 10, "kernel": "Matern32", "lengthscale": 3.0, "m": 200, "k": 30, "all": True,
        "gpboost": True,
    },
    "131 072 x 3, Matern 5/2": {"n": 131_072, "dim": 3, "kernel": "Matern52", "m": 512, "k": 30, "all": True},
    "1 000 000 x 3, Matern 5/2": {"n": 1_000_000, "dim": 3, "kernel": "Matern52", "m": 512, "k": 30, "all": True},
}  # fmt: skip


def problem(work: dict[str, Any]) -> tuple[np.ndarray, Any, np.ndarray, np.ndarray]:
    """Coordinates, kernel, inducing points, and the rows that are asked for or checked."""
    from covertreex import kernels

    x = points(work.get("data", ""), work["n"], work["dim"])
    kernel = getattr(kernels, work["kernel"])(lengthscale=work.get("lengthscale", 1.0))
    inducing = x[
        np.sort(np.random.default_rng(42).choice(len(x), work["m"], replace=False))
    ]
    rows = np.random.default_rng(1).choice(len(x), N_QUERIES, replace=False)
    return x, kernel, inducing, rows


def brute_force(
    x: np.ndarray,
    kernel: Any,
    inducing: np.ndarray,
    rows: np.ndarray,
    k: int,
    all_points: bool,
) -> Any:
    """Features once, then |rho| of rows in float64: times, and the k-th largest |rho| with the matrix of some rows."""
    factor = np.linalg.cholesky(kernel(inducing) + 1e-6 * np.eye(len(inducing)))
    v = np.empty((len(x), len(inducing)))
    for first in range(0, len(x), 1 << 16):
        some = slice(first, first + (1 << 16))
        v[some] = np.linalg.solve(factor, kernel(inducing, x[some])).T
    p = np.maximum(kernel.variance - (v**2).sum(axis=1), 1e-9)
    scaled = x / np.asarray(kernel.lengthscale)
    squares = (scaled**2).sum(axis=1)

    def correlations(some: np.ndarray, exact: bool) -> np.ndarray:
        if exact:
            covariance = kernel(x[some], x)
        else:  # the fast way that a NumPy user would take
            squared = np.maximum(
                squares[some, None] + squares - 2 * scaled[some] @ scaled.T, 0
            )
            covariance = kernel.variance * kernel._correlation(squared)
        rho = np.minimum(
            np.abs(covariance - v[some] @ v.T) / np.sqrt(p[some, None] * p), 1
        )
        rho[np.arange(len(some)), some] = 1
        return (
            np.where(np.arange(len(x)) < some[:, None], rho, -1) if all_points else rho
        )

    start = time.perf_counter()
    count, step = (256, 64) if len(x) < 500_000 else (32, 16)
    for first in range(0, count, step):
        np.argpartition(
            -correlations(rows[first : first + step], exact=False), k - 1, axis=1
        )
    seconds = (time.perf_counter() - start) / count
    checked = [
        correlations(some, exact=True)
        for some in np.split(rows[: n_checked(len(x))], 5)
    ]
    return seconds, np.concatenate(checked), p


def n_checked(n: int) -> int:
    """Rows whose neighbours are checked: what their correlations take in memory counts."""
    return CHECKED if n < 500_000 else CHECKED // 4


def ours(work: dict[str, Any], turns: int) -> dict[str, Any]:
    """Build, first call, later calls, and the answer of the rows that are checked."""
    from covertreex import cover_tree

    x, kernel, inducing, rows = problem(work)
    builds, firsts, laters, refits = [], [], [], []
    for _ in range(turns):
        start = time.perf_counter()
        tree = cover_tree(x, kernel=kernel, inducing_points=inducing)
        builds.append(time.perf_counter() - start)
        queries = None if work["all"] else rows
        for times in (firsts, laters):
            start = time.perf_counter()
            found = tree.knn(work["k"], queries=queries, predecessor_mode=work["all"])
            times.append(time.perf_counter() - start)
        stats = tree.stats()
        if work["all"] and len(x) <= 1 << 15:
            other = x[
                np.sort(
                    np.random.default_rng(7).choice(len(x), work["m"], replace=False)
                )
            ]
            start = time.perf_counter()
            tree.refit(dataclasses.replace(kernel, variance=1.3), inducing_points=other)
            tree.knn(work["k"], predecessor_mode=True)
            refits.append(time.perf_counter() - start)
        tree.close()
    count = len(x) if work["all"] else len(rows)
    seconds = {"build": builds, "first": firsts, "later": laters}
    result = {name: statistics.median(values) for name, values in seconds.items()}
    if refits:
        result["refit"] = statistics.median(refits)
    checked = n_checked(len(x))
    found = found[rows[:checked]] if work["all"] else found[:checked]
    per_query = {"pivots": stats.n_pivots, "exact": stats.points_exact / stats.queries}
    return {
        **result,
        "count": count,
        "found": found.tolist(),
        "memory": stats.memory_bytes,
        **per_query,
    }


def recall(found: np.ndarray, rho: np.ndarray) -> float:
    """Share of the neighbours wanted that are as near as the true ones, within rounding."""
    good = wanted = 0
    for row, correlations in zip(found, rho):
        count = min(len(row), int((correlations >= 0).sum()))
        if count == 0:
            continue
        least = np.sort(correlations)[-count]
        used = row[row >= 0]
        good += np.count_nonzero(correlations[used] >= least * (1 - 1e-6) - 1e-9)
        wanted += count
    return good / wanted


def in_process(
    code: str, *, blas: bool = True, python: str = sys.executable, limit: float = 1800
) -> Any:
    """Run a line of this file in a process of its own; None where it fails or takes too long."""
    environment = {
        k: v for k, v in os.environ.items() if blas or not k.startswith("OPENBLAS_")
    }
    try:
        done = subprocess.run(
            [python, "-c", f"import sys; sys.path.insert(0, {str(HERE)!r}); {code}"],
            capture_output=True, text=True, check=True, env=environment, timeout=limit,
        )  # fmt: skip
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        print(
            f"  failed: {getattr(error, 'stderr', '') or error}"[-300:], file=sys.stderr
        )
        return None
    return json.loads(done.stdout.splitlines()[-1])


def old_package(name: str) -> None:
    """covertreex 0.4.5 on the gold standard, from its own environment: prints build seconds, seconds, and indices."""
    from covertreex import cover_tree
    from covertreex.kernels import RBF, Matern52

    work = WORKLOADS[name]
    x = points("", work["n"], work["dim"])
    rows = np.random.default_rng(1).choice(len(x), N_QUERIES, replace=False)
    kernel = {"RBF": RBF, "Matern52": Matern52}[work["kernel"]]()
    start = time.perf_counter()
    tree = cover_tree(
        x, kernel=kernel, inducing_count=work["m"], seed=42, engine="rust-hilbert"
    )
    built = time.perf_counter() - start
    start = time.perf_counter()
    found = np.asarray(tree.knn(k=work["k"], queries=rows))
    print(json.dumps([built, time.perf_counter() - start, found[:CHECKED].tolist()]))


def gpboost(name: str) -> None:
    """One likelihood of GPBoost's `full_scale_vecchia_correlation`, nearly all of which is this search."""
    import gpboost

    work = WORKLOADS[name]
    x = points(work.get("data", ""), work["n"], work["dim"])
    shape = {
        "RBF": ("gaussian", 0.0),
        "Matern32": ("matern", 1.5),
        "Matern52": ("matern", 2.5),
    }[work["kernel"]]
    model = gpboost.GPModel(
        gp_coords=x, cov_function=shape[0], cov_fct_shape=shape[1], gp_approx="full_scale_vecchia_correlation",
        num_neighbors=work["k"], num_ind_points=work["m"], likelihood="gaussian", seed=1,
    )  # fmt: skip
    response = np.sin(x.sum(axis=1))
    start = time.perf_counter()
    model.neg_log_likelihood(cov_pars=np.array([0.1, 1.0, 1.0]), y=response)
    print(json.dumps(time.perf_counter() - start))


def measure(
    name: str, turns: int, old: str | None, with_gpboost: bool
) -> dict[str, Any]:
    """All contenders on one workload."""
    work = WORKLOADS[name]
    print(f"{name}: {work}")
    own = in_process(
        f"import residual, json; print(json.dumps(residual.ours(residual.WORKLOADS[{name!r}], {turns})))"
    )
    x, kernel, inducing, rows = problem(work)
    _, rho, _ = brute_force(x, kernel, inducing, rows, work["k"], work["all"])
    code = f"import residual, json; w = residual.WORKLOADS[{name!r}]; "
    code += "print(json.dumps(residual.brute_force(*residual.problem(w), w['k'], w['all'])[0]))"
    numpy = [
        s for s in (in_process(code), in_process(code, blas=False)) if s is not None
    ]
    result = {
        "build_s": own["build"], "first_s": own["first"], "later_s": own["later"], "queries": own["count"],
        "queries_per_s": own["count"] / own["later"], "recall": recall(np.array(own["found"]), rho),
        "refit_s": own.get("refit"), "pivots": own["pivots"], "exact_per_query": own["exact"], "memory_bytes": own["memory"],
        "numpy_queries_per_s": 1 / min(numpy),
    }  # fmt: skip
    if old and name.startswith("gold"):
        answer = in_process(
            f"import residual; residual.old_package({name!r})", python=old
        )
        if answer:
            result["old"] = {
                "build_s": answer[0], "queries_per_s": N_QUERIES / answer[1], "recall": recall(np.array(answer[2]), rho),
            }  # fmt: skip
    if with_gpboost and work.get("gpboost"):
        result["gpboost_s"] = in_process(
            f"import residual; residual.gpboost({name!r})", limit=1200
        )
    print("  ", result)
    return result


def growth(quick: bool) -> dict[str, list[tuple[int, float]]]:
    """Seconds of all predecessors, everything from coordinates, against n, m and k; Matern 5/2."""
    base = {
        "n": 4096 if quick else 16384,
        "dim": 3,
        "kernel": "Matern52",
        "m": 256,
        "k": 30,
        "all": True,
    }
    steps = {
        "n": [4096, 8192, 16384, 32768, 65536, 131072, 262144],
        "m": [32, 64, 128, 256, 512, 1024],
        "k": [5, 10, 20, 50, 100, 200],
    }
    series: dict[str, list[tuple[int, float]]] = {}
    for name, values in steps.items():
        series[name] = []
        for value in values[:2] if quick else values:
            WORKLOADS["growth"] = {**base, name: value}
            run = ours(WORKLOADS["growth"], 1)
            series[name].append((value, run["build"] + run["first"]))
            print("  ", name, value, round(series[name][-1][1], 3))
    return series


def plot(series: dict[str, list[tuple[int, float]]], path: Path) -> None:
    """Draw how cost grows."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, 3, figsize=(12, 3.8), sharey=True)
    titles = {"n": "points n", "m": "inducing points m", "k": "neighbours k"}
    for axes, (name, values) in zip(panels, series.items()):
        axes.loglog(*zip(*values), marker="o")
        axes.set_xlabel(titles[name])
        axes.grid(alpha=0.3, which="both")
    panels[0].set_ylabel("seconds, from coordinates")
    figure.suptitle(
        "All predecessors, Matern 5/2, dim 3 (16 384 points, m 256, k 30 but for what varies)"
    )
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def table(results: dict[str, dict[str, Any]]) -> str:
    """The results as Markdown."""
    lines = [
        "| workload | build s | first call s | later calls s | queries/s | refit s | GB | recall | NumPy queries/s | others |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |",
    ]
    for name, r in results.items():
        others = []
        if "old" in r:
            old = r["old"]
            others.append(
                f"covertreex 0.4.5: {old['queries_per_s']:,.0f} q/s, recall {old['recall']:.2f}"
            )
        if r.get("gpboost_s"):
            times = r["gpboost_s"] / (r["build_s"] + r["first_s"])
            others.append(
                f"GPBoost, one likelihood: {r['gpboost_s']:,.0f} s, {times:,.0f} times ours in all"
            )
        lines.append(
            f"| {name} | {r['build_s']:.2f} | {r['first_s']:.2f} | {r['later_s']:.2f} | {r['queries_per_s']:,.0f} | "
            f"{'' if r['refit_s'] is None else format(r['refit_s'], '.2f')} | {r['memory_bytes'] / 1e9:.2f} | "
            f"{r['recall']:.4f} | {r['numpy_queries_per_s']:,.0f} | {'; '.join(others)} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, and write what came out."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--quick", action="store_true", help="the gold standard once; write nothing"
    )
    parser.add_argument(
        "--gpboost", action="store_true", help="with GPBoost: many minutes"
    )
    arguments = parser.parse_args()
    from euclidean import old_python

    names = [n for n in WORKLOADS if not arguments.quick or n.startswith("gold")]
    if not (DATA / "argo2016.npy").exists():
        print("argo: left out, its data is not here")
        names = [n for n in names if not n.startswith("argo")]
    old = old_python()
    turns = 1 if arguments.quick else 3
    results = {
        name: measure(
            name, 1 if WORKLOADS[name]["n"] > 50_000 else turns, old, arguments.gpboost
        )
        for name in names
    }
    series = growth(arguments.quick)
    text = table(results)
    print(text)
    if arguments.quick:
        return
    (HERE / "residual.json").write_text(
        json.dumps({"results": results, "growth": series}, indent=1) + "\n"
    )
    (HERE / "residual.md").write_text(text)
    plot(series, HERE / "residual.png")


if __name__ == "__main__":
    main()

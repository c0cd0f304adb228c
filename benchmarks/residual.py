"""Residual-correlation neighbours: ours, NumPy, covertreex 0.4.5 and GPBoost, with recall against float64.

    residual.py                 everything but GPBoost; writes residual.json, residual.md and the plot
    residual.py --gpboost       with GPBoost's search: half an hour
    residual.py --quick         the gold standard once, writes nothing

NumPy is measured with and without the machine's OPENBLAS_* variables, and the better figure counts. Peers run in processes
of their own, one after the other. Our first call, which makes the products of bases, has a column of its own. "refit" is
new hyperparameters and new inducing points on the same coordinates, and all neighbours again.

GPBoost has no function for its search alone. Its time is that of one likelihood of `vif_correlation`, which searches by residual
correlation, less that of one of `vif`, which does not, at the same hyperparameters.
"""

from __future__ import annotations

import dataclasses
import json
import os
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import old_version
from covertreex._bench.clocks import timed
from covertreex._bench.truth import Truth
from processes import Figures, once, options
from tables import cell, machine, table, write

HERE = Path(__file__).parent
DATA = HERE.parent.parent / "shared" / "data"
# Data sets of workloads; a workload is left out if its file does not exist.
FILES = {"argo": "argo2016.npy", "elevators": "uci/elevators.data.csv.gz"}
GPBOOST_NOTE = (
    "GPBoost's search is one likelihood with neighbours by residual correlation (`vif_correlation`) less one with Euclidean "
    "neighbours (`vif`), at the same hyperparameters; it is compared with our build and first call. "
)
N_QUERIES = 1024
CHECKED = 200
# Seconds that GPBoost has for a workload.
GPBOOST_PATIENCE = 600


def argo() -> np.ndarray:
    """Ocean floats: places on the unit sphere, and the day."""
    raw = np.load(DATA / FILES["argo"]).astype(np.float64)
    longitude, latitude, day = np.radians(raw[:, 0]), np.radians(raw[:, 1]), raw[:, 2]
    sphere = [
        np.cos(latitude) * np.cos(longitude),
        np.cos(latitude) * np.sin(longitude),
        np.sin(latitude),
        day / 60,
    ]
    return np.stack(sphere, axis=1)[np.random.default_rng(0).permutation(len(raw))]


def elevators() -> np.ndarray:
    """The inputs of UCI's elevators as in the paper on VIF: 80 % of the rows, without a column that hardly varies."""
    inputs = np.loadtxt(DATA / FILES["elevators"], delimiter=",")[:, :-1]
    inputs = inputs[:, (inputs / np.ptp(inputs, axis=0)).std(axis=0) >= 0.01]
    rows = np.random.default_rng(0).permutation(len(inputs))[: len(inputs) * 4 // 5]
    return (inputs[rows] - inputs[rows].mean(axis=0)) / inputs[rows].std(axis=0)


def points(name: str, n: int, dim: int) -> np.ndarray:
    """Coordinates of a workload."""
    if name:
        return {"argo": argo, "elevators": elevators}[name]()
    return np.random.default_rng(0).standard_normal((n, dim))


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
    "Elevators, ARD Matern 3/2": {
        "data": "elevators", "n": 13279, "dim": 17, "kernel": "Matern32", "lengthscale": np.linspace(2, 8, 17).tolist(),
        "m": 200, "k": 30, "all": True, "gpboost": True,
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


class BruteForce:
    """NumPy in float64: features once, and then the |rho| of some rows to all points."""

    def __init__(self, work: dict[str, Any]) -> None:
        self.x, self.kernel, inducing, self.rows = problem(work)
        self.k, self.all_points = work["k"], work["all"]
        factor = np.linalg.cholesky(
            self.kernel(inducing) + 1e-6 * np.eye(len(inducing))
        )
        self.v = np.empty((len(self.x), len(inducing)))
        for first in range(0, len(self.x), 1 << 16):
            some = slice(first, first + (1 << 16))
            self.v[some] = np.linalg.solve(
                factor, self.kernel(inducing, self.x[some])
            ).T
        self.p = np.maximum(self.kernel.variance - (self.v**2).sum(axis=1), 1e-9)
        self.scaled = self.x / np.asarray(self.kernel.lengthscale)
        self.squares = (self.scaled**2).sum(axis=1)

    def fast_kernel(self, some: np.ndarray) -> np.ndarray:
        """Covariances of rows with all points, in the way of a NumPy user who wants speed."""
        products = self.scaled[some] @ self.scaled.T
        squared = np.maximum(self.squares[some, None] + self.squares - 2 * products, 0)
        return self.kernel.variance * self.kernel._correlation(squared)

    def distances(self, some: np.ndarray, covariances: np.ndarray) -> np.ndarray:
        """1 - |rho| of rows to all points; infinite for points that do not count."""
        scale = np.sqrt(self.p[some, None] * self.p)
        rho = np.minimum(np.abs(covariances - self.v[some] @ self.v.T) / scale, 1)
        rho[np.arange(len(some)), some] = 1
        if self.all_points:
            rho[np.arange(len(self.x)) >= some[:, None]] = -np.inf
        return 1 - rho

    def seconds(self) -> float:
        """Seconds of a query."""
        count, step = (256, 64) if len(self.x) < 500_000 else (32, 16)

        def search() -> None:
            for some in np.split(self.rows[:count], count // step):
                distances = self.distances(some, self.fast_kernel(some))
                np.argpartition(distances, self.k - 1, axis=1)

        return timed(search)[0] / count

    def truth(self) -> Truth:
        """The nearest points of the rows that are checked, in their order."""
        rows = self.rows[: n_checked(len(self.x))]

        def distances(row: int) -> np.ndarray:
            some = rows[row : row + 1]
            return self.distances(some, self.kernel(self.x[some], self.x))[0]

        # Our features are computed in another order, which changes the last digits of rho.
        return Truth(distances, range(len(rows)), self.k, rtol=0, atol=1e-6)


def n_checked(n: int) -> int:
    """Rows whose neighbours are checked."""
    return CHECKED if n < 500_000 else CHECKED // 4


def ours(work: dict[str, Any], turns: int) -> Figures:
    """Build, first call, later calls, and the answer of the rows that are checked."""
    from covertreex import cover_tree

    x, kernel, inducing, rows = problem(work)
    queries = None if work["all"] else rows
    seconds: dict[str, list[float]] = {"build_s": [], "first_s": [], "later_s": []}
    refits = []
    for _ in range(turns):
        took, tree = timed(
            lambda: cover_tree(x, kernel=kernel, inducing_points=inducing)
        )
        seconds["build_s"].append(took)

        def search(tree: Any = tree) -> np.ndarray:
            return tree.knn(work["k"], queries=queries, predecessor_mode=work["all"])

        for name in ("first_s", "later_s"):
            took, found = timed(search)
            seconds[name].append(took)
        stats = tree.stats()
        if work["all"] and len(x) <= 1 << 15:
            chosen = np.random.default_rng(7).choice(len(x), work["m"], replace=False)
            other, changed = (
                x[np.sort(chosen)],
                dataclasses.replace(kernel, variance=1.3),
            )

            def refit(tree: Any = tree, search: Any = search) -> None:
                tree.refit(changed, inducing_points=other)  # noqa: B023
                search()

            refits.append(timed(refit)[0])
        tree.close()
    checked = rows[: n_checked(len(x))] if work["all"] else np.arange(n_checked(len(x)))
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    return {
        **medians,
        "queries": len(found),
        "queries_per_s": len(found) / medians["later_s"],
        "refit_s": statistics.median(refits) if refits else None,
        "pivots": stats.n_pivots,
        "exact_per_query": stats.points_exact / stats.queries,
        "memory_bytes": stats.memory_bytes,
        "found": found[checked].tolist(),
    }


def gpboost(work: dict[str, Any]) -> Figures:
    """Seconds of one likelihood of GPBoost with its search by residual correlation, and without."""
    import gpboost

    x, kernel, _, _ = problem(work)
    # Scaled coordinates have a lengthscale of 1 in each dimension. GPBoost's Gaussian kernel is exp(-(d / range)^2).
    scaled = x / np.asarray(kernel.lengthscale)
    function, shape, reach = {
        "RBF": ("gaussian", 0.0, 2**0.5),
        "Matern32": ("matern", 1.5, 1.0),
        "Matern52": ("matern", 2.5, 1.0),
    }[work["kernel"]]
    # The variances of noise and kernel, and the range.
    parameters = np.array([0.1, kernel.variance, reach])
    response = np.sin(scaled.sum(axis=1))

    def likelihood(approximation: str) -> float:
        # As for the other contenders, points keep their order, and inducing points are random points. A model of `vif`
        # finds its Euclidean neighbours when it is made, so there is no search in the likelihood that is timed.
        model = gpboost.GPModel(
            gp_coords=scaled, cov_function=function, cov_fct_shape=shape, gp_approx=approximation,
            num_neighbors=work["k"], num_ind_points=work["m"], ind_points_selection="random", vecchia_ordering="none",
            likelihood="gaussian", seed=1,
        )  # fmt: skip
        seconds, _ = timed(lambda: model.neg_log_likelihood(parameters, response))
        return seconds

    rest, whole = likelihood("vif"), likelihood("vif_correlation")
    return {"likelihood_s": whole, "rest_s": rest, "search_s": whole - rest}


def old(work: dict[str, Any], true: Truth) -> Figures | None:
    """covertreex 0.4.5 on a workload; None if it is not here, or fails."""
    x, _, _, rows = problem(work)
    figures = old_version.measured(x, rows, work["k"], work["kernel"], work["m"])
    if figures is None or "error" in figures:
        return None
    rates = {key: figures[key] for key in ("build_s", "batch_qps")}
    return {**rates, "recall": true.recall(figures["found"][:CHECKED])}


PEERS: dict[str, Any] = {
    "covertreex": ours,
    "numpy": lambda work, turns: {"seconds": BruteForce(work).seconds()},
    "gpboost": lambda work, turns: gpboost(work),
}


def measure(name: str, turns: int, with_gpboost: bool) -> Figures:
    """All contenders on one workload."""
    work = WORKLOADS[name]
    print(f"{name}: {work}")

    def run(peer: str, **keywords: Any) -> Figures:
        case = ["--case", name, "--peer", peer, "--turns", str(turns)]
        return once(__file__, case, **keywords)

    result = run("covertreex")
    if "error" in result:
        raise SystemExit(f"{name}: {result['error']}")
    true = BruteForce(work).truth()
    result["recall"] = true.recall(np.array(result.pop("found")))
    plain = {k: v for k, v in os.environ.items() if not k.startswith("OPENBLAS_")}
    numpy = [run("numpy"), run("numpy", environment=plain)]
    result["numpy_queries_per_s"] = 1 / min(one["seconds"] for one in numpy)
    if name.startswith("gold"):
        result["old"] = old(work, true)
    if with_gpboost and work.get("gpboost"):
        result["gpboost"] = run("gpboost", patience=GPBOOST_PATIENCE)
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
            series[name].append((value, run["build_s"] + run["first_s"]))
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


def lines_of(results: dict[str, Figures]) -> list[str]:
    """The results as Markdown."""
    head = (
        "workload | build s | first call s | later calls s | queries/s, later | refit s | memory GB | recall "
        "| NumPy float64 queries/s | others"
    )
    lines = []
    for name, row in results.items():
        others = []
        if row.get("old"):
            old = row["old"]
            others.append(
                f"covertreex 0.4.5: {old['batch_qps']:,.0f} q/s, recall {old['recall']:.2f}"
            )
        if "error" in row.get("gpboost", {}):
            others.append(f"GPBoost: {row['gpboost']['error']}")
        elif "gpboost" in row:
            whole, rest, search = (
                row["gpboost"][key] for key in ("likelihood_s", "rest_s", "search_s")
            )
            times = search / (row["build_s"] + row["first_s"])
            others.append(
                f"GPBoost's search: {whole:,.1f} - {rest:,.1f} = {search:,.1f} s, {times:,.0f} times ours"
            )
        cells = [
            *(cell(row, key, ".2f") for key in ("build_s", "first_s", "later_s")),
            cell(row, "queries_per_s", ",.0f"),
            cell(row, "refit_s", ".2f"),
            cell(row, "memory_bytes", ".2f", 1e-9),
            cell(row, "recall", ".4f"),
            cell(row, "numpy_queries_per_s", ",.0f"),
        ]
        lines.append([name, *cells, "; ".join(others)])
    return table(head.split(" | "), lines, n_words=1)


def main() -> None:
    """Measure, print, and write."""
    parser = options(__doc__, turns=3)
    parser.add_argument("--gpboost", action="store_true", help="many minutes more")
    given = parser.parse_args()
    if given.case:
        print(json.dumps(PEERS[given.peer](WORKLOADS[given.case], given.turns)))
        return
    names = [n for n in WORKLOADS if not given.quick or n.startswith("gold")]
    for data, file in FILES.items():
        if not (DATA / file).exists():
            print(f"{data}: left out, because {DATA / file} does not exist")
            names = [n for n in names if WORKLOADS[n].get("data") != data]
    few = 1 if given.quick else given.turns
    turns = {n: 1 if WORKLOADS[n]["n"] > 50_000 else few for n in names}
    results = {name: measure(name, turns[name], given.gpboost) for name in names}
    series = growth(given.quick)
    text = "\n".join(lines_of(results))
    print(text)
    if given.quick:
        return
    foot = (
        "Recall against float64 brute force. "
        f"{GPBOOST_NOTE if given.gpboost else ''}"
        f"Medians of {given.turns} turn(s), above 50 000 points one, on {machine()}; `benchmarks/residual.py` writes this table."
    )
    write(
        HERE / "residual", f"{text}\n\n{foot}", {"results": results, "growth": series}
    )
    plot(series, HERE / "residual.png")


if __name__ == "__main__":
    main()

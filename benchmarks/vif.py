"""The VIF model: seconds of likelihood, gradient and prediction, their share of the machine's peak, and their errors.

    vif.py                      everything but the two below; writes vif.json, vif.md and the plot
    vif.py --gpboost            with GPBoost's likelihoods
    vif.py --large              with a million points, for which it needs 16 GiB
    vif.py --quick              small and once, writes nothing

Each case runs in a process of its own. A likelihood is that of new hyperparameters with given inducing points and conditioning sets
(`with_parameters` and `log_likelihood`). A million points fit in memory once: there, the model is built from its sets instead. The
peak is the rate of NumPy's float64 matrix product, in the same run, with or without the machine's OPENBLAS_* variables: the higher
counts. The errors are those against `vif_reference.py`.

GPBoost chooses its neighbours itself; its hyperparameters are ours, as in `residual.py`.
"""

from __future__ import annotations

import json
import os
import statistics
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import residual
from covertreex._bench.clocks import timed
from covertreex._capi import vif
from covertreex.vecchia import VIF
from covertreex.vecchia._padding import csr
from measuring import OtherPrograms, fastest, peak_bytes
from processes import Figures, once, options
from tables import cell, machine, spaced, table, write
from vif_reference import (
    Approximation,
    factor_error,
    likelihood_errors,
    operations,
    relative,
)

HERE = Path(__file__).parent
NOISE = 0.1
N_NEW = 100_000
N_CHECKED_ROWS, N_CHECKED_NEW, N_DENSE = 200, 50, 2000
# Of more points there is one turn, one model at a time, and no NumPy likelihood of all of them.
MANY = 100_000
LARGE = "1 000 000 x 3, Matern 5/2"
PREDICTED = "32 768 x 3, Matern 5/2"
WORKLOADS: dict[str, dict[str, Any]] = {
    "Elevators, ARD Matern 3/2": residual.WORKLOADS["Elevators, ARD Matern 3/2"],
    PREDICTED: residual.WORKLOADS["all predecessors, Matern 5/2"],
    LARGE: residual.WORKLOADS[LARGE],
}
GROWTH = {
    "n": [4096, 8192, 16384, 32768, 65536],
    "m": [32, 64, 128, 256, 512, 1024],
    "k": [5, 10, 20, 50, 100],
}
GROWTH_BASE = {"n": 16384, "dim": 3, "kernel": "Matern52", "m": 256, "k": 30}


def response(work: dict[str, Any], x: np.ndarray) -> np.ndarray:
    """Responses of a workload's points."""
    if work.get("data") == "elevators":
        y = np.loadtxt(residual.DATA / residual.FILES["elevators"], delimiter=",")[:, -1]  # fmt: skip
        # The rows of `residual.elevators`.
        y = y[np.random.default_rng(0).permutation(len(y))[: len(x)]]
        return (y - y.mean()) / y.std()
    noise = np.sqrt(NOISE) * np.random.default_rng(3).standard_normal(len(x))
    return np.sin(x.sum(axis=1)) + noise


def problem(work: dict[str, Any]) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """Coordinates in a random order, which they keep, responses, and options of the model."""
    x, kernel, inducing, _ = residual.problem(work)
    given = {"kernel": kernel, "noise": NOISE, "inducing_points": inducing, "ordering": "natural"}  # fmt: skip
    return x, response(work, x), given


def build(work: dict[str, Any], turns: int) -> Figures:
    """Seconds of a model from coordinates, with its search by residual correlation; writes the sets to a file."""
    x, _, given = problem(work)
    seconds = []
    for _ in range(turns):
        took, model = timed(lambda: VIF(x, n_neighbors=work["k"], **given))
        seconds.append(took)
        np.save(work["sets"], model.neighbors)
        del model
    return {"build_s": statistics.median(seconds)}


def likelihood(work: dict[str, Any], turns: int) -> Figures:
    """Seconds of a likelihood and of one with its gradient, with given sets, the most memory, and the errors."""
    x, y, given = problem(work)
    if "sets" in work:
        sets = np.load(work["sets"])
    else:
        sets = VIF(x, n_neighbors=work["k"], **given).neighbors
    seconds: dict[str, list[float]] = {"likelihood_s": [], "gradient_s": []}
    model: Any = None
    again = None if len(x) > MANY else VIF(x, neighbors=sets, **given).with_parameters
    for _ in range(turns):
        model = None
        made, model = timed(again or (lambda: VIF(x, neighbors=sets, **given)))
        for name, gradient in (("likelihood_s", False), ("gradient_s", True)):
            value = partial(model.log_likelihood, y, eval_gradient=gradient)
            seconds[name].append(made + timed(value)[0])
        del value
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    result = {**medians, "memory_bytes": peak_bytes()}
    if work.get("check"):
        few = x[:N_DENSE], y[:N_DENSE]
        small = VIF(few[0], n_neighbors=work["k"], **given)
        errors = likelihood_errors(small, *few)
        if len(x) <= MANY:
            everything = Approximation(x, model).log_likelihood(y)
            error = relative(model.log_likelihood(y), everything)
            errors["likelihood"] = max(error, errors["likelihood"])
        errors["factor"] = factor_error(model, x, N_CHECKED_ROWS)
        result["errors"] = errors
    return result


def prediction(work: dict[str, Any], turns: int) -> Figures:
    """Seconds of means and variances at new points, with their search and without it, and the errors of some."""
    x, y, given = problem(work)
    model = VIF(x, n_neighbors=work["k"], neighbors=work["metric"], **given)
    rng = np.random.default_rng(2)
    new = rng.standard_normal((work["new"], x.shape[1]))

    def predict() -> Any:
        return model.predict(new, y, return_var=True)

    first_s, (mean, variance) = timed(predict)
    later_s = statistics.median(timed(predict)[0] for _ in range(turns))
    found = model._search.nearest(new, work["k"], None, None)
    sets = vif.Sets(*csr(found))

    def rest() -> Any:
        return vif.predict(model._owner.handle, y[:, None], new, sets, variance=True)

    rest_s = statistics.median(timed(rest)[0] for _ in range(turns))
    rows = rng.choice(len(new), N_CHECKED_NEW, replace=False)
    means, variances = Approximation(x, model).predict(new[rows], y, found[rows])
    errors = relative(mean[rows], means), relative(variance[rows] / variances, 1)
    return {
        "first_s": first_s,
        "later_s": later_s,
        "rest_s": rest_s,
        "errors": dict(zip(("mean", "variance"), errors)),
    }


def peak(work: dict[str, Any], turns: int) -> Figures:
    """Operations a second of NumPy's matrix product."""
    n = work["n"]
    a = np.random.default_rng(6).standard_normal((n, n))
    return {"rate": 2 * n**3 / fastest(lambda: a @ a, spend=10, most=10)[0]}


PEERS: dict[str, Any] = {
    "build": build,
    "likelihood": likelihood,
    "prediction": prediction,
    "peak": peak,
    "gpboost": lambda work, turns: residual.gpboost(work),
}


def run(peer: str, work: dict[str, Any], turns: int, **keywords: Any) -> Figures:
    """A peer on a workload, in a process of its own."""
    case = ["--case", json.dumps(work), "--peer", peer, "--turns", str(turns)]
    return once(__file__, case, **keywords)


def needed(peer: str, work: dict[str, Any], turns: int, **keywords: Any) -> Figures:
    """The same of a peer that must not fail."""
    figures = run(peer, work, turns, **keywords)
    if "error" in figures:
        raise SystemExit(f"{peer}, {work}: {figures['error']}")
    return figures


def machine_peak(quick: bool) -> float:
    """The higher rate of NumPy with and without the machine's OPENBLAS_* variables."""
    plain = {k: v for k, v in os.environ.items() if not k.startswith("OPENBLAS_")}
    work = {"n": 1024 if quick else 4096}
    runs = [needed("peak", work, 1, environment=one) for one in (os.environ, plain)]
    return max(one["rate"] for one in runs)


def measure(name: str, work: dict[str, Any], turns: int, with_gpboost: bool) -> Figures:
    """Building, likelihood, gradient, and GPBoost, of one workload."""
    print(f"{name}: {work}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        case = {**work, "sets": f"{folder}/sets.npy", "check": True}
        result = {
            **needed("build", case, turns),
            **needed("likelihood", case, turns),
            "operations": operations(work),
        }
    if with_gpboost and "data" in work:
        result["gpboost"] = run("gpboost", work, 1, patience=600)
    print("  ", result, flush=True)
    return result


def growth(quick: bool, turns: int) -> dict[str, list[Figures]]:
    """Likelihood and gradient against n, m and k."""
    series: dict[str, list[Figures]] = {}
    for name, values in GROWTH.items():
        series[name] = []
        for value in values[:2] if quick else values:
            work = {**GROWTH_BASE, name: value}
            figures = needed("likelihood", work, turns)
            needs = operations(work)
            series[name].append({"value": value, **figures, "operations": needs})
            print("  ", name, value, figures, flush=True)
    return series


def plot(series: dict[str, list[Figures]], rate: float, path: Path) -> None:
    """Draw how cost grows."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(
        1, 3, figsize=(12, 4), sharey=True, layout="constrained"
    )
    titles = {"n": "points n", "m": "inducing points m", "k": "neighbours k"}
    lines = {
        "with gradient": ("gradient_s", "gradient", "C1"),
        "likelihood": ("likelihood_s", "likelihood", "C0"),
    }
    for axes, (name, results) in zip(panels, series.items()):
        values = [one["value"] for one in results]
        for label, (seconds, needs, colour) in lines.items():
            axes.loglog(values, [one[seconds] for one in results], "o-", color=colour, label=label)  # fmt: skip
            least = [one["operations"][needs] / rate for one in results]
            axes.loglog(values, least, "--", color=colour, alpha=0.6, label=f"{label}, operations at the peak")  # fmt: skip
        axes.set_xticks(values, [f"{value:g}" for value in values])
        axes.minorticks_off()
        axes.set_xlabel(titles[name])
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("seconds")
    panels[0].yaxis.set_major_formatter("{x:g}")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4)
    base = f"{spaced(GROWTH_BASE['n'])} points, m {GROWTH_BASE['m']}, k {GROWTH_BASE['k']}"  # fmt: skip
    figure.suptitle(f"Matern 5/2, dim 3 ({base} but for what varies), sets given")
    figure.savefig(path, dpi=110)


def share(seconds: float, needs: float, rate: float) -> str:
    """The operations a second as a share of the peak."""
    return f"{needs / seconds / rate:.0%}".replace("%", " %")


def likelihood_table(results: dict[str, Figures], rate: float) -> list[str]:
    """Likelihoods as Markdown."""
    head = (
        "workload | build with search s | likelihood s | with gradient s | Gflop | share of peak | memory GB "
        "| error: log likelihood | gradient | B, D"
    )
    lines = []
    for name, row in results.items():
        parts = [("likelihood_s", "likelihood"), ("gradient_s", "gradient")]
        needs = row["operations"]
        lines.append(
            [
                name,
                cell(row, "build_s", ".2f"),
                cell(row, "likelihood_s", ".3f"),
                cell(row, "gradient_s", ".3f"),
                ", ".join(f"{needs[need] / 1e9:,.1f}" for _, need in parts),
                ", ".join(share(row[key], needs[need], rate) for key, need in parts),
                cell(row, "memory_bytes", ".2f", 1e-9),
                *(cell(row["errors"], what, ".0e") for what in ("likelihood", "gradient", "factor")),
            ]
        )  # fmt: skip
    return table(head.split(" | "), lines, n_words=1)


def prediction_table(results: dict[str, Figures], rate: float) -> list[str]:
    """Predictions as Markdown."""
    head = (
        "neighbours | first call s | later calls s | without the search s | share of peak, without the search "
        "| error: mean | variance"
    )
    lines = [
        [
            {"residual": "by residual correlation", "euclidean": "in scaled space"}[metric],
            *(cell(row, key, ".2f") for key in ("first_s", "later_s", "rest_s")),
            share(row["rest_s"], row["operations"]["prediction"], rate),
            *(cell(row["errors"], what, ".0e") for what in ("mean", "variance")),
        ]
        for metric, row in results.items()
    ]  # fmt: skip
    return table(head.split(" | "), lines, n_words=1)


def gpboost_note(results: dict[str, Figures]) -> str:
    """GPBoost's figures, or why there are none."""
    notes = []
    for name, row in results.items():
        theirs = row.get("gpboost", {})
        if "error" in theirs:
            notes.append(f"GPBoost failed on {name}: {theirs['error']}.")
        elif theirs:
            with_search, without = theirs["likelihood_s"], theirs["rest_s"]
            notes.append(
                f"GPBoost's likelihood, {name}: {with_search:.1f} s with its search by residual correlation (`vif_correlation`), "
                f"{with_search / row['build_s']:.0f} times our build with search; {without:.2f} s with given Euclidean neighbours "
                f"(`vif`), {without / row['likelihood_s']:.0f} times our likelihood."
            )
    return "".join(f"\n\n{note}" for note in notes)


def workloads(given: Any) -> dict[str, dict[str, Any]]:
    """Those of this run."""
    if given.quick:
        return {PREDICTED: {**WORKLOADS[PREDICTED], "n": 4096, "m": 128}}
    chosen = {}
    for name, work in WORKLOADS.items():
        data = work.get("data")
        if data and not (residual.DATA / residual.FILES[data]).exists():
            print(f"{name}: left out, because its data are not here")
        elif name != LARGE or given.large:
            chosen[name] = work
    return chosen


def main() -> None:
    """Measure, print, and write."""
    parser = options(__doc__, turns=5)
    parser.add_argument("--gpboost", action="store_true", help="ten minutes more")
    parser.add_argument("--large", action="store_true", help="needs 16 GiB")
    given = parser.parse_args()
    if given.case:
        print(json.dumps(PEERS[given.peer](json.loads(given.case), given.turns)))
        return
    turns = 1 if given.quick else given.turns
    others = OtherPrograms()
    rates = [machine_peak(given.quick)]
    works = workloads(given)
    results = {
        name: measure(name, work, 1 if work["n"] > MANY else turns, given.gpboost)
        for name, work in works.items()
    }
    n_new = 1000 if given.quick else N_NEW
    predictions = {}
    for metric in ("residual", "euclidean"):
        work = {**works[PREDICTED], "metric": metric, "new": n_new}
        figures = needed("prediction", work, turns)
        predictions[metric] = {**figures, "operations": operations(work)}
        print("  ", metric, predictions[metric], flush=True)
    series = growth(given.quick, turns)
    rates.append(machine_peak(given.quick))
    rate = max(rates)
    cores = others.cores()
    foot = (
        f"Two figures of a cell are those of the likelihood and of the likelihood with its gradient. The peak is {rate / 1e9:,.0f} "
        "Gflop/s, the rate of NumPy's product of matrices of 4 096 x 4 096 in float64. Operations are those that the formulas need, "
        "without exponentials and roots. Inducing points and sets are given, and points are in a random order. Memory is the most that "
        "the process had, with two models; a million points have one, which is built from its sets. Errors are relative, against the "
        f"same formulas in NumPy: the likelihood of {spaced(N_DENSE)} points by a dense covariance and of up to {spaced(MANY)} by the "
        f"sparse factor, the gradient by differences, {N_CHECKED_ROWS} random rows of B and D, {N_CHECKED_NEW} random new points. "
        f"Medians of {turns} turn(s), above {spaced(MANY)} points one, on {machine()}, of which other programs used {cores:.2f}; "
        "`benchmarks/vif.py` writes these tables."
    )
    parts = [
        "\n".join(likelihood_table(results, rate)) + gpboost_note(results),
        f"Means and variances of {spaced(n_new)} new points, {PREDICTED}. The first call makes the search structure, which stays:",
        "\n".join(prediction_table(predictions, rate)),
        foot,
    ]
    text = "\n\n".join(parts)
    print(text)
    if given.quick:
        return
    figures = {"peak": rate, "other_cores": cores, "results": results, "prediction": predictions, "growth": series}  # fmt: skip
    write(HERE / "vif", text, figures)
    plot(series, rate, HERE / "vif.png")


if __name__ == "__main__":
    main()

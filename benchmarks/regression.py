"""Regression on real data: fits of a Gaussian process with inducing points and neighbours, and the scores of its predictions.

    regression.py                 all data sets by covertree; writes regression.json and regression.md
    regression.py --gpboost       with GPBoost, which gets 20 minutes for each fit
    regression.py --quick         the first data set once, writes nothing

The protocol is that of the VIF paper's authors: Matern 3/2 with a lengthscale for each column, 200 inducing points by k-means++, 30
neighbours, a random order; 80 % of the points, in a random order, are for the fit. Columns whose standard deviation is below 0.01 after
they are scaled to a range of 1 are dropped; columns and responses are standardised by the points of the fit. Scores are in these units.
Fits and predictions run in processes of their own, one after the other. Data that are not here are left out.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from covertreex._bench.clocks import timed
from processes import Figures, once, options
from tables import cell, machine, spaced, table, write

HERE = Path(__file__).parent
DATA = HERE.parent.parent / "shared" / "data"
N_INDUCING, K = 200, 30
SHARE = 0.8
PATIENCE = 1200  # seconds
LEAST_SPREAD = 0.01
GPBOOST = {
    "GPBoost, vif_correlation": "vif_correlation",
    "GPBoost, vif": "vif",
    "GPBoost, vecchia": "vecchia",
}
OURS = {
    "covertree, VIF": "residual",
    "covertree, VIF, Euclidean": "euclidean",
    "covertree, Vecchia": "none",
}


class Problem(NamedTuple):
    """Standardised data."""

    x: np.ndarray
    y: np.ndarray
    new_x: np.ndarray
    new_y: np.ndarray


def uci(name: str) -> Callable[[], tuple[np.ndarray, np.ndarray]]:
    """A regression set of the UCI repository: rows of coordinates and a response."""

    def read() -> tuple[np.ndarray, np.ndarray]:
        rows = np.loadtxt(DATA / "uci" / f"{name}.data.csv.gz", delimiter=",")
        return rows[:, :-1], rows[:, -1]

    return read


def argo() -> tuple[np.ndarray, np.ndarray]:
    """Ocean floats: locations on the unit sphere and the day, and the temperature at 100 dbar."""
    raw = np.load(DATA / "argo2016.npy").astype(np.float64)
    longitude, latitude = np.radians(raw[:, 0]), np.radians(raw[:, 1])
    sphere = (
        np.cos(latitude) * np.cos(longitude),
        np.cos(latitude) * np.sin(longitude),
        np.sin(latitude),
    )
    return np.stack([*sphere, raw[:, 2]], axis=1), raw[:, 3]


CASES: dict[str, tuple[str, Callable[[], tuple[np.ndarray, np.ndarray]]]] = {
    "elevators": ("uci/elevators.data.csv.gz", uci("elevators")),
    "kin40k": ("uci/kin40k.data.csv.gz", uci("kin40k")),
    "argo": ("argo2016.npy", argo),
}


def problem(case: str) -> Problem:
    """The data of a case, by the protocol."""
    x, y = CASES[case][1]()
    spreads, ranges = x.std(axis=0), np.ptp(x, axis=0)
    x = x[:, (ranges > 0) & (spreads >= LEAST_SPREAD * ranges)]
    order = np.random.default_rng(0).permutation(len(x))
    used, rest = np.split(order, [int(SHARE * len(x))])
    x = (x - x[used].mean(axis=0)) / x[used].std(axis=0)
    y = (y - y[used].mean()) / y[used].std()
    return Problem(x[used], y[used], x[rest], y[rest])


def covertree(given: Problem, metric: str) -> Figures:
    """A fit, predictions, and their scores."""
    from covertreex import vecchia

    settings: dict[str, Any] = {"n_inducing": N_INDUCING, "neighbors": metric}
    if metric == "none":
        settings = {"n_inducing": 0, "neighbors": "euclidean"}
    fit_s, found = timed(
        lambda: vecchia.fit(
            given.x,
            given.y,
            n_neighbors=K,
            ordering="random",
            inducing_points="kmeans++",
            **settings,
        )
    )
    predict_s, (mean, variance) = timed(
        lambda: found.model.predict(given.new_x, given.y, return_var=True)
    )
    sampled = max(
        (step.n_evaluations for step in found.history if step.n_points < len(given.y)),
        default=0,
    )
    return {
        "fit_s": fit_s,
        "predict_s": predict_s,
        "evaluations": found.n_evaluations - sampled,
        "log_likelihood": found.log_likelihood,
        **scored(given, mean, variance),
    }


def gpboost(given: Problem, approximation: str) -> Figures:
    """The same by GPBoost, with its defaults but for the sizes."""
    import gpboost as package

    model = package.GPModel(
        gp_coords=given.x,
        cov_function="matern_ard",
        cov_fct_shape=1.5,
        gp_approx=approximation,
        num_neighbors=K,
        num_ind_points=N_INDUCING,
        ind_points_selection="kmeans++",
        vecchia_ordering="random",
        likelihood="gaussian",
        seed=1,
    )
    fit_s, _ = timed(lambda: model.fit(y=given.y))
    predict_s, found = timed(
        lambda: model.predict(gp_coords_pred=given.new_x, predict_var=True)
    )
    return {
        "fit_s": fit_s,
        "predict_s": predict_s,
        "log_likelihood": -float(model.get_current_neg_log_likelihood()),
        **scored(given, found["mu"], found["var"]),
    }


def scored(given: Problem, mean: np.ndarray, variance: np.ndarray) -> Figures:
    from covertreex import vecchia

    found = vecchia.scores(given.new_y, mean, variance)
    return {
        "rmse": found.rmse,
        "crps": found.crps,
        "log_score": found.log_score,
        "covered": found.coverage[0.95],
    }


def lines(case: str, rows: dict[str, Figures], given: Problem) -> list[list[str]]:
    """Rows of the table."""
    title = f"{case}, {spaced(len(given.y))} x {given.x.shape[1]}"
    made = []
    for peer, row in rows.items():
        name = f"**{peer}**" if peer in OURS else peer
        if "error" in row:
            made.append([title, name, row["error"], *[""] * 7])
        else:
            made.append([
                title,
                name,
                cell(row, "fit_s"),
                cell(row, "evaluations", ".0f"),
                cell(row, "predict_s"),
                cell(row, "log_likelihood", ",.0f"),
                cell(row, "rmse", ".4f"),
                cell(row, "crps", ".4f"),
                cell(row, "log_score", ".4f"),
                cell(row, "covered", ".1f", 100),
            ])  # fmt: skip
        title = ""
    return made


def main() -> None:
    """Measure, print, and write."""
    parser = options(__doc__)
    parser.add_argument("--gpboost", action="store_true", help="with GPBoost")
    asked = parser.parse_args()
    if asked.case:
        given = problem(asked.case)
        run = covertree if asked.peer in OURS else gpboost
        print(json.dumps(run(given, {**OURS, **GPBOOST}[asked.peer])))
        return
    results: dict[str, dict[str, Figures]] = {}
    rows = []
    peers = [*OURS, *(GPBOOST if asked.gpboost else ())]
    for case in list(CASES)[: 1 if asked.quick else None]:
        if not (DATA / CASES[case][0]).exists():
            print(f"{case}: left out, because {DATA / CASES[case][0]} is not here")
            continue
        results[case] = {}
        for peer in peers[: 1 if asked.quick else None]:
            arguments = ["--case", case, "--peer", peer]
            row = once(__file__, arguments, patience=PATIENCE)
            results[case][peer] = row
            print(case, peer, row, flush=True)
        rows += lines(case, results[case], problem(case))
    head = [
        "data",
        "",
        "fit s",
        "likelihoods",
        "predict s",
        "log likelihood",
        "RMSE",
        "CRPS",
        "log score",
        "in 95 %",
    ]
    text = "\n".join(table(head, rows))
    if asked.quick or not rows:
        print(text)
        return
    foot = (
        f"Matern 3/2 with a lengthscale for each column, {N_INDUCING} inducing points, {K} neighbours; standardised data, 80 % of them for "
        'the fit. "likelihoods" are evaluations with their gradient, with all data. Log likelihoods of different approximations are not '
        f"comparable. On {machine()}; `benchmarks/regression.py` writes this table."
    )
    write(HERE / "regression", f"{text}\n\n{foot}", results)


if __name__ == "__main__":
    main()

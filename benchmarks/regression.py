"""Regression on real data: fits of a Gaussian process, and the scores of its predictions, by covertree and its peers.

    regression.py                               ours on all data sets: five minutes
    regression.py --peers all                   with GPBoost, scikit-learn and GPyTorch: hours
    regression.py --data argo --peers vif,svgp  some of them
    regression.py --folds 5                     five folds instead of one
    regression.py --quick                       1 000 points of the first data set; writes nothing

A run replaces its own rows in regression.json and keeps the others; regression.md is written from the whole file. Data that are not here
are left out. `--gpytorch` names a Python with GPyTorch, if this one has none.

The protocol follows the VIF paper's authors (`regression_data.py`): Matern 3/2 with a lengthscale for each column, 200 inducing points
by k-means++, 30 neighbours, a random order; 80 % of the points are for the fit. Fits run in processes of their own, one after the other,
and have 20 minutes. Predictions have twice as many neighbours, as GPBoost's have. A GPBoost fit that is cut off then has the likelihood and the hyperparameters that it printed last.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import regression_gpboost
from processes import Figures, once, options
from regression_data import CASES, DATA, N_FOLDS, N_INDUCING, K, Problem, problem
from regression_peers import N_EXACT, OURS, SVGP_BATCH, SVGP_EPOCHS, SVGP_INDUCING
from tables import machine, spaced, table, write

HERE = Path(__file__).parent
PATIENCE = 1200  # seconds
QUICK_POINTS, QUICK_PATIENCE = 1000, 60
LEVELS = (0.5, 0.8, 0.95)
TITLES = {
    "vif": "**covertree, VIF**",
    "vif-start": "**covertree, VIF, start of the others**",
    "vif-calibrated": "**covertree, VIF, calibrated**",
    "euclidean": "**covertree, VIF, Euclidean**",
    "vecchia": "**covertree, Vecchia**",
    "vecchia-calibrated": "**covertree, Vecchia, calibrated**",
    "gpboost-vif_correlation": "GPBoost, vif_correlation",
    "gpboost-vif": "GPBoost, vif",
    "gpboost-vecchia": "GPBoost, vecchia",
    "svgp": f"GPyTorch, SVGP, {SVGP_INDUCING} inducing points",
    "exact": f"scikit-learn, exact, {spaced(N_EXACT)} points",
}
GPBOOST = "gpboost-"
# Nats by which a likelihood may be below another that it has reached.
TIE = 1.0
# Ours with the same approximation.
COUNTERPARTS = {
    "gpboost-vif_correlation": "vif",
    "gpboost-vif": "euclidean",
    "gpboost-vecchia": "vecchia",
}
# Figures of the data sets, by peer and fold.
Results = dict[str, dict[str, dict[str, Figures]]]


def measure(asked: argparse.Namespace, case: str, peer: str, fold: int) -> Figures:
    """A fit, predictions, and their scores."""
    most = QUICK_POINTS if asked.quick else None
    patience = QUICK_PATIENCE if asked.quick else asked.patience
    arguments = ["--case", case, "--fold", str(fold)]
    arguments += ["--most", str(most)] if most else []
    given = problem(case, fold, most)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "predictions.npz"
        if peer.startswith(GPBOOST):
            arguments += ["--peer", peer.removeprefix(GPBOOST)]
            figures = regression_gpboost.measured(arguments, out, patience)
        else:
            figures = once(
                str(HERE / "regression_peers.py"),
                [*arguments, "--peer", peer, "--out", str(out)],
                python=asked.gpytorch if peer == "svgp" else sys.executable,
                patience=patience,
            )
        figures |= {"n_points": len(given.y), "dim": given.x.shape[1]}
        if "error" not in figures and out.exists():
            with np.load(out) as found:
                figures |= scored(given, found["mean"], found["variance"])
    if "hyperparameters" in figures:
        figures["our_log_likelihood"] = our_likelihood(given, figures["hyperparameters"])  # fmt: skip
    return figures


def scored(given: Problem, mean: np.ndarray, variance: np.ndarray) -> Figures:
    """Scores of predictions."""
    from covertreex import vecchia

    try:
        found = vecchia.scores(given.new_y, mean, variance, levels=LEVELS)
    except ValueError as error:  # a variance that is not above 0
        return {"unscored": str(error)}
    return {
        "rmse": found.rmse,
        "mae": found.mae,
        "crps": found.crps,
        "log_score": found.log_score,
        "coverage": [found.coverage[level] for level in LEVELS],
    }


def our_likelihood(given: Problem, hyperparameters: Sequence[float]) -> float | None:
    """The log likelihood of our VIF model of all points at any peer's hyperparameters: one scale for all."""
    from covertreex import CoverTreeError, vecchia
    from covertreex.kernels import Matern32

    noise, variance, *lengthscales = hyperparameters
    try:
        model = vecchia.VIF(
            given.x,
            kernel=Matern32(lengthscales, variance),
            noise=noise,
            n_neighbors=K,
            n_inducing=min(N_INDUCING, len(given.y)),
            inducing_points="kmeans++",
            ordering="random",
        )
        return float(model.log_likelihood(given.y))
    except (ValueError, CoverTreeError) as error:
        print(f"our likelihood at {hyperparameters}: {error}")
        return None


# Comparison


def first_at(row: Figures, level: float) -> float | None:
    """The seconds after which a fit had a log likelihood, or a tie."""
    course = [(one["seconds"], one["log_likelihood"]) for one in row["trace"]]
    if "cut_off_s" not in row:
        course.append((row["fit_s"], row["log_likelihood"]))
    return next((seconds for seconds, value in course if value >= level - TIE), None)


def compared(theirs: Figures, ours: Figures | None) -> Figures:
    """Seconds to our log likelihood, and how many times more to one that both have reached."""
    if ours is None or "log_likelihood" not in theirs or "log_likelihood" not in ours:
        return {}
    most = max(one["log_likelihood"] for one in [theirs, *theirs["trace"]])
    common = min(most, ours["log_likelihood"])
    late, early = first_at(theirs, common), first_at(ours, common)
    result: Figures = {"to_ours_s": first_at(theirs, ours["log_likelihood"])}
    if late is not None and early is not None:
        result["times"] = late / early
    return result


# The table


def spread(values: Iterable[float | None], form: str) -> str:
    """The mean, and the standard deviation if there are several figures; nothing if there are none."""
    numbers = [value for value in values if value is not None]
    if not numbers:
        return ""
    mean = f"{statistics.fmean(numbers):{form}}"
    return mean if len(numbers) == 1 else f"{mean} ± {statistics.stdev(numbers):{form}}"


def cells(folds: Sequence[Figures]) -> list[str]:
    """Figures of a peer; `folds` have those of its comparison, too."""
    done = [fold for fold in folds if "error" not in fold]
    if not done:
        return [folds[0]["error"], *[""] * 9]

    def of(key: str, form: str) -> str:
        return spread((fold.get(key) for fold in done), form)

    fit = of("fit_s", ",.1f")
    for cut in [fold for fold in done if "cut_off_s" in fold][:1]:
        fit = f"cut off at {spaced(cut['cut_off_s'])} ({cut['iteration']} iterations printed)"
    reached = [fold["to_ours_s"] for fold in done if "to_ours_s" in fold]
    to_ours = "not reached" if None in reached else spread(reached, ",.0f")
    coverages = [fold["coverage"] for fold in done if "coverage" in fold]
    means = [f"{100 * statistics.fmean(level):.1f}" for level in zip(*coverages)]
    return [
        fit,
        to_ours,
        of("times", ",.0f"),
        of("predict_s", ",.1f") or done[0].get("unscored", ""),
        of("log_likelihood", ",.0f"),
        of("our_log_likelihood", ",.0f"),
        of("rmse", ".4f"),
        of("crps", ".4f"),
        of("log_score", ".4f"),
        ", ".join(means),
    ]


def rows_of(case: str, rows: dict[str, dict[str, Figures]]) -> Iterable[list[str]]:
    """Rows of a data set: one a peer, of the folds that all peers have, and one of all its folds if it has more."""
    common = set.intersection(*(set(folds) for folds in rows.values()))
    size = ""
    for peer in (peer for peer in TITLES if peer in rows):
        ours = rows.get(COUNTERPARTS.get(peer, ""), {})
        full = {
            fold: {**row, **(compared(row, ours.get(fold)) if peer in COUNTERPARTS else {})}
            for fold, row in rows[peer].items()
        }  # fmt: skip
        shared = [row for fold, row in full.items() if fold in common]
        groups = [shared] if shared else []
        if len(shared) < len(full):
            groups.append([*full.values()])
        for some in groups:
            count = f" ({len(some)} folds)" if len(some) > 1 else ""
            first = f"{case}, {spaced(some[0]['n_points'])} x {some[0]['dim']}"
            yield ["" if size else first, TITLES[peer] + count, *cells(some)]
            size = first


def lines(results: Results) -> list[list[str]]:
    """Rows of the table."""
    return [row for case in CASES if results.get(case) for row in rows_of(case, results[case])]  # fmt: skip


def text_of(results: Results) -> str:
    """The table, and what it means."""
    head = [
        "data",
        "",
        "fit s",
        "to our likelihood s",
        "times ours",
        "predict s",
        "log likelihood",
        "in our VIF",
        "RMSE",
        "CRPS",
        "log score",
        "in 50, 80, 95 %",
    ]
    versions = sorted({
        f"{TITLES[peer].partition(',')[0]} {row['version']}"
        for rows in results.values()
        for peer, folds in rows.items()
        for row in folds.values()
        if "version" in row
    })  # fmt: skip
    foot = (
        f"Matern 3/2 with a lengthscale for each column, {N_INDUCING} inducing points, {K} neighbours (predictions {2 * K}); standardised data, 80 % of them for "
        'the fit. Peers start from a noise of 0.1, a variance of 1 and lengthscales of 1, and so does our "start of the others"; our other '
        'fits start from the data. "to our likelihood" is when GPBoost has printed a log likelihood at most 1 below that of our fit '
        'with neighbours of the same kind. "times ours" is the ratio of its time and ours to the lower of both likelihoods. Log likelihoods '
        'of different approximations are not comparable; "in our VIF" has those of our VIF model, with sets by residual correlation, at the '
        "hyperparameters of each row. A fit that is cut off has its last printed likelihood, and the scores of a model with the last "
        f"printed hyperparameters. GPyTorch has minibatches of {spaced(SVGP_BATCH)} and at most {SVGP_EPOCHS} epochs. The last column is "
        "the share of test points in the central intervals. Means ± standard deviations where there are several folds. "
        f"{', '.join(versions)}{'; on' if versions else 'On'} {machine()}; `benchmarks/regression.py` writes this "
        "table."
    )
    return "\n".join(table(head, lines(results))) + f"\n\n{foot}"


# The run


def chosen(names: Iterable[str]) -> Callable[[str], list[str]]:
    """A type of option: names with commas between them, or "all"."""
    known = list(names)

    def read(text: str) -> list[str]:
        found = known if text == "all" else text.split(",")
        for name in found:
            if name not in known:
                raise argparse.ArgumentTypeError(f"expected some of {', '.join(known)}, got {name}")  # fmt: skip
        return found

    return read


def fold_count(text: str) -> int:
    """A type of option."""
    if not text.isdigit() or not 1 <= int(text) <= N_FOLDS:
        raise argparse.ArgumentTypeError(f"expected 1 to {N_FOLDS}, got {text}")
    return int(text)


def arguments() -> argparse.Namespace:
    """The options of this run."""
    parser = options(__doc__)
    parser.add_argument("--data", type=chosen(CASES), default=list(CASES), help=f"some of {','.join(CASES)}")  # fmt: skip
    parser.add_argument("--peers", type=chosen(TITLES), default=list(OURS), help=f"all, or some of {','.join(TITLES)}")  # fmt: skip
    parser.add_argument("--folds", type=fold_count, default=1, help=f"1 to {N_FOLDS}")
    parser.add_argument("--patience", type=int, default=PATIENCE, help="seconds of a fit")  # fmt: skip
    parser.add_argument("--gpytorch", default=sys.executable, help="a Python that has it")  # fmt: skip
    return parser.parse_args()


def main() -> None:
    """Measure, print, and write after each row."""
    asked = arguments()
    path = HERE / "regression"
    stored = path.with_suffix(".json")
    results: Results = {}
    if stored.exists() and not asked.quick:
        results = json.loads(stored.read_text(encoding="utf-8"))
    for case in asked.data[: 1 if asked.quick else None]:
        if not (DATA / CASES[case][0]).exists():
            print(f"{case}: left out, because {DATA / CASES[case][0]} is not here")
            continue
        for fold in range(asked.folds):
            for peer in asked.peers:
                row = measure(asked, case, peer, fold)
                results.setdefault(case, {}).setdefault(peer, {})[str(fold)] = row
                few = {key: value for key, value in row.items() if key not in ("trace", "hyperparameters")}  # fmt: skip
                print(case, peer, fold, few, flush=True)
                if not asked.quick:
                    write(path, text_of(results), results)
    print(text_of(results))


if __name__ == "__main__":
    main()

"""The elevators of an F16: a Gaussian process of 18 features, the scores of its predictions, and pictures of the fit.

The data set is `elevators` of the UCI repository: the state of a simulated aircraft, and what the pilot does with the
elevators. The first of ten folds is held out. Columns and response are standardised by the other folds, as in
`benchmarks/regression.py`. The files are not a part of this repository; without them the program does nothing.

    elevators.py [folder of elevators.data.csv.gz and elevators.test_mask.csv.gz] [picture.png]
"""

from __future__ import annotations

import sys
import time
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
from covertreex import plot
from covertreex.sklearn import VIFRegressor
from covertreex.vecchia import scores
from matplotlib.figure import Figure
from sklearn.exceptions import ConvergenceWarning

DATA = Path(__file__).parents[3] / "shared" / "data" / "uci"
NAMES = np.array(
    [
        "climbRate",
        "Sgz",
        "p",
        "q",
        "curRoll",
        "absRoll",
        "diffClb",
        "diffRollRate",
        "diffDiffClb",
        "SaTime1",
        "SaTime2",
        "SaTime3",
        "SaTime4",
        "diffSaTime1",
        "diffSaTime2",
        "diffSaTime3",
        "diffSaTime4",
        "Sa",
    ]
)
# Columns that are nearly constant are dropped: their standard deviation is a smaller share of their range.
LEAST_SPREAD = 0.01


class Fold(NamedTuple):
    """Standardised data."""

    names: list[str]
    x: np.ndarray
    y: np.ndarray
    new_x: np.ndarray
    new_y: np.ndarray


def read(folder: Path) -> Fold:
    """Read the data, and hold out the first fold."""
    rows = np.loadtxt(folder / "elevators.data.csv.gz", delimiter=",")
    folds = np.loadtxt(folder / "elevators.test_mask.csv.gz", delimiter=",")
    test = folds[:, 0].astype(bool)
    kept = rows[:, :-1].std(axis=0) >= LEAST_SPREAD * np.ptp(rows[:, :-1], axis=0)
    names = NAMES[kept].tolist()
    rows = rows[:, np.append(kept, True)]
    rows = (rows - rows[~test].mean(axis=0)) / rows[~test].std(axis=0)
    return Fold(
        names, rows[~test, :-1], rows[~test, -1], rows[test, :-1], rows[test, -1]
    )


def draw(
    path: Path, model: VIFRegressor, fold: Fold, mean: np.ndarray, std: np.ndarray
) -> None:
    """Draw the course of the fit, the relevance of the columns and the calibration."""
    figure = Figure(figsize=(15, 4.5), layout="constrained")
    first, second, third = figure.subplots(1, 3)
    plot.history(model, ax=first)
    plot.relevance(model, names=fold.names, ax=second)
    plot.calibration(fold.new_y, mean, std**2, ax=third)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def main(folder: Path, picture: Path) -> None:
    """Fit, predict the fold that was held out, print the scores, draw."""
    if not (folder / "elevators.data.csv.gz").exists():
        print(f"{folder} has no elevators.data.csv.gz: nothing is done")
        return
    fold = read(folder)
    print(f"{len(fold.y):,} observations of {len(fold.names)} columns for the fit")
    model = VIFRegressor(n_inducing=200, n_neighbors=30, random_state=0)
    start = time.perf_counter()
    with warnings.catch_warnings():
        # Columns without effect end at the bounds of their lengthscales.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(fold.x, fold.y)
    print(
        f"fitted in {time.perf_counter() - start:.0f} s: {model.n_iter_} iterations, "
        f"log likelihood {model.log_marginal_likelihood_value_:,.0f}, noise variance {model.noise_:.3f}"
    )
    mean, std = model.predict(fold.new_x, return_std=True)
    found = scores(fold.new_y, mean, std**2)
    covered = ", ".join(
        f"{share:.1%} in {level:.0%}" for level, share in found.coverage.items()
    )
    print(
        f"{len(fold.new_y):,} held out, in standard deviations of the response: "
        f"RMSE {found.rmse:.4f}, CRPS {found.crps:.4f}, log score {found.log_score:.4f}; {covered}"
    )
    draw(picture, model, fold, mean, std)
    print(f"picture: {picture}")


if __name__ == "__main__":
    given = [Path(one) for one in sys.argv[1:]]
    main(*given, *[DATA, Path("build/elevators.png")][len(given) :])

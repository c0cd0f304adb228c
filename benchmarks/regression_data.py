"""The data of `regression.py`, by the protocol of the VIF paper's authors.

A fold of a UCI data set has 20 % of the rows to test: two of the ten masks in its file, so that there are five folds. A fold of argo has a
random 20 %. Columns whose standard deviation is below 0.01 after they are scaled to a range of 1 are dropped. Columns and responses are
standardised by the points of the fit, which are in a random order. This file needs NumPy alone, so that any peer's Python can read it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

DATA = Path(__file__).parent.parent.parent / "shared" / "data"
N_FOLDS = 5
TEST_SHARE = 0.2
LEAST_SPREAD = 0.01
# Sizes of the model, and starting values for the peers that accept them.
N_INDUCING, K = 200, 30
START_NOISE, START_VARIANCE, START_LENGTHSCALE = 0.1, 1.0, 1.0


class Problem(NamedTuple):
    """Standardised data."""

    x: np.ndarray
    y: np.ndarray
    new_x: np.ndarray
    new_y: np.ndarray


class Raw(NamedTuple):
    """Data as they are in a file."""

    x: np.ndarray
    y: np.ndarray
    is_test: np.ndarray


def uci(name: str) -> Callable[[int], Raw]:
    """A regression set of the UCI repository."""

    def read(fold: int) -> Raw:
        rows = np.loadtxt(DATA / "uci" / f"{name}.data.csv.gz", delimiter=",")
        masks = np.loadtxt(DATA / "uci" / f"{name}.test_mask.csv.gz", delimiter=",")
        is_test = masks[:, 2 * fold : 2 * fold + 2].any(axis=1)
        return Raw(rows[:, :-1], rows[:, -1], is_test)

    return read


def argo(fold: int) -> Raw:
    """Ocean floats: locations on the unit sphere and the day, and the temperature at 100 dbar."""
    raw = np.load(DATA / "argo2016.npy").astype(np.float64)
    longitude, latitude = np.radians(raw[:, 0]), np.radians(raw[:, 1])
    sphere = (
        np.cos(latitude) * np.cos(longitude),
        np.cos(latitude) * np.sin(longitude),
        np.sin(latitude),
    )
    order = np.random.default_rng(fold).permutation(len(raw))
    is_test = np.zeros(len(raw), bool)
    is_test[order[int((1 - TEST_SHARE) * len(raw)) :]] = True
    return Raw(np.stack([*sphere, raw[:, 2]], axis=1), raw[:, 3], is_test)


CASES: dict[str, tuple[str, Callable[[int], Raw]]] = {
    "elevators": ("uci/elevators.data.csv.gz", uci("elevators")),
    "kin40k": ("uci/kin40k.data.csv.gz", uci("kin40k")),
    "bike": ("uci/bike.data.csv.gz", uci("bike")),
    "argo": ("argo2016.npy", argo),
}


def problem(case: str, fold: int, most: int | None = None) -> Problem:
    """The data of a fold; at most ``most`` points for the fit."""
    x, y, is_test = CASES[case][1](fold)
    spreads, ranges = x.std(axis=0), np.ptp(x, axis=0)
    x = x[:, (ranges > 0) & (spreads >= LEAST_SPREAD * ranges)]
    order = np.random.default_rng(fold).permutation(len(x))
    used, rest = order[~is_test[order]], order[is_test[order]]
    x = (x - x[used].mean(axis=0)) / x[used].std(axis=0)
    y = (y - y[used].mean()) / y[used].std()
    return Problem(x[used][:most], y[used][:most], x[rest], y[rest])


def start(dim: int) -> list[float]:
    """Noise variance, variance and lengthscales to start from."""
    return [START_NOISE, START_VARIANCE, *[START_LENGTHSCALE] * dim]

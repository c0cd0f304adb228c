"""Temperatures of the ocean from floats: a fit, the calibration of its predictions, and a map.

Floats of the Argo program measure temperatures at some depths, and surface every ten days. The data set is `argo2016` of
the R package GpGp, as a NumPy file with the columns longitude, latitude, day, and temperature at 100, 150 and 200 dbar. It
is not a part of this repository; without it the program does nothing.

    argo.py [argo2016.npy] [picture.png]
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
from covertreex import cover_tree
from covertreex.kernels import Matern32
from covertreex.vecchia import VIF, calibrate
from scipy.optimize import minimize

DATA = Path(__file__).parents[3] / "shared" / "data" / "argo2016.npy"
N_NEIGHBORS, N_INDUCING = 30, 200
# Rounds of a fit: points, and iterations of the optimiser. The first one is for a good start.
ROUNDS = [(5_000, 30), (None, 12)]
LEVELS = (0.5, 0.8, 0.95)
MAP_DAY = 45
# The map shows floats of some days before and after, and is blank, mostly for land and ice, where all floats are farther
# away than NEAR radii of the Earth.
SHOWN_DAYS, NEAR = 3, 0.05
BOX = 5  # degrees


def coordinates(longitude: Any, latitude: Any, day: Any) -> np.ndarray:
    """Points on the unit sphere, and the day."""
    theta, phi = np.radians(longitude), np.radians(latitude)
    x, y = np.cos(phi) * np.cos(theta), np.cos(phi) * np.sin(theta)
    return np.stack([x, y, np.sin(phi), day + 0 * x], axis=-1)


def design(latitude: Any) -> np.ndarray:
    """The columns of the trend: a constant, the latitude and its square."""
    return np.stack([latitude**0, latitude / 90, (latitude / 90) ** 2], axis=-1)


def parameters(theta: np.ndarray) -> dict[str, Any]:
    """Hyperparameters from their logarithms; directions in space have one lengthscale."""
    noise, variance, space, days = np.exp(theta).tolist()
    return {"kernel": Matern32([space] * 3 + [days], variance), "noise": noise}


def fit(points: np.ndarray, y: np.ndarray, trend: np.ndarray) -> dict[str, Any]:
    """The hyperparameters of the largest likelihood, in rounds: each chooses order, sets and inducing points again."""
    theta = np.log([0.1, y.var(), 0.1, 20])
    for count, iterations in ROUNDS:
        model = VIF(
            points[:count],
            n_neighbors=N_NEIGHBORS,
            n_inducing=N_INDUCING,
            **parameters(theta),
        )

        def loss(
            theta: np.ndarray, model: VIF = model, count: int | None = count
        ) -> tuple[float, np.ndarray]:
            value, gradient = model.with_parameters(**parameters(theta)).log_likelihood(
                y[:count], eval_gradient=True, trend=trend[:count]
            )
            noise, variance, *space, days = gradient
            return -value, -np.array([noise, variance, sum(space), days])

        found = minimize(
            loss, theta, jac=True, method="L-BFGS-B", options={"maxiter": iterations}
        )
        theta = found.x
        noise, variance, space, days = np.exp(theta)
        print(
            f"{len(model.order):,} measurements: log likelihood {-found.fun:,.0f} after {found.nfev} evaluations, "
            f"noise {noise:.2f}, variance {variance:.2f}, lengthscales {space:.3f} radii of the Earth and {days:.0f} days"
        )
    return parameters(theta)


class Predictor:
    """A model of some measurements, with its trend."""

    def __init__(
        self, points: np.ndarray, latitude: np.ndarray, y: np.ndarray, **given: Any
    ) -> None:
        self.model = VIF(
            points, n_neighbors=N_NEIGHBORS, n_inducing=N_INDUCING, **given
        )
        self.y, self.trend = y, design(latitude)

    def __call__(
        self, points: np.ndarray, latitude: np.ndarray, latent: bool = False
    ) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation at new points: of measurements, or of the field without noise."""
        mean, variance = self.model.predict(
            points,
            self.y,
            return_var=True,
            latent=latent,
            trend=self.trend,
            new_trend=design(latitude),
        )
        return mean, np.sqrt(variance)

    def factors(self, points: np.ndarray) -> np.ndarray:
        """By what to multiply standard deviations, from the errors of measurements nearby."""
        found = calibrate(self.model, self.y, trend=self.trend)
        return np.sqrt(found.factors(points))


def calibration(
    name: str, y: np.ndarray, mean: np.ndarray, deviation: np.ndarray
) -> str:
    """A row of the table: the error, and how many measurements are in intervals of each level."""
    z = np.abs(y - mean) / deviation
    shares = [np.mean(z < NormalDist().inv_cdf((1 + level) / 2)) for level in LEVELS]
    error = np.sqrt(np.mean((y - mean) ** 2))
    cells = [f"{len(y):,}", f"{error:.2f}", f"{deviation.mean():.2f}"]
    percents = [f"{100 * one:.1f} %" for one in shares]
    return f"| {' | '.join([name, *cells, *percents])} |"


def draw(path: Path, data: np.ndarray, predict: Predictor) -> None:
    """Draw the field and its standard deviation on one day, and the floats that measured near that day."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    longitude, latitude, day, temperature = data.T
    edges = np.arange(0, 361), np.arange(-72, 72)
    east, north = np.meshgrid(*(edge[:-1] + 0.5 for edge in edges))
    grid = coordinates(east, north, MAP_DAY).reshape(-1, 4)
    floats = coordinates(longitude, latitude, day)[:, :3]
    _, distance = cover_tree(floats).knn(1, queries=grid[:, :3], return_distances=True)
    sea = distance[:, 0] < NEAR
    fields = np.full((2, len(grid)), np.nan)
    fields[:, sea] = predict(grid[sea], north.ravel()[sea], latent=True)

    figure, panels = plt.subplots(
        2, 1, figsize=(9, 6.7), layout="constrained", sharex=True
    )
    looks = [("temperature, °C", "RdYlBu_r"), ("standard deviation, °C", "viridis")]
    images = []
    for axes, values, (label, colours) in zip(panels, fields, looks):
        least, most = np.nanpercentile(values, [0.5, 99.5])
        image = axes.pcolormesh(*edges, values.reshape(east.shape), cmap=colours)
        image.set_clim(least, most)
        figure.colorbar(image, ax=axes, label=label, extend="both", shrink=0.85)
        axes.set(aspect=1, facecolor="0.85", ylabel="latitude, degrees")
        axes.set_yticks(range(-60, 61, 30))
        images.append(image)
    shown = np.abs(day - MAP_DAY) <= SHOWN_DAYS
    locations = longitude[shown] % 360, latitude[shown]
    panels[0].scatter(
        *locations,
        c=temperature[shown],
        s=8,
        linewidths=0.3,
        edgecolors="black",
        cmap=images[0].cmap,
        norm=images[0].norm,
    )
    panels[1].scatter(*locations, s=1.5, color="white", linewidths=0)
    panels[0].set_title(f"Temperature at 100 dbar on day {MAP_DAY}")
    panels[1].set_title("Standard deviation of this temperature")
    panels[1].set_xlabel("longitude, degrees east")
    panels[1].set_xticks(range(0, 361, 60))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def main(source: Path, picture: Path) -> None:
    """Fit, predict measurements that were held out, draw."""
    if not source.exists():
        print(f"{source} does not exist: nothing is done")
        return
    start = time.perf_counter()
    rng = np.random.default_rng(0)
    data = rng.permutation(np.load(source)[:, :4].astype(np.float64))
    longitude, latitude, day, y = data.T
    points = coordinates(longitude, latitude, day)
    at_random = rng.random(len(data)) < 0.1
    boxes = (longitude % 360 // BOX) * 360 + latitude // BOX
    in_boxes = np.isin(boxes, rng.permutation(np.unique(boxes))[::10])

    train = ~at_random
    fitted = fit(points[train], y[train], design(latitude[train]))
    print(f"fitted in {time.perf_counter() - start:.0f} s")
    print(
        "| held out | measurements | RMSE, °C | mean standard deviation, °C | in 50 % | in 80 % | in 95 % |"
    )
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    held_out = {
        "a tenth at random": at_random,
        f"a tenth of all boxes of {BOX}° x {BOX}°": in_boxes,
    }
    for name, test in held_out.items():
        predict = Predictor(points[~test], latitude[~test], y[~test], **fitted)
        mean, deviation = predict(points[test], latitude[test])
        calibrated = deviation * predict.factors(points[test])
        print(calibration(name, y[test], mean, deviation))
        print(calibration("the same, calibrated", y[test], mean, calibrated))
        if test is at_random:
            ratios = [(y[test] - mean) / one for one in (deviation, calibrated)]
    print("root mean square of errors over their predicted standard deviations:")
    for south in range(-70, 70, 20):
        band = (latitude[at_random] >= south) & (latitude[at_random] < south + 20)
        spread, after = (np.sqrt(np.mean(one[band] ** 2)) for one in ratios)
        print(
            f"  latitudes {south:3} to {south + 20:3} degrees: {spread:.2f}, calibrated {after:.2f}"
        )
    draw(picture, data, Predictor(points, latitude, y, **fitted))
    print(f"picture: {picture}")


if __name__ == "__main__":
    given = [Path(one) for one in sys.argv[1:]]
    main(*given, *[DATA, Path("build/argo.png")][len(given) :])

"""Elevations of the world's airports: a Gaussian process over the sphere, the scores of its predictions, and a map.

Points on the unit sphere have three coordinates and one lengthscale, so that correlations depend on the distance alone. In
few dimensions Vecchia's approximation needs no inducing points. A tenth of the airports is held out. Their predictions
are compared with those of the nearest airport, and with one distribution for all. The model has one variance everywhere,
and plains vary less than mountains: so narrow intervals contain too many airports. Calibrated variances correct this. The
map has the predicted elevation and its standard deviation. `make demo` runs this program, too.

    elevation.py [picture.png]
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import airportsdata
import numpy as np
from covertreex import cover_tree
from covertreex.sklearn import VecchiaRegressor
from covertreex.vecchia import scores
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

EARTH_RADIUS_KM = 6371.0088
METRES_PER_FOOT = 0.3048
HELD_OUT = 0.1
# The map has cells from SOUTH to NORTH, in degrees. It is blank, mostly for the sea, farther than NEAR_KM from all airports, except in
# gaps between them that are narrower than twice GAP_KM.
CELL, SOUTH, NORTH = 0.5, -60, 80
NEAR_KM, GAP_KM = 70, 250
LAND = ["#3b7a57", "#a9bf76", "#e8d8a0", "#b07d4f", "#8a5a44", "#ffffff"]


def unit_sphere(latitude: np.ndarray, longitude: np.ndarray) -> np.ndarray:
    """Turn degrees into points on the unit sphere."""
    phi, theta = np.radians(latitude), np.radians(longitude)
    return np.stack(
        [np.cos(phi) * np.cos(theta), np.cos(phi) * np.sin(theta), np.sin(phi)], axis=1
    )


def line(name: str, y: np.ndarray, mean: np.ndarray, variance: np.ndarray) -> str:
    """A row of the table."""
    found = scores(y, mean, variance)
    shares = [f"{100 * share:7.1f} %" for share in found.coverage.values()]
    return (
        f"{name:<26} {found.rmse:8.1f} {found.crps:8.1f} {found.log_score:10.3f}"
        + "".join(shares)
    )


def on_map(airports: np.ndarray, grid: np.ndarray) -> Any:
    """Which points of a grid are near airports, or in gaps between them."""

    def far_km(points: np.ndarray) -> Any:
        _, distance = cover_tree(points).knn(1, queries=grid, return_distances=True)
        return EARTH_RADIUS_KM * distance[:, 0]

    outside = far_km(airports) > NEAR_KM + GAP_KM
    return far_km(grid[outside]) > GAP_KM


def draw(path: Path, model: VecchiaRegressor, airports: np.ndarray) -> None:
    """Draw the predicted elevation and its standard deviation on maps of the world."""
    edges = np.arange(-180, 180 + CELL, CELL), np.arange(SOUTH, NORTH + CELL, CELL)
    east, north = np.meshgrid(*(edge[:-1] + CELL / 2 for edge in edges))
    grid = unit_sphere(north.ravel(), east.ravel())
    drawn = on_map(airports, grid)
    fields = np.full((2, len(grid)), np.nan)
    fields[:, drawn] = model.predict(
        grid[drawn], return_std=True, latent=True, calibrated=True
    )

    figure = Figure(figsize=(8.8, 6.6), layout="constrained")
    panels = figure.subplots(2, 1, sharex=True)
    land = LinearSegmentedColormap.from_list("land", LAND)
    looks = [
        ("Elevation, predicted from airports", land),
        ("Standard deviation of the prediction", "magma"),
    ]
    for axes, values, (title, colours) in zip(panels, fields, looks):
        image = axes.pcolormesh(*edges, values.reshape(east.shape), cmap=colours)
        image.set_clim(0, np.nanpercentile(values, 99.5))
        figure.colorbar(image, ax=axes, label="m", extend="max", aspect=16, pad=0.01)
        axes.set(title=title, aspect=1, facecolor="0.85", ylabel="latitude, degrees")
        axes.set_yticks(range(-60, 61, 30))
    panels[1].set_xlabel("longitude, degrees east")
    panels[1].set_xticks(range(-180, 181, 60))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def main(picture: Path) -> None:
    """Fit, predict the airports that were held out, print the scores, draw."""
    airports = list(airportsdata.load().values())
    points = unit_sphere(
        np.array([a["lat"] for a in airports]), np.array([a["lon"] for a in airports])
    )
    elevation = METRES_PER_FOOT * np.array([a["elevation"] for a in airports])
    test = np.random.default_rng(0).random(len(points)) < HELD_OUT
    x, y, new_x, new_y = points[~test], elevation[~test], points[test], elevation[test]

    start = time.perf_counter()
    # Elevations are known to about a metre, and the data do not tell such a small noise from none.
    model = VecchiaRegressor(
        "matern12", ard=False, n_neighbors=20, noise=1.0, noise_bounds="fixed"
    ).fit(x, y)
    print(
        f"a Gaussian process fitted to the elevations of {len(y):,} airports in {time.perf_counter() - start:.0f} s: "
        f"{model.n_iter_} iterations, log likelihood {model.log_marginal_likelihood_value_:,.0f}"
    )
    print(
        f"lengthscale {EARTH_RADIUS_KM * model.kernel_.lengthscale:,.0f} km, "
        f"standard deviation {np.sqrt(model.kernel_.variance):,.0f} m, "
        f"mean {model.intercept_:,.0f} m; noise of {np.sqrt(model.noise_):.0f} m is given"
    )
    mean, std = model.predict(new_x, return_std=True)
    _, calibrated = model.predict(new_x, return_std=True, calibrated=True)
    tree = cover_tree(x)
    nearest = y[tree.knn(1, queries=new_x)[:, 0]]
    difference = y - y[tree.knn(1, exclude_self=True)[:, 0]]
    all_alike = np.full(len(new_y), y.mean()), np.full(len(new_y), y.var())

    print(f"scores of {len(new_y):,} airports held out, metres:")
    print(
        f"{'':<26} {'RMSE':>8} {'CRPS':>8} {'log score':>10}   in 50 %   in 80 %   in 95 %"
    )
    print(line("one distribution for all", new_y, *all_alike))
    variance = np.full(len(new_y), np.mean(difference**2))
    print(line("the nearest airport", new_y, nearest, variance))
    print(line("the Gaussian process", new_y, mean, std**2))
    print(line("the same, calibrated", new_y, mean, calibrated**2))
    draw(picture, model, points)
    print(f"map of the elevation and its standard deviation: {picture}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("build/elevation.png"))

"""Elevations of the world's airports: a Gaussian process over the sphere, and the scores of its predictions.

Points on the unit sphere have three coordinates and one lengthscale, so that correlations depend on the distance alone. In
few dimensions Vecchia's approximation needs no inducing points. A tenth of the airports is held out. Their predictions
are compared with those of the nearest airport, and with one distribution for all. The model has one variance everywhere,
and plains vary less than mountains: so narrow intervals contain too many airports, and wide ones as many as they should.
"""

from __future__ import annotations

import time

import airportsdata
import numpy as np
from covertreex import cover_tree
from covertreex.sklearn import VecchiaRegressor
from covertreex.vecchia import scores

EARTH_RADIUS_KM = 6371.0088
METRES_PER_FOOT = 0.3048
HELD_OUT = 0.1


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


def main() -> None:
    """Fit, predict, print the scores."""
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
    print(f"{len(y):,} airports fitted in {time.perf_counter() - start:.0f} s:")
    print(
        f"lengthscale {EARTH_RADIUS_KM * model.kernel_.lengthscale:,.0f} km, "
        f"standard deviation {np.sqrt(model.kernel_.variance):,.0f} m"
    )
    mean, std = model.predict(new_x, return_std=True)
    tree = cover_tree(x)
    nearest = y[tree.knn(1, queries=new_x)[:, 0]]
    difference = y - y[tree.knn(1, exclude_self=True)[:, 0]]
    all_alike = np.full(len(new_y), y.mean()), np.full(len(new_y), y.var())

    print(f"{len(new_y):,} airports held out, metres:")
    print(
        f"{'':<26} {'RMSE':>8} {'CRPS':>8} {'log score':>10}   in 50 %   in 80 %   in 95 %"
    )
    print(line("one distribution for all", new_y, *all_alike))
    variance = np.full(len(new_y), np.mean(difference**2))
    print(line("the nearest airport", new_y, nearest, variance))
    print(line("the Gaussian process", new_y, mean, std**2))


if __name__ == "__main__":
    main()

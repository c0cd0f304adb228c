"""The Vecchia job on every airport in the world, the first program of `make demo`.

Airports are in max-min order. Each is conditioned on its 30 nearest predecessors in the residual-correlation metric of
a Gaussian process with 512 inducing points. The program checks the answer against brute force in float64, predicts
elevations from the conditioning sets, and draws one of the sets on a map.

    vecchia.py [picture.png]
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import airportsdata
import numpy as np
from covertreex import residual_tree, vecchia
from covertreex.kernels import Matern52

KERNEL = Matern52(lengthscale=0.2, variance=1.0)
N_INDUCING = 512
N_NEIGHBORS = 30
N_CHECKED = 100
NOISE = 0.05
DRAWN = "EDDF"


@contextmanager
def phase(name: str) -> Iterator[None]:
    """Print the seconds of a phase."""
    start = time.perf_counter()
    yield
    print(f"  {name:<44} {time.perf_counter() - start:7.3f} s")


def unit_sphere(latitude: np.ndarray, longitude: np.ndarray) -> np.ndarray:
    """Turn degrees into points on the unit sphere."""
    phi, theta = np.radians(latitude), np.radians(longitude)
    return np.stack(
        [np.cos(phi) * np.cos(theta), np.cos(phi) * np.sin(theta), np.sin(phi)], axis=1
    )


def brute_force(
    points: np.ndarray, inducing: np.ndarray, rows: np.ndarray
) -> np.ndarray:
    """Compute |rho| between some rows and all points in float64, by definition; 0 for points that are not predecessors."""
    factor = np.linalg.cholesky(KERNEL(inducing) + 1e-6 * np.eye(len(inducing)))
    v = np.linalg.solve(factor, KERNEL(inducing, points)).T
    p = np.maximum(KERNEL.variance - (v**2).sum(axis=1), 1e-9)
    covariance = KERNEL(points[rows], points) - v[rows] @ v.T
    rho = np.minimum(np.abs(covariance) / np.sqrt(p[rows, None] * p), 1)
    return np.where(np.arange(len(points)) < rows[:, None], rho, 0)


def recall(found: np.ndarray, rho: np.ndarray) -> float:
    """Return the share of neighbours that are as near as the true ones."""
    good = 0
    for row, correlations in zip(found, rho):
        least = np.sort(correlations)[-N_NEIGHBORS]
        good += np.count_nonzero(correlations[row] >= least * (1 - 1e-6))
    return good / found.size


def predict(
    points: np.ndarray, response: np.ndarray, sets: np.ndarray, rows: np.ndarray
) -> np.ndarray:
    """Predict the response of some points from their conditioning sets."""
    predicted = np.empty(len(rows))
    for i, row in enumerate(rows):
        near = sets[row]
        gram = KERNEL(points[near]) + NOISE * np.eye(len(near))
        weights = np.linalg.solve(gram, KERNEL(points[near], points[row : row + 1]))[
            :, 0
        ]
        predicted[i] = weights @ response[near]
    return predicted


def draw(
    path: Path,
    latitude: np.ndarray,
    longitude: np.ndarray,
    near: np.ndarray,
    row: int,
    title: str,
) -> None:
    """Draw one conditioning set on the map of all airports."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, (world, close) = plt.subplots(1, 2, figsize=(14, 5), width_ratios=[2, 1.3])
    for axes in (world, close):
        axes.scatter(longitude, latitude, s=1, color="0.8", label="airports")
        axes.scatter(
            longitude[near],
            latitude[near],
            s=14,
            color="tab:blue",
            label=f"its {len(near)} predecessors",
        )
        axes.scatter(
            longitude[row],
            latitude[row],
            s=60,
            color="tab:red",
            marker="*",
            label=title,
        )
        axes.set_xlabel("longitude, degrees")
        axes.set_ylabel("latitude, degrees")
    reach = np.abs(latitude[near] - latitude[row]).max() * 1.2 + 0.5
    close.set_ylim(latitude[row] - reach, latitude[row] + reach)
    close.set_xlim(longitude[row] - 1.6 * reach, longitude[row] + 1.6 * reach)
    world.legend(loc="lower left", fontsize=8)
    world.set_title(f"The conditioning set of {title}")
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def main(picture: Path) -> None:
    """Order, build, search, check, predict, draw."""
    airports = list(airportsdata.load().values())
    latitude = np.array([a["lat"] for a in airports])
    longitude = np.array([a["lon"] for a in airports])
    elevation = np.array([a["elevation"] for a in airports]) * 0.3048
    points = unit_sphere(latitude, longitude)
    print(
        f"{len(points):,} airports, {KERNEL}, {N_INDUCING} inducing points, {N_NEIGHBORS} predecessors each"
    )

    with phase("max-min order"):
        order = vecchia.ordering(points)
    ordered = points[order]
    with phase("features, residual variances, low-rank blocks"):
        tree = residual_tree(ordered, KERNEL, n_inducing=N_INDUCING)
    with phase("all neighbours"):
        sets = tree.knn(N_NEIGHBORS, predecessor_mode=True)

    rows = np.random.default_rng(0).choice(
        np.arange(N_NEIGHBORS, len(points)), N_CHECKED, replace=False
    )
    with phase(f"brute force in float64 for {N_CHECKED} of them"):
        rho = brute_force(ordered, tree.inducing_points, rows)
    print(f"recall of those {N_CHECKED}: {recall(sets[rows], rho):.4f}")

    response = (elevation[order] - elevation.mean()) / elevation.std()
    predicted = predict(ordered, response, sets, rows)
    error = np.sqrt(np.mean((predicted - response[rows]) ** 2)) * elevation.std()
    print(
        f"elevation predicted from the sets: error {error:.0f} m, standard deviation of all elevations {elevation.std():.0f} m"
    )

    rank = next(r for r, i in enumerate(order) if airports[i]["icao"] == DRAWN)
    title = f"{airports[order[rank]]['name']} (rank {rank:,})"
    draw(
        picture,
        latitude[order],
        longitude[order],
        sets[rank][sets[rank] >= 0],
        rank,
        title,
    )
    print(f"picture: {picture}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("build/conditioning-set.png"))

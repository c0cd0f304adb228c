"""The ten nearest airports of every airport in the world, checked against brute force."""

from __future__ import annotations

import time

import airportsdata
import numpy as np
from covertreex import cover_tree

EARTH_RADIUS_KM = 6371.0088
N_NEIGHBORS = 10
N_CHECKED = 500


def unit_sphere(latitude: np.ndarray, longitude: np.ndarray) -> np.ndarray:
    """Turn degrees into points on the unit sphere."""
    phi, theta = np.radians(latitude), np.radians(longitude)
    return np.stack(
        [np.cos(phi) * np.cos(theta), np.cos(phi) * np.sin(theta), np.sin(phi)], axis=1
    )


def kilometres(chord: np.ndarray) -> np.ndarray:
    """Turn chords of the unit sphere into distances over ground."""
    return 2 * EARTH_RADIUS_KM * np.arcsin(np.clip(chord / 2, 0, 1))


def brute_force(points: np.ndarray, rows: np.ndarray, k: int) -> np.ndarray:
    """Find the k nearest other points of some rows in float64, by distance, then by index."""
    nearest = np.empty((len(rows), k), np.int64)
    for i, row in enumerate(rows):
        distance = np.sqrt(((points - points[row]) ** 2).sum(axis=1))
        distance[row] = np.inf
        nearest[i] = np.lexsort((np.arange(len(points)), distance))[:k]
    return nearest


def main() -> None:
    """Build, search, print the results, and check them."""
    airports = list(airportsdata.load().values())
    points = unit_sphere(
        np.array([a["lat"] for a in airports]), np.array([a["lon"] for a in airports])
    )

    start = time.perf_counter()
    tree = cover_tree(points)
    built = time.perf_counter() - start
    start = time.perf_counter()
    nearest, chord = tree.knn(N_NEIGHBORS, exclude_self=True, return_distances=True)
    searched = time.perf_counter() - start

    print(
        f"{len(airports):,} airports as points on the unit sphere, the {N_NEIGHBORS} nearest of each."
    )
    for code in ("KJFK", "EDDF", "YSSY"):
        row = next(i for i, a in enumerate(airports) if a["icao"] == code)
        names = ", ".join(
            f"{airports[j]['name']} ({d:.1f} km)"
            for j, d in zip(nearest[row, :3], kilometres(chord[row, :3]))
        )
        print(f"Nearest to {airports[row]['name']}: {names}.")
    loneliest = int(chord[:, 0].argmax())
    print(
        f"The loneliest is {airports[loneliest]['name']} ({airports[loneliest]['country']}): "
        f"{kilometres(chord[loneliest, 0]):.0f} km to {airports[nearest[loneliest, 0]]['name']}."
    )
    print(
        f"Built in {built * 1000:.1f} ms; {len(points) / searched:,.0f} queries a second."
    )

    rows = np.random.default_rng(0).choice(len(points), N_CHECKED, replace=False)
    truth = brute_force(points, rows, N_NEIGHBORS)
    true_chord = np.sqrt(((points[truth] - points[rows][:, None]) ** 2).sum(axis=2))
    if not np.allclose(true_chord, chord[rows], rtol=1e-12, atol=1e-15):
        raise SystemExit("The check against brute force FAILED.")
    same = (truth == nearest[rows]).mean()
    print(
        f"Checked {N_CHECKED} rows against brute force: distances equal, {same:.2%} of the neighbours the same."
    )


if __name__ == "__main__":
    main()

"""All points within a residual-correlation distance, and removal: ours beside NumPy, in one run.

    residual_radius.py           writes residual_radius.md
    residual_radius.py --quick   smaller, writes nothing

Each of 32 768 points in three dimensions asks for its predecessors within a distance, which is the median distance of the 30th of the
nearest predecessors. NumPy compares 256 of the points with all others in float64. Recall counts the points that this brute force finds
within the distance, up to rounding. "removed" is the first search after a quarter of the points was removed.
"""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

import numpy as np
from covertreex import residual_tree
from covertreex._bench.clocks import timed
from processes import options
from residual import BruteForce, problem
from tables import machine, table, write

K = 30
# The largest error of a distance's square that rounding of the features makes.
ROUNDING = 1e-6


def measured(work: dict[str, Any], turns: int) -> list[str]:
    """One row of the table."""
    x, kernel, inducing, rows = problem(work)
    tree = residual_tree(x, kernel, inducing_points=inducing)
    nearest, distances = tree.knn(K, predecessor_mode=True, return_distances=True)
    r = float(np.median(distances[nearest[:, -1] >= 0, -1]))

    def knn() -> Any:
        return tree.knn(K, predecessor_mode=True)

    def radius(**asked: Any) -> Any:
        return tree.radius(r, predecessor_mode=True, **asked)

    search, neighbors, count, found = [], [], [], None
    for _ in range(turns):
        neighbors.append(timed(knn)[0])
        took, found = timed(radius)
        search.append(took)
        count.append(timed(lambda: radius(count_only=True))[0])
    true, n_numpy = BruteForce(work), 256
    some = rows[:n_numpy]

    def brute_force() -> np.ndarray:
        return np.concatenate([
            true.distances(part, true.fast_kernel(part)) <= r * r for part in np.split(some, 4)
        ])  # fmt: skip

    numpy = timed(brute_force)[0] / n_numpy
    squares = true.distances(some, true.kernel(x[some], x))
    got = np.zeros(squares.shape, bool)
    for row, index in enumerate(some):
        got[row, found.indices[found.offsets[index] : found.offsets[index + 1]]] = True
    surely = squares <= r * r - ROUNDING
    recall = got[surely].mean()
    if got[squares > r * r + ROUNDING].any():
        raise SystemExit("a point beyond the radius was found")
    tree.remove(np.random.default_rng(2).permutation(len(x))[: len(x) // 4])
    later = timed(knn)[0]
    rate = len(x) / statistics.median(search)
    return [
        work["kernel"], f"{r:.3f}", f"{len(found.indices) / len(x):.0f}", f"{statistics.median(search):.2f}",
        f"{statistics.median(count):.2f}", f"{statistics.median(neighbors):.2f}", f"{later:.2f}", f"{rate:,.0f}",
        f"{1 / numpy:,.0f}", f"{recall:.4f}",
    ]  # fmt: skip


def main() -> None:
    chosen = options(__doc__, turns=5).parse_args()
    base = {
        "n": 4096 if chosen.quick else 32768,
        "dim": 3,
        "m": 512,
        "k": K,
        "all": True,
    }
    rows = [
        measured({**base, "kernel": kernel}, chosen.turns)
        for kernel in ("RBF", "Matern52")
    ]
    head = (
        "kernel", "radius", "points found a query", "all queries, s", "count only, s", "knn, s", "knn, removed, s",
        "queries/s", "NumPy, queries/s", "recall",
    )  # fmt: skip
    text = "\n".join(
        [
            *table(head, rows, 1),
            "",
            f"{machine()}; n {base['n']}, m {base['m']}, k {K}.",
        ]
    )
    print(text)
    if not chosen.quick:
        write(Path(__file__).parent / "residual_radius", text)


if __name__ == "__main__":
    main()

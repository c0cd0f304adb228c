"""All points within a residual-correlation distance, removal, and filters: ours beside NumPy, in one run.

    residual_radius.py             writes residual_radius.md and residual_filters.md
    residual_radius.py --filters   only the second
    residual_radius.py --quick     smaller, writes nothing

Each of 32 768 points in three dimensions asks for its predecessors within a distance, which is the median distance of the 30th of the
nearest predecessors. NumPy compares 256 of the points with all others in float64. Recall counts the points that this brute force finds
within the distance, up to rounding. "removed" is the first search after a quarter of the points was removed.

With a filter all points ask for their nearest among some points, chosen at random. "of the part" is a tree of these points alone in the
same process, which is built in the call, as a filter is for one call. NumPy compares 256 of the points with the admitted ones. Recall
counts the neighbours that are admitted, and not farther than those of this brute force, up to rounding.
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


def filtered(work: dict[str, Any], share: float, turns: int) -> list[str]:
    """One row of the table of filters."""
    x, kernel, inducing, rows = problem(work)
    tree = residual_tree(x, kernel, inducing_points=inducing)
    mask = np.random.default_rng(3).random(len(x)) < share
    tree.knn(K)

    def of_part() -> Any:
        return tree.with_points(x[mask]).knn(K, queries=x)

    ours, part, every, found = [], [], [], None
    for _ in range(turns):
        took, found = timed(lambda: tree.knn(K, filter=mask))
        ours.append(took)
        part.append(timed(of_part)[0])
        every.append(timed(lambda: tree.knn(K))[0])
    true, some = BruteForce(work), rows[:256]
    admitted = np.flatnonzero(mask)

    def nearest(queries: np.ndarray, covariances: np.ndarray) -> np.ndarray:
        norms = np.sqrt(true.p[queries, None] * true.p[admitted])
        rho = np.minimum(
            np.abs(covariances - true.v[queries] @ true.v[admitted].T) / norms, 1
        )
        rho[admitted == queries[:, None]] = 1
        return np.partition(1 - rho, K - 1, axis=1)[:, K - 1]

    def fast_kernel(queries: np.ndarray) -> np.ndarray:
        products = true.scaled[queries] @ true.scaled[admitted].T
        squared = true.squares[queries, None] + true.squares[admitted] - 2 * products
        return kernel.variance * kernel._correlation(np.maximum(squared, 0))

    numpy = timed(
        lambda: [nearest(some, fast_kernel(some)) for some in np.split(some, 4)]
    )[0] / len(some)
    farthest = nearest(some, kernel(x[some], x[admitted]))
    squares = true.distances(some, kernel(x[some], x))
    own = np.take_along_axis(squares, found[some], axis=1)
    recall = (mask[found[some]] & (own <= farthest[:, None] + ROUNDING)).mean()
    return [
        work["kernel"], f"{share:.0%}", *(f"{statistics.median(one):.2f}" for one in (ours, part, every)),
        f"{len(x) / statistics.median(ours):,.0f}", f"{1 / numpy:,.0f}", f"{recall:.4f}",
    ]  # fmt: skip


def filters(base: dict[str, Any], turns: int) -> str:
    """The table of filters."""
    work = {**base, "all": False}
    rows = [
        filtered({**work, "kernel": kernel}, share, turns)
        for kernel in ("RBF", "Matern52")
        for share in (0.01, 0.1, 0.5)
    ]
    head = (
        "kernel", "admitted", "filter, s", "of the part, s", "no filter, s", "queries/s", "NumPy, queries/s", "recall",
    )  # fmt: skip
    return "\n".join(
        [
            *table(head, rows, 2),
            "",
            f"{machine()}; n {base['n']}, m {base['m']}, k {K}.",
        ]
    )


def main() -> None:
    parser = options(__doc__, turns=5)
    parser.add_argument("--filters", action="store_true", help="only filters")
    chosen = parser.parse_args()
    base = {
        "n": 4096 if chosen.quick else 32768,
        "dim": 3,
        "m": 512,
        "k": K,
        "all": True,
    }
    text = filters(base, chosen.turns)
    print(text)
    if not chosen.quick:
        write(Path(__file__).parent / "residual_filters", text)
    if chosen.filters:
        return
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

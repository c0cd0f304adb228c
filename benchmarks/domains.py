"""Residual-correlation neighbours of growing domains: the time per point at a fixed ratio of lengthscale to spacing.

    domains.py                  all layouts and kernels; writes domains.json, domains.md and the plot
    domains.py --quick          two rows, writes nothing

A domain of n points of density 1 grows with n, so it is more and more lengthscales wide. Times are those of the build and the first search
together, because each step of a fit needs both. Recall is against float64 brute force over the same features.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from covertreex import kernels, residual_tree
from covertreex._bench.clocks import timed
from covertreex._bench.truth import residual
from tables import machine, spaced, table, write

HERE = Path(__file__).parent
SIZES = (16_000, 32_000, 64_000, 128_000, 256_000)
RATIOS = (0.3, 2.0, 5.0, 10.0, 20.0)
K, N_INDUCING = 20, 200


def uniform(rng: np.random.Generator, n: int, dim: int) -> np.ndarray:
    return rng.random((n, dim)) * n ** (1 / dim)


def raster(rng: np.random.Generator, n: int, dim: int) -> np.ndarray:
    """Pixels in a random order."""
    side = round(n ** (1 / dim))
    pixels = np.stack(np.meshgrid(*[np.arange(side)] * dim), -1).reshape(-1, dim)
    return rng.permutation(pixels).astype(np.float64)


def cities(rng: np.random.Generator, n: int, dim: int) -> np.ndarray:
    """Normal clusters of 400 points on average."""
    centres = uniform(rng, max(1, n // 400), dim) * 400 ** (1 / dim)
    return centres[rng.integers(0, len(centres), n)] + 8 * rng.standard_normal((n, dim))


def track(rng: np.random.Generator, n: int, dim: int) -> np.ndarray:
    """A curve that crosses the domain many times, in the order of time."""
    turns = np.arange(n) / np.sqrt(n)
    bends = [(1 + np.sin(2 * np.pi * (1 + 0.618 * d) * turns)) / 2 for d in range(dim)]
    return n ** (1 / dim) * np.stack(bends, axis=1)


# Layout, dimensions, kernel.
ROWS: list[tuple[Callable[..., np.ndarray], int, str]] = [
    (uniform, 2, "Matern52"),
    (uniform, 3, "Matern52"),
    (raster, 2, "Matern52"),
    (cities, 2, "Matern52"),
    (track, 2, "Matern52"),
    (uniform, 2, "RBF"),
    (uniform, 2, "Matern12"),
    (uniform, 2, "Matern32"),
]


def measure(
    layout: Callable[..., np.ndarray], dim: int, kernel: str, ratio: float, n: int
) -> dict[str, float]:
    """Seconds of build and search, and the recall of some rows."""
    points = layout(np.random.default_rng(n), n, dim)
    chosen = getattr(kernels, kernel)(lengthscale=ratio)
    build_s, tree = timed(lambda: residual_tree(points, chosen, n_inducing=N_INDUCING))
    search_s, found = timed(lambda: tree.knn(K, predecessor_mode=True))
    recall = residual(tree, points, None, K, most=50).recall(found)
    tree.close()
    return {
        "n": len(points),
        "build_s": build_s,
        "search_s": search_s,
        "recall": recall,
    }


def line(result: dict) -> list[str]:
    """Microseconds a point of each size, their growth, and the least recall."""
    runs = result["runs"]
    per_point = [1e6 * (run["build_s"] + run["search_s"]) / run["n"] for run in runs]
    name = f"{result['layout']}, {result['dim']}-d, {result['kernel']}"
    figures = [f"{value:.1f}" for value in per_point]
    return [
        name,
        f"{result['ratio']:g}",
        *figures,
        f"{per_point[-1] / per_point[0]:.2f}",
        f"{min(run['recall'] for run in runs):.4f}",
    ]


def plot(results: list[dict]) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(
        1, len(RATIOS), figsize=(16, 3.6), sharey=True, layout="constrained"
    )
    for axis, ratio in zip(axes, RATIOS):
        for result in (one for one in results if one["ratio"] == ratio):
            sizes = [run["n"] for run in result["runs"]]
            times = [
                1e6 * (run["build_s"] + run["search_s"]) / run["n"]
                for run in result["runs"]
            ]
            axis.loglog(
                sizes,
                times,
                marker="o",
                label=f"{result['layout']}, {result['dim']}-d, {result['kernel']}",
            )
        axis.set(title=f"lengthscale = {ratio:g} spacings", xlabel="points")
    axes[0].set_ylabel("µs a point")
    axes[-1].legend(fontsize="x-small")
    figure.savefig(HERE / "domains.png", dpi=120)


def main() -> None:
    quick = "--quick" in sys.argv
    rows, ratios, sizes = (
        (ROWS[:1], RATIOS[1:3], SIZES[:3]) if quick else (ROWS, RATIOS, SIZES)
    )
    results: list[dict] = []
    head = ["", "ratio", *map(spaced, sizes), "growth", "recall"]
    for layout, dim, kernel in rows:
        for ratio in ratios:
            runs = [measure(layout, dim, kernel, ratio, n) for n in sizes]
            results.append(
                {
                    "layout": layout.__name__,
                    "dim": dim,
                    "kernel": kernel,
                    "ratio": ratio,
                    "runs": runs,
                }
            )
            print(" | ".join(line(results[-1])), flush=True)
    text = "\n".join(table(head, map(line, results), 1))
    if quick:
        print(text)
        return
    foot = (
        f"Microseconds a point of the build and the first search, {K} predecessors of all points, {N_INDUCING} inducing "
        "points; the ratio is of lengthscale to spacing, the growth of the last size to the first. Recall against float64 "
        f"brute force. One run on {machine()}; `benchmarks/domains.py` writes this table."
    )
    write(HERE / "domains", f"{text}\n\n{foot}", results)
    plot(results)


if __name__ == "__main__":
    main()

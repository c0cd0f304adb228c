"""Pictures of predictions: their calibration, and the predicted field."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from .. import _arguments, _arrays
from ..vecchia import scores
from ._models import Fitted, Floats
from ._panels import NEAR, QUIET, panel, panels

# Levels of intervals: percents, so that the line shows all that a picture can.
_LEVELS = np.arange(1, 100) / 100
# Sizes of dots: with a colour, and without.
_COLOURED, _PLAIN = 9, 2


def calibration(
    y: ArrayLike, mean: ArrayLike, variance: ArrayLike, *, confidence: float = 0.95, ax: Axes | None = None
) -> Axes:
    """Draw how many observations are in the central intervals of their predictions, against the level of these.

    A calibrated prediction has its line on the diagonal, up to chance: if observations are independent given their
    predictions, the count in each interval is binomial, and in the band with the probability ``confidence``. Below the
    diagonal, intervals are too narrow. Needs SciPy.

    Parameters
    ----------
    y : array_like, shape (q,)
        What was observed.
    mean, variance : array_like, shape (q,)
        Of the predictive distributions, with the noise of the observations; variances above 0.
    confidence : float
        The probability of the band, for each level by itself; above 0 and below 1.
    ax : matplotlib.axes.Axes, optional
        Where to.

    Returns
    -------
    matplotlib.axes.Axes
    """
    from scipy.stats import binom  # noqa: PLC0415 - slow to import

    covered = scores(y, mean, variance, levels=_LEVELS.tolist()).coverage
    confidence = _arguments.number(confidence, "confidence")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence: expected above 0 and below 1, got {confidence}")
    ax = panel(ax)
    n = len(np.asarray(y))
    lower, upper = (binom.ppf((1 + side * confidence) / 2, n, _LEVELS) / n for side in (-1, 1))
    label = f"binomial error of {n:,}, {100 * confidence:.4g} %"
    ax.fill_between(_LEVELS, lower, upper, color=QUIET, alpha=0.6, linewidth=0, label=label)
    ax.plot([0, 1], [0, 1], color="black", linewidth=0.8, linestyle="--", label="calibrated")
    ax.plot(_LEVELS, list(covered.values()), color=NEAR, label="observed")
    ax.set(xlim=(0, 1), ylim=(0, 1), xlabel="level of the central interval", ylabel="observations in it, share")
    ax.set_aspect("equal")
    ax.legend(fontsize=8, loc="upper left")
    return ax


def field(
    model: Any,
    y: ArrayLike | None = None,
    *,
    columns: tuple[int, int] = (0, 1),
    at: ArrayLike | None = None,
    n_grid: int = 100,
    n_points: int = 500,
    axes: Sequence[Axes] | None = None,
) -> list[Axes]:
    """Draw the mean and the standard deviation of a model, without noise, on a grid of two of its columns.

    Dots are data. If the model has two columns, they have the colour of their response on the map of the mean.

    Parameters
    ----------
    model : covertreex.vecchia.Fit, covertreex.vecchia.VIF, or a fitted regressor of :mod:`covertreex.sklearn`
    y : array_like, shape (n,), optional
        The response of the data, for a ``Fit`` or a ``VIF``, which do not have it.
    columns : (int, int)
        The columns along the axes.
    at : array_like, shape (dim,), optional
        A point that the grid goes through, which says where the other columns are; by default the medians of the data.
    n_grid : int
        Steps of the grid along each axis; it covers the data.
    n_points : int
        Data to draw, a random sample if there are more.
    axes : sequence of two matplotlib.axes.Axes, optional
        Where to: the mean, and the standard deviation. Each gets a colour bar.

    Returns
    -------
    list of matplotlib.axes.Axes
    """
    fitted = Fitted.of(model)
    response = fitted.response(y)

    def predict(grid: Floats) -> tuple[Floats, Floats]:
        mean, variance = fitted.vif.predict(
            grid, response, return_var=True, latent=True, n_neighbors=fitted.n_neighbors
        )
        return mean + fitted.intercept, variance

    return drawn_field(
        predict, fitted.coords, response + fitted.intercept, fitted.names, columns=columns, at=at, n_grid=n_grid,
        n_points=n_points, axes=axes,
    )  # fmt: skip


def drawn_field(
    predict: Callable[[Floats], tuple[Floats, Floats]],
    coords: Floats,
    response: Floats,
    names: Sequence[str],
    *,
    columns: tuple[int, int] = (0, 1),
    at: ArrayLike | None = None,
    n_grid: int = 100,
    n_points: int = 500,
    axes: Sequence[Axes] | None = None,
) -> list[Axes]:
    """As :func:`field`, by a function that gives means and variances at points, shape (q, dim), of named columns."""
    dim = coords.shape[1]
    across, up = _columns(columns, dim)
    n_grid = _arrays.integer(n_grid, "n_grid", minimum=2, maximum=10_000)
    n_points = _arrays.integer(n_points, "n_points", minimum=0)
    grid, *ticks = _grid(coords, (across, up), at, n_grid)
    mean_panel, spread_panel = panels(axes, 2, (9.6, 4))[:2]

    mean, variance = predict(grid)
    rows = np.random.default_rng(0).permutation(len(response))[:n_points]
    locations = coords[rows][:, [across, up]].T
    observed = response[rows]
    looks = [
        (mean_panel, mean, "viridis", "mean"),
        (spread_panel, np.sqrt(variance), "magma", "standard deviation"),
    ]
    for ax, values, colours, label in looks:
        mesh = ax.pcolormesh(*ticks, values.reshape(n_grid, n_grid), cmap=colours, shading="nearest", rasterized=True)
        ax.figure.colorbar(mesh, ax=ax, label=label)
        if label == "mean" and dim == 2 and len(rows):
            mesh.set_clim(min(values.min(), observed.min()), max(values.max(), observed.max()))
            how: dict[str, Any] = {"c": observed, "cmap": mesh.cmap, "norm": mesh.norm, "edgecolors": "black"}
            ax.scatter(*locations, s=_COLOURED, linewidths=0.3, **how)
        else:
            ax.scatter(*locations, s=_PLAIN, color="white", linewidths=0)
        ax.set(xlim=ticks[0][[0, -1]], ylim=ticks[1][[0, -1]], xlabel=names[across], ylabel=names[up])
    return [mean_panel, spread_panel]


def _columns(given: Any, dim: int) -> tuple[int, int]:
    """Two different columns."""
    if dim < 2:
        raise ValueError(f"model: expected at least two columns, got {dim}")
    found = _arrays.indices(given, "columns")
    if found.shape != (2,) or not ((found >= 0) & (found < dim)).all() or found[0] == found[1]:
        got = _arguments.described(given)
        raise ValueError(f"columns: expected two different numbers from 0 to {dim - 1}, got {got}")
    return int(found[0]), int(found[1])


def _grid(coords: Floats, columns: tuple[int, int], at: ArrayLike | None, n_grid: int) -> tuple[Floats, Floats, Floats]:
    """Points of a grid over the data, row by row from the bottom, and their coordinates along the axes."""
    if at is None:
        origin = np.median(coords, axis=0)
    else:
        origin = np.array(_arrays.of_shape(at, "at", (coords.shape[1],)), np.float64)
        for index in np.flatnonzero(~np.isfinite(origin))[:1]:
            raise ValueError(f"at[{index}]: expected a finite number, got {origin[index]}")
    for column in columns:
        if np.ptp(coords[:, column]) == 0:
            raise ValueError(f"columns: expected columns of several values, got {column}, which is constant")
    x, y = (np.linspace(coords[:, column].min(), coords[:, column].max(), n_grid) for column in columns)
    grid = np.tile(origin, (n_grid * n_grid, 1))
    grid[:, columns[0]], grid[:, columns[1]] = np.tile(x, n_grid), np.repeat(y, n_grid)
    return grid, x, y

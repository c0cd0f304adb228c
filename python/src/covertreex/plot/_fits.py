"""Pictures of a fit: its course, and what it found to matter."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from .. import _arguments, _arrays
from ..kernels import Stationary
from ..vecchia import Fit, FitStep
from ..vecchia._hyperparameters import NEAR_BOUND
from ._models import Fitted, Floats, is_regressor
from ._panels import NEAR, QUIET, SELF, panel


def history(fit: Any, *, ax: Axes | None = None) -> Axes:
    """Draw the log likelihood per observation at each iteration of a fit, its refits, and the best so far.

    Iterations on a sample, with which fits to many points begin, have a colour of their own: their likelihoods are
    those of other observations. A refit chooses order, sets and inducing points again, which changes the likelihood
    without an iteration: there a line ends, and the next one begins with a circle.

    Parameters
    ----------
    fit : covertreex.vecchia.Fit, a fitted regressor of :mod:`covertreex.sklearn`, or iterable of FitStep
        A list of steps may be what a ``callback`` has collected.
    ax : matplotlib.axes.Axes, optional
        Where to.

    Returns
    -------
    matplotlib.axes.Axes
    """
    steps = _steps(fit)
    ax = panel(ax)
    iterations = np.array([step.iteration for step in steps])
    values = np.array([step.log_likelihood / step.n_points for step in steps])
    refits = np.array([step.n_refits for step in steps])
    # Before there is a likelihood of all data, a fit is on its sample.
    is_warm_up = np.array([not np.isfinite(step.best) for step in steps])
    for mask, color, label in [
        (is_warm_up, SELF, f"on a sample of {steps[0].n_points:,}"),
        (~is_warm_up, NEAR, f"all {steps[-1].n_points:,} observations"),
    ]:
        for stage, refit in enumerate(np.unique(refits[mask])):
            own = mask & (refits == refit)
            # One entry of the legend for all lines of a colour.
            said = label if stage == 0 else None
            ax.plot(iterations[own], values[own], color=color, marker=".", markersize=4, linewidth=1, label=said)
    all_data = [step for step in steps if np.isfinite(step.best)]
    best = [step.best / step.n_points for step in all_data]
    if best:
        ax.plot(
            [step.iteration for step in all_data], best, drawstyle="steps-post", color="black", linewidth=0.8,
            linestyle="--", label=f"best so far, at last {best[-1]:.4g}",
        )  # fmt: skip
    firsts = np.unique(refits, return_index=True)[1]
    circles = {"s": 34, "facecolors": "none", "edgecolors": "black", "linewidths": 0.8, "zorder": 3}
    ax.scatter(iterations[firsts], values[firsts], **circles, label="sets chosen")
    ax.set(xlabel="iteration", ylabel="log likelihood per observation")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.legend(fontsize=8, loc="lower right")
    return ax


def relevance(model: Any, *, names: Sequence[str] | None = None, n_shown: int = 30, ax: Axes | None = None) -> Axes:
    """Draw how much the process varies along each column: the column's standard deviation over its lengthscale.

    The most relevant column is at the top. Columns whose lengthscale is at its upper bound, which means that they have
    no effect, are grey.

    Parameters
    ----------
    model : covertreex.vecchia.Fit, covertreex.vecchia.VIF, or a fitted regressor of :mod:`covertreex.sklearn`
        With a kernel of :mod:`covertreex.kernels`.
    names : sequence of str, optional
        Of the columns; by default those of the data frame that a regressor was fitted to, or numbers.
    n_shown : int
        The most relevant columns are drawn, up to this number.
    ax : matplotlib.axes.Axes, optional
        Where to.

    Returns
    -------
    matplotlib.axes.Axes
    """
    fitted = Fitted.of(model)
    kernel = fitted.vif.kernel
    if not isinstance(kernel, Stationary):
        raise ValueError(f"model: expected a kernel of covertreex.kernels, got {_arguments.described(kernel)}")
    labels = fitted.names if names is None else _names(names, fitted.dim)
    n_shown = _arrays.integer(n_shown, "n_shown", minimum=1)
    ax = panel(ax)
    lengthscales = np.broadcast_to(np.asarray(kernel.lengthscale, np.float64), fitted.dim)
    values = fitted.coords.std(axis=0) / lengthscales
    shown = np.argsort(-values, kind="stable")[:n_shown]
    at_bound = at_upper_bound(kernel, fitted.bounds, fitted.dim)[shown]
    bars = ax.barh(np.arange(len(shown)), values[shown], color=np.where(at_bound, QUIET, NEAR).tolist())
    if at_bound.any():
        grey = bars[int(np.argmax(at_bound))]
        ax.legend([grey], ["lengthscale at its upper bound"], fontsize=8, loc="lower right")
    ax.set_yticks(np.arange(len(shown)), [labels[column] for column in shown])
    ax.invert_yaxis()
    ax.set_xlabel("standard deviation of the column over its lengthscale")
    if len(shown) < fitted.dim:
        ax.set_title(f"{len(shown)} of {fitted.dim} columns", fontsize=9)
    return ax


def _steps(fit: Any) -> list[FitStep]:
    """The history of a fit; at least one step."""
    if isinstance(fit, Fit):
        steps: Any = fit.history
    elif is_regressor(fit):
        steps = fit.history_
    elif isinstance(fit, Iterable) and not isinstance(fit, (str, bytes, np.ndarray)):
        steps = list(fit)
        for index, step in enumerate(steps):
            _arguments.instance(step, f"fit[{index}]", (FitStep,))
    else:
        raise TypeError(
            f"fit: expected a Fit, a fitted regressor or the steps of a fit, got {_arguments.described(fit)}"
        )
    if not steps:
        raise ValueError("fit: expected at least one step, got none")
    return list(steps)


def _names(names: Any, dim: int) -> list[str]:
    """A name for each column."""
    listed = list(names) if isinstance(names, Iterable) and not isinstance(names, (str, bytes)) else None
    if listed is None or not all(isinstance(name, str) for name in listed):
        raise TypeError(f"names: expected a str for each column, got {_arguments.described(names)}")
    if len(listed) != dim:
        raise ValueError(f"names: expected {dim}, one for each column, got {len(listed)}")
    return listed


def at_upper_bound(kernel: Stationary, bounds: Floats | None, dim: int) -> NDArray[np.bool_]:
    """For each column, whether its lengthscale ended at the upper bound of a fit."""
    if bounds is None:
        return np.zeros(dim, np.bool_)
    lower, upper = bounds[2:].T
    logarithms = np.log(np.atleast_1d(kernel.lengthscale))
    is_at = (lower < upper) & (logarithms >= upper - NEAR_BOUND * (upper - lower))
    return np.array(np.broadcast_to(is_at, dim))

"""Fits of the hyperparameters of a VIF model by maximum likelihood."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .. import _arguments, _arrays
from ..kernels import Stationary
from ..residual._inputs import chosen_seed
from . import _inputs
from ._fit_result import Fit, FitStep, FitWarning
from ._fit_run import Plan, Run
from ._hyperparameters import Bounds, Hyperparameters, Measures
from ._likelihood import Data, Source
from ._progress import ProgressBar


def fit(
    coords: ArrayLike,
    y: ArrayLike,
    *,
    kernel: Stationary | str = "matern32",
    noise: float | None = None,
    weights: ArrayLike | None = None,
    ard: bool = True,
    bounds: Mapping[str, Bounds] | None = None,
    refit: bool = True,
    restarts: int = 0,
    max_iterations: int = 100,
    tolerance: float = 1e-11,
    seed: int | None = None,
    n_threads: int | None = None,
    callback: Callable[[FitStep], object] | None = None,
    verbose: bool = False,
    **options: Any,
) -> Fit:
    """Fit the hyperparameters of a VIF model by maximum likelihood. Needs SciPy.

    The mean of the process is 0. Data of more than 5 000 points begin with a fit to a sample of 2 000. Ctrl-C ends the
    fit, which returns the best model so far. Results are the same for any number of threads.

    Parameters
    ----------
    coords : array_like, shape (n, dim)
    y : array_like, shape (n,)
    kernel : {"rbf", "matern12", "matern32", "matern52"} or an object of them
        A name means starting values from the data; an object has them, and as many lengthscales as it has are fitted.
    noise : float, optional
        The noise variance to start from, by default a share of the variance of ``y``. It is that of an observation with
        a weight of 1.
    weights : array_like, shape (n,), optional
        Above 0. The noise variance of an observation is the fitted one over its weight.
    ard : bool
        Whether a kernel given by name has one lengthscale for each dimension.
    bounds : mapping, optional
        By "noise", "variance" and "lengthscale": the smallest and the largest value, or "fixed" for the starting value.
        By default they are wide, and relative to the variance of ``y`` and the spread of each column.
    refit : bool
        Whether order, sets and inducing points are chosen again during the fit.
    restarts : int
        Further starting values, random ones around those of the data. The fit goes on from the one that leads to the
        largest likelihood, of the sample where there is one.
    max_iterations : int
        With all data; 0 evaluates the starting values.
    tolerance : float
        Nats per observation: a stage between two refits ends after an iteration that gains less than this, or less than
        a fiftieth of the change by refits. The last stage ends after two of them.
    seed : int, optional
        For the sample, the restarts, the random ordering and the inducing points; by default 42.
    n_threads : int, optional
        As in :func:`covertreex.cover_tree`.
    callback : callable, optional
        Called with a :class:`FitStep` after each iteration. It may end the fit by raising KeyboardInterrupt.
    verbose : bool
        Whether to write a bar with iteration, likelihood and seconds to the standard error.
    **options
        ``n_neighbors``, ``n_inducing``, ``inducing_points``, ``ordering``, ``neighbors`` and ``jitter`` of
        :class:`VIF`. Arrays stay as they are; a fit with an array of sets or an order has no sample.

    Returns
    -------
    Fit

    Warns
    -----
    FitWarning
        If the fit has not converged, or if a hyperparameter is at a bound.

    Examples
    --------
    >>> import numpy as np
    >>> from covertreex import vecchia
    >>> coords = np.random.default_rng(0).random((300, 1))
    >>> y = np.sin(12 * coords[:, 0]) + 0.1 * np.random.default_rng(1).standard_normal(300)
    >>> found = vecchia.fit(coords, y, kernel="matern52", n_neighbors=10, n_inducing=20)
    >>> found.stopped
    'converged'
    >>> bool(0.006 < found.noise < 0.012)
    True
    >>> mean = found.model.predict([[0.5]], y)
    """
    found = fitted(
        coords, y, kernel=kernel, noise=noise, weights=weights, ard=ard, bounds=bounds, refit=refit, restarts=restarts,
        max_iterations=max_iterations, tolerance=tolerance, seed=seed, n_threads=n_threads, callback=callback,
        verbose=verbose, **options,
    )  # fmt: skip
    for message in found.messages:
        warnings.warn(message, FitWarning, stacklevel=2)
    return found


def fitted(
    coords: ArrayLike,
    y: ArrayLike,
    *,
    kernel: Stationary | str,
    noise: float | None,
    weights: ArrayLike | None,
    ard: bool,
    bounds: Mapping[str, Bounds] | None,
    refit: bool,
    restarts: int,
    max_iterations: int,
    tolerance: float,
    seed: int | None,
    n_threads: int | None,
    callback: Callable[[FitStep], object] | None,
    verbose: bool,
    **options: Any,
) -> Fit:
    """As :func:`fit`, but its warnings are only in the result."""
    data = _checked_data(coords, y, weights, n_threads)
    space = Hyperparameters.of(kernel, noise, Measures.of(data.coords, data.y), ard=ard, bounds=bounds)
    return run(
        data, space, options, refit=refit, restarts=restarts, max_iterations=max_iterations, tolerance=tolerance,
        seed=seed, callback=callback, verbose=verbose,
    )  # fmt: skip


def run(
    data: Source,
    space: Hyperparameters,
    options: Mapping[str, Any],
    *,
    refit: bool,
    restarts: int,
    max_iterations: int,
    tolerance: float,
    seed: int | None,
    callback: Callable[[FitStep], object] | None,
    verbose: bool,
) -> Fit:
    """A fit to observations wherever they are, with the options of :func:`fit`; its warnings are only in the result."""
    plan = Plan(
        refit=refit,
        restarts=_arrays.integer(restarts, "restarts", minimum=0),
        max_iterations=_arrays.integer(max_iterations, "max_iterations", minimum=0),
        tolerance=_arguments.number(tolerance, "tolerance", minimum=0),
        seed=_arrays.seed(chosen_seed(seed)),
    )
    reports = [] if callback is None else [_arguments.function(callback, "callback")]
    if not verbose:
        return Run(data, space, plan, options, reports).result()
    with ProgressBar(plan.max_iterations) as bar:
        return Run(data, space, plan, options, [bar, *reports]).result()


def _checked_data(coords: ArrayLike, y: ArrayLike, weights: ArrayLike | None, n_threads: int | None) -> Data:
    points = np.array(_arrays.points(coords, "coords", dtype=np.dtype(np.float64)))
    if 0 in points.shape:
        raise ValueError(f"coords: expected two dimensions (n, dim) above 0, got shape {points.shape}")
    _arrays.check_finite(points, "coords")
    response = _inputs.checked(y, len(points))
    if not response.is_one:
        raise ValueError(f"y: expected shape ({len(points)},), got {response.columns.shape}")
    precisions = None
    if weights is not None:
        precisions = np.array(_arrays.of_shape(weights, "weights", (len(points),)), np.float64)
        for row in np.flatnonzero(~((precisions > 0) & (precisions < np.inf)))[:1]:
            raise ValueError(f"weights[{row}]: expected a finite number above 0, got {precisions[row]}")
    return Data(points, response.columns[:, 0].copy(), precisions, n_threads)

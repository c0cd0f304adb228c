"""Fits of VIF models on a Dask cluster, by the optimiser that fits those of one machine."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _arguments
from ..kernels import Stationary
from ..vecchia._fit import run
from ..vecchia._fit_result import Fit, FitStep, FitWarning
from ..vecchia._groups import Moments
from ..vecchia._hyperparameters import Bounds, Floats, Hyperparameters, Measures
from ..vecchia._likelihood import Data
from ._vif_model import PartitionedVIF


class _OnWorkers:
    """Observations on the workers, and the models of them: all are made of one."""

    def __init__(self, model: PartitionedVIF) -> None:
        self._model = model

    @property
    def n(self) -> int:
        return self._model.n_points

    def some(self, ranks: NDArray[np.int64]) -> Data:
        """Some observations, brought to the client."""
        known = self._model._observed(ranks)
        weights = None if known.noise is None else 1 / known.noise
        return Data(known.points, known.y[:, 0].copy(), weights, None)

    def build(self, kernel: Stationary, noise: float, seed: int, options: Mapping[str, Any]) -> PartitionedVIF:
        return self._model.refit(kernel=kernel, noise=noise)

    def changed(self, model: PartitionedVIF, kernel: Stationary, noise: float) -> PartitionedVIF:
        return model.with_parameters(kernel=kernel, noise=noise)

    def likelihood(self, model: PartitionedVIF) -> tuple[float, Floats]:
        value, gradient = model.log_likelihood(eval_gradient=True)
        return value, gradient


def fit(
    model: PartitionedVIF,
    *,
    kernel: Stationary | str | None = None,
    noise: float | None = None,
    ard: bool = True,
    bounds: Mapping[str, Bounds] | None = None,
    refit: bool = True,
    restarts: int = 0,
    max_iterations: int = 100,
    tolerance: float = 1e-11,
    seed: int | None = None,
    callback: Callable[[FitStep], object] | None = None,
    verbose: bool = False,
) -> Fit:
    """Fit the hyperparameters of a model on a Dask cluster by maximum likelihood. Needs SciPy.

    As :func:`covertreex.vecchia.fit`: data of more than 5 000 points begin with a fit to a sample of 2 000, on the
    client. Order and inducing points stay, and sets are found again during the fit.

    Parameters
    ----------
    model : PartitionedVIF
        Of one response.
    kernel : object or name of one of :mod:`covertreex.kernels`, optional
        As for :func:`covertreex.vecchia.fit`; by default that of the model.
    noise : float, optional
        The noise variance to start from, or the factor of the points' own ones; by default the model's.
    ard, bounds, refit, restarts, max_iterations, tolerance, seed, callback, verbose
        As for :func:`covertreex.vecchia.fit`.

    Returns
    -------
    Fit
        Its model is a :class:`PartitionedVIF`.

    Warns
    -----
    FitWarning
        If the fit has not converged, or if a hyperparameter is at a bound.
    """
    _arguments.instance(model, "model", (PartitionedVIF,))
    if model._columns.n_responses != 1:
        raise ValueError(f"model: expected one response, got {model._columns.n_responses}")
    data = _OnWorkers(model)
    given_noise = (model.noise or None) if noise is None and kernel is None else noise
    space = Hyperparameters.of(
        model.kernel if kernel is None else kernel, given_noise, _measures(model), ard=ard, bounds=bounds
    )
    # Of the sample, which one machine fits.
    options = {"n_neighbors": model.n_neighbors, "n_inducing": len(model.inducing_points), "ordering": "random"}
    found = run(
        data, space, options, refit=refit, restarts=restarts, max_iterations=max_iterations, tolerance=tolerance,
        seed=seed, callback=callback, verbose=verbose,
    )  # fmt: skip
    for message in found.messages:
        warnings.warn(message, FitWarning, stacklevel=2)
    return found


def _measures(model: PartitionedVIF) -> Measures:
    """How the observations spread."""
    found = Moments.joined(model._measured())
    variances = found.squares / found.count
    return Measures.by(np.sqrt(variances[:-1]), float(variances[-1]))

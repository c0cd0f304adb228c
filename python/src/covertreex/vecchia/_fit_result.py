"""The steps and the result of a fit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..kernels import Stationary
from ._hyperparameters import Floats
from ._model import VIF


class FitWarning(UserWarning):
    """A fit has not converged, or it ended at a bound."""


@dataclass(frozen=True)
class FitStep:
    """An iteration of a fit, or a refit."""

    iteration: int  #: iterations so far
    n_refits: int  #: how often order, sets and inducing points have been chosen
    n_points: int  #: fewer than there are data, while the fit works on a sample
    log_likelihood: float  #: of these points
    best: float  #: the largest log likelihood of all data so far; minus infinity before there is one
    theta: Floats  #: logarithms of the noise variance, of the kernel's variance and of the lengthscales
    n_evaluations: int  #: of the likelihood with its gradient, so far
    seconds: float  #: so far


@dataclass(frozen=True)
class Fit:
    """The result of :func:`fit`."""

    model: VIF  #: the one with the largest likelihood
    log_likelihood: float
    theta: Floats  #: logarithms of the noise variance, of the kernel's variance and of the lengthscales
    noise: float  #: the noise variance of an observation with a weight of 1
    bounds: NDArray[np.float64]  #: of ``theta``, (p, 2)
    sets_theta: Floats  #: the hyperparameters by which the model's sets and inducing points were chosen
    history: list[FitStep]
    n_iterations: int
    n_evaluations: int  #: of the likelihood with its gradient
    n_refits: int
    seconds: float
    stopped: str  #: by "converged", "max_iterations", "interrupted" or "failed"
    messages: tuple[str, ...]  #: its warnings

    @property
    def kernel(self) -> Stationary:
        """The kernel of the model."""
        kernel = self.model.kernel
        assert isinstance(kernel, Stationary)
        return kernel

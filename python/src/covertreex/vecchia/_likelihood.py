"""The likelihood of one model as a function of its hyperparameters: order, sets and inducing points stay."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._capi import CoverTreeError
from ._hyperparameters import Floats, Hyperparameters
from ._model import VIF

# How errors begin if the covariances of valid data are not positive definite in float64.
_OF_HYPERPARAMETERS = ("kernel:", "noise:", "variance:")


class Data(NamedTuple):
    """Observations, and how many threads work on them."""

    coords: Floats  #: (n, dim)
    y: Floats  #: (n,)
    weights: Floats | None  #: (n,) the noise variance of an observation is that of the fit over its weight
    n_threads: int | None

    def some(self, rows: NDArray[np.int64]) -> Data:
        """Some of the observations."""
        weights = None if self.weights is None else self.weights[rows]
        return self._replace(coords=self.coords[rows], y=self.y[rows], weights=weights)

    def noise(self, variance: float) -> float | Floats:
        """The noise variance of all observations, or of each."""
        return variance if self.weights is None else variance / self.weights


class Sets(NamedTuple):
    """A model for its order, sets and inducing points, and the hyperparameters by which they were chosen."""

    model: VIF
    theta: Floats


class Evaluation(NamedTuple):
    """The likelihood somewhere."""

    theta: Floats
    log_likelihood: float
    gradient: Floats  #: by ``theta``


def is_of_hyperparameters(error: Exception) -> bool:
    """Whether a model of valid data failed because of its hyperparameters."""
    return str(error).startswith(_OF_HYPERPARAMETERS)


class Objective:
    """The negative log likelihood of the free hyperparameters, each in a unit of its own, for L-BFGS-B.

    L-BFGS-B begins with the identity as its matrix of second derivatives. If units are one over the roots of the
    curvatures, then its first step is Newton's with a diagonal matrix.
    """

    def __init__(
        self, sets: Sets, data: Data, space: Hyperparameters, start: Floats, notice: Callable[[Evaluation, VIF], None]
    ) -> None:
        self._model, self._data, self._space, self._notice = sets.model, data, space, notice
        self._free, self._units = space.free, np.ones(int(space.free.sum()))
        self._start = start
        self._last = self.iterate = self._evaluate(start, sets.model)  # which was made of these

    def in_units(self, units: Floats) -> Floats:
        """Set the units, and return the starting point in them."""
        self._units = units
        return self._start[self._free] / units

    def theta(self, vector: Floats) -> Floats:
        """All hyperparameters."""
        theta = self._start.copy()
        theta[self._free] = vector * self._units
        return self._space.clipped(theta)  # rounding may leave the bounds

    def __call__(self, vector: Floats) -> tuple[float, Floats]:
        """The value and the gradient."""
        theta = self.theta(vector)
        # L-BFGS-B begins where the stage does.
        if not np.allclose(theta, self._last.theta, rtol=0, atol=1e-14):
            try:
                self._last = self._evaluate(theta, self._with(theta))
            except (ValueError, CoverTreeError) as error:
                if not is_of_hyperparameters(error):
                    raise
                return self._barrier(vector)
        return -self._last.log_likelihood, self._slope(self._last)

    def accept(self) -> Evaluation:
        """Make the last evaluation the iterate, from which the next line search begins."""
        self.iterate = self._last
        return self.iterate

    def _with(self, theta: Floats) -> VIF:
        kernel, noise = self._space.parts(theta)
        return self._model.with_parameters(kernel=kernel, noise=self._data.noise(noise), n_threads=self._data.n_threads)

    def _evaluate(self, theta: Floats, model: VIF) -> Evaluation:
        value, gradient = model.log_likelihood(self._data.y, eval_gradient=True, n_threads=self._data.n_threads)
        if not (np.isfinite(value) and np.isfinite(gradient).all()):
            raise ValueError(f"kernel: expected a finite likelihood and gradient, got {value} and {gradient}")
        found = Evaluation(theta, value, gradient)
        self._notice(found, model)
        return found

    def _slope(self, found: Evaluation) -> Floats:
        slope: Floats = -found.gradient[self._free] * self._units
        return slope

    def _barrier(self, vector: Floats) -> tuple[float, Floats]:
        """The value and the gradient where covariances are not positive definite.

        They are those of a parabola along the step: it begins at the iterate with its slope, and is least after a
        quarter of the step. So the line search goes there next.
        """
        step = vector - self.iterate.theta[self._free] / self._units
        fall = max(-float(self._slope(self.iterate) @ step), 1.0)
        return -self.iterate.log_likelihood + fall, 3 * fall * step / (step @ step)

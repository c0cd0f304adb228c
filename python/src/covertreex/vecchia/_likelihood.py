"""The likelihood of one model as a function of its hyperparameters: order, sets and inducing points stay."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from .._capi import CoverTreeError
from ..kernels import Stationary
from ._hyperparameters import Floats, Hyperparameters
from ._model import VIF

# How errors begin if the covariances of valid data are not positive definite in float64.
_OF_HYPERPARAMETERS = ("kernel:", "noise:", "variance:")


class Source(Protocol):
    """Observations wherever they are, and the models of them."""

    @property
    def n(self) -> int:
        """The number of observations."""

    def some(self, rows: NDArray[np.int64]) -> Source:
        """Some of the observations."""

    def build(self, kernel: Stationary, noise: float, seed: int, options: Mapping[str, Any]) -> Any:
        """A model, with an order, sets and inducing points of its own."""

    def changed(self, model: Any, kernel: Stationary, noise: float) -> Any:
        """The model with other hyperparameters."""

    def likelihood(self, model: Any) -> tuple[float, Floats]:
        """The log likelihood and its gradient."""


class Data(NamedTuple):
    """Observations in memory, and how many threads work on them."""

    coords: Floats  #: (n, dim)
    y: Floats  #: (n,)
    weights: Floats | None  #: (n,) the noise variance of an observation is that of the fit over its weight
    n_threads: int | None

    def some(self, rows: NDArray[np.int64]) -> Data:
        """Some of the observations."""
        weights = None if self.weights is None else self.weights[rows]
        return self._replace(coords=self.coords[rows], y=self.y[rows], weights=weights)

    @property
    def n(self) -> int:
        """The number of observations."""
        return len(self.y)

    def build(self, kernel: Stationary, noise: float, seed: int, options: Mapping[str, Any]) -> VIF:
        """A model, with an order, sets and inducing points of its own."""
        given: dict[str, Any] = {**options, "seed": seed, "n_threads": self.n_threads}
        return VIF(self.coords, kernel=kernel, noise=self._noise(noise), **given)

    def changed(self, model: VIF, kernel: Stationary, noise: float) -> VIF:
        """The model with other hyperparameters."""
        return model.with_parameters(kernel=kernel, noise=self._noise(noise), n_threads=self.n_threads)

    def likelihood(self, model: VIF) -> tuple[float, Floats]:
        """The log likelihood and its gradient."""
        value, gradient = model.log_likelihood(self.y, eval_gradient=True, n_threads=self.n_threads)
        return value, gradient

    def _noise(self, variance: float) -> float | Floats:
        """The noise variance of all observations, or of each."""
        return variance if self.weights is None else variance / self.weights


class Sets(NamedTuple):
    """A model for its order, sets and inducing points, and the hyperparameters by which they were chosen."""

    model: Any
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
        self, sets: Sets, data: Source, space: Hyperparameters, start: Floats, notice: Callable[[Evaluation, Any], None]
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

    def _with(self, theta: Floats) -> Any:
        return self._data.changed(self._model, *self._space.parts(theta))

    def _evaluate(self, theta: Floats, model: Any) -> Evaluation:
        value, gradient = self._data.likelihood(model)
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

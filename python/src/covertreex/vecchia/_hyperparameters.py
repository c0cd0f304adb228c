"""Hyperparameters as a vector of logarithms: of the noise, the variance and the lengthscales, with bounds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Union

import numpy as np
from numpy.typing import NDArray

from .. import _arguments, _arrays
from ..kernels import BY_NAME, Kernel, Stationary

Floats = NDArray[np.float64]
#: From and to; "fixed" keeps the starting value.
Bounds = Union[str, tuple[Any, Any], None]

NAMES = ("noise", "variance", "lengthscale")
# Starting values, as shares of the variance of the responses, and of the spread of the columns.
_START_OF_NOISE, _START_OF_VARIANCE, _START_OF_LENGTHSCALE = 0.2, 1.0, 1.0
# Bounds, by the same measures. A fit without noise needs some, so that covariances stay positive definite in float64;
# beyond a thousand spreads a column has no effect. If data are nearly linear, variance and lengthscales grow together:
# on Elevators without a bound to a variance of 1e6. Some intervals are then huge, and CRPS rises from 0.193 to 0.270.
_RANGE_OF_NOISE, _RANGE_OF_VARIANCE, _RANGE_OF_LENGTHSCALE = (1e-6, 1e1), (1e-4, 1e3), (1e-3, 1e3)
# Curvatures per observation: before anything is known, and the least as a share of the largest.
_FIRST_CURVATURE, _LEAST_CURVATURE = 0.3, 1e-3
# Steps with less curvature than this, as a cosine, change nothing.
_LEAST_COSINE = 1e-6
#: Within this share of its width an interval's end is hit.
NEAR_BOUND = 1e-3


@dataclass(frozen=True)
class Measures:
    """The measures of data to which starting values and default bounds are relative."""

    response: float  #: the variance of the responses
    columns: Floats  #: (dim,) a typical distance along each column, so that all columns together make correlations

    @classmethod
    def of(cls, coords: Floats, y: Floats) -> Measures:
        """Measures of data. A constant counts as if it had a spread of 1."""
        return cls.by(coords.std(axis=0), float(y.var()))

    @classmethod
    def by(cls, spreads: Floats, variance: float) -> Measures:
        """Measures by the standard deviation of each column, and the variance of the responses."""
        # Squared distances add up over the columns. With the root of their number, lengthscales of points in many
        # dimensions begin where correlations are neither 0 nor 1.
        columns = np.where(spreads > 0, spreads, 1.0) * np.sqrt(len(spreads))
        return cls(variance or 1.0, columns)


def kernel_and_noise(kind: type[Stationary], has_one_lengthscale: bool, theta: Floats) -> tuple[Stationary, float]:
    """The kernel and the noise variance of a vector of logarithms."""
    noise, variance, *lengthscales = np.exp(theta).tolist()
    return kind(lengthscales[0] if has_one_lengthscale else lengthscales, variance), noise


@dataclass(frozen=True)
class Hyperparameters:
    """The vector: logarithms of the noise variance, of the kernel's variance and of its lengthscales."""

    kind: type[Stationary]
    has_one_lengthscale: bool
    start: Floats
    lower: Floats
    upper: Floats

    @classmethod
    def of(
        cls,
        kernel: Stationary | str,
        noise: float | None,
        measures: Measures,
        *,
        ard: bool = True,
        bounds: Mapping[str, Bounds] | None = None,
    ) -> Hyperparameters:
        """Starting values, from the data where the caller gives none, and bounds."""
        dim = len(measures.columns)
        if isinstance(kernel, str):
            kind, is_one = BY_NAME[_arguments.choice(kernel, "kernel", tuple(BY_NAME))], not ard or dim == 1
            mean = np.exp(np.log(measures.columns).mean(keepdims=True))
            lengthscales = _START_OF_LENGTHSCALE * (mean if is_one else measures.columns)
            variance = _START_OF_VARIANCE * measures.response
        else:
            kernel = _known(kernel)
            kind, is_one = type(kernel), np.ndim(kernel.lengthscale) == 0
            lengthscales, variance = np.atleast_1d(np.asarray(kernel.lengthscale, np.float64)), kernel.variance
            if not is_one and len(lengthscales) != dim:
                raise ValueError(
                    f"lengthscale: expected one number or {dim}, one for each dimension, got {len(lengthscales)}"
                )
        level = _START_OF_NOISE * measures.response if noise is None else _checked_noise(noise)
        with np.errstate(divide="ignore"):  # no noise at all, which only fixed noise can be
            start = np.log(np.concatenate([[level, variance], lengthscales]))
        scales = np.concatenate([[measures.response] * 2, _columns(measures, is_one)])
        lower, upper = _limits({} if bounds is None else bounds, start, scales)
        return cls(kind, is_one, np.clip(start, lower, upper), lower, upper)

    @property
    def names(self) -> list[str]:
        """Of each number of the vector."""
        n = len(self.start) - 2
        return ["noise", "variance", *(["lengthscale"] if n == 1 else [f"lengthscale[{i}]" for i in range(n)])]

    @property
    def free(self) -> NDArray[np.bool_]:
        """Those that are not fixed."""
        return self.lower < self.upper

    def parts(self, theta: Floats) -> tuple[Stationary, float]:
        """The kernel and the noise variance of a vector."""
        return kernel_and_noise(self.kind, self.has_one_lengthscale, theta)

    def clipped(self, theta: Floats) -> Floats:
        """A vector within the bounds."""
        return np.clip(theta, self.lower, self.upper)

    def at_bounds(self, theta: Floats) -> list[str]:
        """Names of hyperparameters at a bound, each with the side and the bound."""
        found = []
        for index in np.flatnonzero(self.free):
            lower, upper, name = self.lower[index], self.upper[index], self.names[index]
            near = NEAR_BOUND * (upper - lower)
            if theta[index] <= lower + near:
                found.append(f"{name} (lower, {np.exp(lower):.3g})")
            elif theta[index] >= upper - near:
                found.append(f"{name} (upper, {np.exp(upper):.3g})")
        return found


def _known(kernel: Any) -> Stationary:
    """A kernel of this package: a fit needs to know its parameters."""
    if not isinstance(kernel, Stationary):
        what = "an instance" if isinstance(kernel, type) and issubclass(kernel, Kernel) else "one"
        raise TypeError(f"kernel: expected {what} of covertreex.kernels, got {_arguments.described(kernel)}")
    return kernel


def _checked_noise(noise: Any) -> float:
    level = _arguments.number(noise, "noise", minimum=0)
    if level == np.inf:
        raise ValueError(f"noise: expected a finite number, got {level}")
    return level


def _columns(measures: Measures, is_one: bool) -> Floats:
    return np.exp(np.log(measures.columns).mean(keepdims=True)) if is_one else measures.columns


def _limits(bounds: Mapping[str, Bounds], start: Floats, scales: Floats) -> tuple[Floats, Floats]:
    """Lower and upper logarithms, for each number of the vector."""
    for name in _arguments.instance(bounds, "bounds", (Mapping,)):
        _arguments.choice(name, "bounds", NAMES)
    lower, upper = start.copy(), start.copy()
    rests = (slice(0, 1), slice(1, 2), slice(2, None))
    for name, default, where in zip(NAMES, (_RANGE_OF_NOISE, _RANGE_OF_VARIANCE, _RANGE_OF_LENGTHSCALE), rests):
        given = bounds.get(name)
        if isinstance(given, str):
            _arguments.choice(given, f"bounds[{name!r}]", ("fixed",))
            continue
        if given is None:
            lower[where], upper[where] = (np.log(end * scales[where]) for end in default)
            # A caller's starting value is within default bounds, wherever it is.
            lower[where], upper[where] = np.minimum(lower[where], start[where]), np.maximum(upper[where], start[where])
        else:
            lower[where], upper[where] = _pair(given, f"bounds[{name!r}]")
    if not np.isfinite(lower[lower < upper]).all():
        raise ValueError("noise: expected a number above 0 to start from, or fixed noise, got 0")
    return lower, upper


def _pair(given: Any, name: str) -> Floats:
    ends = _arrays.real(given, name)
    if ends.shape != (2,) or not (0 < ends[0] <= ends[1] < np.inf):
        raise ValueError(f"{name}: expected two ascending, finite numbers above 0, got {_arguments.described(given)}")
    logarithms: Floats = np.log(ends)
    return logarithms


class Curvature:
    """An estimate of the second derivatives of the negative log likelihood per observation: the updates of BFGS.

    It is of the free hyperparameters, and is kept over refits, and from a sample to all data.
    """

    def __init__(self, n_free: int) -> None:
        self._matrix, self._is_known = _FIRST_CURVATURE * np.eye(n_free), False

    def update(self, step: Floats, change: Floats) -> None:
        """Learn from a step, and the change of the gradient along it."""
        product = step @ change
        if product <= _LEAST_COSINE * np.sqrt((step @ step) * (change @ change)):
            return
        if not self._is_known:
            self._matrix, self._is_known = (change @ change) / product * np.eye(len(step)), True
        along = self._matrix @ step
        self._matrix = self._matrix + np.outer(change, change) / product - np.outer(along, along) / (step @ along)

    @property
    def diagonal(self) -> Floats:
        """Second derivatives, all above 0."""
        found = np.diag(self._matrix)
        raised: Floats = np.maximum(found, _LEAST_CURVATURE * found.max())
        return raised

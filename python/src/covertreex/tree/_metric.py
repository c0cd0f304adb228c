"""Metrics of trees: names, parameters and periods, and their forms in the library."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _arguments, _arrays
from .._exports.metric_arrays import MetricArrays

Numbers = NDArray[np.float64]

#: The names of metrics, by their numbers in the library.
NAMES = ("euclidean", "manhattan", "chebyshev", "minkowski", "haversine", "cosine", "angular", "mahalanobis")
#: Other names of them, as in scikit-learn and SciPy. "seuclidean" is Euclidean distance with variances.
ALIASES = {
    "l2": "euclidean", "seuclidean": "euclidean", "l1": "manhattan", "cityblock": "manhattan", "linf": "chebyshev",
}  # fmt: skip
CHOICES = (*NAMES, *ALIASES)

# The parameters of each metric, the required ones with a star; "VI" or "V" of "mahalanobis".
_PARAMETERS = {
    "minkowski": ("p*", "w", "scale"), "seuclidean": ("V*",), "haversine": ("unit", "radius"), "cosine": (),
    "angular": (), "mahalanobis": ("VI", "V"),
}  # fmt: skip
_NORM = ("w", "scale")
_NORMS = NAMES[:4]
_EXPONENTS = {"manhattan": 1.0, "chebyshev": np.inf}


@dataclass(frozen=True, eq=False)
class Metric:
    """A metric as the library knows it."""

    name: str = "euclidean"
    exponent: float = 2.0
    weights: Numbers | None = None
    periods: Numbers | None = None  #: infinity for coordinates without a period
    origins: Numbers | None = None  #: where the periods of the points begin, or the centre of the points; None for 0
    inverse_covariance: Numbers | None = None
    radius: float = 1.0  #: of a sphere
    degrees: bool = False
    parameters: dict[str, Any] = field(default_factory=dict)  #: as the caller gave them

    @property
    def number(self) -> int:
        return NAMES.index(self.name)

    @property
    def is_norm(self) -> bool:
        """Whether it is a norm of the differences of coordinates."""
        return self.name in _NORMS

    @property
    def is_plain(self) -> bool:
        """Whether it is Euclidean distance without weights and periods."""
        return self.name == "euclidean" and self.weights is None and self.periods is None

    def fitted(self, points: NDArray[Any]) -> Metric:
        """The metric with the origins that the library has for a tree of these points."""
        if self.periods is None and self.name != "mahalanobis":
            return self
        low, high = (extreme(axis=0).astype(np.float64) for extreme in (points.min, points.max))
        if self.periods is None:
            return replace(self, origins=low + (high - low) / 2)
        half = self.periods / 2
        is_around_zero = np.isfinite(half) & (low < 0) & (low >= -half) & (high <= half)
        return replace(self, origins=np.where(is_around_zero, -half, 0.0))

    def exported(self, dim: int) -> MetricArrays:
        """The metric as exported arrays have it."""
        inverse = np.empty((0, 0)) if self.inverse_covariance is None else self.inverse_covariance
        return MetricArrays(
            name=self.name, exponent=self.exponent, weights=_or_all(self.weights, 1.0, dim),
            periods=_or_all(self.periods, np.inf, dim), origins=_or_all(self.origins, 0.0, dim),
            inverse_covariance=inverse.reshape(-1, dim), radius=self.radius, degrees=self.degrees,
        )  # fmt: skip


def _or_all(numbers: Numbers | None, number: float, dim: int) -> Numbers:
    return np.full(dim, number) if numbers is None else numbers


def is_transformed(name: str) -> bool:
    """Whether a metric is searched in other coordinates, which are float64."""
    return name in NAMES and name not in _NORMS


def metric_of(name: str, parameters: Mapping[str, Any] | None, period: ArrayLike | None, dim: int) -> Metric:
    """Check a metric, its parameters and its periods for points of ``dim`` coordinates."""
    name = _arguments.choice(name, "metric", CHOICES)
    given = _checked(name, parameters)
    known = ALIASES.get(name, name)
    if known not in _NORMS:
        if period is not None:
            raise ValueError(f"period: expected only for norms of differences, got metric {name!r}")
        return _other(known, given, dim)
    exponent = _arguments.number(given["p"], "p", minimum=1) if "p" in given else _EXPONENTS.get(known, 2.0)
    return Metric(known, exponent, _weights(given, exponent, dim), _periods(period, dim), parameters=given)


def _checked(name: str, parameters: Mapping[str, Any] | None) -> dict[str, Any]:
    if parameters is None:
        parameters = {}
    if not isinstance(parameters, Mapping):
        raise TypeError(f"metric_params: expected a mapping, got {_arguments.described(parameters)}")
    known = _PARAMETERS.get(name, _NORM)
    allowed = [key.rstrip("*") for key in known]
    for key in parameters:
        if key not in allowed:
            wanted = " or ".join(allowed) or "nothing"
            raise ValueError(f"metric_params: expected {wanted} for {name!r}, got {key!r}")
    for key in known:
        if key.endswith("*") and parameters.get(key[:-1]) is None:
            raise ValueError(f"metric_params: expected {key[:-1]} for {name!r}")
    return {key: value for key, value in parameters.items() if value is not None}


def _other(name: str, given: dict[str, Any], dim: int) -> Metric:
    """A metric that is not a norm of differences."""
    if name == "haversine":
        unit = _arguments.choice(given.get("unit", "radians"), "unit", ("radians", "degrees"))
        radius = _arguments.number(given.get("radius", 1.0), "radius")
        if not 0 < radius < np.inf:
            raise ValueError(f"radius: expected a finite number above 0, got {radius}")
        return Metric(name, radius=radius, degrees=unit == "degrees", parameters=given)
    if name == "mahalanobis":
        if len(given) != 1:
            raise ValueError("metric_params: expected either VI or V for 'mahalanobis'")
        ((key, value),) = given.items()
        matrix = _arrays.of_shape(value, key, (dim, dim)).astype(np.float64)
        if not np.isfinite(matrix).all():
            raise ValueError(f"{key}: expected finite numbers")
        try:
            inverse = matrix if key == "VI" else np.linalg.inv(matrix)
            np.linalg.cholesky(inverse)
        except np.linalg.LinAlgError:
            raise ValueError(f"{key}: expected a positive definite matrix") from None
        if not np.allclose(inverse, inverse.T, rtol=1e-9, atol=0):
            raise ValueError(f"{key}: expected a symmetric matrix")
        symmetric = np.ascontiguousarray((inverse + inverse.T) / 2)
        return Metric(name, inverse_covariance=symmetric, parameters=given)
    return Metric(name, parameters=given)


def _weights(given: dict[str, Any], exponent: float, dim: int) -> Numbers | None:
    """The weight of each power of a difference, or for an infinite exponent of each difference."""
    weights = None
    if "w" in given:
        weights = _numbers(given["w"], "w", dim)
        if not ((weights >= 0) & np.isfinite(weights)).all():
            raise ValueError(f"w: expected finite numbers from 0 up, got {weights.tolist()}")
        if exponent == np.inf:
            # The limit of Minkowski distances: a weight decides only whether a coordinate counts.
            weights = (weights > 0).astype(float)
    for key in ("V", "scale"):
        if key not in given:
            continue
        lengths = _numbers(given[key], key, dim)
        if not ((lengths > 0) & np.isfinite(lengths)).all():
            raise ValueError(f"{key}: expected finite numbers above 0, got {lengths.tolist()}")
        units = 1 / lengths if key == "V" or exponent == np.inf else lengths**-exponent
        weights = units if weights is None else weights * units
    return weights


def _periods(period: ArrayLike | None, dim: int) -> Numbers | None:
    if period is None:
        return None
    if isinstance(period, (list, tuple)):
        period = [np.inf if one is None else one for one in period]
    periods = _numbers(period, "period", dim)
    if not (periods > 0).all():
        raise ValueError(f"period: expected numbers above 0, or None without a period, got {periods.tolist()}")
    return None if (periods == np.inf).all() else periods


def _numbers(value: Any, name: str, dim: int) -> Numbers:
    """One number for each coordinate, or one for all."""
    if not isinstance(value, (list, tuple)) and getattr(value, "ndim", 0) == 0:
        return np.full(dim, _arguments.number(value, name))
    numbers = _arrays.real(value, name)
    if numbers.shape != (dim,):
        raise ValueError(f"{name}: expected a number, or {dim} of them, got shape {numbers.shape}")
    return np.ascontiguousarray(numbers)


def metric_of_sections(settings: NDArray[np.int64], numbers: Numbers | None) -> Metric:
    """The metric of a file, which the library has checked."""
    if numbers is None:
        return Metric()
    name, dim = NAMES[int(settings[7])], int(settings[0])
    numbers = numbers.reshape(-1).copy()
    exponent, radius, degrees = numbers[:3].tolist()
    rows = numbers[3 : 3 + 3 * dim].reshape(3, dim)
    weights, periods, origins, inverse = rows[0], rows[1], rows[2], numbers[3 + 3 * dim :]
    given: dict[str, Any] = {}
    if name == "minkowski":
        given["p"] = exponent
    if name == "haversine":
        given = {"unit": "degrees" if degrees else "radians", "radius": radius}
    if name == "mahalanobis":
        given["VI"] = inverse.reshape(dim, dim)
    if (weights != 1).any() and name == "chebyshev" and (weights > 0).all():
        given["scale"] = 1 / weights
    elif (weights != 1).any():
        given["w"] = weights
    kept = None if (periods == np.inf).all() else periods
    return Metric(
        name, exponent, weights, kept, origins, inverse if inverse.size else None, radius, bool(degrees), given
    )

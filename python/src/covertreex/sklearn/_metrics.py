"""Metrics of the estimators, by the names that scikit-learn has for them."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from .. import _arguments
from ..tree import MetricTree
from ..tree._metric import ALIASES, CHOICES

#: Metrics of SciPy, by which cover trees are built. Others of SciPy are no metrics.
BY_SCIPY = ("canberra", "hamming", "jaccard", "rogerstanimoto", "sokalsneath")
_OF_BITS = ("jaccard", "rogerstanimoto", "sokalsneath")
#: Values of ``metric``. With "minkowski" ``p`` decides.
METRICS = (*CHOICES, *BY_SCIPY)
_BY_POWER = {1.0: "manhattan", 2.0: "euclidean", np.inf: "chebyshev"}


def effective_metric(metric: Any, p: float | None, metric_params: dict[str, Any] | None) -> tuple[Any, dict[str, Any]]:
    """The name of the tree's metric, and its parameters, for the parameters of an estimator.

    As in scikit-learn, a ``p`` of ``metric_params`` replaces ``p``, which has no effect on other metrics than
    "minkowski". A function stays as it is.
    """
    if callable(metric):
        return metric, dict(metric_params or {})
    _arguments.choice(metric, "metric", METRICS)
    given = dict(metric_params or {})
    if metric != "minkowski":
        # "seuclidean" has a parameter of its own.
        return metric if metric == "seuclidean" else ALIASES.get(metric, metric), given
    if "p" in given and p is not None:
        warnings.warn("p: is replaced by the p of metric_params", SyntaxWarning, stacklevel=4)
    power = _arguments.number(given.pop("p", p), "p", minimum=1)
    if power in _BY_POWER and not given:
        return _BY_POWER[power], {}
    return metric, {"p": power, **given}


@dataclass(frozen=True)
class _Blocks:
    """A function of two rows, as scikit-learn calls it, for blocks."""

    metric: Callable[..., float]
    parameters: dict[str, Any] = field(default_factory=dict)

    def __call__(self, X: NDArray[Any], Y: NDArray[Any]) -> NDArray[Any]:
        return np.array([[self.metric(x, y, **self.parameters) for y in Y] for x in X])


@dataclass(frozen=True)
class _Named:
    """A metric of SciPy."""

    name: str
    parameters: dict[str, Any] = field(default_factory=dict)

    def __call__(self, X: NDArray[Any], Y: NDArray[Any]) -> NDArray[np.float64]:
        if self.name in _OF_BITS:
            X, Y = X.astype(bool), Y.astype(bool)
        distances: NDArray[np.float64] = cdist(X, Y, self.name, **self.parameters)
        return distances


def metric_tree(
    points: NDArray[Any], metric: str | Callable[..., float], parameters: dict[str, Any], *, order: str | None
) -> MetricTree:
    """A tree of a function ``metric(x, y, **parameters)`` of two rows, or of a metric of SciPy."""
    blocks = _Named(metric, parameters) if isinstance(metric, str) else _Blocks(metric, parameters)
    return MetricTree(points, blocks, order=order)

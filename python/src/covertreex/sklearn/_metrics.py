"""Metrics of the estimators, by the names that scikit-learn has for them."""

from __future__ import annotations

import warnings
from numbers import Real
from typing import Any

from .. import _arguments

#: Values of ``metric``. With "minkowski" ``p`` decides.
METRICS = ("euclidean", "l2", "minkowski")


def effective_metric(metric: str, p: float | None, metric_params: dict[str, Any] | None) -> tuple[str, dict[str, Any]]:
    """The name of the tree's metric, and its parameters, for the parameters of an estimator.

    As in scikit-learn, a ``p`` of ``metric_params`` replaces ``p``.
    """
    _arguments.choice(metric, "metric", METRICS)
    given = dict(metric_params or {})
    if "p" in given and p is not None:
        warnings.warn("p: is replaced by the p of metric_params", SyntaxWarning, stacklevel=4)
    power = given.pop("p", p) if metric == "minkowski" else 2
    for name in given:
        raise ValueError(f"metric_params: expected no parameter but p of the metric 'minkowski', got {name!r}")
    if isinstance(power, bool) or not isinstance(power, Real) or power != 2:
        raise ValueError(f"p: expected 2, for Euclidean distance, got {_arguments.described(power)}")
    return "euclidean", {}

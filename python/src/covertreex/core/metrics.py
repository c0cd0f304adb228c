"""Older names: see :mod:`covertreex.legacy`."""

from ..legacy.metrics import (
    Metric,
    MetricRegistry,
    available_metrics,
    configure_residual_metric,
    get_metric,
    reset_residual_metric,
)

__all__ = [
    "Metric",
    "MetricRegistry",
    "available_metrics",
    "configure_residual_metric",
    "get_metric",
    "reset_residual_metric",
]

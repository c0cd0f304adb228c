"""Older names: ``covertreex.core`` of covertreex 0.4.x; see :mod:`covertreex.legacy`."""

from ..legacy.backend import TreeBackend
from ..legacy.metrics import (
    Metric,
    MetricRegistry,
    available_metrics,
    configure_residual_metric,
    get_metric,
    reset_residual_metric,
)
from ..legacy.trees import PCCTree, TreeLogStats, get_runtime_backend

__all__ = [
    "Metric",
    "MetricRegistry",
    "PCCTree",
    "TreeBackend",
    "TreeLogStats",
    "available_metrics",
    "configure_residual_metric",
    "get_metric",
    "get_runtime_backend",
    "reset_residual_metric",
]

"""Older names: see :mod:`covertreex.legacy`."""

from ..legacy.logging import OperationMetrics, log_operation

__all__ = ["OperationMetrics", "log_operation"]

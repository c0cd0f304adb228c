"""Older names: see :mod:`covertreex.legacy`."""

from ..legacy.batch_order import BatchOrderResult, compute_batch_order

__all__ = ["BatchOrderResult", "compute_batch_order"]

"""Older names: see :mod:`covertreex.legacy`."""

from ...legacy.batches import batch_insert, batch_insert_prefix_doubling
from ...legacy.plans import plan_batch_insert

__all__ = ["batch_insert", "batch_insert_prefix_doubling", "plan_batch_insert"]

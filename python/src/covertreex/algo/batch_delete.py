"""Older names: see :mod:`covertreex.legacy`."""

from ..legacy.batches import batch_delete, plan_batch_delete
from ..legacy.plans import BatchDeletePlan, DeleteLevelSummary

__all__ = ["BatchDeletePlan", "DeleteLevelSummary", "batch_delete", "plan_batch_delete"]

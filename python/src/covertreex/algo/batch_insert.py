"""Older names: see :mod:`covertreex.legacy`."""

from ..legacy.batches import batch_insert, batch_insert_prefix_doubling
from ..legacy.planning import plan_batch_insert
from ..legacy.plans import BatchInsertPlan, BatchInsertTimings, LevelSummary, PrefixBatchGroup, PrefixBatchResult

__all__ = [
    "BatchInsertPlan",
    "BatchInsertTimings",
    "LevelSummary",
    "PrefixBatchGroup",
    "PrefixBatchResult",
    "batch_insert",
    "batch_insert_prefix_doubling",
    "plan_batch_insert",
]

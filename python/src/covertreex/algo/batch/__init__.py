"""Older names: see :mod:`covertreex.legacy`."""

from ...legacy.batches import batch_insert, batch_insert_prefix_doubling
from ...legacy.plans import (
    BatchInsertPlan,
    BatchInsertTimings,
    LevelSummary,
    PrefixBatchGroup,
    PrefixBatchResult,
    plan_batch_insert,
)
from . import insert, types

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
_MODULES = (insert, types)  # attributes of the package, as in 0.4.x

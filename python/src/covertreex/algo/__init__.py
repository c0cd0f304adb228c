"""Older names: those of ``covertreex.algo`` of covertreex 0.4.x that there is something for; see :mod:`covertreex.legacy`.

The stages of the old algorithm (traversal, conflict graphs, independent sets) are inside the library here.
"""

from ..legacy.batches import batch_delete, batch_insert, plan_batch_delete, plan_batch_insert
from ..legacy.plans import (
    BatchDeletePlan,
    BatchInsertPlan,
    BatchInsertTimings,
    ConflictGraph,
    MISResult,
    TraversalResult,
)

__all__ = [
    "BatchDeletePlan",
    "BatchInsertPlan",
    "BatchInsertTimings",
    "ConflictGraph",
    "MISResult",
    "TraversalResult",
    "batch_delete",
    "batch_insert",
    "plan_batch_delete",
    "plan_batch_insert",
]

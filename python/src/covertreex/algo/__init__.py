"""Older names: of ``covertreex.algo`` of covertreex 0.4.x, those with a counterpart; see :mod:`covertreex.legacy`.

The stages of the old algorithm (traversal, conflict graphs, independent sets) are inside the library here.
"""

from ..legacy.plans import ConflictGraph, MISResult, TraversalResult

# By their modules: a module that is imported later would take the place of a function of its name.
from .batch_delete import BatchDeletePlan, batch_delete, plan_batch_delete
from .batch_insert import (
    BatchInsertPlan,
    BatchInsertTimings,
    PrefixBatchGroup,
    PrefixBatchResult,
    batch_insert,
    batch_insert_prefix_doubling,
    plan_batch_insert,
)

__all__ = [
    "BatchDeletePlan",
    "BatchInsertPlan",
    "BatchInsertTimings",
    "ConflictGraph",
    "MISResult",
    "PrefixBatchGroup",
    "PrefixBatchResult",
    "TraversalResult",
    "batch_delete",
    "batch_insert",
    "batch_insert_prefix_doubling",
    "plan_batch_delete",
    "plan_batch_insert",
]

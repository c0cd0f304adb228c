"""Older names: ``covertreex.algo`` of covertreex 0.4.x; see :mod:`covertreex.legacy`.

The stages of its insertion are here as functions. Trees are built by the library, which has stages of its own.
"""

# By their modules: a module that is imported later would replace a function of its name.
from . import batch, batch_order, order
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
from .conflict import ConflictGraph, ConflictGraphTimings, build_conflict_graph
from .mis import MISResult, batch_mis_seeds, run_mis
from .semisort import GroupByResult, group_by_int, select_topk_by_level
from .traverse import TraversalResult, TraversalTimings, traverse_collect_scopes

__all__ = [
    "BatchDeletePlan",
    "BatchInsertPlan",
    "BatchInsertTimings",
    "ConflictGraph",
    "ConflictGraphTimings",
    "GroupByResult",
    "MISResult",
    "PrefixBatchGroup",
    "PrefixBatchResult",
    "TraversalResult",
    "TraversalTimings",
    "batch_delete",
    "batch_insert",
    "batch_insert_prefix_doubling",
    "batch_mis_seeds",
    "build_conflict_graph",
    "group_by_int",
    "plan_batch_delete",
    "plan_batch_insert",
    "run_mis",
    "select_topk_by_level",
    "traverse_collect_scopes",
]

"""Older names: see :mod:`covertreex.legacy`."""

from ...legacy.plans import BatchInsertPlan, BatchInsertTimings, LevelSummary, PrefixBatchGroup, PrefixBatchResult

__all__ = ["BatchInsertPlan", "BatchInsertTimings", "LevelSummary", "PrefixBatchGroup", "PrefixBatchResult"]

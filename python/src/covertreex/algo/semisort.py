"""Older names: see :mod:`covertreex.legacy`."""

from ..legacy.grouping import GroupByResult, group_by_int, select_topk_by_level

__all__ = ["GroupByResult", "group_by_int", "select_topk_by_level"]

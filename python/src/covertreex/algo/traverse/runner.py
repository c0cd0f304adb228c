"""Older names: see :mod:`covertreex.legacy`."""

from ...legacy.traversal import ResidualTraversalCache, TraversalResult, TraversalTimings, traverse_collect_scopes

__all__ = ["ResidualTraversalCache", "TraversalResult", "TraversalTimings", "traverse_collect_scopes"]

"""Older names: see :mod:`covertreex.legacy`."""

from ...legacy.traversal import ResidualTraversalCache, TraversalResult, TraversalStrategy, TraversalTimings

__all__ = ["ResidualTraversalCache", "TraversalResult", "TraversalStrategy", "TraversalTimings"]

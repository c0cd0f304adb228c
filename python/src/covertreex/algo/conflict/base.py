"""Older names: see :mod:`covertreex.legacy`."""

from ...legacy.conflicts import ConflictGraph, ConflictGraphContext, ConflictGraphStrategy, ConflictGraphTimings

__all__ = ["ConflictGraph", "ConflictGraphContext", "ConflictGraphStrategy", "ConflictGraphTimings"]

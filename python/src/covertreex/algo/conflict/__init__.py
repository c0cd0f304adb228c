"""Older names: see :mod:`covertreex.legacy`."""

from ...legacy.conflicts import ConflictGraph, ConflictGraphTimings, build_conflict_graph
from ...legacy.plugins import load_conflict_plugins
from . import base, builders, runner, strategies

__all__ = ["ConflictGraph", "ConflictGraphTimings", "build_conflict_graph", "load_conflict_plugins"]

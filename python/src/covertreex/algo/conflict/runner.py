"""Older names: see :mod:`covertreex.legacy`."""

from ...legacy.conflicts import build_conflict_graph

__all__ = ["build_conflict_graph"]

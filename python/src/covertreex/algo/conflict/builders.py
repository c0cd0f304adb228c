"""Older names: see :mod:`covertreex.legacy`."""

from ...legacy.conflicts import AdjacencyBuild

__all__ = ["AdjacencyBuild"]

"""Older names: see :mod:`covertreex.legacy`."""

from ..legacy.backend import TreeBackend
from ..legacy.trees import PCCTree, TreeLogStats, compute_level_offsets, get_runtime_backend

__all__ = ["PCCTree", "TreeBackend", "TreeLogStats", "compute_level_offsets", "get_runtime_backend"]

"""Older names: see :mod:`covertreex.legacy`."""

from ..legacy.backend import TreeBackend
from ..legacy.trees import PCCTree, TreeLogStats, get_runtime_backend

__all__ = ["PCCTree", "TreeBackend", "TreeLogStats", "get_runtime_backend"]

"""The cover tree for NumPy arrays."""

from .._exports.tree_arrays import Neighbors, TreeArrays
from ._cover_tree import CoverTree
from ._pairs import SpanningTree
from ._stats import CoverStats, TreeStats

__all__ = ["CoverStats", "CoverTree", "Neighbors", "SpanningTree", "TreeArrays", "TreeStats"]

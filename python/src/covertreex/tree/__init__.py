"""The cover tree for NumPy arrays."""

from .._capi.callbacks import CompiledMetric
from .._exports.tree_arrays import Neighbors, TreeArrays
from ._cover_tree import CoverTree
from ._metric_tree import MetricTree
from ._pairs import SpanningTree
from ._stats import CoverStats, TreeStats

__all__ = [
    "CompiledMetric",
    "CoverStats",
    "CoverTree",
    "MetricTree",
    "Neighbors",
    "SpanningTree",
    "TreeArrays",
    "TreeStats",
]

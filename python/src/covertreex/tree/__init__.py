"""The cover tree for NumPy arrays."""

from .._capi.callbacks import CompiledMetric
from .._exports.metric_arrays import MetricArrays
from .._exports.tree_arrays import Neighbors, TreeArrays
from ._cover_tree import CoverTree
from ._metric_tree import MetricTree
from ._pairs import SpanningTree
from ._stats import CoverStats, TreeStats

__all__ = [
    "CompiledMetric",
    "CoverStats",
    "CoverTree",
    "MetricArrays",
    "MetricTree",
    "Neighbors",
    "SpanningTree",
    "TreeArrays",
    "TreeStats",
]

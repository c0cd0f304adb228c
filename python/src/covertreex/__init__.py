"""Exact nearest neighbours with a compressed cover tree, built in parallel.

>>> import numpy as np
>>> from covertreex import cover_tree
>>> points = np.random.default_rng(0).standard_normal((1000, 3))
>>> tree = cover_tree(points)
>>> tree.knn(5).shape
(1000, 5)
"""

from . import indexes, kernels, runtime, telemetry, vecchia
from ._native import CoverTreeError, build_info, get_num_threads, set_num_threads
from ._residual_arrays import ResidualArrays
from .factory import cover_tree, load
from .outofcore import MappedTree
from .pcct import PCCT
from .residual import DuplicatePairs, ResidualStats, ResidualTree
from .residual_tree import ResidualCoverTree
from .runtime import Runtime, RuntimeConfig
from .store import StoreStats, VectorStore
from .tree import CoverTree, Neighbors, TreeArrays, TreeStats

__all__ = [
    "PCCT",
    "CoverTree",
    "CoverTreeError",
    "DuplicatePairs",
    "MappedTree",
    "Neighbors",
    "ResidualArrays",
    "ResidualCoverTree",
    "ResidualStats",
    "ResidualTree",
    "Runtime",
    "RuntimeConfig",
    "StoreStats",
    "TreeArrays",
    "TreeStats",
    "VectorStore",
    "__version__",
    "build_info",
    "cover_tree",
    "get_num_threads",
    "indexes",
    "kernels",
    "load",
    "runtime",
    "set_num_threads",
    "telemetry",
    "vecchia",
]

__version__ = "0.1.0"

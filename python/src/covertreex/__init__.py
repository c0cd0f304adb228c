"""Exact nearest neighbours in Euclidean space and in the residual-correlation metric of Gaussian processes.

>>> import numpy as np
>>> from covertreex import cover_tree
>>> points = np.random.default_rng(0).standard_normal((1000, 3))
>>> tree = cover_tree(points)
>>> tree.knn(5).shape
(1000, 5)
"""

from typing import TYPE_CHECKING

from . import (
    algo,
    api,
    config,
    diagnostics,
    exceptions,
    indexes,
    kernels,
    logging,
    plugins,
    queries,
    runtime,
    telemetry,
    vecchia,
)
from ._capi import CoverTreeError, build_info, get_num_threads, set_num_threads
from ._exports.residual_arrays import ResidualArrays
from .baseline import (
    BaselineCoverTree,
    BaselineNode,
    ExternalCoverTreeBaseline,
    GPBoostCoverTreeBaseline,
    MlpackCoverTreeBaseline,
    has_external_cover_tree,
    has_gpboost_cover_tree,
    has_mlpack_cover_tree,
)
from .core import (
    PCCTree,
    TreeBackend,
    TreeLogStats,
    available_metrics,
    configure_residual_metric,
    get_metric,
    reset_residual_metric,
)
from .engine import CoverTree as EngineCoverTree
from .engine import build_tree, get_engine
from .kernels import RBF, Kernel, Matern52
from .legacy import LegacyWarning
from .legacy.pcct import PCCT
from .metrics import ResidualCorrHostData, configure_residual_correlation
from .outofcore import MappedTree
from .residual import ResidualStats, ResidualTree
from .residual_tree import ResidualCoverTree  # before the function of this name
from .runtime import Residual, Runtime, RuntimeConfig
from .store import StoreStats, VectorStore
from .tree import MetricTree, Neighbors, SpanningTree, TreeArrays, TreeStats
from .tree._duplicates import DuplicateGroups

_OLDER = (algo, api, config, diagnostics, exceptions, logging, plugins, queries)  # modules; see covertreex.legacy

if TYPE_CHECKING:
    from .factory import cover_tree, load, residual_tree
    from .tree import CoverTree
else:  # the same, and what they were in covertreex 0.4.x
    from .legacy.cover_tree import CoverTree, cover_tree, load, residual_tree

__all__ = [
    "PCCT", "RBF", "BaselineCoverTree", "BaselineNode", "CoverTree", "CoverTreeError", "DuplicateGroups",
    "EngineCoverTree", "ExternalCoverTreeBaseline", "GPBoostCoverTreeBaseline", "Kernel", "LegacyWarning",
    "MappedTree", "Matern52", "MetricTree", "MlpackCoverTreeBaseline", "Neighbors", "PCCTree", "Residual",
    "ResidualArrays", "ResidualCorrHostData", "ResidualCoverTree", "ResidualStats", "ResidualTree", "Runtime",
    "RuntimeConfig", "SpanningTree", "StoreStats", "TreeArrays", "TreeBackend", "TreeLogStats", "TreeStats",
    "VectorStore", "__version__", "available_metrics", "build_info", "build_tree", "configure_residual_correlation",
    "configure_residual_metric", "cover_tree", "get_engine", "get_metric", "get_num_threads",
    "has_external_cover_tree", "has_gpboost_cover_tree", "has_mlpack_cover_tree", "indexes", "kernels", "load",
    "reset_residual_metric", "residual_tree", "runtime", "set_num_threads", "telemetry", "vecchia",
]  # fmt: skip

__version__ = "1.0.0"

"""Older names: ``covertreex.core`` of covertreex 0.4.x; see :mod:`covertreex.legacy`."""

from ..legacy.backend import TreeBackend
from ..legacy.metrics import (
    Metric,
    MetricRegistry,
    available_metrics,
    configure_residual_metric,
    get_metric,
    reset_residual_metric,
)
from ..legacy.persistence import (
    DEFAULT_JOURNAL_POOL,
    JournalScratchPool,
    PersistenceJournal,
    SliceUpdate,
    apply_persistence_journal,
    build_persistence_journal,
    clone_array_segment,
    clone_tree_with_updates,
)
from ..legacy.trees import PCCTree, TreeLogStats, get_runtime_backend
from . import metrics, persistence, tree

__all__ = [
    "DEFAULT_JOURNAL_POOL",
    "JournalScratchPool",
    "Metric",
    "MetricRegistry",
    "PCCTree",
    "PersistenceJournal",
    "SliceUpdate",
    "TreeBackend",
    "TreeLogStats",
    "apply_persistence_journal",
    "available_metrics",
    "build_persistence_journal",
    "clone_array_segment",
    "clone_tree_with_updates",
    "configure_residual_metric",
    "get_metric",
    "get_runtime_backend",
    "reset_residual_metric",
]
_MODULES = (metrics, persistence, tree)  # attributes of the package, as in 0.4.x

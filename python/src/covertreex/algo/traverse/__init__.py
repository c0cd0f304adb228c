"""Older names: see :mod:`covertreex.legacy`."""

from ...legacy.residual_distances import compute_residual_pairwise_matrix
from ...legacy.traversal import (
    ResidualTraversalCache,
    TraversalResult,
    TraversalStrategy,
    TraversalTimings,
    traverse_collect_scopes,
)
from . import base, runner, strategies

__all__ = [
    "ResidualTraversalCache",
    "TraversalResult",
    "TraversalStrategy",
    "TraversalTimings",
    "compute_residual_pairwise_matrix",
    "traverse_collect_scopes",
]
_MODULES = (base, runner, strategies)  # attributes of the package, as in 0.4.x

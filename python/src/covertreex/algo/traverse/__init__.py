"""Older names: see :mod:`covertreex.legacy`."""

from ...legacy.residual_distances import compute_residual_pairwise_matrix
from . import base, runner, strategies
from .base import *
from .runner import *

__all__ = [
    "ResidualTraversalCache",
    "TraversalResult",
    "TraversalStrategy",
    "TraversalTimings",
    "compute_residual_pairwise_matrix",
    "traverse_collect_scopes",
]

"""Older names: ``covertreex.metrics.residual`` of covertreex 0.4.x; see :mod:`covertreex.legacy`."""

from ...legacy.engine import build_fast_residual_tree
from ...legacy.host_data import ResidualCorrHostData, build_residual_backend, get_residual_backend, set_residual_backend
from ...legacy.metrics import configure_residual_correlation
from ...legacy.residual_distances import (
    ResidualDistanceTelemetry,
    ResidualWorkspace,
    compute_residual_distance_single,
    compute_residual_distances,
    compute_residual_distances_block_no_gate,
    compute_residual_distances_from_kernel,
    compute_residual_distances_with_kernel,
    compute_residual_distances_with_radius,
    compute_residual_lower_bounds_from_kernel,
    compute_residual_pairwise_matrix,
    decode_indices,
)
from ...legacy.scope_caps import ResidualScopeCapRecorder, ResidualScopeCaps, get_scope_cap_table, reset_scope_cap_cache
from . import core, fast_build, host_backend, scope_caps

__all__ = [
    "ResidualCorrHostData",
    "ResidualDistanceTelemetry",
    "ResidualScopeCapRecorder",
    "ResidualScopeCaps",
    "ResidualWorkspace",
    "build_fast_residual_tree",
    "build_residual_backend",
    "compute_residual_distance_single",
    "compute_residual_distances",
    "compute_residual_distances_block_no_gate",
    "compute_residual_distances_from_kernel",
    "compute_residual_distances_with_kernel",
    "compute_residual_distances_with_radius",
    "compute_residual_lower_bounds_from_kernel",
    "compute_residual_pairwise_matrix",
    "configure_residual_correlation",
    "decode_indices",
    "get_residual_backend",
    "get_scope_cap_table",
    "reset_scope_cap_cache",
    "set_residual_backend",
]
_MODULES = (core, fast_build, host_backend, scope_caps)  # attributes of the package, as in 0.4.x

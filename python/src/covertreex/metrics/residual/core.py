"""Older names: see :mod:`covertreex.legacy`."""

from ...legacy.host_data import ResidualCorrHostData, get_residual_backend, set_residual_backend
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

__all__ = [
    "ResidualCorrHostData",
    "ResidualDistanceTelemetry",
    "ResidualWorkspace",
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
    "set_residual_backend",
]

"""Older names: ``covertreex.metrics`` of covertreex 0.4.x; see :mod:`covertreex.legacy`."""

from ..legacy.host_data import ResidualCorrHostData, build_residual_backend, get_residual_backend, set_residual_backend
from ..legacy.metrics import configure_residual_correlation
from ..legacy.residual_distances import (
    compute_residual_distance_single,
    compute_residual_distances,
    compute_residual_distances_from_kernel,
    compute_residual_distances_with_kernel,
    compute_residual_distances_with_radius,
    compute_residual_lower_bounds_from_kernel,
    decode_indices,
)
from . import residual

__all__ = [
    "ResidualCorrHostData",
    "build_residual_backend",
    "compute_residual_distance_single",
    "compute_residual_distances",
    "compute_residual_distances_from_kernel",
    "compute_residual_distances_with_kernel",
    "compute_residual_distances_with_radius",
    "compute_residual_lower_bounds_from_kernel",
    "configure_residual_correlation",
    "decode_indices",
    "get_residual_backend",
    "set_residual_backend",
]
_MODULES = (residual,)  # attributes of the package, as in 0.4.x

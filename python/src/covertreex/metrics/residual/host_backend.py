"""Older names: see :mod:`covertreex.legacy`."""

from ...legacy.host_data import build_residual_backend

__all__ = ["build_residual_backend"]

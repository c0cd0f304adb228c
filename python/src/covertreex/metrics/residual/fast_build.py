"""Older names: see :mod:`covertreex.legacy`."""

from ...legacy.engine import build_fast_residual_tree

__all__ = ["build_fast_residual_tree"]

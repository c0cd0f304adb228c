"""Older names: ``covertreex.residual_tree`` of covertreex 0.4.x; see :mod:`covertreex.legacy`."""

from .legacy.residual_tree import ResidualCoverTree

__all__ = ["ResidualCoverTree"]

"""Exact neighbours in the residual-correlation metric of a Gaussian process."""

from ._residual_tree import ResidualStats, ResidualTree

__all__ = ["ResidualStats", "ResidualTree"]

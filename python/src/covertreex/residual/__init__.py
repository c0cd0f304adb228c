"""Exact neighbours in the residual-correlation metric of a Gaussian process."""

from ._residual_tree import ResidualTree
from ._stats import ResidualStats

__all__ = ["ResidualStats", "ResidualTree"]

"""Older names: ``covertreex.exceptions`` of covertreex 0.4.x; see :mod:`covertreex.legacy`."""

from .legacy.conflicts import ResidualPairwiseCacheError

__all__ = ["ResidualPairwiseCacheError"]

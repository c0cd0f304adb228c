"""Older names: ``covertreex.plugins`` of covertreex 0.4.x; see :mod:`covertreex.legacy.plugins`."""

from . import conflict, metrics, traversal

__all__ = ["conflict", "metrics", "traversal"]

"""Older names: ``covertreex.queries`` of covertreex 0.4.x; see :mod:`covertreex.legacy`."""

from .knn import knn, nearest_neighbor

__all__ = ["knn", "nearest_neighbor"]

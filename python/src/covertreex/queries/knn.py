"""Older names: see :mod:`covertreex.legacy`."""

from ..legacy.batches import knn, nearest_neighbor

__all__ = ["knn", "nearest_neighbor"]

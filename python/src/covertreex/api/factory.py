"""Older names: see :mod:`covertreex.legacy`."""

from ..legacy.cover_tree import BuiltCoverTree, cover_tree

__all__ = ["BuiltCoverTree", "cover_tree"]

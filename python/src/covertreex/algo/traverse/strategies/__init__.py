"""Older names: see :mod:`covertreex.legacy`."""

from . import registry
from .registry import register_traversal_strategy, registered_traversal_strategies, select_traversal_strategy

__all__ = ["register_traversal_strategy", "registered_traversal_strategies", "select_traversal_strategy"]

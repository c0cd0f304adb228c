"""Older names: see :mod:`covertreex.legacy`."""

from ....legacy.plugins import (
    register_traversal_strategy,
    registered_traversal_strategies,
    select_traversal_strategy,
)

__all__ = ["register_traversal_strategy", "registered_traversal_strategies", "select_traversal_strategy"]

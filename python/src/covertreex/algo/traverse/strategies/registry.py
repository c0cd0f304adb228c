"""Older names: see :mod:`covertreex.legacy`."""

from ....legacy.plugins import (
    deregister_traversal_strategy,
    describe_traversal_strategies,
    register_traversal_strategy,
    registered_traversal_strategies,
    select_traversal_strategy,
)

__all__ = [
    "deregister_traversal_strategy",
    "describe_traversal_strategies",
    "register_traversal_strategy",
    "registered_traversal_strategies",
    "select_traversal_strategy",
]

"""Older names: see :mod:`covertreex.legacy`."""

from ....legacy.plugins import (
    register_traversal_strategy,
    registered_traversal_strategies,
    select_traversal_strategy,
)
from . import registry

__all__ = ["register_traversal_strategy", "registered_traversal_strategies", "select_traversal_strategy"]
_MODULES = (registry,)  # attributes of the package, as in 0.4.x

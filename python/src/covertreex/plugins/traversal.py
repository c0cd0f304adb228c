"""Older names: see :mod:`covertreex.legacy`."""

from ..legacy.plugins import deregister_traversal_strategy, register_traversal_strategy
from ..legacy.plugins import describe_traversal_strategies as list_plugins
from ..legacy.plugins import load_traversal_entrypoints as load_entrypoints

__all__ = ["deregister_traversal_strategy", "list_plugins", "load_entrypoints", "register_traversal_strategy"]

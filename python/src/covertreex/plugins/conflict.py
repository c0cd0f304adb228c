"""Older names: see :mod:`covertreex.legacy`."""

from ..legacy.plugins import deregister_conflict_strategy, register_conflict_strategy
from ..legacy.plugins import describe_conflict_strategies as list_plugins
from ..legacy.plugins import load_conflict_entrypoints as load_entrypoints

__all__ = ["deregister_conflict_strategy", "list_plugins", "load_entrypoints", "register_conflict_strategy"]

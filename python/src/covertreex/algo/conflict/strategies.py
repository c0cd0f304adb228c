"""Older names: see :mod:`covertreex.legacy`."""

from ...legacy.plugins import (
    deregister_conflict_strategy,
    describe_conflict_strategies,
    register_conflict_strategy,
    registered_conflict_strategies,
    select_conflict_strategy,
)

__all__ = [
    "deregister_conflict_strategy",
    "describe_conflict_strategies",
    "register_conflict_strategy",
    "registered_conflict_strategies",
    "select_conflict_strategy",
]

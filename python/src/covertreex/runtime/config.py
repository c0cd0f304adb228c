"""Older names: see :mod:`covertreex.legacy`."""

from ..legacy.context import (
    RuntimeConfig,
    RuntimeContext,
    configure_runtime,
    current_runtime_context,
    describe_runtime,
    reset_runtime_config_cache,
    reset_runtime_context,
    runtime_config,
    runtime_context,
    set_runtime_context,
)

__all__ = [
    "RuntimeConfig",
    "RuntimeContext",
    "configure_runtime",
    "current_runtime_context",
    "describe_runtime",
    "reset_runtime_config_cache",
    "reset_runtime_context",
    "runtime_config",
    "runtime_context",
    "set_runtime_context",
]

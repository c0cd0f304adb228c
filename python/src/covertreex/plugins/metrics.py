"""Older names: see :mod:`covertreex.legacy`."""

from ..legacy.metrics import load_entrypoints
from ..legacy.plugins import list_metrics

__all__ = ["list_metrics", "load_entrypoints"]

"""Older names: see :mod:`covertreex.legacy`."""

from ..legacy.logging import get_logger

__all__ = ["get_logger"]

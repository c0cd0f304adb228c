"""Older names: ``covertreex.logging`` of covertreex 0.4.x; see :mod:`covertreex.legacy`."""

from .legacy.logging import get_logger

__all__ = ["get_logger"]

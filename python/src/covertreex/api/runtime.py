"""Older names: see :mod:`covertreex.legacy`."""

from ..legacy.context import Runtime
from ..legacy.runtime import Residual

__all__ = ["Residual", "Runtime"]

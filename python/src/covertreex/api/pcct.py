"""Older names: see :mod:`covertreex.legacy`."""

from ..legacy.pcct import PCCT
from ..legacy.pcct import PCCT as CoverTree

__all__ = ["PCCT", "CoverTree"]

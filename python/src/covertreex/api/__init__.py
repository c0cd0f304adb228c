"""Older names: ``covertreex.api`` of covertreex 0.4.x; see :mod:`covertreex.legacy`."""

from ..legacy.context import Runtime
from ..legacy.pcct import PCCT
from ..legacy.pcct import PCCT as CoverTree
from ..legacy.runtime import Residual
from . import factory, pcct, runtime

__all__ = ["PCCT", "CoverTree", "Residual", "Runtime"]

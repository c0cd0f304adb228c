"""Older names: ``covertreex.core`` of covertreex 0.4.x; see :mod:`covertreex.legacy`."""

from ..legacy.metrics import *
from ..legacy.persistence import *
from . import metrics, persistence, tree
from .tree import *

__all__ = [name for of in (metrics, persistence, tree) for name in of.__all__ if name != "compute_level_offsets"]

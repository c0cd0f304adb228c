"""Older names: see :mod:`covertreex.legacy`."""

from . import insert, types
from .insert import *
from .types import *

__all__ = insert.__all__ + types.__all__

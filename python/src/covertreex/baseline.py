"""Older names: ``covertreex.baseline`` of covertreex 0.4.x; see :mod:`covertreex.legacy`."""

from .legacy.baseline import *
from .legacy.baseline import __all__

"""Older names: ``covertreex.config`` of covertreex 0.4.x; see :mod:`covertreex.legacy`."""

from .legacy.context import *
from .legacy.context import __all__

"""Older names: see :mod:`covertreex.legacy`."""

from ..legacy.grouping import *
from ..legacy.grouping import __all__

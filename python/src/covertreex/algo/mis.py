"""Older names: see :mod:`covertreex.legacy`."""

from ..legacy.independent_sets import *
from ..legacy.independent_sets import __all__

"""Older names: see :mod:`covertreex.legacy`."""

from ..legacy.metrics import *
from ..legacy.metrics import __all__

"""Older names: see :mod:`covertreex.legacy`."""

from ..legacy.reported_plans import *
from ..legacy.reported_plans import __all__

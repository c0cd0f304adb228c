"""Older names: see :mod:`covertreex.legacy`."""

from ..legacy.persistence import *
from ..legacy.persistence import __all__

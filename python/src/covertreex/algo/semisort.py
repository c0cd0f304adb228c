"""Older names: see :mod:`covertreex.legacy`."""

from ..legacy.grouping import *  # noqa: F403
from ..legacy.grouping import __all__  # noqa: F401

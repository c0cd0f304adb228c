"""Older names: see :mod:`covertreex.legacy`."""

from ..legacy.independent_sets import *  # noqa: F403
from ..legacy.independent_sets import __all__  # noqa: F401

"""Older names: ``covertreex.baseline`` of covertreex 0.4.x; see :mod:`covertreex.legacy`."""

from .legacy.baseline import *  # noqa: F403
from .legacy.baseline import __all__  # noqa: F401

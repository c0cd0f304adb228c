"""Older names: see :mod:`covertreex.legacy`."""

from ..legacy.reported_plans import *  # noqa: F403
from ..legacy.reported_plans import __all__  # noqa: F401

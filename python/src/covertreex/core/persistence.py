"""Older names: see :mod:`covertreex.legacy`."""

from ..legacy.persistence import *  # noqa: F403
from ..legacy.persistence import __all__  # noqa: F401

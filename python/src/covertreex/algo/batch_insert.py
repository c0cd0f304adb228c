"""Older names: see :mod:`covertreex.legacy`."""

from .batch import *  # noqa: F403
from .batch import __all__  # noqa: F401

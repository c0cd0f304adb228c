"""Older names: see :mod:`covertreex.legacy`."""

from ..legacy.benchmark_log import *  # noqa: F403
from ..legacy.benchmark_log import __all__  # noqa: F401

"""Older names: see :mod:`covertreex.legacy`."""

from ..legacy.benchmark_schemas import *  # noqa: F403
from ..legacy.benchmark_schemas import __all__  # noqa: F401

"""Older names: see :mod:`covertreex.legacy`."""

from ..legacy.benchmark_log import *
from ..legacy.benchmark_log import __all__

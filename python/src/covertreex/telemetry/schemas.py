"""Older names: see :mod:`covertreex.legacy`."""

from ..legacy.benchmark_schemas import *
from ..legacy.benchmark_schemas import __all__

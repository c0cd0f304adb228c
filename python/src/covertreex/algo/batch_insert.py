"""Older names: see :mod:`covertreex.legacy`."""

from .batch import __all__
from .batch.insert import *
from .batch.types import *

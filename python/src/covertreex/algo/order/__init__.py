"""Older names: see :mod:`covertreex.legacy`."""

from . import helpers, strategy
from .helpers import *
from .strategy import *

__all__ = helpers.__all__ + strategy.__all__

"""The older names of ``covertreex.config``; see :mod:`covertreex.legacy`."""

from ..legacy.context import *
from ..legacy.context import __all__

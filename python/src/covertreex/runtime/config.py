"""Older names: those of ``covertreex.config``; see :mod:`covertreex.legacy`."""

from ..config import *  # noqa: F403
from ..config import __all__  # noqa: F401

"""Older names: ``covertreex.residual_tree`` of covertreex 0.4.x; see :mod:`covertreex.legacy`."""

from .legacy.residual_tree import *  # noqa: F403
from .legacy.residual_tree import __all__  # noqa: F401

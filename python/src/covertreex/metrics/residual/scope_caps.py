"""Older names: see :mod:`covertreex.legacy`."""

from ...legacy.scope_caps import *  # noqa: F403
from ...legacy.scope_caps import __all__  # noqa: F401

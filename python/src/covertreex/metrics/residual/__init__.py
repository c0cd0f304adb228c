"""Older names: ``covertreex.metrics.residual`` of covertreex 0.4.x; see :mod:`covertreex.legacy`."""

from . import core, fast_build, host_backend, scope_caps
from .core import *
from .fast_build import *
from .host_backend import *
from .scope_caps import *

__all__ = core.__all__ + fast_build.__all__ + host_backend.__all__ + scope_caps.__all__

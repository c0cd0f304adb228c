"""Settings: the defaults of all calls.

A setting comes from the first of these that has it: an argument of the call, the active :class:`Runtime`, the
environment (``COVERTREEX_LEAF_SIZE`` for ``leaf_size``, ``COVERTREEX_RESIDUAL_N_INDUCING`` for
``residual.n_inducing``, and so on; ``COVERTREEX_PROFILE`` names a profile to begin with), the defaults of
:class:`RuntimeConfig`. The environment is read when the first call asks for it, and again by :func:`read_environment`;
it is read by ``import covertreex`` if it has variables of covertreex 0.4.x.

>>> from covertreex import Runtime, cover_tree
>>> with Runtime(threads=1, order="natural").activate():
...     tree = cover_tree([[0.0], [1.0], [3.0]])
>>> tree.order
'natural'
"""

from .._settings import PROFILES, Diagnostics, Profile, RuntimeConfig, active_config, environment_names
from ..legacy._environment import read_environment
from ..legacy.context import (
    RuntimeContext,
    configure_runtime,
    current_runtime_context,
    describe_runtime,
    reset_runtime_config_cache,
    reset_runtime_context,
    runtime_config,
    runtime_context,
    set_runtime_context,
)
from ..legacy.logging import OperationMetrics, get_logger
from ..legacy.model import DiagnosticsConfig, ResidualConfig, RuntimeModel, SeedPack
from ..legacy.runtime import Residual, Runtime
from . import config, diagnostics, logging, model

# Older names are not among these; see covertreex.legacy.
__all__ = [
    "PROFILES",
    "Diagnostics",
    "Profile",
    "Residual",
    "Runtime",
    "RuntimeConfig",
    "active_config",
    "environment_names",
    "read_environment",
]

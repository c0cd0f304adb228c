"""The active settings by the names of ``covertreex.config`` of covertreex 0.4.x."""

from __future__ import annotations

import contextvars
from typing import Any

from .. import _settings
from . import _environment
from ._engine_names import old_name
from .backend import TreeBackend
from .model import RuntimeConfig
from .runtime import Runtime as _Runtime

__all__ = [
    "RuntimeConfig",
    "RuntimeContext",
    "configure_runtime",
    "current_runtime_context",
    "describe_runtime",
    "reset_runtime_config_cache",
    "reset_runtime_context",
    "runtime_config",
    "runtime_context",
    "set_runtime_context",
]

_current: contextvars.ContextVar[RuntimeContext | None] = contextvars.ContextVar("covertreex_legacy", default=None)


class RuntimeContext:
    """Settings of covertreex 0.4.x that are, or can be, active; a context manager."""

    def __init__(self, config: RuntimeConfig) -> None:
        self.config = config
        self._settings = _Runtime(**config.settings()).to_config()
        self._undo: list[tuple[Any, Any]] = []

    def activate(self) -> None:
        """Set the level of the logger. Entering the context makes the settings active."""
        _environment.set_log_level(self.config.log_level, "log_level")

    def get_backend(self) -> TreeBackend:
        """The maker of arrays: NumPy, in the precision of the configuration."""
        return TreeBackend.named(self.config.backend, self.config.precision)

    def install(self) -> RuntimeContext:
        """Make the settings active until others are."""
        self._undo.clear()
        return self.__enter__()

    def __enter__(self) -> RuntimeContext:
        if _current.get() is not self or not self._undo:
            self.activate()
            self._undo.append((_settings.Activation(self._settings), _current.get()))
            _current.set(self)
        return self

    def __exit__(self, *raised: Any) -> None:
        active, before = self._undo.pop()
        active.__exit__(*raised)
        _current.set(before)

    def is_active(self) -> bool:
        """Whether calls use these settings now."""
        return _settings.active_config() is self._settings

    @classmethod
    def of_active(cls) -> RuntimeContext:
        """The context of the active settings."""
        active = _Runtime.from_active()
        name = old_name(active.engine, active.order)
        made = cls((active if name is None else active.with_updates(engine=name)).to_model().to_runtime_config())
        made._settings = _settings.active_config()
        return made


class Runtime(_Runtime):
    """:class:`covertreex.Runtime` as ``covertreex.api`` had it: its results have the old names.

    ``activate()`` gives a :class:`RuntimeContext`, ``to_config()`` and ``describe()`` the settings of covertreex 0.4.x.
    """

    def to_config(self, base: Any = None) -> Any:
        """All settings by the names of covertreex 0.4.x; with a new configuration as base, a new one."""
        if isinstance(base, _settings.RuntimeConfig):
            return super().to_config(base)
        from_base = None if base is None else _Runtime.from_config(base).to_model()
        return self.to_model(from_base).to_runtime_config()

    def activate(self) -> Any:
        """Make these settings active: until others are, or, as a context manager, until it is left."""
        context = RuntimeContext(self.to_config())
        context._settings = super().to_config(_settings.environment_config())
        return context.install()

    def describe(self) -> dict[str, Any]:
        """The main settings, by their old names."""
        config = self.to_config()
        names = {"conflict_graph": "conflict_graph_impl", "batch_order": "batch_order_strategy"}
        return {name: getattr(config, names.get(name, name)) for name in _DESCRIBED}


_DESCRIBED = (
    "backend", "precision", "engine", "metric", "devices", "conflict_graph", "conflict_degree_cap", "batch_order",
    "prefix_schedule", "enable_numba", "enable_rust", "enable_sparse_traversal", "enable_diagnostics",
    "residual_scope_member_limit", "residual_stream_tile", "residual_dense_scope_streamer", "residual_scope_bitset",
    "residual_masked_scope_append",
)  # fmt: skip


def current_runtime_context() -> RuntimeContext | None:
    """The active context; None if nothing was made active."""
    context = _current.get()
    if context is not None and context.is_active():
        return context
    if _settings.is_active():
        return RuntimeContext.of_active()
    return None


def runtime_context() -> RuntimeContext:
    """The active context; without one, the context of the environment becomes active."""
    context = current_runtime_context()
    return RuntimeContext(RuntimeConfig.from_env()).install() if context is None else context


def runtime_config() -> RuntimeConfig:
    """The settings of the active context."""
    return runtime_context().config


def configure_runtime(config: RuntimeConfig) -> RuntimeContext:
    """Make settings active."""
    return RuntimeContext(config).install()


def set_runtime_context(context: RuntimeContext) -> RuntimeContext:
    """Make a context active."""
    return context.install()


def reset_runtime_context() -> None:
    """Deactivate all settings, and read the environment again."""
    _current.set(None)
    _settings.deactivate()
    _environment.refresh()


#: Another name.
reset_runtime_config_cache = reset_runtime_context


def describe_runtime() -> dict[str, Any]:
    """All active settings, by the names of covertreex 0.4.x."""
    config = runtime_config()
    described = {name: value for name, value in vars(config).items() if name != "seeds"}
    more = ("primary_platform", "mis_seed", "batch_order_seed", "jax_enable_x64")
    return {**described, **{name: getattr(config, name) for name in more}, "seed_pack": config.seeds.model_dump()}

"""Environment variables of covertreex 0.4.x, and their settings here."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping

from .. import _settings
from . import _engine_names, _notices
from .model import BACKENDS, PREFIX, RENAMED, VARIABLES, word

_ARTIFACTS = "ARTIFACT_ROOT"  # is read when it is needed

#: Paths of settings that the stages of an insertion read.
STAGES: frozenset[str] = frozenset({
    "conflict_graph_impl", "scope_chunk_target", "seeds.batch_order", "seeds.residual_grid", "residual.radius_floor",
    "residual.scope_member_limit", "residual.scope_cap_path", "residual.scope_cap_default",
})  # fmt: skip

# Variables with an effect here, and the path of the setting.
_MEANT = {**{name.upper(): new for name, new in RENAMED.items()}, "ENABLE_DIAGNOSTICS": "diagnostics.enabled"}


def read_environment() -> _settings.RuntimeConfig:
    """Read the environment again, for calls that follow: variables of this package and of covertreex 0.4.x."""
    config = _config(os.environ)
    _settings.set_environment(config)
    return config


def refresh() -> None:
    """Read the environment again: now if it has old variables or names, or else when a call needs it."""
    _settings.forget_environment()
    if _old(os.environ) or _old_engine(os.environ):
        read_environment()


def _old(environment: Mapping[str, str]) -> dict[str, str]:
    """Variables that are not of this package, without their prefix."""
    known = {*_settings.environment_names(), PREFIX + "PROFILE", PREFIX + _ARTIFACTS}
    return {
        name[len(PREFIX) :]: text for name, text in environment.items()
        if name.startswith(PREFIX) and name not in known and text.strip()
    }  # fmt: skip


def _old_engine(environment: Mapping[str, str]) -> dict[str, str]:
    """The engine and the order of the environment, if the engine has an old name."""
    said = {name: environment.get(PREFIX + name.upper()) or None for name in ("engine", "order")}
    return _engine_names.translated(said) if said["engine"] in _engine_names.NAMES else {}


def _config(environment: Mapping[str, str]) -> _settings.RuntimeConfig:
    """Settings of an environment. Variables of this package override old ones; one without an effect is warned of."""
    old, engine = _old(environment), _old_engine(environment)
    if engine.get("order") == word(old.get("BATCH_ORDER", "")):
        del old["BATCH_ORDER"]
    variables = {**environment, **{PREFIX + name.upper(): value for name, value in engine.items()}}
    config = _settings.RuntimeConfig.from_environment(variables)
    said = {path for variable, path in _settings.environment_names().items() if variables.get(variable)}
    for name, path in _MEANT.items():
        if name in old and not (name == "BATCH_ORDER" and engine):
            text = word(old.pop(name))
            if path not in said:
                config = _settings.with_setting(config, path, text, PREFIX + name)
    if "LOG_LEVEL" in old:
        set_log_level(old.pop("LOG_LEVEL"), PREFIX + "LOG_LEVEL")
    if "BACKEND" in old:
        _settings.check_choice(PREFIX + "BACKEND", word(old["BACKEND"]), BACKENDS)
    in_stages = {PREFIX + name for name, path in VARIABLES.items() if path in STAGES}
    _notices.without_effect((PREFIX + name for name in old), in_stages)
    return config


def set_log_level(level: str | int, source: str) -> None:
    """Set the level of this package's logger."""
    try:
        logging.getLogger("covertreex").setLevel(level if isinstance(level, int) else level.strip().upper())
    except ValueError:
        raise ValueError(f"{source}: expected a level of logging, as INFO or DEBUG, got {level!r}") from None


refresh()

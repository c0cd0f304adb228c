"""Environment variables of covertreex 0.4.x, and their settings here."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from typing import Any

from .. import _settings
from . import _engine_names, _notices

_PREFIX = "COVERTREEX_"
_ARTIFACTS = "ARTIFACT_ROOT"  # is read when it is needed
BACKENDS = ("numpy", "jax", "gpu")

_TRUTHS = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}


def _truth(text: str) -> bool:
    if text.strip().lower() not in _TRUTHS:
        raise ValueError(f"expected true or false, got {text!r}")
    return _TRUTHS[text.strip().lower()]


def _word(text: str) -> str:
    return text.strip().lower()


def _list(text: str) -> tuple[str, ...]:
    return tuple(one.strip().lower() for one in text.split(",") if one.strip())


def _schedule(text: str) -> tuple[int, ...]:
    numbers = tuple(int(one) for one in text.split(",") if one.strip())
    if any(later <= earlier for earlier, later in zip((0, *numbers), numbers)):
        raise ValueError(f"expected ascending numbers above 0, got {text!r}")
    return numbers


#: Variables, without their prefix: the path of the setting in ``RuntimeModel``, and how its text is read.
VARIABLES: Mapping[str, tuple[str, Callable[[str], Any]]] = {
    "BACKEND": ("backend", _word),
    "PRECISION": ("precision", _word),
    "DEVICE": ("devices", _list),
    "ENGINE": ("engine", _word),
    "METRIC": ("metric", _word),
    "ENABLE_NUMBA": ("enable_numba", _truth),
    "ENABLE_RUST": ("enable_rust", _truth),
    "ENABLE_SPARSE_TRAVERSAL": ("enable_sparse_traversal", _truth),
    "ENABLE_DIAGNOSTICS": ("diagnostics.enabled", _truth),
    "LOG_LEVEL": ("diagnostics.log_level", str.strip),
    "GLOBAL_SEED": ("seeds.global_seed", int),
    "MIS_SEED": ("seeds.mis", int),
    "BATCH_ORDER_SEED": ("seeds.batch_order", int),
    "RESIDUAL_GRID_SEED": ("seeds.residual_grid", int),
    "CONFLICT_GRAPH_IMPL": ("conflict_graph_impl", _word),
    "SCOPE_SEGMENT_DEDUP": ("scope_segment_dedupe", _truth),
    "SCOPE_CHUNK_TARGET": ("scope_chunk_target", int),
    "SCOPE_CHUNK_MAX_SEGMENTS": ("scope_chunk_max_segments", int),
    "SCOPE_CHUNK_PAIR_MERGE": ("scope_chunk_pair_merge", _truth),
    "SCOPE_CONFLICT_BUFFER_REUSE": ("scope_conflict_buffer_reuse", _truth),
    "DEGREE_CAP": ("conflict_degree_cap", int),
    "SCOPE_BUDGET_SCHEDULE": ("scope_budget_schedule", _schedule),
    "SCOPE_BUDGET_UP_THRESH": ("scope_budget_up_thresh", float),
    "SCOPE_BUDGET_DOWN_THRESH": ("scope_budget_down_thresh", float),
    "BATCH_ORDER": ("batch_order_strategy", _word),
    "PREFIX_SCHEDULE": ("prefix_schedule", _word),
    "PREFIX_DENSITY_LOW": ("prefix_density_low", float),
    "PREFIX_DENSITY_HIGH": ("prefix_density_high", float),
    "PREFIX_GROWTH_SMALL": ("prefix_growth_small", float),
    "PREFIX_GROWTH_MID": ("prefix_growth_mid", float),
    "PREFIX_GROWTH_LARGE": ("prefix_growth_large", float),
    "RESIDUAL_RADIUS_FLOOR": ("residual.radius_floor", float),
    "RESIDUAL_SCOPE_BITSET": ("residual.scope_bitset", _truth),
    "RESIDUAL_MASKED_SCOPE_APPEND": ("residual.masked_scope_append", _truth),
    "RESIDUAL_DYNAMIC_QUERY_BLOCK": ("residual.dynamic_query_block", _truth),
    "RESIDUAL_DENSE_SCOPE_STREAMER": ("residual.dense_scope_streamer", _truth),
    "RESIDUAL_LEVEL_CACHE_BATCHING": ("residual.level_cache_batching", _truth),
    "RESIDUAL_SCOPE_MEMBER_LIMIT": ("residual.scope_member_limit", int),
    "RESIDUAL_STREAM_TILE": ("residual.stream_tile", int),
    "RESIDUAL_SCOPE_CAPS_PATH": ("residual.scope_cap_path", str),
    "RESIDUAL_SCOPE_CAP_DEFAULT": ("residual.scope_cap_default", float),
    "RESIDUAL_SCOPE_CAP_OUTPUT": ("residual.scope_cap_output", str),
    "RESIDUAL_SCOPE_CAP_PERCENTILE": ("residual.scope_cap_percentile", float),
    "RESIDUAL_SCOPE_CAP_MARGIN": ("residual.scope_cap_margin", float),
    "RESIDUAL_PREFILTER": ("residual.prefilter_enabled", _truth),
    "RESIDUAL_PREFILTER_LOOKUP_PATH": ("residual.prefilter_lookup_path", str),
    "RESIDUAL_PREFILTER_MARGIN": ("residual.prefilter_margin", float),
    "RESIDUAL_PREFILTER_RADIUS_CAP": ("residual.prefilter_radius_cap", float),
    "RESIDUAL_PREFILTER_AUDIT": ("residual.prefilter_audit", _truth),
    "RESIDUAL_GRID_WHITEN_SCALE": ("residual.grid_whiten_scale", float),
    "RESIDUAL_USE_STATIC_EUCLIDEAN_TREE": ("residual.use_static_euclidean_tree", _truth),
}

#: Paths of settings that the stages of an insertion read.
STAGES: frozenset[str] = frozenset({
    "conflict_graph_impl", "scope_chunk_target", "seeds.batch_order", "seeds.residual_grid", "residual.radius_floor",
    "residual.scope_member_limit", "residual.scope_cap_path", "residual.scope_cap_default",
})  # fmt: skip

# Variables with an effect here, and the path of the setting. The global seed comes first, so that MIS_SEED wins.
_MEANT = {
    "PRECISION": "dtype",
    "BATCH_ORDER": "order",
    "GLOBAL_SEED": "seed",
    "MIS_SEED": "seed",
    "ENABLE_DIAGNOSTICS": "diagnostics.enabled",
}


def values(environment: Mapping[str, str]) -> dict[str, Any]:
    """Values of an environment, by the paths of the old settings."""
    said = {}
    for name, (path, parse) in VARIABLES.items():
        text = environment.get(_PREFIX + name)
        if text is not None and text.strip():
            said[path] = _parsed(name, text, parse)
    return said


def _parsed(name: str, text: str, parse: Callable[[str], Any]) -> Any:
    try:
        return parse(text)
    except ValueError as error:
        raise ValueError(f"{_PREFIX}{name}={text}: {error}") from None


def read_environment() -> _settings.RuntimeConfig:
    """Read the environment again, for calls that follow: variables of this package, and those of covertreex 0.4.x."""
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
    known = {*_settings.environment_names(), _PREFIX + "PROFILE", _PREFIX + _ARTIFACTS}
    return {
        name[len(_PREFIX) :]: text for name, text in environment.items()
        if name.startswith(_PREFIX) and name not in known and text.strip()
    }  # fmt: skip


def _old_engine(environment: Mapping[str, str]) -> dict[str, str]:
    """The engine and the order of the environment, if the engine has an old name."""
    said = {name: environment.get(_PREFIX + name.upper()) or None for name in ("engine", "order")}
    return _engine_names.translated(said) if said["engine"] in _engine_names.NAMES else {}


def _config(environment: Mapping[str, str]) -> _settings.RuntimeConfig:
    """Settings of an environment. Variables of this package override old ones; one without an effect is warned of."""
    old, engine = _old(environment), _old_engine(environment)
    if engine.get("order") == _word(old.get("BATCH_ORDER", "")):
        del old["BATCH_ORDER"]
    variables = {**environment, **{_PREFIX + name.upper(): value for name, value in engine.items()}}
    config = _settings.RuntimeConfig.from_environment(variables)
    said = {path for variable, path in _settings.environment_names().items() if variables.get(variable)}
    for name, path in _MEANT.items():
        if name in old and not (name == "BATCH_ORDER" and engine):
            text = old.pop(name).strip().lower()
            if path not in said:
                config = _settings.with_setting(config, path, text, _PREFIX + name)
    if "LOG_LEVEL" in old:
        set_log_level(old.pop("LOG_LEVEL"), _PREFIX + "LOG_LEVEL")
    if "BACKEND" in old:
        _settings.check_choice(_PREFIX + "BACKEND", _word(old["BACKEND"]), BACKENDS)
    in_stages = {_PREFIX + name for name, (path, _) in VARIABLES.items() if path in STAGES}
    _notices.without_effect((_PREFIX + name for name in old), in_stages)
    return config


def set_log_level(level: str | int, source: str) -> None:
    """Set the level of this package's logger."""
    try:
        logging.getLogger("covertreex").setLevel(level if isinstance(level, int) else level.strip().upper())
    except ValueError:
        raise ValueError(f"{source}: expected a level of logging, as INFO or DEBUG, got {level!r}") from None


refresh()

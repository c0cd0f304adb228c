"""The settings of covertreex 0.4.x: their names, their defaults, and their names here."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .. import _settings
from . import _engine_names

ENGINES = ("python-numba", "rust-natural", "rust-fast", "rust-hybrid", "rust-hilbert", "rust-pcct", "rust-pcct2")
DEFAULT_ENGINE = "python-numba"

BACKENDS = ("numpy", "jax", "gpu")
PREFIX = "COVERTREEX_"

#: Old names of settings that there are here, too. The seed of the tree comes last, so that it wins.
RENAMED = {"precision": "dtype", "batch_order": "order", "global_seed": "seed", "mis_seed": "seed"}


class _Section:
    """A group of settings as a plain dictionary, under the name that it had."""

    def model_dump(self) -> dict[str, Any]:
        """All of it as nested dictionaries."""
        return dataclasses.asdict(self)  # type: ignore[call-overload, no-any-return]


@dataclass(frozen=True)
class SeedPack(_Section):
    """Seeds, one for each purpose; missing seeds follow from the global seed."""

    global_seed: int | None = None
    mis: int | None = None
    batch_order: int | None = None
    residual_grid: int | None = None

    def resolved(self, channel: str, *, fallback: int = 0) -> int:
        """The seed of a purpose: its own, or one derived from the global one, or ``fallback``."""
        own = getattr(self, channel, None)
        if own is not None:
            return int(own)
        if self.global_seed is None:
            return int(fallback)
        digest = hashlib.sha256(f"{int(self.global_seed)}:{channel}".encode()).digest()
        return int.from_bytes(digest[:8], "big") & 0x7FFFFFFF


@dataclass(frozen=True)
class DiagnosticsConfig(_Section):
    """Settings of records and logs."""

    enabled: bool = True
    log_level: str = "INFO"

    def __post_init__(self) -> None:
        object.__setattr__(self, "log_level", self.log_level.upper())


@dataclass(frozen=True)
class ResidualConfig(_Section):
    """Settings of the approximate search for residual correlation. None has a meaning here."""

    radius_floor: float = 1e-3
    scope_member_limit: int | None = None
    stream_tile: int | None = None
    scope_bitset: bool = False
    masked_scope_append: bool = True
    dynamic_query_block: bool = True
    dense_scope_streamer: bool = True
    level_cache_batching: bool = True
    scope_cap_path: str | None = None
    scope_cap_default: float = 0.0
    scope_cap_output: str | None = None
    scope_cap_percentile: float = 0.5
    scope_cap_margin: float = 0.05
    prefilter_enabled: bool = False
    prefilter_lookup_path: str | None = None
    prefilter_margin: float = 0.02
    prefilter_radius_cap: float = 10.0
    prefilter_audit: bool = False
    grid_whiten_scale: float = 1.0
    use_static_euclidean_tree: bool = False


@dataclass(frozen=True)
class _Main:
    """The settings that are in no group."""

    backend: str = "numpy"
    precision: str = "float64"
    engine: str = DEFAULT_ENGINE
    devices: tuple[str, ...] = ()
    enable_numba: bool = False
    enable_rust: bool = False
    enable_sparse_traversal: bool = False
    conflict_graph_impl: str = "dense"
    scope_segment_dedupe: bool = True
    scope_chunk_target: int = 0
    scope_chunk_max_segments: int = 512
    scope_chunk_pair_merge: bool = True
    scope_conflict_buffer_reuse: bool = True
    conflict_degree_cap: int = 0
    scope_budget_schedule: tuple[int, ...] = ()
    scope_budget_up_thresh: float = 0.015
    scope_budget_down_thresh: float = 0.002
    metric: str = "euclidean"
    batch_order_strategy: str = "hilbert"
    prefix_schedule: str = "adaptive"
    prefix_density_low: float = 0.15
    prefix_density_high: float = 0.55
    prefix_growth_small: float = 1.25
    prefix_growth_mid: float = 1.75
    prefix_growth_large: float = 2.25


@dataclass(frozen=True)
class RuntimeModel(_Main, _Section):
    """All settings of covertreex 0.4.x, in groups."""

    residual: ResidualConfig = field(default_factory=ResidualConfig)
    diagnostics: DiagnosticsConfig = field(default_factory=DiagnosticsConfig)
    seeds: SeedPack = field(default_factory=SeedPack)

    def __post_init__(self) -> None:
        for name, kind in _SECTIONS.items():
            given = getattr(self, name)
            if isinstance(given, Mapping):
                object.__setattr__(self, name, kind(**given))
        for name in ("devices", "scope_budget_schedule"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        _settings.check_choice("backend", self.backend, BACKENDS)
        _settings.check_choice("precision", self.precision, ("float32", "float64"))

    def __getattr__(self, name: str) -> Any:
        # Flat names: residual_stream_tile, log_level, mis_seed, ...
        if name not in _FLAT:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        section, own = _FLAT[name].split(".")
        return getattr(getattr(self, section), own)

    @classmethod
    def from_env(cls, env: Mapping[str, str] | None = None) -> RuntimeModel:
        """The defaults, but for what environment variables by their old names say."""
        values = _values(os.environ if env is None else env)
        if values.get("metric") == "residual_correlation":
            usual = {
                "scope_budget_schedule": (32, 64, 96), "prefix_schedule": "doubling", "residual.scope_bitset": True,
                "residual.stream_tile": 64,
            }  # fmt: skip
            values = {**usual, **values}
        values["devices"] = ("cpu:0",) if values.get("backend") == "jax" else ()  # there was never another one
        return with_paths(cls(), values)

    @classmethod
    def from_legacy_config(cls, legacy: RuntimeConfig) -> RuntimeModel:
        """The same settings in groups."""
        return with_paths(cls(), {_FLAT.get(name, name): value for name, value in vars(legacy).items()})

    def to_runtime_config(self) -> RuntimeConfig:
        """The same settings without sections."""
        names = [one.name for one in dataclasses.fields(RuntimeConfig)]
        return RuntimeConfig(**{name: getattr(self, name) for name in names})


_SECTIONS: Mapping[str, Any] = {"residual": ResidualConfig, "diagnostics": DiagnosticsConfig, "seeds": SeedPack}

# All settings by their paths.
_FIELDS: Mapping[str, dataclasses.Field[Any]] = {
    before + one.name: one
    for before, kind in (("", _Main), *((f"{name}.", kind) for name, kind in _SECTIONS.items()))
    for one in dataclasses.fields(kind)
}

# Arguments of ``Runtime`` that are not named as their path, and variables that are not named as the argument.
_ARGUMENTS = {
    "conflict_graph_impl": "conflict_graph",
    "conflict_degree_cap": "degree_cap",
    "batch_order_strategy": "batch_order",
    "diagnostics.enabled": "enable_diagnostics",
    "diagnostics.log_level": "log_level",
    "seeds.global_seed": "global_seed",
    "seeds.mis": "mis_seed",
    "seeds.batch_order": "batch_order_seed",
    "seeds.residual_grid": "residual_grid_seed",
}
_VARIABLES = {
    "devices": "DEVICE",
    "conflict_graph": "CONFLICT_GRAPH_IMPL",
    "scope_segment_dedupe": "SCOPE_SEGMENT_DEDUP",
    "residual_scope_cap_path": "RESIDUAL_SCOPE_CAPS_PATH",
    "residual_prefilter_enabled": "RESIDUAL_PREFILTER",
}

#: Settings as arguments and as environment variables without their prefix, and the path of each.
ARGUMENTS: Mapping[str, str] = {_ARGUMENTS.get(path, path.replace(".", "_")): path for path in _FIELDS}
VARIABLES: Mapping[str, str] = {_VARIABLES.get(name, name.upper()): path for name, path in ARGUMENTS.items()}

# Attributes for settings in groups, and the path of each.
_FLAT = {
    name: path for name, path in ARGUMENTS.items() if "." in path and name not in ("global_seed", "residual_grid_seed")
}


def _flat_fields() -> list[tuple[str, Any, Any]]:
    """The fields of :class:`RuntimeConfig`, in the order that they had: settings of groups are among the others."""
    names = [one.name for one in dataclasses.fields(_Main)]
    after = names.index("enable_sparse_traversal") + 1
    names[after:after] = ["enable_diagnostics", "log_level", "seeds"]
    names += [f"residual_{one.name}" for one in dataclasses.fields(ResidualConfig)]
    fields = {one.name: one for one in dataclasses.fields(RuntimeModel)}
    fields |= {name: _FIELDS[path] for name, path in _FLAT.items()}
    return [(name, fields[name].type, copy.copy(fields[name])) for name in names]


_Flat: Any = dataclasses.make_dataclass("_Flat", _flat_fields(), frozen=True)


class RuntimeConfig(_Flat):  # type: ignore[misc]
    """All settings of covertreex 0.4.x, without sections."""

    seeds: SeedPack  # for type checkers, as the base class is made at run time

    @property
    def mis_seed(self) -> int | None:
        """The seed of the tree."""
        return self.seeds.mis

    @property
    def batch_order_seed(self) -> int | None:
        """The seed of a random order."""
        return self.seeds.batch_order

    @property
    def jax_enable_x64(self) -> bool:
        """Whether the precision is float64."""
        return bool(self.precision == "float64")

    @property
    def primary_platform(self) -> str | None:
        """The first device without its number."""
        return self.devices[0].partition(":")[0] if self.devices else None

    @classmethod
    def from_env(cls) -> RuntimeConfig:
        """The defaults, but for what environment variables by their old names say."""
        return RuntimeModel.from_env().to_runtime_config()

    def settings(self) -> dict[str, Any]:
        """The same settings in terms of this package: arguments of :class:`covertreex.runtime.RuntimeConfig`.

        A configuration has a value for everything and cannot distinguish a choice from a default. So the default metric
        and engine mean "auto" here: answers are the same.
        """
        engine = "auto" if self.engine == DEFAULT_ENGINE else self.engine
        implied = _engine_names.NAMES.get(engine, (None, None))[1]
        return {
            "metric": "residual_correlation" if self.metric == "residual_correlation" else "auto",
            "dtype": self.precision,
            "engine": engine if implied in (None, self.batch_order_strategy) else "auto",
            "order": self.batch_order_strategy,
            "seed": self.seeds.global_seed if self.seeds.mis is None else self.seeds.mis,
        }


def with_paths(model: RuntimeModel, values: Mapping[str, Any]) -> RuntimeModel:
    """A model with some settings changed, named by their path; one that it does not have is an error."""
    dump = model.model_dump()
    for path, value in values.items():
        *section, name = path.split(".")
        inside = dump.get(section[0]) if section else dump
        if not isinstance(inside, dict) or name not in inside or len(section) > 1:
            raise ValueError(f"overrides: no setting {path!r} in covertreex 0.4.x")
        inside[name] = value
    return RuntimeModel(**dump)


_TRUTHS = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}


def _truth(text: str) -> bool:
    if word(text) not in _TRUTHS:
        raise ValueError(f"expected true or false, got {text!r}")
    return _TRUTHS[word(text)]


def word(text: str) -> str:
    """A text in lower case, without spaces around it."""
    return text.strip().lower()


def _list(text: str) -> tuple[str, ...]:
    return tuple(word(one) for one in text.split(",") if one.strip())


def _schedule(text: str) -> tuple[int, ...]:
    numbers = tuple(int(one) for one in text.split(",") if one.strip())
    if any(later <= earlier for earlier, later in zip((0, *numbers), numbers)):
        raise ValueError(f"expected ascending numbers above 0, got {text!r}")
    return numbers


_PARSERS: Mapping[str, Callable[[str], Any]] = {
    "bool": _truth, "int": int, "int | None": int, "float": float, "str": word, "str | None": str,
    "tuple[str, ...]": _list, "tuple[int, ...]": _schedule,
}  # fmt: skip


def _values(environment: Mapping[str, str]) -> dict[str, Any]:
    """Values of an environment, by the paths of the settings."""
    said = {}
    for name, path in VARIABLES.items():
        text = environment.get(PREFIX + name, "")
        if text.strip():
            try:
                said[path] = _PARSERS[str(_FIELDS[path].type)](text)
            except ValueError as error:
                raise ValueError(f"{PREFIX}{name}={text}: {error}") from None
    return said

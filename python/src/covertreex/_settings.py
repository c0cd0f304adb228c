"""All settings; :mod:`covertreex.runtime` documents and exports them."""

from __future__ import annotations

import contextvars
import dataclasses
import inspect
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, TypeVar, Union

from . import _engines as engines

#: Changes of settings by their paths: ``"leaf_size=64"`` and the like, or a mapping of paths to values.
Overrides = Union[Iterable[str], Mapping[str, Any]]

Chosen = TypeVar("Chosen", bound="Runtime")

_PREFIX = "COVERTREEX_"
COVER_TREE_METRICS = ("euclidean", "residual_correlation")
METRICS = ("auto", *COVER_TREE_METRICS)


@dataclass(frozen=True)
class Residual:
    """Settings of trees in the residual-correlation metric; see :func:`covertreex.residual_tree`."""

    n_inducing: int | None = None  #: inducing points; None: 512, or all points if there are fewer
    inducing_points: str = "random"  #: how they are chosen: "random", "kmeans++" or "cover-tree"
    jitter: float = 1e-6  #: relative to the variance
    #: Metric of the cover tree that is exported and validated: "euclidean" or "residual_correlation".
    cover_tree_metric: str = "euclidean"
    #: Points that are bounded together, a multiple of 64 up to 1024; None: 256. Time and memory depend on it, and on
    #: the next; answers do not.
    block_size: int | None = None
    #: Largest residual norm, roughly, of a point outside its block's basis, 0 to 1; None: chosen by trial.
    tau: float | None = None

    def __post_init__(self) -> None:
        _check_integer("residual.n_inducing", self.n_inducing, 0)
        check_choice("residual.inducing_points", self.inducing_points, ("random", "kmeans++", "cover-tree"))
        if not 0 < self.jitter <= 0.01:
            raise ValueError(f"residual.jitter: expected above 0, at most 0.01, got {self.jitter}")
        check_choice("residual.cover_tree_metric", self.cover_tree_metric, COVER_TREE_METRICS)
        _check_integer("residual.block_size", self.block_size, 64, 1024)
        if self.block_size is not None and self.block_size % 64:
            raise ValueError(f"residual.block_size: expected a multiple of 64, got {self.block_size}")
        if self.tau is not None and not 0 < self.tau < 1:
            raise ValueError(f"residual.tau: expected above 0 and below 1, got {self.tau}")


@dataclass(frozen=True)
class Diagnostics:
    """Records and checks of calls; see :mod:`covertreex.telemetry`."""

    enabled: bool = False  #: whether calls are recorded
    log_file: str | None = None  #: to which records are appended, as lines of JSON
    validate: bool = False  #: whether every rule of a tree is checked when it is built or changed

    def __post_init__(self) -> None:
        if self.log_file is not None:
            # It is opened at each call, and the working directory may have changed by then.
            object.__setattr__(self, "log_file", os.path.abspath(self.log_file))

    @property
    def records(self) -> bool:
        """True if calls are recorded, if only for a file."""
        return self.enabled or self.log_file is not None


@dataclass(frozen=True)
class RuntimeConfig:
    """All settings, each with a value. Answers depend only on the metric and its inducing points."""

    metric: str = "auto"  #: "euclidean", "residual_correlation", or "auto": by whether there is a kernel
    threads: int | None = None  #: of calls; None: :func:`covertreex.get_num_threads`
    dtype: str = "auto"  #: type of the points of a Euclidean tree: "float32", "float64", or "auto": their own
    engine: str = "auto"  #: as in :func:`covertreex.cover_tree`
    order: str | None = None  #: "hilbert", "natural", "random"; None: "hilbert"
    seed: int | None = None  #: None: 0 for the tree, 42 for inducing points
    leaf_size: int = 32  #: points that are scanned together
    residual: Residual = field(default_factory=Residual)
    diagnostics: Diagnostics = field(default_factory=Diagnostics)

    def __post_init__(self) -> None:
        check_choice("metric", self.metric, METRICS)
        check_choice("dtype", self.dtype, ("auto", "float32", "float64"))
        _check_integer("threads", self.threads, 1, 1024)
        _check_integer("seed", self.seed, 0, 2**64 - 1)
        _check_integer("leaf_size", self.leaf_size, 1, 65536)
        if not isinstance(self.residual, Residual):
            raise TypeError(f"residual: expected a Residual, got {self.residual!r}")
        if not isinstance(self.diagnostics, Diagnostics):
            raise TypeError(f"diagnostics: expected Diagnostics, got {self.diagnostics!r}")
        engines.resolve(self.engine, self.order)

    @classmethod
    def from_environment(cls, variables: Mapping[str, str] = os.environ) -> RuntimeConfig:
        """Return the settings of environment variables, and the defaults for the others."""
        name = variables.get(_PREFIX + "PROFILE")
        config = cls() if not name else _profile(name, _PREFIX + "PROFILE").config
        for variable, path in environment_names().items():
            text = variables.get(variable)
            if text:
                config = with_setting(config, path, text, variable)
        return config

    def with_overrides(self, overrides: Overrides) -> RuntimeConfig:
        """Change settings that are named by their path.

        Parameters
        ----------
        overrides : iterable of str, or mapping
            ``"residual.n_inducing=256"``, or ``{"residual.n_inducing": 256}``.
        """
        config = self
        for path, value in override_pairs(overrides):
            config = with_setting(config, path, value, "overrides")
        return config

    def as_dict(self) -> dict[str, Any]:
        """All settings as nested dictionaries, ready for JSON."""
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class Profile:
    """Settings that go together."""

    name: str
    purpose: str
    config: RuntimeConfig


# The fields of RuntimeConfig, each with None for a setting that was not chosen.
_Choices: Any = dataclasses.make_dataclass(
    "_Choices", [(one.name, f"{one.type} | None", None) for one in dataclasses.fields(RuntimeConfig)], frozen=True
)


class Runtime(_Choices):  # type: ignore[misc]
    """Chosen settings of :class:`RuntimeConfig`. A setting that is None comes from the environment.

    Parameters
    ----------
    **settings
        Any of the fields of :class:`RuntimeConfig`. ``diagnostics`` may be True or False, for its ``enabled``.
    """

    __signature__ = inspect.Signature(
        [
            inspect.Parameter(one.name, inspect.Parameter.KEYWORD_ONLY, default=None)
            for one in dataclasses.fields(_Choices)
        ]
    )

    def __init__(self, **settings: Any) -> None:
        if isinstance(settings.get("diagnostics"), bool):
            settings["diagnostics"] = Diagnostics(settings["diagnostics"])
        super().__init__(**settings)
        self.to_config(RuntimeConfig())  # raises if a setting is wrong

    @classmethod
    def from_profile(cls: type[Chosen], name: str, overrides: Overrides | None = None) -> Chosen:
        """Return the settings of a profile.

        Parameters
        ----------
        name : str
            One of :data:`PROFILES`: "default", "residual-gold", "residual-fast", "residual-audit", "cpu-debug".
        overrides : iterable of str, or mapping, optional
            Changes by path, as in :meth:`RuntimeConfig.with_overrides`.
        """
        return cls.from_config(_profile(name, "name").config.with_overrides(overrides or ()))

    @classmethod
    def from_config(cls: type[Chosen], config: RuntimeConfig) -> Chosen:
        """Return a runtime with all settings of a configuration."""
        return cls(**_fields(config))

    @classmethod
    def from_active(cls: type[Chosen]) -> Chosen:
        """Return a runtime with all active settings."""
        return cls.from_config(active_config())

    def to_config(self, base: RuntimeConfig | None = None) -> RuntimeConfig:
        """Fill in settings without a value: from the environment, or from ``base``."""
        chosen = {name: value for name, value in _fields(self).items() if value is not None}
        return replace(environment_config() if base is None else base, **chosen)

    def with_updates(self: Chosen, **settings: Any) -> Chosen:
        """Return a copy with other values of some settings."""
        return type(self)(**{**_fields(self), **settings})

    def describe(self) -> dict[str, Any]:
        """Return all settings as nested dictionaries."""
        return self.to_config().as_dict()

    def activate(self) -> Activation:
        """Make these the default settings of calls in this thread or asynchronous task.

        They stay active until others are activated, or, as a context manager, until it is left.
        """
        return Activation(self.to_config())


_active: contextvars.ContextVar[RuntimeConfig | None] = contextvars.ContextVar("covertreex_runtime", default=None)


class Activation:
    """Settings that are active; a context manager that puts those before it back."""

    def __init__(self, config: RuntimeConfig) -> None:
        self.config = config
        _notice(config)
        self._token = _active.set(config)

    def __enter__(self) -> RuntimeConfig:
        return self.config

    def __exit__(self, *_error: object) -> None:
        _active.reset(self._token)


def active_config() -> RuntimeConfig:
    """Return the default settings of calls: the active runtime's, or the environment's."""
    return _active.get() or environment_config()


def is_active() -> bool:
    """True if a runtime is active, in this thread or asynchronous task."""
    return _active.get() is not None


def deactivate() -> None:
    """Forget the active runtime of this thread, or asynchronous task: calls use the environment again."""
    _active.set(None)


_of_environment: RuntimeConfig | None = None


def environment_config() -> RuntimeConfig:
    """Settings of the environment, as it was when it was last read."""
    return _of_environment or read_environment()


def forget_environment() -> None:
    """Have the next call that needs it read the environment again."""
    global _of_environment  # noqa: PLW0603
    _of_environment = None


def set_environment(config: RuntimeConfig) -> None:
    """Make these the settings of the environment, until it is read again."""
    global _of_environment  # noqa: PLW0603
    _of_environment = config
    _notice(config)


def read_environment() -> RuntimeConfig:
    """Read the environment again, for calls that follow."""
    config = RuntimeConfig.from_environment()
    set_environment(config)
    return config


#: Whether settings with diagnostics have ever been active, or the environment, which is read later, may have some.
is_diagnosed = any(name.startswith((_PREFIX + "DIAGNOSTICS_", _PREFIX + "PROFILE")) for name in os.environ)


def _notice(config: RuntimeConfig) -> None:
    """Have calls check from now on whether they are recorded, if these settings have diagnostics."""
    global is_diagnosed  # noqa: PLW0603
    if config.diagnostics != Diagnostics():
        is_diagnosed = True


def environment_names() -> dict[str, str]:
    """Environment variables, and the path of the setting that each is for."""
    return {_PREFIX + path.upper().replace(".", "_"): path for path in _paths(RuntimeConfig)}


def _paths(kind: type[Any], before: str = "") -> Iterable[str]:
    for one in dataclasses.fields(kind):
        if one.name in _GROUPS:
            yield from _paths(_GROUPS[one.name], one.name + ".")
        else:
            yield before + one.name


_GROUPS: Mapping[str, type[Any]] = MappingProxyType({"residual": Residual, "diagnostics": Diagnostics})


def override_pairs(overrides: Overrides) -> Iterable[tuple[str, Any]]:
    """Paths of settings and their new values; text where the overrides are text."""
    if isinstance(overrides, str):
        raise TypeError(f"overrides: expected a list of 'name=value', or a mapping, got the string {overrides!r}")
    if isinstance(overrides, Mapping):
        yield from overrides.items()
        return
    for override in overrides:
        path, separator, text = override.partition("=")
        if not separator:
            raise ValueError(f"overrides: expected 'name=value', got {override!r}")
        yield path.strip(), text.strip()


def _fields(settings: Any) -> dict[str, Any]:
    return {one.name: getattr(settings, one.name) for one in dataclasses.fields(settings)}


def with_setting(config: Any, path: str, value: Any, source: str) -> Any:
    """A configuration with one setting changed to a value, or to the value of a text."""
    name, _, rest = path.partition(".")
    kinds = {one.name: one.type for one in dataclasses.fields(config)}
    if name not in kinds or bool(rest) != (name in _GROUPS):
        raise ValueError(f"{source}: no setting {path!r}; there are {', '.join(_paths(RuntimeConfig))}")
    if rest:
        return replace(config, **{name: with_setting(getattr(config, name), rest, value, source)})
    try:
        return replace(config, **{name: _parsed(value, str(kinds[name])) if isinstance(value, str) else value})
    except (ValueError, TypeError) as error:
        raise type(error)(f"{source}: {path}={value}: {error}") from None


_TRUTHS = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
_KINDS: Mapping[str, Any] = MappingProxyType({"int": int, "float": float, "str": str})


def _parsed(text: str, kind: str) -> Any:
    """A value of a kind, which is written as in an annotation."""
    if kind.endswith(" | None") and text.lower() in ("none", "null"):
        return None
    if kind == "bool":
        if text.lower() not in _TRUTHS:
            raise ValueError(f"expected true or false, got {text!r}")
        return _TRUTHS[text.lower()]
    return _KINDS[kind.split(" ", maxsplit=1)[0]](text)


def _profile(name: str, source: str) -> Profile:
    if name not in PROFILES:
        raise ValueError(f"{source}: expected one of {', '.join(PROFILES)}, got {name!r}")
    return PROFILES[name]


def check_choice(name: str, value: Any, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name}: expected one of {', '.join(choices)}, got {value!r}")


def _check_integer(name: str, value: Any, minimum: int, maximum: int = 2**31) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name}: expected an integer, got {value!r}")
    if not minimum <= value <= maximum:
        raise ValueError(f"{name}: expected {minimum} to {maximum}, got {value}")


_CHECKED = Diagnostics(enabled=True, validate=True)
_GOLD = RuntimeConfig(metric="residual_correlation", dtype="float64", residual=Residual(n_inducing=512))
_OWN_METRIC = Residual(n_inducing=512, cover_tree_metric="residual_correlation")
_PROFILES = (
    Profile("default", "the defaults of all calls", RuntimeConfig()),
    Profile("residual-gold", "residual correlation with 512 inducing points, the gold standard", _GOLD),
    Profile(
        "residual-fast",
        "the same with 128 inducing points, so that features take a quarter of the time and memory",
        replace(_GOLD, residual=Residual(n_inducing=128)),
    ),
    Profile(
        "residual-audit",
        "the gold standard with the cover tree in its own metric, every rule checked and every call recorded",
        replace(_GOLD, residual=_OWN_METRIC, diagnostics=_CHECKED),
    ),
    Profile(
        "cpu-debug",
        "one thread, points in their own order, every rule checked and every call recorded",
        RuntimeConfig(threads=1, engine="native", order="natural", diagnostics=_CHECKED),
    ),
)

#: Settings that go together, by name.
PROFILES: Mapping[str, Profile] = MappingProxyType({one.name: one for one in _PROFILES})

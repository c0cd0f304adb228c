"""``Runtime`` and ``Residual`` that accept old names in addition to the new ones."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar

from numpy.typing import ArrayLike

from .. import _settings
from .._settings import Overrides, RuntimeConfig
from . import _engine_names, _environment
from ._notices import without_effect
from .host_data import ResidualCorrHostData, host_data_of
from .model import ARGUMENTS, BACKENDS, RENAMED, RuntimeModel, with_paths
from .model import RuntimeConfig as OldConfig

Self = TypeVar("Self", bound="Runtime")

LITE = "residual_correlation_lite"

#: Old names of metrics.
METRICS = {"residual": "residual_correlation", "residual-lite": LITE, "residual_lite": LITE}

# Arguments whose names are not settings of this package.
_ARGUMENTS = {name: path for name, path in ARGUMENTS.items() if name not in ("engine", "metric", "enable_diagnostics")}
# Arguments of versions before 0.4.5, which the pages of 0.4.5 still name.
_GONE = frozenset({"residual_force_whitened"})

# Paths of overrides, and the argument that each is.
_BY_PATH = {path: name for name, path in _ARGUMENTS.items()}
_BY_PATH |= {"seeds.global": "global_seed", "conflict_graph": "conflict_graph", "batch_order": "batch_order"}

_LIMITS = ("radius_floor", "scope_cap_path", "scope_cap_default")


class Residual(_settings.Residual):
    """Settings of trees in the residual-correlation metric, and residual data as in covertreex 0.4.x.

    Parameters
    ----------
    n_inducing, inducing_points, jitter, cover_tree_metric, block_size, tau
        As in :class:`covertreex.runtime.Residual`.
    v_matrix : array_like, shape (n, m), optional
        Whitened inducing features, for :meth:`covertreex.PCCT.fit`.
    p_diag : array_like, shape (n,), optional
        Residual variances, with ``v_matrix``.
    coords : array_like, shape (n, dim), optional
        Coordinates of the points, with ``v_matrix``.
    kernel_diag : array_like, shape (n,), optional
        ``k(x_i, x_i)``; by default the kernel's variance.
    kernel_type : {0, 1}
        RBF or Matern 5/2.
    variance : float
        Of the kernel.
    lengthscale : float or sequence of float
        Of the kernel.
    radius_floor, scope_cap_path, scope_cap_default : optional
        Limits of the approximate search of covertreex 0.4.x; without effect.
    """

    data: ResidualCorrHostData | None
    radius_floor: float | None
    scope_cap_path: str | None
    scope_cap_default: float | None

    def __init__(
        self,
        *,
        v_matrix: ArrayLike | None = None,
        p_diag: ArrayLike | None = None,
        coords: ArrayLike | None = None,
        kernel_diag: ArrayLike | None = None,
        kernel_type: int | str = 0,
        variance: float = 1.0,
        lengthscale: Any = 1.0,
        radius_floor: float | None = None,
        scope_cap_path: str | None = None,
        scope_cap_default: float | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        for name, value in zip(_LIMITS, (radius_floor, scope_cap_path, scope_cap_default)):
            object.__setattr__(self, name, value)
        without_effect((name for name in _LIMITS if getattr(self, name) is not None), in_stages=_LIMITS)
        arrays = {"v_matrix": v_matrix, "p_diag": p_diag, "coords": coords}
        missing = [name for name, value in arrays.items() if value is None]
        data = None
        if v_matrix is not None and p_diag is not None and coords is not None:
            data = host_data_of(v_matrix, p_diag, coords, kernel_diag, kernel_type, variance, lengthscale)
        elif len(missing) < len(arrays) or kernel_diag is not None:
            raise ValueError(f"residual: expected v_matrix, p_diag and coords together, {', '.join(missing)} missing")
        object.__setattr__(self, "data", data)

    @classmethod
    def from_config(cls, config: OldConfig) -> Residual:
        """Copy the limits of a configuration of covertreex 0.4.x."""
        return cls(**{name: getattr(config, f"residual_{name}") for name in _LIMITS})

    def as_overrides(self) -> dict[str, Any]:
        """The limits of covertreex 0.4.x, by the names of its configuration."""
        return {f"residual_{name}": getattr(self, name) for name in _LIMITS}


class Runtime(_settings.Runtime):
    """Chosen settings. A setting that is None comes from the environment.

    Parameters
    ----------
    metric, threads, dtype, engine, order, seed, leaf_size, residual, diagnostics
        As in :class:`covertreex.runtime.RuntimeConfig`. ``diagnostics`` may be True or False, for its ``enabled``.
    **legacy
        Settings by the names of covertreex 0.4.x: ``precision`` means ``dtype``, ``batch_order`` means ``order``,
        ``mis_seed``, or ``global_seed`` if that is not given, for ``seed``; ``residual_grid_seed`` is for inducing
        points of :class:`covertreex.PCCT` and of engines, and ``log_level`` is the level of this package's logger. The
        others chose between ways to the same answer: they have no effect, and a
        :class:`covertreex.legacy.LegacyWarning` says so.
    """

    _old: dict[str, Any]

    def __init__(self, **settings: Any) -> None:
        chosen, old = _resolved(settings)
        object.__setattr__(self, "_old", old)
        super().__init__(**chosen)

    def __getattr__(self, name: str) -> Any:
        # Old names: the value that was given, or the value of the new setting.
        if name == "extra":
            return {}
        if name not in _ARGUMENTS:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        new = RENAMED.get(name)
        return self._old.get(name, None if new is None or new == "seed" else getattr(self, new))

    @property
    def is_lite(self) -> bool:
        """Whether the metric is covertreex 0.4.x's correlation of coordinates."""
        return self._old.get("metric") == LITE

    def with_updates(self: Self, **settings: Any) -> Self:
        """Choose some settings otherwise, by their new or old names; None leaves one to the environment."""
        chosen, old = _resolved(settings)
        # An old name replaces the value of the new name, and a new name replaces the value of the old one.
        cleared = {name for name, value in settings.items() if value is None}
        kept_old = {
            name: value for name, value in self._old.items()
            if name not in cleared and RENAMED.get(name, name) not in settings
        }  # fmt: skip
        merged = {**kept_old, **old}
        touched = {RENAMED[name] for name in {*old, *cleared} if name in RENAMED}
        kept = {one.name: getattr(self, one.name) for one in dataclasses.fields(self)}
        said = {name: value for name, value in _renamed(merged).items() if name in touched}
        updates = {**chosen, **dict.fromkeys(touched - chosen.keys()), **said}
        made = type(self).__new__(type(self))
        object.__setattr__(made, "_old", merged)
        _settings.Runtime.__init__(made, **{**kept, **updates})
        return made

    @classmethod
    def from_profile(cls: type[Self], name: str, overrides: Overrides | None = None) -> Self:
        """Return the settings of a profile.

        Overrides may have paths of covertreex 0.4.x, too, as ``"seeds.global_seed=42"``; see
        :meth:`covertreex.runtime.RuntimeConfig.with_overrides`.
        """
        new: dict[str, Any] = {}
        old: dict[str, Any] = {}
        for path, value in _settings.override_pairs(overrides or ()):
            if path == "engine" and value in _engine_names.NAMES:
                old[path] = value
            elif path in _BY_PATH:
                old[_BY_PATH[path]] = value_of(value) if isinstance(value, str) else value
            else:
                new[path] = METRICS.get(value, value) if path == "metric" else value
        made = super().from_profile(profile_name(name), new)
        return made.with_updates(**old) if old else made

    @classmethod
    def from_config(cls: type[Self], config: Any) -> Self:
        """Return a runtime with all settings of a configuration: a new one, or one of covertreex 0.4.x."""
        if isinstance(config, RuntimeConfig):
            return super().from_config(config)
        return cls(**config.settings())

    def to_config(self, base: RuntimeConfig | None = None) -> Any:
        """Fill in what was not chosen: from the environment, or from ``base``."""
        if self.engine not in _engine_names.NAMES:
            return super().to_config(base)
        chosen = {one.name: getattr(self, one.name) for one in dataclasses.fields(self)}
        return _settings.Runtime(**_engine_names.translated(chosen)).to_config(base)

    def to_model(self, base: RuntimeModel | None = None) -> RuntimeModel:
        """All settings by the names of covertreex 0.4.x; ``base`` or the environment gives the others."""
        values: dict[str, Any] = {_ARGUMENTS[name]: value for name, value in self._old.items() if name in _ARGUMENTS}
        chosen = {
            "precision": self.dtype, "batch_order_strategy": self.order, "metric": self.metric, "engine": self.engine
        }  # fmt: skip
        unknown = (None, "auto", "native", "hybrid")  # to covertreex 0.4.x
        values |= {path: value for path, value in chosen.items() if value not in unknown}
        if self.seed is not None and "seeds.global_seed" not in values:
            values["seeds.mis"] = self.seed
        if self.is_lite:
            values["metric"] = LITE
        if self.diagnostics is not None:
            values["diagnostics.enabled"] = self.diagnostics.records
        if isinstance(self.residual, Residual):
            limits = {f"residual.{name}": getattr(self.residual, name) for name in _LIMITS}
            values |= {path: value for path, value in limits.items() if value is not None}
        return with_paths(RuntimeModel.from_env() if base is None else base, values)

    def activate(self) -> _settings.Activation:
        """Make these the settings of calls in this thread, or asynchronous task, that do not say otherwise.

        Until another one is activated, or, as a context manager, until it is left. The level of the logger stays.
        """
        if "log_level" in self._old:
            _environment.set_log_level(self._old["log_level"], "log_level")
        return super().activate()


def _resolved(given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Arguments by their new names, and given arguments by old names. It warns of arguments without a meaning."""
    new_names = {one.name for one in dataclasses.fields(_settings.Runtime)}
    chosen: dict[str, Any] = {}
    old: dict[str, Any] = {}
    for name, value in given.items():
        if name in new_names:
            chosen[name] = value
        elif name == "extra":
            for path, one in (value or {}).items():
                _sort_extra(str(path), one, chosen, old)
        elif value is not None:
            old[name] = value
    for name in sorted(old.keys() - _ARGUMENTS.keys() - _GONE):
        raise TypeError(f"{name}: no such setting; there are {', '.join(sorted(new_names))}")
    _translate(chosen, old)
    return chosen, old


def _sort_extra(path: str, value: Any, chosen: dict[str, Any], old: dict[str, Any]) -> None:
    """Sort a setting of ``extra``: by its path, or by its flat name."""
    if path in ("enable_diagnostics", "diagnostics.enabled"):
        chosen["diagnostics"] = bool(value)
    elif path in ("metric", "engine"):
        chosen[path] = value
    else:
        old[_BY_PATH.get(path, path)] = value


def _translate(chosen: dict[str, Any], old: dict[str, Any]) -> None:
    """Give old settings their new names, and warn of settings without a meaning."""
    for name in old:
        if name in RENAMED and chosen.get(RENAMED[name]) is not None:
            raise TypeError(f"{name}: means {RENAMED[name]}; give only one of them")
    chosen.update(_renamed(old))
    implied = _engine_names.NAMES.get(chosen.get("engine") or "")
    if implied is not None and "batch_order" in old and implied[1] != chosen["order"]:
        chosen["engine"] = implied[0]  # of the search; the order is as given
    metric = chosen.get("metric")
    if metric is not None:
        metric = METRICS.get(metric, metric)
        if metric == LITE:
            old["metric"], metric = LITE, "euclidean"
        chosen["metric"] = metric
    if "backend" in old:
        _settings.check_choice("backend", old["backend"], BACKENDS)
    meant = {*RENAMED, "log_level", "metric", "residual_grid_seed"}
    if old.get("backend") == "numpy":
        meant.add("backend")  # as it is
    without_effect(old.keys() - meant, {name for name, path in _ARGUMENTS.items() if path in _environment.STAGES})


def _renamed(old: Mapping[str, Any]) -> dict[str, Any]:
    """Old settings by their new names. The seed of the tree goes before the global one."""
    return {new: old[name] for name, new in RENAMED.items() if name in old}


def profile_name(name: str) -> str:
    """A profile's name as covertreex 0.4.x read it: in any case, and with the ending of its file."""
    if not isinstance(name, str):
        return name
    return name.strip().lower().replace(" ", "_").removesuffix(".yaml").removesuffix(".yml")


def value_of(text: str) -> Any:
    """Return the value of a text: a number, true or false, None, or the text itself."""
    plain = text.strip()
    words = {"true": True, "false": False, "null": None, "none": None, "": None}
    if plain.lower() in words:
        return words[plain.lower()]
    for kind in (int, float):
        try:
            return kind(plain)
        except ValueError:
            continue
    return plain

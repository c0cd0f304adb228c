"""Tables of radius limits, which the approximate search of covertreex 0.4.x used. They are read and kept, no more."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["ResidualScopeCapRecorder", "ResidualScopeCaps", "get_scope_cap_table", "reset_scope_cap_cache"]

_SCHEMA = 1


@dataclass(frozen=True)
class ResidualScopeCaps:
    """A radius for each level, and one for the others."""

    level_caps: dict[int, float]
    default_cap: float | None = None

    @classmethod
    def from_payload(cls, payload: Mapping[str, Any], default: float | None = None) -> ResidualScopeCaps:
        """Read what a file holds: ``levels`` as a mapping, or a list of ``{"level": ..., "cap": ...}``."""
        if int(payload.get("schema", _SCHEMA)) != _SCHEMA:
            raise ValueError(f"schema: expected {_SCHEMA}, got {payload['schema']}")
        caps = {level: cap for level, cap in _entries(payload.get("levels", {})) if cap is not None}
        own = _usable(payload.get("default"))
        return cls(caps, default if own is None else own)

    @classmethod
    def load(cls, path: str | Path | None, default: float | None = None) -> ResidualScopeCaps | None:
        """Read a file; with a default, one that is not there is empty."""
        if not path:
            return None if default is None else cls({}, default)
        try:
            text = Path(path).expanduser().read_text(encoding="utf-8")
        except FileNotFoundError:
            if default is None:
                raise
            return cls({}, default)
        return cls.from_payload(json.loads(text), default)

    def get_cap(self, level: int) -> float | None:
        """The radius of a level."""
        return self.level_caps.get(level, self.default_cap)

    def lookup(self, levels: NDArray[Any]) -> NDArray[np.float64]:
        """The radius of each level; infinity for a level without one."""
        caps = [self.get_cap(int(level)) for level in np.ravel(levels)]
        return np.array([np.inf if cap is None else cap for cap in caps]).reshape(np.shape(levels))


def _entries(levels: Any) -> Iterator[tuple[int, float | None]]:
    if isinstance(levels, Mapping):
        for level, value in levels.items():
            yield int(level), _usable(value.get("cap") if isinstance(value, Mapping) else value)
        return
    for entry in levels:
        named = entry.get("level", ())
        for level in named if isinstance(named, list) else [named]:
            yield int(level), _usable(entry.get("cap"))


def _usable(cap: Any) -> float | None:
    return float(cap) if cap is not None and np.isfinite(cap) and cap > 0 else None


@functools.cache
def _table(path: str) -> ResidualScopeCaps | None:
    return ResidualScopeCaps.load(path)


def get_scope_cap_table(path: str | None) -> ResidualScopeCaps | None:
    """Read a file, once."""
    return _table(str(Path(path).expanduser().absolute())) if path else None


def reset_scope_cap_cache() -> None:
    """Forget the files that were read."""
    _table.cache_clear()


@dataclass
class ResidualScopeCapRecorder:
    """Collects radii by level, and limits each level to a quantile of its radii."""

    percentile: float = 0.5
    margin: float = 0.05
    samples: dict[int, list[float]] = field(default_factory=dict)

    def record(self, levels: NDArray[Any], radii: NDArray[Any]) -> None:
        """Add radii."""
        for level, radius in zip(np.ravel(levels).tolist(), np.ravel(radii).tolist()):
            self.samples.setdefault(int(level), []).append(radius)

    def compute_caps(self) -> ResidualScopeCaps:
        """The limits."""
        caps = {level: float(np.quantile(seen, self.percentile)) for level, seen in self.samples.items()}
        return ResidualScopeCaps({level: cap * (1 + self.margin) for level, cap in caps.items()})

    def dump(self, path: str | Path) -> None:
        """Write them to a file."""
        levels = {str(level): {"cap": cap} for level, cap in self.compute_caps().level_caps.items()}
        payload = {"schema": _SCHEMA, "default": None, "percentile": self.percentile, "margin": self.margin}
        target = Path(path).expanduser()
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(json.dumps({**payload, "levels": levels}, indent=2), encoding="utf-8")

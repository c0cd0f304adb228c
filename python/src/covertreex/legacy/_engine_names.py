"""Names of engines in covertreex 0.4.x, and their engine and order here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NAMES: dict[str, tuple[str, str]] = {
    "hilbert": ("native", "hilbert"),
    "natural": ("native", "natural"),
    "python-numba": ("hybrid", "hilbert"),
    "rust-fast": ("native", "natural"),
    "rust-hilbert": ("native", "hilbert"),
    "rust-hybrid": ("native", "natural"),
    "rust-natural": ("native", "natural"),
    "rust-pcct": ("native", "hilbert"),
    "rust-pcct2": ("native", "hilbert"),
}
_OLD = {NAMES[name]: name for name in ("rust-hilbert", "rust-natural", "python-numba")}


def old_name(engine: str | None, order: str | None) -> str | None:
    """Return the name that an engine and an order of this package had; None if they had none."""
    return _OLD.get((engine or "auto", order or "hilbert"))


def translated(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the same options, with the engine and the order that an old name of an engine means."""
    engine, order = options.get("engine"), options.get("order")
    if not isinstance(engine, str) or engine not in NAMES:
        return dict(options)
    searcher, implied = NAMES[engine]
    if order is not None and order != implied:
        raise ValueError(f"engine: {engine!r} means the order {implied!r}, but order is {order!r}")
    return {**options, "engine": searcher, "order": implied}

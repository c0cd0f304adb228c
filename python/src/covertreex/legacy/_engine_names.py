"""Names of engines in covertreex 0.4.x, and their engine and order here."""

from __future__ import annotations

from .. import _engines

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

_engines.ENGINES.update(NAMES)

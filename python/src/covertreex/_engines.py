"""Engines, which search and give the same exact answers: the library, or kernels for Numba that walk its arrays."""

from __future__ import annotations

from . import _arguments

ENGINES = ("auto", "native", "hybrid")
ORDERS = ("hilbert", "natural", "random")


def resolve(engine: str, order: str | None) -> tuple[str, str]:
    """Return the engine, "native" or "hybrid", and the order."""
    _arguments.choice(engine, "engine", ENGINES)
    if order is not None:
        _arguments.choice(order, "order", ORDERS)
    return "hybrid" if engine == "hybrid" else "native", order or "hilbert"

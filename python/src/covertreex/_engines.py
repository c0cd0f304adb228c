"""What searches, by name: the library, or kernels for Numba that walk its arrays. All give the same, exact answers."""

from __future__ import annotations

from . import _arguments

ORDERS = ("hilbert", "natural", "random")

#: What a name stands for: "native" or "hybrid", and an order where the name implies one. :mod:`covertreex.legacy` adds
#: the names of covertreex 0.4.x.
ENGINES: dict[str, tuple[str, str | None]] = {
    "auto": ("native", None),
    "native": ("native", None),
    "hybrid": ("hybrid", None),
}


def resolve(engine: str, order: str | None) -> tuple[str, str]:
    """What searches, "native" or "hybrid", and the order that an engine's name and an order stand for together."""
    _arguments.choice(engine, "engine", tuple(ENGINES))
    if order is not None:
        _arguments.choice(order, "order", ORDERS)
    searcher, implied = ENGINES[engine]
    if implied is not None and order is not None and implied != order:
        raise ValueError(f"engine: {engine!r} stands for the order {implied!r}, but order is {order!r}")
    return searcher, order or implied or "hilbert"

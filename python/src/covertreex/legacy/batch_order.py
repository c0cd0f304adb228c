"""Orders of the points of a batch, and groups of growing size."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _settings
from .._partitions import curve
from . import changes
from .backend import TreeBackend
from .model import RuntimeConfig

_KEY_BITS, _MOST_BITS = 64, 32  # of a position on the curve, and of a coordinate


@dataclass(frozen=True)
class BatchOrderResult:
    """An order, and facts about it."""

    permutation: NDArray[np.int64] | None  #: (n,) rows, the first one first; None for the order as it is
    metrics: dict[str, float] = field(default_factory=dict)


def compute_batch_order(points: ArrayLike, *, strategy: str, seed: int | None = None) -> BatchOrderResult:
    """Find an order of points, of shape (n, dim).

    "hilbert": along the Hilbert curve through the box of the points. ``metrics`` of the result has the bits of a
    coordinate (``hilbert_bits_per_dim``), and the standard deviation of the distances along the curve
    (``hilbert_code_spread``). "natural": as they are. "random": by the seed, which is in ``metrics``.
    """
    rows = np.ascontiguousarray(points, np.float64)
    if rows.ndim != 2:
        raise ValueError(f"points: expected two dimensions, got shape {rows.shape}")
    _settings.check_choice("strategy", strategy, ("hilbert", "natural", "random"))
    if strategy == "natural" or len(rows) <= 1:
        return BatchOrderResult(None)
    if strategy == "random":
        return BatchOrderResult(np.random.default_rng(seed).permutation(len(rows)), {"seed": float(seed or 0)})
    keys = curve.positions(rows, rows.min(axis=0), rows.max(axis=0))
    order = np.argsort(keys, kind="stable")
    bits = max(1, min(_MOST_BITS, _KEY_BITS // rows.shape[1]))
    spread = float(np.std(np.diff(keys[order]).astype(np.float64)))
    return BatchOrderResult(order, {"hilbert_bits_per_dim": float(bits), "hilbert_code_spread": spread})


def prepare_batch_points(
    *, backend: TreeBackend, batch_points: ArrayLike, runtime: RuntimeConfig, apply_batch_order: bool
) -> tuple[NDArray[Any], NDArray[np.int64] | None, dict[str, float]]:
    """Convert points, of shape (m, dim), to the type of a backend, and put them into the order of the settings.

    Returns
    -------
    points : numpy.ndarray, shape (m, dim)
    permutation : numpy.ndarray of int64, shape (m,), or None
        ``points`` are the rows ``batch_points[permutation]``.
    metrics : dict
        As of :func:`compute_batch_order`.
    """
    points = changes.batch_rows(batch_points, backend)
    if not apply_batch_order or len(points) <= 1:
        return points, None, {}
    seeds = runtime.seeds
    seed = seeds.resolved("batch_order", fallback=seeds.resolved("mis"))
    result = compute_batch_order(points, strategy=runtime.batch_order_strategy, seed=seed)
    ordered = points if result.permutation is None else points[result.permutation]
    return ordered, result.permutation, dict(result.metrics)


def choose_prefix_factor(runtime: RuntimeConfig, domination_ratio: float) -> float:
    """Choose how much larger the next group is: less, the more points of this one were in each other's way."""
    if domination_ratio >= runtime.prefix_density_high:
        return float(runtime.prefix_growth_small)
    if domination_ratio <= runtime.prefix_density_low:
        return float(runtime.prefix_growth_large)
    return float(runtime.prefix_growth_mid)


def prefix_slices(length: int) -> list[tuple[int, int]]:
    """Cut ``length`` rows into groups of 1, 2, 4, ... rows: the first row of each, and the first one after it."""
    sizes = [2**i for i in range(max(0, int(length)).bit_length())]
    return [(size - 1, min(2 * size - 1, length)) for size in sizes]

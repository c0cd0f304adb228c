"""Orders and samples of points."""

from __future__ import annotations

import numpy as np

from .calls import How, Unpack, call
from .library import lib
from .memory import Float64s, Int64s, address, matrix


def maxmin_order(points: Float64s, **how: Unpack[How]) -> Int64s:
    """The row of each rank in the max-min order."""
    order = np.empty(len(points), np.int64)
    call(lib.covertree_maxmin_order, how, (matrix(points),), address(order))
    return order


def spread_sample(points: Float64s, count: int, seed: int, **how: Unpack[How]) -> Int64s:
    """Rows of a sample that is spread like the data (k-means++)."""
    rows = np.empty(count, np.int64)
    call(lib.covertree_spread_sample, how, (matrix(points), count, seed), address(rows))
    return rows

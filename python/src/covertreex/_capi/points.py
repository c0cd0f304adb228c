"""Orders and samples of points."""

from __future__ import annotations

from ctypes import byref

import numpy as np
from numpy.typing import NDArray

from .calls import call, call_options
from .library import lib
from .memory import address, matrix
from .running import ProgressReport


def maxmin_order(
    points: NDArray[np.float64], *, n_threads: int, progress: ProgressReport | None = None
) -> NDArray[np.int64]:
    """The row of each rank in the max-min order."""
    order, options = np.empty(len(points), np.int64), call_options(n_threads)
    arguments = (matrix(points), byref(options), address(order))
    call(lib.covertree_maxmin_order, arguments, options, progress)
    return order


def spread_sample(
    points: NDArray[np.float64], count: int, seed: int, *, n_threads: int, progress: ProgressReport | None = None
) -> NDArray[np.int64]:
    """Rows of a sample that is spread like the data (k-means++)."""
    rows, options = np.empty(count, np.int64), call_options(n_threads)
    arguments = (matrix(points), count, seed, byref(options), address(rows))
    call(lib.covertree_spread_sample, arguments, options, progress)
    return rows

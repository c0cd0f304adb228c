"""Orders and samples of points."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .calls import How, call
from .library import lib
from .memory import address, matrix

if TYPE_CHECKING:
    from typing_extensions import Unpack


def maxmin_order(points: NDArray[np.float64], **how: Unpack[How]) -> NDArray[np.int64]:
    """The row of each rank in the max-min order."""
    order = np.empty(len(points), np.int64)
    call(lib.covertree_maxmin_order, how, (matrix(points),), address(order))
    return order


def spread_sample(points: NDArray[np.float64], count: int, seed: int, **how: Unpack[How]) -> NDArray[np.int64]:
    """Rows of a sample that is spread like the data (k-means++)."""
    rows = np.empty(count, np.int64)
    call(lib.covertree_spread_sample, how, (matrix(points), count, seed), address(rows))
    return rows

"""Search in the residual process by features alone: every point that bounds do not exclude gets its distance."""

from __future__ import annotations

from typing import Any

import numpy as np

from .common import NO_EXCLUSION, insert, jitted, sort_heap
from .residual import NumbaResidualTree, eligible, residual_distance

# Queries that are compared with a block's features while these are in the cache.
_GROUP = 32


@jitted
def _promise(model: NumbaResidualTree, positions: Any) -> Any:
    """Regions in descending order of their bounds with a group, or in their own order without bounds."""
    regions = model.bounds.shape[0]
    if regions == 0:
        return np.arange((model.block_order.shape[0] + model.block_size - 1) // model.block_size)
    sums = np.zeros(regions, np.int64)
    for region in range(regions):
        for query in range(positions.shape[0]):
            sums[region] -= model.bounds[region, positions[query]]
    return np.argsort(sums)


@jitted
def feature_rows(
    model: NumbaResidualTree, rows: Any, positions: Any, before: Any, excluded: Any, coordinates: Any, features: Any,
    variances: Any, indices: Any, distances: Any,
) -> None:  # fmt: skip
    """New points have position -1 and no bounds."""
    n, k = model.block_order.shape[0], indices.shape[1]
    bounded = model.bounds.shape[0] > 0
    region_size = model.block_size * (model.blocks_per_region if bounded else 1)
    for first in range(0, rows.shape[0], _GROUP):
        group = range(first, min(first + _GROUP, rows.shape[0]))
        found = np.zeros(_GROUP, np.int64)
        for region in _promise(model, positions[first : first + _GROUP]):
            for query in group:
                row = rows[query]
                if bounded and found[query - first] == k:
                    least = 1 - distances[row, 0] * distances[row, 0]
                    if model.bounds[region, positions[query]] < least * 255 - 2**-10:
                        continue
                index = model.block_order[positions[query]] if positions[query] >= 0 else NO_EXCLUSION
                for begin in range(region * region_size, min(n, (region + 1) * region_size), model.block_size):
                    for other in range(begin, eligible(model, begin, min(n, begin + model.block_size), before[query])):
                        other_index = model.block_order[other]
                        if other_index == excluded[query]:
                            continue
                        distance = residual_distance(
                            model, other, coordinates, features, query, variances[query], index
                        )
                        found[query - first] = insert(
                            distances[row], indices[row], found[query - first], k, distance, other_index
                        )
        for query in group:
            row, count = rows[query], found[query - first]
            sort_heap(distances[row], indices[row], count)
            indices[row, count:] = -1
            distances[row, count:] = np.inf

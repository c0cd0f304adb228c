"""Sizes inside of an index, which arrwDB's statistics name: read from the arrays that the index would save.

The sections are described in ``docs/file-format.md``.
"""

from __future__ import annotations

import numpy as np

from ...indexes import VectorIndex

_LANES = 16  # children of a node of boxes, and the unit in which leaves are filled up


def tree_depth(index: VectorIndex) -> int:
    """Return the number of levels of a k-d tree, leaves included; 0 while no tree is built."""
    slots = index._file().sections("boxes.labels").get("boxes.labels")
    if slots is None:
        return 0
    leaf_size = -(-index.stats().options["leaf_size"] // _LANES) * _LANES
    nodes, levels = max(1, -(-slots.size // leaf_size)), 1
    while nodes > 1 or levels == 1:
        nodes, levels = -(-nodes // _LANES), levels + 1
    return levels


def bucket_count(index: VectorIndex) -> int:
    """Return the number of buckets with vectors, over all hash tables of an LSH."""
    found = index._file().sections("buckets", "dead")
    alive = found["dead"] == 0
    buckets = found["buckets"].reshape(alive.size, -1)[alive]
    return sum(np.unique(table).size for table in buckets.T)


def graph_levels(index: VectorIndex) -> tuple[dict[int, int], float]:
    """Return the number of vectors on each level of an HNSW, and the mean number of links of a vector."""
    found = index._file().sections("graph.levels", "graph.links", "graph.upper_first", "graph.upper_links", "dead")
    alive = found["dead"] == 0
    levels = found["graph.levels"][alive].astype(np.int64)
    counts = {level: int((levels >= level).sum()) for level in range(int(levels.max(initial=-1)) + 1)}
    n_links = int((found["graph.links"].reshape(alive.size, -1)[alive] >= 0).sum())
    width = index.stats().options["m"]
    first = found["graph.upper_first"][alive].astype(np.int64)
    for level in range(1, len(counts)):
        starts = first[levels >= level] + (level - 1) * width
        n_links += int((found["graph.upper_links"][starts[:, None] + np.arange(width)] >= 0).sum())
    return counts, n_links / max(1, levels.size)

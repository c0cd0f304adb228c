"""A tree that grows and shrinks: points are inserted in batches and removed, and indices never change."""

from __future__ import annotations

import numpy as np
from covertreex import cover_tree

rng = np.random.default_rng(0)
tree = cover_tree(rng.standard_normal((10_000, 3)))
for batch in range(5):
    new = tree.insert(rng.standard_normal((2_000, 3)))
    tree.remove(new[:500])
    print(f"batch {batch}: {tree.n_points} points, levels {len(tree.stats().levels)}")
tree.validate()

nearest, distances = tree.knn(4, queries=np.zeros((1, 3)), return_distances=True)
print(
    "nearest to the origin:", nearest[0].tolist(), "at", distances[0].round(4).tolist()
)
within = tree.radius(0.25, queries=np.zeros((1, 3)))
print("within 0.25 of it:", len(within.indices), "points")

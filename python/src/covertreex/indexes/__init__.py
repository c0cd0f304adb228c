"""Vector indexes: brute force, a k-d tree, locality-sensitive hashing, and a navigable graph, behind one interface.

>>> import numpy as np
>>> from covertreex.indexes import HNSW
>>> rng = np.random.default_rng(0)
>>> vectors = rng.standard_normal((1000, 32), dtype=np.float32)
>>> index = HNSW(32, metric="cosine")
>>> _ = index.add(None, vectors)
>>> ids, distances = index.knn(5, queries=vectors[:3])
>>> ids[:, 0]
array([0, 1, 2])
"""

from ._kinds import HNSW, LSH, BruteForce, KDTree
from ._vector_index import IndexStats, VectorIndex

load = VectorIndex.load
"""Open an index of any class, with the parameters of :meth:`VectorIndex.load`."""

__all__ = ["HNSW", "LSH", "BruteForce", "IndexStats", "KDTree", "VectorIndex", "load"]

"""A store keeps each vector once, for any number of ids.

>>> import numpy as np
>>> from covertreex import VectorStore
>>> store = VectorStore(3)
>>> store.add("a", [1, 2, 3]), store.add("b", [1, 2, 3])
(0, 0)
>>> store.add(7, [4, 5, 6])
1
>>> store.get("b")
array([1., 2., 3.], dtype=float32)
>>> len(store), store.n_unique
(3, 2)
"""

from ._vector_store import StoreStats, VectorStore

__all__ = ["StoreStats", "VectorStore"]

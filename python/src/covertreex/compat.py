"""The vector stores and indexes of arrwDB: the same names, parameters and results, built on covertreex.

>>> import numpy as np
>>> from uuid import UUID
>>> from covertreex.compat import RustHNSWIndexWrapper, RustVectorStoreWrapper
>>> store = RustVectorStoreWrapper(dimension=2)
>>> index = RustHNSWIndexWrapper(vector_store=store, M=16, ef_search=50)
>>> for number, vector in enumerate([[1, 0], [0, 1]]):
...     id = UUID(int=number)
...     index.add_vector(id, store.add_vector(id, vector))
>>> index.search(np.array([0, 2]), k=1)
[(UUID('00000000-0000-0000-0000-000000000001'), 0.0)]
>>> index
RustHNSWIndex(size=2, dimension=2, M=16, ef_search=50)
>>> store
RustVectorStore(dimension=2, vectors=2, references=2, storage=rust-in-memory)
"""

from .legacy.arrwdb.base import VectorIndex
from .legacy.arrwdb.indexes import (
    BruteForceIndex,
    HNSWIndex,
    KDTreeIndex,
    LSHIndex,
    RustBruteForceIndexWrapper,
    RustHNSWIndexWrapper,
    RustKDTreeIndexWrapper,
    RustLSHIndexWrapper,
)
from .legacy.arrwdb.stores import RustVectorStoreWrapper, VectorArena

__all__ = [
    "BruteForceIndex",
    "HNSWIndex",
    "KDTreeIndex",
    "LSHIndex",
    "RustBruteForceIndexWrapper",
    "RustHNSWIndexWrapper",
    "RustKDTreeIndexWrapper",
    "RustLSHIndexWrapper",
    "RustVectorStoreWrapper",
    "VectorArena",
    "VectorIndex",
    "VectorStore",
]

#: Another name of :class:`VectorArena`.
VectorStore = VectorArena

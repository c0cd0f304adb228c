"""What tests of arrwDB's names share: all kinds of index and of store, and the distance as NumPy has it."""

from uuid import UUID, uuid4

import numpy as np

import covertreex
from covertreex.compat import (
    BruteForceIndex,
    HNSWIndex,
    KDTreeIndex,
    LSHIndex,
    RustBruteForceIndexWrapper,
    RustHNSWIndexWrapper,
    RustKDTreeIndexWrapper,
    RustLSHIndexWrapper,
    RustVectorStoreWrapper,
    VectorArena,
)

PLAIN = (BruteForceIndex, KDTreeIndex, LSHIndex, HNSWIndex)
RUST = (RustBruteForceIndexWrapper, RustKDTreeIndexWrapper, RustLSHIndexWrapper, RustHNSWIndexWrapper)
KINDS = PLAIN + RUST
# With these all vectors of the small sets below are candidates, and answers are exact.
THOROUGH = {LSHIndex: {"n_probes": 1024}, RustLSHIndexWrapper: {"n_probes": 1024}}
DIM = 6


def sample(n, dim=DIM, seed=0):
    return np.random.default_rng(seed).normal(size=(n, dim)).astype(np.float32)


def cosine_distances(vectors, query):
    x, q = vectors.astype(float), np.asarray(query, float)
    return 1 - x @ q / (np.linalg.norm(x, axis=1) * np.linalg.norm(q))


class Foreign:
    """A store with arrwDB's methods that is not one of ours: `get_vector` takes an id and gives None for others."""

    def __init__(self, rows):
        self.dimension = rows.shape[1]
        self.rows = rows
        self.freed = set()

    def get_vector(self, chunk_id):
        return None

    def get_vector_by_index(self, index):
        if index >= len(self.rows) or index in self.freed:
            raise IndexError(f"no vector {index}")
        return self.rows[index].copy()


class BySlot:
    """A store that knows nothing but the vector at a slot."""

    def __init__(self, rows):
        self.rows = rows

    def get_vector(self, slot):
        return self.rows[slot] if slot < len(self.rows) else None


def filled(store, rows):
    for number, row in enumerate(rows):
        assert store.add_vector(UUID(int=number), row) == number
    return store


def core(rows):
    store = covertreex.VectorStore(rows.shape[1])
    store.add_batch(range(len(rows)), rows)
    return store


STORES = {
    "arena": lambda rows: filled(VectorArena(dimension=rows.shape[1]), rows),
    "rust": lambda rows: filled(RustVectorStoreWrapper(dimension=rows.shape[1]), rows),
    "core": core,
    "foreign": Foreign,
    "slots": BySlot,
    "array": lambda rows: rows,
}


def index_of(kind, rows, store="arena", **options):
    """An index of all rows, and their ids."""
    made = kind(STORES[store](rows), **{**THOROUGH.get(kind, {}), **options})
    ids = [uuid4() for _ in rows]
    for slot, one in enumerate(ids):
        made.add_vector(one, slot)
    return made, ids

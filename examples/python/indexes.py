"""Four indexes of the same vectors: their recall, changes, filters and files."""

import tempfile
import uuid
from pathlib import Path

import numpy as np
from covertreex.indexes import HNSW, LSH, BruteForce, KDTree

rng = np.random.default_rng(0)
topics = rng.standard_normal((40, 48))
vectors = (
    topics[rng.integers(0, 40, 5000)] + 0.5 * rng.standard_normal((5000, 48))
).astype(np.float32)
queries = vectors[:100] + 0.1 * rng.standard_normal((100, 48), dtype=np.float32)

exact = BruteForce(48, metric="cosine")
exact.add(None, vectors)
expected, _ = exact.knn(10, queries=queries)

for index in (
    KDTree(48, metric="cosine"),
    LSH(48, metric="cosine"),
    HNSW(48, metric="cosine"),
):
    index.add(None, vectors)
    ids, distances = index.knn(10, queries=queries)
    recall = np.mean([len(np.intersect1d(a, b)) for a, b in zip(ids, expected)]) / 10
    print(
        f"{type(index).__name__:8} recall {recall:.3f}, {index.stats().memory_bytes / 1e6:.1f} MB"
    )

# Ids can be integers, strings and most other hashable values. A filter limits the vectors that a search may return.
notes = HNSW(48)
names = [uuid.uuid4() for _ in range(1000)]
notes.add(names, vectors[:1000])
notes.remove(names[:10])
notes.update(names[10], vectors[2000])
ids, distances = notes.knn_one(1, query=vectors[2000])
print("updated", ids[0] == names[10], "at distance", distances[0])
ids, _ = notes.knn_one(3, query=vectors[500], filter=names[600:])
print("among the filtered", all(one in names[600:] for one in ids))

with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "notes.ct"
    notes.save(path)
    print("loaded", HNSW.load(path))

"""A float64 brute force for vector indexes, written apart from the library, and vectors to try it on."""

import numpy as np

from covertreex.indexes import HNSW, LSH, BruteForce, KDTree

METRICS = ("l2", "sqeuclidean", "ip", "cosine")
EXACT = (BruteForce, KDTree)
ALL = (BruteForce, KDTree, LSH, HNSW)


def sample(n, dim, seed=0):
    return np.random.default_rng(seed).normal(size=(n, dim)).astype(np.float32)


def clustered(n, dim, seed=0):
    rng = np.random.default_rng(seed)
    centers = rng.normal(size=(50, dim))
    return (centers[rng.integers(0, 50, n)] + 0.4 * rng.normal(size=(n, dim))).astype(np.float32)


def oracle(vectors, queries, metric):
    """Distances in float64, of what is kept: unit vectors in float32 for the cosine."""
    x, q = vectors.astype(float), queries.astype(float)
    if metric == "cosine":
        x, q = (
            (a / np.linalg.norm(a, axis=1, keepdims=True)).astype(np.float32).astype(float) for a in (x, q)
        )  # fmt: skip
    if metric == "ip":
        return -q @ x.T
    squared = np.stack([((x - one) ** 2).sum(axis=1) for one in q])
    return {"l2": np.sqrt(squared), "sqeuclidean": squared, "cosine": squared / 2}[metric]


def recall(ids, truth):
    return np.mean([len(np.intersect1d(a, b)) for a, b in zip(ids, truth)]) / truth.shape[1]


def truth(vectors, queries, k):
    return np.argsort(oracle(vectors, queries, "sqeuclidean"), axis=1, kind="stable")[:, :k]

"""Queries that follow each other share where they begin and how far they look: sets of several levels of boxes."""

import numpy as np
import pytest

from covertreex import cover_tree

N = 2500
KS = (1, 2, 10, 16, 17, 33, 50, 64, 65, 128, 129, 300)


def integers(rng, kind, dim, n=N):
    """Points whose squared distances are exact in either type, so that every tie is one."""
    if kind == "lattice":  # equal distances everywhere
        return rng.integers(-4, 5, (n, dim))
    if kind == "clusters":
        return rng.integers(-100, 101, (20, dim))[rng.integers(0, 20, n)] * 20 + rng.integers(-3, 4, (n, dim))
    if kind == "duplicates":
        return rng.integers(-1000, 1001, (n // 5, dim))[rng.integers(0, n // 5, n)]
    return rng.integers(-1000, 1001, (n, dim))


def ranked(queries, points, allowed=None):
    """All points by distance and then by index, -1 where they are not allowed, and the squared distances."""
    squared = ((queries[:, None, :].astype(np.int64) - points[None, :, :]) ** 2).sum(axis=2)
    keys = squared if allowed is None else np.where(allowed, squared, np.iinfo(np.int64).max)
    order = np.argsort(keys, axis=1, kind="stable")
    if allowed is not None:
        order[np.arange(len(points)) >= allowed.sum(axis=1)[:, None]] = -1
    return order, squared


@pytest.mark.parametrize("kind", ["spread", "lattice", "clusters", "duplicates"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("dim", [1, 2, 3, 4, 5, 8])
def test_every_specialisation_and_mode(rng, dim, dtype, kind):
    points = integers(rng, kind, dim)
    tree = cover_tree(points.astype(dtype), order=("hilbert", "natural", "random")[dim % 3])
    tree.validate()
    fresh = integers(rng, kind, dim, 300)
    by_rank, squared = ranked(fresh, points)
    for k in KS:
        assert (tree.knn(k, queries=fresh.astype(dtype)) == by_rank[:, :k]).all()
    limit = np.sqrt(np.median(np.sort(squared, axis=1)[:, 20]))
    inside = (np.sqrt(squared) <= limit).sum(axis=1)
    assert (tree.radius(limit, queries=fresh.astype(dtype), count_only=True) == inside).all()
    found = tree.radius(limit, queries=fresh.astype(dtype))
    for row in range(0, 300, 7):
        mine = found.indices[found.offsets[row] : found.offsets[row + 1]]
        assert (mine == by_rank[row, : inside[row]]).all()
    for k in (1, 30):
        limited = tree.knn(k, queries=fresh.astype(dtype), max_distance=limit)
        assert (limited == np.where(np.arange(k) < inside[:, None], by_rank[:, :k], -1)).all()
    nearest = np.sqrt(np.median(squared.min(axis=1)))
    limited = tree.knn(1, queries=fresh.astype(dtype), max_distance=nearest)
    assert (limited == np.where(np.sqrt(squared.min(axis=1))[:, None] <= nearest, by_rank[:, :1], -1)).all()


@pytest.mark.parametrize("kind", ["spread", "lattice", "duplicates"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("dim", [2, 3, 6])
def test_own_points_predecessors_and_removal(rng, dim, dtype, kind):
    points = integers(rng, kind, dim, 1500)
    tree = cover_tree(points.astype(dtype))
    rows = np.arange(1500)
    every = ranked(points, points)[0]
    others = ranked(points, points, rows[None, :] != rows[:, None])[0]
    earlier = ranked(points, points, rows[None, :] < rows[:, None])[0]
    gone = rng.choice(1500, 300, replace=False)
    left = np.setdiff1d(rows, gone)
    for k in (1, 10, 40, 130):
        assert (tree.knn(k) == every[:, :k]).all()
        assert (tree.knn(k, exclude_self=True) == others[:, :k]).all()
        assert (tree.knn(k, predecessor_mode=True) == earlier[:, :k]).all()
    tree.remove(gone)
    kept = ranked(points[left], points[left])[0]
    for k in (1, 10, 130):
        assert (tree.knn(k) == left[kept[:, :k]]).all()


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_any_number_of_threads(rng, threads):
    points = rng.standard_normal((20_000, 3)).astype(np.float32)
    tree = cover_tree(points, n_threads=threads)
    one = cover_tree(points, n_threads=1)
    assert (tree.export_arrays().parents == one.export_arrays().parents).all()
    assert (tree.knn(20, n_threads=threads) == one.knn(20, n_threads=1)).all()


@pytest.mark.parametrize("k", [1, 12])
def test_far_queries_among_near_ones(rng, k):
    points = rng.integers(0, 100, (3000, 3))
    fresh = np.concatenate([rng.integers(0, 100, (100, 3)), rng.integers(-5000, 5000, (100, 3))])
    fresh = rng.permutation(fresh)
    tree = cover_tree(points.astype(np.float32))
    assert (tree.knn(k, queries=fresh.astype(np.float32)) == ranked(fresh, points)[0][:, :k]).all()


@pytest.mark.parametrize("dim", [2, 3, 8])
def test_distances_that_float32_cannot_tell_apart(rng, dim):
    # Points on spheres, queries near their centres: distances differ by less than the rounding of a float32 sum.
    centers = rng.uniform(-20, 20, (30, dim))
    directions = rng.standard_normal((30, 60, dim))
    directions /= np.linalg.norm(directions, axis=2, keepdims=True)
    points = (centers[:, None, :] + directions).reshape(-1, dim).astype(np.float32)
    fresh = np.repeat(centers, 10, axis=0)
    fresh = (fresh + rng.standard_normal(fresh.shape) * 1e-7).astype(np.float32)
    squared = ((fresh[:, None, :].astype(float) - points[None, :, :]) ** 2).sum(axis=2)
    by_rank = np.argsort(squared, axis=1, kind="stable")
    as_float32 = ((fresh[:, None, :] - points[None, :, :]) ** 2).sum(axis=2, dtype=np.float32)
    assert (as_float32.argmin(axis=1) != by_rank[:, 0]).any()
    tree = cover_tree(points)
    tree.validate()
    for k in (1, 2, 12, 40):
        assert (tree.knn(k, queries=fresh) == by_rank[:, :k]).all()


@pytest.mark.parametrize("k", [1, 10])
@pytest.mark.parametrize("dim", [2, 3, 6])
def test_float32_coordinates_whose_squares_overflow(rng, dim, k):
    scale = np.float32(2.0**80)
    points, fresh = rng.integers(-1000, 1001, (4000, dim)), rng.integers(-1000, 1001, (300, dim))
    tree = cover_tree(points.astype(np.float32) * scale)
    tree.validate()
    assert (tree.knn(k, queries=fresh.astype(np.float32) * scale) == ranked(fresh, points)[0][:, :k]).all()
    some = rng.choice(4000, 300, replace=False)
    assert (tree.knn(k)[some] == ranked(points[some], points)[0][:, :k]).all()

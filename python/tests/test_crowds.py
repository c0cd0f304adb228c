"""Crowds: many points at one location, or equally far away.

Answers are exact, ties go to the lower index, and searches stay cheap.

Coordinates are so round that squares and their sums are exact in float64. So the oracle knows each tie.
"""

import functools

import numpy as np
import pytest

from covertreex import cover_tree

N = 1500


def one_location(rng):
    return np.full((N, 3), 0.5)


def half_at_one_location(rng):
    points = rng.integers(-64, 64, (N, 3)) / 8
    points[rng.permutation(N)[: N // 2]] = 1.25
    return points


def many_locations(rng):
    return (rng.integers(-64, 64, (12, 3)) / 8)[rng.integers(0, 12, N)]


def grid(rng):
    return rng.integers(0, 4, (N, 4)).astype(float)


def shell(rng):
    """Corners of cubes around 0, all of which are equally far from it."""
    points = rng.choice([-1.0, 1.0], (N, 8))
    points[:3] = 0
    return points


CROWDS = [one_location, half_at_one_location, many_locations, grid, shell]
# By a power of two: squares of float64 distances lose digits below 2^-480, those of float32 differences below 2^-63.
SCALES = [(np.float32, 1.0), (np.float32, 2.0**-80), (np.float64, 1.0), (np.float64, 2.0**-600)]


def squares_between(queries, points):
    return ((queries[:, None, :] - points[None, :, :]) ** 2).sum(axis=2)


def nearest(squares, k):
    """The brute force: indices of the k nearest by (distance, index); those at infinity do not count."""
    order = np.argsort(squares, axis=1, kind="stable")[:, :k]
    order[np.isinf(np.take_along_axis(squares, order, axis=1))] = -1
    return np.pad(order, ((0, 0), (0, k - order.shape[1])), constant_values=-1)


@functools.cache
def crowd_and_queries(crowd):
    rng = np.random.default_rng(0)
    points = crowd(rng)
    queries = np.concatenate([points[rng.integers(0, N, 100)], rng.integers(-8, 8, (100, points.shape[1])) / 4])
    return points, queries[rng.permutation(200)]


@functools.cache
def neighbours(crowd):
    """The 200 nearest of each point by the options of a search; "queries" are those of the other queries."""
    points, queries = crowd_and_queries(crowd)
    squares = squares_between(points, points)
    itself, earlier = np.eye(N, dtype=bool), np.tri(N, k=-1, dtype=bool)
    return {
        "all": nearest(squares, 200),
        "exclude_self": nearest(np.where(itself, np.inf, squares), 200),
        "predecessor_mode": nearest(np.where(earlier, squares, np.inf), 200),
        "max_distance": nearest(np.where(squares > 1.5**2, np.inf, squares), 200),
        "queries": nearest(squares_between(queries, points), 200),
    }


@pytest.mark.parametrize("dtype, scale", SCALES)
@pytest.mark.parametrize("crowd", CROWDS)
@pytest.mark.parametrize("k", [1, 2, 10, 100, 200])
def test_neighbours_among_crowds(crowd, dtype, scale, k):
    points, queries = ((array * scale).astype(dtype) for array in crowd_and_queries(crowd))
    expected = {name: found[:, :k] for name, found in neighbours(crowd).items()}
    tree = cover_tree(points)

    assert (tree.knn(k) == expected["all"]).all()
    for threads in (1, 2):
        assert (tree.knn(k, n_threads=threads) == expected["all"]).all()
    assert (tree.knn(k, exclude_self=True) == expected["exclude_self"]).all()
    assert (tree.knn(k, predecessor_mode=True) == expected["predecessor_mode"]).all()
    assert (tree.knn(k, max_distance=1.5 * scale) == expected["max_distance"]).all()
    assert (tree.knn(k, queries=queries) == expected["queries"]).all()
    for row in range(5):
        assert (tree.knn(k, queries=queries[row : row + 1]) == expected["queries"][row]).all()


@pytest.mark.parametrize("k", [1, 10, 150])
def test_float64_queries_among_crowds_of_float32(k):
    rng = np.random.default_rng(k)
    points = rng.integers(0, 2, (N, 3)).astype(float)
    # Half a step of float32 next to a point: rounded there, and then another point may be as near.
    queries = rng.integers(0, 2, (200, 3)) + 2.0**-24 * rng.integers(-1, 2, (200, 3))
    tree = cover_tree(points.astype(np.float32))
    squares = squares_between(queries, points)
    assert (tree.knn(k, queries=queries) == nearest(squares, k)).all()
    for limit in (0, 1, 1.5, 2):
        counts = tree.radius(limit, queries=queries, count_only=True)
        # A distance counts if it is within the limit before or after it is rounded to float32.
        distances = np.sqrt(squares)
        assert (counts == ((distances <= limit) | (distances.astype(np.float32) <= limit)).sum(axis=1)).all()


@pytest.mark.parametrize("dtype, scale", SCALES)
@pytest.mark.parametrize("crowd", CROWDS)
def test_counts_among_crowds(crowd, dtype, scale):
    points, _ = crowd_and_queries(crowd)
    tree = cover_tree((points * scale).astype(dtype))
    squares = squares_between(points, points)
    for limit in (0, 1, 2.5, 100):
        within = squares <= limit**2
        assert (tree.radius(limit * scale, count_only=True) == within.sum(axis=1)).all()
        counts = tree.radius(limit * scale, count_only=True, exclude_self=True)
        assert (counts == within.sum(axis=1) - 1).all()
        counts = tree.radius(limit * scale, count_only=True, predecessor_mode=True)
        assert (counts == np.tril(within, -1).sum(axis=1)).all()
    tree.remove(np.arange(0, N, 3))
    left = np.arange(N) % 3 != 0
    for limit in (0, 2.5, 100):
        counts = tree.radius(limit * scale, queries=(points * scale).astype(dtype), count_only=True)
        assert (counts == (squares <= limit**2)[:, left].sum(axis=1)).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("work", ["one", "ten", "many", "others", "predecessors", "next to", "count", "count before"])
def test_searches_of_equal_points_take_linear_time(work, dtype):
    """A query among equal points is compared with as many of them, whether there are 4 000 or 16 000."""

    def compared(n):
        tree = cover_tree(np.full((n, 3), 0.25, dtype))
        before = tree.stats().points_compared
        if work == "one":
            tree.knn(1)
        elif work == "ten":
            tree.knn(10)
        elif work == "many":
            tree.knn(150)
        elif work == "others":
            tree.knn(10, exclude_self=True)
        elif work == "predecessors":
            tree.knn(10, predecessor_mode=True)
        elif work == "next to":
            tree.knn(10, queries=np.random.default_rng(0).standard_normal((n, 3)).astype(dtype))
        elif work == "count":
            tree.radius(1, count_only=True)
        else:
            tree.radius(1, count_only=True, predecessor_mode=True)
        return (tree.stats().points_compared - before) / n

    # Equal points need not be sorted by index, so that ten neighbours may be in ten leaves of 32, and 150 in as many.
    assert compared(16_000) < 1.3 * compared(4_000) + 32

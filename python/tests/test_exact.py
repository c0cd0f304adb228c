"""Searches give the brute force's answer."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle import assert_cover_tree, assert_nearest, distances, rounding, within
from strategies import orders, point_sets

from covertreex import cover_tree


@given(points=point_sets(), order=orders, seed=st.integers(0, 2**64 - 1), leaf_size=st.integers(1, 70))
def test_a_tree_keeps_every_rule(points, order, seed, leaf_size):
    tree = cover_tree(points, order=order, seed=seed, leaf_size=leaf_size)
    assert tree.validate()
    assert_cover_tree(tree.export_arrays(), len(points))


@given(points=point_sets(), k=st.integers(1, 130), order=orders, leaf_size=st.integers(1, 70))
def test_all_points(points, k, order, leaf_size):
    tree = cover_tree(points, order=order, leaf_size=leaf_size)
    indices, found = tree.knn(k, return_distances=True)
    assert_nearest(points, points, k, indices, found, dtype=points.dtype)


@given(points=point_sets(), k=st.integers(1, 130), data=st.data())
def test_new_points(points, k, data):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    spread = np.ptp(points.astype(np.float64)) / 2
    queries = points[rng.integers(0, len(points), 40)] + spread * rng.standard_normal((40, points.shape[1]))
    queries = queries.astype(points.dtype)
    indices, found = cover_tree(points).knn(k, queries=queries, return_distances=True)
    assert_nearest(points, queries, k, indices, found, dtype=points.dtype)


@given(points=point_sets(), k=st.integers(1, 130), order=orders)
def test_predecessors(points, k, order):
    tree = cover_tree(points, order=order)
    n = len(points)
    allowed = np.tri(n, k=-1, dtype=bool)
    indices, found = tree.knn(k, predecessor_mode=True, return_distances=True)
    assert_nearest(points, points, k, indices, found, allowed=allowed, dtype=points.dtype)
    some = np.random.default_rng(0).permutation(n)[: n // 2 + 1]
    assert (tree.knn(k, queries=some, predecessor_mode=True) == indices[some]).all()


@given(points=point_sets(), k=st.integers(1, 130))
def test_others(points, k):
    tree = cover_tree(points)
    allowed = ~np.eye(len(points), dtype=bool)
    indices, found = tree.knn(k, exclude_self=True, return_distances=True)
    assert_nearest(points, points, k, indices, found, allowed=allowed, dtype=points.dtype)


@given(points=point_sets(), quantile=st.floats(0, 1))
def test_maximum_distance_and_radius(points, quantile):
    tree = cover_tree(points)
    true = distances(points, points)
    # Between two distances that occur, so that rounding of sums decides nothing.
    values = np.unique(true)
    position = min(int(quantile * len(values)), len(values) - 1)
    limit = (
        values[position] * (1 + 1e-9) if position + 1 == len(values) else (values[position] + values[position + 1]) / 2
    )
    if position + 1 < len(values) and not values[position] * (1 + 1e-9) < limit:
        return
    inside = within(true, limit, points.dtype)
    indices, found = tree.knn(5, max_distance=limit, return_distances=True)
    assert_nearest(points, points, 5, indices, found, max_distance=limit, dtype=points.dtype)

    lists = tree.radius(limit, return_distances=True)
    assert (np.diff(lists.offsets) == inside.sum(axis=1)).all()
    assert (tree.radius(limit, count_only=True) == inside.sum(axis=1)).all()
    for row in range(len(points)):
        mine = slice(lists.offsets[row], lists.offsets[row + 1])
        assert set(lists.indices[mine]) == set(np.flatnonzero(inside[row]))
        assert (np.diff(lists.distances[mine]) >= 0).all()
        np.testing.assert_allclose(lists.distances[mine], true[row, lists.indices[mine]], **rounding(points))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("n", "dim"), [(20_000, 2), (20_000, 3), (10_000, 8), (3_000, 16), (1_000, 100), (400, 700)])
def test_sizes_with_many_blocks(rng, n, dim, dtype):
    points = rng.standard_normal((n, dim)).astype(dtype)
    queries = rng.standard_normal((100, dim)).astype(dtype)
    tree = cover_tree(points)
    tree.validate()
    for k in (1, 10, 200):
        indices, found = tree.knn(k, queries=queries, return_distances=True)
        assert_nearest(points, queries, k, indices, found, dtype=dtype)


def test_a_lattice_with_ties_everywhere():
    points = np.stack(np.meshgrid(*[np.arange(13.0)] * 3), axis=-1).reshape(-1, 3)
    true = distances(points, points)
    nearest = np.lexsort((np.broadcast_to(np.arange(len(points)), true.shape), true), axis=1)
    for order in ("hilbert", "natural", "random"):
        tree = cover_tree(points, order=order, seed=3)
        tree.validate()
        assert (tree.knn(40) == nearest[:, :40]).all()
    # Distances of integers are exact: a radius that is one includes it.
    assert (tree.radius(5.0, count_only=True) == (true <= 5).sum(axis=1)).all()


def test_a_result_is_a_prefix_of_the_next(rng):
    points = rng.integers(0, 6, (500, 3)).astype(np.float32)
    tree = cover_tree(points)
    longer = tree.knn(200)
    for k in (1, 2, 7, 127, 128, 129, 199):
        assert (tree.knn(k) == longer[:, :k]).all()


def test_float32_ties_are_decided_in_float64():
    # In float32 both squared distances round to the same value; the second point is nearer.
    points = np.array([[1.0, 3e-4], [1.0, 0.0]], np.float32)
    assert cover_tree(points).knn(2, queries=np.zeros((1, 2), np.float32)).tolist() == [[1, 0]]
    rng = np.random.default_rng(1)
    points = (1 + 1e-6 * rng.standard_normal((4000, 3))).astype(np.float32)
    queries = np.zeros((20, 3), np.float32) + rng.standard_normal((20, 3)).astype(np.float32)
    assert_nearest(points, queries, 30, cover_tree(points).knn(30, queries=queries))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_extreme_coordinates(dtype):
    tiny = 1e-42 if dtype is np.float32 else 1e-140
    points = np.array([[1e30, 0], [-1e30, 0], [0, 1e-30], [0, 2e-30], [tiny, 0], [0, 0], [1, 1]], dtype)
    tree = cover_tree(points)
    tree.validate()
    assert_cover_tree(tree.export_arrays(), len(points))
    indices, found = tree.knn(7, return_distances=True)
    assert_nearest(points, points, 7, indices, found, dtype=dtype)


def test_distances_whose_squares_underflow():
    points = np.array([[0.0, 0.0], [1.0, 0.0]])
    indices, found = cover_tree(points).knn(2, queries=[[3e-200, 4e-200], [5e-320, 0.0]], return_distances=True)
    assert indices.tolist() == [[0, 1], [0, 1]]
    np.testing.assert_allclose(found, [[5e-200, 1.0], [5e-320, 1.0]])

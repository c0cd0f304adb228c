"""Many dimensions without structure: queries are compared with all points, as a matrix product, and exactly."""

import numpy as np
import oracle
import pytest

from covertreex import cover_tree


def dense_share(tree, search):
    """What a search returns, and the share of the points that its queries were compared with."""
    before = tree.stats()
    found = search()
    after = tree.stats()
    queries = after.queries - before.queries
    return found, (after.points_compared - before.points_compared) / (queries * tree.n_points)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("n", "dim", "k"), [(700, 16, 1), (1001, 40, 10), (333, 200, 50), (300, 130, 400)])
def test_equals_brute_force(rng, dtype, n, dim, k):
    points = rng.standard_normal((n, dim)).astype(dtype)
    queries = rng.standard_normal((150, dim)).astype(dtype)
    tree = cover_tree(points)
    (indices, distances), share = dense_share(tree, lambda: tree.knn(k, queries=queries, return_distances=True))
    assert share > 0.99
    oracle.assert_nearest(points, queries, k, indices, distances, dtype=dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_predecessors_self_removed_and_a_limit(rng, dtype):
    points = rng.standard_normal((600, 24)).astype(dtype)
    points[300:] = points[rng.integers(0, 300, 300)]  # duplicates
    tree = cover_tree(points, seed=3)
    rows = np.arange(600)
    earlier = rows[None, :] < rows[:, None]
    indices, distances = tree.knn(7, predecessor_mode=True, return_distances=True)
    oracle.assert_nearest(points, points, 7, indices, distances, allowed=earlier, dtype=dtype)
    indices, distances = tree.knn(7, exclude_self=True, return_distances=True)
    oracle.assert_nearest(points, points, 7, indices, distances, allowed=~np.eye(600, dtype=bool), dtype=dtype)
    limit = float(np.median(distances))
    indices, distances = tree.knn(9, max_distance=limit, return_distances=True)
    oracle.assert_nearest(points, points, 9, indices, distances, max_distance=limit, dtype=dtype)
    gone = rng.choice(600, 60, replace=False)
    tree.remove(gone)
    allowed = np.ones((600, 600), bool)
    allowed[:, gone] = False
    queries = points + dtype(0.01)
    indices, distances = tree.knn(5, queries=queries, return_distances=True)
    oracle.assert_nearest(points, queries, 5, indices, distances, allowed=allowed, dtype=dtype)


def test_rounding_is_allowed_for(rng):
    """Neighbours so close to each other that float32 products alone would confuse them."""
    centers = rng.standard_normal((60, 48)) + 6
    points = (centers[rng.integers(0, 60, 900)] + 1e-5 * rng.standard_normal((900, 48))).astype(np.float32)
    queries = (centers[rng.integers(0, 60, 200)] + 1e-5 * rng.standard_normal((200, 48))).astype(np.float32)
    points[:450] = rng.standard_normal((450, 48)) + 6
    tree = cover_tree(points)
    (indices, distances), share = dense_share(tree, lambda: tree.knn(5, queries=queries, return_distances=True))
    oracle.assert_nearest(points, queries, 5, indices, distances, dtype=np.float32)
    shuffled = (rng.standard_normal((300, 48)) + 6).astype(np.float32)
    (indices, distances), share = dense_share(tree, lambda: tree.knn(40, queries=shuffled, return_distances=True))
    assert share > 0.9
    oracle.assert_nearest(points, shuffled, 40, indices, distances, dtype=np.float32)


@pytest.mark.parametrize("offset", [0.0, 100.0, 1e6])
@pytest.mark.parametrize("scale", [1.0, 1e-18, 1e15])
def test_cancellation_and_extreme_sizes(rng, offset, scale):
    """Far from the origin squared lengths cancel; the answer stays, if only by looking at more points."""
    points = ((rng.standard_normal((400, 32)) + offset) * scale).astype(np.float32)
    queries = ((rng.standard_normal((140, 32)) + offset) * scale).astype(np.float32)
    tree = cover_tree(points)
    indices, distances = tree.knn(5, queries=queries, return_distances=True)
    oracle.assert_nearest(points, queries, 5, indices, distances, dtype=np.float32)


def test_lengths_that_overflow(rng):
    points = (rng.standard_normal((400, 20)) * 1e19).astype(np.float32)
    tree = cover_tree(points)
    indices, distances = tree.knn(5, queries=points[:200], return_distances=True)
    oracle.assert_nearest(points, points[:200], 5, indices, distances, dtype=np.float32)


def test_same_answers_for_any_number_of_threads_and_queries(rng):
    points = rng.standard_normal((900, 64)).astype(np.float32)
    tree = cover_tree(points)
    every, share = dense_share(tree, lambda: tree.knn(8, n_threads=2))
    assert share > 0.99
    np.testing.assert_array_equal(tree.knn(8, n_threads=1), every)
    few, share = dense_share(tree, lambda: tree.knn(8, queries=np.arange(0, 900, 60)))
    np.testing.assert_array_equal(few, every[::60])


def test_structure_is_used(rng):
    """Points near a plane: boxes keep most of them out, and no query looks at all."""
    points = np.zeros((4000, 24), np.float32)
    points[:, :2] = rng.random((4000, 2))
    tree = cover_tree(points)
    _, share = dense_share(tree, lambda: tree.knn(5))
    assert share < 0.2


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_queries_unlike_the_first_ones(rng, dtype):
    """What the first queries of a call find is only a guess for the others."""
    points = rng.standard_normal((900, 32)).astype(dtype)
    scales = rng.permutation(np.repeat([0.0, 0.3, 1.0, 5.0, 1000.0], 60))
    queries = (scales[:, None] * rng.standard_normal((300, 32))).astype(dtype)
    tree = cover_tree(points)
    for k in (1, 12, 300):
        indices, distances = tree.knn(k, queries=queries, return_distances=True)
        oracle.assert_nearest(points, queries, k, indices, distances, dtype=dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_one_coordinate_far_larger_than_the_others(rng, dtype):
    """Rounded to bytes, such points tell nothing."""
    points = rng.standard_normal((800, 20)).astype(dtype)
    points[:, 7] *= 0.01
    points[0, 3] = 1e4
    queries = rng.standard_normal((150, 20)).astype(dtype)
    indices, distances = cover_tree(points).knn(10, queries=queries, return_distances=True)
    oracle.assert_nearest(points, queries, 10, indices, distances, dtype=dtype)


# Radius search


def assert_within(points, queries, radius, lists, counts, *, allowed=None, dtype=np.float64):
    """`lists` are all points within the radius, nearest first, ties by index; `counts` how many."""
    true = oracle.distances(queries, points)
    inside = oracle.within(true, radius, dtype)
    if allowed is not None:
        inside &= allowed
    np.testing.assert_array_equal(np.diff(lists.offsets), inside.sum(axis=1))
    np.testing.assert_array_equal(counts, inside.sum(axis=1))
    for row in range(len(queries)):
        part = slice(lists.offsets[row], lists.offsets[row + 1])
        found, distances = lists.indices[part], lists.distances[part]
        np.testing.assert_array_equal(np.sort(found), np.flatnonzero(inside[row]))
        np.testing.assert_allclose(distances, true[row, found], **oracle.rounding(points))
        assert (np.diff(distances) >= 0).all()
        ties = (np.diff(true[row, found]) == 0) & oracle.exact_ties(queries[row], points[found])
        assert (np.diff(found)[ties] > 0).all()


def between(true, quantile):
    """A radius between two distances that occur, so that rounding of sums decides nothing."""
    values = np.unique(true)
    position = min(int(quantile * len(values)), len(values) - 2)
    gaps = np.diff(values[position : position + 50])
    widest = position + int(gaps.argmax())
    return float((values[widest] + values[widest + 1]) / 2)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("n", "dim"), [(700, 16), (1001, 40), (333, 200)])
@pytest.mark.parametrize("quantile", [0.002, 0.03, 0.6, 1.0])
def test_radius_equals_brute_force(rng, dtype, n, dim, quantile):
    points = rng.standard_normal((n, dim)).astype(dtype)
    points[n // 2 : n // 2 + 40] = points[:40]  # duplicates
    queries = rng.standard_normal((150, dim)).astype(dtype)
    radius = between(oracle.distances(queries, points), quantile)
    tree = cover_tree(points)
    lists, share = dense_share(tree, lambda: tree.radius(radius, queries=queries, return_distances=True))
    counts, counting = dense_share(tree, lambda: tree.radius(radius, queries=queries, count_only=True))
    if dim > 16:
        assert min(share, counting) > 0.99
    assert_within(points, queries, radius, lists, counts, dtype=dtype)
    np.testing.assert_array_equal(tree.radius(radius, queries=queries, n_threads=1).indices, lists.indices)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("mode", [{}, {"exclude_self": True}, {"predecessor_mode": True}])
def test_radius_around_own_points(rng, dtype, mode):
    points = rng.standard_normal((600, 24)).astype(dtype)
    points[300:] = points[rng.integers(0, 300, 300)]
    true = oracle.distances(points, points)
    allowed = {
        "exclude_self": ~np.eye(600, dtype=bool),
        "predecessor_mode": np.tri(600, k=-1, dtype=bool),
    }.get(next(iter(mode), ""), np.ones((600, 600), bool))
    radius = between(true[allowed], 0.4)
    tree = cover_tree(points, seed=3)
    for limit in (0.0, radius):
        lists = tree.radius(limit, return_distances=True, **mode)
        assert_within(
            points, points, limit, lists, tree.radius(limit, count_only=True, **mode), allowed=allowed, dtype=dtype
        )
    gone = rng.choice(600, 60, replace=False)
    tree.remove(gone)
    allowed = np.ones((200, 600), bool)
    allowed[:, gone] = False
    queries = points[:200] + dtype(0.01)
    lists = tree.radius(radius, queries=queries, return_distances=True)
    counts = tree.radius(radius, queries=queries, count_only=True)
    assert_within(points, queries, radius, lists, counts, allowed=allowed, dtype=dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_radius_that_was_a_distance_includes_that_point(rng, dtype):
    """Limits are rounded as distances are; products alone would not tell."""
    points = (rng.standard_normal((500, 32)) + 3).astype(dtype)
    queries = (rng.standard_normal((140, 32)) + 3).astype(dtype)
    tree = cover_tree(points)
    indices, distances = tree.knn(9, queries=queries, return_distances=True)
    for row in range(0, 140, 20):
        radius = float(distances[row, 8])
        lists = tree.radius(radius, queries=queries, return_distances=True)
        np.testing.assert_array_equal(lists.indices[lists.offsets[row] : lists.offsets[row + 1]], indices[row])
        np.testing.assert_array_equal(tree.radius(radius, queries=queries, count_only=True), np.diff(lists.offsets))


def test_radius_of_float64_queries_among_float32_points(rng):
    points = rng.standard_normal((500, 32)).astype(np.float32)
    queries = rng.standard_normal((150, 32))
    true = oracle.distances(queries, points)
    tree = cover_tree(points)
    for quantile in (0.01, 0.5):
        radius = between(true, quantile)
        lists = tree.radius(radius, queries=queries, return_distances=True)
        counts, share = dense_share(tree, lambda: tree.radius(radius, queries=queries, count_only=True))  # noqa: B023
        assert share > 0.99
        inside = true <= radius
        np.testing.assert_array_equal(counts, inside.sum(axis=1))
        np.testing.assert_array_equal(np.diff(lists.offsets), counts)
        for row in range(150):
            found = lists.indices[lists.offsets[row] : lists.offsets[row + 1]]
            np.testing.assert_array_equal(found, np.flatnonzero(inside[row])[np.argsort(true[row, inside[row]])])


@pytest.mark.parametrize("offset", [0.0, 100.0, 1e6])
@pytest.mark.parametrize("scale", [1.0, 1e-18, 1e15])
def test_radius_with_cancellation_and_extreme_sizes(rng, offset, scale):
    points = ((rng.standard_normal((400, 32)) + offset) * scale).astype(np.float32)
    queries = ((rng.standard_normal((140, 32)) + offset) * scale).astype(np.float32)
    radius = between(oracle.distances(queries, points), 0.3)
    tree = cover_tree(points)
    lists = tree.radius(radius, queries=queries, return_distances=True)
    assert_within(
        points, queries, radius, lists, tree.radius(radius, queries=queries, count_only=True), dtype=np.float32
    )


def test_queries_whose_products_overflow(rng):
    """Far away, on both sides of zero: sums of products with them would be NaN."""
    points = (rng.standard_normal((400, 32)) * 3e17).astype(np.float32)
    queries = (rng.standard_normal((140, 32)) * np.repeat([3e17, 1e25], 70)[:, None]).astype(np.float32)
    tree = cover_tree(points)
    for radius in (4e18, 1e22, 1e27):
        lists = tree.radius(radius, queries=queries, return_distances=True)
        counts = tree.radius(radius, queries=queries, count_only=True)
        assert_within(points, queries, radius, lists, counts, dtype=np.float32)
    indices, distances = tree.knn(5, queries=queries, return_distances=True)
    oracle.assert_nearest(points, queries, 5, indices, distances, dtype=np.float32)


def test_radius_uses_structure(rng):
    points = np.zeros((4000, 24), np.float32)
    points[:, :2] = rng.random((4000, 2))
    tree = cover_tree(points)
    _, share = dense_share(tree, lambda: tree.radius(0.02))
    assert share < 0.2

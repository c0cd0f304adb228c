"""Largest distances for each query, ranks of neighbours as a list, and one point as a vector."""

from __future__ import annotations

import metric_oracle as oracle
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from covertreex import cover_tree, telemetry
from covertreex._scores import each_largest_reported, largest_reported

RNG = np.random.default_rng(12)
POINTS = RNG.normal(size=(600, 3))


# Largest distances


def limits_at(true, rng):
    """A limit for each query: distances of points themselves, to the bit, others, 0 and infinity."""
    limits = true[np.arange(len(true)), rng.integers(true.shape[1], size=len(true))]
    limits[::5] = rng.uniform(0, 3, len(limits[::5]))
    limits[::7], limits[1::11] = 0, np.inf
    return limits


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32), st.sampled_from([np.float32, np.float64]), st.sampled_from([1, 2, 3, 17]),
    st.sampled_from([("euclidean", {}), ("manhattan", {}), ("chebyshev", {}), ("minkowski", {"p": 3})]),
)  # fmt: skip
def test_a_radius_for_each_query_is_that_radius_for_it_alone(seed, dtype, dim, metric):
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(300, dim)).astype(dtype)
    tree = cover_tree(points[:200], metric=metric[0], metric_params=metric[1])
    tree.insert(points[200:])
    tree.remove(rng.permutation(300)[:30])
    new = rng.normal(size=(150, dim))
    for queries in (new, new.astype(dtype), tree.indices, None):
        coords = points[tree.indices] if queries is None else queries if queries.ndim == 2 else points[queries]
        limits = limits_at(oracle.distances(coords, points, metric[0], **metric[1]), rng)
        found = tree.radius(limits, queries=queries, return_distances=True)
        counts = tree.radius(limits, queries=queries, count_only=True)
        near, far = tree.knn(6, queries=queries, max_distance=limits, return_distances=True)
        np.testing.assert_array_equal(np.diff(found.offsets), counts)
        for row in rng.permutation(len(coords))[:25]:
            one = tree.indices[[row]] if queries is None else queries[row : row + 1]
            alone = tree.radius(limits[row], queries=one, return_distances=True)
            some = slice(found.offsets[row], found.offsets[row + 1])
            np.testing.assert_array_equal(found.indices[some], alone.indices)
            np.testing.assert_array_equal(found.distances[some], alone.distances)
            indices, distances = tree.knn(6, queries=one, max_distance=limits[row], return_distances=True)
            np.testing.assert_array_equal(near[row], indices[0])
            np.testing.assert_array_equal(far[row], distances[0])
            # The distance that was the limit is within it.
            assert len(alone.indices) == 0 or alone.distances[-1] <= dtype(limits[row])


def test_limits_hold_before_and_after_rounding():
    """A float32 distance of a float64 query, given back as the limit, finds its point."""
    points = POINTS.astype(np.float32)
    tree, queries = cover_tree(points), POINTS[:200] + 1e-3
    indices, distances = tree.knn(4, queries=queries, return_distances=True)
    again = tree.knn(4, queries=queries, max_distance=distances[:, 3])
    np.testing.assert_array_equal(again, indices)
    assert (tree.radius(distances[:, 3], queries=queries, count_only=True) >= 4).all()
    less = np.nextafter(distances[:, 3], np.float32(0))
    assert (tree.radius(less, queries=queries, count_only=True) <= 3).all()


@given(st.floats(0, allow_nan=False))
def test_limits_among_rounded_numbers(limit):
    """The largest number that is within the limit, also after it is rounded to float32."""
    found = largest_reported(limit, np.dtype(np.float32))
    with np.errstate(over="ignore"):
        assert found >= limit
        assert found == limit or float(np.float32(found)) <= limit
        if found < np.inf:
            assert float(np.float32(np.nextafter(found, np.inf))) > limit
    np.testing.assert_array_equal(each_largest_reported(np.array([limit, limit]), np.dtype(np.float32)), found)
    assert largest_reported(limit, np.dtype(np.float64)) == limit


def test_wrong_limits():
    tree = cover_tree(POINTS)
    for wrong in (np.nan, -1.0, -np.inf):
        limits = np.ones(600)
        limits[4] = wrong
        with pytest.raises(ValueError, match=r"r\[4\]: expected a number from 0 up"):
            tree.radius(limits)
        with pytest.raises(ValueError, match=r"r\[4\]: expected a number from 0 up"):
            tree.radius(limits, count_only=True)
        with pytest.raises(ValueError, match=r"max_distance\[4\]: expected a number from 0 up"):
            tree.knn(2, max_distance=limits)
    for wrong in (np.ones(599), np.ones((600, 1)), []):
        with pytest.raises(ValueError, match=r"r: expected shape \(600,\), got"):
            tree.radius(wrong)
        with pytest.raises(ValueError, match=r"max_distance: expected shape \(600,\), got"):
            tree.knn(2, max_distance=wrong)
    for wrong in (["a"] * 600, np.ones(600, complex)):
        with pytest.raises(TypeError, match="r: expected real numbers"):
            tree.radius(wrong)
    assert tree.radius([], queries=np.empty((0, 3))).offsets.tolist() == [0]


# Ranks


@pytest.mark.parametrize("engine", ["native", "hybrid"])
def test_ranks_are_columns(engine):
    if engine == "hybrid":
        pytest.importorskip("numba")
    tree = cover_tree(POINTS, engine=engine)
    indices, distances = tree.knn(7, return_distances=True)
    for ranks in ([1], [1, 2, 3], (7, 1), np.array([2, 2, 5]), range(3, 6)):
        columns = np.array(ranks) - 1
        some, apart = tree.knn(ranks, return_distances=True)
        np.testing.assert_array_equal(some, indices[:, columns])
        np.testing.assert_array_equal(apart, distances[:, columns])
        np.testing.assert_array_equal(tree.knn(ranks), some)
    assert tree.knn([601, 1], queries=[0]).tolist() == [[-1, 0]]


def test_wrong_ranks():
    tree = cover_tree(POINTS)
    for wrong, message in (([], "at least one rank"), ([1, 0], r"k\[1\]: expected a rank"), ([-3], r"k\[0\]")):
        with pytest.raises(ValueError, match=message):
            tree.knn(wrong)
    for wrong in ([1.5], [True], ["a"], [None]):
        with pytest.raises(TypeError, match="k: expected integers"):
            tree.knn(wrong)
    with pytest.raises(ValueError, match="k: expected one dimension"):
        tree.knn([[1, 2]])


# One point


@pytest.mark.parametrize("engine", ["native", "hybrid"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_point_is_a_row(dtype, engine):
    if engine == "hybrid":
        pytest.importorskip("numba")
    tree = cover_tree(POINTS.astype(dtype), engine=engine)
    for point in (POINTS[5] + 0.1, (POINTS[5] + 0.1).astype(dtype), np.float16([0.5, 1, 2])):
        for given_as in (point, point.tolist(), tuple(point.tolist()), np.repeat(point, 2)[::2]):
            row = np.array(given_as, getattr(given_as, "dtype", float))[None]
            indices, distances = tree.knn(3, queries=given_as, return_distances=True)
            assert indices.shape == distances.shape == (3,)
            assert distances.dtype == dtype
            wanted = tree.knn(3, queries=row, return_distances=True)
            np.testing.assert_array_equal(indices, wanted[0][0])
            np.testing.assert_array_equal(distances, wanted[1][0])
            np.testing.assert_array_equal(tree.knn([1, 3], queries=given_as), wanted[0][0, [0, 2]])
            found, rows = (tree.radius(1.0, queries=one, return_distances=True) for one in (given_as, row))
            for mine, other in zip(found, rows):
                np.testing.assert_array_equal(mine, other)
            count = tree.radius(1.0, queries=given_as, count_only=True)
            assert np.ndim(count) == 0
            assert count == len(found.indices)
    assert tree.knn(1, queries=[3, 4, 5]).tolist() == [[3], [4], [5]]  # integers are points of the tree


def test_a_point_with_the_options_of_a_query():
    tree = cover_tree(POINTS)
    assert tree.knn(2, queries=POINTS[3], before=[3], max_distance=[np.inf])[0] < 3
    assert tree.knn(2, queries=POINTS[3], filter=[8, 9]).tolist() in ([8, 9], [9, 8])
    assert tree.radius([0.0], queries=POINTS[3], count_only=True) == 1


def test_points_of_one_dimension():
    tree = cover_tree(np.arange(9.0)[:, None])
    assert tree.knn(2, queries=[3.2]).tolist() == [3, 4]
    assert tree.knn(1, queries=[[3.2], [5.1]]).tolist() == [[3], [5]]
    for wrong in ([3.2, 5.1], np.zeros(0)):
        with pytest.raises(ValueError, match=r"queries: expected shape \(1,\) for one point, or \(q, 1\), got shape"):
            tree.knn(1, queries=wrong)


def test_wrong_points():
    tree = cover_tree(POINTS)
    for wrong in (np.zeros(2), np.zeros(4), [0.5]):
        with pytest.raises(ValueError, match=r"queries: expected shape \(3,\) for one point, or \(q, 3\), got shape"):
            tree.knn(1, queries=wrong)
        with pytest.raises(ValueError, match="queries: expected shape"):
            tree.radius(1, queries=wrong)
    with pytest.raises(ValueError, match=r"queries\[0, 1\]: expected finite coordinates"):
        tree.knn(1, queries=[0.0, np.nan, 0.0])


def test_records_of_calls_count_one_query():
    tree = cover_tree(POINTS)
    with telemetry.record() as log:
        tree.knn(4, queries=POINTS[0])
        tree.knn([1, 2], queries=POINTS[0], return_distances=True)
        tree.radius(1.0, queries=POINTS[0])
        tree.radius(1.0, queries=POINTS[0], count_only=True)
        tree.radius(1.0, queries=POINTS[:2], count_only=True)
    assert [(one.operation, one.rows) for one in log.records] == [
        ("knn", 1),
        ("knn", 1),
        ("radius", 1),
        ("radius", 1),
        ("radius", 2),
    ]

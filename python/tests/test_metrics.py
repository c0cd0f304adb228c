"""Searches in other metrics than Euclidean: answers are those of a float64 brute force."""

from __future__ import annotations

import pickle

import metric_oracle as oracle
import numpy as np
import pytest

import covertreex
from covertreex import cover_tree

WEIGHTS = np.array([0.5, 2.0, 0.0, 3.0, 1.0])


def norms(dim):
    """Norms with parameters, and whether a period may be added."""
    w = WEIGHTS[:dim]
    return [
        ("manhattan", {}), ("manhattan", {"w": w}), ("manhattan", {"scale": [0.1, 10, 1, 2, 5][:dim]}),
        ("chebyshev", {}), ("chebyshev", {"scale": [0.1, 10, 1, 2, 5][:dim]}), ("minkowski", {"p": 3}),
        ("minkowski", {"p": 1.5}), ("minkowski", {"p": 4, "w": w}), ("minkowski", {"p": 2.5, "w": w}),
        ("minkowski", {"p": 1}), ("minkowski", {"p": np.inf}), ("minkowski", {"p": 2}), ("euclidean", {"w": w}),
        ("euclidean", {"scale": 3.0}), ("seuclidean", {"V": [0.1, 4, 2, 1, 9][:dim]}), ("minkowski", {"p": 7.5}),
    ]  # fmt: skip


ALL = [(dim, name, parameters) for dim in (1, 2, 3, 5) for name, parameters in norms(dim)]
OTHERS = [
    ("haversine", {}), ("haversine", {"unit": "degrees", "radius": 6371.0088}), ("cosine", {}), ("angular", {}),
    ("mahalanobis", {"VI": np.array([[2.0, 0.3], [0.3, 0.5]])}),
]  # fmt: skip


def numbers_of(period, dim):
    """Periods as numbers, infinity without one."""
    return np.array([np.inf if one is None else one for one in np.broadcast_to(np.array(period, object), dim)], float)


def points_of(name, parameters, rng, n, dim=2):
    if name == "haversine":
        scale = 1.0 if parameters.get("unit") == "degrees" else np.pi / 180
        return rng.uniform([-90, -180], [90, 180], (n, 2)) * scale
    return rng.normal(size=(n, dim)) * 3


def check_all(tree, points, queries, truth, *, rtol=1e-12, atol=0.0):
    """Each kind of search against distances of all pairs: ``truth(queries, points)``."""
    n = len(points)
    true, own = truth(queries, points), truth(points, points)
    bare = np.finfo(tree.dtype).eps
    rtol = max(rtol, 4 * bare) if tree.dtype == np.float32 else rtol
    close = {"rtol": rtol, "atol": atol}
    for k in (1, 7, n + 3):
        oracle.assert_nearest(true, *tree.knn(k, queries=queries, return_distances=True), k, **close)
    oracle.assert_nearest(true[:1], *tree.knn(3, queries=queries[:1], return_distances=True), 3, **close)
    oracle.assert_nearest(own, *tree.knn(5, return_distances=True), 5, **close)
    earlier = np.tri(n, k=-1, dtype=bool)
    for k in (1, 5):
        found = tree.knn(k, predecessor_mode=True, return_distances=True)
        oracle.assert_nearest(own, *found, k, earlier, **close)
        found = tree.knn(k, exclude_self=True, return_distances=True)
        oracle.assert_nearest(own, *found, k, ~np.eye(n, dtype=bool), **close)
    # Between two distances, so that rounding decides about no point.
    ladder = np.unique(true)
    for share in (0.01, 0.3):
        step = int(share * len(ladder))
        while ladder[step + 1] <= ladder[step] * (1 + 10 * rtol) + 10 * atol:
            step += 1
        limit = (ladder[step] + ladder[step + 1]) / 2
        within = true <= limit
        found = tree.radius(limit, queries=queries, return_distances=True)
        np.testing.assert_array_equal(np.diff(found.offsets), within.sum(axis=1))
        np.testing.assert_array_equal(tree.radius(limit, queries=queries, count_only=True), within.sum(axis=1))
        for row in range(len(queries)):
            some = slice(found.offsets[row], found.offsets[row + 1])
            assert set(found.indices[some]) == set(np.flatnonzero(within[row]))
            np.testing.assert_allclose(found.distances[some], true[row, found.indices[some]], **close)
            assert (np.diff(found.distances[some]) >= 0).all()
        found = tree.knn(5, queries=queries, max_distance=limit, return_distances=True)
        oracle.assert_nearest(true, *found, 5, within, **close)
    counts = tree.radius(limit, predecessor_mode=True, count_only=True)
    slack = np.isclose(own, limit, rtol=10 * rtol, atol=10 * atol)
    assert (counts >= (earlier & (own <= limit) & ~slack).sum(axis=1)).all()
    assert (counts <= (earlier & ((own <= limit) | slack)).sum(axis=1)).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("dim", "name", "parameters"), ALL)
def test_norms_equal_brute_force(dim, name, parameters, dtype):
    rng = np.random.default_rng(dim)
    points, queries = (rng.normal(size=(n, dim)).astype(dtype) for n in (300, 60))
    tree = cover_tree(points, metric=name, metric_params=parameters)
    assert tree.dtype == dtype
    assert tree.validate()
    check_all(tree, points, queries, lambda a, b: oracle.distances(a, b, name, **parameters))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("period", [1.0, [1.0, None, 0.3], [0.1, 1, 2]])
@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("euclidean", {}), ("manhattan", {}), ("chebyshev", {}), ("minkowski", {"p": 3}), ("minkowski", {"p": 1.7}),
        ("euclidean", {"w": [1, 2, 0.5]}), ("manhattan", {"w": [1, 0, 0.5]}),
    ],
)  # fmt: skip
def test_periodic_boxes_equal_brute_force(name, parameters, period, dtype):
    rng = np.random.default_rng(5)
    periods = numbers_of(period, 3)
    span = np.where(np.isfinite(periods), periods, 1)
    points = (rng.uniform(size=(300, 3)) * span).astype(dtype)
    queries = (rng.uniform(-0.5, 1.5, (60, 3)) * span).astype(dtype)
    # Some at the very boundary.
    points[:4] = 0
    points[4:8] = span
    tree = cover_tree(points, metric=name, metric_params=parameters, period=period)
    np.testing.assert_array_equal(tree.period, periods)
    # Rounding to the type of a coordinate at the boundary shows in distances near it.
    atol = 0 if dtype == np.float64 else 4 * np.finfo(np.float32).eps
    check_all(
        tree, points, queries, lambda a, b: oracle.distances(a, b, name, period=periods, **parameters),
        rtol=1e-10, atol=max(atol, 1e-15),
    )  # fmt: skip


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("origin", [0, -8])
@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("euclidean", {}), ("manhattan", {}), ("manhattan", {"w": [2, 0.25]}), ("chebyshev", {}),
        ("minkowski", {"p": 3}), ("minkowski", {"p": 2.5}),
    ],
)  # fmt: skip
def test_reaches_that_end_at_the_end_of_a_period(name, parameters, origin, dtype):
    """On a grid, equally distant neighbours are on both sides of an end, and radii reach it exactly."""
    grid = np.stack(np.meshgrid(*[np.arange(origin, origin + 16)] * 2), axis=-1).reshape(-1, 2)
    points = np.random.default_rng(8).permutation(np.concatenate([grid] * 3)).astype(dtype)
    tree = cover_tree(points, metric=name, metric_params=parameters, period=16.0, leaf_size=16)
    for queries in (points, grid[::5] + np.asarray(0.5, dtype)):
        true = oracle.distances(queries, points, name, period=16.0, **parameters).round(12)
        for k in (1, 2, 9, 20):
            indices, found = tree.knn(k, queries=queries, return_distances=True)
            wanted, distances = oracle.nearest(true, k)
            np.testing.assert_array_equal(indices, wanted)
            np.testing.assert_allclose(found, distances, rtol=max(4 * np.finfo(dtype).eps, 1e-11))
        for radius in (0.5, 1, 2, 3.5, 8):
            limit = radius * (1 + 1e-6)
            within = (true <= limit).sum(axis=1)
            np.testing.assert_array_equal(tree.radius(limit, queries=queries, count_only=True), within)
            np.testing.assert_array_equal(np.diff(tree.radius(limit, queries=queries).offsets), within)
    own = oracle.distances(points, points, name, period=16.0, **parameters)
    for limit in (0.5, 1.00001, 3.50001, 8.00001):
        assert len(tree.pairs_within(limit)) == np.triu(own <= limit, 1).sum()
        assert tree.count_pairs([limit]) == (own <= limit).sum()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_periodic_points_anywhere_are_moved_into_the_box(dtype):
    rng = np.random.default_rng(6)
    points = rng.integers(-300, 300, (200, 2)).astype(dtype) / 8
    tree = cover_tree(points, period=8.0)
    queries = rng.integers(-3000, 3000, (50, 2)).astype(dtype) / 8
    true = oracle.distances(queries, points, "euclidean", period=8.0)
    indices, found = tree.knn(5, queries=queries, return_distances=True)
    wanted, distances = oracle.nearest(true, 5)
    np.testing.assert_array_equal(indices, wanted)
    np.testing.assert_array_equal(found, distances.astype(dtype))


def test_angles_around_zero_stay_as_they_are():
    angles = np.random.default_rng(7).uniform(-180, 180, (500, 1)).astype(np.float32)
    tree = cover_tree(angles, period=360.0)
    later = np.array([[179.5], [-179.5], [540.0]], np.float32)
    assert tree.insert(later).tolist() == [500, 501, 502]
    every = np.concatenate([angles, later])
    true = oracle.distances(every, every, "euclidean", period=360.0)
    oracle.assert_nearest(true, *tree.knn(4, return_distances=True), 4, rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize(("name", "parameters"), OTHERS)
def test_other_metrics_equal_brute_force(name, parameters):
    rng = np.random.default_rng(8)
    points, queries = (points_of(name, parameters, rng, n) for n in (300, 60))
    tree = cover_tree(points, metric=name, metric_params=parameters)
    assert tree.validate()
    radius = parameters.get("radius", 1.0)
    # Near the opposite point the arc sine loses half of the digits.
    check_all(
        tree, points, queries, lambda a, b: oracle.distances(a, b, name, **parameters), rtol=1e-11,
        atol=5e-8 * radius if name in {"haversine", "angular"} else 1e-15,
    )  # fmt: skip


@pytest.mark.parametrize("dim", [2, 3, 20])
@pytest.mark.parametrize("name", ["cosine", "angular", "mahalanobis"])
def test_other_metrics_in_more_dimensions(name, dim):
    rng = np.random.default_rng(dim)
    points, queries = rng.normal(size=(400, dim)) + 1000, rng.normal(size=(50, dim)) + 1000
    if name != "mahalanobis":
        points, queries = points - 1000, queries - 1000
    half = rng.normal(size=(dim, 2 * dim))
    parameters = {"VI": np.linalg.inv(half @ half.T)} if name == "mahalanobis" else {}
    parameters = {key: (value + value.T) / 2 for key, value in parameters.items()}
    tree = cover_tree(points, metric=name, metric_params=parameters)
    true = oracle.distances(queries, points, name, **parameters)
    oracle.assert_nearest(true, *tree.knn(6, queries=queries, return_distances=True), 6, rtol=1e-9, atol=1e-12)


def test_great_circles_at_the_poles_and_the_antimeridian():
    """Distances that are known: along meridians, over a pole, and across 180 degrees."""
    points = [[90, 0], [90, 77], [-90, 5], [89, 10], [89, -170], [0, 180], [0, -180], [0, 179], [0, -179], [10, 360]]
    tree = cover_tree(
        np.array(points, float), metric="haversine", metric_params={"unit": "degrees", "radius": 180 / np.pi}
    )
    indices, found = tree.knn(10, return_distances=True)
    at = dict(zip(indices[0], found[0]))
    assert at[1] < 1e-13
    np.testing.assert_allclose([at[2], at[3], at[4], at[5]], [180, 1, 1, 90], rtol=1e-14, atol=1e-12)
    np.testing.assert_allclose(dict(zip(indices[3], found[3]))[4], 2, rtol=1e-13)
    at = dict(zip(indices[5], found[5]))
    assert at[6] < 1e-13
    np.testing.assert_allclose([at[7], at[8]], 1, rtol=1e-13)
    np.testing.assert_array_equal(tree.radius(2.0001, queries=[7], count_only=True), [4])


def test_great_circles_to_the_equator():
    """The cosine of a latitude of 0 is 1."""
    points = np.array([[20.0, -109.0], [0, 0], [-0.0, 180], [1e-20, 5], [1e-3, 5], [-65, 106]])
    tree = cover_tree(points, metric="haversine", metric_params={"unit": "degrees"})
    true = oracle.distances(points, points, "haversine", unit="degrees")
    oracle.assert_nearest(true, *tree.knn(6, return_distances=True), 6, rtol=1e-12)


def test_near_points_on_a_sphere_are_told_apart():
    """A millimetre is 1e-10 of the radius of the earth: squares of chords would lose it."""
    rng = np.random.default_rng(9)
    points = np.array([47.0, 8.0]) + rng.uniform(-1e-8, 1e-8, (500, 2))
    parameters = {"unit": "degrees", "radius": 6371000.0}
    tree = cover_tree(points, metric="haversine", metric_params=parameters)
    true = oracle.distances(points, points, "haversine", **parameters)
    indices, found = tree.knn(4, return_distances=True)
    oracle.assert_nearest(true, indices, found, 4, rtol=1e-9)
    assert (indices[:, 0] == np.arange(500)).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("name", "parameters", "period"),
    [
        ("manhattan", {}, None), ("chebyshev", {}, None), ("minkowski", {"p": 3}, None),
        ("euclidean", {"w": 4.0}, None), ("manhattan", {}, 5.0),
        ("euclidean", {}, 5.0), ("chebyshev", {}, 5.0), ("minkowski", {"p": 4}, 5.0),
    ],
)  # fmt: skip
def test_ties_go_to_the_lower_index(name, parameters, period, dtype):
    """A grid, of which many points are equally distant, and equal."""
    rng = np.random.default_rng(10)
    points = rng.integers(0, 5, (2000, 3)).astype(dtype)
    queries = rng.integers(0, 5, (100, 3)).astype(dtype)
    tree = cover_tree(points, metric=name, metric_params=parameters, period=period)
    weights = {"w": np.full(3, parameters["w"])} if "w" in parameters else parameters
    true = oracle.distances(queries, points, name, period=period, **weights)
    for k in (1, 8, 200):
        np.testing.assert_array_equal(tree.knn(k, queries=queries), oracle.nearest(true, k)[0])
    own = oracle.distances(points, points, name, period=period, **weights)
    earlier = np.tri(len(points), k=-1, dtype=bool)
    np.testing.assert_array_equal(tree.knn(3, predecessor_mode=True), oracle.nearest(own, 3, earlier)[0])
    np.testing.assert_array_equal(tree.radius(1.0, queries=queries, count_only=True), (true <= 1).sum(axis=1))


@pytest.mark.parametrize("name", ["haversine", "cosine"])
def test_equal_points_of_other_metrics_go_to_the_lower_index(name):
    points = np.repeat(points_of(name, {}, np.random.default_rng(11), 5), 300, axis=0)
    points = points[np.random.default_rng(12).permutation(len(points))]
    tree = cover_tree(points, metric=name)
    for row in (0, 700, 1499):
        same = np.flatnonzero((points == points[row]).all(axis=1))
        np.testing.assert_array_equal(tree.knn(50, queries=[row])[0], same[:50])
        np.testing.assert_array_equal(tree.knn(300, queries=points[row : row + 1])[0], same)


@pytest.mark.parametrize(
    ("name", "parameters", "period"),
    [("manhattan", {}, None), ("chebyshev", {"scale": 2.0}, None), ("minkowski", {"p": 3}, None),
     ("euclidean", {}, 1.0), ("manhattan", {}, [1.0, None])],
)  # fmt: skip
def test_float64_queries_of_float32_points_are_not_rounded(name, parameters, period):
    rng = np.random.default_rng(13)
    points, queries = rng.uniform(size=(400, 2)).astype(np.float32), rng.uniform(size=(80, 2))
    tree = cover_tree(points, metric=name, metric_params=parameters, period=period)
    periods = (
        None
        if period is None
        else [np.inf if one is None else one for one in np.broadcast_to(np.array(period, object), 2)]
    )
    true = oracle.distances(queries, points, name, period=periods, **parameters)
    check = {"rtol": 1e-6, "atol": 1e-7}
    oracle.assert_nearest(true, *tree.knn(5, queries=queries, return_distances=True), 5, **check)
    np.testing.assert_array_equal(tree.knn(5, queries=queries), oracle.nearest(true, 5)[0])
    limit = np.sort(true[0])[20:22].mean()
    np.testing.assert_array_equal(tree.radius(limit, queries=queries, count_only=True), (true <= limit).sum(axis=1))
    np.testing.assert_array_equal(np.diff(tree.radius(limit, queries=queries).offsets), (true <= limit).sum(axis=1))


CASES = [
    ("manhattan", {"w": [1.0, 2.0]}, None), ("chebyshev", {"scale": np.array([1.0, 2.0])}, None),
    ("minkowski", {"p": 2.5}, [7, None]), ("euclidean", {}, 7.0),
    *((name, parameters, None) for name, parameters in OTHERS),
]  # fmt: skip


@pytest.mark.parametrize(("name", "parameters", "period"), CASES)
def test_changes_and_files_keep_the_metric(tmp_path, name, parameters, period):
    rng = np.random.default_rng(14)
    points, more = (points_of(name, parameters, rng, n) for n in (500, 300))
    tree = cover_tree(points, metric=name, metric_params=parameters, period=period)
    assert tree.insert(more).tolist() == list(range(500, 800))
    tree.remove(np.arange(0, 800, 7))
    every = np.concatenate([points, more])
    live = np.setdiff1d(np.arange(800), np.arange(0, 800, 7))
    periods = (
        None
        if period is None
        else [np.inf if one is None else one for one in np.broadcast_to(np.array(period, object), 2)]
    )
    true = oracle.distances(every, every, name, period=periods, **parameters)[live]
    allowed = np.isin(np.arange(800), live)[None].repeat(len(live), axis=0)
    indices, found = tree.knn(5, return_distances=True)
    close = {"rtol": 1e-10, "atol": 5e-8 * parameters.get("radius", 1)}
    oracle.assert_nearest(true, indices, found, 5, allowed, **close)
    tree.save(tmp_path / "tree")
    for same in (covertreex.load(tmp_path / "tree"), pickle.loads(pickle.dumps(tree))):
        assert same.metric == tree.metric
        assert same.validate()
        again, distances = same.knn(5, return_distances=True)
        np.testing.assert_array_equal(again, indices)
        np.testing.assert_array_equal(distances, found)
        same.insert(more[:3])
        assert len(same) == len(live) + 3
        for key in tree.metric_params:
            value = same.metric_params[key]
            assert (
                value == parameters[key] if isinstance(value, str) else np.allclose(value, parameters[key], rtol=1e-15)
            )


def test_weights_of_very_different_units():
    """Space in metres, and time in seconds with a scale."""
    rng = np.random.default_rng(15)
    points = np.column_stack([rng.uniform(size=(3000, 2)) * 1e5, rng.uniform(size=3000) * 3e9])
    scale = [1.0, 1.0, 3e4]
    tree = cover_tree(points, metric_params={"scale": scale})
    true = oracle.distances(points[:100], points, "euclidean", scale=np.array(scale))
    oracle.assert_nearest(true, *tree.knn(5, queries=np.arange(100), return_distances=True), 5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"metric": "taxi"}, "metric: expected one of"),
        ({"metric": 3}, "metric: expected one of"),
        ({"metric": "minkowski"}, "metric_params: expected p for 'minkowski'"),
        ({"metric": "minkowski", "metric_params": {"p": 0.5}}, "p: expected a number from 1 up, got 0.5"),
        ({"metric": "minkowski", "metric_params": {"p": np.nan}}, "p: expected a number from 1 up, got nan"),
        ({"metric": "manhattan", "metric_params": {"p": 1}}, "metric_params: expected w or scale for 'manhattan'"),
        ({"metric": "manhattan", "metric_params": [1]}, "metric_params: expected a mapping"),
        ({"metric": "manhattan", "metric_params": {"w": [1, 2, 3]}}, "w: expected a number, or 2 of them, got shape"),
        ({"metric": "manhattan", "metric_params": {"w": -1}}, "w: expected finite numbers from 0 up"),
        ({"metric": "manhattan", "metric_params": {"w": 0}}, "w: expected one above 0"),
        ({"metric": "manhattan", "metric_params": {"w": "a"}}, "w: expected"),
        ({"metric_params": {"scale": 0}}, "scale: expected finite numbers above 0"),
        ({"metric": "seuclidean"}, "metric_params: expected V for 'seuclidean'"),
        ({"period": 0}, "period: expected numbers above 0"),
        ({"period": [1, 2, 3]}, "period: expected a number, or 2 of them"),
        ({"period": 1e-40}, r"period\[0\]: expected 2\^-100"),
        ({"metric": "cosine", "period": 1}, "period: expected only for norms"),
        ({"metric": "cosine", "metric_params": {"w": 1}}, "metric_params: expected nothing for 'cosine', got 'w'"),
        ({"metric": "haversine", "metric_params": {"unit": "grad"}}, "unit: expected one of radians, degrees"),
        ({"metric": "haversine", "metric_params": {"radius": -1}}, "radius: expected a finite number above 0"),
        ({"metric": "haversine", "dtype": "float32"}, "dtype: expected float64"),
        ({"metric": "mahalanobis"}, "metric_params: expected either VI or V"),
        ({"metric": "mahalanobis", "metric_params": {"VI": np.eye(3)}}, "VI: expected shape"),
        ({"metric": "mahalanobis", "metric_params": {"VI": -np.eye(2)}}, "VI: expected a positive definite"),
        ({"metric": "mahalanobis", "metric_params": {"V": np.zeros((2, 2))}}, "V: expected a positive definite"),
        ({"metric": "mahalanobis", "metric_params": {"VI": [[1, 0.5], [0, 1]]}}, "VI: expected a symmetric"),
        ({"metric": "manhattan", "kernel": covertreex.RBF()}, "metric: 'manhattan' cannot be combined"),
        ({"period": 1.0, "kernel": covertreex.RBF()}, "period: expected only"),
        ({"metric": "manhattan", "folder": "x"}, "metric: expected one of euclidean"),
    ],
)  # fmt: skip
def test_wrong_metrics_are_refused(options, message):
    with pytest.raises((ValueError, TypeError), match=message):
        cover_tree(np.random.default_rng(0).uniform(size=(20, 2)), **options)


def test_points_that_a_metric_has_no_distance_of_are_refused():
    degrees = {"unit": "degrees"}
    for wrong, message in (
        ([[91.0, 0]], r"points\[0, 0\]: expected a latitude of at most 90"),
        ([[0, 0], [0, 361.0]], r"points\[1, 1\]: expected a longitude of at most 360"),
        ([[0.0, 0, 0]], "points: expected 2 columns, a latitude and a longitude, got 3"),
    ):
        with pytest.raises(ValueError, match=message):
            cover_tree(np.array(wrong), metric="haversine", metric_params=degrees)
    with pytest.raises(ValueError, match=r"points\[1\]: expected a vector of a length above 0"):
        cover_tree(np.array([[1.0, 2], [0, 0]]), metric="cosine")
    tree = cover_tree(np.array([[1.0, 2], [3, 4]]), metric="cosine")
    for wrong, message in (
        ([[0.0, 0]], r"queries\[0\]: expected a vector"),
        ([[1.0, 2, 3]], "queries: expected 2 columns, got 3"),
        ([[np.nan, 1]], r"queries\[0, 0\]: expected finite"),
    ):
        with pytest.raises(ValueError, match=message):
            tree.knn(1, queries=np.array(wrong))
    with pytest.raises(ValueError, match=r"points\[0, 1\]: .* rescale"):
        cover_tree(np.array([[1.0, 1e140]]), metric="minkowski", metric_params={"p": 5})


def test_calls_for_euclidean_distance_alone_are_refused():
    tree = cover_tree(np.random.default_rng(0).uniform(size=(50, 2)), metric="manhattan")
    with pytest.raises(covertreex.CoverTreeError, match="metric: cover trees"):
        _ = tree.stats().levels

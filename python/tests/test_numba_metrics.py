"""Kernels for Numba in all metrics: the answers of the library to the bit, and of a float64 brute force."""

import contextlib
import gc
import pickle

import metric_oracle as oracle
import numpy as np
import pytest

from covertreex import cover_tree, load

numba = pytest.importorskip("numba", reason="covertreex.numba needs numba")

from covertreex import numba as kernels  # noqa: E402

EARTH = {"unit": "degrees", "radius": 6371.0088}
SKEW = np.array([[2.0, 1.3, 0], [1.3, 0.9, 0.1], [0, 0.1, 40]])

# A metric, its parameters, periods, and the dimension of points.
CASES = [
    ("manhattan", {"w": [0.5, 2, 0]}, None, 3), ("chebyshev", {"scale": [0.1, 10, 1]}, None, 3),
    ("minkowski", {"p": 3}, None, 2), ("minkowski", {"p": 4, "w": [3, 1]}, None, 2), ("minkowski", {"p": 1.5}, None, 3),
    ("minkowski", {"p": 7.5, "w": [0.5, 2]}, None, 2), ("euclidean", {"scale": [100, 100, 2]}, None, 3),
    ("seuclidean", {"V": [0.1, 4]}, None, 2), ("euclidean", {}, [4, None, 1.5], 3), ("manhattan", {}, 2.5, 2),
    ("minkowski", {"p": 2.5, "w": [1, 2]}, [None, 3], 2), ("haversine", {}, None, 2), ("haversine", EARTH, None, 2),
    ("cosine", {}, None, 4), ("angular", {}, None, 2), ("mahalanobis", {"VI": SKEW}, None, 3),
]  # fmt: skip


def points_of(name, parameters, rng, n, dim):
    """Some of them twice."""
    if name == "haversine":
        points = rng.uniform([-90, -180], [90, 180], (n, 2)) * (1 if parameters else np.pi / 180)
    else:
        points = rng.normal(size=(n, dim)) * 3 + (1000 if name == "mahalanobis" else 0)
    points[: n // 8] = points[-(n // 8) :]
    return points


def same_answers(tree, k, **options):
    for mine, theirs in zip(
        kernels.knn(tree, k, return_distances=True, **options), tree.knn(k, return_distances=True, **options)
    ):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize(("name", "parameters", "period", "dim"), CASES)
def test_answers_are_those_of_the_library_and_of_a_brute_force(rng, name, parameters, period, dim):
    points, queries = (points_of(name, parameters, rng, n, dim) for n in (500, 60))
    tree = cover_tree(points, metric=name, metric_params=parameters, period=period)
    limit = float(np.median(tree.knn(8, return_distances=True)[1][:, 7]))
    some = rng.integers(0, 500, 40)
    for options in (
        {}, {"predecessor_mode": True}, {"exclude_self": True, "queries": some}, {"queries": queries},
        {"queries": queries, "max_distance": limit}, {"queries": queries[:1]},
        {"queries": some, "before": rng.integers(0, 500, 40)},
    ):  # fmt: skip
        for k in (1, 7):
            same_answers(tree, k, **options)
    same_answers(tree, 600, queries=queries[:2])
    # The limit is a distance that searches return, and counts.
    for mine, theirs in zip(
        kernels.radius(tree, limit, return_distances=True), tree.radius(limit, return_distances=True)
    ):
        np.testing.assert_array_equal(mine, theirs)
    counts = kernels.radius(tree, limit, queries=queries, count_only=True)
    np.testing.assert_array_equal(counts, tree.radius(limit, queries=queries, count_only=True))

    periods = None if period is None else [np.inf if one is None else one for one in np.broadcast_to(period, dim)]
    true = oracle.distances(queries, points, name, period=periods, **parameters)
    atol = 5e-8 * parameters.get("radius", 1.0) if name in {"haversine", "angular"} else 1e-12
    found = kernels.knn(tree, 7, queries=queries, return_distances=True)
    oracle.assert_nearest(true, *found, 7, rtol=1e-9, atol=atol)


def test_float32_points_and_float64_queries(rng):
    """Coordinates are moved into the periodic box, with the rounding of their type."""
    points = rng.uniform(-2, 3, (400, 2)).astype(np.float32)
    far = rng.uniform(-9, 9, (50, 2))
    for name, parameters in (("manhattan", {}), ("minkowski", {"p": 2.5})):
        tree = cover_tree(points, metric=name, metric_params=parameters, period=[1.0, None])
        for queries in (None, far.astype(np.float32), far):
            same_answers(tree, 5, queries=queries)


@pytest.mark.parametrize(
    ("name", "parameters", "period"),
    [("manhattan", {}, None), ("chebyshev", {}, 5.0), ("minkowski", {"p": 3}, None), ("euclidean", {}, 5.0)],
)
def test_ties_go_to_the_lower_index(rng, name, parameters, period):
    points, queries = (rng.integers(0, 5, (n, 3)).astype(float) for n in (800, 40))
    tree = cover_tree(points, metric=name, metric_params=parameters, period=period)
    true = oracle.distances(queries, points, name, period=period, **parameters)
    for k in (1, 30):
        np.testing.assert_array_equal(kernels.knn(tree, k, queries=queries), oracle.nearest(true, k)[0])
    np.testing.assert_array_equal(kernels.radius(tree, 1, queries=queries, count_only=True), (true <= 1).sum(axis=1))


def test_distances_far_below_the_coordinates(rng):
    """Millimetres on the earth, and a covariance of very different variances, far from the origin."""
    tree = cover_tree(np.array([47.0, 8]) + rng.uniform(-1e-8, 1e-8, (600, 2)), metric="haversine", metric_params=EARTH)
    same_answers(tree, 5)
    covariance = np.array([[1, 1 - 1e-9], [1 - 1e-9, 1]])
    points = rng.uniform(-1, 1, (600, 1)) + rng.normal(size=(600, 2)) * 1e-5 + 1e4
    tree = cover_tree(points, metric="mahalanobis", metric_params={"V": covariance})
    same_answers(tree, 5)
    same_answers(tree, 5, queries=points[:50] + 1e-6)
    # Whose powers underflow.
    tree = cover_tree(rng.normal(size=(300, 2)) * 1e-170, metric="euclidean", metric_params={"w": [1, 2]})
    same_answers(tree, 3)


def test_a_jitted_function_of_the_user(rng):
    nearest, within = kernels.nearest, kernels.within

    @numba.njit
    def means(tree, queries, values, limit, out):
        distances, indices = np.empty(6), np.empty(6, np.int64)
        for row in range(len(queries)):
            found = nearest(tree, queries[row], 6, 2**31 - 1, -1, limit, distances, indices)
            out[row, 0] = values[indices[:found]].mean() if found else 0.0
            out[row, 1] = distances[found - 1] if found else 0.0
            out[row, 2] = within(tree, queries[row], limit, 2**31 - 1, -1, distances, indices)

    for name, parameters, period, dim in (CASES[11], CASES[12], CASES[8], CASES[13]):
        points, queries = (points_of(name, parameters, rng, n, dim) for n in (500, 30))
        values = rng.normal(size=500)
        tree = cover_tree(points, metric=name, metric_params=parameters, period=period)
        limit = float(tree.knn(4, queries=queries, return_distances=True)[1][0, 3])
        out = np.empty((30, 3))
        means(kernels.as_numba(tree), queries, values, limit, out)
        indices, distances = tree.knn(6, queries=queries, max_distance=limit, return_distances=True)
        for row, (mine, apart) in enumerate(zip(indices, distances)):
            there = mine[mine >= 0]
            assert np.isclose(out[row, 0], values[there].mean() if len(there) else 0)
            assert out[row, 1] == (apart[len(there) - 1] if len(there) else 0)
        np.testing.assert_array_equal(out[:, 2], tree.radius(limit, queries=queries, count_only=True))


@pytest.mark.parametrize(("name", "parameters", "period", "dim"), [CASES[0], CASES[8], CASES[12], CASES[15]])
def test_arrays_are_those_of_a_cover_tree(rng, name, parameters, period, dim):
    points = points_of(name, parameters, rng, 300, dim)
    tree = cover_tree(points, metric=name, metric_params=parameters, period=period)
    tree.remove(np.arange(0, 300, 5))
    arrays = tree.export_arrays()
    assert tree.export_arrays() is arrays
    live = np.setdiff1d(np.arange(300), np.arange(0, 300, 5))
    np.testing.assert_array_equal(np.sort(arrays.order), live)
    assert arrays.metric.name == name
    if period is None:
        np.testing.assert_array_equal(arrays.points, points[arrays.order])
    # Norms have radii of their own; others those of coordinates.
    space = (name, parameters) if arrays.metric.is_norm else ("euclidean", {})
    rows = arrays.points if arrays.metric.is_norm else arrays.arrangement
    apart = oracle.distances(rows, rows, space[0], period=tree.period, **space[1])
    for node, end in enumerate(arrays.subtree_end):
        below = slice(node, end)
        assert arrays.subtree_min[node] == arrays.order[below].min()
        assert arrays.subtree_max[node] == arrays.order[below].max()
        most = apart[node, below].max()
        assert most * (1 - 1e-12) <= arrays.radius[node] <= most * (1 + 1e-12) + 1e-14
    assert (arrays.parents[1:] < np.arange(1, len(live))).all()
    for value in (arrays.points, arrays.order, arrays.radius, arrays.arrangement):
        with pytest.raises(ValueError):
            value.flat[0] = 0


def test_changes_files_and_the_engine(rng, tmp_path):
    points = points_of("haversine", EARTH, rng, 400, 2)
    tree = cover_tree(points[:300], metric="haversine", metric_params=EARTH, engine="hybrid")
    native = cover_tree(points[:300], metric="haversine", metric_params=EARTH)
    arrays, before = tree.export_arrays(), tree.knn(3, queries=points)
    again = pickle.loads(pickle.dumps(arrays))
    for one in (tree, native):
        one.insert(points[300:])
        one.remove(np.arange(50))
    assert arrays.stale
    assert not again.stale
    for old in (arrays, again):
        with pytest.warns(UserWarning) if old.stale else contextlib.nullcontext():
            shown = kernels.as_numba(old)
        np.testing.assert_array_equal(kernels.knn(shown, 3, queries=points), before)
    tree.save(tmp_path / "tree")
    for one in (tree, load(tmp_path / "tree", engine="hybrid"), pickle.loads(pickle.dumps(tree))):
        assert one.engine == "hybrid"
        assert one.stats().queries == 0, "the library was not asked"
        np.testing.assert_array_equal(one.knn(4), native.knn(4))
        np.testing.assert_array_equal(one.radius(900.0, count_only=True), native.radius(900.0, count_only=True))
        one.remove(one.indices)
        assert (one.knn(2, queries=points[:3]) == -1).all()
    arrays = tree.export_arrays()
    assert not arrays.stale
    del tree, one
    gc.collect()
    assert arrays.stale


def test_a_loaded_box_begins_where_it_did(rng, tmp_path):
    """Queries far outside are moved as in the tree that was saved."""
    tree = cover_tree(rng.uniform(-0.3, 0.3, (200, 2)).astype(np.float32), period=0.7)
    tree.remove(np.flatnonzero(kernels.as_numba(tree).points[np.argsort(tree.export_arrays().order)].min(axis=1) < 0))
    tree.save(tmp_path / "tree")
    for one in (tree, load(tmp_path / "tree")):
        same_answers(one, 3, queries=rng.uniform(-9, 9, (40, 2)).astype(np.float32))


def test_what_has_no_distance_is_refused(rng):
    sphere = cover_tree(rng.uniform(-1, 1, (20, 2)), metric="haversine")
    cosine = cover_tree(rng.normal(size=(20, 2)), metric="cosine")
    fifth = cover_tree(rng.normal(size=(20, 2)), metric="minkowski", metric_params={"p": 5})
    for tree, query, message in (
        (sphere, [2.0, 0], r"queries\[0, 0\]: expected a latitude of at most 1.57"),
        (sphere, [0.0, 7], r"queries\[0, 1\]: expected a longitude of at most 6.28"),
        (cosine, [0.0, 0], r"queries\[0\]: expected a vector of a length above 0"),
        (fifth, [0.0, 1e140], r"queries\[0, 1\]: 1e\+140 is beyond .*; rescale the coordinates"),
        (cosine, [0.0, 0, 1], "queries: expected 2 columns, got 3"),
        (cosine, [0.0, np.nan], r"queries\[0, 1\]: expected finite coordinates, got nan"),
    ):
        for search in (tree.knn, lambda k, tree=tree, **how: kernels.knn(tree, k, **how)):
            with pytest.raises(ValueError, match=message):
                search(1, queries=[query])
    functions = cover_tree(rng.normal(size=(20, 2)), metric=lambda x, y: np.abs(x[:, None] - y[None]).sum(axis=2))
    assert functions.export_arrays().metric.name == "function"
    with pytest.raises(ValueError, match="metric: expected one of the library, got a function"):
        kernels.as_numba(functions)

"""Numbers at the edge: limits that are distances, queries finer than points, tiny distances, variances of any size.

The truth is a brute force in long double, written apart from the library.
"""

import math
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from index_oracle import METRICS, oracle, sample
from oracle import assert_cover_tree
from test_partitions import drive, in_partitions

from covertreex import _scores, cover_tree, load, vecchia
from covertreex._partitions.queries import Queries
from covertreex._partitions.rounds import NearestBlock, WithinBlock
from covertreex.indexes import HNSW, LSH, BruteForce, KDTree
from covertreex.kernels import RBF, Matern12, Matern32, Matern52

LONG = np.longdouble


def squares(queries, points):
    """Squared distances in long double, whose exponents no square of a float64 leaves."""
    difference = np.asarray(queries, LONG)[:, None, :] - np.asarray(points, LONG)[None, :, :]
    return (difference**2).sum(axis=2)


def in_order(square, k):
    """The first k by distance and then by index."""
    indices = np.broadcast_to(np.arange(square.shape[1]), square.shape)
    return np.lexsort((indices, square), axis=1)[:, :k]


def assert_in_order(square, indices):
    """Each row has the nearest: what differs from the truth is as near, but for the rounding of a sum in float64."""
    k = indices.shape[1]
    wanted = np.take_along_axis(square, in_order(square, k), axis=1)[:, : square.shape[1]]
    mine = np.take_along_axis(square, indices[:, : square.shape[1]], axis=1)
    assert (np.abs(mine - wanted) <= 64 * np.finfo(float).eps * wanted).all()
    assert all(len(set(row)) == len(row) for row in indices[:, : square.shape[1]].tolist())


# A limit that is a distance


def same_as_returned(search, within, counted, queries):
    """Whether each distance of a search, as a limit, includes its neighbour, and what is returned is within it."""
    indices, distances = search(None)
    for rank in range(indices.shape[1]):
        for row in range(len(queries)):
            d = distances[row, rank]
            lists = within(float(d))
            mine = slice(lists.offsets[row], lists.offsets[row + 1])
            assert indices[row, rank] in lists.indices[mine], (row, rank, d)
            assert (lists.distances[mine] <= d).all()
            if counted is not None:
                assert counted(float(d))[row] == mine.stop - mine.start
            if rank % 3 == 0:
                bounded, _ = search(float(d))
                assert (bounded[row, : rank + 1] == indices[row, : rank + 1]).all(), (row, rank, d)


TYPES = [(np.float32, np.float32), (np.float64, np.float64), (np.float32, np.float64)]


@pytest.mark.parametrize("engine", ["native", "hybrid"])
@pytest.mark.parametrize(("dtype", "query_dtype"), TYPES)
@pytest.mark.parametrize("dim", [1, 2, 3, 20])
def test_a_distance_is_a_limit_that_includes_its_neighbour(rng, dim, dtype, query_dtype, engine):
    if engine == "hybrid":
        pytest.importorskip("numba")
    points = (rng.standard_normal((300, dim)) * 10.0 ** rng.integers(-3, 4)).astype(dtype)
    queries = rng.standard_normal((12, dim)).astype(query_dtype)
    tree = cover_tree(points, engine=engine)
    same_as_returned(
        lambda limit: tree.knn(7, queries=queries, return_distances=True, max_distance=limit),
        lambda r: tree.radius(r, queries=queries, return_distances=True),
        lambda r: tree.radius(r, queries=queries, count_only=True),
        queries,
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_distance_is_a_limit_for_points_of_the_tree(rng, dtype):
    points = rng.random((400, 3)).astype(dtype)
    tree = cover_tree(points)
    indices, distances = tree.knn(6, return_distances=True, exclude_self=True)
    found = 0
    for row in range(0, 400, 7):
        for rank in range(6):
            lists = tree.radius(distances[row, rank], queries=[row], exclude_self=True)
            assert lists.indices[rank] == indices[row, rank]
            found += len(lists.indices) == rank + 1
            bounded = tree.knn(6, queries=[row], exclude_self=True, max_distance=distances[row, rank])
            assert bounded[0, rank] == indices[row, rank]
            assert (bounded[0, rank + 1 :] == -1).all()
    assert found == 58 * 6


@pytest.mark.parametrize("storage", ["float32", "float16", "int8"])
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("kind", [BruteForce, KDTree, LSH, HNSW])
def test_a_distance_is_a_limit_of_vector_indexes(kind, metric, storage):
    if kind is KDTree and (metric == "ip" or storage != "float32"):
        pytest.skip("a k-d tree knows no inner products, and keeps float32")
    vectors, queries = sample(300, 12), sample(9, 12, seed=1)
    options = {} if kind is KDTree else {"storage": storage}
    if kind is LSH:
        options["n_candidates"] = 300
    index = kind(12, metric=metric, **options)
    index.add(np.arange(300), vectors)
    keys, distances = index.knn(10, queries=queries)
    lost = 0
    for row in range(9):
        for rank in range(10):
            lists = index.radius(float(distances[row, rank]), queries=queries[row : row + 1])
            lost += keys[row, rank] not in lists.indices
            assert (lists.distances <= distances[row, rank]).all()
    assert lost == 0


def test_a_limit_next_to_a_distance_in_float32_is_not_rounded(rng):
    # float32 does not have 0.1. A point counts if its distance is within the limit, before or after it is rounded.
    points = np.linspace(0, 0.2, 20001, dtype=np.float32)[:, None]
    tree = cover_tree(points)
    true = np.abs(points[:, 0].astype(np.float64))
    for r in (0.1, 0.05, 0.15, 0.0123456789):
        found = tree.radius(r, queries=np.zeros((1, 1), np.float32)).indices
        assert set(found) == set(np.flatnonzero((true <= r) | (true.astype(np.float32).astype(float) <= r)))


def test_the_largest_score_within_a_distance(rng):
    """It is at most the distance as it is reported, and the next one is not."""
    for dtype in (np.float32, np.float64):
        for limit in [0.0, 1.0, 0.1, 2.0**-480, 1e-140, 3e38, *np.exp(rng.uniform(-80, 80, 200))]:
            r = float(dtype(limit))
            score = _scores.largest_score(r, np.dtype(dtype))
            if score < 0:
                continue
            assert dtype(math.sqrt(score)) <= r
            assert not dtype(math.sqrt(math.nextafter(score, math.inf))) <= r or math.isinf(score)
    assert _scores.largest_score(math.inf, np.dtype(np.float32)) == math.inf


@pytest.mark.parametrize(("dtype", "query_dtype"), TYPES)
def test_a_distance_is_a_limit_in_partitions(rng, tmp_path, dtype, query_dtype):
    points = rng.standard_normal((1500, 3)).astype(dtype)
    queries = rng.standard_normal((8, 3)).astype(query_dtype)
    tree = cover_tree(points, folder=tmp_path / "tree", partition_size=300)
    whole = cover_tree(points)
    indices, distances = tree.knn(6, queries=queries, return_distances=True)
    assert distances.dtype == dtype
    for one, other in zip((indices, distances), whole.knn(6, queries=queries, return_distances=True)):
        assert (one == other).all()
    for row in range(8):
        for rank in range(6):
            lists = tree.radius(distances[row, rank], queries=queries[row : row + 1], return_distances=True)
            assert lists.indices.tolist() == indices[row, : rank + 1].tolist()
            assert lists.distances.dtype == dtype


def test_a_distance_is_a_limit_of_an_estimator(rng):
    pytest.importorskip("sklearn")
    from covertreex.sklearn import CoverTreeNeighbors  # noqa: PLC0415

    for dtype in (np.float32, np.float64):
        points, queries = rng.random((300, 3)).astype(dtype), rng.random((30, 3))
        model = CoverTreeNeighbors(n_neighbors=4).fit(points)
        distances, indices = model.kneighbors(queries)
        for row in range(30):
            _, found = model.radius_neighbors(queries[row : row + 1], radius=distances[row, -1])
            assert set(indices[row]) <= set(found[0])


# float64 queries of float32 points


def test_a_query_is_not_rounded_to_the_type_of_the_points():
    tree = cover_tree(np.array([[1.6e9, 0], [1.6e9 + 128, 50]], np.float32))
    query = [[1.6e9 + 60, 50.0]]
    assert tree.knn(1, queries=query).tolist() == [[1]]
    assert tree.knn(1, queries=np.array(query)).tolist() == [[1]]
    assert tree.knn(1, queries=np.array(query, LONG)).tolist() == [[1]]
    assert tree.knn(1, queries=np.array([[1_600_000_060, 50]])).tolist() == [[1]]
    assert tree.radius(68, queries=query, count_only=True).tolist() == [1]
    assert tree.radius(math.nextafter(68, 0), queries=query, count_only=True).tolist() == [0]


FAR = {
    "far away": lambda rng, n, dim: rng.random((n, dim)) * 40 + 1e6 * rng.standard_normal(dim),
    "a lattice far away": lambda rng, n, dim: rng.integers(0, 9, (n, dim)) * 0.5 + 4e6,
    "near": lambda rng, n, dim: rng.standard_normal((n, dim)),
    "duplicates": lambda rng, n, dim: np.repeat(rng.standard_normal((n // 10, dim)) + 1e4, 10, axis=0),
    "one location": lambda rng, n, dim: np.full((n, dim), 1e5),
    "scales": lambda rng, n, dim: rng.standard_normal((n, dim)) * 10.0 ** rng.integers(-30, 30, (n, 1)),
}


@pytest.mark.parametrize("engine", ["native", "hybrid"])
@pytest.mark.parametrize("dim", [1, 2, 3, 24])
@pytest.mark.parametrize("shape", FAR)
def test_float64_queries_of_float32_points(rng, shape, dim, engine):
    if engine == "hybrid":
        pytest.importorskip("numba")
    points = FAR[shape](rng, 600, dim).astype(np.float32)
    spread = np.maximum(np.abs(points[rng.integers(0, 600, 200)]).astype(np.float64) * 2e-7, 1e-6)
    queries = points[rng.integers(0, 600, 200)] + spread * rng.standard_normal((200, dim))
    queries[:20] = points[:20]  # which float32 holds
    tree = cover_tree(points, engine=engine)
    square = squares(queries, points)
    for k in (1, 4, 40, 150):
        if engine == "hybrid" and k == 150:
            continue
        indices, distances = tree.knn(k, queries=queries, return_distances=True)
        assert_in_order(square, indices)
        assert distances.dtype == np.float32
        np.testing.assert_allclose(
            distances, np.sqrt(np.take_along_axis(square, indices, axis=1)).astype(float), rtol=1.2e-7, atol=2e-45
        )
    for row in (0, 50, 100):
        r = float(np.sqrt(np.sort(square[row])[10])) * (1 + 1e-12)
        counts = tree.radius(r, queries=queries, count_only=True)
        lists = tree.radius(r, queries=queries, return_distances=True)
        within = np.sqrt(square).astype(np.float64) <= _scores.largest_reported(r, np.dtype(np.float32))
        assert (counts == within.sum(axis=1)).all()
        assert (np.diff(lists.offsets) == counts).all()
        for one in range(0, 200, 17):
            mine = lists.indices[lists.offsets[one] : lists.offsets[one + 1]]
            assert set(mine) == set(np.flatnonzero(within[one]))
        found = tree.knn(5, queries=queries, max_distance=r)
        assert ((found >= 0).sum(axis=1) == np.minimum(counts, 5)).all()


@given(
    seed=st.integers(0, 2**32 - 1), dim=st.integers(1, 5), n=st.integers(1, 90), k=st.integers(1, 12),
    location=st.tuples(st.sampled_from([0.0, 1.0, 1e3, 3e7, 1e12, 1e30]), st.sampled_from([1e-9, 1e-3, 1.0])),
)  # fmt: skip
def test_any_float64_queries_of_any_float32_points(seed, dim, n, k, location):
    rng, (offset, step) = np.random.default_rng(seed), location
    points = (offset + step * rng.integers(-4, 5, (n, dim)) * rng.choice([1, 1e3, 1e7])).astype(np.float32)
    queries = points[rng.integers(0, n, 20)].astype(np.float64) * (1 + 1e-8 * rng.standard_normal((20, dim)))
    indices = cover_tree(points).knn(k, queries=queries)
    assert (indices[:, min(n, k) :] == -1).all()
    assert_in_order(squares(queries, points), indices[:, : min(n, k)])


def test_queries_beyond_float32(rng):
    points = np.array([[3e38, 0], [-3e38, 0], [0, 1]], np.float32)
    tree = cover_tree(points)
    assert tree.knn(3, queries=[[1e39, 0.0], [-1e100, 0.0]]).tolist() == [[0, 2, 1], [0, 1, 2]]
    assert tree.knn(3, queries=[[-1e39, 0.0]]).tolist() == [[1, 2, 0]]
    with pytest.raises(ValueError, match=r"queries\[0, 1\]"):
        tree.knn(1, queries=[[0.0, np.inf]])
    with pytest.raises(ValueError, match=r"queries\[0, 0\].*rescale"):
        tree.knn(1, queries=[[1e200, 0.0]])


def test_float64_queries_in_partitions(rng, tmp_path):
    points = (rng.random((3000, 2)) * 40 + [4e6, 5e5]).astype(np.float32)
    queries = points[rng.integers(0, 3000, 500)] + rng.standard_normal((500, 2)) * 0.2
    tree = cover_tree(points, folder=tmp_path / "tree", partition_size=500)
    square = squares(queries, points)
    indices = tree.knn(7, queries=queries)
    assert (indices == cover_tree(points).knn(7, queries=queries)).all()
    assert_in_order(square, indices)
    lists, whole = tree.radius(0.75, queries=queries), cover_tree(points).radius(0.75, queries=queries)
    assert (lists.offsets == whole.offsets).all()
    assert (lists.indices == whole.indices).all()


def test_partitions_answer_queries_in_mixed_precision(rng):
    points = np.repeat(rng.standard_normal((60, 2)), 12, axis=0).astype(np.float32)
    queries = points[:50].astype(np.float64)
    queries[1::2] += 1e-9
    partitions, layout = in_partitions(points, 5, cover_tree)
    block = NearestBlock(Queries(np.arange(50), queries), layout, 20, np.dtype(np.float32))
    found = drive(block, partitions, lambda partition, some: partition.answer(some, 20))
    assert (found.indices == cover_tree(points).knn(20, queries=queries)).all()


def test_float64_queries_of_an_estimator(rng):
    pytest.importorskip("sklearn")
    from covertreex.sklearn import CoverTreeNeighbors  # noqa: PLC0415

    points = (rng.random((500, 2)) * 40 + [4e6, 5e5]).astype(np.float32)
    queries = points[:100] + rng.standard_normal((100, 2)) * 0.2
    model = CoverTreeNeighbors(n_neighbors=3).fit(points)
    assert_in_order(squares(queries, points), model.kneighbors(queries, return_distance=False))


# Tiny distances

TINY = {
    "small": lambda rng, n: rng.standard_normal((n, 3)) * 1e-200,
    "a lattice": lambda rng, n: rng.integers(0, 6, (n, 2)) * 1e-180,
    "of every size": lambda rng, n: np.where(rng.random((n, 3)) < 0.6, 10.0 ** rng.uniform(-323, 0, (n, 3)), 0.0),
    "the least numbers": lambda rng, n: rng.integers(0, 40, (n, 2)) * 5e-324,
    "duplicates": lambda rng, n: np.repeat(rng.standard_normal((n // 8, 3)) * 1e-250, 8, axis=0),
    "clusters": lambda rng, n: (
        rng.integers(0, 4, (n, 2))
        + np.where(np.arange(n)[:, None] % 2, 0, 1.0)
        * rng.standard_normal((n, 2))
        * 1e-170
        * np.eye(2)[rng.integers(0, 2, n)]
    ),
    "among large ones": lambda rng, n: rng.choice([0.0, 1e-300, 3e-300, 1e-160, 1.0, 1e100], (n, 3)),
    "about the limit": lambda rng, n: rng.standard_normal((n, 2)) * 2.0**-480 * 10.0 ** rng.integers(-2, 3, (n, 1)),
}


@pytest.mark.parametrize("engine", ["native", "hybrid"])
@pytest.mark.parametrize("shape", TINY)
def test_distances_too_small_to_square(rng, shape, engine):
    if engine == "hybrid":
        pytest.importorskip("numba")
    points = TINY[shape](rng, 240)
    tree = cover_tree(points, engine=engine)
    assert tree.validate()
    square = squares(points, points)
    for k in (1, 2, 9, 60) if engine == "hybrid" else (1, 2, 9, 60, 140, 240):
        indices, distances = tree.knn(k, return_distances=True)
        assert_in_order(square, indices)
        wanted = np.sqrt(np.take_along_axis(square, indices, axis=1)).astype(np.float64)
        np.testing.assert_allclose(distances, wanted, rtol=4e-16, atol=5e-324)
        assert (np.diff(distances, axis=1) >= 0).all()
    other = ~np.eye(len(points), dtype=bool)
    indices = tree.knn(4, exclude_self=True)
    assert_in_order(np.where(other, square, np.inf), indices)
    _, distances = tree.knn(9, return_distances=True)
    true = np.sqrt(square).astype(np.float64).astype(LONG)
    for r in (0.0, *distances[3:40:9, -1], 2.0**-480):
        # A sum in float64 may be rounded to the other side of a distance that occurs.
        surely, perhaps = true <= LONG(r) * (1 - LONG(4e-16)), true <= LONG(r) * (1 + LONG(4e-16))
        counts = tree.radius(r, count_only=True)
        assert (surely.sum(axis=1) <= counts).all()
        assert (counts <= perhaps.sum(axis=1)).all()
        lists = tree.radius(r, return_distances=True)
        assert (np.diff(lists.offsets) == counts).all()
        for row in range(0, 240, 23):
            mine = slice(lists.offsets[row], lists.offsets[row + 1])
            assert set(np.flatnonzero(surely[row])) <= set(lists.indices[mine]) <= set(np.flatnonzero(perhaps[row]))
            assert (lists.distances[mine] <= r).all()
        bounded = tree.knn(6, max_distance=r)
        assert ((bounded >= 0).sum(axis=1) == np.minimum(counts, 6)).all()


@pytest.mark.parametrize("shape", TINY)
def test_a_tree_of_tiny_distances_keeps_every_rule(rng, shape):
    points = TINY[shape](rng, 160)
    for order in ("hilbert", "natural", "random"):
        tree = cover_tree(points, order=order)
        d = np.sqrt(squares(tree.export_arrays().points, tree.export_arrays().points))
        assert_cover_tree(tree.export_arrays(), 160, d)
    more = TINY[shape](rng, 80)
    tree.insert(more)
    assert tree.validate()
    both = np.concatenate([points, more])
    assert_in_order(squares(both, both), tree.knn(5))
    tree.remove(np.arange(0, 240, 2))
    left = np.arange(1, 240, 2)
    assert tree.validate()
    assert_in_order(squares(both[left], both[left]), np.searchsorted(left, tree.knn(5)))
    again = pickle.loads(pickle.dumps(tree))
    assert (again.knn(5) == tree.knn(5)).all()


def test_many_dimensions_of_tiny_distances(rng):
    for points in (rng.standard_normal((400, 30)) * 1e-180, rng.integers(0, 2, (400, 30)) * 1e-290):
        indices = cover_tree(points).knn(6)
        assert_in_order(squares(points, points), indices)


def test_tiny_distances_in_partitions(rng):
    for shape, make in TINY.items():
        points = make(rng, 240)
        partitions, layout = in_partitions(points, 4, cover_tree)
        whole = cover_tree(points)
        block = NearestBlock(Queries(np.arange(240), points), layout, 7, np.dtype(np.float64))
        found = drive(block, partitions, lambda partition, some: partition.answer(some, 7))
        indices, distances = whole.knn(7, queries=points, return_distances=True)
        assert (found.indices == indices).all(), shape
        assert (found.distances == distances).all()
        assert (found.scores >= 0).all()
        r = float(distances[5, 3])
        block = WithinBlock(Queries(np.arange(240), points), layout, r, np.dtype(np.float64))
        lists = drive(block, partitions, lambda partition, some, r=r: partition.within(some, r))
        wanted = whole.radius(r, queries=points)
        assert (lists.offsets == wanted.offsets).all()
        assert (lists.indices == wanted.indices).all()


def test_probabilities_of_a_classifier():
    pytest.importorskip("sklearn")
    from sklearn.datasets import load_digits  # noqa: PLC0415
    from sklearn.naive_bayes import GaussianNB  # noqa: PLC0415

    x, y = load_digits(return_X_y=True)
    points = GaussianNB().fit(x, y).predict_proba(x)
    tree = cover_tree(points)
    assert tree.validate()
    rows = np.arange(0, len(points), 9)
    square = squares(points[rows], points)
    assert ((square > 0) & (square < LONG(2) ** -960)).any()
    indices, distances = tree.knn(12, queries=rows, return_distances=True)
    assert_in_order(square, indices)
    wanted = np.sqrt(np.take_along_axis(square, indices, axis=1)).astype(np.float64)
    np.testing.assert_allclose(distances, wanted, rtol=1e-15, atol=5e-324)


def test_float64_queries_near_float32_points():
    points = np.array([[0, 0], [1e-44, 0], [1, 0], [0, 0]], np.float32)
    queries = [[1e-200, 0], [3e-310, 4e-310], [0, 0], [1 + 1e-15, 0]]
    tree = cover_tree(points)
    assert tree.knn(4, queries=queries).tolist() == [[0, 3, 1, 2]] * 3 + [[2, 0, 1, 3]]
    assert tree.radius(0, queries=queries, count_only=True).tolist() == [2, 2, 2, 0]


def test_the_max_min_order_of_tiny_distances(rng):
    points = rng.random((60, 2))
    order = vecchia.ordering(points)
    assert (vecchia.ordering(points * 2.0**-700) == order).all()
    assert (vecchia.ordering(points * 2.0**-300) == order).all()


# Kernels of any variance

VARIANCES = [1e-290, 1e-160, 1e-130, 7.0, 1e120, 1e155, 1e300]


@pytest.mark.parametrize("variance", VARIANCES)
@pytest.mark.parametrize("inducing_count", [0, 15])
def test_neighbours_do_not_depend_on_the_variance(rng, variance, inducing_count):
    points, new = rng.random((700, 2)), rng.random((60, 2))
    # The nearest power of four, so that both trees round alike.
    unit = 4.0 ** round(math.log(variance, 4))
    one = cover_tree(points, kernel=Matern32(0.3), inducing_count=inducing_count)
    tree = cover_tree(points, kernel=Matern32(0.3, variance=unit), inducing_count=inducing_count)
    for options in ({}, {"predecessor_mode": True}, {"exclude_self": True}, {"queries": new}):
        for mine, wanted in zip(
            tree.knn(8, return_distances=True, **options), one.knn(8, return_distances=True, **options)
        ):
            assert (mine == wanted).all()
    assert tree.stats().variance == unit
    root = math.sqrt(unit)
    assert (tree.v_matrix == one.v_matrix * root).all()
    assert (tree.residual_variance == one.residual_variance * unit).all()
    for mine, wanted, factor in zip(tree.features(new), one.features(new), (root, unit)):
        assert (mine == wanted * factor).all()
    arrays, usual = tree.export_arrays(), one.export_arrays()
    assert (arrays.v_matrix == usual.v_matrix * root).all()
    assert (arrays.residual_variance == usual.residual_variance * unit).all()
    assert (arrays.kernel_variance, arrays.variance) == (unit, unit)
    assert (arrays.scales == usual.scales).all()


@pytest.mark.parametrize("variance", [1e-160, 1e155])
def test_neighbours_with_a_kernel_that_is_a_function(rng, variance):
    points = rng.random((300, 2))

    def covariances(a, b):
        return variance * np.exp(-np.sqrt(((a[:, None] - b[None]) ** 2).sum(axis=2)) / 0.3)

    tree = cover_tree(points, kernel=covariances, inducing_count=12)
    with np.errstate(over="raise", under="raise"):
        found = cover_tree(points, kernel=lambda a, b: covariances(a, b) / variance, inducing_count=12)
    assert (tree.knn(5, exclude_self=True) == found.knn(5, exclude_self=True)).mean() > 0.999


@pytest.mark.parametrize("variance", [1e-160, 1e155])
def test_features_that_are_given_with_any_variance(rng, variance, tmp_path):
    unit = 4.0 ** round(math.log(variance, 4))
    points = rng.random((300, 2))
    one = cover_tree(points, kernel=RBF(0.3), inducing_count=12)
    v, p = one.v_matrix * math.sqrt(unit), one.residual_variance * unit
    tree = cover_tree(points, kernel=RBF(0.3, variance=unit), v_matrix=v, p_diag=p)
    wanted = cover_tree(points, kernel=RBF(0.3), v_matrix=one.v_matrix, p_diag=one.residual_variance)
    assert (tree.knn(6, exclude_self=True) == wanted.knn(6, exclude_self=True)).all()
    with pytest.raises(ValueError, match=r"p_diag\[7\]"):
        p[7] *= 1.5
        cover_tree(points, kernel=RBF(0.3, variance=unit), v_matrix=v, p_diag=p)


@pytest.mark.parametrize("variance", [1e-160, 1e155])
@pytest.mark.parametrize("inducing_count", [0, 15])
def test_results_of_a_tree_of_any_variance(rng, variance, inducing_count, tmp_path):
    points, more = rng.random((500, 2)), rng.random((90, 2))
    kernel = Matern52(0.2, variance=variance)
    tree = cover_tree(points, kernel=kernel, inducing_count=inducing_count)
    wanted = tree.knn(6, exclude_self=True)
    tree.save(tmp_path / "tree.covertree")
    for same in (load(tmp_path / "tree.covertree"), pickle.loads(pickle.dumps(tree))):
        assert (same.knn(6, exclude_self=True) == wanted).all()
        assert same.kernel == kernel
        assert (same.v_matrix == tree.v_matrix).all()
        assert (same.knn(6, queries=more) == tree.knn(6, queries=more)).all()
    inducing = tree.inducing_points
    tree.insert(more)
    both = cover_tree(np.concatenate([points, more]), kernel=kernel, inducing_points=inducing)
    assert (tree.knn(6) == both.knn(6)).all()


@pytest.mark.parametrize("variance", [1e-160, 1e155])
@pytest.mark.parametrize("inducing_count", [0, 15])
def test_kernels_for_numba_with_any_variance(rng, variance, inducing_count):
    kernels = pytest.importorskip("covertreex.numba")
    points = rng.random((400, 2))
    tree = cover_tree(points, kernel=Matern52(0.2, variance=variance), inducing_count=inducing_count)
    for options in ({"exclude_self": True}, {"predecessor_mode": True}, {"queries": rng.random((30, 2))}):
        for mine, wanted in zip(
            kernels.knn(tree, 5, return_distances=True, **options), tree.knn(5, return_distances=True, **options)
        ):
            assert (mine == wanted).all()


def test_variances_that_nothing_can_be_computed_with(rng):
    for variance in (1e-300, 1e305):
        with pytest.raises(ValueError, match=r"kernel: expected variances.*2\^-980 to 2\^1000"):
            cover_tree(rng.random((20, 2)), kernel=RBF(variance=variance), inducing_count=0)


# The order in space

KERNELS = [RBF(0.4), Matern12(0.3), Matern32([0.2, 0.7]), Matern52(0.5, variance=3.0)]


def spatial(kernel, queries, points):
    scale = np.broadcast_to(np.asarray(kernel.lengthscale), queries.shape[1:])
    return squares(queries / scale, points / scale)


@pytest.mark.parametrize("engine", ["native", "hybrid"])
@pytest.mark.parametrize("kernel", KERNELS)
def test_without_inducing_points_the_order_is_that_in_space(rng, kernel, engine):
    if engine == "hybrid":
        pytest.importorskip("numba")
    points = rng.random((500, 2)) * 10.0 ** rng.integers(-1, 5, (500, 1))
    points[100:120] = points[:20]
    new = rng.random((50, 2)) * 10.0 ** rng.integers(-1, 5, (50, 1))
    tree = cover_tree(points, kernel=kernel, inducing_count=0, engine=engine)
    square = spatial(kernel, points, points)
    earlier = np.tri(500, k=-1, dtype=bool)
    indices, distances = tree.knn(12, return_distances=True)
    assert_in_order(square, indices)
    assert (np.diff(distances, axis=1) >= 0).all()
    assert (distances == 1).any()
    rho = kernel(points) / kernel.variance
    wanted = np.sqrt(np.maximum(0, 1 - np.take_along_axis(rho, indices, axis=1)))
    np.testing.assert_allclose(distances, wanted, atol=3e-8)
    found = tree.knn(12, predecessor_mode=True)
    for row in range(500):
        count = min(12, row)
        assert (found[row, count:] == -1).all()
        assert_in_order(square[row : row + 1, :row], found[row : row + 1, :count])
    assert_in_order(np.where(np.eye(500, dtype=bool), np.inf, square), tree.knn(5, exclude_self=True))
    assert_in_order(spatial(kernel, new, points), tree.knn(9, queries=new))
    before = rng.integers(5, 500, 50)
    for row, found in enumerate(tree.knn(5, queries=new, before=before)):
        assert_in_order(spatial(kernel, new[row : row + 1], points[: before[row]]), found[None])
    some = rng.integers(0, 500, 40)
    assert_in_order(square[some], tree.knn(7, queries=some))
    assert earlier.sum() == 500 * 499 / 2


def test_far_points_are_distinguished():
    points = np.array([[0.0], [300.0], [200.0], [100.0], [60.0]])
    tree = cover_tree(points, kernel=RBF(1.0), inducing_count=0)
    indices, distances = tree.knn(4, queries=[0], exclude_self=True, return_distances=True)
    assert indices.tolist() == [[4, 3, 2, 1]]
    assert (distances == 1).all()
    assert tree.knn(2, queries=[4], predecessor_mode=True).tolist() == [[3, 0]]
    # Where candidates are limited, too.
    assert tree.knn(2, queries=[0], exclude_self=True, candidates=4).tolist() == [[4, 3]]


def test_the_order_in_space_in_partitions(rng):
    points = rng.random((900, 2)) * 10.0 ** rng.integers(-1, 4, (900, 1))
    for kernel in KERNELS:
        partitions, layout = in_partitions(
            points, 5, lambda some, k=kernel: cover_tree(some, kernel=k, inducing_count=0)
        )
        whole = cover_tree(points, kernel=kernel, inducing_count=0)
        new = rng.random((80, 2)) * 100
        asked = Queries(np.arange(80), new, features=whole.features(new))
        found = drive(
            NearestBlock(asked, layout, 6, np.dtype(np.float64)),
            partitions,
            lambda partition, some: partition.answer(some, 6),
        )
        indices, distances = whole.knn(6, queries=new, return_distances=True)
        assert (found.indices == indices).all()
        assert (found.distances == distances).all()


def test_oracles_agree(rng):
    """The two ways of computing the truth that these tests use."""
    points, queries = sample(40, 5), sample(7, 5, seed=3)
    np.testing.assert_allclose(oracle(points, queries, "sqeuclidean"), squares(queries, points).astype(float))

"""Cover trees by a metric of the caller: against brute force by the same function."""

from __future__ import annotations

import ctypes
import math
import pickle
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

import covertreex
from covertreex import CoverTreeError, MetricTree
from covertreex._capi.structs import DISTANCE

RNG = np.random.default_rng(0)


def brute(distances, k, allowed=None):
    """The k nearest columns of each row, by (distance, column); -1 beyond those that are allowed."""
    allowed = np.ones(distances.shape, bool) if allowed is None else allowed
    masked = np.where(allowed, distances, np.inf)
    order = np.lexsort((np.broadcast_to(np.arange(masked.shape[1]), masked.shape), masked), axis=1)
    rows = np.take_along_axis(masked, order, 1)
    order = np.where(rows < np.inf, order, -1)
    missing = ((0, 0), (0, max(0, k - order.shape[1])))
    return np.pad(order, missing, constant_values=-1)[:, :k], np.pad(rows, missing, constant_values=np.inf)[:, :k]


def edit_distance(a, b):
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        last, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (x != y))
    return row[-1]


def words(n, seed=0, letters="abcd", longest=7):
    rng = np.random.default_rng(seed)
    return ["".join(rng.choice(list(letters), rng.integers(0, longest))) for _ in range(n)]


def edit_blocks(X, Y):
    return [[edit_distance(x, y) for y in Y] for x in X]


def jaccard(X, Y):
    return [[1 - len(x & y) / len(x | y) if x | y else 0 for y in Y] for x in X]


def clustered(rng, n, dim):
    centres = rng.random((5, dim))
    return centres[rng.integers(0, 5, n)] + 10.0 ** rng.uniform(-9, -1, (n, 1)) * rng.standard_normal((n, dim))


def check_all(tree, inner, queries=None, outer=None):
    """Every search of a tree, against the distances among its points, and from queries to them."""
    n = len(inner)
    for k in (1, 3, min(n + 2, 70)):
        indices, distances = tree.knn(k, return_distances=True)
        expected, expected_distances = brute(inner, k)
        np.testing.assert_array_equal(indices, expected)
        np.testing.assert_array_equal(distances, expected_distances)
    before = np.arange(n)[None] < np.arange(n)[:, None]
    np.testing.assert_array_equal(tree.knn(4, predecessor_mode=True), brute(inner, 4, before)[0])
    np.testing.assert_array_equal(tree.knn(4, exclude_self=True), brute(inner, 4, ~np.eye(n, dtype=bool))[0])
    limits = np.random.default_rng(1).integers(0, n + 1, n)
    np.testing.assert_array_equal(tree.knn(4, before=limits), brute(inner, 4, np.arange(n)[None] < limits[:, None])[0])
    for r in (0.0, float(np.quantile(inner, 0.1)), *([float(inner.max())] if n < 100 else [])):
        found = tree.radius(r, return_distances=True)
        np.testing.assert_array_equal(np.diff(found.offsets), (inner <= r).sum(1))
        for row in range(0, n, max(1, n // 20)):
            mine = slice(found.offsets[row], found.offsets[row + 1])
            expected, expected_distances = brute(inner[row : row + 1], n, inner[row : row + 1] <= r)
            many = int((expected >= 0).sum())
            np.testing.assert_array_equal(found.indices[mine], expected[0, :many])
            np.testing.assert_array_equal(found.distances[mine], expected_distances[0, :many])
        np.testing.assert_array_equal(tree.radius(r, count_only=True), (inner <= r).sum(1))
        limited = tree.knn(5, max_distance=r)
        np.testing.assert_array_equal(limited, brute(inner, 5, inner <= r)[0])
    some = np.random.default_rng(2).integers(0, n, 7)
    np.testing.assert_array_equal(tree.knn(3, queries=some), brute(inner[some], 3)[0])
    if queries is not None:
        np.testing.assert_array_equal(tree.knn(5, queries=queries), brute(outer, 5)[0])
        r = float(np.quantile(outer, 0.2))
        np.testing.assert_array_equal(tree.radius(r, queries=queries, count_only=True), (outer <= r).sum(1))


SHAPES = [(1, 2), (2, 1), (17, 3), (63, 2), (65, 2), (120, 9), (300, 3)]


@pytest.mark.parametrize(("n", "dim"), SHAPES)
@pytest.mark.parametrize(("dtype", "order"), [(np.float32, "hilbert"), (np.float64, "natural"), (np.float64, "random")])
def test_vectors(n, dim, dtype, order):
    rng = np.random.default_rng(n)
    points, queries = rng.random((n, dim)).astype(dtype), rng.random((20, dim)).astype(dtype)
    tree = covertreex.cover_tree(points, metric=cdist, order=order)
    assert isinstance(tree, MetricTree)
    assert (len(tree), tree.dim) == (n, dim)
    tree.validate()
    check_all(tree, cdist(points, points), queries, cdist(queries, points))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32), n=st.integers(1, 300), dim=st.integers(1, 5), kind=st.integers(0, 3))
def test_any_data(seed, n, dim, kind):
    rng = np.random.default_rng(seed)
    if kind == 0:
        points = clustered(rng, n, dim)
    elif kind == 1:
        points = rng.integers(0, 3, (n, dim)).astype(float)  # many are equal
    elif kind == 2:
        points = np.sort(rng.standard_normal((n, dim)), axis=0)
    else:
        points = 2.0 ** rng.integers(-60, 60, (n, 1)) * rng.standard_normal((n, dim))
    name = ["euclidean", "cityblock", "chebyshev"][seed % 3]
    tree = MetricTree(points, lambda X, Y: cdist(X, Y, name), seed=seed % 7)
    tree.validate()
    distances = cdist(points, points, name)
    np.testing.assert_array_equal(tree.knn(5), brute(distances, 5)[0])
    r = float(np.median(distances))
    np.testing.assert_array_equal(tree.radius(r, count_only=True), (distances <= r).sum(1))


def test_strings_and_sets():
    listed, asked = words(300), words(30, seed=1)
    inner, outer = (np.array(edit_blocks(rows, listed), float) for rows in (listed, asked))
    tree = covertreex.cover_tree(listed, metric=edit_blocks)
    tree.validate()
    check_all(tree, inner, asked, outer)
    assert sorted(tree._domain._held) == list(range(300))  # queries are not kept
    sets = [set(word) for word in listed[:120]]
    by_letters = MetricTree(sets, jaccard)
    by_letters.validate()
    check_all(by_letters, np.array(jaccard(sets, sets)))


def test_series_of_different_lengths():
    rng = np.random.default_rng(3)
    series = [rng.standard_normal(rng.integers(1, 9)) for _ in range(120)]

    def hausdorff(X, Y):
        def one(x, y):
            apart = np.abs(x[:, None] - y[None])
            return max(apart.min(0).max(), apart.min(1).max())

        return [[one(x, y) for y in Y] for x in X]

    tree = MetricTree(series, hausdorff)
    tree.validate()
    check_all(tree, np.array(hausdorff(series, series)))


def test_numbers_of_objects():
    matrix = cdist(*[RNG.random((260, 3))] * 2)
    tree = covertreex.cover_tree(range(250), metric=lambda i, j: matrix[i, j])
    check_all(tree, matrix[:250, :250])
    others = np.arange(250, 260)
    np.testing.assert_array_equal(tree.knn(5, queries=others[:, None]), brute(matrix[250:, :250], 5)[0])
    # The numbers of objects need not be their dataset indices.
    shuffled = np.random.default_rng(4).permutation(260)
    tree = MetricTree(shuffled, lambda i, j: matrix[i, j])
    check_all(tree, matrix[np.ix_(shuffled, shuffled)])


@pytest.mark.parametrize("batches", [(1, 1, 1, 30), (100, 1, 50, 200), (10, 500)])
def test_changes(batches):
    points = np.random.default_rng(5).random((sum(batches), 2))
    tree = MetricTree(points[: batches[0]], cdist)
    at = batches[0]
    for size in batches[1:]:
        np.testing.assert_array_equal(tree.insert(points[at : at + size]), np.arange(at, at + size))
        at += size
        tree.validate()
        distances = cdist(points[:at], points[:at])
        check_all(tree, distances)
    alive = np.ones(at, bool)
    rng = np.random.default_rng(6)
    while alive.sum() > 1:
        gone = rng.choice(np.flatnonzero(alive), max(1, int(alive.sum() * 0.2)), replace=False)
        tree.remove(gone)
        alive[gone] = False
        tree.validate()
        np.testing.assert_array_equal(tree.indices, np.flatnonzero(alive))
        np.testing.assert_array_equal(
            tree.knn(3), brute(distances[alive], 3, np.broadcast_to(alive, distances.shape)[alive])[0]
        )
    with pytest.raises(IndexError, match="the tree has no point"):
        tree.knn(1, queries=gone)
    tree.remove(np.flatnonzero(alive))
    assert len(tree) == 0
    assert tree.knn(2).shape == (0, 2)
    assert (tree.knn(2, queries=points[:3]) == -1).all()
    np.testing.assert_array_equal(tree.insert(points[:5]), np.arange(at, at + 5))
    np.testing.assert_array_equal(tree.knn(2, queries=points[:5]), at + brute(distances[:5, :5], 2)[0])


def test_the_tree_is_a_compressed_cover_tree():
    points = np.random.default_rng(7).random((700, 2))
    points[::7] = points[1::7][: len(points[::7])]
    tree = MetricTree(points, cdist)
    arrays = tree.export_arrays()
    np.testing.assert_array_equal(arrays.points, points[arrays.order])
    apart = cdist(arrays.points, arrays.points)
    lowest = np.iinfo(np.int32).min
    for t in range(1, len(points)):
        parent, level = arrays.parents[t], int(arrays.levels[t])
        if level == lowest:
            assert apart[t, parent] == 0
            continue
        assert level < arrays.levels[parent]
        assert apart[t, parent] <= 2.0 ** (level + 1)
    nodes = np.flatnonzero(arrays.levels > lowest)
    for t in nodes:
        above = nodes[(arrays.levels[nodes] >= arrays.levels[t]) & (nodes != t)]
        assert (apart[t, above] > 2.0 ** int(arrays.levels[t])).all()
    for t in range(len(points)):
        subtree = apart[t, t : arrays.subtree_end[t]]
        assert arrays.radius[t] == subtree.max()


def test_evaluations_are_counted_and_few():
    points = np.random.default_rng(8).random((3000, 2))
    counted = [0]

    def metric(X, Y):
        counted[0] += len(X) * len(Y)
        return cdist(X, Y)

    tree = MetricTree(points, metric)
    assert tree.stats().cover.distance_evaluations == counted[0] < 60 * len(points)
    counted[0] = 0
    tree.knn(5, queries=np.random.default_rng(9).random((200, 2)))
    assert tree.stats().points_compared == counted[0] < 40 * 200
    assert tree.stats().queries == 200


def test_results_do_not_depend_on_threads():
    numba = pytest.importorskip("covertreex.numba")
    metric = numba.metric(lambda x, y: np.abs(x - y).sum())
    points = np.random.default_rng(10).random((2000, 3))
    one, two = (MetricTree(points, metric, n_threads=n) for n in (1, 2))
    for name in ("order", "levels", "parents", "radius"):
        np.testing.assert_array_equal(getattr(one.export_arrays(), name), getattr(two.export_arrays(), name))
    assert one.stats().cover.distance_evaluations == two.stats().cover.distance_evaluations
    for n in (1, 2):
        np.testing.assert_array_equal(one.knn(5, n_threads=n), covertreex.cover_tree(points, metric="manhattan").knn(5))


def test_compiled_metrics():
    numba = pytest.importorskip("covertreex.numba")

    def great_circle(x, y):
        a = math.sin((x[0] - y[0]) / 2) ** 2 + math.cos(x[0]) * math.cos(y[0]) * math.sin((x[1] - y[1]) / 2) ** 2
        return 2 * math.asin(min(1.0, math.sqrt(a)))

    rng = np.random.default_rng(11)
    points = np.column_stack([np.arcsin(rng.uniform(-1, 1, 800)), rng.uniform(-np.pi, np.pi, 800)])
    tree = covertreex.cover_tree(points, metric=numba.metric(great_circle))
    tree.validate()
    np.testing.assert_array_equal(tree.knn(10), covertreex.cover_tree(points, metric="haversine").knn(10))
    single = numba.metric(lambda x, y: np.abs(x - y).max(), "float32")
    tree = MetricTree(points, single)
    assert tree._domain.dtype == np.float32
    rounded = points.astype(np.float32)
    expected = np.abs(rounded[:, None] - rounded[None]).max(-1).astype(float)
    np.testing.assert_array_equal(tree.knn(4), brute(expected, 4)[0])
    table = cdist(points, points)
    numbers = numba.metric(lambda i, j: abs(i - j) * 1.0, "int64")
    np.testing.assert_array_equal(MetricTree(range(90), numbers).knn(2)[:, 1], [1, *range(89)])
    assert table.shape == (800, 800)


def test_c_functions():
    @DISTANCE
    def manhattan(_, count, columns, left, right, distances):
        shape = count, columns
        x, y = (np.ctypeslib.as_array(ctypes.cast(p, ctypes.POINTER(ctypes.c_double)), shape) for p in (left, right))
        np.ctypeslib.as_array(ctypes.cast(distances, ctypes.POINTER(ctypes.c_double)), (count,))[:] = np.abs(x - y).sum(
            1
        )
        return 0

    points = RNG.random((150, 2))
    tree = MetricTree(points, manhattan, n_threads=1)
    np.testing.assert_array_equal(tree.knn(3, n_threads=1), covertreex.cover_tree(points, metric="manhattan").knn(3))


def squares(X, Y):
    return cdist(X, Y) ** 2


def lopsided(X, Y):
    return cdist(X, Y) * (1 + 0.1 * (X[:, :1] > Y[:, 0][None]))


def never_zero(X, Y):
    return cdist(X, Y) + 1


def noise(X, Y):
    bits = np.add.outer(X @ [12.9898, 78.233], Y @ [12.9898, 78.233])
    return np.abs(np.sin(bits) * 43758.5453) % 1 * (cdist(X, Y) > 0)


@pytest.mark.parametrize(
    ("metric", "rule"),
    [
        (squares, r"triangle inequality is broken by points: d\(\d+, \d+\) = .* is above .*, the way by \d+"),
        (lopsided, r"d\(x, y\) = d\(y, x\) is broken by points: d\(\d+, \d+\)"),
        (never_zero, r"d\(x, x\) = 0 is broken by points: d\((\d+), \1\) = 1"),
        (noise, "is broken by points"),
    ],
)
def test_functions_that_are_no_metrics_end_and_are_named(metric, rule):
    points = np.random.default_rng(12).random((400, 2))
    tree = MetricTree(points, metric)
    assert tree.knn(3).shape == (400, 3)
    tree.radius(0.3)
    tree.insert(points[:50])
    tree.remove(np.arange(30))
    with pytest.raises(CoverTreeError, match=rule):
        tree.validate()


def returns(value):
    return lambda X, Y: np.full((len(X), len(Y)), value)


@pytest.mark.parametrize(
    ("metric", "error", "message"),
    [
        (returns(np.nan), ValueError, "metric: expected finite numbers, got nan"),
        (returns(np.inf), ValueError, "metric: expected finite numbers, got inf"),
        (returns(-1.0), ValueError, r"metric: expected distances from 0 to 2\^500, got -1.0"),
        (returns(1e300), ValueError, r"metric: expected distances from 0 to 2\^500, got 1e\+300"),
        (lambda X, Y: np.zeros(3), ValueError, r"metric: expected shape \(1, \d+\), got \(3,\)"),
        (lambda X, Y: None, TypeError, "metric: expected"),
        (lambda X, Y: 1 / 0, ZeroDivisionError, "division by zero"),
    ],
)
def test_wrong_results(metric, error, message):
    points = RNG.random((100, 2))
    with pytest.raises(error, match=message):
        MetricTree(points, metric)
    calls = [0]

    def later(X, Y):
        calls[0] += 1
        return cdist(X, Y) if calls[0] <= allowed else metric(X, Y)

    allowed = 10**9
    tree = MetricTree(points, later)
    before = tree.knn(3)
    allowed = calls[0]
    for call in (lambda: tree.knn(3), lambda: tree.insert(points[:3]), tree.validate, lambda: tree.radius(0.1)):
        with pytest.raises(error, match=message):
            call()
    allowed = 10**9
    np.testing.assert_array_equal(tree.knn(3), before)  # as it was
    assert len(tree) == 100


@pytest.mark.parametrize(
    ("points", "metric", "error", "message"),
    [
        (np.zeros((3, 2)), 3, TypeError, "metric: expected a function, got 3"),
        ("abc", edit_blocks, TypeError, "points: expected a sequence of objects, got 'abc'"),
        ([1, 2, 3], edit_blocks, TypeError, "points: expected objects; integers are numbers of objects"),
        (np.empty((0, 2)), cdist, ValueError, "points: expected at least 1 row"),
        ([], edit_blocks, ValueError, "points: expected at least 1 row"),
        (np.array([[0.0, np.nan]]), cdist, ValueError, r"points\[0, 1\]: expected finite"),
    ],
)
def test_wrong_points(points, metric, error, message):
    with pytest.raises(error, match=message):
        MetricTree(points, metric)


def test_wrong_calls(tmp_path):
    points = RNG.random((50, 2))
    tree = MetricTree(points, cdist)
    for name, value in (("period", 1.0), ("leaf_size", 8), ("folder", tmp_path), ("metric_params", {"p": 2})):
        with pytest.raises(ValueError, match=f"{name}: expected only with a metric of the library"):
            covertreex.cover_tree(points, metric=cdist, **{name: value})
    with pytest.raises(ValueError, match="queries: expected 2 columns of float64, got 3 columns of float64"):
        tree.knn(1, queries=np.zeros((1, 3)))
    with pytest.raises(ValueError, match="predecessor_mode: only points of the tree have predecessors"):
        tree.knn(1, queries=points, predecessor_mode=True)
    numbers = MetricTree(range(9), lambda i, j: np.abs(i - j))
    with pytest.raises(ValueError, match="queries: expected dataset indices, or a column of numbers"):
        numbers.knn(1, queries=np.zeros(3))
    with pytest.raises(IndexError, match="the tree has no point 9"):
        numbers.knn(1, queries=[9])


def test_copies():
    points = RNG.random((90, 2))
    for made in (MetricTree(points, cdist), MetricTree(words(60), edit_blocks)):
        copied = pickle.loads(pickle.dumps(made))
        np.testing.assert_array_equal(copied.knn(4), made.knn(4))


def test_threads_of_the_caller_search_at_once():
    listed = words(200)
    tree = MetricTree(listed, edit_blocks)
    expected, found = tree.knn(4), [None] * 4

    def search(slot):
        found[slot] = tree.knn(4, queries=listed)

    threads = [threading.Thread(target=search, args=(slot,)) for slot in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one in found:
        np.testing.assert_array_equal(one, expected)
    assert len(tree._domain._held) == 200


def test_a_metric_may_keep_and_change_its_arguments():
    points, kept = RNG.random((100, 2)), []

    def metric(X, Y):
        found = cdist(X, Y)
        kept.append((X, Y))
        X[:], Y[:] = 0, 0
        return found

    tree = MetricTree(points, metric)
    np.testing.assert_array_equal(tree.knn(3), brute(cdist(points, points), 3)[0])


def test_estimators():
    sklearn = pytest.importorskip("sklearn.neighbors")
    estimators = pytest.importorskip("covertreex.sklearn")
    X, y = RNG.random((120, 2)), RNG.integers(0, 3, 120)

    def distance(a, b, power=1.0):
        return float(np.abs(a - b).sum() * power)

    for parameters in (None, {"power": 2.0}):
        ours = estimators.CoverTreeClassifier(n_neighbors=3, metric=distance, metric_params=parameters).fit(X, y)
        theirs = sklearn.KNeighborsClassifier(n_neighbors=3, metric=distance, metric_params=parameters).fit(X, y)
        np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))
        np.testing.assert_allclose(ours.kneighbors(X)[0], theirs.kneighbors(X)[0])

"""Pairs of points and spanning trees in other metrics than Euclidean are those of a brute force."""

from __future__ import annotations

import metric_oracle as oracle
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pair_oracle import assert_spanning_tree, limit_between, mutual_reachability, pairs, spanning_tree

from covertreex import cover_tree

pytest.importorskip("scipy.spatial")
DEGREES = {"unit": "degrees", "radius": 6371.0}
FORM = np.array([[2.0, 0.3, 0.1], [0.3, 0.5, 0.0], [0.1, 0.0, 4.0]])
#: A metric, its parameters, and a period.
NORMS = [
    ("manhattan", {}, None), ("manhattan", {"w": [0.5, 0.0, 3.0]}, None), ("manhattan", {}, 1.0),
    ("chebyshev", {}, None), ("chebyshev", {"scale": [0.1, 10, 1]}, None), ("chebyshev", {}, [1.0, None, 0.3]),
    ("euclidean", {"w": [0.5, 2.0, 0.0]}, None), ("seuclidean", {"V": [0.1, 4, 2]}, None),
    ("euclidean", {}, [0.5, 1.0, None]), ("euclidean", {"scale": [1, 2, 5]}, 2.0),
    ("minkowski", {"p": 3}, None), ("minkowski", {"p": 4, "w": [1, 0, 2]}, 1.0), ("minkowski", {"p": 1.5}, None),
    ("minkowski", {"p": 2.5}, [None, 0.7, 1.0]), ("minkowski", {"p": np.inf}, 1.0), ("minkowski", {"p": 2}, None),
]  # fmt: skip
OTHERS = [
    ("haversine", {}, None), ("haversine", DEGREES, None), ("cosine", {}, None), ("angular", {}, None),
    ("mahalanobis", {"VI": FORM}, None),
]  # fmt: skip
CASES = [(*case, dtype) for case in NORMS for dtype in (np.float32, np.float64)] + [
    (*case, np.float64) for case in OTHERS
]


def periods_of(period):
    """A number for each of three coordinates, infinity without a period."""
    return np.array([np.inf if one is None else one for one in np.broadcast_to(np.array(period, object), 3)], float)


def special_points(name, parameters, period):
    """Points where a metric is most likely to go wrong."""
    if name == "haversine":
        places = [[90, 0], [90, 77], [-90, 5], [-90, -120], [0, 180], [0, -180], [0, 179.5], [1, -179.5], [89.5, 10]]
        places += [[89.5, -170], [-30, 360], [-30, 0], [0, 0], [0, 0]]
        return np.array(places) * (1.0 if "unit" in parameters else np.pi / 180)
    ends = periods_of(period)
    ends = np.where(np.isfinite(ends), ends, 1.0)
    corners = np.indices((2, 2, 2)).reshape(3, -1).T * ends
    if name in {"cosine", "angular"}:
        corners = corners[1:]
    return np.concatenate([corners, corners[-2:], np.nextafter(corners[-2:], 0)])


def points_of(name, parameters, period, n, rng):
    """Random points, duplicates and special ones."""
    if name == "haversine":
        points = rng.uniform([-90, -180], [90, 180], (n, 2)) * (1.0 if "unit" in parameters else np.pi / 180)
    elif period is None:
        points = rng.normal(rng.integers(0, 3, (n, 1)) * 3.0, 1, (n, 3))
    else:
        ends = periods_of(period)
        points = rng.random((n, 3)) * np.where(np.isfinite(ends), ends, 1.0)
    special = special_points(name, parameters, period)
    points = np.concatenate([points, special, points[: n // 8]])
    return points[rng.permutation(len(points))]


def exactness(name, parameters, dtype):
    """The tolerance of a distance against the oracle's."""
    rtol = 2e-6 if dtype == np.float32 else 1e-11
    # Near the opposite point the arc sine loses half of the digits. Duplicates have a cosine of 1 up to rounding.
    atol = 5e-8 * parameters.get("radius", 1.0) if name in {"haversine", "angular"} else 1e-15
    if dtype == np.float32:
        atol = 1e-6
    return {"rtol": rtol, "atol": atol}


class Case:
    """Two trees in a metric, and the distances of all pairs."""

    def __init__(self, name, parameters, period, dtype, *, sizes=(260, 90), seed=3, **options):
        rng = np.random.default_rng(seed)
        self.made = [points_of(name, parameters, period, n, rng).astype(dtype) for n in sizes]
        how = {"metric": name, "metric_params": parameters or None, "period": period, **options}
        self.trees = [cover_tree(points, **how) for points in self.made]
        about = dict(parameters) if period is None else {**parameters, "period": periods_of(period)}
        first, second = self.made
        self.own = oracle.distances(first, first, name, **about)
        self.own = np.maximum(self.own, self.own.T)
        self.between = oracle.distances(first, second, name, **about)
        self.allowed = exactness(name, parameters, dtype)


def limits(true, allowed, quantiles):
    """Limits between distances that differ by more than rounding."""
    values = np.unique(true)
    gaps = np.flatnonzero(values[1:] > values[:-1] * (1 + 30 * allowed["rtol"]) + 30 * allowed["atol"])
    at = gaps[np.minimum((np.asarray(quantiles) * len(gaps)).astype(int), len(gaps) - 1)]
    return (values[at] + values[at + 1]) / 2


def counts(true, radii, weights=None):
    """Pairs within each radius, or the sums of their weights."""
    if weights is None:
        return np.array([(true <= r).sum() for r in radii])
    return np.array([(np.multiply.outer(*weights) * (true <= r)).sum() for r in radii])


@pytest.mark.parametrize(("name", "parameters", "period", "dtype"), CASES)
def test_pairs(name, parameters, period, dtype):
    case = Case(name, parameters, period, dtype)
    tree, other = case.trees
    for r in limits(case.own, case.allowed, [0, 0.03, 0.5, 0.999]):
        wanted = pairs(case.own, r, one_tree=True)
        for n_threads in (1, 3):
            found, lengths = tree.pairs_within(r, return_distances=True, n_threads=n_threads)
            assert (found == wanted).all()
            assert lengths.dtype == dtype
            np.testing.assert_allclose(lengths, case.own[tuple(wanted.T)], **case.allowed)
        assert (tree.pairs_within(r) == wanted).all()
    for r in limits(case.between, case.allowed, [0, 0.03, 0.5]):
        wanted = pairs(case.between, r, one_tree=False)
        assert (tree.pairs_within(r, other) == wanted).all()
        found = tree.sparse_distance_matrix(other, r, output_type="ndarray")
        assert (found["i"] == wanted[:, 0]).all() and (found["j"] == wanted[:, 1]).all()
        np.testing.assert_allclose(found["v"], case.between[tuple(wanted.T)], **case.allowed)
    assert len(tree.pairs_within(np.inf)) == len(tree) * (len(tree) - 1) // 2
    assert len(tree.pairs_within(np.inf, other)) == len(tree) * len(other)


@pytest.mark.parametrize(("name", "parameters", "period", "dtype"), CASES)
def test_counts(name, parameters, period, dtype):
    case = Case(name, parameters, period, dtype)
    tree, other = case.trees
    radii = limits(case.own, case.allowed, np.linspace(0, 1, 30) ** 2)
    wanted = counts(case.own, radii)
    assert (tree.count_pairs(radii) == wanted).all()
    assert (tree.count_pairs(radii, tree) == wanted).all()
    weights = np.random.default_rng(1).integers(-3, 9, len(tree))
    assert (tree.count_pairs(radii, weights=weights) == counts(case.own, radii, (weights, weights))).all()
    radii = limits(case.between, case.allowed, np.linspace(0, 1, 30) ** 2)
    assert (tree.count_pairs(radii, other) == counts(case.between, radii)).all()
    both = weights, np.arange(len(other))
    assert (tree.count_pairs(radii, other, weights=both) == counts(case.between, radii, both)).all()
    assert tree.count_pairs(np.inf) == len(tree) ** 2


@pytest.mark.parametrize(("name", "parameters", "period", "dtype"), CASES)
@pytest.mark.parametrize("k", [None, 1, 12])
def test_spanning_trees(name, parameters, period, dtype, k):
    case = Case(name, parameters, period, dtype)
    lengths = case.own if k is None else mutual_reachability(case.own, k)
    found = [case.trees[0].minimum_spanning_tree(k, n_threads=n_threads) for n_threads in (1, 2, 5)]
    assert found[0].lengths.dtype == dtype
    assert_spanning_tree(found[0], lengths, **case.allowed)
    for again in found[1:]:
        assert (again.edges == found[0].edges).all() and (again.lengths == found[0].lengths).all()


@pytest.mark.parametrize("case", range(len(CASES)))
def test_pairs_of_a_changed_tree(case):
    name, parameters, period, dtype = CASES[case]
    whole = Case(name, parameters, period, dtype, seed=case)
    points, other = whole.made[0], whole.trees[1]
    tree = cover_tree(points[:100], metric=name, metric_params=parameters or None, period=period)
    tree.insert(points[100:])
    tree.remove(np.arange(0, len(points), 3))
    left = tree.indices
    r = limits(whole.own, whole.allowed, [0.05])[0]
    wanted = pairs(whole.own, r, one_tree=True)
    assert (tree.pairs_within(r) == wanted[np.isin(wanted, left).all(axis=1)]).all()
    between = limits(whole.between[left], whole.allowed, [0.1])[0]
    wanted = pairs(whole.between[left], between, one_tree=False)
    found = tree.pairs_within(between, other)
    assert (found[:, 0] == left[wanted[:, 0]]).all() and (found[:, 1] == wanted[:, 1]).all()
    assert tree.count_pairs(between, other) == len(wanted) == other.count_pairs(between, tree)
    found = tree.minimum_spanning_tree()
    ranks = np.searchsorted(left, found.edges)
    assert_spanning_tree(found._replace(edges=ranks), whole.own[np.ix_(left, left)], **whole.allowed)


@given(
    st.sampled_from(CASES), st.integers(1, 60), st.integers(1, 40), st.integers(0, 2**32 - 1), st.floats(0, 1),
    st.integers(1, 70),
)  # fmt: skip
def test_any_sizes(which, n, others, seed, quantile, leaf_size):  # noqa: PLR0917 - one for each drawn number
    case = Case(*which, sizes=(n, others), seed=seed, leaf_size=leaf_size)
    tree, other = case.trees
    r = limits(case.own, case.allowed, [quantile])[0]
    assert (tree.pairs_within(r) == pairs(case.own, r, one_tree=True)).all()
    assert tree.count_pairs(r) == (case.own <= r).sum()
    r = limits(case.between, case.allowed, [quantile])[0]
    assert (tree.pairs_within(r, other) == pairs(case.between, r, one_tree=False)).all()
    assert tree.count_pairs(r, other) == (case.between <= r).sum()
    k = seed % len(tree) or None
    lengths = case.own if k is None else mutual_reachability(case.own, k)
    assert_spanning_tree(tree.minimum_spanning_tree(k), lengths, **case.allowed)


# Ties


@pytest.mark.parametrize(
    ("name", "parameters", "period"),
    [("manhattan", {}, None), ("chebyshev", {}, None), ("manhattan", {}, 8.0), ("euclidean", {"w": [1, 1, 0]}, 8.0)],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("k", [None, 3])
def test_ties_go_to_the_lower_index(name, parameters, period, dtype, k):
    """On a lattice equal distances are equal to the last bit."""
    points = np.random.default_rng(4).integers(0, 9, (400, 3)).astype(dtype)
    tree = cover_tree(points, metric=name, metric_params=parameters or None, period=period)
    about = parameters if period is None else {**parameters, "period": np.full(3, period)}
    true = oracle.distances(points, points, name, **about)
    found = tree.minimum_spanning_tree(k)
    edges, lengths = spanning_tree(true if k is None else mutual_reachability(true, k))
    assert (found.edges == edges).all()
    np.testing.assert_allclose(found.lengths, lengths, rtol=1e-6)
    for r in (0, 1, 2, 3):
        assert (tree.pairs_within(r) == pairs(true, r, one_tree=True)).all()
        assert tree.count_pairs(r) == (true <= r).sum()


def test_many_equal_points():
    points = np.repeat(np.random.default_rng(0).random((3, 2)), 4000, axis=0)
    for metric, parameters in (("manhattan", {}), ("cosine", {}), ("euclidean", {"w": [1, 0]})):
        tree = cover_tree(points, metric=metric, metric_params=parameters or None)
        for k in (None, 5):
            found = tree.minimum_spanning_tree(k)
            assert (np.flatnonzero(found.lengths) == [11997, 11998]).all()
            starts = np.repeat([0, 4000, 8000], 3999)
            assert (found.edges[:11997] == np.stack([starts, starts + np.tile(np.arange(1, 4000), 3)], axis=1)).all()


def test_powers_that_underflow_make_no_points_equal():
    """Points are at a distance of 0 from their neighbours, and not from the next ones."""
    points = np.array([0, 3, 1, 2, 4, 6, 5], float)[:, None] * 1e-108
    tree = cover_tree(points, metric="minkowski", metric_params={"p": 3})
    true = oracle.distances(points, points, "minkowski", p=3)
    assert true[0, 2] == 0 < true[0, 3]
    edges, lengths = spanning_tree(true)
    found = tree.minimum_spanning_tree()
    assert (found.edges == edges).all()
    np.testing.assert_allclose(found.lengths, lengths, rtol=1e-4)


# Known distances


def test_pairs_at_the_poles_and_the_antimeridian():
    points = np.array([[90, 0], [90, 77], [89, 10], [89, -170], [0, 180], [0, -180], [0, 179], [0, -179]], float)
    tree = cover_tree(points, metric="haversine", metric_params={"unit": "degrees", "radius": 180 / np.pi})
    assert tree.pairs_within(1e-9).tolist() == [[0, 1], [4, 5]]
    wanted = [[0, 1], [0, 2], [0, 3], [1, 2], [1, 3], [4, 5], [4, 6], [4, 7], [5, 6], [5, 7]]
    assert tree.pairs_within(1.5).tolist() == wanted
    assert tree.count_pairs([1.5, 2.5]).tolist() == [28, 32]
    lengths = tree.minimum_spanning_tree().lengths
    np.testing.assert_allclose(lengths[:-1], [0, 0, 1, 1, 1, 1], atol=1e-12)
    true = oracle.distances(points, points, "haversine", unit="degrees", radius=180 / np.pi)
    np.testing.assert_allclose(lengths[-1], true[:4, 4:].min(), rtol=1e-12)


def test_pairs_through_the_border_of_a_period():
    tree = cover_tree([[0.0], [0.125], [1.0], [1.875], [2.0]], period=2.0)
    assert tree.pairs_within(0.125).tolist() == [[0, 1], [0, 3], [0, 4], [1, 4], [3, 4]]
    found = tree.minimum_spanning_tree()
    assert found.edges.tolist() == [[0, 4], [0, 1], [0, 3], [1, 2]]
    assert found.lengths.tolist() == [0, 0.125, 0.125, 0.875]
    assert tree.count_pairs([0, 0.125, 0.25, 1]).tolist() == [7, 15, 17, 25]


def test_periods_that_begin_elsewhere():
    """Angles from -180 to 180 and from 0 to 360 are in different periods."""
    first, second = np.array([[-179.0], [-1.0], [90.0]]), np.array([[1.0], [181.0], [359.0]])
    tree, other = cover_tree(first, period=360.0), cover_tree(second, period=360.0)
    assert tree.pairs_within(2, other).tolist() == [[0, 1], [1, 0], [1, 2]]
    assert other.pairs_within(0, tree).tolist() == [[1, 0], [2, 1]]
    assert tree.count_pairs([0, 2, 90], other).tolist() == [2, 3, 4]


@pytest.mark.parametrize("far", [0.0, 1e4])
def test_mahalanobis_trees_with_different_centres(far):
    rng = np.random.default_rng(6)
    first, second = rng.normal(size=(300, 3)), rng.normal(size=(200, 3)) + [1, 0, 0]
    second[0] = far
    trees = [cover_tree(points, metric="mahalanobis", metric_params={"VI": FORM}) for points in (first, second)]
    true = oracle.distances(first, second, "mahalanobis", VI=FORM)
    r = limit_between(true, 0.1)
    assert (trees[0].pairs_within(r, trees[1]) == pairs(true, r, one_tree=False)).all()
    assert (trees[1].pairs_within(r, trees[0]) == pairs(true.T, r, one_tree=False)).all()
    assert trees[0].count_pairs(r, trees[1]) == trees[1].count_pairs(r, trees[0]) == (true <= r).sum()


def test_two_dtypes_in_a_metric():
    rng = np.random.default_rng(7)
    points, others = rng.random((200, 3)).astype(np.float32), rng.random((150, 3))
    for period in (None, 1.0):
        tree, other = (cover_tree(one, metric="manhattan", period=period) for one in (points, others))
        about = {} if period is None else {"period": np.ones(3)}
        true = oracle.distances(points, others, "manhattan", **about)
        found, lengths = tree.pairs_within(0.3, other, return_distances=True)
        assert (found == pairs(true, 0.3, one_tree=False)).all()
        np.testing.assert_allclose(lengths, true[tuple(found.T)], rtol=1e-12)
        assert tree.count_pairs(0.3, other) == len(found)


def test_few_points():
    for points in (np.zeros((1, 2)), np.ones((1, 2))):
        tree = cover_tree(points, metric="mahalanobis", metric_params={"VI": np.eye(2)})
        assert tree.minimum_spanning_tree().edges.shape == (0, 2)
        assert tree.pairs_within(1).shape == (0, 2) and tree.count_pairs(1) == 1
    tree = cover_tree(np.array([[0.0, 0], [3, 4]]), metric="manhattan")
    assert [tree.minimum_spanning_tree(k).lengths.tolist() for k in (None, 1)] == [[7], [7]]
    tree.remove([0, 1])
    assert tree.minimum_spanning_tree().edges.shape == (0, 2) and tree.count_pairs([1, 2]).tolist() == [0, 0]


# Wrong arguments


@pytest.mark.parametrize(
    ("own", "other", "message"),
    [
        ({"metric": "manhattan"}, {"metric": "chebyshev"}, "same metric, manhattan, got chebyshev"),
        ({}, {"metric": "chebyshev"}, "same metric, plain euclidean, got chebyshev"),
        ({"period": 1.0}, {}, "same metric, euclidean, got plain euclidean"),
        ({"period": 1.0}, {"period": [1.0, 2.0]}, r"same periods\[1\], 1.0, got 2.0"),
        ({"metric": "manhattan", "period": 1.0}, {"metric": "manhattan"}, r"same periods, \[1.0, 1.0\], got none"),
        ({"metric_params": {"w": [1, 2]}}, {"metric_params": {"w": [1, 3]}}, r"same weights\[1\], 2.0, got 3.0"),
        (
            {"metric": "minkowski", "metric_params": {"p": 3}}, {"metric": "minkowski", "metric_params": {"p": 4}},
            "same exponent, 3.0, got 4.0",
        ),
        (
            {"metric": "haversine"}, {"metric": "haversine", "metric_params": {"unit": "degrees"}},
            "same unit, radians, got degrees",
        ),
        (
            {"metric": "haversine"}, {"metric": "haversine", "metric_params": {"radius": 2.0}},
            "same radius, 1.0, got 2.0",
        ),
        (
            {"metric": "mahalanobis", "metric_params": {"VI": np.eye(2)}},
            {"metric": "mahalanobis", "metric_params": {"VI": np.diag([1.0, 2.0])}},
            r"same inverse_covariance\[3\], 1.0, got 2.0",
        ),
    ],
)  # fmt: skip
def test_two_trees_must_have_the_same_metric(own, other, message):
    points = np.random.default_rng(0).random((5, 2))
    tree, second = cover_tree(points, **own), cover_tree(points, **other)
    for ask in (tree.pairs_within, tree.count_pairs):
        with pytest.raises(ValueError, match=rf"^other: expected a tree of the {message}"):
            ask(1, second)
    with pytest.raises(ValueError, match=r"^other: expected a tree of the same"):
        tree.sparse_distance_matrix(second, 1)

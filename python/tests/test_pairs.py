"""Pairs of points and spanning trees are those of a brute force."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle import rounding
from pair_oracle import (
    assert_spanning_tree,
    euclidean,
    limit_between,
    mutual_reachability,
    pairs,
    spanning_tree,
)
from strategies import point_sets

from covertreex import cover_tree

scipy_spatial = pytest.importorskip("scipy.spatial")
KINDS = ["uniform", "clustered", "sorted", "line", "lattice", "duplicates"]


def points_of(kind, n, dim, dtype=np.float64, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.random((n, dim))
    if kind == "clustered":
        x = rng.normal(rng.integers(0, 5, (n, 1)) * 10.0, 10.0 ** rng.integers(-3, 1, (n, 1)), (n, dim))
    elif kind == "sorted":
        x = x[np.argsort(x[:, 0])]
    elif kind == "line":
        x = x * 1e-9
        x[:, 0] = np.arange(n)
    elif kind == "lattice":
        x = rng.integers(0, max(2, round(n ** (1 / dim))), (n, dim)).astype(float)
    elif kind == "duplicates":
        x = x[rng.integers(0, n // 8, n)]
    return x.astype(dtype)


# Pairs within a radius


@given(points=point_sets(), quantile=st.floats(0, 1), leaf_size=st.integers(1, 70))
def test_pairs_of_one_tree(points, quantile, leaf_size):
    true = euclidean(points)
    r = limit_between(true, quantile)
    found, lengths = cover_tree(points, leaf_size=leaf_size).pairs_within(r, return_distances=True)
    wanted = pairs(true, r, one_tree=True)
    assert found.dtype == np.int64 and found.shape == (len(wanted), 2)
    assert (found == wanted).all()
    assert lengths.dtype == points.dtype
    np.testing.assert_allclose(lengths, true[tuple(wanted.T)], **rounding(points))


@given(points=point_sets(), quantile=st.floats(0, 1), data=st.data())
def test_pairs_of_two_trees(points, quantile, data):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    others = points[rng.integers(0, len(points), data.draw(st.integers(1, 90)))]
    others = others * rng.choice([1, 1, 0.5], (len(others), 1)).astype(points.dtype)
    true = euclidean(points, others)
    r = limit_between(true, quantile)
    found = cover_tree(points).pairs_within(r, cover_tree(others))
    assert (found == pairs(true, r, one_tree=False)).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("dim", [1, 2, 3, 7])
def test_many_pairs(kind, dtype, dim):
    points = points_of(kind, 600, dim, dtype)
    tree = cover_tree(points)
    true = euclidean(points)
    for quantile in (0, 0.002, 0.3):
        r = limit_between(true, quantile)
        wanted = pairs(true, r, one_tree=True)
        for n_threads in (1, 3):
            assert (tree.pairs_within(r, n_threads=n_threads) == wanted).all()


def test_a_radius_is_inclusive():
    tree = cover_tree(points_of("lattice", 400, 2))
    true = euclidean(points_of("lattice", 400, 2))
    for r in (0, 1, np.sqrt(2), 5):
        assert (tree.pairs_within(r) == pairs(true, r, one_tree=True)).all()
    points = points_of("uniform", 60, 3, np.float32)
    tree = cover_tree(points)
    for pair, distance in zip(*tree.pairs_within(0.4, return_distances=True)):
        assert (tree.pairs_within(distance) == pair).all(axis=1).any()


def test_all_pairs():
    points = points_of("uniform", 300, 2)
    assert (cover_tree(points).pairs_within(np.inf) == np.argwhere(np.tri(300, k=-1).T)).all()
    assert len(cover_tree(points).pairs_within(np.inf, cover_tree(points[:7]))) == 2100


def test_pairs_of_two_dtypes():
    points, others = points_of("uniform", 200, 3, np.float32), points_of("uniform", 150, 3, seed=1)
    true = euclidean(points, others)
    found, lengths = cover_tree(points).pairs_within(0.2, cover_tree(others), return_distances=True)
    assert (found == pairs(true, 0.2, one_tree=False)).all()
    assert lengths.dtype == np.float64
    np.testing.assert_allclose(lengths, true[tuple(found.T)], rtol=1e-14)
    assert (cover_tree(others).pairs_within(0.2, cover_tree(points)) == pairs(true.T, 0.2, one_tree=False)).all()


def test_pairs_have_the_indices_of_a_changed_tree():
    points = points_of("uniform", 900, 2)
    tree = cover_tree(points[:500])
    tree.insert(points[500:])
    gone = np.random.default_rng(2).permutation(900)[:300]
    tree.remove(gone)
    left = np.setdiff1d(np.arange(900), gone)
    true = euclidean(points)
    wanted = pairs(true, 0.05, one_tree=True)
    wanted = wanted[np.isin(wanted, left).all(axis=1)]
    assert (tree.pairs_within(0.05) == wanted).all()
    edges, _ = spanning_tree(true[np.ix_(left, left)])
    assert (tree.minimum_spanning_tree().edges == left[edges]).all()
    tree.remove(left)
    assert tree.pairs_within(1).shape == (0, 2)
    assert tree.minimum_spanning_tree().edges.shape == (0, 2)


def test_distances_whose_squares_underflow():
    points = np.array([[0.0], [3e-200], [1e-200], [0.0], [8e-200]])
    tree = cover_tree(points)
    assert tree.pairs_within(2.5e-200).tolist() == [[0, 2], [0, 3], [1, 2], [2, 3]]
    found = tree.minimum_spanning_tree()
    assert found.edges.tolist() == [[0, 3], [0, 2], [1, 2], [1, 4]]
    np.testing.assert_allclose(found.lengths, [0, 1e-200, 2e-200, 5e-200], rtol=1e-14)


# Sparse matrices


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sparse_distances_are_those_of_scipy(dtype):
    points, others = points_of("uniform", 60, 3, dtype), points_of("uniform", 40, 3, dtype, seed=1)
    tree, other = cover_tree(points), cover_tree(others)
    theirs = scipy_spatial.KDTree(points), scipy_spatial.KDTree(others)
    for kind in ("dok_matrix", "coo_matrix"):
        found = tree.sparse_distance_matrix(other, 0.3, output_type=kind)
        wanted = theirs[0].sparse_distance_matrix(theirs[1], 0.3, output_type=kind)
        assert (type(found), found.shape, found.nnz) == (type(wanted), wanted.shape, wanted.nnz)
        np.testing.assert_allclose(found.toarray(), wanted.toarray(), rtol=1e-6)
    found = tree.sparse_distance_matrix(other, 0.3, output_type="dict")
    wanted = theirs[0].sparse_distance_matrix(theirs[1], 0.3, output_type="dict")
    assert found == pytest.approx(wanted, rel=1e-6)
    found = tree.sparse_distance_matrix(tree, 0.3, output_type="ndarray")
    wanted = theirs[0].sparse_distance_matrix(theirs[0], 0.3, output_type="ndarray")
    assert found.dtype == wanted.dtype
    wanted = wanted[np.lexsort((wanted["j"], wanted["i"]))]
    assert (found["i"] == wanted["i"]).all() and (found["j"] == wanted["j"]).all()


# Spanning trees


@given(points=point_sets(), leaf_size=st.integers(1, 70), data=st.data())
def test_spanning_trees(points, leaf_size, data):
    tree, true = cover_tree(points, leaf_size=leaf_size), euclidean(points)
    allowed = rounding(points)
    allowed["rtol"] *= 2
    assert_spanning_tree(tree.minimum_spanning_tree(), true, **allowed)
    if len(points) > 1:
        k = data.draw(st.integers(1, len(points) - 1))
        assert_spanning_tree(tree.minimum_spanning_tree(k), mutual_reachability(true, k), **allowed)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("dim", [1, 2, 3, 7])
@pytest.mark.parametrize("k", [None, 1, 12])
def test_spanning_trees_of_many_points(kind, dtype, dim, k):
    points = points_of(kind, 300, dim, dtype)
    lengths = euclidean(points) if k is None else mutual_reachability(euclidean(points), k)
    tree = cover_tree(points)
    found = [tree.minimum_spanning_tree(k, n_threads=n_threads) for n_threads in (1, 2, 5)]
    assert found[0].lengths.dtype == dtype
    edges = assert_spanning_tree(found[0], lengths, rtol=1e-6 if dtype == np.float32 else 1e-13)
    for other in found[1:]:
        assert (other.edges == found[0].edges).all() and (other.lengths == found[0].lengths).all()
    if kind in {"lattice", "uniform", "sorted"}:  # equal distances are equal to the last bit
        assert (found[0].edges == edges).all()


@pytest.mark.parametrize("k", [None, 4])
def test_spanning_trees_are_those_of_scipy(k):
    csgraph = pytest.importorskip("scipy.sparse.csgraph")
    points = points_of("clustered", 3000, 3)
    lengths = scipy_spatial.distance.cdist(points, points)
    if k is not None:
        lengths = mutual_reachability(lengths, k)
    wanted = np.sort(csgraph.minimum_spanning_tree(lengths).data)
    np.testing.assert_allclose(cover_tree(points).minimum_spanning_tree(k).lengths, wanted, rtol=1e-12)


def test_many_equal_points():
    points = np.repeat(points_of("uniform", 3, 2), 4000, axis=0)
    tree = cover_tree(points)
    found = tree.minimum_spanning_tree()
    assert (np.flatnonzero(found.lengths) == [11997, 11998]).all()
    starts = np.repeat([0, 4000, 8000], 3999)
    assert (found.edges[:11997] == np.stack([starts, starts + np.tile(np.arange(1, 4000), 3)], axis=1)).all()
    assert (tree.minimum_spanning_tree(5).lengths == found.lengths).all()


def test_one_and_two_points():
    one = cover_tree(np.zeros((1, 3))).minimum_spanning_tree()
    assert one.edges.shape == (0, 2) and one.lengths.shape == (0,)
    two = cover_tree(np.array([[0.0, 0], [3, 4]]))
    assert [two.minimum_spanning_tree(k).edges.tolist() for k in (None, 1)] == [[[0, 1]]] * 2
    assert two.minimum_spanning_tree(1).lengths.tolist() == [5]


# Counts


def counts(true, radii, weights=None):
    """Pairs within each radius, or the sums of their weights."""
    if weights is None:
        return np.array([(true <= r).sum() for r in radii])
    return np.array([(np.multiply.outer(*weights) * (true <= r)).sum() for r in radii])


@given(points=point_sets(), quantiles=st.lists(st.floats(0, 1), min_size=1, max_size=6), leaf_size=st.integers(1, 70))
def test_counts_in_one_tree(points, quantiles, leaf_size):
    true = euclidean(points)
    radii = np.array([limit_between(true, quantile) for quantile in quantiles])
    tree = cover_tree(points, leaf_size=leaf_size)
    found = tree.count_pairs(radii)
    assert found.dtype == np.int64 and (found == counts(true, radii)).all()
    weights = np.random.default_rng(1).integers(-3, 9, len(points))
    assert (tree.count_pairs(radii, weights=weights) == counts(true, radii, (weights, weights))).all()
    radii.sort()
    found = tree.count_pairs(radii, cumulative=False)
    assert (found == np.diff(counts(true, radii), prepend=0)).all()


@given(points=point_sets(), quantiles=st.lists(st.floats(0, 1), min_size=1, max_size=6), data=st.data())
def test_counts_of_two_trees(points, quantiles, data):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    others = points[rng.integers(0, len(points), data.draw(st.integers(1, 90)))]
    others = others * rng.choice([1, 1, 0.5], (len(others), 1)).astype(points.dtype)
    true = euclidean(points, others)
    radii = [limit_between(true, quantile) for quantile in quantiles]
    tree, other = cover_tree(points), cover_tree(others)
    assert (tree.count_pairs(radii, other) == counts(true, radii)).all()
    own, theirs = rng.integers(0, 5, len(points)), rng.integers(0, 5, len(others))
    ones = np.ones(len(points)), np.ones(len(others))
    for weights in ((own, theirs), (own, None), (None, theirs)):
        full = tuple(one if given is None else given for given, one in zip(weights, ones))
        assert (tree.count_pairs(radii, other, weights=weights) == counts(true, radii, full)).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("dim", [1, 2, 3, 7])
def test_counts_of_many_pairs(kind, dtype, dim):
    points = points_of(kind, 600, dim, dtype)
    true, tree = euclidean(points), cover_tree(points)
    radii = np.unique([limit_between(true, quantile) for quantile in np.linspace(0, 1, 40) ** 3])
    wanted = counts(true, radii)
    assert (tree.count_pairs(radii) == wanted).all()
    assert (tree.count_pairs(radii, cover_tree(points)) == wanted).all()
    weights = np.random.default_rng(3).random(600)
    sums = [tree.count_pairs(radii, weights=weights, n_threads=n_threads) for n_threads in (1, 2, 5)]
    assert (sums[0] == sums[1]).all() and (sums[0] == sums[2]).all()
    np.testing.assert_allclose(sums[0], counts(true, radii, (weights, weights)), rtol=1e-10)
    other = tree.count_pairs(radii, weights=(weights, np.ones(600)))
    np.testing.assert_allclose(other, counts(true, radii, (weights, np.ones(600))), rtol=1e-10)


def test_counts_are_inclusive_and_have_the_shape_of_the_radii():
    points = points_of("lattice", 400, 2)
    tree, true = cover_tree(points), euclidean(points)
    radii = [5, 0, 1, 1, np.sqrt(2), np.inf]
    assert (tree.count_pairs(radii) == counts(true, radii)).all()
    assert tree.count_pairs(1) == (true <= 1).sum() and isinstance(tree.count_pairs(1), int)
    assert isinstance(tree.count_pairs(1, weights=np.ones(400)), float)
    assert tree.count_pairs([]).shape == (0,)
    assert (tree.count_pairs([1, 1, 2], cumulative=False)[1:] == [0, (true <= 2).sum() - (true <= 1).sum()]).all()


def test_counts_of_a_changed_tree_and_of_two_dtypes():
    points, others = points_of("uniform", 400, 3, np.float32), points_of("uniform", 300, 3, seed=1)
    tree, other = cover_tree(points[:200]), cover_tree(others)
    tree.insert(points[200:])
    tree.remove(np.arange(0, 400, 3))
    true = euclidean(points[tree.indices], others)
    weights = np.arange(len(tree)), np.arange(300)
    assert (tree.count_pairs([0.1, 0.4], other) == counts(true, [0.1, 0.4])).all()
    assert (tree.count_pairs([0.1, 0.4], other, weights=weights) == counts(true, [0.1, 0.4], weights)).all()


# Wrong arguments


def test_counts_refuse_weights_of_one_of_two_trees():
    tree = cover_tree(np.zeros((3, 2)))
    with pytest.raises(ValueError, match=r"^weights: expected a tuple of those of both trees, got those of one"):
        tree.count_pairs(1, cover_tree(np.zeros((3, 2))), weights=np.ones(3))
    with pytest.raises(ValueError, match=r"^radii: expected ascending numbers"):
        tree.count_pairs([2, 1], cumulative=False)
    with pytest.raises(ValueError, match=r"^weights\[1\]: expected shape \(3,\), got \(2,\)"):
        tree.count_pairs(1, weights=(None, np.ones(2)))


def test_trees_must_fit_each_other():
    tree = cover_tree(np.zeros((3, 2)))
    with pytest.raises(ValueError, match=r"^other: expected a tree of 2 coordinates, got 3"):
        tree.pairs_within(1, cover_tree(np.zeros((3, 3))))
    closed = cover_tree(np.zeros((3, 2)))
    closed.close()
    with pytest.raises(ValueError, match=r"^other: is closed"):
        tree.pairs_within(1, closed)
    with pytest.raises(ValueError, match=r"^r: expected a number from 0 up, got nan"):
        tree.pairs_within(np.nan)
    with pytest.raises(ValueError, match=r"^mutual_k: expected a number below that of the points, 3, got 3"):
        tree.minimum_spanning_tree(3)


@pytest.mark.parametrize(
    "ask",
    [
        lambda tree, stop: tree.minimum_spanning_tree(progress=stop),
        lambda tree, stop: tree.pairs_within(0.05, progress=stop),
        lambda tree, stop: tree.count_pairs(np.linspace(0, 1, 300), progress=stop),
    ],
)
def test_progress_ends_a_call(ask):
    def stop(share):
        raise InterruptedError(share)

    n = 60_000
    with pytest.raises(InterruptedError):
        while True:  # a fast machine may finish before the first report
            ask(cover_tree(points_of("uniform", n, 3)), stop)
            n *= 2

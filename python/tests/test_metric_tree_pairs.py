"""Questions on pairs in cover trees by a metric of the caller: against brute force by the same function."""

from __future__ import annotations

import numpy as np
import pair_oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from test_metric_tree import edit_blocks, words

import covertreex
from covertreex import MetricTree


def points_of(kind, n, rng):
    if kind == "grid":
        return rng.integers(0, 4, (n, 2)).astype(float)  # many are equal, and most distances tie
    if kind == "clusters":
        return rng.random((3, 2))[rng.integers(0, 3, n)] + 0.01 * rng.standard_normal((n, 2))
    return rng.standard_normal((n, 1 + n % 4))


def some(tree, rng, n):
    """Which points are there after some were removed."""
    there = np.ones(n, bool)
    if n > 3 and rng.integers(2):
        there[rng.random(n) < 0.2] = False
        there[0] = True
        tree.remove(np.flatnonzero(~there))
    return np.flatnonzero(there)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 120), st.sampled_from(["grid", "clusters", "normal"]))
def test_pairs_and_counts_in_one_tree(seed, n, kind):
    rng = np.random.default_rng(seed)
    points = points_of(kind, n, rng)
    tree = MetricTree(points, cdist)
    own = some(tree, rng, n)
    true = cdist(points[own], points[own])
    radii = np.quantile(true, rng.random(3))
    for r in radii:
        expected = pair_oracle.pairs(true, r, one_tree=True)
        pairs, distances = tree.pairs_within(r, return_distances=True)
        np.testing.assert_array_equal(pairs, own[expected])
        np.testing.assert_array_equal(distances, true[tuple(expected.T)])
        np.testing.assert_array_equal(tree.pairs_within(r), pairs)
    expected = pair_oracle.pairs(true, radii[0], one_tree=False)
    pairs, distances = tree.pairs_within(radii[0], tree, return_distances=True)
    np.testing.assert_array_equal(pairs, own[expected])
    np.testing.assert_array_equal(distances, true[tuple(expected.T)])
    np.testing.assert_array_equal(tree.count_pairs(radii), [(true <= r).sum() for r in radii])
    mine, theirs = rng.standard_normal((2, len(own)))
    for given_as, products in ((mine, np.outer(mine, mine)), ((mine, theirs), np.outer(mine, theirs))):
        sums = [products[true <= r].sum() for r in radii]
        np.testing.assert_allclose(tree.count_pairs(radii, weights=given_as), sums, rtol=1e-9, atol=1e-9)
    half = (None, theirs)
    sums = [(theirs[None] * (true <= r)).sum() for r in radii]
    np.testing.assert_allclose(tree.count_pairs(radii, weights=half), sums, rtol=1e-9, atol=1e-9)


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 90), st.integers(1, 90))
def test_pairs_and_counts_of_two_trees(seed, n, m):
    rng = np.random.default_rng(seed)
    points = rng.integers(0, 9, (n + m, 2)) / 4 if seed % 2 else rng.standard_normal((n + m, 3))
    first, second = MetricTree(points[:n], cdist), MetricTree(points[n:], cdist)
    rows, columns = some(first, rng, n), some(second, rng, m)
    true = cdist(points[rows], points[n:][columns])
    radii = np.sort(np.quantile(true, rng.random(3)))
    for r in radii:
        expected = pair_oracle.pairs(true, r, one_tree=False)
        pairs, distances = first.pairs_within(r, second, return_distances=True)
        np.testing.assert_array_equal(pairs, np.column_stack([rows[expected[:, 0]], columns[expected[:, 1]]]))
        np.testing.assert_array_equal(distances, true[tuple(expected.T)])
    within = np.array([(true <= r).sum() for r in radii])
    np.testing.assert_array_equal(first.count_pairs(radii, second), within)
    np.testing.assert_array_equal(first.count_pairs(radii, second, cumulative=False), np.diff(within, prepend=0))
    mine, theirs = rng.standard_normal(len(rows)), rng.standard_normal(len(columns))
    for left, right in ((mine, theirs), (None, theirs), (mine, None)):
        products = np.outer(np.ones(len(rows)) if left is None else left, 1 if right is None else right)
        sums = [(products * (true <= r)).sum() for r in radii]
        counted = first.count_pairs(radii, second, weights=(left, right))
        np.testing.assert_allclose(counted, sums, rtol=1e-9, atol=1e-9)


def test_sparse_distances():
    points, others = np.random.default_rng(1).random((2, 60, 2))
    first, second = MetricTree(points, cdist), MetricTree(others, cdist)
    first.remove([7])
    for other, right in ((second, others), (first, points)):
        true = cdist(points, right)
        true[7] = np.inf
        if other is first:
            true[:, 7] = np.inf
        matrix = first.sparse_distance_matrix(other, 0.3, output_type="coo_matrix").tocsr()
        expected = np.argwhere(true <= 0.3)
        assert matrix.nnz == len(expected)
        np.testing.assert_array_equal(matrix.toarray(), np.where(true <= 0.3, true, 0))
    true = cdist(points, others)
    expected = {(i, j): true[i, j] for i, j in np.argwhere(true <= 0.3).tolist() if i != 7}
    assert first.sparse_distance_matrix(second, 0.3, output_type="dict") == expected


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 2**32), st.integers(1, 200), st.sampled_from(["grid", "clusters", "normal"]),
    st.sampled_from([None, 1, 4, 30]),
)  # fmt: skip
def test_spanning_trees(seed, n, kind, k):
    rng = np.random.default_rng(seed)
    points = points_of(kind, n, rng)
    tree = MetricTree(points, lambda X, Y: cdist(X, Y, "cityblock"))
    own = some(tree, rng, n)
    k = None if k is None else min(k, len(own) - 1) or None
    true = cdist(points[own], points[own], "cityblock")
    lengths = true if k is None else pair_oracle.mutual_reachability(true, k)
    edges, expected = pair_oracle.spanning_tree(lengths)
    found = tree.minimum_spanning_tree(k)
    np.testing.assert_array_equal(found.edges, own[edges])
    np.testing.assert_array_equal(found.lengths, expected)


@pytest.mark.parametrize("k", [None, 3])
def test_strings(k):
    listed, others = words(110), words(40, seed=1)
    tree, second = MetricTree(listed, edit_blocks), MetricTree(others, edit_blocks)
    true = np.array(edit_blocks(listed, listed), float)
    lengths = true if k is None else pair_oracle.mutual_reachability(true, k)
    edges, expected = pair_oracle.spanning_tree(lengths)
    found = tree.minimum_spanning_tree(k)
    np.testing.assert_array_equal(found.edges, edges)
    np.testing.assert_array_equal(found.lengths, expected)
    np.testing.assert_array_equal(tree.pairs_within(2), pair_oracle.pairs(true, 2, one_tree=True))
    np.testing.assert_array_equal(tree.count_pairs([2, 0, 4]), [(true <= r).sum() for r in (2, 0, 4)])
    between = np.array(edit_blocks(listed, others))
    np.testing.assert_array_equal(tree.pairs_within(2, second), pair_oracle.pairs(between, 2, one_tree=False))
    assert tree.count_pairs(3, second) == (between <= 3).sum()
    assert sorted(tree._domain._held) == list(range(110))  # objects of the other tree are not kept
    assert sorted(second._domain._held) == list(range(40))


def test_numbers():
    table = cdist(*[np.random.default_rng(2).random((120, 2))] * 2)
    first, second = MetricTree(range(80), lambda i, j: table[i, j]), None
    second = MetricTree(range(80, 120), first.metric)
    expected = pair_oracle.pairs(table[:80, 80:], 0.2, one_tree=False)
    np.testing.assert_array_equal(first.pairs_within(0.2, second), expected)
    edges, _ = pair_oracle.spanning_tree(table[:80, :80])
    np.testing.assert_array_equal(first.minimum_spanning_tree().edges, edges)


@pytest.mark.parametrize(("dim", "r", "most"), [(2, 0.02, 8), (6, 0.2, 250)])
def test_each_pair_is_evaluated_once_and_few_are(dim, r, most):
    n = 2000
    points, seen = np.random.default_rng(3).random((n, dim)), []

    def metric(i, j):
        seen.append(np.minimum(i, j) * n + np.maximum(i, j))
        return np.sqrt(((points[i] - points[j]) ** 2).sum(1))

    tree = MetricTree(range(n), metric)
    seen.clear()
    tree.radius(r, queries=tree.indices)
    of_a_search = len(np.concatenate(seen))
    for call in (
        lambda: tree.pairs_within(r),
        lambda: tree.count_pairs([r / 2, r]),
        lambda: tree.radius(r),
        lambda: tree.radius(r, count_only=True),
    ):
        before = tree.stats().points_compared
        seen.clear()
        call()
        pairs = np.concatenate(seen)
        assert len(np.unique(pairs)) == len(pairs) < 0.6 * of_a_search
        assert tree.stats().points_compared - before == len(pairs)
    seen.clear()
    tree.minimum_spanning_tree()
    assert len(np.concatenate(seen)) < most * n


def test_pairs_far_from_a_radius_are_counted_by_subtrees():
    n, seen = 1500, []
    points = np.random.default_rng(8).random((n, 2))
    points[50:80] = points[20:50]

    def metric(i, j):
        seen.append(np.minimum(i, j) * n + np.maximum(i, j))
        return np.sqrt(((points[i] - points[j]) ** 2).sum(1))

    tree = MetricTree(range(n), metric)
    tree.remove(np.arange(0, n, 9))
    own = tree.indices
    true = cdist(points[own], points[own])
    for radii in ([2.0], [0.2, 0.9], [0.01, 0.5, 2.0]):
        seen.clear()
        np.testing.assert_array_equal(tree.count_pairs(radii), [(true <= r).sum() for r in radii])
        pairs = np.concatenate([*seen, np.zeros(0, int)])
        assert len(np.unique(pairs)) == len(pairs) < len(own) * (len(own) - 1) / 2 * 0.25


@pytest.mark.parametrize("excluded", [False, True])
@pytest.mark.parametrize("kind", ["grid", "clusters", "normal"])
def test_all_objects_search_as_each_one(kind, excluded):
    rng = np.random.default_rng(9)
    tree = MetricTree(points_of(kind, 301, rng), cdist)
    tree.remove([0, 17, 300])
    how = {"exclude_self": excluded}
    for r in (0.0, 0.3, 2.5):
        found = tree.radius(r, return_distances=True, **how)
        expected = tree.radius(r, queries=tree.indices, return_distances=True, **how)
        for one, other in zip(found, expected):
            np.testing.assert_array_equal(one, other)
        counts = tree.radius(r, count_only=True, **how)
        np.testing.assert_array_equal(counts, np.diff(expected.offsets))
        for limited in ({"predecessor_mode": True}, {"filter": np.arange(301) % 3 == 0}):
            found = tree.radius(r, **limited, **how)
            expected = tree.radius(r, queries=tree.indices, **limited, **how)
            np.testing.assert_array_equal(found.indices, expected.indices)


def families(n, rng):
    """Bits in families: edges inside one are short, and those between them are alike."""
    bits = (rng.random((n // 40, 200)) < 0.2)[rng.integers(n // 40, size=n)]
    return (bits ^ (rng.random((n, 200)) < 0.03)).astype(float)


@pytest.mark.parametrize("k", [None, 3])
@pytest.mark.parametrize("kind", ["alike", "families", "scattered"])
def test_spanning_trees_of_distances_that_are_alike(kind, k):
    rng = np.random.default_rng(10)
    n, how = 700, "cityblock"
    if kind == "alike":
        points = rng.standard_normal((n, 24))
    elif kind == "families":
        points = families(n, rng)
    else:  # near neighbours in a plane, and clusters that are alike
        points = np.repeat(30 * rng.standard_normal((35, 24)), 20, axis=0)
        points[:, :2] += rng.random((n, 2))
    tree = MetricTree(points, lambda X, Y: cdist(X, Y, how))
    tree.remove([3, 699])
    own = tree.indices
    true = cdist(points[own], points[own], how)
    edges, expected = pair_oracle.spanning_tree(true if k is None else pair_oracle.mutual_reachability(true, k))
    before = tree.stats().points_compared
    found = tree.minimum_spanning_tree(k)
    evaluations = tree.stats().points_compared - before
    np.testing.assert_array_equal(found.edges, own[edges])
    np.testing.assert_array_equal(found.lengths, expected)
    if k is None:
        assert evaluations <= len(own) * (len(own) - 1) / 2


def test_two_trees_of_a_compiled_metric():
    numba = pytest.importorskip("covertreex.numba")
    rng = np.random.default_rng(11)
    points, theirs = rng.random((300, 2)), rng.random((170, 2))
    metric = numba.metric(lambda x, y: np.abs(x - y).sum())
    first, second = MetricTree(points, metric), MetricTree(theirs, metric)
    first.remove([4, 5])
    true = cdist(points, theirs, "cityblock")[first.indices]
    expected = pair_oracle.pairs(true, 0.2, one_tree=False)
    mine, others = rng.random(298), rng.random(170)
    for n in (1, 2):
        pairs, distances = first.pairs_within(0.2, second, return_distances=True, n_threads=n)
        np.testing.assert_array_equal(pairs, np.column_stack([first.indices[expected[:, 0]], expected[:, 1]]))
        np.testing.assert_allclose(distances, true[tuple(expected.T)], rtol=1e-12)
        before = first.stats().points_compared + second.stats().points_compared
        np.testing.assert_array_equal(first.count_pairs([0.1, 2.0], second), [(true <= 0.1).sum(), true.size])
        asked = first.stats().points_compared + second.stats().points_compared - before
        assert asked < true.size / 4
        sums = first.count_pairs([0.3, 0.5], second, weights=(mine, others), n_threads=n)
        products = np.outer(mine, others)
        np.testing.assert_allclose(sums, [products[true <= r].sum() for r in (0.3, 0.5)], rtol=1e-9)


def test_answers_do_not_depend_on_threads():
    numba = pytest.importorskip("covertreex.numba")
    metric = numba.metric(lambda x, y: np.abs(x - y).sum())
    points = np.random.default_rng(4).integers(0, 60, (2000, 2)).astype(float)
    tree, other = MetricTree(points, metric), covertreex.cover_tree(points, metric="manhattan")
    weights, evaluations = np.random.default_rng(5).random(2000), set()
    for n in (1, 2):
        before = tree.stats().points_compared
        for k in (None, 4):
            for found, expected in zip(tree.minimum_spanning_tree(k, n_threads=n), other.minimum_spanning_tree(k)):
                np.testing.assert_array_equal(found, expected)
        np.testing.assert_array_equal(tree.pairs_within(2, n_threads=n), other.pairs_within(2))
        sums = tree.count_pairs([1, 5], weights=weights, n_threads=n)
        np.testing.assert_array_equal(sums, tree.count_pairs([1, 5], weights=weights, n_threads=3 - n))
        evaluations.add(tree.stats().points_compared - before)
    assert len(evaluations) == 1


def test_functions_that_are_no_metrics_end():
    rng = np.random.default_rng(6)
    points = rng.random((150, 2))

    def noise(X, Y):
        bits = np.add.outer(X @ [12.9898, 78.233], Y @ [12.9898, 7.8])
        return np.abs(np.sin(bits) * 43758.5453) % 1 * (cdist(X, Y) > 0)

    for metric in (noise, lambda X, Y: cdist(X, Y) ** 2, lambda X, Y: np.ones((len(X), len(Y)))):
        tree = MetricTree(points, metric)
        for k in (None, 3):
            assert len(tree.minimum_spanning_tree(k).edges) == 149
        tree.pairs_within(0.5)
        tree.count_pairs([0.5])


def test_few_points():
    tree = MetricTree(np.zeros((1, 2)), cdist)
    assert tree.minimum_spanning_tree().edges.shape == (0, 2)
    assert tree.pairs_within(1).shape == (0, 2)
    assert tree.count_pairs([0.0, 1.0]).tolist() == [1, 1]
    assert tree.count_pairs([]).tolist() == []
    assert tree.count_pairs([], MetricTree(np.ones((2, 2)), cdist)).tolist() == []
    tree.remove([0])
    assert tree.minimum_spanning_tree().edges.shape == (0, 2)
    assert tree.pairs_within(1).shape == (0, 2)
    assert tree.count_pairs(1.0) == 0
    assert tree.count_pairs(1.0, MetricTree(np.ones((2, 2)), cdist)) == 0


def test_wrong_calls():
    points = np.random.default_rng(7).random((30, 2))
    tree, plain = MetricTree(points, cdist), covertreex.cover_tree(points)
    for other, error, message in (
        (plain, TypeError, "other: expected a MetricTree, got "),
        (3, TypeError, "other: expected a MetricTree, got 3"),
        (MetricTree(points, lambda X, Y: cdist(X, Y)), ValueError, "other: expected a tree of the same metric"),  # noqa: PLW0108
        (MetricTree(points[:, :1], cdist), ValueError, "other: expected a tree of 2 coordinates, got 1"),
        (MetricTree(points.astype("f"), cdist), ValueError, "other: expected points in float64, got float32"),
        (MetricTree(range(9), cdist_of_numbers), ValueError, "other: expected a tree of the same metric"),
    ):
        for call in (
            lambda other=other: tree.pairs_within(0.1, other),
            lambda other=other: tree.count_pairs([0.1], other),
            lambda other=other: tree.sparse_distance_matrix(other, 0.1),
        ):
            with pytest.raises(error, match=message):
                call()
    with pytest.raises(
        (covertreex.CoverTreeError, NotImplementedError), match="other: expected a tree by the same metric"
    ):
        plain.pairs_within(0.1, tree)
    closed = MetricTree(points, cdist)
    closed.close()
    with pytest.raises(ValueError, match="other: is closed"):
        tree.pairs_within(0.1, closed)
    for call in (
        lambda t: t.pairs_within(-1),
        lambda t: t.minimum_spanning_tree(30),
        lambda t: t.minimum_spanning_tree(0),
        lambda t: t.count_pairs([-1.0]),
        lambda t: t.count_pairs([1.0], weights=np.ones(29)),
        lambda t: t.count_pairs([1.0], weights=np.full(30, np.nan)),
    ):
        errors = []
        for one in (tree, plain):
            with pytest.raises(ValueError) as caught:
                call(one)
            errors.append((caught.type, str(caught.value)))
        assert errors[0] == errors[1]


def cdist_of_numbers(i, j):
    return np.abs(i - j).astype(float)

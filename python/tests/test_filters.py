"""Searches with ``filter``: answers are those of a float64 brute force among the admitted points."""

from __future__ import annotations

import metric_oracle as oracle
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from covertreex import cover_tree

METRICS = [
    ("euclidean", {}), ("manhattan", {}), ("chebyshev", {}), ("minkowski", {"p": 3}), ("euclidean", {"scale": 2.0}),
]  # fmt: skip
# Distances between points of a grid are exact in these, so ties are, too.
EXACT = ("euclidean", "manhattan", "chebyshev")
MASKS = ("none", "one", "few", "half", "all")


def mask_of(kind, n, rng):
    if kind == "one":
        return np.arange(n) == rng.integers(n)
    return rng.random(n) < {"none": 0, "few": 0.05, "half": 0.5, "all": 1}[kind]


@st.composite
def trees(draw):
    """A tree after insertions and removals, all points that were ever in it, and which of them are there."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    dim, n = draw(st.sampled_from([1, 2, 3, 5])), draw(st.integers(1, 400))
    name, parameters = draw(st.sampled_from(METRICS))
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    # On a grid points are equal, and distances tie.
    points = rng.integers(0, 6, (n, dim)) if draw(st.booleans()) else rng.normal(size=(n, dim))
    points = points.astype(dtype)
    cuts = sorted(draw(st.lists(st.integers(1, n), max_size=3)))
    first, *others = np.split(points, cuts) if cuts else [points]
    tree = cover_tree(first, metric=name, metric_params=parameters, leaf_size=draw(st.sampled_from([1, 8, 32])))
    for batch in others:
        tree.insert(batch)
    there = np.ones(n, bool)
    if draw(st.booleans()):
        there[rng.random(n) < 0.2] = False
        tree.remove(np.flatnonzero(~there))
    return tree, points, there, rng


def distances(tree, queries, points):
    return oracle.distances(queries, points, tree.metric, **tree.metric_params)


def check_nearest(tree, true, found, k, allowed, *, ties):
    indices, apart = found
    rounding = 1e-6 if tree.dtype == np.float32 else 1e-12
    oracle.assert_nearest(true, indices, apart, k, allowed, rtol=rounding, atol=1e-300)
    if ties:
        np.testing.assert_array_equal(indices, oracle.nearest(true, k, allowed)[0])


@settings(max_examples=120, deadline=None)
@given(trees(), st.sampled_from(MASKS), st.sampled_from([1, 3, 20, 500]), st.booleans())
def test_knn(made, kind, k, by_ids):
    tree, points, there, rng = made
    mask = mask_of(kind, len(points), rng)
    asked = {"filter": np.flatnonzero(mask) if by_ids else mask, "return_distances": True}
    admitted, ties = mask & there, tree.metric in EXACT and (points == points.astype(int)).all()
    own = np.flatnonzero(there)
    some = rng.permutation(own)[:40]
    for queries in (rng.normal(size=(40, points.shape[1])) * 2, rng.integers(0, 6, (150, points.shape[1])) / 1.0):
        for given_as in (queries, queries.astype(tree.dtype)):
            true = distances(tree, given_as, points)
            allowed = np.broadcast_to(admitted, true.shape)
            check_nearest(tree, true, tree.knn(k, queries=given_as, **asked), k, allowed, ties=False)
    for queries, rows in ((None, own), (some, some)):
        true = distances(tree, points[rows], points)
        allowed = np.broadcast_to(admitted, true.shape)
        others = allowed & (rows[:, None] != np.arange(len(points)))
        earlier = allowed & (rows[:, None] > np.arange(len(points)))
        for extra, among in (({}, allowed), ({"exclude_self": True}, others), ({"predecessor_mode": True}, earlier)):
            check_nearest(tree, true, tree.knn(k, queries=queries, **asked, **extra), k, among, ties=ties)
        upper = rng.integers(-1, len(points) + 2, len(rows))
        below = others & (upper[:, None] > np.arange(len(points)))
        found = tree.knn(k, queries=queries, before=upper, exclude_self=True, **asked)
        check_nearest(tree, true, found, k, below, ties=ties)


@settings(max_examples=80, deadline=None)
@given(trees(), st.sampled_from(MASKS), st.sampled_from([0.0, 0.9, 2.5, np.inf]))
def test_radius(made, kind, r):
    tree, points, there, rng = made
    mask = mask_of(kind, len(points), rng)
    admitted, own = mask & there, np.flatnonzero(there)
    rounded = tree.dtype == np.float32
    new = (rng.integers(0, 6, (140, points.shape[1])) + 0.125).astype(tree.dtype)
    for queries, coords, extra, self_counts in (
        (new, new, {}, True), (new.astype(np.float64), new, {}, True), (None, points[own], {}, True),
        (own, points[own], {"exclude_self": True}, False),
    ):  # fmt: skip
        true = distances(tree, coords, points)
        allowed = np.broadcast_to(admitted, true.shape)
        if not self_counts:
            allowed = allowed & (own[:, None] != np.arange(len(points)))
        within = allowed & ((true <= r) | (rounded & (true.astype(np.float32) <= r)))
        close = allowed & (np.abs(true - r) < 1e-9)  # rounding of the oracle decides about them
        found = tree.radius(r, queries=queries, filter=mask, return_distances=True, **extra)
        counts = tree.radius(r, queries=queries, filter=mask, count_only=True, **extra)
        np.testing.assert_array_equal(np.diff(found.offsets), counts)
        for row in range(len(coords)):
            some = slice(found.offsets[row], found.offsets[row + 1])
            got = np.zeros(len(points), bool)
            got[found.indices[some]] = True
            assert got.sum() == counts[row]
            assert (got == within[row])[~close[row]].all()
            np.testing.assert_allclose(found.distances[some], true[row, found.indices[some]], rtol=1e-6, atol=1e-300)
        if not close.any() or tree.metric in EXACT:
            np.testing.assert_array_equal(counts, within.sum(axis=1))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("dim", [20, 40])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.95])
def test_queries_that_are_compared_with_all_points(dim, dtype, share):
    rng = np.random.default_rng(dim)
    points = rng.normal(size=(2500, dim)).astype(dtype)
    tree = cover_tree(points[:2000])
    tree.insert(points[2000:])
    tree.remove(np.arange(0, 2500, 7))
    mask = rng.random(2500) < share
    admitted = mask & (np.arange(2500) % 7 != 0)
    queries = rng.normal(size=(300, dim))
    for given_as in (queries, queries.astype(dtype)):
        true = distances(tree, given_as, points)
        allowed = np.broadcast_to(admitted, true.shape)
        for k in (1, 5, 3000):
            found = tree.knn(k, queries=given_as, filter=mask, return_distances=True)
            check_nearest(tree, true, found, k, allowed, ties=False)
        r = np.median(true)
        wanted = (allowed & (true <= r)).sum(axis=1)
        np.testing.assert_array_equal(tree.radius(r, queries=given_as, filter=mask, count_only=True), wanted)
        np.testing.assert_array_equal(np.diff(tree.radius(r, queries=given_as, filter=mask).offsets), wanted)


@pytest.mark.parametrize("share", [0.002, 0.2, 0.9])
def test_all_ways_of_a_large_call_agree(share):
    """Few queries mask the k-d trees, and many get a k-d tree of the admitted points."""
    rng = np.random.default_rng(5)
    points = rng.integers(0, 40, (6000, 2)).astype(np.float32)
    tree = cover_tree(points[:5000])
    tree.insert(points[5000:])
    mask = rng.random(6000) < share
    everything = tree.knn(4, filter=mask, exclude_self=True, return_distances=True)
    for some in np.array_split(np.arange(6000), 1500)[::100]:
        indices, apart = tree.knn(4, queries=some, filter=mask, exclude_self=True, return_distances=True)
        np.testing.assert_array_equal(indices, everything[0][some])
        np.testing.assert_array_equal(apart, everything[1][some])
    single = tree.knn(4, filter=mask, exclude_self=True, n_threads=1)
    np.testing.assert_array_equal(single, everything[0])
    counts = tree.radius(3, filter=mask, exclude_self=True, count_only=True)
    np.testing.assert_array_equal(
        counts[:7], tree.radius(3, queries=np.arange(7), filter=mask, exclude_self=True, count_only=True)
    )


def test_a_query_that_is_not_admitted_does_not_bound_the_next_one():
    """With ``exclude_self`` it cannot take the place of the next query among the nearest points so far."""
    rng = np.random.default_rng(9)
    points = rng.normal(size=(20_000, 2))
    tree, mask = cover_tree(points), np.arange(20_000) % 2 == 0
    indices, apart = tree.knn(2, queries=np.arange(3000), filter=mask, exclude_self=True, return_distances=True)
    part = cover_tree(points[mask])
    near, far = part.knn(3, queries=points[:3000], return_distances=True)
    for row in range(3000):
        keep = 2 * near[row] != row
        np.testing.assert_array_equal(indices[row], 2 * near[row][keep][:2])
        np.testing.assert_array_equal(apart[row], far[row][keep][:2])


def test_together_with_max_distance():
    rng = np.random.default_rng(2)
    points, mask = rng.normal(size=(500, 3)), rng.random(500) < 0.3
    tree = cover_tree(points)
    true = distances(tree, points, points)
    limits = rng.uniform(0, 2, 500)
    for limit, each in ((0.7, np.full(500, 0.7)), (limits, limits)):
        found = tree.knn(5, filter=mask, exclude_self=True, max_distance=limit, return_distances=True)
        allowed = mask & (true <= each[:, None]) & ~np.eye(500, dtype=bool)
        check_nearest(tree, true, found, 5, allowed, ties=False)


def test_indices_and_booleans_are_the_same_filter():
    tree = cover_tree(np.arange(10.0).reshape(5, 2))
    tree.remove([1])
    mask = np.array([True, True, False, False, True])
    for same in (mask, mask.tolist(), [0, 1, 4], [4, 0, 0, 1], np.array([0, 1, 4], np.uint8), (0, 4)):
        assert tree.knn(3, queries=[2], filter=same).tolist() == [[0, 4, -1]]
    for nothing in ([], np.zeros(5, bool), np.empty(0, int), [1]):
        assert tree.knn(2, queries=[2], filter=nothing).tolist() == [[-1, -1]]
        assert tree.radius(np.inf, queries=[2], filter=nothing, count_only=True).tolist() == [0]
    # Of a copy in Fortran order, and of a slice.
    assert tree.knn(1, queries=[2], filter=np.repeat(mask, 2)[::2]).tolist() == [[0]]


def test_wrong_filters():
    tree = cover_tree(np.arange(10.0).reshape(5, 2))
    tree.insert(np.zeros((1, 2)))
    tree.remove([2])
    for n in (5, 7, 0):
        with pytest.raises(ValueError, match=f"filter: expected 6 entries, one for each dataset index, got {n}"):
            tree.knn(1, filter=np.ones(n, bool))
        with pytest.raises(ValueError, match="filter: expected 6 entries"):
            tree.radius(1, filter=np.ones(n, bool), count_only=True)
    for ids in ([0, 6], [-1], np.array([2**40])):
        with pytest.raises(IndexError, match=r"filter\[\d\]: expected a dataset index from 0 to 5, got"):
            tree.knn(1, filter=ids)
    for wrong in (np.ones(6), ["a"], np.ones(6, complex), None.__class__, 1.5):
        with pytest.raises((TypeError, ValueError), match="filter: expected"):
            tree.radius(1, filter=wrong)
    with pytest.raises(ValueError, match="filter: expected one dimension"):
        tree.knn(1, filter=np.ones((2, 3), bool))


def test_kernels_for_numba_have_no_filters():
    pytest.importorskip("numba")
    tree = cover_tree(np.random.default_rng(0).normal(size=(50, 2)), engine="hybrid")
    with pytest.raises(ValueError, match="filter: kernels for Numba have no filters"):
        tree.knn(1, filter=[1])
    with pytest.raises(ValueError, match="filter: kernels for Numba have no filters"):
        tree.radius(1, filter=[1])
    with pytest.raises(ValueError, match="max_distance: kernels for Numba expect one number"):
        tree.knn(1, max_distance=np.ones(50))
    with pytest.raises(ValueError, match="r: kernels for Numba expect one number"):
        tree.radius(np.ones(50))

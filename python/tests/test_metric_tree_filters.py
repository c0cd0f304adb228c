"""Filters and limits of queries in cover trees by a metric of the caller: against brute force by the same function."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from test_metric_tree import brute, edit_blocks, words

import covertreex
from covertreex import CoverTreeError, MetricTree

MASKS = ("none", "one", "few", "half", "all")


def mask_of(kind, n, rng):
    if kind == "one":
        return np.arange(n) == rng.integers(n)
    return rng.random(n) < {"none": 0, "few": 0.05, "half": 0.5, "all": 1}[kind]


def check_radius(tree, r, inner, allowed, **asked):
    found = tree.radius(r, return_distances=True, **asked)
    reach = np.broadcast_to(np.reshape(r, (-1, 1)), inner.shape)
    allowed = allowed & (inner <= reach)
    expected, distances = brute(inner, max(1, int(allowed.sum(1).max(initial=0))), allowed)
    np.testing.assert_array_equal(np.diff(found.offsets), allowed.sum(1))
    np.testing.assert_array_equal(found.indices, expected[expected >= 0])
    np.testing.assert_array_equal(found.distances, distances[expected >= 0])
    np.testing.assert_array_equal(tree.radius(r, count_only=True, **asked), allowed.sum(1))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32), n=st.integers(1, 120), kind=st.sampled_from(MASKS), k=st.sampled_from([1, 3, 130]))
def test_answers_are_those_among_admitted_points(seed, n, kind, k):
    rng = np.random.default_rng(seed)
    on_grid = bool(rng.integers(2))
    points = rng.integers(0, 5, (n, 2)).astype(float) if on_grid else rng.standard_normal((n, 1 + seed % 4))
    cut = int(rng.integers(1, n + 1))
    tree = MetricTree(points[:cut], cdist)
    tree.insert(points[cut:])
    there = np.ones(n, bool)
    if seed % 3 == 0:
        there[rng.random(n) < 0.2] = False
        tree.remove(np.flatnonzero(~there))
    mask = mask_of(kind, n, rng)
    given_as = np.flatnonzero(mask) if seed % 2 else mask
    allowed = np.broadcast_to(mask & there, (n, n))[there]
    inner, own = cdist(points[there], points), np.flatnonzero(there)[:, None]
    cases = [({}, allowed), ({"exclude_self": True}, allowed & (own != np.arange(n)))]
    cases.append(({"predecessor_mode": True}, allowed & (own > np.arange(n))))
    limits = rng.exponential(np.median(inner) + 0.1, len(inner)) if len(inner) else np.zeros(0)
    limits[rng.random(len(limits)) < 0.1] = 0
    for asked, among in cases:
        for found, expected in zip(
            tree.knn(k, filter=given_as, return_distances=True, **asked), brute(inner, k, among)
        ):
            np.testing.assert_array_equal(found, expected)
        np.testing.assert_array_equal(
            tree.knn(k, filter=given_as, max_distance=limits, **asked),
            brute(inner, k, among & (inner <= limits[:, None]))[0],
        )
        check_radius(tree, limits, inner, among, filter=given_as, **asked)
    check_radius(tree, float(np.median(inner)) if inner.size else 1.0, inner, allowed, filter=given_as)
    queries = rng.standard_normal((30, points.shape[1]))
    outer = cdist(queries, points)
    among = np.broadcast_to(mask & there, outer.shape)
    np.testing.assert_array_equal(tree.knn(k, queries=queries, filter=given_as), brute(outer, k, among)[0])
    check_radius(tree, rng.random(30) * 2, outer, among, queries=queries, filter=given_as)


def test_strings():
    listed = words(110)  # many are equal
    inner = np.array(edit_blocks(listed, listed), float)
    tree, rng = MetricTree(listed, edit_blocks), np.random.default_rng(1)
    for kind in MASKS:
        mask = mask_of(kind, 110, rng)
        np.testing.assert_array_equal(tree.knn(4, filter=mask), brute(inner, 4, np.broadcast_to(mask, inner.shape))[0])
    limits = rng.integers(0, 4, 110)
    np.testing.assert_array_equal(tree.knn(4, max_distance=limits), brute(inner, 4, inner <= limits[:, None])[0])
    check_radius(tree, limits, inner, np.ones((110, 110), bool))


def test_a_filter_saves_evaluations():
    points = np.random.default_rng(2).random((3000, 2))
    tree = MetricTree(points, cdist)
    queries = np.random.default_rng(3).random((100, 2))

    def evaluations(**asked):
        before = tree.stats().points_compared
        tree.knn(5, queries=queries, **asked)
        return tree.stats().points_compared - before

    everything = evaluations()
    # The distances from 8 pivots are needed in any case.
    assert evaluations(filter=[]) <= 8 * 100
    assert evaluations(filter=[5, 77, 1234]) <= (8 + 3) * 100
    assert evaluations(max_distance=np.full(100, 0.01)) < everything


def test_wrong_options_are_those_of_other_trees():
    points = np.random.default_rng(4).random((60, 2))
    tree, other = MetricTree(points, cdist), covertreex.cover_tree(points)
    calls = [
        lambda t: t.knn(2, filter=np.ones(59, bool)),
        lambda t: t.knn(2, filter=np.ones((60, 1), bool)),
        lambda t: t.knn(2, filter=[60]),
        lambda t: t.knn(2, filter=[-1]),
        lambda t: t.knn(2, filter=np.ones(60)),
        lambda t: t.radius(0.1, filter=np.ones(61, bool)),
        lambda t: t.knn(2, max_distance=np.ones(59)),
        lambda t: t.knn(2, max_distance=np.ones((60, 2))),
        lambda t: t.knn(2, max_distance=np.full(60, -1.0)),
        lambda t: t.knn(2, max_distance=np.full(60, np.nan)),
        lambda t: t.knn(2, max_distance=["a"] * 60),
        lambda t: t.radius(np.ones(61)),
        lambda t: t.radius(np.full(60, -1.0)),
        lambda t: t.radius(np.full(60, np.nan), count_only=True),
        lambda t: t.radius(-1.0),
    ]
    for call in calls:
        errors = []
        for one in (tree, other):
            with pytest.raises((ValueError, TypeError, IndexError, CoverTreeError)) as caught:
                call(one)
            errors.append((caught.type, str(caught.value)))
        assert errors[0] == errors[1]

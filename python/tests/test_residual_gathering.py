"""Filters that admit few points, for many queries, by residual correlation: the same answers to the bit."""

import functools

import numpy as np
import pytest
import residual_oracle as oracle
from hypothesis import given, settings
from hypothesis import strategies as st
from test_residual import problems, uniform
from test_residual_filters import mask_of

from covertreex import ResidualTree, Runtime, residual_tree, runtime
from covertreex.kernels import RBF, Matern12, Matern52

MODES = ({}, {"predecessor_mode": True}, {"exclude_self": True}, {"before": True})


def among(every, mask, k):
    """The first `k` admitted of all neighbours, which a search without a filter found."""
    left = (every[0] >= 0) & mask[every[0]]
    first = np.argsort(~left, axis=1, kind="stable")[:, :k]
    there = np.take_along_axis(left, first, axis=1)
    wanted = np.full((len(left), k), -1), np.full((len(left), k), np.inf)
    for target, source in zip(wanted, every):
        target[:, : first.shape[1]][there] = np.take_along_axis(source, first, axis=1)[there]
    return wanted


def same(found, wanted):
    for part, own in zip(found, wanted):
        np.testing.assert_array_equal(part, own)


def work_of(tree, search):
    """The result of a search, and the number of pairs that it bounded."""
    before = tree.stats().points_bounded
    return search(), tree.stats().points_bounded - before


def check(tree, mask, k, rows, modes=MODES):
    """A call for many queries, calls for single ones, and all neighbours without a filter."""
    n = len(mask)
    for flags in modes:
        asked = dict(flags, return_distances=True)
        if "before" in flags:
            asked["before"] = np.random.default_rng(k).integers(-1, n + 2, len(rows))
        every = tree.knn(n, queries=rows, **asked)
        wanted = among(every, mask, k)
        same(tree.knn(k, queries=rows, filter=mask, **asked), wanted)
        for row in range(0, len(rows), 41):
            alone = {**asked, "before": asked["before"][row : row + 1]} if "before" in flags else asked
            found = tree.knn(k, queries=rows[row : row + 1], filter=mask, **alone)
            same(found, [part[row : row + 1] for part in wanted])
        if "before" in flags:
            continue
        limits = every[1][np.arange(len(rows)), np.arange(len(rows)) % min(n, 20)]
        limits = np.where(np.isfinite(limits), limits, 0.5)
        near = (every[0] >= 0) & (every[1] <= limits[:, None])
        within = near & mask[every[0]]
        found = tree.radius(limits, queries=rows, filter=mask, **asked)
        same(
            (found.indices, found.distances, np.diff(found.offsets)), (*(part[within] for part in every), within.sum(1))
        )
        counts = tree.radius(limits, queries=rows, filter=mask, count_only=True, **flags)
        np.testing.assert_array_equal(counts, within.sum(axis=1))
        cut = tree.knn(k, queries=rows, filter=mask, max_distance=limits, **asked)
        same(cut, among((np.where(near, every[0], -1), every[1]), mask, k))


@settings(max_examples=12)
@given(problems(), st.sampled_from(["none", "one", "few", "half"]), st.sampled_from([1, 7, 2000]))
def test_many_queries_and_single_ones_are_answered_alike(problem, kind, k):
    points, kernel, m = problem
    rng = np.random.default_rng(len(points))
    tree, mask = residual_tree(points, kernel, n_inducing=m), mask_of(kind, len(points), rng)
    rows = rng.integers(0, len(points), 120)
    check(tree, mask, k, rows)
    v, p = oracle.features(kernel, points, tree.inducing_points)
    rho, norms = oracle.correlations(kernel, points[rows], v[rows], p[rows], points, v, p)
    rho[np.arange(len(rows)), rows] = 1
    allowed = np.broadcast_to(mask, rho.shape)
    for flags in ({}, {"predecessor_mode": True}):
        found = tree.knn(k, queries=rows, filter=mask, return_distances=True, **flags)
        counted = allowed & oracle.predecessors(rows, len(points)) if flags else allowed
        oracle.assert_nearest(rho, norms, k, *found, counted, variance=kernel.variance, in_space=v.shape[1] == 0)


@settings(max_examples=10)
@given(problems(), st.sampled_from(["one", "few", "half"]))
def test_new_points(problem, kind):
    points, kernel, m = problem
    rng = np.random.default_rng(len(points))
    tree, mask = residual_tree(points, kernel, n_inducing=m), mask_of(kind, len(points), rng)
    new = np.concatenate([rng.standard_normal((150, points.shape[1])), points[:3]])
    before = rng.integers(-1, len(points) + 2, len(new))
    for asked in ({"return_distances": True}, {"return_distances": True, "before": before}):
        every = tree.knn(len(points), queries=new, **asked)
        same(tree.knn(5, queries=new, filter=mask, **asked), among(every, mask, 5))
    limits = np.linspace(0, 1, len(new))
    every = tree.knn(len(points), queries=new, return_distances=True)
    within = mask[every[0]] & (every[1] <= limits[:, None])
    np.testing.assert_array_equal(tree.radius(limits, queries=new, filter=mask).indices, every[0][within])


def removed_from(tree, rng, share):
    tree.remove(rng.choice(len(tree._coords), int(share * len(tree._coords)), replace=False))


@pytest.mark.parametrize("share", [0.1, 0.5])  # With the second the model is made again.
def test_after_removals(rng, share):
    points = rng.standard_normal((900, 2))
    tree, mask = residual_tree(points, Matern52(0.5), n_inducing=30), rng.random(940) < 0.1
    removed_from(tree, rng, share)
    tree.insert(rng.standard_normal((40, 2)))
    rows = tree.indices
    everything = np.zeros(940, bool)
    everything[rows] = True
    check(tree, mask, 6, rng.permutation(rows)[:300])
    assert (mask & ~everything).any()
    found = tree.knn(6, filter=mask)
    assert everything[found[found >= 0]].all()
    wanted, bounded = work_of(tree, lambda: tree.knn(6, filter=mask))
    np.testing.assert_array_equal(found, wanted)
    assert bounded <= len(rows) * (mask & everything).sum()


def kinds(rng):
    points = rng.standard_normal((900, 2))
    v, p = oracle.features(Matern52(1.0), points, points[:40])
    yield residual_tree(points, RBF(0.6), n_inducing=60)
    yield residual_tree(points, Matern12(0.5), n_inducing=20)
    yield ResidualTree.from_features(points, v, p, kernel=Matern52(1.0))
    yield residual_tree(points, functools.partial(Matern52(1.0)), inducing_points=points[:40])
    yield residual_tree(uniform(rng, 900, 2), RBF(0.1), n_inducing=80)
    yield residual_tree(points[np.arange(900) % 30], RBF(1.0), n_inducing=10)


def test_kinds_of_models(rng):
    for tree in kinds(rng):
        mask = rng.random(900) < 0.05
        check(tree, mask, 20, rng.permutation(900)[:200], MODES[:2])
        for ask in (lambda **flags: tree.knn(4, **flags), lambda **flags: tree.radius(0.7, **flags)):  # noqa: B023
            _, bounded = work_of(tree, lambda: ask(filter=mask))  # noqa: B023
            assert bounded <= 900 * mask.sum(), "the other points are not compared"


def test_early_points_are_divided_from_others(rng):
    """Of the admitted points, too, the first are searched apart in `predecessor_mode`."""
    n = 12_000
    points, mask = rng.standard_normal((n, 2)), rng.random(n) < 0.3
    tree = residual_tree(points, Matern12(3.0), n_inducing=40)
    asked = {"filter": mask, "predecessor_mode": True, "return_distances": True}
    (found, work), (again, _) = (work_of(tree, lambda n=n: tree.knn(7, n_threads=n, **asked)) for n in (1, 5))
    same(found, again)
    assert work <= n * mask.sum()
    some = rng.choice(n, 40, replace=False)
    every = tree.knn(n, queries=some, predecessor_mode=True, return_distances=True)
    same([part[some] for part in found], among(every, mask, 7))


def test_many_admitted_points_have_blocks(rng):
    """With regions among the others, and queries that are represented by the nearest block."""
    n = 17_000
    points, mask = rng.standard_normal((n, 2)), rng.random(n) < 0.15
    with Runtime(residual=runtime.Residual(block_size=64)).activate():
        tree = residual_tree(points, RBF(0.6), n_inducing=256)
    assert tree.stats().n_pivots > 0
    rows, k = rng.choice(n, 1_500, replace=False), 15
    for flags in ({}, {"predecessor_mode": True}, {"exclude_self": True}):
        asked = {"return_distances": True, **flags}
        before = tree.stats()
        found = tree.knn(k, queries=rows, filter=mask, **asked)
        after = tree.stats()
        compared = after.blocks_estimated + after.blocks_compared - before.blocks_estimated - before.blocks_compared
        assert compared <= len(rows) * 2 * (mask.sum() / 64 + 1), "of the admitted points"
        assert after.blocks_estimated > before.blocks_estimated
        every = tree.knn(n, queries=rows[:40], **asked)
        same([part[:40] for part in found], among(every, mask, k))
        for row in range(40, 1_500, 97):
            alone = tree.knn(k, queries=rows[row : row + 1], filter=mask, **asked)
            same(alone, [part[row : row + 1] for part in found])

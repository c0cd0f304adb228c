"""``filter``, and limits of each query, by residual correlation: against brute force among the admitted points."""

import functools

import numpy as np
import pytest
import residual_oracle as oracle
from hypothesis import given, settings
from hypothesis import strategies as st
from test_residual import problems, uniform

from covertreex import CoverTree, ResidualTree, Runtime, residual_tree, runtime
from covertreex.kernels import RBF, Matern12, Matern52

MASKS = ("none", "one", "few", "half", "all")


def mask_of(kind, n, rng):
    if kind == "one":
        return np.arange(n) == rng.integers(n)
    return rng.random(n) < {"none": 0, "few": 0.05, "half": 0.5, "all": 1}[kind]


def same_as_the_rest(found, every, mask, k):
    """Answers of a filter are those of a search for all points, without points that are not admitted; to the bit."""
    (indices, distances), (all_indices, all_distances) = found, every
    for row in range(len(indices)):
        left = (all_indices[row] >= 0) & mask[all_indices[row]]
        wanted = all_indices[row][left][:k]
        np.testing.assert_array_equal(indices[row], np.pad(wanted, (0, k - len(wanted)), constant_values=-1))
        np.testing.assert_array_equal(distances[row][: len(wanted)], all_distances[row][left][:k])
        assert np.isinf(distances[row][len(wanted) :]).all()


def check_modes(tree, mask, k, rows):
    """Every question with a filter, of points that need not be admitted."""
    n = len(tree._coords)
    before = np.random.default_rng(k).integers(-1, n + 2, len(rows))
    for flags in ({}, {"predecessor_mode": True}, {"exclude_self": True}, {"before": before}):
        asked = {"queries": rows, "return_distances": True, **flags}
        every = tree.knn(n, **asked)
        same_as_the_rest(tree.knn(k, filter=mask, **asked), every, mask, k)
        if "before" in flags:
            continue
        r = float(np.median(every[1][:, min(n, 9) - 1]))
        limits = every[1][np.arange(len(rows)), np.arange(len(rows)) % min(n, 20)]
        limits[::7], limits[1::7] = 0, 1
        for radius in (r if np.isfinite(r) else 1.0, np.where(np.isfinite(limits), limits, 0.5)):
            within = (every[0] >= 0) & mask[every[0]] & (every[1] <= np.reshape(radius, (-1, 1)))
            found = tree.radius(radius, filter=mask, **asked)
            np.testing.assert_array_equal(found.indices, every[0][within])
            np.testing.assert_array_equal(found.distances, every[1][within])
            np.testing.assert_array_equal(np.diff(found.offsets), within.sum(axis=1))
            counts = tree.radius(radius, filter=mask, queries=rows, count_only=True, **flags)
            np.testing.assert_array_equal(counts, within.sum(axis=1))
            near = tree.knn(k, filter=mask, max_distance=radius, **asked)
            same_as_the_rest(near, (np.where(within, every[0], -1), every[1]), mask, k)


@settings(max_examples=40)
@given(problems(), st.sampled_from(MASKS), st.sampled_from([1, 7, 2000]), st.booleans())
def test_equals_brute_force_among_admitted_points(problem, kind, k, by_ids):
    points, kernel, m = problem
    n, rng = len(points), np.random.default_rng(len(points))
    tree = residual_tree(points, kernel, n_inducing=m)
    mask, rows = mask_of(kind, n, rng), rng.integers(0, n, 20)
    v, p = oracle.features(kernel, points, tree.inducing_points)
    rho, norms = oracle.correlations(kernel, points[rows], v[rows], p[rows], points, v, p)
    rho[np.arange(len(rows)), rows] = 1
    admitted = np.broadcast_to(mask, rho.shape)
    others = admitted & (rows[:, None] != np.arange(n))
    k = min(k, n + 3)
    for flags, allowed in (
        ({}, admitted), ({"exclude_self": True}, others),
        ({"predecessor_mode": True}, others & oracle.predecessors(rows, n)),
    ):  # fmt: skip
        given_as = np.flatnonzero(mask) if by_ids else mask
        found = tree.knn(k, queries=rows, filter=given_as, return_distances=True, **flags)
        oracle.assert_nearest(rho, norms, k, *found, allowed, variance=kernel.variance, in_space=v.shape[1] == 0)
    check_modes(tree, mask, k, rows[:6])


@settings(max_examples=15)
@given(problems(), st.sampled_from(MASKS), st.integers(1, 40))
def test_new_points(problem, kind, n_new):
    points, kernel, m = problem
    rng = np.random.default_rng(n_new)
    tree, mask = residual_tree(points, kernel, n_inducing=m), mask_of(kind, len(points), rng)
    new = np.concatenate([rng.standard_normal((n_new, points.shape[1])), points[:3]])
    every = tree.knn(len(points), queries=new, return_distances=True)
    same_as_the_rest(tree.knn(5, queries=new, filter=mask, return_distances=True), every, mask, 5)
    limits = np.linspace(0, 1, len(new))
    within = mask[every[0]] & (every[1] <= limits[:, None])
    np.testing.assert_array_equal(tree.radius(limits, queries=new, filter=mask).indices, every[0][within])
    np.testing.assert_array_equal(
        tree.radius(limits, queries=new[:, :], count_only=True), (every[1] <= limits[:, None]).sum(axis=1)
    )


@pytest.mark.parametrize("share", [0.01, 0.5])
def test_kernel_of_the_caller_and_given_features(rng, share):
    points = rng.standard_normal((500, 2))
    kernel, mask = Matern52(1.0), rng.random(500) < share
    v, p = oracle.features(kernel, points, points[:40])
    for tree in (
        ResidualTree.from_features(points, v, p, kernel=kernel),
        ResidualTree.from_features(points, v.astype(np.float32), p, kernel=kernel),
        residual_tree(points, functools.partial(kernel), inducing_points=points[:40]),
    ):
        check_modes(tree, mask, 6, rng.integers(0, 500, 25))


@pytest.mark.parametrize("share", [0.002, 0.3, 0.95])
def test_through_skeletons_regions_and_early_points(rng, share):
    points = rng.standard_normal((9_000, 2))
    rows = np.concatenate([np.arange(0, 900, 90), rng.choice(9_000, 30, replace=False)])
    for block_size in (0, 64):
        with Runtime(residual=runtime.Residual(block_size=block_size or None)).activate():
            tree = residual_tree(points, RBF(0.6), n_inducing=60)
        mask = rng.random(9_000) < share
        mask &= ~((points[:, 0] > 0.5) & (points[:, 1] > 0.5))  # whole blocks
        check_modes(tree, mask, 15, rows)


@pytest.mark.parametrize("share", [0.004, 0.3])
def test_domains_of_many_lengthscales(rng, share):
    """Most points are at distance 1: the lowest of the admitted indices come first."""
    points = uniform(rng, 6_000, 2)
    mask = rng.random(6_000) < share
    mask[:30:2] = False
    for kernel, m in ((RBF(0.2), 80), (Matern12(0.05), 80), (RBF(0.2), 0)):
        check_modes(residual_tree(points, kernel, n_inducing=m), mask, 12, np.arange(0, 6_000, 199))


def test_few_directions_in_many_dimensions(rng):
    points = rng.standard_normal((4_000, 12))
    tree = residual_tree(points, Matern52(4.0), n_inducing=150)
    check_modes(tree, rng.random(4_000) < 0.2, 9, rng.choice(4_000, 40, replace=False))


def test_copies_of_a_point(rng):
    """Of many equal points the lowest admitted indices are found, also for a query that is not admitted."""
    points = np.tile(rng.standard_normal((20, 2)), (40, 1))
    for m in (0, 10):
        tree, mask = residual_tree(points, RBF(1.0), n_inducing=m), np.arange(800) % 40 < 20
        own = np.flatnonzero(mask & (np.arange(800) % 20 == 1))
        for query in (741, 761):  # admitted, and not
            for flags in ({}, {"exclude_self": True}):
                found = tree.knn(25, queries=[query], filter=mask, **flags)
                wanted = own[own != query] if flags else own
                np.testing.assert_array_equal(found[0][: len(wanted)], wanted)
            np.testing.assert_array_equal(tree.radius(0.0, queries=[query], filter=mask).indices, own)
        check_modes(tree, mask, 30, np.arange(0, 800, 37))


def test_removed_and_inserted_points(rng):
    points, more = rng.standard_normal((500, 2)), rng.standard_normal((60, 2))
    for m in (0, 20):
        tree = residual_tree(points, Matern52(0.5), n_inducing=m)
        mask = rng.random(560) < 0.4
        tree.remove(rng.choice(500, 90, replace=False))
        tree.insert(more)
        left = residual_tree(tree._coords, Matern52(0.5), inducing_points=tree.inducing_points)
        left.remove(np.union1d(tree._removed, np.flatnonzero(~mask)))
        rows = left.indices
        for flags in ({}, {"predecessor_mode": True}, {"exclude_self": True}):
            asked = {"return_distances": True, **flags}
            for part, own in zip(tree.knn(7, queries=rows, filter=mask, **asked), left.knn(7, **asked)):
                np.testing.assert_array_equal(part, own)
            for part, own in zip(tree.radius(0.8, queries=rows, filter=mask, **asked), left.radius(0.8, **asked)):
                np.testing.assert_array_equal(part, own)
        everything = tree.knn(3, filter=np.ones(560, bool))
        np.testing.assert_array_equal(everything, tree.knn(3))
        assert tree.knn(2, filter=tree._removed[:9]).max() == -1


def test_any_number_of_threads_and_one_call_for_all(rng):
    points = rng.standard_normal((6_000, 2))
    for m in (0, 60):
        tree, mask = residual_tree(points, RBF(0.6), n_inducing=m), rng.random(6_000) < 0.1
        one, two = (tree.knn(5, filter=mask, predecessor_mode=True, return_distances=True, n_threads=n) for n in (1, 5))
        some = rng.choice(6_000, 12, replace=False)
        few = tree.knn(5, queries=some, filter=mask, predecessor_mode=True, return_distances=True)
        for part, other, own in zip(one, two, few):
            np.testing.assert_array_equal(part, other)
            np.testing.assert_array_equal(part[some], own)


@settings(max_examples=30)
@given(problems(), st.booleans())
def test_a_limit_for_each_query_is_that_limit_for_it_alone(problem, predecessor_mode):
    points, kernel, m = problem
    tree, rng = residual_tree(points, kernel, n_inducing=m), np.random.default_rng(len(points))
    rows = rng.integers(0, len(points), 12)
    flags = {"predecessor_mode": predecessor_mode, "return_distances": True}
    true = tree.knn(len(points), queries=rows, **flags)[1]
    limits = true[np.arange(12), rng.integers(len(points), size=12)]  # of some neighbour: inclusive
    limits[::4], limits[1], limits[2] = rng.uniform(0, 1, 3), np.nextafter(1, 0), np.inf
    found = tree.radius(limits, queries=rows, **flags)
    near, far = tree.knn(6, queries=rows, max_distance=limits, **flags)
    counts = tree.radius(limits, queries=rows, count_only=True, predecessor_mode=predecessor_mode)
    np.testing.assert_array_equal(np.diff(found.offsets), counts)
    np.testing.assert_array_equal(
        counts, (true <= limits[:, None]).sum(axis=1) - np.isinf(limits) * np.isinf(true).sum(axis=1)
    )
    for row in range(12):
        alone = tree.radius(limits[row], queries=rows[row : row + 1], **flags)
        part = slice(found.offsets[row], found.offsets[row + 1])
        np.testing.assert_array_equal(found.indices[part], alone.indices)
        np.testing.assert_array_equal(found.distances[part], alone.distances)
        own, how_far = tree.knn(6, queries=rows[row : row + 1], max_distance=limits[row], **flags)
        np.testing.assert_array_equal(near[row], own[0])
        np.testing.assert_array_equal(far[row], how_far[0])


def test_candidates(rng):
    points, mask, limits = rng.standard_normal((400, 2)), rng.random(400) < 0.3, np.linspace(0, 1, 400)
    for m in (0, 30):
        tree = residual_tree(points, Matern52(0.5), n_inducing=m)
        every = tree.knn(6, filter=mask, return_distances=True)
        for part, own in zip(tree.knn(6, candidates=400, filter=mask, return_distances=True), every):
            np.testing.assert_array_equal(part, own)
        cut = tree.knn(6, candidates=400, filter=mask, max_distance=limits)
        np.testing.assert_array_equal(cut, np.where(every[1] <= limits[:, None], every[0], -1))


def test_forms(rng):
    tree = residual_tree(rng.standard_normal((5, 2)), RBF(), n_inducing=2)
    tree.remove([1])
    mask = np.array([True, True, False, False, True])
    wanted = tree.knn(3, queries=[2], filter=mask).tolist()
    assert sorted(wanted[0]) == [-1, 0, 4]
    for same in (
        mask.tolist(),
        [0, 1, 4],
        [4, 0, 0, 1],
        np.array([0, 1, 4], np.uint8),
        (0, 4),
        np.repeat(mask, 2)[::2],
    ):
        assert tree.knn(3, queries=[2], filter=same).tolist() == wanted
    for nothing in ([], np.zeros(5, bool), np.empty(0, int), [1]):
        assert tree.knn(2, queries=[2], filter=nothing).tolist() == [[-1, -1]]
        assert tree.radius(1, queries=[2], filter=nothing, count_only=True).tolist() == [0]
    assert tree.knn(3, queries=[0.5, 0.5], filter=mask, max_distance=[1.0]).shape == (3,)
    assert tree.radius([1.0], queries=[0.5, 0.5], filter=[3], count_only=True) == 1
    assert tree.radius([], queries=np.empty((0, 2))).offsets.tolist() == [0]


def test_bad_input(rng):
    points = rng.standard_normal((50, 2))
    for m in (0, 10):
        tree = residual_tree(points, RBF(), n_inducing=m)
        tree.insert(points[:1])
        tree.remove([2])
        for extra in ({}, {"candidates": 9}):
            for n in (50, 52, 0):
                with pytest.raises(
                    ValueError, match=f"filter: expected 51 entries, one for each dataset index, got {n}"
                ):
                    tree.knn(1, filter=np.ones(n, bool), **extra)
            for ids in ([0, 51], [-1], np.array([2**40])):
                with pytest.raises(IndexError, match=r"filter\[\d\]: expected a dataset index from 0 to 50, got"):
                    tree.knn(1, filter=ids, **extra)
            for wrong in (np.nan, -1.0, -np.inf):
                limits = np.ones(50)
                limits[4] = wrong
                with pytest.raises(ValueError, match=rf"max_distance\[4\]: expected a number from 0 up, got {wrong}"):
                    tree.knn(2, max_distance=limits, **extra)
            for wrong in (np.ones(49), np.ones((50, 1)), []):
                with pytest.raises(ValueError, match=r"max_distance: expected shape \(50,\), got"):
                    tree.knn(2, max_distance=wrong, **extra)
        for counts in (False, True):
            with pytest.raises(ValueError, match="filter: expected 51 entries"):
                tree.radius(1, filter=np.ones(50, bool), count_only=counts)
            for wrong in (np.ones(51), ["a"], np.ones(51, complex), 1.5):
                with pytest.raises((TypeError, ValueError), match="filter: expected"):
                    tree.radius(1, filter=wrong, count_only=counts)
            for wrong in (np.nan, -1.0):
                with pytest.raises(ValueError, match=r"r\[49\]: expected a number from 0 up"):
                    tree.radius(np.append(np.ones(49), wrong), count_only=counts)
            with pytest.raises(ValueError, match=r"r: expected shape \(50,\), got"):
                tree.radius(np.ones(51), count_only=counts)
        with pytest.raises(ValueError, match="filter: expected one dimension"):
            tree.knn(1, filter=np.ones((2, 3), bool))


def test_kernels_for_numba_have_no_filters(rng):
    pytest.importorskip("numba")
    points, mask = rng.standard_normal((60, 2)), np.arange(60) % 2 == 0
    tree = residual_tree(points, RBF(), n_inducing=5, engine="hybrid")
    with pytest.raises(ValueError, match="filter: kernels for Numba have no filters"):
        tree.knn(1, filter=[1])
    with pytest.raises(ValueError, match="max_distance: kernels for Numba expect one number"):
        tree.knn(1, max_distance=np.ones(60))
    # The library answers these.
    native = residual_tree(points, RBF(), inducing_points=tree.inducing_points)
    limits = np.linspace(0, 1, 60)
    assert isinstance(tree.euclidean, CoverTree)
    for part, own in zip(tree.radius(limits, filter=mask), native.radius(limits, filter=mask)):
        np.testing.assert_array_equal(part, own)
    np.testing.assert_array_equal(
        tree.knn(3, candidates=60, filter=mask, max_distance=limits), native.knn(3, filter=mask, max_distance=limits)
    )

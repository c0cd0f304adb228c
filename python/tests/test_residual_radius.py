"""Limits of residual-correlation distance: `radius` and `max_distance` against all distances, and brute force."""

import numpy as np
import pytest
import residual_oracle as oracle
from hypothesis import given, settings
from hypothesis import strategies as st
from test_residual import cities, problems, raster, track, uniform

from covertreex import ResidualTree, Runtime, residual_tree, runtime
from covertreex.kernels import RBF, Matern12, Matern32, Matern52


def check(tree, r, rows, oracle_of=None, **flags):
    """Answers within `r` are the first ones of a search for all points, and what brute force finds."""
    n = len(tree)
    every, distances = tree.knn(n, queries=rows, return_distances=True, **flags)
    within = (distances <= r) & (every >= 0)
    counts = within.sum(axis=1)
    assert (within == (np.arange(n) < counts[:, None])).all()  # sorted
    found = tree.radius(r, queries=rows, return_distances=True, **flags)
    np.testing.assert_array_equal(np.diff(found.offsets), counts)
    np.testing.assert_array_equal(found.indices, every[within])
    np.testing.assert_array_equal(found.distances, distances[within])
    np.testing.assert_array_equal(tree.radius(r, queries=rows, count_only=True, **flags), counts)
    for k in (1, 7):
        near, how_near = tree.knn(k, queries=rows, max_distance=r, return_distances=True, **flags)
        np.testing.assert_array_equal(near, padded(every, within, k))
        np.testing.assert_array_equal(how_near, padded(distances, within, k, np.inf))
        np.testing.assert_array_equal(tree.knn(k, queries=rows, max_distance=r, **flags), near)
    if oracle_of is not None:
        check_against_brute_force(found, r, rows, oracle_of, **flags)
    return found


def padded(values, within, k, missing=-1):
    values = np.where(within, values, missing)
    return np.pad(values, ((0, 0), (0, max(0, k - values.shape[1]))), constant_values=missing)[:, :k]


def check_against_brute_force(found, r, rows, truth, *, predecessor_mode=False, exclude_self=False):
    """Points whose distance is not within rounding of the radius are there, or are not."""
    rho, norms, variance = truth
    n = rho.shape[1]
    tolerance = 256e-14 * variance / norms * (1 + 1e3 * rho) + 1e-13
    allowed = oracle.predecessors(rows, n) if predecessor_mode else np.ones(rho.shape, bool)
    if exclude_self:
        allowed[np.arange(len(rows)), rows] = False
    got = np.zeros(rho.shape, bool)
    got[np.repeat(np.arange(len(rows)), np.diff(found.offsets)), found.indices] = True
    assert not (got & ~allowed).any()
    assert got[allowed & (1 - rho <= r * r - tolerance)].all()
    assert not got[1 - rho > r * r + tolerance].any()


def brute_force(tree, points, kernel, rows):
    v, p = oracle.features(kernel, points, tree.inducing_points)
    rho, norms = oracle.correlations(kernel, points[rows], v[rows], p[rows], points, v, p)
    rho[np.arange(len(rows)), rows] = 1
    return rho, norms, kernel.variance


RADII = st.one_of(
    st.floats(0, 1), st.sampled_from([0.0, 1.0, 0.9999999, np.nextafter(1, 0), 1.5, np.inf]), st.integers(0, 899)
)


@settings(max_examples=60)
@given(problems(), RADII, st.booleans(), st.booleans())
def test_equals_all_points_within(problem, r, predecessor_mode, exclude_self):
    points, kernel, m = problem
    tree = residual_tree(points, kernel, n_inducing=m)
    rows = np.random.default_rng(len(points)).integers(0, len(points), 25)
    if isinstance(r, int):  # the distance of some neighbour: inclusive
        r = tree.knn(len(points), queries=rows[:1], return_distances=True)[1][0, r % len(points)]
    flags = {"predecessor_mode": predecessor_mode, "exclude_self": exclude_self}
    check(tree, r, rows, brute_force(tree, points, kernel, rows), **flags)


@settings(max_examples=20)
@given(problems(), st.floats(0, 1), st.integers(1, 40))
def test_new_points(problem, r, n_new):
    points, kernel, m = problem
    tree = residual_tree(points, kernel, n_inducing=m)
    rng = np.random.default_rng(n_new)
    new = np.concatenate([rng.standard_normal((n_new, points.shape[1])), points[:3]])
    check(tree, r, new)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("predecessor_mode", [False, True])
def test_given_features(rng, dtype, predecessor_mode):
    points = rng.standard_normal((700, 3))
    kernel = Matern52(1.0)
    v, p = oracle.features(kernel, points, points[:40])
    tree = ResidualTree.from_features(points, v.astype(dtype), p, kernel=kernel, kernel_diag=np.ones(700))
    rows = rng.choice(700, 60, replace=False)
    for r in (0.3, 0.9, 1.0):
        check(tree, r, rows, predecessor_mode=predecessor_mode)


@pytest.mark.parametrize("predecessor_mode", [False, True])
def test_kernel_of_the_caller(rng, predecessor_mode):
    points = rng.standard_normal((500, 2))

    def kernel(a, b):
        return np.exp(-np.abs(a[:, None, 0] - b[None, :, 0]) - np.abs(a[:, None, 1] - b[None, :, 1]))

    tree = residual_tree(points, kernel, n_inducing=20)
    rows = rng.choice(500, 60, replace=False)
    for r in (0.5, 0.95, 1.0):
        found = check(tree, r, rows, predecessor_mode=predecessor_mode)
        assert predecessor_mode or len(found.indices) > 60


def test_vanishing_correlations_are_within_1(rng):
    """Far points have correlations of 0: they are at distance 1, and not nearer."""
    points = np.concatenate([rng.random((300, 2)), rng.random((300, 2)) + 1000])
    for kernel, m in ((RBF(0.2), 0), (RBF(0.2), 30), (Matern12(0.01), 30)):
        tree = residual_tree(points, kernel, n_inducing=m)
        rows = np.array([0, 5, 599])
        assert (tree.radius(1, queries=rows, count_only=True) == 600).all()
        assert (tree.radius(np.nextafter(1, 0), queries=rows, count_only=True) <= 300).all()
        for r in (np.nextafter(1, 0), 1.0):
            check(tree, r, rows)
            check(tree, r, rows, predecessor_mode=True)


def test_variances_too_small_to_divide_by_are_at_distance_1(rng):
    points = rng.standard_normal((600, 2))
    tree = ResidualTree.from_features(points, np.zeros((600, 3)), np.full(600, 1e-12), kernel=RBF(0.5))
    assert (tree.radius(0.999, count_only=True) == 1).all()
    assert (tree.radius(0.999, exclude_self=True, count_only=True) == 0).all()
    assert (tree.radius(1.0, count_only=True) == 600).all()


def test_a_query_is_within_every_limit(rng):
    """It is at distance 0 from itself, also where its residual variance is not that of its features to the last bit."""
    points = rng.standard_normal((500, 2))
    v, p = oracle.features(Matern52(1.0), points, points[:40])
    rows = np.arange(0, 500, 7)
    for tree in (
        ResidualTree.from_features(points, v.astype(np.float32), p * (1 + 1e-4), kernel=Matern52(1.0)),
        residual_tree(points, RBF(3.0), n_inducing=80, jitter=1e-14),
    ):
        for limit in (0.0, 1e-9, np.full(len(rows), 1e-3)):
            assert tree.knn(1, queries=rows, max_distance=limit).ravel().tolist() == rows.tolist()
            assert (tree.radius(limit, queries=rows, count_only=True) >= 1).all()
        assert (tree.radius(0.0, queries=rows, exclude_self=True, count_only=True) == 0).all()


def test_equal_points_are_all_found(rng):
    points = np.tile(rng.standard_normal((40, 3)), (25, 1))
    for m in (0, 30):
        tree = residual_tree(points, RBF(1.0), n_inducing=m)
        found = tree.radius(0.0, queries=np.arange(80))
        np.testing.assert_array_equal(np.diff(found.offsets), 25)
        check(tree, 0.0, np.arange(0, 1000, 90))
        check(tree, 0.8, np.arange(0, 1000, 90), predecessor_mode=True)


@pytest.mark.parametrize("kernel", [RBF(0.7), Matern12(0.8), Matern32([0.5, 1, 2]), Matern52(2.0, 3.0)])
@pytest.mark.parametrize("predecessor_mode", [False, True])
def test_through_skeletons(rng, kernel, predecessor_mode):
    points = rng.standard_normal((12_000, 3))
    tree = residual_tree(points, kernel, n_inducing=96)
    rows = rng.choice(len(points), 60, replace=False)
    truth = brute_force(tree, points, kernel, rows)
    nearest = tree.knn(60, queries=rows, return_distances=True)[1]
    for r in (float(np.median(nearest[:, 5])), float(np.median(nearest[:, 50])), 0.995):
        check(tree, r, rows, truth, predecessor_mode=predecessor_mode)
    new = rng.standard_normal((80, 3))
    check(tree, float(np.median(nearest[:, 20])), new)


@pytest.mark.parametrize("layout, dim, kernel", [
    (uniform, 2, RBF(0.3)), (raster, 2, RBF(3.0)), (cities, 2, Matern12(1.0)), (track, 2, Matern32(5.0)),
    (cities, 2, Matern52(10.0)), (uniform, 1, Matern32(20.0)),
])  # fmt: skip
def test_domains_of_many_lengthscales(rng, layout, dim, kernel):
    points = layout(rng, 8_000, dim)
    tree = residual_tree(points, kernel, n_inducing=100)
    rows = rng.choice(len(points), 60, replace=False)
    truth = brute_force(tree, points, kernel, rows)
    nearest = tree.knn(40, queries=rows, return_distances=True)[1]
    for r in (float(np.median(nearest[:, 5])), float(np.median(nearest[:, 39])), 0.9999999):
        for predecessor_mode in (False, True):
            check(tree, r, rows, truth, predecessor_mode=predecessor_mode)


def test_regions_and_any_number_of_threads(rng):
    points = rng.standard_normal((20_000, 2))
    with Runtime(residual=runtime.Residual(block_size=64)).activate():  # more blocks than 256 make regions
        tree = residual_tree(points, RBF(0.6), n_inducing=60)
    assert tree.stats().n_blocks > 256
    rows = rng.choice(len(points), 500, replace=False)
    r = float(np.median(tree.knn(20, queries=rows, return_distances=True)[1][:, -1]))
    for flags in ({}, {"predecessor_mode": True}):
        check(tree, r, rows, **flags)
        one, two = (tree.radius(r, return_distances=True, n_threads=threads, **flags) for threads in (1, 5))
        for part, other in zip(one, two):
            np.testing.assert_array_equal(part, other)
        np.testing.assert_array_equal(tree.radius(r, count_only=True, **flags), np.diff(one.offsets))
        found = tree.radius(r, queries=rows, **flags)
        wanted = np.concatenate([one.indices[one.offsets[row] : one.offsets[row + 1]] for row in rows])
        np.testing.assert_array_equal(found.indices, wanted)


def test_candidates_are_cut_too(rng):
    points = rng.standard_normal((400, 2))
    for m in (0, 30):
        tree = residual_tree(points, Matern52(0.5), n_inducing=m)
        found, distances = tree.knn(5, candidates=30, return_distances=True)
        r = float(np.median(distances[:, 2]))
        cut, _ = tree.knn(5, candidates=30, max_distance=r, return_distances=True)
        np.testing.assert_array_equal(cut, np.where(distances <= r, found, -1))


def test_one_point_as_a_vector_and_ranks(rng):
    points = rng.standard_normal((300, 2))
    for m in (0, 30):
        tree = residual_tree(points, Matern52(0.5), n_inducing=m)
        new = rng.standard_normal(2)
        found, distances = tree.knn(7, queries=new[None], return_distances=True)
        for vector in (new, new.tolist(), tuple(new)):
            near, how_near = tree.knn(7, queries=vector, return_distances=True)
            np.testing.assert_array_equal(near, found[0])
            np.testing.assert_array_equal(how_near, distances[0])
        assert tree.knn([2, 7, 1], queries=new).tolist() == found[0, [1, 6, 0]].tolist()
        assert tree.knn(7, queries=new, max_distance=distances[0, 3])[3:].tolist() == [found[0, 3], -1, -1, -1]
        assert tree.radius(distances[0, 6], queries=new).indices.tolist() == found[0].tolist()
        assert tree.radius(distances[0, 6], queries=new, count_only=True) == 7
        every, distances = tree.knn(9, return_distances=True, exclude_self=True)
        for ranks in ([9], (3, 1, 3), np.array([1, 2]), range(1, 10)):
            near, how_near = tree.knn(ranks, return_distances=True, exclude_self=True)
            np.testing.assert_array_equal(near, every[:, np.array(ranks) - 1])
            np.testing.assert_array_equal(how_near, distances[:, np.array(ranks) - 1])
        # Integers are dataset indices.
        np.testing.assert_array_equal(tree.knn(9, queries=[4, 5], exclude_self=True), every[4:6])
    line = residual_tree(rng.standard_normal((30, 1)), RBF(), n_inducing=5)
    assert line.knn(3, queries=[0.5]).shape == (3,)
    assert line.knn(3, queries=[5]).shape == (1, 3)


def test_bad_input(rng):
    points = rng.standard_normal((50, 2))
    for m in (0, 10):
        tree = residual_tree(points, RBF(), n_inducing=m)
        for wrong in (-1, -np.inf, np.nan):
            with pytest.raises(ValueError, match="r: expected a number from 0 up, got "):
                tree.radius(wrong)
            with pytest.raises(ValueError, match="r: expected a number from 0 up, got "):
                tree.radius(wrong, count_only=True)
            with pytest.raises(ValueError, match="max_distance: expected a number from 0 up, got "):
                tree.knn(1, max_distance=wrong)
            with pytest.raises(ValueError, match="max_distance: expected a number from 0 up, got "):
                tree.knn(1, candidates=3, max_distance=wrong)
        for flag in ("predecessor_mode", "exclude_self"):
            with pytest.raises(ValueError, match=f"{flag}: new points"):
                tree.radius(0.5, queries=points, **{flag: True})
        with pytest.raises(IndexError, match=r"queries\[1\]: "):
            tree.radius(0.5, queries=[1, 50])
        with pytest.raises(ValueError, match="queries: expected 2 columns, got 3"):
            tree.radius(0.5, queries=np.zeros((2, 3)))
        with pytest.raises(
            ValueError, match=r"queries: expected shape \(2,\) for one point, or \(q, 2\), got shape \(3,\)"
        ):
            tree.knn(1, queries=np.zeros(3))
        with pytest.raises(ValueError, match="k: expected at least one rank, got none"):
            tree.knn([])
        with pytest.raises(ValueError, match=r"k\[1\]: expected a rank from 1 up, got 0"):
            tree.knn([1, 0])
        assert tree.radius(0.5, queries=np.empty((0, 2))).offsets.tolist() == [0]
        assert tree.radius(0.5, queries=[], count_only=True).tolist() == []
        tree.close()
        with pytest.raises(ValueError, match="closed"):
            tree.radius(0.5)

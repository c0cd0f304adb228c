"""Points that are removed from a residual tree: searches are those of a tree without them."""

import copy
import functools
import pickle

import numpy as np
import pytest
import residual_oracle as oracle
from hypothesis import given, settings
from hypothesis import strategies as st
from test_residual import problems, uniform

from covertreex import CoverTreeError, ResidualTree, Runtime, load, residual_tree, runtime
from covertreex.kernels import RBF, Matern12, Matern52


def without(tree, gone):
    """A tree of the other points in the same process, and their dataset indices."""
    kept = np.delete(np.arange(len(tree._coords)), gone)
    return tree.with_points(tree._coords[kept]), kept


def same(found, wanted, kept):
    """Neighbours in a tree of the kept points alone are those of the tree, by their dataset indices."""
    (indices, distances), (others, how_far) = found, wanted
    np.testing.assert_array_equal(indices, np.where(others >= 0, kept[others], -1))
    np.testing.assert_array_equal(distances, how_far)


def check(tree, gone, k, rng):
    """All searches of a tree without some points."""
    alone, kept = without(tree, gone)
    assert len(tree) == tree.n_points == len(kept)
    np.testing.assert_array_equal(tree.indices, kept)
    n = len(tree._coords)
    for flags in ({}, {"predecessor_mode": True}, {"exclude_self": True}):
        asked = {"return_distances": True, **flags}
        same(tree.knn(k, **asked), alone.knn(k, **asked), kept)
        rows = rng.integers(0, len(kept), 20)
        same(tree.knn(k, queries=kept[rows], **asked), alone.knn(k, queries=rows, **asked), kept)
        r = float(np.median(alone.knn(min(k, len(kept)), return_distances=True)[1][:, -1]))
        found = tree.radius(r, queries=kept[rows], **asked)
        every, distances = tree.knn(n, queries=kept[rows], **asked)
        within = (distances <= r) & (every >= 0)
        np.testing.assert_array_equal(found.indices, every[within])
        np.testing.assert_array_equal(tree.radius(r, queries=kept[rows], count_only=True, **flags), within.sum(axis=1))
        assert not np.isin(found.indices, gone).any()
    before = rng.integers(0, n + 2, len(kept))
    upper = np.searchsorted(kept, before)
    same(tree.knn(k, before=before, return_distances=True), alone.knn(k, before=upper, return_distances=True), kept)
    new = rng.standard_normal((9, tree.dim))
    same(tree.knn(k, queries=new, return_distances=True), alone.knn(k, queries=new, return_distances=True), kept)
    return alone, kept


@settings(max_examples=40)
@given(problems(), st.sampled_from([1, 7, 2000]), st.floats(0, 1))
def test_equals_a_tree_of_the_other_points(problem, k, share):
    points, kernel, m = problem
    tree = residual_tree(points, kernel, n_inducing=m)
    rng = np.random.default_rng(len(points))
    gone = rng.permutation(len(points))[: int(share * (len(points) - 1))]
    tree.knn(1)  # structures of the whole are shared
    first, second = gone[::2], gone[1::2]
    tree.remove(first)
    tree.remove(second)
    assert not np.isin(tree.knn(k), gone).any()
    rows = tree.indices[:15]
    found, distances = tree.knn(min(k, 50), queries=rows, return_distances=True)
    v, p = oracle.features(kernel, points, tree.inducing_points)
    rho, norms = oracle.correlations(kernel, points[rows], v[rows], p[rows], points, v, p)
    rho[np.arange(len(rows)), rows] = 1
    allowed = np.ones(rho.shape, bool)
    allowed[:, gone] = False
    oracle.assert_nearest(
        rho, norms, min(k, 50), found, distances, allowed, variance=kernel.variance, in_space=v.shape[1] == 0
    )


@pytest.mark.parametrize("m", [0, 30])
@pytest.mark.parametrize("kernel", [RBF(0.5), Matern12(0.7), Matern52(0.3)])
def test_every_search(rng, kernel, m):
    points = rng.standard_normal((600, 2))
    tree = residual_tree(points, kernel, n_inducing=m)
    gone = rng.choice(600, 250, replace=False)
    tree.remove(gone)
    check(tree, gone, 9, rng)


def test_kernel_of_the_caller_and_given_features(rng):
    points = rng.standard_normal((300, 2))
    kernel = Matern52(1.0)
    v, p = oracle.features(kernel, points, points[:40])
    gone = rng.choice(300, 100, replace=False)
    kept = np.delete(np.arange(300), gone)
    for tree in (
        ResidualTree.from_features(points, v, p, kernel=kernel),
        residual_tree(points, functools.partial(kernel), inducing_points=points[:40]),
    ):
        whole, distances = tree.knn(300, return_distances=True)
        tree.remove(gone)
        found, how_far = tree.knn(8, return_distances=True)
        for row, own in enumerate(kept):
            left = ~np.isin(whole[own], gone)
            np.testing.assert_array_equal(found[row], whole[own][left][:8])
            np.testing.assert_array_equal(how_far[row], distances[own][left][:8])


def test_through_skeletons_regions_and_early_points(rng):
    points = rng.standard_normal((12_000, 2))
    for block_size in (0, 64):
        with Runtime(residual=runtime.Residual(block_size=block_size or None)).activate():
            tree = residual_tree(points, RBF(0.6), n_inducing=60)
        rows = np.sort(rng.choice(12_000, 200, replace=False))
        whole = tree.knn(60, queries=rows, predecessor_mode=True)
        gone = np.setdiff1d(rng.choice(12_000, 3000, replace=False), rows)
        gone = np.union1d(gone, np.flatnonzero((points[:, 0] > 1) & (points[:, 1] > 1)))  # whole blocks
        gone = np.setdiff1d(gone, rows)
        tree.remove(gone)
        found = tree.knn(15, queries=rows, predecessor_mode=True)
        for row in range(len(rows)):
            left = whole[row][~np.isin(whole[row], gone)][:15]
            np.testing.assert_array_equal(found[row][: len(left)], left)
        assert not np.isin(tree.knn(15), gone).any()


def test_domains_of_many_lengthscales(rng):
    """Most points are at distance 1: the lowest of the remaining indices come first."""
    points = uniform(rng, 6_000, 2)
    tree = residual_tree(points, RBF(0.2), n_inducing=80)
    gone = np.concatenate([np.arange(0, 30, 2), rng.choice(np.arange(100, 6000), 900, replace=False)])
    rows = np.setdiff1d(np.arange(1, 6000, 199), gone)
    whole = tree.knn(80, queries=rows)
    tree.remove(gone)
    found = tree.knn(30, queries=rows)
    for row in range(len(rows)):
        np.testing.assert_array_equal(found[row], whole[row][~np.isin(whole[row], gone)][:30])


def test_copies_of_a_point_take_its_place(rng):
    points = np.tile(rng.standard_normal((20, 2)), (40, 1))
    for m in (0, 10):
        tree = residual_tree(points, RBF(1.0), n_inducing=m)
        tree.remove(np.arange(100))
        np.testing.assert_array_equal(tree.knn(3, queries=[701]), [[101, 121, 141]])
        assert tree.radius(0.0, queries=[701], count_only=True) == [35]


def test_insertion_files_and_other_kernels(rng, tmp_path):
    points, more = rng.standard_normal((400, 2)), rng.standard_normal((50, 2))
    for m in (0, 20):
        tree = residual_tree(points, Matern52(0.5), n_inducing=m)
        gone = rng.choice(400, 150, replace=False)
        tree.remove(gone)
        tree.save(tmp_path / "tree")
        answer = tree.knn(6, return_distances=True, predecessor_mode=True)
        for other in (load(tmp_path / "tree"), pickle.loads(pickle.dumps(tree)), copy.deepcopy(tree)):
            np.testing.assert_array_equal(other.indices, tree.indices)
            for part, own in zip(other.knn(6, return_distances=True, predecessor_mode=True), answer):
                np.testing.assert_array_equal(part, own)
            np.testing.assert_array_equal(other.insert(more), np.arange(400, 450))
        sets = tree.conditioning_sets(5, queries=more, cond="all")
        np.testing.assert_array_equal(tree.insert(more), np.arange(400, 450))
        np.testing.assert_array_equal(tree.knn(5, queries=np.arange(400, 450), predecessor_mode=True), sets)
        assert not np.isin(sets, gone).any()
        check(tree, gone, 5, rng)
        tree.remove([401, 3 if 3 not in gone else tree.indices[0]])
        assert 401 not in tree.knn(449)
        other = tree.with_kernel(RBF(0.4))
        np.testing.assert_array_equal(other.indices, tree.indices)
        assert not np.isin(other.knn(9), [*gone, 401]).any()
        tree.refit(RBF(0.4))
        np.testing.assert_array_equal(tree.knn(9), other.knn(9))
        assert len(tree) == 298


def test_what_is_made_of_the_points(rng):
    points = np.tile(rng.standard_normal((50, 2)), (4, 1))
    tree = residual_tree(points, Matern52(0.5), n_inducing=20, cover_tree_metric="residual_correlation")
    tree.remove(np.arange(60))
    assert tree.validate()
    assert len(tree.euclidean) == 140
    np.testing.assert_array_equal(tree.euclidean.indices, tree.indices)
    groups = tree.find_duplicates()
    assert sorted(groups[0]) == [60, 110, 160]
    assert len(groups.members) == 140
    whole = residual_tree(points, tree.kernel, inducing_points=tree.inducing_points)
    np.testing.assert_array_equal(tree.v_matrix, whole.v_matrix[60:])
    np.testing.assert_array_equal(tree.residual_variance, whole.residual_variance[60:])
    assert not np.isin(tree.knn(5, candidates=20), np.arange(60)).any()
    with pytest.raises(CoverTreeError, match="removed points cannot be exported"):
        tree.export_arrays()


def test_more_than_a_quarter_is_given_back(rng):
    """Memory and blocks of removed points go; indices, and what is known of the points, stay."""
    points = rng.standard_normal((4_000, 2))
    for m in (0, 60):
        tree = residual_tree(points, RBF(0.6), n_inducing=m)
        tree.knn(1)
        gone = rng.permutation(4_000)
        whole, v = tree.stats().memory_bytes, tree.v_matrix
        tree.remove(gone[:1000])
        tree.knn(1)
        assert tree.stats().memory_bytes > 0.95 * whole
        tree.remove(gone[1000])
        tree.knn(1)
        assert tree.stats().memory_bytes < 0.85 * whole
        check(tree, gone[:1001], 9, rng)
        # Of 2999 points, 749 are no quarter.
        tree.remove(gone[1001:1750])
        check(tree, gone[:1750], 9, rng)
        tree.remove(gone[1750:3000])
        tree.knn(1)
        assert tree.stats().memory_bytes < 0.4 * whole
        check(tree, gone[:3000], 9, rng)
        np.testing.assert_array_equal(tree.v_matrix, np.delete(v, gone[:3000], axis=0))
        assert tree.stats().n_points == 1000
        assert len(tree.indices) == 1000


@settings(max_examples=15)
@given(problems(), st.lists(st.tuples(st.integers(0, 40), st.floats(0, 0.7)), min_size=1, max_size=5))
def test_any_changes(problem, changes):
    """Insertions and removals in turn: answers are those of a tree of the points that are left."""
    points, kernel, m = problem
    tree, rng = residual_tree(points, kernel, n_inducing=m), np.random.default_rng(len(points))
    for n_new, share in changes:
        first = len(tree._coords)
        np.testing.assert_array_equal(tree.insert(rng.standard_normal((n_new, tree.dim))), first + np.arange(n_new))
        tree.remove(rng.permutation(tree.indices)[: int(share * (len(tree) - 1))])
    alone, kept = check(tree, tree._removed, 5, rng)
    mask = rng.random(len(tree._coords)) < 0.5
    found = tree.knn(5, filter=mask, exclude_self=True, return_distances=True)
    same(found, alone.knn(5, filter=mask[kept], exclude_self=True, return_distances=True), kept)
    limits = rng.random(len(kept))
    found, wanted = (one.radius(limits, filter=some) for one, some in ((tree, mask), (alone, mask[kept])))
    np.testing.assert_array_equal(found.indices, kept[wanted.indices])
    copied = pickle.loads(pickle.dumps(tree))
    np.testing.assert_array_equal(copied.indices, kept)
    np.testing.assert_array_equal(copied._coords[kept], tree._coords[kept])
    np.testing.assert_array_equal(
        copied.knn(4, before=np.arange(len(kept)) * 2), tree.knn(4, before=np.arange(len(kept)) * 2)
    )
    for one in (tree, copied):
        same((one.knn(3, candidates=20), None), (alone.knn(3, candidates=20), None), kept)
        more = rng.standard_normal((3, tree.dim))
        np.testing.assert_array_equal(one.insert(more), len(mask) + np.arange(3))


def test_indices_stay_in_messages_and_arrays(rng, tmp_path):
    points = rng.standard_normal((200, 2))
    tree = residual_tree(points, Matern52(0.5), n_inducing=20, cover_tree_metric="residual_correlation")
    tree.remove(np.arange(0, 200, 2))
    tree.remove(5)
    for one in (tree, pickle.loads(pickle.dumps(tree))):
        assert one.validate()
        with pytest.raises(CoverTreeError, match="removed points cannot be exported"):
            one.export_arrays()
        arrays = one._correlation_tree()
        np.testing.assert_array_equal(np.sort(arrays.order), np.arange(1, 200, 2))
        assert arrays.order[arrays.removed == 1].tolist() == [5]
        for wrong in ([4], [200], [-1], [1, 5]):
            with pytest.raises(IndexError, match=r"indices\[.\]: the model has no point"):
                one.remove(wrong)
        with pytest.raises(ValueError, match=r"indices\[1\]: point 151 is named twice"):
            one.remove([151, 151])
        for index in (4, 5):
            with pytest.raises(IndexError, match=rf"queries\[1\]: point {index} was removed"):
                one.knn(1, queries=[1, index])
        with pytest.raises(IndexError, match=r"queries\[0\]: expected a dataset index from 0 to 199, got 200"):
            one.radius(1, queries=[200])
        with pytest.raises(ValueError, match="filter: expected 200 entries"):
            one.knn(1, filter=np.ones(99, bool))
        assert len(one) == 99
    tree.save(tmp_path / "tree")
    left = tree.indices
    whole = residual_tree(points, tree.kernel, inducing_points=tree.inducing_points)
    found, distances = load(tmp_path / "tree").knn(99, return_distances=True)
    for row, index in enumerate(left):
        others, how_far = whole.knn(200, queries=[index], return_distances=True)
        some = np.isin(others[0], left)
        np.testing.assert_array_equal(found[row], others[0][some])
        np.testing.assert_array_equal(distances[row], how_far[0][some])


def test_bad_input(rng, tmp_path):
    points = rng.standard_normal((30, 2))
    tree = residual_tree(points, RBF(), n_inducing=5)
    tree.remove([3, 8])
    tree.remove(11)
    tree.remove([])
    for wrong in ([3], [30], [-1], [0, 3]):
        with pytest.raises(IndexError, match=r"indices\[.\]: the model has no point"):
            tree.remove(wrong)
    with pytest.raises(ValueError, match=r"indices\[1\]: point 4 is named twice"):
        tree.remove([4, 4])
    assert len(tree) == 27
    with pytest.raises(IndexError, match=r"queries\[1\]: point 8 was removed"):
        tree.knn(1, queries=[0, 8])
    with pytest.raises(IndexError, match=r"queries\[0\]: point 3 was removed"):
        tree.radius(0.5, queries=[3])
    with pytest.raises(IndexError, match=r"queries\[0\]: .*point 3"):
        tree.knn(1, queries=[3], candidates=4)
    tree.save(tmp_path / "tree")
    with pytest.raises(ValueError, match="engine: 'hybrid' searches all points"):
        load(tmp_path / "tree", engine="hybrid")
    space = residual_tree(points, RBF(), n_inducing=0)
    space.remove(4)
    with pytest.raises(IndexError, match=r"queries\[0\]: point 4 was removed"):
        space.knn(1, queries=[4])
    space.remove(space.indices)
    assert len(space) == 0
    assert space.knn(2).shape == (0, 2)
    assert space.knn(2, queries=points[:1]).tolist() == [[-1, -1]]
    tree.remove(tree.indices)
    assert tree.knn(2, queries=points[:1]).tolist() == [[-1, -1]]
    assert tree.radius(1, queries=points[:3], count_only=True).tolist() == [0, 0, 0]
    np.testing.assert_array_equal(tree.insert(points[:2]), [30, 31])
    assert sorted(tree.knn(2, queries=points[:1])[0].tolist()) == [30, 31]


def test_the_hybrid_engine_refuses(rng):
    pytest.importorskip("numba")
    tree = residual_tree(rng.standard_normal((30, 2)), RBF(), n_inducing=5, engine="hybrid")
    with pytest.raises(ValueError, match="remove: engine='hybrid'"):
        tree.remove(3)

"""Insertion in batches and removal give what one build of the same points gives."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle import assert_cover_tree, assert_nearest
from strategies import orders, point_sets

from covertreex import cover_tree


@given(points=point_sets(), order=orders, data=st.data())
def test_batches_give_a_valid_tree_and_the_same_neighbours(points, order, data):
    cuts = sorted(data.draw(st.lists(st.integers(1, len(points)), max_size=4)))
    tree = cover_tree(points[: cuts[0]] if cuts else points, order=order)
    for begin, end in zip(cuts, cuts[1:] + [len(points)]):
        assert tree.insert(points[begin:end]).tolist() == list(range(begin, end))
        tree.validate()
        assert_cover_tree(tree.export_arrays(), end)
    assert len(tree) == len(points)
    whole = cover_tree(points)
    for k in (1, 7, 200):
        mine, theirs = tree.knn(k, return_distances=True), whole.knn(k, return_distances=True)
        assert (mine[0] == theirs[0]).all()
        assert (mine[1] == theirs[1]).all()


@pytest.mark.parametrize("dim", [2, 5])
def test_many_small_batches(rng, dim):
    points = rng.standard_normal((1500, dim)).astype(np.float32)
    tree = cover_tree(points[:1])
    for begin in range(1, 1500, 97):
        tree.insert(points[begin : begin + 97])
    tree.validate()
    assert_cover_tree(tree.export_arrays(), 1500)
    assert (tree.knn(20) == cover_tree(points).knn(20)).all()


def test_a_batch_far_outside_raises_the_root(rng):
    tree = cover_tree(rng.standard_normal((200, 3)))
    before = tree.stats().root_level
    tree.insert(1e6 + rng.standard_normal((200, 3)))
    assert tree.stats().root_level > before
    tree.validate()
    assert_cover_tree(tree.export_arrays(), 400)


@given(points=point_sets(), data=st.data())
def test_removed_points_are_gone_and_others_keep_their_indices(points, data):
    tree = cover_tree(points)
    alive = np.ones(len(points), bool)
    for share in data.draw(st.lists(st.floats(0, 0.6), max_size=4)):
        rng = np.random.default_rng(int(share * 1e6))
        gone = rng.permutation(np.flatnonzero(alive))[: int(share * alive.sum())]
        tree.remove(gone)
        alive[gone] = False
        tree.validate()
    left = np.flatnonzero(alive)
    assert len(tree) == len(left)
    assert (tree.indices == left).all()
    indices, found = tree.knn(9, return_distances=True)
    assert_nearest(points[left], points[left], 9, indices, found, dtype=points.dtype, dataset_indices=left)
    allowed = left[None, :] < left[:, None]
    before = tree.knn(9, predecessor_mode=True)
    assert_nearest(points[left], points[left], 9, before, allowed=allowed, dataset_indices=left)


def test_insertion_after_removal_gives_new_indices(rng):
    points = rng.standard_normal((300, 3))
    tree = cover_tree(points[:200])
    tree.remove(np.arange(0, 40))
    assert tree.insert(points[200:]).tolist() == list(range(200, 300))
    tree.remove(np.arange(200, 230))
    tree.validate()
    left = np.r_[40:200, 230:300]
    assert (tree.indices == left).all()
    assert_nearest(points[left], points[left], 12, tree.knn(12), dataset_indices=left)


def test_a_rebuild_happens_when_a_quarter_is_gone(rng):
    tree = cover_tree(rng.standard_normal((100, 2)))
    assert tree.stats().n_nodes == 100
    tree.remove(np.arange(25))
    assert tree.stats().n_nodes == 100
    assert tree.export_arrays().removed.sum() == 25
    tree.remove([25])
    assert tree.stats().n_nodes == 74
    assert tree.export_arrays().removed is None


def test_everything_may_be_removed(rng):
    points = rng.standard_normal((30, 2))
    tree = cover_tree(points)
    tree.remove(np.arange(30))
    assert len(tree) == 0
    assert tree.knn(3).shape == (0, 3)
    assert (tree.knn(3, queries=points[:2]) == -1).all()
    tree.insert(points[:4])
    assert tree.knn(1).tolist() == [[30], [31], [32], [33]]


def test_a_failed_removal_changes_nothing(rng):
    tree = cover_tree(rng.standard_normal((30, 2)))
    with pytest.raises(IndexError, match="30"):
        tree.remove([1, 30])
    with pytest.raises(ValueError, match="twice"):
        tree.remove([1, 1])
    tree.remove([1])
    with pytest.raises(IndexError, match="indices"):
        tree.remove([1])
    with pytest.raises(IndexError):
        tree.knn(1, queries=[1])
    assert len(tree) == 29


def test_a_failed_insertion_changes_nothing(rng):
    points = rng.standard_normal((30, 2))
    tree = cover_tree(points)
    before = tree.knn(5)
    with pytest.raises(ValueError, match="finite"):
        tree.insert([[0.0, 0.0], [np.nan, 0.0]])

    def refuse(share):
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        tree.insert(rng.standard_normal((3_000_000, 2)), progress=refuse)
    assert len(tree) == 30
    assert (tree.knn(5) == before).all()
    assert tree.insert([[1.0, 1.0]]).tolist() == [30]


def test_an_empty_batch_is_nothing(rng):
    tree = cover_tree(rng.standard_normal((30, 2)))
    assert tree.insert(np.empty((0, 2))).tolist() == []
    tree.remove(np.empty(0, np.int64))
    assert len(tree) == 30

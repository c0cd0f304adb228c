"""Calls that fail, what was exported, and files, of trees that grow and shrink."""

import pickle

import numpy as np
import pytest
from histories import by_definition, export_with_copies, is_as_exported

import covertreex
from covertreex import cover_tree


class Refused(Exception):
    pass


def refuse(share):
    raise Refused


# A call that fails


FAILURES = {
    "a coordinate that is nan": lambda tree: tree.insert([[0.0, 0.0, 0.0], [0.0, np.nan, 0.0]]),
    "a coordinate that is too large": lambda tree: tree.insert([[0.0, 1e200, 0.0]]),
    "points of another dimension": lambda tree: tree.insert([[0.0, 0.0]]),
    "an index that is not there": lambda tree: tree.remove([0, 10**6]),
    "an index twice": lambda tree: tree.remove([5, 0, 5]),
    "a negative index": lambda tree: tree.remove([0, -1]),
    "an index that is gone": lambda tree: tree.remove([0, 2]),
}


@pytest.mark.parametrize("exported", [False, True], ids=["no cover tree", "with a cover tree"])
@pytest.mark.parametrize("failure", FAILURES)
def test_a_call_that_fails_changes_nothing(rng, failure, exported):
    points = rng.standard_normal((2000, 3))
    tree = cover_tree(points[:1500])
    tree.remove([2, 3, 1400])
    for row in points[1500:1600]:
        tree.insert(row[None])
    tree.insert(points[1600:])
    arrays = copies = None
    if exported:
        arrays, copies = export_with_copies(tree)
    found = tree.knn(9, return_distances=True)
    with pytest.raises((ValueError, IndexError)):
        FAILURES[failure](tree)
    assert len(tree) == 1997
    for mine, then in zip(tree.knn(9, return_distances=True), found):
        assert (mine == then).all()
    if exported:
        assert not arrays.stale
        is_as_exported(arrays, copies)
        is_as_exported(tree.export_arrays(), copies)
    assert tree.insert(points[:1]).tolist() == [2000]
    assert tree.validate()


@pytest.mark.parametrize("change", ["insert", "remove"])
@pytest.mark.parametrize("exported", [False, True], ids=["no cover tree", "with a cover tree"])
def test_a_cancelled_change_changes_nothing(rng, change, exported):
    """A short one may be done before anybody is asked; then it is done."""
    n, m = 40_000, 200_000
    points = rng.standard_normal((n + m, 3)).astype(np.float32)
    queries = rng.standard_normal((300, 3)).astype(np.float32)
    tree = cover_tree(points[:n] if change == "insert" else points)
    tree.insert(points[:50])
    if exported:
        tree.export_arrays()
    before = len(tree)
    found = tree.knn(9, queries=queries)
    try:
        if change == "insert":
            tree.insert(points[n:], progress=refuse)
        else:
            tree.remove(rng.permutation(n + m)[:m], progress=refuse)
    except Refused:
        assert len(tree) == before
        assert (tree.knn(9, queries=queries) == found).all()
        assert tree.insert(queries[:2]).tolist() == [before, before + 1]
    else:
        assert len(tree) == before + (m if change == "insert" else -m)


def test_building_the_cover_tree_can_be_cancelled(rng):
    tree = cover_tree(rng.standard_normal((200_000, 3)).astype(np.float32))
    with pytest.raises(Refused):
        tree.validate(progress=refuse, n_threads=1)
    assert tree.validate(progress=lambda share: None)
    assert tree.knn(1, queries=[7]).tolist() == [[7]]


# Snapshots


CHANGES = {
    "one more": lambda tree, rng: tree.insert(rng.standard_normal((1, 3))),
    "some hundred more": lambda tree, rng: [tree.insert(rng.standard_normal((1, 3))) for _ in range(300)],
    "thousands more": lambda tree, rng: tree.insert(rng.standard_normal((5000, 3))),
    "one less": lambda tree, rng: tree.remove(7),
    "less by a third": lambda tree, rng: tree.remove(tree.indices[::3]),
    "none left": lambda tree, rng: tree.remove(tree.indices),
    "closed": lambda tree, rng: tree.close(),
}


@pytest.mark.parametrize("change", CHANGES)
def test_exported_arrays_stay_as_they_were(rng, change):
    tree = cover_tree(rng.standard_normal((1500, 3)))
    seen = [export_with_copies(tree)]
    tree.insert(rng.standard_normal((400, 3)))
    seen.append(export_with_copies(tree))
    tree.remove([3, 1600])
    seen.append(export_with_copies(tree))
    assert [arrays.stale for arrays, _ in seen] == [True, True, False]
    CHANGES[change](tree, rng)
    for arrays, copies in seen:
        assert arrays.stale
        is_as_exported(arrays, copies)


def test_searches_make_nothing_stale(rng):
    points = rng.standard_normal((3000, 3))
    tree = cover_tree(points[:2900])
    tree.insert(points[2900:])
    arrays, copies = export_with_copies(tree)
    tree.knn(5)
    tree.radius(0.2, queries=points[:10])
    tree.validate()
    tree.stats()
    pickle.dumps(tree)
    assert not arrays.stale
    is_as_exported(arrays, copies)
    is_as_exported(tree.export_arrays(), copies)


# Files


@pytest.mark.parametrize("exported", [False, True], ids=["no cover tree", "with a cover tree"])
@pytest.mark.parametrize("how", ["file", "pickle"])
def test_a_file_of_a_tree_that_has_grown(rng, exported, how, tmp_path):
    """Whatever it consists of when it is written: recent points, several segments, removed ones."""
    points = rng.integers(0, 30, (7000, 3)).astype(np.float32)
    queries = rng.integers(0, 30, (50, 3)).astype(np.float32)
    tree = cover_tree(points[:4000])
    tree.insert(points[4000:6900])
    tree.remove(np.arange(100, 900))
    for row in points[6900:]:
        tree.insert(row[None])
    tree.remove([6999, 6950, 5000])
    left = np.setdiff1d(np.arange(7000), np.r_[100:900, 6999, 6950, 5000])
    if exported:
        tree.export_arrays()
    if how == "file":
        tree.save(tmp_path / "tree.ct")
        other = covertreex.load(tmp_path / "tree.ct", verify=True)
    else:
        other = pickle.loads(pickle.dumps(tree))
    for one in (tree, other):
        assert (one.knn(40, queries=queries) == left[by_definition(points[left], queries, 40)]).all()
        one.remove([0])
        assert one.insert(points[:2]).tolist() == [7000, 7001]
        assert one.validate()
        assert (one.indices == np.r_[left[1:], 7000, 7001]).all()
    assert (tree.knn(5) == other.knn(5)).all()

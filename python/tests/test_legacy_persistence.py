"""Copies of trees with changes, by the names of covertreex 0.4.5."""

import numpy as np
import pytest

from covertreex import PCCT, PCCTree, Runtime, TreeBackend
from covertreex.core.persistence import (
    DEFAULT_JOURNAL_POOL,
    JournalScratchPool,
    SliceUpdate,
    apply_persistence_journal,
    build_persistence_journal,
    clone_array_segment,
    clone_tree_with_updates,
)
from covertreex.core.tree import compute_level_offsets

backend = TreeBackend.numpy()
_ARRAYS = ("points", "top_levels", "parents", "children", "level_offsets", "si_cache", "next_cache")


def small_tree():
    return PCCTree(
        points=np.array([[0.0, 0.0], [1.0, 1.0]]), top_levels=[1, 0], parents=[-1, 0], children=[1, -1],
        level_offsets=[0, 1, 2], si_cache=[2.0, 1.0], next_cache=[-1, -1], backend=backend,
    )  # fmt: skip


def children_of(tree):
    """The children of each node, in the order of the chains."""
    found = []
    for first in tree.children:
        chain, child = [], first
        while child >= 0:
            chain.append(int(child))
            child = tree.next_cache[child]
        found.append(chain)
    return found


def test_arrays():
    source = np.array([0, 1, 2], np.int32)
    for updates, truth in [
        ([SliceUpdate((1,), 99)], [0, 99, 2]),
        ([SliceUpdate(-1, 7), SliceUpdate(slice(0, 2), [5, 6])], [5, 6, 7]),
        ([SliceUpdate(np.int64(5), 8)], [0, 1, 2, 0, 0, 8]),
        ([SliceUpdate((slice(3, 5),), [3, 4]), SliceUpdate(3, 9)], [0, 1, 2, 9, 4]),
        ([SliceUpdate(slice(None), 4)], [4, 4, 4]),
        (iter([SliceUpdate(np.array([True, False, True]), 4)]), [4, 1, 4]),
    ]:
        copy = clone_array_segment(backend, source, updates, dtype=np.int32)
        assert (copy.tolist(), copy.dtype, source.tolist()) == (truth, np.int32, [0, 1, 2])
    rows = clone_array_segment(backend, np.ones((1, 2)), [SliceUpdate((2, 1), 3.0)], dtype=np.float32)
    assert rows.tolist() == [[1, 1], [0, 0], [0, 3]] and rows.dtype == np.float32
    assert clone_array_segment(backend, source, [], dtype=np.int32) is source


def test_trees():
    tree = small_tree()
    changed = clone_tree_with_updates(
        tree, points_updates=[SliceUpdate(1, [3.0, 0.0])], si_cache_updates=[SliceUpdate(0, 4.0)]
    )
    assert changed.points.tolist() == [[0, 0], [3, 0]] and changed.si_cache.tolist() == [4, 1]
    assert tree.points.tolist() == [[0, 0], [1, 1]] and tree.si_cache.tolist() == [2, 1]
    assert changed.parents.tolist() == [-1, 0] and changed.top_levels.dtype == np.int32
    # Searches of the new tree use the new points.
    assert PCCT(Runtime(), changed).nearest([[2.0, 0.0]]) == 1
    assert PCCT(Runtime(), tree).knn([[0.0, 0.0]], k=2, return_distances=True)[1][1] == pytest.approx(np.sqrt(2))


def test_level_offsets():
    for levels, truth in [
        ([2, 1, 0, 0], [0, 1, 2, 4]),
        ([3, 1], [0, 1, 1, 2, 2]),
        ([-2, 1], [0, 1, 1, 1, 2]),
        ([], [0]),
    ]:
        assert compute_level_offsets(backend, levels).tolist() == truth
    assert compute_level_offsets(backend, [0, -(2**31), 0]).tolist() == [0, 2]
    assert compute_level_offsets(backend, [0]).dtype == np.int32


def test_journal_of_an_example():
    tree = small_tree()
    journal = build_persistence_journal(
        tree, inserted_points=[[2.0, 2.0], [3.0, 3.0], [4.0, 4.0]], inserted_levels=[0, 0, 2],
        inserted_parents=[0, 0, -1], inserted_si=[1.0, 1.0, 2.0],
    )  # fmt: skip
    assert (journal.base_length, journal.inserted_count, journal.total_length) == (2, 3, 5)
    assert (journal.head_parents.tolist(), journal.head_values.tolist()) == ([0, 0], [2, 3])
    assert (journal.next_nodes.tolist(), journal.next_values.tolist()) == ([2, 3, 4], [1, 2, -1])
    assert journal.level_offsets.tolist() == [0, 1, 2, 5]
    larger = apply_persistence_journal(tree, journal)
    assert larger.children.tolist() == [3, -1, -1, -1, -1] and larger.next_cache.tolist() == [-1, -1, 1, 2, -1]
    assert larger.parents.tolist() == [-1, 0, 0, 0, -1] and larger.top_levels.tolist() == [1, 0, 0, 0, 2]
    assert [getattr(larger, name).dtype for name in ("points", "children", "level_offsets")] == [
        np.float64, np.int32, np.int32
    ]  # fmt: skip
    assert tree.children.tolist() == [1, -1] and tree.num_points == 2


@pytest.mark.parametrize("seed", range(6))
def test_journals_keep_children_and_parents_together(seed):
    rng = np.random.default_rng(seed)
    base = PCCT(Runtime()).fit(rng.random((30, 2))).tree if seed else PCCTree.empty(dimension=2)
    n, m = base.num_points, 25
    parents = np.array([int(rng.integers(-1, n + i)) for i in range(m)])
    added, levels, si = rng.random((m, 2)), rng.integers(-3, 3, m), rng.random(m)
    arrays = {name: np.array(getattr(base, name)) for name in _ARRAYS}
    journal = build_persistence_journal(
        base, inserted_points=added, inserted_levels=levels, inserted_parents=parents, inserted_si=si,
        pool=JournalScratchPool(),
    )  # fmt: skip
    larger = apply_persistence_journal(base, journal)
    # Node by node: each becomes the first child.
    truth = [list(chain) for chain in children_of(base)] + [[] for _ in range(m)]
    for position, parent in enumerate(parents):
        if parent >= 0:
            truth[parent].insert(0, n + position)
    assert children_of(larger) == truth
    assert larger.parents.tolist() == [*base.parents.tolist(), *parents.tolist()]
    assert np.array_equal(larger.points, [*base.points, *added]) and np.array_equal(
        larger.si_cache, [*base.si_cache, *si]
    )
    assert np.array_equal(larger.level_offsets, compute_level_offsets(backend, larger.top_levels))
    assert all(np.array_equal(getattr(base, name), one) for name, one in arrays.items())
    found = PCCT(Runtime(), larger).nearest(added)
    assert np.ravel(found).tolist() == list(range(n, n + m))


def test_journals_that_do_not_fit():
    tree = small_tree()
    fine = {"inserted_points": [[2.0, 2.0]], "inserted_levels": [0], "inserted_parents": [0], "inserted_si": [1.0]}
    journal = build_persistence_journal(tree, **fine)
    larger = apply_persistence_journal(tree, journal)
    with pytest.raises(ValueError, match="journal: expected one for 3 nodes, got one for 2"):
        apply_persistence_journal(larger, journal)
    for name in ("inserted_points", "inserted_parents", "inserted_si"):
        with pytest.raises(ValueError, match=f"{name}: expected 1 of them"):
            build_persistence_journal(tree, **{**fine, name: np.zeros((2, 2))})
    nothing = {name: np.empty((0, 2)) if name == "inserted_points" else [] for name in fine}
    same = apply_persistence_journal(tree, build_persistence_journal(tree, **nothing))
    assert children_of(same) == children_of(tree) and same.num_points == 2


def test_scratch_arrays_are_used_again():
    pool = JournalScratchPool(min_capacity=8)
    first = pool.children(5)
    first[:] = 7
    assert pool.children(3).base is first.base and pool.children(8).tolist()[:5] == [7] * 5
    assert len(pool.children(100)) == 100 and pool.children(100).base is not first.base
    assert pool.next_values(0).size == pool.head_parents(0).size == 0
    for name in ("head_parents", "head_values", "next_nodes", "next_values"):
        assert getattr(pool, name)(4).dtype == np.int32
    # A journal keeps nothing of them.
    one = {"inserted_points": [[2.0, 2.0]], "inserted_levels": [0], "inserted_parents": [0], "inserted_si": [1.0]}
    journal = build_persistence_journal(small_tree(), **one)
    DEFAULT_JOURNAL_POOL.next_values(1)[:] = -9
    assert journal.next_values.tolist() == [1]

"""Trees that came to the same points by different ways, and what all of them have to answer."""

from __future__ import annotations

import numpy as np

from covertreex import cover_tree

# Neighbours: one, a vector's worth, more than a leaf holds, and more than the 128 from which on a heap collects.
SOME_K = (1, 7, 40, 130)


def batches(n, rng, *, most=400):
    """Cut `n` into random pieces, from single ones to some hundred; (begin, end) of each."""
    begin = 0
    while begin < n:
        size = int(rng.choice([1, 1, rng.integers(1, 9), rng.integers(1, most + 1)]))
        yield begin, min(begin + size, n)
        begin += size


def strangers(points, n, rng):
    """Points that do not stay: near, and at, those that do, so that one that is still found shows."""
    rows = points[rng.integers(0, len(points), n)]
    spread = np.ptp(points.astype(np.float64)) or 1.0
    noise = spread * rng.standard_normal(rows.shape) * rng.choice([0, 1e-3, 0.3], (n, 1))
    return (rows + noise).astype(points.dtype)


def at_once(points, rng, **settings):
    return cover_tree(points, **settings), np.arange(len(points))


def one_by_one(points, rng, **settings):
    tree = cover_tree(points[:1], **settings)
    for row in range(1, len(points)):
        assert tree.insert(points[row : row + 1]).tolist() == [row]
    return tree, np.arange(len(points))


def in_batches(points, rng, **settings):
    cuts = list(batches(len(points), rng))
    tree = cover_tree(points[: cuts[0][1]], **settings)
    for begin, end in cuts[1:]:
        assert tree.insert(points[begin:end]).tolist() == list(range(begin, end))
    return tree, np.arange(len(points))


def mixed(points, rng):
    """The points with as many strangers among them, and which those are."""
    n = len(points)
    is_strange = rng.permutation(np.repeat([False, True], [n, n]))
    rows = np.empty((2 * n, points.shape[1]), points.dtype)
    rows[~is_strange], rows[is_strange] = points, strangers(points, n, rng)
    return rows, is_strange


def remove_in_pieces(tree, gone, rng):
    gone = rng.permutation(gone)
    for begin, end in batches(len(gone), rng):
        tree.remove(gone[begin:end])


def shrunk(points, rng, **settings):
    rows, is_strange = mixed(points, rng)
    tree = cover_tree(rows, **settings)
    remove_in_pieces(tree, np.flatnonzero(is_strange), rng)
    return tree, np.flatnonzero(~is_strange)


def shrunk_and_grown(points, rng, **settings):
    """Half of them at once, the rest in batches; strangers leave between the batches."""
    rows, is_strange = mixed(points, rng)
    half = len(points)
    tree = cover_tree(rows[:half], **settings)
    waiting = np.flatnonzero(is_strange[:half])
    for begin, end in batches(len(rows) - half, rng):
        first = half + begin
        assert tree.insert(rows[first : half + end]).tolist() == list(range(first, half + end))
        waiting = rng.permutation(np.r_[waiting, first + np.flatnonzero(is_strange[first : half + end])])
        leave = int(rng.integers(0, len(waiting) + 1))
        tree.remove(waiting[:leave])
        waiting = waiting[leave:]
    tree.remove(waiting)
    return tree, np.flatnonzero(~is_strange)


def emptied(points, rng, **settings):
    """Others that all leave, and then the points in batches."""
    tree = cover_tree(strangers(points, 70, rng), **settings)
    remove_in_pieces(tree, np.arange(70), rng)
    assert len(tree) == 0
    for begin, end in batches(len(points), rng):
        assert tree.insert(points[begin:end]).tolist() == list(range(70 + begin, 70 + end))
    return tree, np.arange(70, 70 + len(points))


WAYS = {way.__name__: way for way in (at_once, one_by_one, in_batches, shrunk, shrunk_and_grown, emptied)}


class Ranks:
    """Dataset indices of a tree as ranks among those of its points, and back."""

    def __init__(self, indices):
        self.indices = np.asarray(indices)
        self.rank = np.full(int(self.indices.max(initial=-1)) + 2, -2)  # of a removed point: no rank
        self.rank[self.indices] = np.arange(len(self.indices))

    def of(self, found):
        inside = np.where(found < len(self.rank), found, len(self.rank) - 1)
        return np.where(found < 0, -1, self.rank[inside])

    def upper(self, ranks):
        """Limits `before`, for all points of a lower rank."""
        return np.r_[self.indices, self.indices.max(initial=-1) + 1][ranks]


def answers(tree, indices, queries, *, ks=SOME_K, radius=None, seed=0):
    """Every kind of search, by name: arrays in which points are given by their rank."""
    rng = np.random.default_rng(seed)
    n, ranks = len(indices), Ranks(indices)
    some = rng.permutation(n)[: n // 3 + 1]
    upper = rng.integers(0, n + 1, len(queries))
    by_name = {}

    def nearest(name, k, **how):
        found, distances = tree.knn(k, return_distances=True, **how)
        by_name[f"{name}, {k} nearest"] = ranks.of(found)
        by_name[f"{name}, {k} nearest, how far"] = distances

    def within(name, **how):
        lists = tree.radius(radius, return_distances=True, **how)
        by_name[f"{name}, within {radius}"] = ranks.of(lists.indices)
        by_name[f"{name}, within {radius}, how far"] = lists.distances
        by_name[f"{name}, within {radius}, where"] = lists.offsets
        by_name[f"{name}, count within {radius}"] = tree.radius(radius, count_only=True, **how)

    for k in ks:
        nearest("new", k, queries=queries)
        nearest("all", k)
        nearest("some", k, queries=indices[some])
        nearest("before", k, queries=indices[some], predecessor_mode=True)
        nearest("others", k, exclude_self=True)
    nearest("all before", ks[0], predecessor_mode=True)
    nearest("below", ks[-1], queries=queries, before=ranks.upper(upper))
    if radius is not None:
        nearest("near", ks[-1], queries=queries, max_distance=radius)
        within("new", queries=queries)
        within("all")
        within("some before", queries=indices[some], predecessor_mode=True)
        within("others", exclude_self=True)
    return by_name


def assert_same(mine, theirs):
    """Answers are equal to the bit."""
    assert mine.keys() == theirs.keys()
    for name, array in mine.items():
        assert array.dtype == theirs[name].dtype, name
        np.testing.assert_array_equal(array, theirs[name], err_msg=name)


def by_definition(rows, queries, k):
    """Ranks of the `k` nearest rows by (distance, rank), -1 where there are fewer.

    Coordinates have to be multiples of one power of two, few bits long, so that squares and sums are exact.
    """
    rows, queries = np.asarray(rows, np.float64), np.asarray(queries, np.float64)
    found = np.full((len(queries), k), -1)
    for row, query in enumerate(queries):
        squares = ((rows - query) ** 2).sum(axis=1)
        nearest = np.lexsort((np.arange(len(rows)), squares))[:k]
        found[row, : len(nearest)] = nearest
    return found


def export_with_copies(tree):
    """The arrays of a tree, and copies of them."""
    arrays = tree.export_arrays()
    return arrays, [None if a is None else a.copy() for a in arrays]


def is_as_exported(arrays, copies):
    for mine, then in zip(arrays, copies):
        assert (mine is None) == (then is None)
        if mine is not None:
            np.testing.assert_array_equal(mine, then)

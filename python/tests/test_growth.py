"""Whatever way a tree came to its points, it answers as one that was built of them at once, to the bit."""

import numpy as np
import pytest
from histories import WAYS, answers, assert_same, at_once, batches, by_definition
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import assert_cover_tree, assert_nearest
from strategies import point_sets

from covertreex import cover_tree

# One below, at, and one above sizes at which a buffer of recent points may be full.
EDGES = [size + step for size in (64, 128, 256, 512) for step in (-1, 0, 1)]


def lattice(n, dim, rng, *, side=4, dtype=np.float64):
    """Few locations: nearly everything is a tie, and exactly so."""
    return rng.integers(0, side, (n, dim)).astype(dtype)


def check(tree, indices, points, queries, *, radius, ks=(1, 7, 40)):
    """The tree answers as one of the same points that was built at once does, and as the definition says."""
    assert len(tree) == len(indices)
    whole = cover_tree(points)
    mine = answers(tree, indices, queries, radius=radius, ks=ks)
    assert_same(mine, answers(whole, np.arange(len(points)), queries, radius=radius, ks=ks))
    for k in ks:
        assert (mine[f"new, {k} nearest"] == by_definition(points, queries, k)).all()


@settings(max_examples=settings.default.max_examples * 2 // 5 + 1)
@given(points=point_sets(), way=st.sampled_from(sorted(WAYS)), seed=st.integers(0, 2**32 - 1))
def test_every_way_leads_to_the_same_answers(points, way, seed):
    rng = np.random.default_rng(seed)
    tree, indices = WAYS[way](points, rng)
    assert len(tree) == len(points)
    # Far from all, on points, and half-way between two of them.
    pairs = points[rng.integers(0, len(points), (2, 10))]
    middle = (pairs[0] / 2 + pairs[1] / 2).astype(points.dtype)
    queries = np.concatenate([middle, pairs[0], pairs[1] + np.ptp(points) / 3])
    whole = cover_tree(points)
    far = np.sort(whole.knn(4, return_distances=True)[1].ravel())
    radius = float(far[np.isfinite(far)][len(points) // 2])
    mine = answers(tree, indices, queries, radius=radius)
    assert_same(mine, answers(whole, np.arange(len(points)), queries, radius=radius))
    n = len(points)
    for name, those, allowed in [
        ("new", queries, None),
        ("all", points, None),
        ("others", points, ~np.eye(n, dtype=bool)),
    ]:
        found, far = mine[f"{name}, 7 nearest"], mine[f"{name}, 7 nearest, how far"]
        assert_nearest(points, those, 7, found, far, allowed=allowed, dtype=points.dtype)
    before = mine["all before, 1 nearest"]
    assert_nearest(points, points, 1, before, allowed=np.tri(n, k=-1, dtype=bool))


@pytest.mark.parametrize("way", [way for way in WAYS if way != "at_once"])
@pytest.mark.parametrize(("n", "dim", "side", "dtype"), [(1300, 2, 30, np.float32), (700, 5, 3, np.float64)])
def test_ties_go_to_the_lower_index(rng, way, *, n, dim, side, dtype):
    """A few points at each location, some of them in each segment that a tree may consist of."""
    points = lattice(n, dim, rng, side=side, dtype=dtype)
    tree, indices = WAYS[way](points, rng)
    queries = rng.integers(0, 2 * side, (150, dim)).astype(dtype) / 2
    check(tree, indices, points, queries, radius=1.0, ks=(1, 7, 40, 130))
    assert tree.validate()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("dim", [1, 3, 20])
def test_growth_over_thousands(rng, dim, dtype):
    """Batches from one to a thousand points; half of them equal earlier ones."""
    points = lattice(6000 if dim < 20 else 3000, dim, rng, side=40 if dim > 1 else 900, dtype=dtype)
    again = rng.random(len(points)) < 0.5
    again[0] = False
    points[again] = points[(rng.random(again.sum()) * np.flatnonzero(again)).astype(int)]
    queries = np.concatenate([points[rng.integers(0, len(points), 60)], lattice(20, dim, rng, side=40, dtype=dtype)])
    tree = cover_tree(points[:1])
    checked = 1
    for begin, end in batches(len(points) - 1, rng, most=1000):
        tree.insert(points[1 + begin : 1 + end])
        if end + 1 >= 1.7 * checked or end + 1 == len(points):
            checked = end + 1
            assert (tree.knn(12, queries=queries) == by_definition(points[:checked], queries, 12)).all()
    check(tree, np.arange(len(points)), points, queries, radius=2.0, ks=(1, 12))
    assert tree.validate()


def test_growth_one_by_one_and_back(rng):
    """Two thousand single insertions into a tree, and as many single removals, checked on the way."""
    points = rng.standard_normal((2400, 3)).astype(np.float32)
    queries = rng.standard_normal((40, 3)).astype(np.float32)
    tree = cover_tree(points[:1200])
    for n in range(1200, 2400):
        tree.insert(points[n : n + 1])
        if n % 97 == 0:
            assert_nearest(points[: n + 1], queries, 9, tree.knn(9, queries=queries))
    alive = np.ones(2400, bool)
    # The newest, the oldest, and any: each segment loses some, and one after the other loses all.
    order = np.r_[np.arange(2399, 2100, -1), np.arange(500), 500 + rng.permutation(1601)][:-20]
    for step, gone in enumerate(order):
        tree.remove(gone)
        alive[gone] = False
        if step % 97 == 0 or len(order) - step < 4:
            left = np.flatnonzero(alive)
            assert_nearest(points[left], queries, 30, tree.knn(30, queries=queries), dataset_indices=left)
    left = np.flatnonzero(alive)
    radius = 0.8
    mine = answers(tree, left, queries, radius=radius)
    assert_same(mine, answers(cover_tree(points[left]), np.arange(len(left)), queries, radius=radius))
    assert (tree.indices == left).all()


@pytest.mark.parametrize("edge", EDGES)
def test_at_the_edges_of_a_buffer(rng, edge):
    """So many insertions after a build that a buffer is just not, or just, full: singly, and in one call."""
    points = lattice(300 + edge, 3, rng, side=9)
    queries = rng.integers(0, 18, (60, 3)) / 2
    expected = by_definition(points, queries, 30)
    for sizes in ([1] * min(edge, 70) + [edge - min(edge, 70)], [edge]):
        tree = cover_tree(points[:300])
        first = 300
        for size in sizes:
            tree.insert(points[first : first + size])
            first += size
        assert (tree.knn(30, queries=queries) == expected).all()
        assert (tree.knn(30) == cover_tree(points).knn(30)).all()


@pytest.mark.parametrize("n", [1, 40, 700])
@pytest.mark.parametrize("m", [3, 130, 600])
@pytest.mark.parametrize("dim", [1, 3])
def test_points_at_one_location_are_found_by_index(n, m, dim):
    """`n` equal points at once and `m` that come later: the lowest indices that are there, in any segment."""
    location = np.full((1, dim), 0.25, np.float32)
    tree = cover_tree(np.repeat(location, n, axis=0))
    tree.insert(np.repeat(location, m // 2, axis=0))
    for _ in range(min(m - m // 2, 60)):
        tree.insert(location)
    alive = np.arange(len(tree))
    for gone in ([], alive[: n // 2], alive[-m // 3 :], alive[::3]):
        there = np.isin(alive, gone)
        tree.remove(alive[there])
        alive = alive[~there]
        for k in (1, 10, 200):
            wanted = np.full(k, -1)
            wanted[: len(alive)] = alive[:k]
            assert (tree.knn(k, queries=location)[0] == wanted).all()
            assert (tree.knn(k) == wanted).all()
        before = tree.knn(5, predecessor_mode=True)
        others = tree.knn(5, exclude_self=True)
        for rank in {0, 1, len(alive) // 2, len(alive) - 1}:
            lower = alive[:rank][:5]
            assert before[rank].tolist() == lower.tolist() + [-1] * (5 - len(lower))
            rest = np.delete(alive, rank)[:5]
            assert others[rank].tolist() == rest.tolist() + [-1] * (5 - len(rest))
        assert (tree.radius(0.0, count_only=True) == len(alive)).all()
        assert (tree.radius(0.5, queries=location).indices == alive).all()


def test_crowds_that_come_and_go(rng):
    """Half of all points at one location, the others around it; they come mixed, and lower indices leave first."""
    points = rng.integers(-8, 9, (2000, 2)) / 8
    points[rng.random(2000) < 0.5] = 0
    tree = cover_tree(points[:500])
    for begin, end in batches(1500, rng):
        tree.insert(points[500 + begin : 500 + end])
    alive = np.arange(2000)
    queries = np.r_[np.zeros((1, 2)), rng.integers(-8, 9, (40, 2)) / 8, [[1 / 16, 0]]]
    for _ in range(4):
        crowd = alive[(points[alive] == 0).all(axis=1)]
        gone = np.r_[crowd[: len(crowd) // 4], rng.choice(alive[(points[alive] != 0).any(axis=1)], 60, replace=False)]
        tree.remove(gone)
        alive = np.setdiff1d(alive, gone)
        check(tree, alive, points[alive], queries, radius=0.125, ks=(10, 150))
    assert (tree.indices == alive).all()


@pytest.mark.parametrize(
    ("way", "order"),
    [("one_by_one", "hilbert"), ("in_batches", "random"), ("shrunk", "natural"), ("shrunk_and_grown", "hilbert")],
)
def test_the_cover_tree_keeps_every_rule(rng, way, order):
    """It may be asked for before the changes, between them, or after them."""
    points = rng.standard_normal((160, 3))
    points[::9] = points[1::9][: len(points[::9])]
    tree, indices = WAYS[way](points, rng, order=order, seed=5)
    for _ in range(3):
        arrays = tree.export_arrays()
        assert_cover_tree(arrays, len(arrays.order))
        live = np.ones(len(arrays.order), bool) if arrays.removed is None else arrays.removed == 0
        assert (np.sort(arrays.order[live]) == indices).all()
        assert (arrays.points[live] == points[np.searchsorted(indices, arrays.order[live])]).all()
        levels = tree.stats().levels
        assert sum(levels.values()) + tree.stats().n_duplicates == len(arrays.order)
        assert tree.validate()
        more = rng.standard_normal((30, 3))
        indices = np.r_[indices, tree.insert(more[:29]), tree.insert(more[29:])]
        points = np.concatenate([points, more])
        tree.remove(indices[::11])
        keep = np.arange(len(indices)) % 11 != 0
        indices, points = indices[keep], points[keep]


@settings(max_examples=settings.default.max_examples // 3 + 1)
@given(points=point_sets(max_points=60), way=st.sampled_from(sorted(WAYS)), when=st.booleans(), data=st.data())
def test_asking_for_the_cover_tree_changes_no_answer(points, way, when, data):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    tree, indices = WAYS[way](points, rng)
    if when:
        tree.export_arrays()
    more = points[rng.integers(0, len(points), 20)]
    indices = np.r_[indices, tree.insert(more)]
    rows = np.concatenate([points, more])
    first = answers(tree, indices, more, radius=0.0)
    tree.validate()
    arrays = tree.export_arrays()
    assert_cover_tree(arrays, len(arrays.order))
    second = answers(tree, indices, more, radius=0.0)
    assert_same(first, second)
    assert_same(first, answers(at_once(rows, rng)[0], np.arange(len(rows)), more, radius=0.0))

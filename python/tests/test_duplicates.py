"""Points that are equal, or nearly so: groups of them, and searches among crowds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from covertreex import DuplicateGroups, ResidualTree, cover_tree, indexes
from covertreex.indexes import HNSW, LSH, BruteForce
from covertreex.kernels import RBF, Matern12, Matern52


def tree_of(points, **options) -> ResidualTree:
    return cover_tree(points, **{"kernel": RBF(1.0), "inducing_count": 5, **options})


def groups_of(near):
    """Connected components of a matrix of who is near whom, one point after the other."""
    labels = np.arange(len(near))
    for i in range(len(near)):
        for j in np.flatnonzero(near[i]):
            labels[labels == max(labels[i], labels[j])] = min(labels[i], labels[j])
    return labels


def check(found: DuplicateGroups, labels) -> None:
    np.testing.assert_array_equal(found.labels, labels)
    members = [np.flatnonzero(labels == first) for first in range(len(labels)) if (labels == first).sum() > 1]
    assert [group.tolist() for group in found] == [group.tolist() for group in members]
    assert len(found) == len(members) and [g.tolist() for g in found[:]] == [g.tolist() for g in members]
    assert found.firsts.tolist() == [group[0] for group in members]
    assert found.others.tolist() == sorted(i for group in members for i in group[1:])
    assert all(a.dtype == np.int64 for a in (found.labels, found.offsets, found.members))


def test_one_pair(rng):
    points = rng.standard_normal((300, 2))
    points[200] = points[7]
    found = tree_of(points, kernel=RBF([1.0, 2.0])).find_duplicates()
    assert [group.tolist() for group in found] == [[7, 200]]
    assert found[0].tolist() == found[-1].tolist() == [7, 200]
    with pytest.raises(IndexError):
        found[1]
    assert repr(found) == "DuplicateGroups(n_points=300, n_groups=1, n_members=2)"


def test_none(rng):
    found = tree_of(rng.standard_normal((40, 2))).find_duplicates()
    assert len(found) == 0 and list(found) == [] and len(found.others) == 0


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.05, 0.3, 5.0, np.inf]), st.integers(1, 3))
def test_groups_are_connected_components(seed, tol, dim):
    rng = np.random.default_rng(seed)
    points = rng.standard_normal((30, dim))[rng.integers(0, rng.integers(1, 31), 90)]
    points += rng.choice([0.0, 0.04, -0.0], (90, dim))
    points[rng.integers(0, 90, 5)] = -0.0
    points[rng.integers(0, 90, 5)] = 0.0
    lengthscale = rng.uniform(0.5, 2, dim)
    scaled = points / lengthscale
    near = np.sqrt(((scaled[:, None] - scaled) ** 2).sum(-1)) <= tol
    check(tree_of(points, kernel=RBF(lengthscale), inducing_count=1).find_duplicates(tol), groups_of(near))


def test_many_equal_points_use_memory_for_themselves_only():
    """Their pairs would need 100 GB."""
    n = 100_000
    points = np.repeat([[0.25, 1.0], [2.0, 3.0]], n // 2, axis=0)[np.arange(n) % 2 * (n // 2)]
    tree = tree_of(points, inducing_count=2)
    for tol in (0.0, 1e-3):
        found = tree.find_duplicates(tol)
        assert found.offsets.tolist() == [0, n // 2, n] and found.firsts.tolist() == [0, 1]
        np.testing.assert_array_equal(found[1], np.arange(1, n, 2))


def test_pairs_are_listed_in_batches(rng, monkeypatch):
    """Chains of near points that reach over many batches."""
    monkeypatch.setattr("covertreex.tree._duplicates._PAIRS_AT_ONCE", 1)
    line = np.arange(500.0)
    line[250:] += 100
    points = np.stack([line, np.zeros(500)], axis=1)[rng.permutation(500)]
    found = tree_of(points).find_duplicates(1.0)
    near = np.abs(points[:, None, 0] - points[:, 0]) <= 1
    check(found, groups_of(near))
    assert len(found) == 2


# Searches among crowds


def crowds(rng, n, dim=2):
    """Half of the points at one location, a quarter in a few, the rest anywhere; in a random order."""
    points = rng.standard_normal((n, dim))
    points[: n // 2] = 0.5
    points[n // 2 : n * 3 // 4] = points[n - 1 - rng.integers(0, 5, n // 4)]
    return points[rng.permutation(n)]


def all_by_distance(distances, k, counts=True):
    """Of each row the ``k`` smallest distances that count, copies by index; -1 where there are fewer."""
    distances = np.where(counts, distances, np.inf)
    order = np.argsort(distances, axis=1, kind="stable")[:, :k]
    order[np.isinf(np.take_along_axis(distances, order, axis=1))] = -1
    return np.pad(order, ((0, 0), (0, max(0, k - order.shape[1]))), constant_values=-1)


def decided(tree: ResidualTree, rows):
    """Distances of points from all others, as the library decides by them."""
    everything = np.broadcast_to(np.arange(tree.n_points), (len(rows), tree.n_points))
    return tree._distances(np.asarray(rows), np.ascontiguousarray(everything), None)


def rational(a, b):
    """A callback kernel that gives equal points equal numbers, wherever they are in a block."""
    return 1 / (1 + (a[:, None, 0] - b[None, :, 0]) ** 2 + (a[:, None, 1] - b[None, :, 1]) ** 2)


def given_features(points, kernel):
    own = tree_of(points, kernel=kernel, inducing_count=40)
    return cover_tree(points, kernel=kernel, v_matrix=own.v_matrix, p_diag=own.p_diag)


MODELS = {
    "skeletons": lambda x: tree_of(x, kernel=RBF(0.7), inducing_count=40),
    "features": lambda x: tree_of(x, kernel=Matern12(0.7), inducing_count=40),
    "inducing points in a crowd": lambda x: cover_tree(x, kernel=Matern52(0.5), inducing_points=x[:60]),
    "given": lambda x: given_features(x, RBF(0.7)),
    "callback": lambda x: cover_tree(x, kernel=rational, inducing_points=x[:3]),
}


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("k", [1, 10, 40, 700])
def test_ties_of_a_crowd_go_to_the_lower_index(rng, model, k):
    points = crowds(rng, 3000)
    tree = MODELS[model](points)
    rows = rng.integers(0, len(points), 60)
    index = np.arange(len(points))
    distances = decided(tree, rows)
    np.testing.assert_array_equal(tree.knn(k, queries=rows), all_by_distance(distances, k))
    np.testing.assert_array_equal(
        tree.knn(k, queries=rows, exclude_self=True), all_by_distance(distances, k, index != rows[:, None])
    )
    np.testing.assert_array_equal(
        tree.knn(k, queries=rows, predecessor_mode=True), all_by_distance(distances, k, index < rows[:, None])
    )
    before = rng.integers(0, len(points) + 1, 60)
    np.testing.assert_array_equal(
        tree.knn(k, queries=rows, before=before), all_by_distance(distances, k, index < before[:, None])
    )


@pytest.mark.parametrize("model", ["skeletons", "features"])
def test_new_points_among_a_crowd(rng, model):
    points = crowds(rng, 3000)
    tree = MODELS[model](points)
    _, first, copies = np.unique(points, axis=0, return_inverse=True, return_counts=True)
    rows = rng.choice(np.flatnonzero(copies[first.ravel()] > 1), 60)
    distances = decided(tree, rows)
    # A new point is not its own neighbour at distance 0: it is as far from a copy as from any other.
    for i, row in enumerate(rows):
        copy = next(j for j in np.flatnonzero((points == points[row]).all(axis=1)) if j != row)
        distances[i, row] = distances[i, copy]
    before = rng.integers(0, len(points) + 1, 60)
    np.testing.assert_array_equal(tree.knn(12, queries=points[rows]), all_by_distance(distances, 12))
    np.testing.assert_array_equal(
        tree.knn(12, queries=points[rows], before=before),
        all_by_distance(distances, 12, np.arange(3000) < before[:, None]),
    )


def test_early_points_of_a_crowd(rng):
    """Those are searched in a model of their own."""
    points = crowds(rng, 12_000)
    tree = MODELS["skeletons"](points)
    every = tree.knn(10, predecessor_mode=True)
    rows = np.concatenate([rng.integers(0, 8192, 20), rng.integers(8192, 12_000, 20)])
    counts = np.arange(12_000) < rows[:, None]
    np.testing.assert_array_equal(every[rows], all_by_distance(decided(tree, rows), 10, counts))


@pytest.mark.parametrize("n", [8000, 16_000])
@pytest.mark.parametrize("options", [{}, {"predecessor_mode": True}, {"exclude_self": True}])
def test_comparisons_of_a_crowd_grow_with_it_and_not_with_its_square(rng, n, options):
    """The ten or eleven that can be neighbours lie in as many blocks at most."""
    points = np.full((n, 2), 0.5)
    points[: n // 8] = rng.integers(0, 3, (n // 8, 2))
    tree = tree_of(points, kernel=RBF(0.5), inducing_count=20)
    tree.knn(10, **options)
    stats = tree.stats()
    assert stats.points_exact <= 32 * n
    assert stats.points_bounded <= 12 * 256 * n


# Vector indexes

INDEXES = {
    "brute force": BruteForce,
    "codes": lambda dim: LSH(dim, mode="codes", n_candidates=4000),
    "tables": lambda dim: LSH(dim, mode="tables", n_tables=6, n_bits=6, n_probes=64),
    "graph": lambda dim: HNSW(dim, ef_search=1000),
}


@pytest.mark.parametrize("kind", INDEXES)
@pytest.mark.parametrize("k", [1, 10])
def test_indexes_find_the_first_of_equal_vectors(rng, kind, k):
    """Also those that a filter admits, and after the first ones were removed. All look at everything here."""
    vectors = np.concatenate([crowds(rng, 1000, 24), crowds(rng, 1000, 24)]).astype(np.float32)
    index = INDEXES[kind](24)
    index.add(None, vectors[:1500])
    index.add(None, vectors[1500:])
    queries = vectors[rng.integers(0, 2000, 70)]
    distances = ((queries[:, None].astype(float) - vectors) ** 2).sum(-1)

    def check(counts, **options):
        found, _ = index.knn(k, queries=queries, **options)
        np.testing.assert_array_equal(found, all_by_distance(distances, k, counts))

    every = np.arange(2000)
    check(every >= 0)
    admitted = rng.permutation(2000)[:900]
    check(np.isin(every, admitted), filter=admitted)
    crowd = np.flatnonzero((vectors == 0.5).all(axis=1))
    index.remove(crowd[:100])
    left = ~np.isin(every, crowd[:100])
    check(left)
    check(left & np.isin(every, admitted), filter=admitted[left[admitted]])
    index.remove(crowd[100:700])  # now enough are gone for their slots to be given up
    left = ~np.isin(every, crowd[:700])
    check(left)


@pytest.mark.parametrize("kind", ["tables", "graph"])
def test_comparisons_with_equal_vectors_do_not_grow(kind):
    index = INDEXES[kind](24)
    vectors = np.full((5000, 24), 0.5, np.float32)
    index.add(None, vectors)
    before = index.stats().comparisons
    index.knn(10, queries=vectors)
    index.knn(10, queries=vectors, filter=np.arange(2500, 5000))
    assert index.stats().comparisons - before <= 2 * 5000 * 10


def test_tables_of_equal_vectors_in_a_file(tmp_path, rng):
    vectors = crowds(rng, 2000, 24).astype(np.float32)
    index = INDEXES["tables"](24)
    index.add(None, vectors)
    index.remove(np.arange(100))
    index.save(tmp_path / "index")
    again = indexes.load(tmp_path / "index")
    again.add(None, vectors[:50])
    index.add(None, vectors[:50])
    for a, b in zip(index.knn(20, queries=vectors[:300]), again.knn(20, queries=vectors[:300])):
        np.testing.assert_array_equal(a, b)

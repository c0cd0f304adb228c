"""Kernels that walk exported arrays: the answers of the library, from the user's own jitted code too."""

import gc
import threading

import numpy as np
import pytest

from covertreex import cover_tree

numba = pytest.importorskip("numba", reason="covertreex.numba needs numba")

from covertreex import numba as kernels  # noqa: E402


def cases(rng, kind, dim):
    if kind == "lattice":
        return rng.integers(-4, 5, (1500, dim)).astype(np.float64)
    if kind == "duplicates":
        return rng.standard_normal((300, dim))[rng.integers(0, 300, 1500)]
    if kind == "line":
        return np.linspace(-1, 1, 1500)[:, None] * np.arange(1, dim + 1)
    return rng.standard_normal((1500, dim))


@pytest.mark.parametrize("kind", ["spread", "lattice", "duplicates", "line"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("dim", [1, 3, 8])
def test_answers_are_those_of_the_library(rng, dim, dtype, kind):
    points = cases(rng, kind, dim).astype(dtype)
    tree = cover_tree(points)
    fresh = np.concatenate([cases(rng, kind, dim)[:100], rng.standard_normal((20, dim)) * 50]).astype(dtype)
    some = rng.integers(0, 1500, 70)
    for queries in (None, fresh, some):
        modes = [{}, {"max_distance": 0.7}]
        if queries is not fresh:
            modes += [{"predecessor_mode": True}, {"exclude_self": True}]
        for options in modes:
            for k in (1, 7, 40):
                theirs, their_distances = tree.knn(k, queries=queries, return_distances=True, **options)
                mine, distances = kernels.knn(tree, k, queries=queries, return_distances=True, **options)
                assert (mine == theirs).all()
                np.testing.assert_array_equal(distances, their_distances)
        theirs = tree.radius(0.5, queries=queries, return_distances=True)
        mine = kernels.radius(tree, 0.5, queries=queries, return_distances=True)
        for a, b in zip(mine, theirs):
            np.testing.assert_array_equal(a, b)
        counts = kernels.radius(tree, 0.5, queries=queries, count_only=True)
        assert (counts == np.diff(theirs.offsets)).all()


def test_more_neighbours_than_points_and_removed_ones(rng):
    points = rng.standard_normal((400, 2))
    tree = cover_tree(points)
    tree.remove(rng.choice(400, 150, replace=False))
    assert (kernels.knn(tree, 300) == tree.knn(300)).all()
    assert (kernels.knn(tree, 5, predecessor_mode=True) == tree.knn(5, predecessor_mode=True)).all()
    assert (
        kernels.radius(tree, 1, queries=points, count_only=True) == tree.radius(1, queries=points, count_only=True)
    ).all()


@pytest.mark.parametrize("n_threads", [1, 2, 7])
def test_any_number_of_threads(rng, n_threads):
    tree = cover_tree(rng.standard_normal((5000, 3)).astype(np.float32))
    assert (kernels.knn(tree, 10, n_threads=n_threads) == tree.knn(10)).all()


def test_a_jitted_function_of_the_user(rng):
    points, values = rng.standard_normal((2000, 2)), rng.standard_normal(2000)
    nearest = kernels.nearest

    @numba.njit(nogil=True)
    def means(tree, queries, values, k, means):
        squares, indices = np.empty(k), np.empty(k, np.int64)
        for row in range(len(queries)):
            count = nearest(tree, queries[row], k, 2**31 - 1, -1, np.inf, squares, indices)
            weights = np.exp(-squares[:count])
            means[row] = (weights * values[indices[:count]]).sum() / weights.sum()

    tree = cover_tree(points)
    queries, found = rng.standard_normal((50, 2)), np.empty(50)
    means(kernels.as_numba(tree), queries, values, 12, found)
    indices, distances = tree.knn(12, queries=queries, return_distances=True)
    weights = np.exp(-(distances**2))
    np.testing.assert_allclose(found, (weights * values[indices]).sum(axis=1) / weights.sum(axis=1))


def test_arrays_outlive_the_tree_and_its_changes(rng):
    points = rng.standard_normal((20_000, 3))
    tree = cover_tree(points)
    exported = kernels.as_numba(tree)
    before = tree.knn(8)
    tree.insert(rng.standard_normal((5000, 3)))
    assert (kernels.knn(exported, 8) == before).all()
    found = {}
    thread = threading.Thread(target=lambda: found.update(indices=kernels.knn(exported, 8, n_threads=1)))
    thread.start()
    tree.close()
    del tree
    gc.collect()
    churn = [np.full(200_000, fill) for fill in range(20)]  # what was freed would be written over
    thread.join()
    assert len(churn) == 20
    assert (found["indices"] == before).all()
    with pytest.raises(ValueError, match="read-only"):
        exported.points[0, 0] = 1


def test_bad_input_names_the_argument(rng):
    tree = cover_tree(rng.standard_normal((50, 3)))
    with pytest.raises(ValueError, match="queries: expected 3 columns, got 2"):
        kernels.knn(tree, 1, queries=np.zeros((4, 2)))
    with pytest.raises(ValueError, match=r"queries\[1, 2\]: expected finite coordinates, got nan"):
        kernels.knn(tree, 1, queries=[[0, 0, 0], [0, 0, np.nan]])
    with pytest.raises(IndexError, match=r"queries\[1\]: the tree has no point 50"):
        kernels.knn(tree, 1, queries=[3, 50])
    with pytest.raises(ValueError, match="predecessor_mode: only points of the tree"):
        kernels.knn(tree, 1, queries=np.zeros((1, 3)), predecessor_mode=True)
    with pytest.raises(ValueError, match="max_distance: expected a number from 0 up, got -1"):
        kernels.knn(tree, 1, max_distance=-1)
    with pytest.raises(ValueError, match="k: expected at least 1, got 0"):
        kernels.knn(tree, 0)

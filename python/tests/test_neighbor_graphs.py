"""Sparse matrices of neighbours, against those of scikit-learn and after changes of the tree."""

import numpy as np
import pytest

from covertreex import cover_tree

POINTS = np.random.default_rng(8).normal(size=(300, 3))


def same(mine, other):
    """Whether matrices are equal, up to the rounding of distances."""
    assert mine.shape == other.shape
    assert mine.dtype == np.float64
    np.testing.assert_allclose(mine.toarray(), other.toarray(), rtol=1e-12)
    np.testing.assert_array_equal(mine.indptr, other.indptr)


@pytest.mark.parametrize("mode", ["connectivity", "distance"])
@pytest.mark.parametrize("include_self", [False, True])
def test_they_equal_those_of_scikit_learn(mode, include_self):
    sklearn = pytest.importorskip("sklearn.neighbors")
    tree, options = cover_tree(POINTS), {"mode": mode, "include_self": include_self}
    same(tree.kneighbors_graph(7, **options), sklearn.kneighbors_graph(POINTS, 7, **options))
    same(tree.radius_neighbors_graph(0.6, **options), sklearn.radius_neighbors_graph(POINTS, 0.6, **options))


def test_rows_are_sorted_by_distance():
    graph = cover_tree(POINTS).kneighbors_graph(9, mode="distance")
    assert type(graph).__name__ == "csr_matrix"
    assert (np.diff(graph.data.reshape(300, 9), axis=1) >= 0).all()
    graph.data[:] = 1  # it is the caller's
    within = cover_tree(POINTS.astype(np.float32)).radius_neighbors_graph(0.8, mode="distance")
    for row in range(300):
        assert (np.diff(within.data[within.indptr[row] : within.indptr[row + 1]]) >= 0).all()


def test_rows_and_columns_are_dataset_indices():
    tree = cover_tree(POINTS[:200])
    tree.insert(POINTS[200:])
    gone = np.arange(0, 300, 3)
    tree.remove(gone)
    there = tree.indices
    part = cover_tree(POINTS[there])
    for mine, other in (
        (tree.kneighbors_graph(5, mode="distance"), part.kneighbors_graph(5, mode="distance")),
        (tree.radius_neighbors_graph(0.7), part.radius_neighbors_graph(0.7)),
    ):
        assert mine.shape == (300, 300)
        dense = mine.toarray()
        assert not dense[gone].any()
        assert not dense[:, gone].any()
        np.testing.assert_array_equal(dense[np.ix_(there, there)], other.toarray())
    tree.remove(there)
    assert tree.kneighbors_graph(2).nnz == tree.radius_neighbors_graph(2.0).nnz == 0


def test_fewer_neighbours_than_were_asked_for():
    tree = cover_tree(POINTS[:4])
    np.testing.assert_array_equal(tree.kneighbors_graph(9).toarray(), 1 - np.eye(4))
    np.testing.assert_array_equal(tree.kneighbors_graph(9, include_self=True).toarray(), np.ones((4, 4)))
    equal = cover_tree(np.zeros((3, 2)))
    graph = equal.kneighbors_graph(1, mode="distance")
    assert graph.nnz == 3  # distances of 0 are elements
    assert graph.indices.tolist() == [1, 0, 0]


def test_a_radius_for_each_point():
    radii = np.linspace(0, 1, 300)
    graph = cover_tree(POINTS).radius_neighbors_graph(radii, mode="distance")
    true = np.linalg.norm(POINTS[:, None] - POINTS, axis=2)
    np.testing.assert_array_equal(np.diff(graph.indptr), (true <= radii[:, None]).sum(axis=1) - 1)


def test_wrong_arguments():
    tree = cover_tree(POINTS)
    with pytest.raises(ValueError, match="mode: expected one of connectivity, distance"):
        tree.kneighbors_graph(3, mode="edges")
    with pytest.raises(ValueError, match="mode: expected one of connectivity, distance"):
        tree.radius_neighbors_graph(3, mode="edges")
    with pytest.raises(ValueError, match="k: expected at least 1"):
        tree.kneighbors_graph(0)
    with pytest.raises(TypeError, match="k: expected an integer"):
        tree.kneighbors_graph([1, 2])
    with pytest.raises(ValueError, match="r: expected a number from 0 up"):
        tree.radius_neighbors_graph(-1)
    tree.close()
    with pytest.raises(ValueError, match="tree: is closed"):
        tree.kneighbors_graph(3)

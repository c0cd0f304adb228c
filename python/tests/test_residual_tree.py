"""Cover trees of residual trees: in scaled coordinates, and in the residual-correlation metric itself."""

import numpy as np
import oracle
import pytest
import residual_oracle

from covertreex import CoverTreeError, cover_tree
from covertreex.kernels import RBF, Matern12, Matern52

ORDERS = ("hilbert", "natural", "random")
POINTS = np.random.default_rng(4).standard_normal((400, 2))


def distances(tree, kernel, arrays):
    """Distances of all nodes by the oracle."""
    points = POINTS[arrays.order]
    v, p = residual_oracle.features(kernel, points, tree.inducing_points)
    rho, _ = residual_oracle.correlations(kernel, points, v, p, points, v, p)
    np.fill_diagonal(rho, 1)
    return np.sqrt(1 - rho)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("kernel", [RBF(lengthscale=0.2), Matern12(), Matern52(lengthscale=[0.3, 0.5], variance=3)])
def test_pure_tree_keeps_every_rule_in_its_own_metric(kernel, order):
    tree = cover_tree(POINTS, kernel=kernel, inducing_count=12, tree="pure", order=order)
    arrays = tree.export_arrays()
    oracle.assert_cover_tree(arrays, len(POINTS), distances(tree, kernel, arrays), tolerance=1e-7)
    assert tree.validate()
    assert (arrays.points == POINTS[arrays.order] / np.asarray(kernel.lengthscale)).all()
    assert arrays.order[0] == 0 or order != "natural"
    # Its levels are those of a metric that ends at 1.
    assert set(arrays.levels[arrays.levels >= 0]) == {arrays.levels[0]}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("kind", ["hybrid", "pure"])
def test_neighbours_are_the_same_from_every_tree(kind, order):
    plain = cover_tree(POINTS, kernel=Matern52(), inducing_count=20).knn(10, predecessor_mode=True)
    tree = cover_tree(POINTS, kernel=Matern52(), inducing_count=20, tree=kind, order=order)
    assert tree.validate()
    np.testing.assert_array_equal(tree.knn(10, predecessor_mode=True), plain)


def test_pure_tree_is_the_same_for_any_number_of_threads_and_follows_changes():
    made = []
    for threads in (1, 2):
        tree = cover_tree(POINTS[:300], kernel=RBF(lengthscale=0.3), inducing_count=9, tree="pure", n_threads=threads)
        made.append(tree.export_arrays())
    for one, other in zip(*made):
        np.testing.assert_array_equal(one, other)
    before = tree.export_arrays()
    tree.insert(POINTS[300:])
    assert len(before.order) == 300
    assert len(tree.export_arrays().order) == 400
    assert tree.validate()
    tree.refit(Matern12(lengthscale=0.3))
    after = tree.export_arrays()
    assert not np.array_equal(after.levels, before.levels)
    assert tree.validate()
    assert tree.with_kernel(RBF()).tree == "pure"


def test_duplicates_and_one_point():
    points = np.repeat(POINTS[:50], 4, axis=0)
    tree = cover_tree(points, kernel=RBF(), inducing_count=5, tree="pure")
    assert tree.validate()
    # Duplicates are at distance 0, up to the rounding of |rho|.
    levels = tree.export_arrays().levels
    assert (levels < -15).sum() == 150
    one = cover_tree(points[:1], kernel=RBF(), inducing_count=0, tree="pure")
    assert one.validate()
    assert one.export_arrays().levels.tolist() == [0]


def test_features_of_the_caller_make_a_pure_tree():
    source = cover_tree(POINTS, kernel=RBF(), inducing_count=15)
    tree = cover_tree(
        POINTS, kernel=RBF(), v_matrix=source.v_matrix, p_diag=source.p_diag, tree="pure", order="natural"
    )
    assert tree.validate()
    pure = cover_tree(POINTS, kernel=RBF(), inducing_points=source.inducing_points, tree="pure", order="natural")
    np.testing.assert_array_equal(tree.export_arrays().levels, pure.export_arrays().levels)


def test_bad_input():
    with pytest.raises(ValueError, match="tree: expected one of hybrid, pure, got 'mixed'"):
        cover_tree(POINTS, kernel=RBF(), tree="mixed")
    with pytest.raises(ValueError, match="order: expected one of"):
        cover_tree(POINTS, kernel=RBF(), tree="pure", order="alphabetical")
    tree = cover_tree(POINTS, kernel=lambda a, b: 2 * RBF()(a, b), inducing_count=5, tree="pure")
    with pytest.raises(CoverTreeError, match="kernel of the library"):
        tree.export_arrays()
    tree.close()
    with pytest.raises(ValueError, match="closed"):
        tree.validate()

"""Cover trees of residual trees: in scaled coordinates, and in the residual-correlation metric itself."""

import subprocess
import sys
import textwrap

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
def test_correlation_tree_keeps_every_rule_in_its_own_metric(kernel, order):
    tree = cover_tree(POINTS, kernel=kernel, inducing_count=12, cover_tree_metric="residual_correlation", order=order)
    arrays = tree.export_arrays()
    oracle.assert_cover_tree(arrays, len(POINTS), distances(tree, kernel, arrays), tolerance=1e-7)
    assert tree.validate()
    assert (arrays.points == POINTS[arrays.order] / np.asarray(kernel.lengthscale)).all()
    assert arrays.order[0] == 0 or order != "natural"
    # Its levels are those of a metric that ends at 1.
    assert set(arrays.levels[arrays.levels >= 0]) == {arrays.levels[0]}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("metric", ["euclidean", "residual_correlation"])
def test_neighbours_are_the_same_from_every_tree(metric, order):
    plain = cover_tree(POINTS, kernel=Matern52(), inducing_count=20).knn(10, predecessor_mode=True)
    tree = cover_tree(POINTS, kernel=Matern52(), inducing_count=20, cover_tree_metric=metric, order=order)
    assert tree.validate()
    np.testing.assert_array_equal(tree.knn(10, predecessor_mode=True), plain)


def test_correlation_tree_is_the_same_for_any_number_of_threads_and_follows_changes():
    made = []
    for threads in (1, 2):
        tree = cover_tree(
            POINTS[:300],
            kernel=RBF(lengthscale=0.3),
            inducing_count=9,
            cover_tree_metric="residual_correlation",
            n_threads=threads,
        )
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
    assert tree.with_kernel(RBF()).cover_tree_metric == "residual_correlation"


def test_duplicates_and_one_point():
    points = np.repeat(POINTS[:50], 4, axis=0)
    tree = cover_tree(points, kernel=RBF(), inducing_count=5, cover_tree_metric="residual_correlation")
    assert tree.validate()
    # Duplicates are at distance 0, up to the rounding of |rho|.
    levels = tree.export_arrays().levels
    assert (levels < -15).sum() == 150
    one = cover_tree(points[:1], kernel=RBF(), inducing_count=0, cover_tree_metric="residual_correlation")
    assert one.validate()
    assert one.export_arrays().levels.tolist() == [0]


@pytest.mark.parametrize(("location_count", "n_inducing"), [(1, 0), (8, 0), (8, 4)])
def test_a_correlation_tree_of_equal_points_uses_little_memory(location_count, n_inducing):
    """Lists of all pairs within 1/2 of each other would need 5 GB, or 600 MB."""
    program = f"""
        import re, resource
        from pathlib import Path
        import numpy as np
        from covertreex import cover_tree
        from covertreex.kernels import RBF

        resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
        points = np.random.default_rng(0).random(({location_count}, 2)).repeat(20_000 // {location_count}, axis=0)
        tree = cover_tree(
            points, kernel=RBF(lengthscale=0.02), cover_tree_metric="residual_correlation", n_threads=2,
            inducing_points=np.random.default_rng(1).random(({n_inducing}, 2)) + 5,
        )
        peak = lambda: int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
        before = peak()
        levels = tree.export_arrays().levels
        tree.validate()
        print(peak() - before, np.count_nonzero(levels > np.iinfo(np.int32).min))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=300, check=True
    )
    kilobytes, n_nodes = map(int, done.stdout.split())
    assert kilobytes < 100_000
    assert n_nodes == location_count  # the others are their duplicates


def test_a_correlation_tree_of_near_points_keeps_every_rule():
    """Too many are near each other, so that they are not listed."""
    points = np.random.default_rng(3).random((700, 2)) * 0.05
    points[::7] += 3
    for threads in (1, 2):
        tree = cover_tree(
            points, kernel=Matern12(), inducing_count=8, cover_tree_metric="residual_correlation", n_threads=threads
        )
        arrays = tree.export_arrays()
        v, p = residual_oracle.features(Matern12(), points[arrays.order], tree.inducing_points)
        rho, _ = residual_oracle.correlations(Matern12(), points[arrays.order], v, p, points[arrays.order], v, p)
        np.fill_diagonal(rho, 1)
        oracle.assert_cover_tree(arrays, len(points), np.sqrt(1 - rho), tolerance=1e-6)
        assert tree.validate()


def test_features_of_the_caller_make_a_correlation_tree():
    source = cover_tree(POINTS, kernel=RBF(), inducing_count=15)
    tree = cover_tree(
        POINTS,
        kernel=RBF(),
        v_matrix=source.v_matrix,
        p_diag=source.p_diag,
        cover_tree_metric="residual_correlation",
        order="natural",
    )
    assert tree.validate()
    other = cover_tree(
        POINTS,
        kernel=RBF(),
        inducing_points=source.inducing_points,
        cover_tree_metric="residual_correlation",
        order="natural",
    )
    np.testing.assert_array_equal(tree.export_arrays().levels, other.export_arrays().levels)


def test_bad_input():
    with pytest.raises(ValueError, match=r"cover_tree_metric: expected one of .*, got 'mixed'"):
        cover_tree(POINTS, kernel=RBF(), cover_tree_metric="mixed")
    with pytest.raises(ValueError, match="order: expected one of"):
        cover_tree(POINTS, kernel=RBF(), cover_tree_metric="residual_correlation", order="alphabetical")
    tree = cover_tree(
        POINTS, kernel=lambda a, b: 2 * RBF()(a, b), inducing_count=5, cover_tree_metric="residual_correlation"
    )
    with pytest.raises(CoverTreeError, match="kernel of the library"):
        tree.export_arrays()
    tree.close()
    with pytest.raises(ValueError, match="closed"):
        tree.validate()

"""Built in Swift, searched in Numba: residual kernels on exported arrays, the engine, lifetimes, what is stale."""

import gc
import pickle
import subprocess
import sys
import threading

import numpy as np
import pytest
import residual_oracle

from covertreex import ResidualCoverTree, cover_tree, load
from covertreex.kernels import RBF, Matern12, Matern32, Matern52

numba = pytest.importorskip("numba", reason="covertreex.numba needs numba")

from covertreex import numba as kernels  # noqa: E402

KERNELS = [RBF(0.6), Matern12(0.4), Matern32([0.3, 0.5], variance=3.0), Matern52(0.8, variance=0.2)]


def points_with_duplicates(rng, n, dim=2):
    points = rng.random((n, dim))
    points[n // 2 : n // 2 + 20] = points[:20]
    return points


def same_answers(tree, k, **options):
    theirs = tree.knn(k, return_distances=True, **options)
    mine = kernels.knn(tree, k, return_distances=True, **options)
    np.testing.assert_array_equal(mine[0], theirs[0])
    np.testing.assert_array_equal(mine[1], theirs[1])


@pytest.mark.parametrize("inducing_count", [0, 13, 60])
@pytest.mark.parametrize("kernel", KERNELS)
def test_answers_are_those_of_the_library(rng, kernel, inducing_count):
    points = points_with_duplicates(rng, 1300)
    tree = cover_tree(points, kernel=kernel, inducing_count=inducing_count)
    some, before = rng.integers(0, 1300, 90), rng.integers(-5, 1500, 90)
    for k in (1, 9, 60):
        for options in (
            {},
            {"predecessor_mode": True},
            {"exclude_self": True},
            {"queries": some},
            {"queries": some, "before": before},
            {"queries": some, "before": before, "exclude_self": True},
            {"queries": rng.random((50, 2))},
            {"queries": rng.random((50, 2)), "before": before[:50]},
        ):
            same_answers(tree, k, **options)


def test_both_ways_are_used(rng):
    """By skeletons where there are any, and by features."""
    smooth = cover_tree(rng.random((1300, 2)), kernel=RBF(0.6), inducing_count=13)
    rough = cover_tree(rng.random((1300, 5)), kernel=Matern12(0.4), inducing_count=13)
    assert smooth.export_arrays().products.size > 0
    assert rough.export_arrays().products.size == rough.export_arrays().bounds.size == 0
    for tree in (smooth, rough):
        same_answers(tree, 5)
        same_answers(tree, 2000, queries=[3, 4])  # more than there are


def test_given_features(rng):
    points = rng.random((700, 3))
    model = cover_tree(points, kernel=RBF(0.3), inducing_count=21)
    tree = cover_tree(points, kernel=RBF(0.3), v_matrix=model.v_matrix, p_diag=model.p_diag)
    same_answers(tree, 6, predecessor_mode=True)


def test_regions_of_several_blocks(rng):
    tree = cover_tree(rng.random((140_000, 2)), kernel=RBF(0.5), inducing_count=6)
    arrays = tree.export_arrays()
    assert arrays.blocks_per_region == 2
    assert arrays.bounds.shape == (274, 140_000)
    some = rng.integers(0, 140_000, 40)
    same_answers(tree, 5, queries=some)
    same_answers(tree, 5, queries=some, predecessor_mode=True)


@pytest.mark.parametrize("n_threads", [1, 2, 5])
def test_any_number_of_threads(rng, n_threads):
    tree = cover_tree(rng.random((3000, 2)), kernel=RBF(0.5), inducing_count=20)
    np.testing.assert_array_equal(kernels.knn(tree, 5, n_threads=n_threads), tree.knn(5))


def test_a_jitted_function_of_the_user(rng):
    tree = cover_tree(rng.random((2000, 2)), kernel=Matern52(0.7), inducing_count=40)
    values = rng.standard_normal(2000)
    residual_nearest, workspace = kernels.residual_nearest, kernels.workspace

    @numba.njit(nogil=True)
    def conditional_sums(model, values, k, sums):
        work, distances, indices = workspace(model, k), np.empty(k), np.empty(k, np.int64)
        for position in range(len(sums)):
            index = model.block_order[position]
            count = residual_nearest(model, position, k, index, -1, work, distances, indices)
            sums[index] = ((1 - distances[:count] ** 2) * values[indices[:count]]).sum()

    sums = np.empty(2000)
    conditional_sums(kernels.as_numba(tree), values, 10, sums)
    indices, distances = tree.knn(10, predecessor_mode=True, return_distances=True)
    weights = np.where(indices < 0, 0, 1 - np.where(indices < 0, 0, distances) ** 2)
    np.testing.assert_allclose(sums, (weights * values[indices]).sum(axis=1), atol=1e-12)


# What is exported


def test_the_arrays_mean_what_they_say(rng):
    """Every estimate is as near as the remaining norms say, and no bound is exceeded: by an oracle in NumPy."""
    points = rng.random((600, 2))
    kernel = RBF(0.4, variance=2.0)
    tree = cover_tree(points, kernel=kernel, inducing_count=21)
    arrays = tree.export_arrays()
    inside = points[arrays.block_order]
    np.testing.assert_array_equal(arrays.coordinates, inside / 0.4)
    np.testing.assert_array_equal(arrays.block_places[arrays.block_order], np.arange(600))
    np.testing.assert_array_equal(arrays.points, arrays.coordinates[arrays.block_places[arrays.order]])
    np.testing.assert_array_equal(arrays.v_matrix[arrays.block_places, :21], tree.v_matrix)
    assert (arrays.v_matrix[:, 21:] == 0).all()
    np.testing.assert_array_equal(arrays.residual_variance[arrays.block_places], tree.residual_variance)
    np.testing.assert_allclose(arrays.scales, np.sqrt(2.0 / arrays.residual_variance), rtol=1e-6)
    assert (arrays.kernel, arrays.kernel_variance, arrays.variance) == (0, 2.0, 2.0)

    v, p = residual_oracle.features(kernel, inside, tree.inducing_points)
    rho = (kernel(inside) - v @ v.T) / np.sqrt(np.outer(p, p))
    size, blocks = arrays.block_size, len(arrays.pivot_offsets) - 1
    panels = (np.diff(np.minimum(np.arange(blocks + 1) * size, 600)) + 31) // 32
    ranks = np.diff(arrays.coefficient_offsets) // (32 * panels)
    assert (ranks % 8 == 0).all()
    assert (ranks > 0).all()
    assert (ranks < np.diff(arrays.pivot_offsets) + 8).all()
    assert blocks == 3

    def coefficients(block):
        panels = arrays.coefficients[arrays.coefficient_offsets[block] : arrays.coefficient_offsets[block + 1]]
        rows = panels.reshape(-1, ranks[block], 32).transpose(0, 2, 1).reshape(-1, ranks[block])
        return rows[: min(size, 600 - block * size)].astype(float)

    for q in range(blocks):
        own = slice(q * size, (q + 1) * size)
        norms = arrays.remaining_norms[own].astype(float)
        f = coefficients(q)
        pivots = arrays.pivots[arrays.pivot_offsets[q] : arrays.pivot_offsets[q + 1]]
        assert ((pivots >= own.start) & (pivots < own.stop)).all()
        assert (np.diff(arrays.block_order[own]) > 0).all()
        assert (np.abs(f @ f.T - rho[own, own]) <= np.outer(norms, norms) + 1e-5).all()
        for t in range(q + 1, blocks):
            other = slice(t * size, (t + 1) * size)
            at = arrays.product_offsets[q, t]
            product = arrays.products[at : at + ranks[q] * ranks[t]].reshape(ranks[q], ranks[t])
            error = np.add.outer(norms, arrays.remaining_norms[other].astype(float))
            assert (np.abs(f @ product @ coefficients(t).T - rho[own, other]) <= error + 1e-5).all()
        largest = np.abs(rho[:, own]).max(axis=1)
        assert (arrays.bounds[q] / 255 >= np.minimum(largest, 1) - 1e-9).all()
    assert (arrays.bounds < 255).any()


def test_arrays_are_read_only_aligned_and_without_gaps(rng):
    tree = cover_tree(rng.random((900, 2)), kernel=RBF(0.4), inducing_count=21)
    arrays = tree.export_arrays()
    exported = [value for value in (*arrays, *vars(arrays).values()) if isinstance(value, np.ndarray)]
    assert len(exported) == 10 + 14
    for array in exported:
        assert array.size > 0
        assert array.flags.c_contiguous
        assert not array.flags.writeable
        assert array.ctypes.data % 64 == 0
        with pytest.raises(ValueError):
            array.flat[0] = 0
    again = tree.export_arrays()
    for one, other in zip(exported, [v for v in (*again, *vars(again).values()) if isinstance(v, np.ndarray)]):
        assert one.ctypes.data == other.ctypes.data, "nothing is copied"


def test_a_stale_export_says_so_and_stays_as_it_was(rng):
    tree = cover_tree(rng.random((300, 2)))
    changes = [
        lambda: tree.insert(rng.random((5, 2))),
        lambda: tree.remove([1]),
        lambda: tree.remove(np.arange(50, 250)),
        tree.close,
    ]
    for change in changes:
        arrays = tree.export_arrays()
        before = [None if array is None else array.copy() for array in arrays]
        assert not arrays.stale
        change()
        assert arrays.stale
        for array, copy in zip(arrays, before):
            np.testing.assert_array_equal(array, copy)
        with pytest.warns(UserWarning, match="it has changed since"):
            kernels.as_numba(arrays)


@pytest.mark.parametrize("metric", ["euclidean", "residual_correlation"])
def test_a_stale_residual_export_says_so_and_stays_as_it_was(rng, metric):
    tree = cover_tree(rng.random((600, 2)), kernel=RBF(0.4), inducing_count=20, cover_tree_metric=metric)
    changes = [
        lambda: tree.insert(rng.random((5, 2))),
        lambda: tree.refit(RBF(0.4, variance=2.0)),  # the cover tree of the coordinates stays the same
        lambda: tree.refit(RBF(0.3)),
        tree.close,
    ]
    for change in changes:
        arrays = tree.export_arrays()
        values = [value for value in (*arrays, *vars(arrays).values()) if isinstance(value, np.ndarray)]
        before = [value.copy() for value in values]
        exported = kernels.as_numba(arrays)
        assert not arrays.stale
        change()
        assert arrays.stale
        for value, copy in zip(values, before):
            np.testing.assert_array_equal(value, copy)
        with pytest.warns(UserWarning, match="it has changed since"):
            assert kernels.as_numba(arrays).products.ctypes.data == exported.products.ctypes.data


def test_arrays_can_be_pickled(rng):
    tree = cover_tree(rng.random((600, 2)), kernel=RBF(0.4), inducing_count=20)
    for arrays in (tree.euclidean.export_arrays(), tree.export_arrays()):
        again = pickle.loads(pickle.dumps(arrays))
        assert type(again) is type(arrays)
        for one, other in zip(again, arrays):
            np.testing.assert_array_equal(one, other)
    expected = kernels.as_numba(tree)
    tree.close()
    assert not again.stale
    for one, other in zip(kernels.as_numba(again), expected):
        np.testing.assert_array_equal(one, other)


def test_a_kernel_runs_on_while_the_tree_is_deleted(rng):
    tree = cover_tree(rng.random((6000, 2)), kernel=RBF(0.3), inducing_count=40)
    expected = tree.knn(8)
    exported = kernels.as_numba(tree)
    kernels.knn(tree, 8, queries=[0])
    indices, distances = np.empty((6000, 8), np.int64), np.empty((6000, 8))
    residual_nearest, workspace = kernels.residual_nearest, kernels.workspace

    @numba.njit(nogil=True)
    def all_of_them(model, indices, distances):
        work = workspace(model, indices.shape[1])
        for position in range(len(indices)):
            row = model.block_order[position]
            residual_nearest(model, position, indices.shape[1], 2**31 - 1, -1, work, distances[row], indices[row])

    all_of_them(exported, indices[:0], distances[:0])
    thread = threading.Thread(target=all_of_them, args=(exported, indices, distances))
    thread.start()
    del exported
    tree.refit(RBF(0.2))
    tree.close()
    del tree
    gc.collect()
    churn = [np.full(200_000, fill) for fill in range(40)]  # what was freed would be written over
    thread.join()
    assert len(churn) == 40
    np.testing.assert_array_equal(indices, expected)


# The engine


@pytest.mark.parametrize("engine", ["hybrid", "python-numba"])
def test_the_engine_changes_no_answer(rng, engine, tmp_path):
    points = points_with_duplicates(rng, 900)
    euclidean, native = cover_tree(points, engine=engine), cover_tree(points)
    queries = rng.random((30, 2))
    for tree in (euclidean, pickle.loads(pickle.dumps(euclidean))):
        assert tree.engine == "hybrid"
        for options in ({}, {"predecessor_mode": True}, {"queries": queries}, {"queries": [3, 4], "max_distance": 0.1}):
            for one, other in zip(
                tree.knn(7, return_distances=True, **options), native.knn(7, return_distances=True, **options)
            ):
                np.testing.assert_array_equal(one, other)
        for one, other in zip(tree.radius(0.1, return_distances=True), native.radius(0.1, return_distances=True)):
            np.testing.assert_array_equal(one, other)

    model, native = (cover_tree(points, kernel=RBF(0.5), inducing_count=30, engine=e) for e in (engine, "native"))
    model.save(tmp_path / "model")
    for tree in (model, pickle.loads(pickle.dumps(model)), load(tmp_path / "model", engine=engine)):
        assert tree.engine == "hybrid"
        np.testing.assert_array_equal(tree.knn(5, predecessor_mode=True), native.knn(5, predecessor_mode=True))
        assert tree.stats().queries == 0, "the library was not asked"
        for cond in ("train", "all"):
            np.testing.assert_array_equal(
                tree.conditioning_sets(5, queries=queries, cond=cond),
                native.conditioning_sets(5, queries=queries, cond=cond),
            )
        tree.insert(queries)
        assert tree.with_kernel(RBF(0.3)).engine == tree.refit(RBF(0.3)).engine == "hybrid"
        assert load(tmp_path / "model").engine == "native"
    old = ResidualCoverTree(points, lengthscale=0.5, inducing_count=30, engine=engine)
    assert old.engine == "hybrid"


def test_bad_input_names_the_argument(rng, tmp_path):
    points = rng.random((50, 2))
    tree = cover_tree(points, kernel=RBF(), inducing_count=5, engine="hybrid")
    for error, message, k, options in (
        (ValueError, "k: expected at least 1, got 0", 0, {}),
        (IndexError, r"queries\[1\]: expected a dataset index from 0 to 49, got 50", 1, {"queries": [3, 50]}),
        (ValueError, "queries: expected 2 columns, got 3", 1, {"queries": np.zeros((4, 3))}),
        (ValueError, r"queries\[0, 1\]: expected finite", 1, {"queries": [[0, np.inf]]}),
        (ValueError, "before: expected 2 numbers", 1, {"queries": [1, 2], "before": [1]}),
        (ValueError, r"before: .*predecessor_mode", 1, {"queries": [1], "before": [1], "predecessor_mode": True}),
        (ValueError, "exclude_self: new points", 1, {"queries": np.zeros((1, 2)), "exclude_self": True}),
    ):
        with pytest.raises(error, match=message):
            tree.knn(k, **options)
    with pytest.raises(ValueError, match="kernel: engine='hybrid' needs one of covertreex"):
        cover_tree(points, kernel=lambda a, b: a @ b.T, engine="hybrid")
    cover_tree(points, kernel=lambda a, b: a @ b.T + 1, inducing_count=3).save(tmp_path / "callback")
    with pytest.raises(ValueError, match="kernel: engine='hybrid' needs one of covertreex"):
        load(tmp_path / "callback", kernel=lambda a, b: a @ b.T + 1, engine="hybrid")
    with pytest.raises(ValueError, match="engine: expected one of"):
        load(tmp_path / "callback", kernel=lambda a, b: a @ b.T + 1, engine="best")
    with pytest.raises(ValueError, match="max_distance: expected a number from 0 up, got -1"):
        kernels.knn(tree, 1, max_distance=-1)
    with pytest.raises(ValueError, match="before: expected 50 numbers"):
        kernels.knn(cover_tree(points), 1, before=[1])


def test_without_numba_the_engine_says_what_to_install():
    program = """
import sys
sys.modules["numba"] = None
import covertreex
try:
    covertreex.cover_tree([[0.0]], engine="hybrid")
except ImportError as error:
    assert "pip install" in str(error), error
else:
    raise SystemExit("no error")
"""
    subprocess.run([sys.executable, "-c", program], check=True)

"""Every argument of every public function, given what it is not: an error that names it as the caller wrote it."""

import functools
import inspect
import re
import tempfile
from pathlib import Path

import numpy as np
import pytest
import vif_messages
from wrong_values import (
    CHOICE,
    COUNT,
    ELEMENTS,
    FUNCTION,
    INDICES,
    INTEGER,
    KERNEL,
    NAME,
    NO_NUMBER,
    NO_ROWS,
    NO_SLOTS,
    NONE,
    NUMBER,
    OBJECT,
    ONE_ROW,
    OTHER_WIDTH,
    OUTSIDE,
    PATH,
    POINTS,
    RESULTS,
    ROWS,
    SEED,
    SETS,
    SLOT,
    THREADS,
    Thing,
    X,
    without,
)

import covertreex
from covertreex import (
    CoverTree,
    MappedTree,
    ResidualTree,
    VectorStore,
    cover_tree,
    indexes,
    residual_tree,
    telemetry,
    vecchia,
)
from covertreex.indexes import HNSW, LSH, BruteForce, KDTree
from covertreex.kernels import RBF, Matern52
from covertreex.tree import CoverTree as CoreTree
from covertreex.tree._graphs import NeighborGraphs
from covertreex.tree._pairs import PairQuestions
from covertreex.vecchia._files import Stored
from covertreex.vecchia._inference import Inference


# Things that arguments are tried on.
@functools.cache
def tree():
    return cover_tree(X)


@functools.cache
def of_function():
    return cover_tree(X, metric=lambda a, b: np.abs(a[:, None] - b[None]).sum(-1))


@functools.cache
def residual():
    return cover_tree(X, kernel=Matern52(0.3), inducing_count=10)


@functools.cache
def brute_force():
    index = BruteForce(2)
    index.add(None, X)
    return index


@functools.cache
def graph():
    index = HNSW(2)
    index.add(None, X)
    return index


@functools.cache
def codes():
    index = LSH(2)
    index.add(None, X)
    return index


@functools.cache
def store():
    vectors = VectorStore(2)
    vectors.add_batch(range(5), X[:5])
    return vectors


@functools.cache
def sets():
    return vecchia.neighbors(X, kernel=Matern52(0.3), m=5, n_inducing=10)


@functools.cache
def folder():
    return Path(tempfile.mkdtemp())


@functools.cache
def saved(name):
    path = folder() / name
    {"tree": tree, "own": of_function, "residual": residual, "index": brute_force, "sets": sets}[name]().save(path)
    return path


@functools.cache
def mapped():
    return cover_tree(X, folder=folder() / "partitions", partition_size=20)


def new():
    """A path at which there is nothing."""
    return Path(tempfile.mkdtemp(dir=folder())) / "new"


def of_kernel(**options):
    return cover_tree(X, **{"kernel": RBF(), "inducing_count": 5, **options})


def given(**options):
    return cover_tree(X, **{"kernel": RBF(), "v_matrix": residual().v_matrix, "p_diag": residual().p_diag, **options})


def chosen(**options):
    return vecchia.neighbors(X, **{"kernel": RBF(), "m": 3, **options})


def fit(**options):
    return vecchia.fit(X, X[:, 0], **{"n_neighbors": 3, "n_inducing": 5, "max_iterations": 0, **options})


VECTOR = {
    **without(ROWS, "rows of different lengths", "three dimensions", "masked"),
    "two dimensions": (np.zeros((60, 2)), ValueError),
    "too few": (np.zeros(3), ValueError),
    "NaN": (np.full(60, np.nan), ValueError),
}
RESIDUAL_POINTS = {**POINTS, **OTHER_WIDTH}
QUERIES = {**POINTS, **OTHER_WIDTH, **OUTSIDE, "a string": ("abc", TypeError)}
OWN_QUERIES = {**without(QUERIES, "one dimension"), "a vector of another width": ([1.0, 2.0, 3.0], ValueError)}
TREE_QUERIES = {**without(QUERIES, "one dimension"), "a vector of another length": ([1.0], ValueError)}
RANKS = {
    **without(COUNT, "a list", "an array"), **NONE, **RESULTS, "no ranks": ([], ValueError),
    "a rank of 0": ([2, 0], ValueError), "ranks that are no integers": ([1.0], TypeError),
    "rows of ranks": ([[1, 2]], ValueError),
}  # fmt: skip
#: One for all queries, or one for each.
LIMITS = {
    **without(NUMBER, "a list", "lists of different lengths", "an array"), "too few": ([1.0], ValueError),
    "NaN among others": ([np.nan] + [1.0] * 59, ValueError), "one below 0": (np.full(60, -1), ValueError),
    "texts": (["a"] * 60, TypeError), "columns": (np.ones((60, 1)), ValueError),
}  # fmt: skip
NNARRAYS = {
    **ROWS,
    **ONE_ROW,
    "booleans": ([[True]], TypeError),
    "no columns": (np.zeros((2, 0)), ValueError),
    "from 0": ([[0, np.nan], [1, 0]], ValueError),
    "no integers": ([[1, np.nan], [2, 0.5]], ValueError),
    "its own": ([[1, np.nan], [2, 2]], ValueError),
    "infinity": ([[1, np.nan], [2, np.inf]], ValueError),
}

# By function and argument: the wrong values, and the call.
TABLE = vif_messages.TABLE | {
    "cover_tree(points)": ({**POINTS, **NONE, **NO_ROWS}, cover_tree),
    "cover_tree(kernel)": (KERNEL, lambda v: cover_tree(X, kernel=v)),
    "cover_tree(v_matrix)": ({**ROWS, **ONE_ROW, **OTHER_WIDTH}, lambda v: given(v_matrix=v)),
    "cover_tree(p_diag)": ({**ROWS, **ONE_ROW}, lambda v: given(p_diag=v)),
    "cover_tree(kernel_diag)": ({**ROWS, **ONE_ROW}, lambda v: given(kernel_diag=v)),
    "cover_tree(inducing_count)": ({**INTEGER, "above n": (61, ValueError)}, lambda v: of_kernel(inducing_count=v)),
    "cover_tree(inducing_points)": (
        {**without(POINTS, "no columns"), **OTHER_WIDTH, **NAME},
        lambda v: of_kernel(inducing_count=None, inducing_points=v),
    ),
    "cover_tree(jitter)": ({**NUMBER, "too much": (0.5, ValueError)}, lambda v: of_kernel(jitter=v)),
    "cover_tree(cover_tree_metric)": (CHOICE, lambda v: of_kernel(cover_tree_metric=v)),
    "cover_tree(metric)": (CHOICE, lambda v: cover_tree(X, metric=v)),
    "cover_tree(metric_params)": (
        {**{name: NO_NUMBER[name] for name in NO_NUMBER if name != "a dict"}, "another key": ({"q": 1}, ValueError)},
        lambda v: cover_tree(X, metric_params=v),
    ),
    "cover_tree(period)": (
        {
            **without(NUMBER, "a boolean", "a list", "an array", "lists of different lengths"),
            "0": (0, ValueError),
            "a list of three": ([1.0, 2.0, 3.0], ValueError),
            "strings": (["a", "b"], TypeError),
        },
        lambda v: cover_tree(X, period=v),
    ),
    "cover_tree(engine)": (CHOICE, lambda v: cover_tree(X, engine=v)),
    "cover_tree(order)": (CHOICE, lambda v: cover_tree(X, order=v)),
    "cover_tree(leaf_size)": ({**COUNT, "huge": (2**17, ValueError)}, lambda v: cover_tree(X, leaf_size=v)),
    "cover_tree(seed)": (SEED, lambda v: cover_tree(X, seed=v)),
    "cover_tree(dtype)": (ELEMENTS, lambda v: cover_tree(X, dtype=v)),
    "cover_tree(n_threads)": (THREADS, lambda v: cover_tree(X, n_threads=v)),
    "cover_tree(progress)": (FUNCTION, lambda v: cover_tree(X, progress=v)),
    "cover_tree(folder)": (PATH, lambda v: cover_tree(X, folder=v)),
    "cover_tree(partition_size)": (COUNT, lambda v: cover_tree(X, folder=new(), partition_size=v)),
    "load(path)": ({**PATH, **NONE}, covertreex.load),
    "load(points)": (
        {**ROWS, **ONE_ROW},
        lambda v: covertreex.load(saved("tree"), points=v),
    ),
    "load(kernel)": (KERNEL, lambda v: covertreex.load(saved("residual"), kernel=v)),
    "load(metric)": ({**FUNCTION, "None": (None, ValueError)}, lambda v: covertreex.load(saved("own"), metric=v)),
    "load(engine)": (CHOICE, lambda v: covertreex.load(saved("tree"), engine=v)),
    "load(progress)": (FUNCTION, lambda v: covertreex.load(saved("tree"), progress=v)),
    "set_num_threads(n_threads)": (
        {**without(THREADS, "0"), **NONE},
        covertreex.set_num_threads,
    ),
    "CoverTree(points)": ({**POINTS, **NONE, **NO_ROWS}, CoreTree),
    "CoverTree.export_arrays(n_threads)": (THREADS, lambda v: tree().export_arrays(n_threads=v)),
    "CoverTree.export_arrays(progress)": (FUNCTION, lambda v: tree().export_arrays(progress=v)),
    "CoverTree.validate(n_threads)": (THREADS, lambda v: tree().validate(n_threads=v)),
    "CoverTree.validate(progress)": (FUNCTION, lambda v: tree().validate(progress=v)),
    "CoverTree.insert(points)": ({**POINTS, **NONE, **OTHER_WIDTH}, lambda v: tree().insert(v)),
    "CoverTree.insert(n_threads)": (THREADS, lambda v: tree().insert(X, n_threads=v)),
    "CoverTree.insert(progress)": (FUNCTION, lambda v: tree().insert(X, progress=v)),
    "CoverTree.remove(indices)": (
        {**INDICES, **NONE, **OUTSIDE, "the same twice": ([0, 0], ValueError), "a float": (1.5, TypeError)},
        lambda v: tree().remove(v),
    ),
    "CoverTree.remove(n_threads)": (THREADS, lambda v: tree().remove([0], n_threads=v)),
    "CoverTree.remove(progress)": (FUNCTION, lambda v: tree().remove([0], progress=v)),
    "CoverTree.knn(k)": (RANKS, lambda v: tree().knn(v)),
    "CoverTree.knn(queries)": (TREE_QUERIES, lambda v: tree().knn(2, queries=v)),
    "CoverTree.knn(max_distance)": (LIMITS, lambda v: tree().knn(2, max_distance=v)),
    "CoverTree.knn(n_threads)": (THREADS, lambda v: tree().knn(2, n_threads=v)),
    "CoverTree.knn(progress)": (FUNCTION, lambda v: tree().knn(2, progress=v)),
    "CoverTree.radius(r)": ({**LIMITS, **NONE}, lambda v: tree().radius(v)),
    "CoverTree.radius(queries)": (TREE_QUERIES, lambda v: tree().radius(0.1, queries=v)),
    "CoverTree.radius(n_threads)": (THREADS, lambda v: tree().radius(0.1, n_threads=v)),
    "CoverTree.radius(progress)": (FUNCTION, lambda v: tree().radius(0.1, progress=v)),
    "NeighborGraphs.kneighbors_graph(k)": ({**COUNT, **NONE}, lambda v: tree().kneighbors_graph(v)),
    "NeighborGraphs.kneighbors_graph(mode)": (CHOICE, lambda v: tree().kneighbors_graph(2, mode=v)),
    "NeighborGraphs.kneighbors_graph(n_threads)": (THREADS, lambda v: tree().kneighbors_graph(2, n_threads=v)),
    "NeighborGraphs.kneighbors_graph(progress)": (FUNCTION, lambda v: tree().kneighbors_graph(2, progress=v)),
    "NeighborGraphs.radius_neighbors_graph(r)": ({**LIMITS, **NONE}, lambda v: tree().radius_neighbors_graph(v)),
    "NeighborGraphs.radius_neighbors_graph(mode)": (CHOICE, lambda v: tree().radius_neighbors_graph(0.1, mode=v)),
    "NeighborGraphs.radius_neighbors_graph(n_threads)": (
        THREADS,
        lambda v: tree().radius_neighbors_graph(0.1, n_threads=v),
    ),
    "NeighborGraphs.radius_neighbors_graph(progress)": (
        FUNCTION,
        lambda v: tree().radius_neighbors_graph(0.1, progress=v),
    ),
    "PairQuestions.pairs_within(r)": ({**NUMBER, **NONE}, lambda v: tree().pairs_within(v)),
    "PairQuestions.pairs_within(other)": (OBJECT, lambda v: tree().pairs_within(0.1, v)),
    "PairQuestions.pairs_within(n_threads)": (THREADS, lambda v: tree().pairs_within(0.1, n_threads=v)),
    "PairQuestions.pairs_within(progress)": (FUNCTION, lambda v: tree().pairs_within(0.1, progress=v)),
    "PairQuestions.sparse_distance_matrix(other)": (
        {**OBJECT, **NONE},
        lambda v: tree().sparse_distance_matrix(v, 0.1),
    ),
    "PairQuestions.sparse_distance_matrix(max_distance)": (
        {**NUMBER, **NONE},
        lambda v: tree().sparse_distance_matrix(tree(), v),
    ),
    "PairQuestions.sparse_distance_matrix(output_type)": (
        CHOICE,
        lambda v: tree().sparse_distance_matrix(tree(), 0.1, output_type=v),
    ),
    "PairQuestions.sparse_distance_matrix(n_threads)": (
        THREADS,
        lambda v: tree().sparse_distance_matrix(tree(), 0.1, n_threads=v),
    ),
    "PairQuestions.sparse_distance_matrix(progress)": (
        FUNCTION,
        lambda v: tree().sparse_distance_matrix(tree(), 0.1, progress=v),
    ),
    "PairQuestions.count_pairs(radii)": (
        {
            **NONE,
            "a string": ("abc", TypeError),
            "complex": ([1j], TypeError),
            "NaN": ([0.1, np.nan], ValueError),
            "below 0": ([0.1, -1], ValueError),
            "two dimensions": (np.ones((2, 2)), ValueError),
        },
        lambda v: tree().count_pairs(v),
    ),
    "PairQuestions.count_pairs(other)": (OBJECT, lambda v: tree().count_pairs(0.1, v)),
    "PairQuestions.count_pairs(weights)": (
        {
            "a string": ("abc", TypeError),
            "too few": (X[:3, 0], ValueError),
            "two columns": (X, ValueError),
            "NaN": (np.full(60, np.nan), ValueError),
            "a tuple of one": ((X[:, 0],), ValueError),
            "too few in a tuple": ((None, X[:3, 0]), ValueError),
        },
        lambda v: tree().count_pairs(0.1, weights=v),
    ),
    "PairQuestions.count_pairs(n_threads)": (THREADS, lambda v: tree().count_pairs(0.1, n_threads=v)),
    "PairQuestions.count_pairs(progress)": (FUNCTION, lambda v: tree().count_pairs(0.1, progress=v)),
    "PairQuestions.minimum_spanning_tree(mutual_k)": (
        {**COUNT, "all points": (60, ValueError)},
        lambda v: tree().minimum_spanning_tree(v),
    ),
    "PairQuestions.minimum_spanning_tree(n_threads)": (THREADS, lambda v: tree().minimum_spanning_tree(n_threads=v)),
    "PairQuestions.minimum_spanning_tree(progress)": (FUNCTION, lambda v: tree().minimum_spanning_tree(progress=v)),
    "CoverTree.save(path)": ({**PATH, **NONE}, lambda v: tree().save(v)),
    "CoverTree.save(progress)": (FUNCTION, lambda v: tree().save(new(), progress=v)),
    "ResidualTree(points)": ({**POINTS, **NONE, **NO_ROWS}, lambda v: ResidualTree(v, kernel=RBF())),
    "ResidualTree(kernel)": ({**KERNEL, **NONE}, lambda v: ResidualTree(X, kernel=v)),
    "residual_tree(points)": ({**POINTS, **NONE, **NO_ROWS}, lambda v: residual_tree(v, RBF())),
    "residual_tree(kernel)": ({**KERNEL, **NONE}, lambda v: residual_tree(X, v)),
    "residual_tree(n_inducing)": (
        {**INTEGER, "above n": (61, ValueError)},
        lambda v: residual_tree(X, RBF(), n_inducing=v),
    ),
    "residual_tree(inducing_points)": (
        {**without(POINTS, "no columns"), **OTHER_WIDTH, **NAME},
        lambda v: residual_tree(X, RBF(), inducing_points=v),
    ),
    "residual_tree(jitter)": (
        {**NUMBER, "too much": (0.5, ValueError)},
        lambda v: residual_tree(X, RBF(), n_inducing=5, jitter=v),
    ),
    "ResidualTree.from_features(v_matrix)": (
        {**ROWS, **NONE, **ONE_ROW, **OTHER_WIDTH},
        lambda v: ResidualTree.from_features(X, v, residual().p_diag, kernel=RBF()),
    ),
    "ResidualTree.from_features(p_diag)": (
        {**ROWS, **NONE, **ONE_ROW},
        lambda v: ResidualTree.from_features(X, residual().v_matrix, v, kernel=RBF()),
    ),
    "ResidualTree.features(points)": ({**RESIDUAL_POINTS, **NONE}, lambda v: residual().features(v)),
    "ResidualTree.validate(n_threads)": (THREADS, lambda v: residual().validate(n_threads=v)),
    "ResidualTree.validate(progress)": (FUNCTION, lambda v: residual().validate(progress=v)),
    "ResidualTree.find_duplicates(tol)": ({**NUMBER, **NONE}, lambda v: residual().find_duplicates(v)),
    "ResidualTree.insert(points)": ({**RESIDUAL_POINTS, **NONE}, lambda v: residual().insert(v)),
    "ResidualTree.insert(n_threads)": (THREADS, lambda v: residual().insert(X, n_threads=v)),
    "ResidualTree.insert(progress)": (FUNCTION, lambda v: residual().insert(X, progress=v)),
    "ResidualTree.remove(indices)": (
        {**INDICES, **NONE, **OUTSIDE, "the same twice": ([0, 0], ValueError), "a float": (1.5, TypeError)},
        lambda v: residual().remove(v),
    ),
    "ResidualTree.remove(n_threads)": (THREADS, lambda v: residual().remove([0], n_threads=v)),
    "ResidualTree.remove(progress)": (FUNCTION, lambda v: residual().remove([0], progress=v)),
    "ResidualTree.with_kernel(kernel)": ({**KERNEL, **NONE}, lambda v: residual().with_kernel(v)),
    "ResidualTree.with_kernel(n_inducing)": (
        {**INTEGER, "above n": (61, ValueError)},
        lambda v: residual().with_kernel(RBF(), n_inducing=v),
    ),
    "ResidualTree.with_kernel(inducing_points)": (
        {**without(POINTS, "no columns"), **OTHER_WIDTH, **NAME},
        lambda v: residual().with_kernel(RBF(), inducing_points=v),
    ),
    "ResidualTree.with_kernel(jitter)": (NUMBER, lambda v: residual().with_kernel(RBF(), jitter=v)),
    "ResidualTree.with_kernel(n_threads)": (THREADS, lambda v: residual().with_kernel(RBF(), n_threads=v)),
    "ResidualTree.with_kernel(progress)": (FUNCTION, lambda v: residual().with_kernel(RBF(), progress=v)),
    "ResidualTree.refit(kernel)": ({**KERNEL, **NONE}, lambda v: residual().refit(v)),
    "ResidualTree.refit(jitter)": (NUMBER, lambda v: residual().refit(RBF(), jitter=v)),
    "ResidualTree.knn(k)": ({**RANKS, **NONE, **RESULTS}, lambda v: residual().knn(v)),
    "ResidualTree.knn(queries)": (OWN_QUERIES, lambda v: residual().knn(2, queries=v)),
    "ResidualTree.knn(before)": (
        {**INDICES, "too few": ([1], ValueError)},
        lambda v: residual().knn(2, queries=[3, 4], before=v),
    ),
    "ResidualTree.knn(max_distance)": (LIMITS, lambda v: residual().knn(2, max_distance=v)),
    "ResidualTree.knn(max_distance), candidates": (LIMITS, lambda v: residual().knn(2, candidates=9, max_distance=v)),
    "ResidualTree.radius(r)": ({**LIMITS, **NONE}, lambda v: residual().radius(v)),
    "ResidualTree.radius(queries)": (OWN_QUERIES, lambda v: residual().radius(0.1, queries=v)),
    "ResidualTree.radius(n_threads)": (THREADS, lambda v: residual().radius(0.1, n_threads=v)),
    "ResidualTree.radius(progress)": (FUNCTION, lambda v: residual().radius(0.1, progress=v)),
    "ResidualTree.knn(candidates)": (COUNT, lambda v: residual().knn(2, candidates=v)),
    "ResidualTree.knn(n_threads)": (THREADS, lambda v: residual().knn(2, n_threads=v)),
    "ResidualTree.knn(progress)": (FUNCTION, lambda v: residual().knn(2, progress=v)),
    "ResidualTree.conditioning_sets(queries)": (
        {**RESIDUAL_POINTS, **NONE},
        lambda v: residual().conditioning_sets(3, queries=v),
    ),
    "ResidualTree.conditioning_sets(queries), among all": (
        {**RESIDUAL_POINTS, **NONE},
        lambda v: residual().conditioning_sets(3, queries=v, cond="all"),
    ),
    "ResidualTree.conditioning_sets(k)": (
        {**COUNT, **NONE, **RESULTS},
        lambda v: residual().conditioning_sets(v, queries=X),
    ),
    "ResidualTree.conditioning_sets(cond)": (
        {**CHOICE, **NONE},
        lambda v: residual().conditioning_sets(3, queries=X, cond=v),
    ),
    "ResidualTree.conditioning_sets(n_threads)": (
        THREADS,
        lambda v: residual().conditioning_sets(3, queries=X, n_threads=v),
    ),
    "ResidualTree.conditioning_sets(progress)": (
        FUNCTION,
        lambda v: residual().conditioning_sets(3, queries=X, progress=v),
    ),
    "ResidualTree.with_points(points)": ({**RESIDUAL_POINTS, **NONE, **NO_ROWS}, lambda v: residual().with_points(v)),
    "ResidualTree.with_points(n_threads)": (THREADS, lambda v: residual().with_points(X, n_threads=v)),
    "ResidualTree.with_points(progress)": (FUNCTION, lambda v: residual().with_points(X, progress=v)),
    "ResidualTree.save(path)": ({**PATH, **NONE}, lambda v: residual().save(v)),
    "ResidualTree.save(progress)": (FUNCTION, lambda v: residual().save(new(), progress=v)),
    "ResidualCoverTree(coords)": ({**POINTS, **NONE, **NO_ROWS}, covertreex.ResidualCoverTree),
    "ResidualCoverTree(variance)": (
        {**NUMBER, **NONE, "0": (0, ValueError)},
        lambda v: covertreex.ResidualCoverTree(X, variance=v),
    ),
    "ResidualCoverTree(lengthscale)": (
        {**without(NUMBER, "a list", "an array", "lists of different lengths"), **NONE, "0": (0, ValueError)},
        lambda v: covertreex.ResidualCoverTree(X, lengthscale=v),
    ),
    "ResidualCoverTree(inducing_count)": (
        {**COUNT, **NONE},
        lambda v: covertreex.ResidualCoverTree(X, inducing_count=v),
    ),
    "ResidualCoverTree(seed)": (SEED, lambda v: covertreex.ResidualCoverTree(X, seed=v)),
    "ResidualCoverTree(kernel_type)": (
        {**CHOICE, **NONE},
        lambda v: covertreex.ResidualCoverTree(X, kernel_type=v),
    ),
    "MappedTree(folder)": ({**PATH, **NONE}, MappedTree),
    "MappedTree.build(folder)": (PATH, lambda v: MappedTree.build(X, v)),
    "MappedTree.build(progress)": (FUNCTION, lambda v: cover_tree(X, folder=new(), progress=v)),
    "MappedTree.knn(k)": ({**COUNT, **NONE, **RESULTS}, lambda v: mapped().knn(v)),
    "MappedTree.knn(queries)": (
        {**POINTS, **OTHER_WIDTH, "a string": ("abc", TypeError)},
        lambda v: mapped().knn(2, queries=v),
    ),
    "MappedTree.knn(out)": (PATH, lambda v: mapped().knn(2, out=v)),
    "MappedTree.knn(n_threads)": (THREADS, lambda v: mapped().knn(2, n_threads=v)),
    "MappedTree.knn(progress)": (FUNCTION, lambda v: mapped().knn(2, progress=v)),
    "MappedTree.radius(r)": ({**NUMBER, **NONE}, lambda v: mapped().radius(v, queries=X)),
    "MappedTree.radius(queries)": ({**POINTS, **OTHER_WIDTH}, lambda v: mapped().radius(0.1, queries=v)),
    "MappedTree.radius(n_threads)": (THREADS, lambda v: mapped().radius(0.1, queries=X, n_threads=v)),
    "RBF(lengthscale)": (
        {
            **without(NUMBER, "a list", "an array", "lists of different lengths"),
            **NONE,
            "0": (0, ValueError),
            "none": ([], ValueError),
            "strings": (["a"], TypeError),
            "two dimensions": ([[1.0]], ValueError),
            "one below 0": ([1.0, -1.0], ValueError),
            "lists of different lengths": ([[1.0], [1.0, 2.0]], ValueError),
        },
        lambda v: RBF(lengthscale=v),
    ),
    "RBF(variance)": ({**NUMBER, **NONE, "0": (0, ValueError)}, lambda v: RBF(variance=v)),
    "RBF.__call__(X1)": ({**ROWS, **ONE_ROW, **NONE}, RBF()),
    "RBF.__call__(X2)": ({**ROWS, **ONE_ROW, **OTHER_WIDTH}, lambda v: RBF()(X, v)),
    "vecchia.ordering(points)": ({**POINTS, **NONE}, vecchia.ordering),
    "vecchia.ordering(points), random": (
        {**without(POINTS, "beyond what can be squared"), **NONE},
        lambda v: vecchia.ordering(v, "random"),
    ),
    "vecchia.ordering(points), natural": (
        {**without(POINTS, "beyond what can be squared"), **NONE},
        lambda v: vecchia.ordering(v, "natural"),
    ),
    "vecchia.ordering(method)": ({**CHOICE, **NONE}, lambda v: vecchia.ordering(X, v)),
    "vecchia.ordering(seed)": ({**SEED, **NONE}, lambda v: vecchia.ordering(X, "random", seed=v)),
    "vecchia.ordering(n_threads)": (THREADS, lambda v: vecchia.ordering(X, n_threads=v)),
    "vecchia.ordering(progress)": (FUNCTION, lambda v: vecchia.ordering(X, progress=v)),
    "vecchia.neighbors(points)": (
        {**POINTS, **NONE, **NO_ROWS},
        lambda v: vecchia.neighbors(v, kernel=RBF(), m=3),
    ),
    "vecchia.neighbors(kernel)": ({**KERNEL, **NONE}, lambda v: chosen(kernel=v)),
    "vecchia.neighbors(m)": ({**COUNT, **NONE, **RESULTS}, lambda v: chosen(m=v)),
    "vecchia.neighbors(n_inducing)": (
        {**INTEGER, "above n": (61, ValueError)},
        lambda v: chosen(n_inducing=v),
    ),
    "vecchia.neighbors(inducing_points)": (
        {**without(POINTS, "no columns"), **OTHER_WIDTH, **NAME},
        lambda v: chosen(inducing_points=v),
    ),
    "vecchia.neighbors(ordering)": (
        {
            **INDICES,
            **NONE,
            "another name": ("foo", ValueError),
            "a string": ("abc", ValueError),
            "too few": ([0, 1], ValueError),
            "one twice": ([0, *range(59)], ValueError),
        },
        lambda v: chosen(ordering=v),
    ),
    "vecchia.neighbors(seed)": (SEED, lambda v: chosen(seed=v)),
    "vecchia.neighbors(jitter)": (NUMBER, lambda v: chosen(jitter=v)),
    "vecchia.neighbors(dtype)": ({**ELEMENTS, **NONE}, lambda v: chosen(dtype=v)),
    "vecchia.neighbors(n_threads)": (THREADS, lambda v: chosen(n_threads=v)),
    "vecchia.neighbors(progress)": (FUNCTION, lambda v: chosen(progress=v)),
    "vecchia.fit(coords)": ({**POINTS, **NONE, **NO_ROWS}, lambda v: vecchia.fit(v, [1.0])),
    "vecchia.fit(y)": ({**VECTOR, **NONE}, lambda v: vecchia.fit(X, v)),
    "vecchia.fit(kernel)": ({**without(KERNEL, "a name"), **NAME, **NONE}, lambda v: fit(kernel=v)),
    "vecchia.fit(noise)": (NUMBER, lambda v: fit(noise=v)),
    "vecchia.fit(weights)": ({**VECTOR, "one below 0": (-np.ones(60), ValueError)}, lambda v: fit(weights=v)),
    "vecchia.fit(bounds)": (
        {**without(CHOICE, "another name", "nothing"), "another name": ({"foo": (1, 2)}, ValueError)},
        lambda v: fit(bounds=v),
    ),
    "vecchia.fit(restarts)": ({**INTEGER, **NONE}, lambda v: fit(restarts=v)),
    "vecchia.fit(max_iterations)": ({**INTEGER, **NONE}, lambda v: fit(max_iterations=v)),
    "vecchia.fit(tolerance)": ({**NUMBER, **NONE}, lambda v: fit(tolerance=v)),
    "vecchia.fit(seed)": (SEED, lambda v: fit(seed=v)),
    "vecchia.fit(n_threads)": (THREADS, lambda v: fit(n_threads=v)),
    "vecchia.fit(callback)": (FUNCTION, lambda v: fit(callback=v)),
    "vecchia.scores(y)": (
        {**without(VECTOR, "too few"), **NONE},
        lambda v: vecchia.scores(v, np.zeros(60), np.ones(60)),
    ),
    "vecchia.scores(mean)": ({**VECTOR, **NONE}, lambda v: vecchia.scores(np.zeros(60), v, np.ones(60))),
    "vecchia.scores(variance)": (
        {**VECTOR, **NONE, "one below 0": (-np.ones(60), ValueError)},
        lambda v: vecchia.scores(np.zeros(60), np.zeros(60), v),
    ),
    "vecchia.scores(levels)": (
        {**without(VECTOR, "too few"), **NONE, "one above 1": ([0.5, 2], ValueError)},
        lambda v: vecchia.scores([0.0], [0.0], [1.0], levels=v),
    ),
    "vecchia.to_nnarray(neighbors)": ({**SETS, **NONE}, vecchia.to_nnarray),
    "vecchia.from_nnarray(nnarray)": ({**NNARRAYS, **NONE}, vecchia.from_nnarray),
    "vecchia.to_linv(model)": ({**OBJECT, **NONE}, vecchia.to_linv),
    "vecchia.from_linv(linv)": (
        {**ROWS, **ONE_ROW, **OTHER_WIDTH, **NONE, "NaN": ([[1.0, 0.0], [np.nan, 0.0]], ValueError)},
        lambda v: vecchia.from_linv(v, [[1, np.nan], [2, 1]]),
    ),
    "vecchia.from_linv(nnarray)": ({**NNARRAYS, **NONE}, lambda v: vecchia.from_linv(np.eye(2), v)),
    "vecchia.to_neighbor_info(neighbors)": (
        {**SETS, **NONE, "a missing rank": ([[-1, -1], [0, -1], [1, -1], [2, 1]], ValueError)},
        lambda v: vecchia.to_neighbor_info(v, np.arange(4)),
    ),
    "vecchia.to_neighbor_info(order)": (
        {**INDICES, **NONE, "too few": ([0], ValueError), "twice": ([1, 1], ValueError)},
        lambda v: vecchia.to_neighbor_info([[-1], [0]], v),
    ),
    "vecchia.from_neighbor_info(info)": (
        {**OBJECT, **NONE, "no fields": ({}, ValueError), "a list": ([("ord", [1])], TypeError)},
        vecchia.from_neighbor_info,
    ),
    "vecchia.from_csr(offsets)": (
        {**INDICES, **NONE, "nothing": ([], ValueError), "falling": ([0, 1, 0], ValueError)},
        lambda v: vecchia.from_csr(v, [0]),
    ),
    "vecchia.from_csr(ranks)": (
        {**INDICES, **NONE, "its own": ([1], ValueError), "below 0": ([-1], ValueError)},
        lambda v: vecchia.from_csr([0, 0, 1], v),
    ),
    "ConditioningSets.save(path)": ({**PATH, **NONE}, lambda v: sets().save(v)),
    "ConditioningSets.save(progress)": (FUNCTION, lambda v: sets().save(new(), progress=v)),
    "ConditioningSets.load(path)": ({**PATH, **NONE}, vecchia.ConditioningSets.load),
    "ConditioningSets.load(input_hash)": (
        {"a number": (3, TypeError), "bytes": (b"abc", TypeError)},
        lambda v: vecchia.ConditioningSets.load(saved("sets"), input_hash=v),
    ),
    "BruteForce(dim)": ({**COUNT, **NONE, "huge": (2**40, ValueError)}, BruteForce),
    "BruteForce(metric)": ({**CHOICE, **NONE}, lambda v: BruteForce(2, metric=v)),
    "BruteForce(storage)": ({**CHOICE, **NONE}, lambda v: BruteForce(2, storage=v)),
    "KDTree(dim)": ({**COUNT, **NONE, "huge": (2**40, ValueError)}, KDTree),
    "KDTree(metric)": ({**CHOICE, **NONE}, lambda v: KDTree(2, metric=v)),
    "KDTree(leaf_size)": ({**COUNT, **NONE}, lambda v: KDTree(2, leaf_size=v)),
    "KDTree(split)": ({**CHOICE, **NONE}, lambda v: KDTree(2, split=v)),
    "LSH(dim)": ({**COUNT, **NONE, "huge": (2**40, ValueError)}, LSH),
    "LSH(metric)": ({**CHOICE, **NONE}, lambda v: LSH(2, metric=v)),
    "LSH(mode)": ({**CHOICE, **NONE}, lambda v: LSH(2, mode=v)),
    "LSH(n_bits)": ({**COUNT, "huge": (2**30, ValueError)}, lambda v: LSH(2, n_bits=v)),
    "LSH(n_candidates)": ({**COUNT, **NONE}, lambda v: LSH(2, n_candidates=v)),
    "LSH(n_tables)": ({**COUNT, **NONE}, lambda v: LSH(2, n_tables=v)),
    "LSH(n_probes)": ({**COUNT, **NONE}, lambda v: LSH(2, n_probes=v)),
    "LSH(storage)": ({**CHOICE, **NONE}, lambda v: LSH(2, storage=v)),
    "LSH(seed)": ({**SEED, **NONE}, lambda v: LSH(2, seed=v)),
    "HNSW(dim)": ({**COUNT, **NONE, "huge": (2**40, ValueError)}, HNSW),
    "HNSW(metric)": ({**CHOICE, **NONE}, lambda v: HNSW(2, metric=v)),
    "HNSW(m)": ({**COUNT, **NONE, "huge": (2**30, ValueError)}, lambda v: HNSW(2, m=v)),
    "HNSW(ef_construction)": ({**COUNT, **NONE}, lambda v: HNSW(2, ef_construction=v)),
    "HNSW(ef_search)": ({**COUNT, **NONE}, lambda v: HNSW(2, ef_search=v)),
    "HNSW(storage)": ({**CHOICE, **NONE}, lambda v: HNSW(2, storage=v)),
    "HNSW(seed)": ({**SEED, **NONE}, lambda v: HNSW(2, seed=v)),
    "VectorIndex.add(vectors)": (
        {**POINTS, **OTHER_WIDTH, **NONE} | {"one dimension": ([1.0, 2.0, 3.0], ValueError)},
        lambda v: brute_force().add(None, v),
    ),
    "VectorIndex.add(slots)": (
        {**without(INDICES, "a string"), **NO_SLOTS},
        lambda v: BruteForce(store()).add(None, slots=v),
    ),
    "VectorIndex.add(n_threads)": (THREADS, lambda v: brute_force().add(None, X, n_threads=v)),
    "VectorIndex.add(progress)": (FUNCTION, lambda v: brute_force().add(None, X, progress=v)),
    "VectorIndex.update(vectors)": (
        {**POINTS, **OTHER_WIDTH, **NONE} | {"one dimension": ([1.0, 2.0, 3.0], ValueError)},
        lambda v: brute_force().update([1], v),
    ),
    "VectorIndex.update(n_threads)": (THREADS, lambda v: brute_force().update([1], X[:1], n_threads=v)),
    "VectorIndex.update(progress)": (FUNCTION, lambda v: brute_force().update([1], X[:1], progress=v)),
    "VectorIndex.rebuild(n_threads)": (THREADS, lambda v: brute_force().rebuild(n_threads=v)),
    "VectorIndex.rebuild(progress)": (FUNCTION, lambda v: brute_force().rebuild(progress=v)),
    "VectorIndex.knn(queries)": ({**POINTS, **OTHER_WIDTH, **NONE}, lambda v: brute_force().knn(3, queries=v)),
    "VectorIndex.knn(k)": ({**COUNT, **NONE, **RESULTS}, lambda v: brute_force().knn(v, queries=X)),
    "VectorIndex.knn(n_threads)": (THREADS, lambda v: brute_force().knn(2, queries=X, n_threads=v)),
    "VectorIndex.knn(progress)": (FUNCTION, lambda v: brute_force().knn(2, queries=X, progress=v)),
    "VectorIndex.knn(ef_search)": ({**COUNT, **NONE}, lambda v: graph().knn(2, queries=X, ef_search=v)),
    "VectorIndex.knn(n_candidates)": ({**COUNT, **NONE}, lambda v: codes().knn(2, queries=X, n_candidates=v)),
    "VectorIndex.knn(other)": ({"no vector": (1, TypeError)}, lambda v: graph().knn(2, queries=X, other=v)),
    "VectorIndex.knn_one(query)": (
        {
            **without(ROWS, "a number", "complex numbers"),
            **NONE,
            "a number": (3.0, ValueError),
            "two dimensions": (X, ValueError),
            "NaN": ([np.nan, 0.0], ValueError),
            "other columns": ([0.0, 1.0, 2.0], ValueError),
        },
        lambda v: brute_force().knn_one(3, query=v),
    ),
    "VectorIndex.knn_one(k)": ({**COUNT, **NONE}, lambda v: brute_force().knn_one(v, query=X[0])),
    "VectorIndex.knn_one(n_threads)": (THREADS, lambda v: brute_force().knn_one(3, query=X[0], n_threads=v)),
    "VectorIndex.radius(queries)": ({**POINTS, **OTHER_WIDTH, **NONE}, lambda v: brute_force().radius(0.1, queries=v)),
    "VectorIndex.radius(r)": ({**NUMBER, **NONE}, lambda v: brute_force().radius(v, queries=X)),
    "VectorIndex.radius(n_threads)": (THREADS, lambda v: brute_force().radius(0.1, queries=X, n_threads=v)),
    "VectorIndex.radius(progress)": (FUNCTION, lambda v: brute_force().radius(0.1, queries=X, progress=v)),
    "VectorIndex.save(path)": ({**PATH, **NONE}, lambda v: brute_force().save(v)),
    "VectorIndex.save(progress)": (FUNCTION, lambda v: brute_force().save(new(), progress=v)),
    "VectorIndex.load(path)": ({**PATH, **NONE}, BruteForce.load),
    "VectorIndex.load(store)": (
        {**OBJECT, "a class": (VectorStore, TypeError)},
        lambda v: BruteForce.load(saved("index"), store=v),
    ),
    "indexes.load(path)": ({**PATH, **NONE}, indexes.load),
    "indexes.load(store)": (
        {**OBJECT, "a class": (VectorStore, TypeError)},
        lambda v: indexes.load(saved("index"), store=v),
    ),
    "indexes.load(progress)": (FUNCTION, lambda v: indexes.load(saved("index"), progress=v)),
    "VectorStore(dim)": ({**COUNT, **NONE, "huge": (2**40, ValueError)}, VectorStore),
    "VectorStore.open(path)": ({**PATH, **NONE}, lambda v: VectorStore.open(v, 2)),
    "VectorStore.open(dim)": (COUNT, lambda v: VectorStore.open(new(), v)),
    "VectorStore.open(sync)": ({**CHOICE, **NONE}, lambda v: VectorStore.open(new(), 2, sync=v)),
    "VectorStore.open(progress)": (FUNCTION, lambda v: VectorStore.open(new(), 2, progress=v)),
    "VectorStore.restore(snapshot)": ({**PATH, **NONE}, lambda v: VectorStore.restore(v, new())),
    "VectorStore.restore(path)": ({**PATH, **NONE}, lambda v: VectorStore.restore(folder(), v)),
    "VectorStore.restore(sync)": (CHOICE, lambda v: VectorStore.restore(folder(), new(), sync=v)),
    "VectorStore.restore(progress)": (FUNCTION, lambda v: VectorStore.restore(folder(), new(), progress=v)),
    "VectorStore.add(vector)": (
        {**ROWS, **NONE, "other columns": (np.zeros(3), ValueError), "NaN": ([np.nan, 1.0], ValueError)},
        lambda v: store().add("new", v),
    ),
    "VectorStore.add_batch(vectors)": (
        {
            **POINTS,
            **NONE,
            "no columns": (np.zeros((1, 0)), ValueError),
            "other columns": (np.zeros((1, 5)), ValueError),
        },
        lambda v: store().add_batch([100], v),
    ),
    "VectorStore.add_batch(progress)": (FUNCTION, lambda v: store().add_batch([100], X[:1], progress=v)),
    "VectorStore.n_owners(slot)": (SLOT, lambda v: store().n_owners(v)),
    "VectorStore.get_slot(slot)": (SLOT, lambda v: store().get_slot(v)),
    "VectorStore.get_batch(slots)": ({**INDICES, **NONE, **NO_SLOTS}, lambda v: store().get_batch(v)),
    "VectorStore.snapshot(path)": ({**PATH, **NONE}, lambda v: store().snapshot(v)),
    "VectorStore.snapshot(progress)": (FUNCTION, lambda v: store().snapshot(new(), progress=v)),
    "VectorStore.check(progress)": (FUNCTION, lambda v: store().check(progress=v)),
    "VectorStore.compact(progress)": (FUNCTION, lambda v: store().compact(progress=v)),
    "telemetry.read(path)": ({**PATH, **NONE}, telemetry.read),
    "telemetry.summarise(records)": (
        {
            "None": (None, TypeError),
            "a number": (3, TypeError),
            "a string": ("abc", TypeError),
            "others": ([1], TypeError),
        },
        telemetry.summarise,
    ),
    "Log(most)": (INTEGER, telemetry.Log),
    "Log.save(path)": ({**PATH, **NONE}, lambda v: telemetry.Log().save(v)),
    "Record.from_json(line)": (
        {"None": (None, TypeError), "a number": (3, TypeError), "a string": ("abc", ValueError)},
        telemetry.Record.from_json,
    ),
}


def plots():
    plot = pytest.importorskip("covertreex.plot")
    trees = {**OBJECT, **NONE, "a class": (CoverTree, TypeError)}
    axes = {"a number": (3, TypeError), "an object": (Thing(), TypeError)}
    return {
        "plot.levels(tree)": (trees, plot.levels),
        "plot.levels(ax)": (axes, lambda v: plot.levels(tree(), ax=v)),
        "plot.tree(tree)": (trees, plot.tree),
        "plot.tree(n_levels)": ({**COUNT, **NONE}, lambda v: plot.tree(tree(), n_levels=v)),
        "plot.tree(axes)": ({**axes, "none": ([], ValueError)}, lambda v: plot.tree(tree(), axes=v)),
        "plot.conditioning_set(points)": (
            {**ROWS, **ONE_ROW, **NONE, "too few": (X[:3], ValueError)},
            lambda v: plot.conditioning_set(v, sets(), 3),
        ),
        "plot.conditioning_set(sets)": ({**OBJECT, **NONE}, lambda v: plot.conditioning_set(X, v, 3)),
        "plot.conditioning_set(rank)": (
            {**INTEGER, **NONE, "too large": (60, ValueError)},
            lambda v: plot.conditioning_set(X, sets(), v),
        ),
        "plot.conditioning_set(ax)": (axes, lambda v: plot.conditioning_set(X, sets(), 3, ax=v)),
        "plot.correlation_decay(tree)": (
            {**trees, "a Euclidean tree": (tree(), TypeError)},
            plot.correlation_decay,
        ),
        "plot.correlation_decay(n_points)": (COUNT, lambda v: plot.correlation_decay(residual(), n_points=v)),
        "plot.correlation_decay(n_bins)": (COUNT, lambda v: plot.correlation_decay(residual(), n_bins=v)),
        "plot.correlation_decay(seed)": (SEED, lambda v: plot.correlation_decay(residual(), seed=v)),
        "plot.correlation_decay(ax)": (axes, lambda v: plot.correlation_decay(residual(), ax=v)),
        "plot.scaling(results)": (
            {
                **NONE,
                "a number": (3, TypeError),
                "bytes": (b"path", TypeError),
                "no path": ("", ValueError),
                "none": ([], ValueError),
                "numbers": ([1], TypeError),
                "others": ([{}], ValueError),
            },
            plot.scaling,
        ),
        "plot.scaling(axes)": (
            {**axes, "none": ([], ValueError)},
            lambda v: plot.scaling([dict.fromkeys(ROW, 1)], axes=v),
        ),
        **plots_of_processes(plot, axes),
    }


def plots_of_processes(plot, axes):
    response = {**without(VECTOR, "too few"), "too few": (X[:3, 0], ValueError)}
    models = {**OBJECT, **NONE, "a class": (vecchia.VIF, TypeError)}
    two = functools.partial(plot.field, vif_messages.model(), n_grid=3)
    field = functools.partial(two, X[:, 0])
    return {
        "plot.calibration(y)": (
            {**without(VECTOR, "too few"), **NONE},
            lambda v: plot.calibration(v, np.zeros(60), np.ones(60)),
        ),
        "plot.calibration(mean)": ({**VECTOR, **NONE}, lambda v: plot.calibration(np.zeros(60), v, np.ones(60))),
        "plot.calibration(variance)": (
            {**VECTOR, **NONE, "one below 0": (-np.ones(60), ValueError)},
            lambda v: plot.calibration(np.zeros(60), np.zeros(60), v),
        ),
        "plot.calibration(confidence)": (
            {**NUMBER, **NONE, "0": (0, ValueError), "1": (1, ValueError)},
            lambda v: plot.calibration([0.0], [0.0], [1.0], confidence=v),
        ),
        "plot.calibration(ax)": (axes, lambda v: plot.calibration([0.0], [0.0], [1.0], ax=v)),
        "plot.history(fit)": (
            {**models, "a string": ("abc", TypeError), "numbers": ([1], TypeError), "nothing": ([], ValueError)},
            plot.history,
        ),
        "plot.history(ax)": (axes, lambda v: plot.history(fit(), ax=v)),
        "plot.relevance(model)": (models, plot.relevance),
        "plot.relevance(names)": (
            {**OBJECT, "a string": ("ab", TypeError), "one": (["a"], ValueError)},
            lambda v: plot.relevance(vif_messages.model(), names=v),
        ),
        "plot.relevance(n_shown)": ({**COUNT, **NONE}, lambda v: plot.relevance(vif_messages.model(), n_shown=v)),
        "plot.relevance(ax)": (axes, lambda v: plot.relevance(vif_messages.model(), ax=v)),
        "plot.field(model)": (models, plot.field),
        "plot.field(y)": ({**response, "None": (None, ValueError)}, two),
        "plot.field(columns)": (
            {
                **INDICES,
                **NONE,
                "one": ([0], ValueError),
                "one twice": ([1, 1], ValueError),
                "below 0": ([0, -1], ValueError),
                "too large": ([0, 2], ValueError),
            },
            lambda v: field(columns=v),
        ),
        "plot.field(at)": ({**VECTOR}, lambda v: field(at=v)),
        "plot.field(n_grid)": ({**COUNT, **NONE, "1": (1, ValueError)}, lambda v: field(n_grid=v)),
        "plot.field(n_points)": ({**INTEGER, **NONE}, lambda v: field(n_points=v)),
        "plot.field(axes)": ({**axes, "nothing": ([], ValueError)}, lambda v: field(axes=v)),
    }


ROW = ("workload", "who", "n_points", "build_seconds", "queries_per_second")


def jitted():
    numba = pytest.importorskip("covertreex.numba")
    trees = {**OBJECT, **NONE, "an index": (brute_force(), TypeError)}
    hybrid = functools.partial(numba.knn, tree())
    return {
        "numba.as_numba(tree)": (trees, numba.as_numba),
        "numba.knn(tree)": (trees, lambda v: numba.knn(v, 3)),
        "numba.knn(k)": ({**COUNT, **NONE, **RESULTS}, hybrid),
        "numba.knn(queries)": (
            without(QUERIES, "beyond what can be squared"),
            lambda v: hybrid(2, queries=v),
        ),
        "numba.knn(queries), residual": (
            QUERIES,
            lambda v: numba.knn(residual(), 2, queries=v),
        ),
        "numba.knn(before)": (
            {**INDICES, "too few": ([1], ValueError)},
            lambda v: numba.knn(residual(), 2, queries=[3, 4], before=v),
        ),
        "numba.knn(max_distance)": (NUMBER, lambda v: hybrid(2, max_distance=v)),
        "numba.knn(n_threads)": (THREADS, lambda v: hybrid(2, n_threads=v)),
        "numba.knn(progress)": (FUNCTION, lambda v: hybrid(2, progress=v)),
        "numba.radius(tree)": (
            {**trees, "a residual tree": (residual(), TypeError)},
            lambda v: numba.radius(v, 3),
        ),
        "numba.radius(r)": ({**NUMBER, **NONE}, lambda v: numba.radius(tree(), v)),
        "numba.radius(queries)": (
            without(QUERIES, "beyond what can be squared"),
            lambda v: numba.radius(tree(), 0.1, queries=v),
        ),
        "numba.radius(n_threads)": (THREADS, lambda v: numba.radius(tree(), 0.1, n_threads=v)),
        "numba.radius(progress)": (FUNCTION, lambda v: numba.radius(tree(), 0.1, progress=v, count_only=True)),
    }


def assert_each_is_named(where, kind, call):
    name = re.search(r"\((\w+)\)", where)[1]
    wrong = []
    for label, (value, expected) in kind.items():
        try:
            call(value)
        except Exception as error:
            said = str(error)
            if type(error) is not expected:
                wrong.append(f"{label}: {expected.__name__} expected, got {type(error).__name__}: {said}")
            elif not re.match(rf"{name}(\[[^\]]*\])?: ", said):
                wrong.append(f"{label}: names something else: {said}")
        else:
            wrong.append(f"{label}: was accepted")
    assert not wrong, "\n".join([where, *wrong])


@pytest.mark.parametrize("where", TABLE)
def test_errors_name_the_argument(where):
    assert_each_is_named(where, *TABLE[where])


@pytest.mark.parametrize("rows", [plots, jitted])
def test_errors_name_the_argument_if_more_is_installed(rows):
    for where, row in rows().items():
        assert_each_is_named(where, *row)


def test_calls_that_failed_changed_nothing():
    for where in TABLE:
        if re.match(r"(CoverTree|ResidualTree|VectorIndex|VectorStore|VIF|Stored)\.", where):
            test_errors_name_the_argument(where)
    assert (len(tree()), len(residual()), len(brute_force()), len(store())) == (60, 60, 60, 5)
    assert np.array_equal(tree().knn(1)[:, 0], np.arange(60))
    assert isinstance(residual().kernel, Matern52)
    assert np.array_equal(brute_force().knn(1, queries=X)[0][:, 0], np.arange(60))
    vif_messages.assert_unchanged()


# Arguments that are true or false, for which anything goes.
FLAGS = {
    "return_distances", "predecessor_mode", "exclude_self", "count_only", "mmap", "verify", "rerank", "read_only",
    "eval_gradient", "return_var", "return_cov", "latent",
    "ard", "refit", "verbose", "cumulative", "include_self",
}  # fmt: skip
# Ids, and filters made of them. Other tests are for these.
OF_IDS = {"id", "ids", "filter", "one"}
# Settings that other rows of the table are for: the same code checks them.
SHARED = {
    "CoverTree": {
        "metric", "metric_params", "period", "engine", "order", "leaf_size", "seed", "dtype", "n_threads", "progress",
    },
    "ResidualTree": {
        "n_inducing", "inducing_points", "jitter", "cover_tree_metric", "engine", "order", "seed", "n_threads",
        "progress",
    },
    "ResidualTree.from_features": {"points", "kernel", "kernel_diag", "n_threads", "progress"},
    "residual_tree": {"cover_tree_metric", "engine", "seed", "n_threads", "progress"},
    "ResidualCoverTree": {"engine", "chunk_size"},
    "MappedTree.build": {"points", "partition_size", "dtype"},
    "ConditioningSets.load": set(),
    "VectorIndex.update": {"slots"},
    "VectorIndex.load": {"progress"},
}  # fmt: skip


# Classes that callers do not make.
_OF_RESULTS = ("VectorIndex", "Record", "ConditioningSets", "Calibration")


def public():
    """Functions, classes and their methods, with their arguments."""
    modules = {"": covertreex, "vecchia.": vecchia, "indexes.": indexes, "telemetry.": telemetry}
    functions = {
        f"{prefix}{name}": one
        for prefix, module in modules.items()
        for name, one in vars(module).items()
        if inspect.isfunction(one)
        and name in getattr(module, "__all__", ("ordering", "neighbors"))
        and not one.__module__.startswith("covertreex.legacy")
    }
    classes = [
        CoverTree, NeighborGraphs, PairQuestions, ResidualTree, covertreex.ResidualCoverTree, MappedTree,
        vecchia.ConditioningSets, RBF, BruteForce, KDTree, LSH, HNSW, indexes.VectorIndex, VectorStore, telemetry.Log,
        telemetry.Record, vecchia.VIF, Inference, Stored, vecchia.Calibration,
    ]  # fmt: skip
    for kind in classes:
        has_own = "__init__" in vars(kind) and kind.__name__ not in _OF_RESULTS
        if has_own:
            functions[kind.__name__] = kind.__init__
        for name, one in vars(kind).items():
            inner = getattr(one, "__func__", one)
            if inspect.isfunction(inner) and (not name.startswith("_") or name == "__call__"):
                functions[f"{kind.__name__}.{name}"] = inner
    return functions


def test_no_argument_is_left_out():
    left_out = []
    for where, function in public().items():
        for name, parameter in inspect.signature(function).parameters.items():
            known = name in {"self", "cls"} | FLAGS | OF_IDS or parameter.kind is parameter.VAR_KEYWORD
            if not known and f"{where}({name})" not in TABLE and name not in SHARED.get(where, ()):
                left_out.append(f"{where}({name})")
    assert left_out == []
    assert len(public()) > 50


def test_options_that_need_others():
    for name, value in [
        ("inducing_count", 10),
        ("jitter", 1e-6),
        ("cover_tree_metric", "euclidean"),
        ("inducing_points", "random"),
    ]:
        with pytest.raises(ValueError, match=f"{name}: expected only with a kernel"):
            cover_tree(X, **{name: value})
    with pytest.raises(ValueError, match="n_inducing: cannot be combined"):
        chosen(n_inducing=3, inducing_points=X[:3])
    # Without effect on a residual tree, but not without a check.
    with pytest.raises(TypeError, match="dtype: expected"):
        of_kernel(dtype="float16")
    with pytest.raises(ValueError, match="leaf_size: expected"):
        of_kernel(leaf_size=0)


def test_empty_collections(tmp_path):
    nothing = np.empty((0, 2))
    changed = cover_tree(X)
    assert changed.remove([]) is None and changed.remove(()) is None and changed.remove(np.empty(0, int)) is None
    assert changed.insert(nothing).tolist() == []
    assert len(changed) == 60
    assert changed.knn(3, queries=[]).shape == changed.knn(3, queries=nothing).shape == (0, 3)
    assert changed.radius(0.1, queries=[]).offsets.tolist() == [0]
    other = cover_tree(X, kernel=RBF(), inducing_count=5)
    assert other.insert(nothing).tolist() == []
    assert other.features(nothing)[0].shape == (0, 5)
    assert other.knn(3, queries=[]).shape == other.knn(3, queries=nothing).shape == (0, 3)
    assert other.knn(3, queries=[], before=[]).shape == (0, 3)
    assert other.knn(3, queries=[], candidates=5).shape == (0, 3)
    for cond in ("train", "all"):
        assert other.conditioning_sets(3, queries=nothing, cond=cond).shape == (0, 3)
    index = BruteForce(2)
    assert index.add([], nothing).tolist() == index.add(None, nothing).tolist() == []
    index.add(None, X)
    assert index.remove([]) is None and index.update([], nothing) is None
    assert index.get([]).shape == (0, 2)
    assert index.knn(3, queries=nothing)[0].shape == (0, 3)
    assert len(index) == 60
    vectors = VectorStore(2)
    assert vectors.add_batch([], nothing).tolist() == [] and vectors.remove_batch([]) is None
    assert vectors.slots([]).tolist() == [] and vectors.get_batch([]).shape == (0, 2)
    for method in vecchia.ORDERINGS:
        assert vecchia.ordering(nothing, method).tolist() == []
    assert RBF()(nothing, X).shape == (0, 60)
    on_disk = cover_tree(X, folder=tmp_path / "partitions", partition_size=20)
    assert on_disk.knn(3, queries=nothing).shape == (0, 3)
    assert telemetry.summarise([]) == []


def test_a_number_is_not_the_descriptor_of_a_file(tmp_path):
    with open(tmp_path / "open", "w") as file:
        for call in (telemetry.read, telemetry.Log().save, covertreex.load, tree().save):
            with pytest.raises(TypeError, match="path: expected a path"):
                call(file.fileno())
        file.write("still open")


def test_errors_of_dask_name_the_argument():
    dask = pytest.importorskip("covertreex.dask")
    rows, y = without(POINTS, "rows of different lengths", "masked", "one dimension"), np.arange(60.0)
    table = {
        "dask.cover_tree(points)": (
            {
                **NONE,
                **{name: rows[name] for name in ("bytes", "a class", "an object", "a dict", "a set")},
                "a list": ([[0.0, 1.0]], TypeError),
                "a descriptor": (10**6, TypeError),
                "no path": ("", ValueError),
                "no folder": (str(folder() / "none"), FileNotFoundError),
                "strings": (np.array([["a"]]), TypeError),
                "one dimension": (np.zeros(3), ValueError),
                "no rows": (np.zeros((0, 2)), ValueError),
            },
            dask.cover_tree,
        ),
        "dask.cover_tree(kernel)": (KERNEL, lambda v: dask.cover_tree(X, kernel=v)),
        "dask.cover_tree(client)": (OBJECT, lambda v: dask.cover_tree(X, client=v)),
        "dask.cover_tree(n_partitions)": (
            {**COUNT, "too many": (61, ValueError)},
            lambda v: dask.cover_tree(X, n_partitions=v),
        ),
        "dask.cover_tree(order)": (CHOICE, lambda v: dask.cover_tree(X, order=v)),
        "dask.cover_tree(leaf_size)": (COUNT, lambda v: dask.cover_tree(X, leaf_size=v)),
        "dask.cover_tree(seed)": (SEED, lambda v: dask.cover_tree(X, seed=v)),
        "dask.cover_tree(jitter)": (without(NUMBER, "NaN", "below 0"), lambda v: dask.cover_tree(X, jitter=v)),
        "dask.load(path)": ({**PATH, **NONE}, dask.load),
        "dask.vif(kernel)": ({**KERNEL, **NONE}, lambda v: dask.vif(X, y, kernel=v)),
        "dask.vif(client)": (OBJECT, lambda v: dask.vif(X, y, kernel=RBF(), client=v)),
        "dask.vif(m)": ({**INTEGER, "below 0": (-1, ValueError)}, lambda v: dask.vif(X, y, kernel=RBF(), m=v)),
        "dask.vif(jitter)": (NUMBER, lambda v: dask.vif(X, y, kernel=RBF(), jitter=v)),
        "dask.vif(ordering)": (CHOICE, lambda v: dask.vif(X, y, kernel=RBF(), ordering=v)),
        "dask.vif(neighbors)": (CHOICE, lambda v: dask.vif(X, y, kernel=RBF(), neighbors=v)),
        "dask.vif(n_partitions)": (
            {**COUNT, "too many": (61, ValueError)},
            lambda v: dask.vif(X, y, kernel=RBF(), n_partitions=v),
        ),
        "dask.vif(seed)": (SEED, lambda v: dask.vif(X, y, kernel=RBF(), seed=v)),
        "dask.vif(y)": (
            {
                **NONE,
                "strings": (np.array(["a"] * 60), TypeError),
                "too few": (np.zeros(59), ValueError),
                "three dimensions": (np.zeros((60, 1, 1)), ValueError),
                "an object": (object(), TypeError),
            },
            lambda v: dask.vif(X, v, kernel=RBF()),
        ),
        "dask.vif(noise)": (
            {
                "below 0": (-1.0, ValueError),
                "NaN": (np.nan, ValueError),
                "text": ("a", TypeError),
                "too few": (np.zeros(59), ValueError),
            },
            lambda v: dask.vif(X, y, kernel=RBF(), noise=v),
        ),
        "dask.fit(model)": ({**OBJECT, **NONE}, dask.fit),
    }
    for where, row in table.items():
        assert_each_is_named(where, *row)

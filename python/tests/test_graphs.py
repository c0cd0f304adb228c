"""Graphs (HNSW) in every order of arrival, with equal vectors, under filters and after removals."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from index_oracle import METRICS, oracle, recall, sample, truth

from covertreex.indexes import HNSW, LSH, BruteForce, load


def within_reach(ids, vectors, queries, k):
    """The share of answers that are at most as far as the k-th nearest vector: equal distances count alike."""
    distances = oracle(vectors, queries, "sqeuclidean")
    farthest = np.sort(distances, axis=1)[:, k - 1 : k]
    found = np.where(ids >= 0, np.take_along_axis(distances, np.maximum(ids, 0), axis=1), np.inf)
    return np.mean(found <= farthest * (1 + 1e-6))


# The order of arrival


def clusters_one_after_the_other(rng):
    return np.repeat(rng.normal(size=(100, 32)), 60, axis=0) + 0.2 * rng.normal(size=(6000, 32))


def walk(rng):
    return np.cumsum(rng.normal(size=(6000, 8)), axis=0)


def raster(rng):
    return np.stack(np.meshgrid(np.arange(80.0), np.arange(75.0), indexing="ij"), axis=-1).reshape(-1, 2)


def sorted_values(rng):
    return np.sort(rng.normal(size=(6000, 1)), axis=0)


def time_series(rng):
    series = np.sin(np.arange(6023) / 50) + 0.02 * rng.normal(size=6023)
    return np.lib.stride_tricks.sliding_window_view(series, 24)


@pytest.mark.parametrize("make", [clusters_one_after_the_other, walk, raster, sorted_values, time_series])
@pytest.mark.parametrize("batch", [6000, 60, 7, 1])
def test_recall_does_not_depend_on_the_order_of_arrival(make, batch):
    rng = np.random.default_rng(4)
    vectors = np.ascontiguousarray(make(rng), np.float32)
    index = HNSW(vectors.shape[1])
    for first in range(0, len(vectors), batch):
        index.add(None, vectors[first : first + batch])
    queries = vectors[rng.choice(len(vectors), 300, replace=False)] + np.float32(0.01)
    assert within_reach(index.knn(10, queries=queries)[0], vectors, queries, 10) >= 0.97
    # A vector finds itself.
    assert np.mean(index.knn(1, queries=vectors)[0][:, 0] == np.arange(len(vectors))) >= 0.995


@pytest.mark.parametrize("batch", [100, 10])
def test_a_walk_that_comes_in_small_calls_is_found(batch):
    # The nodes of the higher levels come one after the other along the walk, too.
    vectors = np.cumsum(np.random.default_rng(1).normal(size=(20_000, 8)), axis=0).astype(np.float32)
    index = HNSW(8, ef_search=64)
    for first in range(0, len(vectors), batch):
        index.add(None, vectors[first : first + batch])
    queries = vectors[::50] + 0.05 * np.random.default_rng(2).normal(size=(400, 8)).astype(np.float32)
    assert within_reach(index.knn(10, queries=queries)[0], vectors, queries, 10) >= 0.995


def test_graphs_of_batches_are_the_same_for_any_number_of_threads():
    vectors = np.ascontiguousarray(clusters_one_after_the_other(np.random.default_rng(4)), np.float32)
    found = []
    for n_threads in (1, 2, 5):
        index = HNSW(32, ef_search=10)
        for part in np.array_split(vectors, 11):
            index.add(None, part, n_threads=n_threads)
        found.append(index.knn(10, queries=vectors[::7], n_threads=n_threads))
    for ids, distances in found[1:]:
        assert (ids == found[0][0]).all() and (distances == found[0][1]).all()


# Equal vectors


def test_vectors_that_come_after_many_equal_ones_find_themselves():
    vectors = np.concatenate([np.zeros((50, 8)), sample(200, 8)]).astype(np.float32)
    for batch in (250, 10, 1):
        index = HNSW(8)
        for first in range(0, 250, batch):
            index.add(None, vectors[first : first + batch])
        assert (index.knn(1, queries=vectors[50:])[0][:, 0] == np.arange(50, 250)).all()


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("options", [{}, {"storage": "int8"}, {"storage": "float16", "rerank": True}])
def test_equal_vectors_are_all_found_in_order_of_arrival(metric, options):
    kinds = sample(50, 8)
    vectors = kinds[np.random.default_rng(1).integers(0, 50, 5000)]
    graph, exact = HNSW(8, metric=metric, **options), BruteForce(8, metric=metric, **options)
    for index in (graph, exact):
        for part in np.array_split(vectors, 7):
            index.add(None, part)
    for k in (1, 150, 1000):
        np.testing.assert_array_equal(graph.knn(k, queries=kinds)[0], exact.knn(k, queries=kinds)[0])


def test_nearly_equal_vectors_do_not_crowd_out_the_others():
    rng = np.random.default_rng(2)
    middle = rng.normal(size=(1, 16))
    crowd = middle + 1e-6 * rng.normal(size=(2000, 16))
    vectors = np.concatenate([crowd, rng.normal(size=(2000, 16))]).astype(np.float32)
    for metric in ("l2", "cosine"):
        index = HNSW(16, metric=metric)
        index.add(None, vectors)
        others = index.knn(1, queries=vectors[2000:])[0][:, 0]
        assert np.mean(others == np.arange(2000, 4000)) >= 0.99


def test_twins_replace_a_node_that_is_removed(tmp_path):
    kinds = sample(40, 6)
    vectors = np.tile(kinds, (10, 1))
    graph, exact = HNSW(6), BruteForce(6)
    for index in (graph, exact):
        index.add(None, vectors)
    rng = np.random.default_rng(3)
    left = np.arange(400)
    for turn in range(6):
        # The first of each kind, which is the node, goes in every turn.
        gone = np.concatenate([left[:20], rng.choice(left[20:], 20, replace=False)])
        left = np.setdiff1d(left, gone)
        for index in (graph, exact):
            index.remove(gone)
        if turn == 2:
            graph.optimize()
        if turn == 4:
            graph.save(tmp_path / "graph.ct")
            graph = load(tmp_path / "graph.ct")
        added = np.arange(1000 + 40 * turn, 1040 + 40 * turn)
        for index in (graph, exact):
            index.add(added, kinds)
        left = np.concatenate([left, added])
        for filter_ in (None, left[::3]):
            np.testing.assert_array_equal(
                graph.knn(12, queries=kinds, filter=filter_)[0], exact.knn(12, queries=kinds, filter=filter_)[0]
            )


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    n=st.integers(1, 300),
    n_kinds=st.integers(1, 12),
    k=st.integers(1, 40),
    share=st.floats(0, 1),
)
def test_few_kinds_of_vectors_are_searched_exactly(seed, n, n_kinds, k, share):
    rng = np.random.default_rng(seed)
    kinds = rng.integers(-3, 4, size=(n_kinds, 3)).astype(np.float32)
    vectors = kinds[rng.integers(0, n_kinds, n)]
    graph, exact = HNSW(3, ef_search=16, seed=seed), BruteForce(3)
    batch = int(rng.integers(1, n + 1))
    for index in (graph, exact):
        for first in range(0, n, batch):
            index.add(None, vectors[first : first + batch])
    admitted = rng.random(n) < share
    for turn in range(2):
        for filter_ in (None, admitted):
            ids, distances = graph.knn(k, queries=kinds, filter=filter_)
            expected, expected_distances = exact.knn(k, queries=kinds, filter=filter_)
            np.testing.assert_array_equal(distances, expected_distances)
            np.testing.assert_array_equal(ids, expected)
        radius = float(rng.integers(0, 5))
        found, expected = graph.radius(radius, queries=kinds), exact.radius(radius, queries=kinds)
        np.testing.assert_array_equal(found.offsets, expected.offsets)
        np.testing.assert_array_equal(found.indices, expected.indices)
        if turn == 0:
            gone = np.flatnonzero(rng.random(n) < 0.4)
            if len(gone):
                graph.remove(gone)
                exact.remove(gone)


# Filters and removals


def assert_full(index, expected, queries, k, floor, **options):
    """Rows are as full as they can be, and hold nearly all of the nearest that may be found."""
    ids, distances = index.knn(k, queries=queries, **options)
    assert ((ids >= 0).sum(axis=1) == expected.shape[1]).all() and expected.shape[1] <= k
    assert np.isfinite(distances[ids >= 0]).all()
    assert expected.shape[1] == 0 or recall(ids, expected) >= floor


def admitted_truth(vectors, queries, admitted, k):
    nearest = truth(vectors[admitted], queries, k)
    return np.flatnonzero(admitted)[nearest]


def test_the_next_ones_are_found_when_the_nearest_have_been_removed():
    vectors, query = sample(4000, 16), sample(1, 16, 1)
    index = HNSW(16)
    index.add(None, vectors)
    gone = truth(vectors, query, 400)[0]
    index.remove(gone)
    admitted = np.ones(4000, bool)
    admitted[gone] = False
    assert_full(index, admitted_truth(vectors, query, admitted, 10), query, 10, 0.9)


@pytest.mark.parametrize("n", [4000, 40000])
def test_a_filter_may_leave_the_other_cluster_alone(n):
    rng = np.random.default_rng(5)
    vectors = (rng.normal(size=(n, 16)) + 20 * (np.arange(n) >= n // 2)[:, None]).astype(np.float32)
    index = HNSW(16)
    index.add(None, vectors)
    queries, admitted = vectors[:50], np.arange(n) >= n // 2
    assert_full(index, admitted_truth(vectors, queries, admitted, 10), queries, 10, 0.99, filter=admitted)


def test_rows_are_full_when_all_that_a_search_keeps_is_wanted():
    vectors, queries = sample(5000, 16), sample(200, 16, 1)
    index = HNSW(16)
    index.add(None, vectors)
    gone = np.random.default_rng(6).choice(5000, 500, replace=False)
    index.remove(gone)
    admitted = np.ones(5000, bool)
    admitted[gone] = False
    assert_full(index, admitted_truth(vectors, queries, admitted, 64), queries, 64, 0.97, ef_search=64)


@pytest.mark.parametrize(
    "make",
    [
        lambda: HNSW(12),
        lambda: HNSW(12, storage="int8", rerank=True),
        lambda: LSH(12),
        lambda: LSH(12, mode="tables", n_bits=12, n_probes=1),
    ],
    ids=["graph", "graph of bytes", "codes", "tables"],
)
@pytest.mark.parametrize("share", [0.9, 0.5, 0.1, 0.01, 0.0])
def test_rows_are_full_whatever_the_filter(make, share):
    rng = np.random.default_rng(7)
    vectors, queries = sample(20_000, 12), sample(40, 12, 1)
    index = make()
    index.add(None, vectors)
    floor = 0.95 if isinstance(index, HNSW) else 0
    for near in (False, True):
        # Spread over all vectors, or all on one side of most queries.
        order = np.argsort(vectors[:, 0]) if near else rng.permutation(20_000)
        admitted = np.zeros(20_000, bool)
        admitted[order[: int(share * 20_000)]] = True
        expected = admitted_truth(vectors, queries, admitted, 10) if admitted.any() else np.zeros((40, 0), int)
        assert_full(index, expected, queries, 10, floor, filter=admitted)


def test_parts_of_a_graph_that_nothing_leads_to_are_found_when_rows_would_be_short():
    vectors = np.concatenate([sample(300, 4), sample(300, 4, 1) + 1000]).astype(np.float32)
    index = HNSW(4, m=2, ef_construction=2, ef_search=1)
    index.add(None, vectors)
    ids, _ = index.knn(250, queries=vectors)
    assert (ids >= 0).all()

"""Independent sets, groups and orders by the names of covertreex 0.4.5."""

import itertools

import numpy as np
import pytest
from legacy_data import context

import covertreex
from covertreex import Runtime, TreeBackend, algo, config
from covertreex.algo.order import choose_prefix_factor, compute_batch_order, prefix_slices, prepare_batch_points

backend = TreeBackend.numpy()


pytestmark = pytest.mark.usefixtures("defaults_after")


def rows_of(graph):
    return [set(graph.indices[a:b].tolist()) for a, b in zip(graph.indptr, graph.indptr[1:])]


# Independent sets


def graph_of(n, edges):
    rows = [sorted({j for i, j in edges if i == node} | {i for i, j in edges if j == node}) for node in range(n)]
    traversal = algo.traverse_collect_scopes(covertreex.PCCTree.empty(dimension=1), np.zeros((n, 1)))
    empty = algo.build_conflict_graph(covertreex.PCCTree.empty(dimension=1), traversal, np.zeros((n, 1)))
    indptr = np.cumsum([0, *map(len, rows)])
    return algo.ConflictGraph(
        **{**vars_of(empty), "indptr": indptr, "indices": np.array(list(itertools.chain(*rows)), np.int64)}
    )


def vars_of(graph):
    return {name: getattr(graph, name) for name in type(graph).__dataclass_fields__}


def assert_maximal_independent(graph, members):
    chosen = set(np.flatnonzero(members).tolist())
    for node, neighbours in enumerate(rows_of(graph)):
        assert (node in chosen) != bool(neighbours & chosen)


@pytest.mark.parametrize("degree", [2, 30])
@pytest.mark.parametrize("seed", range(5))
def test_independent_sets(seed, degree):
    rng = np.random.default_rng(seed)
    edges = {tuple(sorted(pair)) for pair in rng.integers(0, 120, (60 * degree, 2)).tolist() if pair[0] != pair[1]}
    graph = graph_of(120, edges)
    is_low = np.diff(graph.indptr).max() <= 8
    assert is_low == (degree == 2)
    results = [algo.run_mis(backend, graph, seed=one) for one in (3, 3, 4, -1, 2**40)]
    for one in results:
        assert_maximal_independent(graph, one.independent_set)
        assert one.independent_set.dtype == np.int32
    assert np.array_equal(results[0].independent_set, results[1].independent_set)
    if is_low:  # node by node
        assert all(one.iterations == 1 for one in results)
        first = []
        for node, neighbours in enumerate(rows_of(graph)):
            if not neighbours & set(first):
                first.append(node)
        assert np.flatnonzero(results[0].independent_set).tolist() == first
    else:
        assert not np.array_equal(results[0].independent_set, results[2].independent_set)
        assert all(1 < one.iterations < 20 for one in results)


def test_independent_sets_at_the_edge():
    assert algo.run_mis(backend, graph_of(0, [])).iterations == 0
    assert algo.run_mis(backend, graph_of(3, [])).independent_set.tolist() == [1, 1, 1]
    complete = graph_of(20, [(i, j) for i in range(20) for j in range(i)])
    assert algo.run_mis(backend, complete, seed=1).independent_set.sum() == 1
    by_settings = [algo.run_mis(backend, complete, runtime=context(seeds=seeds).config) for seeds in SEEDS]
    assert by_settings[0].independent_set.tolist() == algo.run_mis(backend, complete, seed=5).independent_set.tolist()
    assert by_settings[0].independent_set.tolist() != by_settings[1].independent_set.tolist()


SEEDS = (covertreex.runtime.SeedPack(mis=5), covertreex.runtime.SeedPack(mis=6))


def test_seeds_of_batches():
    assert algo.batch_mis_seeds(3, seed=42) == (2684470948, 4091952314, 233227757)  # as in 0.4.5
    assert algo.batch_mis_seeds(5, seed=42)[:3] == algo.batch_mis_seeds(3, seed=42)
    assert algo.batch_mis_seeds(2, runtime=context(seeds=SEEDS[0]).config) == algo.batch_mis_seeds(2, seed=5)
    with Runtime(mis_seed=5).activate():
        assert algo.batch_mis_seeds(2) == algo.batch_mis_seeds(2, seed=5)
    assert algo.batch_mis_seeds(0) == ()
    with pytest.raises(ValueError, match="count: expected 0 or more, got -1"):
        algo.batch_mis_seeds(-1)


# Grouping, sorting, orders


def test_grouping():
    found = algo.group_by_int([2, 0, 2, 1, 1, 0], np.arange(12.0).reshape(6, 2), backend=backend)
    assert (found.keys.tolist(), found.indptr.tolist()) == ([0, 1, 2], [0, 2, 4, 6])
    assert found.values.tolist() == [[2, 3], [10, 11], [6, 7], [8, 9], [0, 1], [4, 5]]
    nothing = algo.group_by_int([], [], backend=backend)
    assert (nothing.keys.size, nothing.indptr.tolist(), nothing.values.size) == (0, [0], 0)
    for keys, values, words in [([[1]], [1], "keys: expected one dimension"), ([1, 2], [1], "values: expected 2")]:
        with pytest.raises(ValueError, match=words):
            algo.group_by_int(keys, values, backend=backend)
    with pytest.raises(TypeError, match="keys: expected integers, got dtype float64"):
        algo.group_by_int([0.5, 1.0], [1, 2], backend=backend)


def test_sorting_by_level():
    indices, levels = np.array([10, 2, 5, 4, 7]), np.array([1, 3, 2, 3, 3])
    for limit, truth in [(0, [2, 4, 7, 5, 10]), (2, [2, 4]), (4, [2, 4, 7, 5]), (9, [2, 4, 7, 5, 10])]:
        assert algo.select_topk_by_level(indices, levels, limit).tolist() == truth
    with pytest.raises(ValueError, match=r"levels: expected shape \(5,\)"):
        algo.select_topk_by_level(indices, levels[:3], 1)


def test_orders_of_batches():
    points = np.random.default_rng(0).random((500, 2))
    hilbert = compute_batch_order(points, strategy="hilbert")
    assert sorted(hilbert.permutation.tolist()) == list(range(500))
    steps = np.linalg.norm(np.diff(points[hilbert.permutation], axis=0), axis=1)
    assert steps.mean() < 0.15 * np.linalg.norm(np.diff(points, axis=0), axis=1).mean()
    assert hilbert.metrics["hilbert_bits_per_dim"] == 32
    drawn = compute_batch_order(points, strategy="random", seed=3)
    assert np.array_equal(drawn.permutation, np.random.default_rng(3).permutation(500))
    assert compute_batch_order(points, strategy="natural").permutation is None
    with pytest.raises(ValueError, match="strategy: expected one of hilbert, natural, random, got 'sorted'"):
        compute_batch_order(points, strategy="sorted")
    with pytest.raises(ValueError, match="points: expected two dimensions"):
        compute_batch_order(points[0], strategy="hilbert")
    settings = config.RuntimeConfig(batch_order_strategy="random", seeds=covertreex.runtime.SeedPack(batch_order=3))
    ordered, permutation, facts = prepare_batch_points(
        backend=backend, batch_points=points, runtime=settings, apply_batch_order=True
    )
    assert np.array_equal(ordered, points[drawn.permutation]) and facts == {"seed": 3.0}
    same, permutation, _ = prepare_batch_points(
        backend=backend, batch_points=points, runtime=settings, apply_batch_order=False
    )
    assert np.array_equal(same, points) and permutation is None
    assert prefix_slices(10) == [(0, 1), (1, 3), (3, 7), (7, 10)] and prefix_slices(0) == []
    assert [choose_prefix_factor(settings, one) for one in (0.1, 0.3, 0.9)] == [2.25, 1.75, 1.25]

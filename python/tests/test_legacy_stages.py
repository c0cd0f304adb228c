"""The stages of an insertion by the names of covertreex 0.4.5, against loops that define them."""

import copy
import pickle

import numpy as np
import pytest
from legacy_data import context

import covertreex
from covertreex import PCCT, Runtime, TreeBackend, algo, api, config
from covertreex.core.tree import compute_level_offsets
from covertreex.exceptions import ResidualPairwiseCacheError
from covertreex.kernels import RBF
from covertreex.metrics import build_residual_backend, compute_residual_distances, configure_residual_correlation

backend = TreeBackend.numpy()


pytestmark = pytest.mark.usefixtures("defaults_after")


def old_tree(seed, n=50, dim=3, points=None):
    """A tree with levels from 0 up, as 0.4.5 had them, that is not a cover tree."""
    rng = np.random.default_rng(seed)
    levels = rng.integers(0, 4, n)
    parents = np.array([-1] + [int(rng.integers(0, i)) for i in range(1, n)])
    children, siblings = np.full(n, -1), np.full(n, -1)
    for node in range(n - 1, 0, -1):
        siblings[node], children[parents[node]] = children[parents[node]], node
    return covertreex.PCCTree(
        points=20 * rng.random((n, dim)) if points is None else points, top_levels=levels, parents=parents,
        children=children, level_offsets=compute_level_offsets(backend, levels), si_cache=6 * rng.random(n),
        next_cache=siblings, backend=backend,
    )  # fmt: skip


def batch_of(seed, m=40, dim=3):
    return 20 * np.random.default_rng([seed, 1]).random((m, dim))


def rows_of(graph):
    return [set(graph.indices[a:b].tolist()) for a, b in zip(graph.indptr, graph.indptr[1:])]


def scopes_by_loops(tree, parents, distances, radii, limit):
    scopes = []
    for row, parent in zip(distances <= radii[:, None], parents):
        nodes, node = set(np.flatnonzero(row).tolist()), int(parent)
        while node >= 0:
            nodes.add(node)
            node = int(tree.next_cache[node])
        scope = sorted(nodes, key=lambda one: (-int(tree.top_levels[one]), one))[: limit or None]
        scopes.append(tuple(scope if parent in scope else [*scope[:-1], parent]))
    return tuple(scopes)


# Traversal


@pytest.mark.parametrize("limit", [0, 5])
@pytest.mark.parametrize("metric", ["euclidean", "residual_correlation_lite"])
def test_traversal(metric, limit):
    tree, batch = old_tree(0), batch_of(0)
    found = algo.traverse_collect_scopes(tree, batch, context=context(metric=metric, scope_chunk_target=limit))
    if metric == "euclidean":
        distances = np.linalg.norm(batch[:, None] - tree.points, axis=2)
    else:
        distances = 1 - np.corrcoef(batch, tree.points)[:40, 40:]
    parents = distances.argmin(axis=1)
    radii = np.maximum(2.0 ** (tree.top_levels[parents] + 1), tree.si_cache[parents])
    assert np.array_equal(found.parents, parents)
    assert np.array_equal(found.levels, tree.top_levels[parents])
    assert found.conflict_scopes == scopes_by_loops(tree, parents, distances, radii, limit)
    spans = zip(found.scope_indptr, found.scope_indptr[1:])
    assert tuple(tuple(found.scope_indices[a:b]) for a, b in spans) == found.conflict_scopes
    assert found.parents.dtype == found.scope_indices.dtype == np.int32
    assert (found.engine, found.residual_cache, found.gate_active) == ("euclidean_dense", None, False)


def test_the_example_of_its_pages():
    tree, batch = PCCT(Runtime()).fit(batch_of(3, 200)).tree, batch_of(4)
    with pytest.warns(covertreex.LegacyWarning, match="^enable_numba: "):
        runtime = api.Runtime(
            metric="euclidean", backend="numpy", precision="float64", enable_numba=True, diagnostics=False
        )
    with runtime.activate() as context:
        traversal = algo.traverse_collect_scopes(tree, batch, context=context)
    assert traversal.parents.tolist() == PCCT(runtime, tree).knn(batch, k=1).ravel().tolist()


def test_traversal_in_blocks(monkeypatch):
    tree, batch = old_tree(1), batch_of(1)
    whole = algo.traverse_collect_scopes(tree, batch, context=context())
    monkeypatch.setattr("covertreex.legacy.traversal._PAIRS", 3 * 50)
    in_partitions = algo.traverse_collect_scopes(tree, batch, context=context())
    assert in_partitions.conflict_scopes == whole.conflict_scopes
    assert np.array_equal(in_partitions.parents, whole.parents)


def test_traversal_of_an_empty_tree():
    empty = covertreex.PCCTree.empty(dimension=2)
    found = algo.traverse_collect_scopes(empty, [[1.0, 1.0], [2.0, 2.0]])
    assert (found.parents.tolist(), found.levels.tolist(), found.conflict_scopes) == ([-1, -1], [-1, -1], ((), ()))
    assert found.scope_indptr.tolist() == [0, 0, 0] and found.scope_indices.size == 0
    assert algo.traverse_collect_scopes(old_tree(0), np.empty((0, 3))).conflict_scopes == ()


@pytest.mark.parametrize("batch, error, words", [
    (np.zeros((4, 2)), ValueError, "batch_points: expected 3 columns, got 2"),
    (np.zeros((4, 4)), ValueError, "batch_points: expected 3 columns, got 4"),
    ([[1.0, np.nan, 2.0]], ValueError, r"batch_points\[0, 1\]: expected a finite number"),
    ([["a", "b", "c"]], TypeError, "batch_points: expected real numbers"),
    (np.zeros((2, 2, 2)), ValueError, "batch_points: expected two dimensions"),
])  # fmt: skip
def test_batches_that_are_wrong(batch, error, words):
    tree = old_tree(0)
    for call in (algo.traverse_collect_scopes, algo.plan_batch_insert):
        with pytest.raises(error, match=words):
            call(tree, batch)
    traversal = algo.traverse_collect_scopes(tree, batch_of(0))
    with pytest.raises(ValueError, match="batch_points: expected 40, as in traversal, got 3"):
        algo.build_conflict_graph(tree, traversal, np.zeros((3, 3)))
    for name in ("euclidean", "residual_correlation_lite"):
        with pytest.raises(ValueError, match="rhs: expected 2 columns, as lhs, got 3"):
            covertreex.get_metric(name).pairwise(backend, np.zeros((4, 2)), np.zeros((4, 3)))


def test_traversal_of_a_library_tree():
    """Levels may be below 0, and duplicates have the lowest one."""
    points = np.random.default_rng(3).random((200, 2))
    tree = PCCT(Runtime()).fit(np.concatenate([points, points[:30]])).tree
    batch = np.random.default_rng(4).random((25, 2))
    found = algo.traverse_collect_scopes(tree, batch)
    distances = np.linalg.norm(batch[:, None] - tree.points, axis=2)
    parents = distances.argmin(axis=1)
    radii = np.maximum(np.exp2(tree.top_levels[parents] + 1.0), tree.si_cache[parents])
    assert found.levels.min() < 0
    assert found.conflict_scopes == scopes_by_loops(tree, parents, distances, radii, 0)


def residual_data(n=60):
    points = np.random.default_rng(7).random((n, 2))
    data = build_residual_backend(points, seed=0, inducing_count=12, variance=1.5, lengthscale=0.4)
    configure_residual_correlation(data)
    return points, data


def test_traversal_by_residual_correlation(tmp_path):
    points, data = residual_data()
    tree, asked = old_tree(2, 40, points=points[:40]), np.arange(45, 60)
    distances = compute_residual_distances(data, asked, np.arange(40))
    parents = distances.argmin(axis=1)
    floor = {"metric": "residual_correlation", "residual_radius_floor": 0.5}
    whole = algo.traverse_collect_scopes(tree, points[asked], context=context(**floor))
    radii = np.maximum(np.maximum(2.0 ** (tree.top_levels[parents] + 1), tree.si_cache[parents]), 0.5)
    assert np.array_equal(whole.parents, parents)
    assert whole.conflict_scopes == scopes_by_loops(tree, parents, distances, radii, 64)
    cache = whole.residual_cache
    assert cache.batch_indices.tolist() == asked.tolist() and cache.scope_radius_caps is None
    np.testing.assert_allclose(cache.pairwise, compute_residual_distances(data, asked, asked), atol=1e-3)
    np.testing.assert_allclose(cache.scope_radii, np.where(distances <= radii[:, None], distances, 0).max(axis=1))
    assert whole.timings.kernel_provider_pairs == 15 * 40

    # Limits by level, for other levels, and of the number of nodes; points by their indices.
    caps = tmp_path / "caps.json"
    caps.write_text('{"schema": 1, "levels": {"1": 0.7, "2": 0.9}}', encoding="utf-8")
    limits = {**floor, "residual_scope_cap_path": str(caps), "residual_scope_cap_default": 0.8}
    cut = algo.traverse_collect_scopes(tree, asked[:, None], context=context(**limits))
    capped = np.minimum(radii, np.array([0.8, 0.7, 0.9, 0.8])[tree.top_levels[parents]])
    assert cut.conflict_scopes == scopes_by_loops(tree, parents, distances, capped + 1e-9, 64)
    np.testing.assert_allclose(cut.residual_cache.scope_radius_limits, capped)
    few = algo.traverse_collect_scopes(tree, asked[:, None], context=context(residual_scope_member_limit=3, **floor))
    assert few.conflict_scopes == scopes_by_loops(tree, parents, distances, radii, 3)
    assert few.residual_cache.scope_saturated.tolist() == [1] * 15

    nowhere = algo.traverse_collect_scopes(
        covertreex.PCCTree.empty(dimension=2), points[asked], context=context(**floor)
    )
    assert nowhere.parents.tolist() == [-1] * 15 and nowhere.residual_cache.pairwise.shape == (15, 15)


# Conflict graphs


@pytest.mark.parametrize("name", ["dense", "segmented"])
@pytest.mark.parametrize("seed", range(4))
def test_conflict_graphs(name, seed):
    tree, batch = old_tree(seed), batch_of(seed)
    settings = context(conflict_graph_impl=name)
    traversal = algo.traverse_collect_scopes(tree, batch, context=settings)
    graph = algo.build_conflict_graph(tree, traversal, batch, context=settings)
    radii = np.maximum(2.0 ** (traversal.levels + 1), tree.si_cache[traversal.parents])
    distances = np.linalg.norm(batch[:, None] - batch, axis=2)
    scopes = [set(scope) for scope in traversal.conflict_scopes]
    truth = [
        {j for j in range(40) if i != j and scopes[i] & scopes[j] and distances[i, j] <= min(radii[i], radii[j])}
        for i in range(40)
    ]
    assert rows_of(graph) == truth and sum(map(len, truth)) > 0
    assert (graph.num_nodes, graph.num_edges, graph.num_scopes) == (40, sum(map(len, truth)), 40)
    np.testing.assert_allclose(graph.pairwise_distances, distances, atol=1e-12)
    np.testing.assert_allclose(graph.radii, radii)
    np.testing.assert_allclose(graph.annulus_bounds, np.column_stack([np.zeros(40), radii]))
    assert np.array_equal(graph.annulus_bins, np.floor(np.log2(np.maximum(radii, 1))))
    for one, a, b in zip(graph.annulus_bin_ids, graph.annulus_bin_indptr, graph.annulus_bin_indptr[1:]):
        assert np.array_equal(graph.annulus_bin_indices[a:b], np.flatnonzero(graph.annulus_bins == one))
    sharing = [{i for i in range(40) if node in scopes[i]} for node in range(50)]
    sharing = [group for group in sharing if group]
    assert graph.timings.scope_groups == len(sharing)
    assert graph.timings.scope_groups_unique == len(set(map(frozenset, sharing)))
    assert graph.timings.adjacency_max_group_size == max(map(len, sharing))
    assert graph.pairwise_distances is graph.pairwise_distances
    for again in (pickle.loads(pickle.dumps(graph)), copy.deepcopy(graph)):
        assert rows_of(again) == truth and np.array_equal(again.pairwise_distances, graph.pairwise_distances)


def test_two_points_that_share_a_node():
    tree, batch = old_tree(0, 3), np.zeros((4, 3))
    scopes = ((0,), (1,), (0,), (2,))
    traversal = algo.TraversalResult(
        np.zeros(4, np.int64), np.zeros(4, np.int64), scopes, np.arange(5), np.array([0, 1, 0, 2]),
        algo.TraversalTimings(0.0, 0.0, 0.0),
    )  # fmt: skip
    graph = algo.build_conflict_graph(tree, traversal, batch)
    assert rows_of(graph) == [{2}, set(), {0}, set()]
    assert (graph.timings.scope_groups, graph.timings.adjacency_candidate_pairs) == (3, 2)


def test_grids_choose_points_that_are_apart():
    tree, batch = old_tree(5), batch_of(5, 80)
    settings = context(conflict_graph_impl="grid", seeds=config.runtime_config().seeds)
    traversal = algo.traverse_collect_scopes(tree, batch, context=settings)
    graph = algo.build_conflict_graph(tree, traversal, batch, context=settings)
    chosen = np.flatnonzero(graph.forced_selected)
    assert graph.num_edges == 0 and np.array_equal(graph.forced_dominated, 1 - graph.forced_selected)
    assert graph.grid_cells >= graph.grid_leaders_raw >= graph.grid_leaders_after == len(chosen) > 1
    radii = 2.0 ** (traversal.levels + 1)
    apart = np.linalg.norm(batch[chosen][:, None] - batch[chosen], axis=2)
    np.fill_diagonal(apart, np.inf)
    assert (apart > np.minimum.outer(radii[chosen], radii[chosen])).all()
    assert graph.grid_local_edges <= graph.grid_leaders_raw**2
    again = algo.build_conflict_graph(tree, traversal, batch, context=settings)
    assert np.array_equal(again.forced_selected, graph.forced_selected)
    plan = algo.plan_batch_insert(tree, batch, apply_batch_order=False, context=settings)
    assert plan.selected_indices.tolist() == chosen.tolist()


def test_conflicts_by_residual_correlation():
    points, data = residual_data()
    tree, batch = old_tree(2, 40, points=points[:40]), points[45:]
    settings = context(metric="residual_correlation", residual_radius_floor=0.6)
    traversal = algo.traverse_collect_scopes(tree, batch, context=settings)
    graph = algo.build_conflict_graph(tree, traversal, batch, context=settings)
    np.testing.assert_allclose(graph.radii, np.maximum(traversal.residual_cache.scope_radii, 0.6))
    pairs = compute_residual_distances(data, np.arange(45, 60), np.arange(45, 60))
    scopes = [set(scope) for scope in traversal.conflict_scopes]
    truth = [
        {
            j
            for j in range(15)
            if i != j and scopes[i] & scopes[j] and pairs[i, j] <= min(graph.radii[i], graph.radii[j])
        }
        for i in range(15)
    ]
    assert rows_of(graph) == truth and graph.timings.pairwise_reused == 1
    lost = algo.TraversalResult(**{**vars(traversal), "residual_cache": None})
    with pytest.raises(ResidualPairwiseCacheError, match="expected one with its residual_cache"):
        algo.build_conflict_graph(tree, lost, batch, context=settings)
    other = algo.TraversalResult(**{**vars(lost), "engine": "own"})
    assert algo.build_conflict_graph(tree, other, batch, context=settings).timings.pairwise_reused == 0


def test_nothing_is_compared_where_scopes_are_apart(monkeypatch):
    def refuse(*_):
        raise AssertionError("distances of all pairs")

    empty, batch = covertreex.PCCTree.empty(dimension=3), batch_of(0)
    traversal = algo.traverse_collect_scopes(empty, batch)
    graph = algo.build_conflict_graph(empty, traversal, batch)
    assert graph.num_edges == 0 and graph.radii.tolist() == [1.0] * 40
    monkeypatch.setattr(
        "covertreex.legacy.metrics.registry._metrics",
        {"euclidean": covertreex.core.Metric("euclidean", refuse, refuse)},
    )
    assert algo.run_mis(backend, graph).independent_set.sum() == 40
    with pytest.raises(AssertionError, match="all pairs"):
        graph.pairwise_distances  # noqa: B018


# Plans


def test_a_plan_is_the_stages_one_after_another():
    tree, batch = old_tree(6), batch_of(6)
    plan = algo.plan_batch_insert(tree, batch, mis_seed=9)
    rows = batch[plan.batch_permutation]
    traversal = algo.traverse_collect_scopes(tree, rows)
    graph = algo.build_conflict_graph(tree, traversal, rows)
    assert plan.traversal.conflict_scopes == traversal.conflict_scopes
    assert rows_of(plan.conflict_graph) == rows_of(graph)
    independent = algo.run_mis(backend, graph, seed=9).independent_set
    assert plan.selected_indices.tolist() == np.flatnonzero(independent).tolist()
    assert sorted([*plan.selected_indices, *plan.dominated_indices]) == list(range(40))
    assert 0 < len(plan.dominated_indices) < 40
    assert [one.level for one in plan.level_summaries] == sorted(set(traversal.levels.tolist()))
    for one in plan.level_summaries:
        assert np.array_equal(one.candidates, np.flatnonzero(traversal.levels == one.level))
        assert set(one.selected) == set(one.candidates) & set(plan.selected_indices.tolist())
        assert set(one.dominated) == set(one.candidates) - set(one.selected)
    assert tree.num_points == 50
    _, inserted = algo.batch_insert(tree, batch, mis_seed=9)
    for plan_of_it in (inserted, pickle.loads(pickle.dumps(inserted))):
        assert plan_of_it.selected_indices.tolist() == plan.selected_indices.tolist()
        assert plan_of_it.conflict_graph.num_edges == graph.num_edges


def test_plans_of_residual_trees_are_for_the_exported_cover_tree():
    points = np.random.default_rng(8).random((80, 2))
    tree = PCCT(Runtime(metric="residual")).fit(points[:60], kernel=RBF(lengthscale=0.5))
    _, plan = tree.insert(points[60:], return_plan=True, apply_batch_order=False)
    scaled = np.linalg.norm(points[60:, None] - points[:60], axis=2) / 0.5
    assert np.array_equal(plan.traversal.parents, scaled.argmin(axis=1))
    np.testing.assert_allclose(
        plan.conflict_graph.pairwise_distances, np.linalg.norm(points[60:, None] - points[60:], axis=2) / 0.5
    )

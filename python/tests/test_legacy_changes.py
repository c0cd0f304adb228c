"""Insertions and removals by the names of covertreex 0.4.5, their plans, and the arrays of trees."""

import numpy as np
import pytest
from legacy_data import assert_nearest, points, queries

import covertreex
from covertreex import (
    PCCT,
    LegacyWarning,
    Runtime,
    cover_tree,
)
from covertreex.kernels import RBF

pytestmark = pytest.mark.usefixtures("defaults_after")


def new_order(tree, plan):
    """Old numbers of the points that remain, as a plan of 0.4.5 implies them."""
    stayed = np.setdiff1d(np.arange(tree.num_points), [*plan.removed_indices, *plan.reattach_indices])
    assert len(stayed) == plan.retained_count
    return np.concatenate([stayed, plan.reattached_order])


def test_removal_renumbers_the_others():
    tree = PCCT(Runtime()).fit(points)
    root = int(np.flatnonzero(tree.tree.parents < 0)[0])
    inner = int(np.flatnonzero(tree.tree.parents == root)[0])
    smaller, plan = tree.delete([inner, 3, 299], return_plan=True)
    order = new_order(tree, plan)
    assert sorted(order.tolist()) == np.delete(np.arange(300), sorted({inner, 3, 299})).tolist()
    assert (smaller.num_points, tree.num_points) == (len(order), 300)
    assert np.array_equal(smaller.tree.points, points[order])
    assert_nearest(smaller.knn(queries, k=9), 9, of=points[order])
    assert plan.removed_indices.tolist() == sorted({inner, 3, 299})
    # Numbers of later points follow.
    larger = smaller.insert(points[[3]])
    assert larger.nearest(points[3]) == len(order)
    leaf = larger.delete(len(order))
    assert np.array_equal(np.sort(leaf.tree.points, axis=0), np.sort(smaller.tree.points, axis=0))
    for bad, words in [([1, 1], "1 twice"), ([300], "expected 0 to 299, got 300"), ([-1], "got -1")]:
        with pytest.raises(ValueError, match=words):
            tree.delete(bad)
    with pytest.raises(TypeError, match="indices: expected integers"):
        tree.delete([0.5])
    same, plan = tree.delete([], return_plan=True)
    assert same.tree is tree.tree and plan.level_summaries == () and not plan.created_new_root
    empty, plan = tree.delete(np.arange(300), return_plan=True)
    assert (empty.num_points, empty.dimension) == (0, 3)
    assert (plan.retained_count, plan.level_summaries, plan.created_new_root) == (0, (), True)
    with pytest.raises(ValueError, match="tree: has no points"):
        empty.knn(queries, k=1)
    assert_nearest(empty.insert(points).knn(queries, k=2), 2)
    # The tree of this package keeps its indices.
    core = cover_tree(points)
    core.remove([3, 7])
    assert core.indices.tolist() == np.delete(np.arange(300), [3, 7]).tolist()


def test_plans_of_removals():
    doubled = np.concatenate([points, points[:20]])
    arrays = PCCT(Runtime()).fit(doubled).tree
    for removed in ([5], np.flatnonzero(arrays.parents < 0), np.arange(0, 320, 7), np.argsort(-arrays.top_levels)[:9]):
        gone = set(np.asarray(removed).tolist())
        below = set()
        for node in range(320):
            above = arrays.parents[node]
            while above >= 0 and above not in gone:
                above = arrays.parents[above]
            if above >= 0 and node not in gone:
                below.add(node)
        smaller, plan = covertreex.algo.batch_delete(arrays, removed)
        only_said = covertreex.algo.plan_batch_delete(arrays, removed)
        assert plan.reattach_indices.tolist() == sorted(below) == only_said.reattach_indices.tolist()
        assert plan.reattached_order.tolist() == sorted(below, key=lambda node: (int(arrays.top_levels[node]), node))
        assert plan.created_new_root == any(arrays.parents[node] < 0 for node in gone)
        order = new_order(arrays, plan)
        assert np.array_equal(smaller.points, doubled[order])
        assert [one.level for one in plan.level_summaries] == sorted({int(arrays.top_levels[node]) for node in below})
        position = {int(old): new for new, old in enumerate(order)}
        for one, said in zip(plan.level_summaries, only_said.level_summaries):
            group = {node for node in below if arrays.top_levels[node] == one.level}
            assert set(one.uncovered.tolist()) == group
            among = {
                node
                for node in group
                if order[smaller.parents[position[node]]] in group and smaller.parents[position[node]] >= 0
            }
            assert (set(one.reattached.tolist()), set(one.promoted.tolist())) == (among, group - among)
            assert one.promoted_levels.tolist() == [smaller.top_levels[position[node]] for node in one.promoted]
            assert one.reattached_levels.tolist() == [smaller.top_levels[position[node]] for node in one.reattached]
            assert np.array_equal(said.promoted, one.promoted) and one.mis_iterations >= 1


def test_removal_from_a_residual_tree():
    tree = PCCT(Runtime(metric="residual_correlation")).fit(
        points, residual_params={"variance": 1.0, "lengthscale": 0.8, "inducing_count": 20}
    )
    smaller, plan = tree.delete([0, 100], return_plan=True)
    order = new_order(tree.tree, plan)
    same = cover_tree(points[order], kernel=RBF(lengthscale=0.8), inducing_points=tree.tree.native.inducing_points)
    assert np.array_equal(smaller.knn(k=6, predecessor_mode=True), same.knn(6, predecessor_mode=True))
    position = int(np.flatnonzero(order == 5)[0])
    assert np.array_equal(smaller.knn(points[[5]], k=3), same.knn(3, queries=[position])[0])
    assert sum(len(one.uncovered) for one in plan.level_summaries) == len(plan.reattach_indices)


def test_plans_come_with_changes():
    tree, plan = PCCT(Runtime(batch_order="hilbert")).fit(points, return_plan=True)
    assert isinstance(plan, covertreex.algo.BatchInsertPlan)
    assert plan.batch_order_strategy == "hilbert"
    assert sorted(plan.batch_permutation.tolist()) == list(range(300))
    # An empty tree has no nodes that points could share: all of them are selected.
    assert plan.selected_indices.tolist() == list(range(300)) and plan.dominated_indices.size == 0
    assert plan.timings.traversal_seconds > 0
    natural, plan = PCCT(Runtime()).fit(points, apply_batch_order=False, return_plan=True)
    assert (plan.batch_order_strategy, natural.tree.native.order) == ("natural", "natural")
    assert plan.batch_permutation is None
    larger, plan = tree.insert(queries, return_plan=True, mis_seed=4, apply_batch_order=False)
    assert larger.num_points == 320
    direct = covertreex.algo.plan_batch_insert(tree.tree, queries, mis_seed=4, apply_batch_order=False)
    assert plan.selected_indices.tolist() == direct.selected_indices.tolist()
    assert np.array_equal(plan.traversal.parents, np.asarray(tree.nearest(queries)).ravel())
    with pytest.warns(LegacyWarning, match="apply_batch_order, mis_seed"):
        tree.insert(queries, mis_seed=1, apply_batch_order=True)


def test_arrays_of_a_tree():
    doubled = np.concatenate([points, points[:20]])
    tree = PCCT(Runtime()).fit(doubled).tree
    assert np.array_equal(tree.points, doubled)
    exported = tree.native.export_arrays()
    roots = np.flatnonzero(tree.parents < 0)
    assert len(roots) == 1 and roots[0] == exported.order[0]
    children = {node: [] for node in range(320)}
    for node in range(320):
        child = tree.children[node]
        while child >= 0:
            children[node].append(int(child))
            child = tree.next_cache[child]
    truth = {node: np.flatnonzero(tree.parents == node).tolist() for node in range(320)}
    assert {node: sorted(found) for node, found in children.items()} == truth
    for node, parent in enumerate(tree.parents):
        if parent >= 0 and tree.top_levels[node] > -(2**31):
            assert np.linalg.norm(doubled[node] - doubled[parent]) <= 2.0 ** (tree.top_levels[node] + 1) * (1 + 1e-9)
    levels = tree.top_levels[tree.top_levels > -(2**31)]
    lowest = min(0, levels.min())
    assert tree.level_offsets.tolist() == [(levels > one).sum() for one in range(levels.max(), lowest - 2, -1)]
    assert (tree.level_offsets[-1], tree.num_levels) == (300, levels.max() - lowest + 2)
    tree.validate()
    stats = tree.stats.as_dict()
    assert (stats["num_batches"], stats["num_insertions"]) == (1, 320)
    own = covertreex.PCCTree(**{name: getattr(tree, name) for name in (
        "points", "top_levels", "parents", "children", "level_offsets", "si_cache", "next_cache")})  # fmt: skip
    found = covertreex.queries.knn(own, queries, k=5, return_distances=True)
    assert_nearest(found[0], 5, of=doubled)
    single = own.to_backend(covertreex.TreeBackend.numpy(precision="float32"))
    assert single.points.dtype == np.float32
    assert covertreex.PCCTree.empty(dimension=4).is_empty()
    with pytest.raises(ValueError, match="k: expected 1 to 320"):
        covertreex.queries.knn(own, queries, k=321)
    with pytest.raises(ValueError, match="parents: expected 320 of them"):
        own.replace(parents=np.zeros(3))


def test_changes_as_functions():
    algo = covertreex.algo
    empty = covertreex.PCCTree.empty(dimension=3)
    tree, plan = algo.batch_insert(empty, points)
    larger, _ = algo.batch_insert(tree, queries)
    assert (tree.num_points, larger.num_points, empty.num_points) == (300, 320, 0)
    assert len(plan.selected_indices) == 300
    smaller, gone = algo.batch_delete(larger, np.arange(300, 320))
    assert np.array_equal(smaller.points, points[new_order(larger, gone)])
    assert algo.plan_batch_delete(larger, [5]).removed_indices.tolist() == [5]
    made, result = algo.batch_insert_prefix_doubling(empty, points)
    assert made.num_points == 300 and len(result.groups) == 1
    assert covertreex.queries.nearest_neighbor(tree, points[12]) == 12


@pytest.mark.parametrize("name", ["residual_correlation_lite", "residual-lite"])
def test_correlation_of_coordinates(name):
    wide, asked = (np.random.default_rng(seed).standard_normal((count, 6)) for seed, count in ((2, 200), (3, 15)))
    tree = PCCT(Runtime(metric=name)).fit(wide[:150]).insert(wide[150:])
    indices, distances = tree.knn(asked, k=5, return_distances=True)
    truth = 1 - np.corrcoef(asked, wide)[:15, 15:]
    assert np.array_equal(indices, np.argsort(truth, axis=1)[:, :5])
    np.testing.assert_allclose(distances, np.sort(truth, axis=1)[:, :5], atol=1e-12)
    smaller, plan = tree.delete([0, 7], return_plan=True)
    assert np.array_equal(smaller.knn(asked, k=3), np.argsort(truth[:, new_order(tree, plan)], axis=1)[:, :3])
    with pytest.raises(ValueError, match=r"points\[1\]: expected coordinates that differ"):
        PCCT(Runtime(metric=name)).fit([[1.0, 2.0], [3.0, 3.0]])

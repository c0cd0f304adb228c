"""Strategies and metrics of other packages, by the names of covertreex 0.4.5."""

import logging
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

import covertreex
from covertreex import PCCT, Runtime, TreeBackend, algo, config
from covertreex.algo.conflict.base import ConflictGraphContext
from covertreex.algo.conflict.builders import AdjacencyBuild
from covertreex.algo.conflict.strategies import registered_conflict_strategies, select_conflict_strategy
from covertreex.algo.traverse import TraversalResult
from covertreex.algo.traverse.strategies import registered_traversal_strategies, select_traversal_strategy
from covertreex.core import Metric
from covertreex.legacy.metrics import registry
from covertreex.plugins import conflict, metrics, traversal

points = np.random.default_rng(0).random((40, 2))
batch = np.random.default_rng(1).random((12, 2))


@pytest.fixture(autouse=True)
def nothing_left():
    yield
    for name in ("own", "broken", "euclidean_other"):
        traversal.deregister_traversal_strategy(name)
        conflict.deregister_conflict_strategy(name)
        registry.unregister(name)
    config.reset_runtime_context()


@pytest.fixture
def entry_points(monkeypatch):
    """Installs packages with entry points."""

    def install(**payloads):
        made = [SimpleNamespace(name=name, load=lambda one=one: one) for name, one in payloads.items()]
        asked = []
        monkeypatch.setattr("covertreex.legacy.strategies._entry_points", lambda group: asked.append(group) or made)
        return asked

    return install


class NearestOnly:
    """A scope is the parent alone."""

    def collect(self, tree, batch, *, backend, runtime):
        assert runtime.metric == "euclidean"
        parents = np.linalg.norm(batch[:, None] - tree.points, axis=2).argmin(axis=1)
        scopes, starts = tuple((int(one),) for one in parents), np.arange(len(batch) + 1)
        timings = algo.TraversalTimings(0.0, 0.0, 0.0)
        return TraversalResult(parents, tree.top_levels[parents], scopes, starts, parents, timings, engine="own")


class Everybody:
    """All points may be in each other's way; the radii decide."""

    def build(self, ctx):
        assert isinstance(ctx, ConflictGraphContext) and ctx.batch_size == len(ctx.batch) == 12
        sources, targets = np.nonzero(~np.eye(ctx.batch_size, dtype=bool))
        return AdjacencyBuild(sources=sources, targets=targets)


def test_own_strategies_come_first():
    tree = PCCT(Runtime()).fit(points).tree
    usual = algo.plan_batch_insert(tree, batch, apply_batch_order=False)
    traversal.register_traversal_strategy("own", predicate=lambda *_: True, factory=NearestOnly)
    found = algo.traverse_collect_scopes(tree, batch)
    assert found.engine == "own" and [len(scope) for scope in found.conflict_scopes] == [1] * 12
    assert isinstance(select_traversal_strategy(config.runtime_config(), TreeBackend.numpy()), NearestOnly)
    assert registered_traversal_strategies() == ("own", "euclidean_dense", "residual_sparse")

    conflict.register_conflict_strategy("own", predicate=lambda *_: True, factory=Everybody, origin="here")
    graph = algo.build_conflict_graph(tree, found, batch)
    distances = np.linalg.norm(batch[:, None] - batch, axis=2)
    near = distances <= np.minimum.outer(graph.radii, graph.radii)
    np.fill_diagonal(near, False)
    assert graph.num_edges == near.sum() > 0
    assert np.array_equal(np.split(graph.indices, graph.indptr[1:-1])[3], np.flatnonzero(near[3]))
    described = {one["name"]: one for one in conflict.list_plugins()}
    assert described["own"]["module"] == "here" and described["own"]["factory"].endswith(
        "test_legacy_plugins.Everybody"
    )
    assert list(described) == ["own", "residual_grid", "residual", "segmented", "grid", "dense"]

    # The stages use them, and so do plans; the library's trees do not depend on them.
    plan = algo.plan_batch_insert(tree, batch, apply_batch_order=False)
    assert plan.traversal.engine == "own"
    traversal.deregister_traversal_strategy("own")
    conflict.deregister_conflict_strategy("own")
    again = algo.plan_batch_insert(tree, batch, apply_batch_order=False)
    assert again.selected_indices.tolist() == usual.selected_indices.tolist()


def test_one_of_the_same_name_replaces_the_other():
    for factory in (NearestOnly, dict):
        traversal.register_traversal_strategy("own", predicate=lambda *_: True, factory=factory)
    assert select_traversal_strategy(config.runtime_config(), TreeBackend.numpy()) == {}
    assert registered_traversal_strategies().count("own") == 1
    with pytest.raises(TypeError, match="predicate, factory: expected functions"):
        traversal.register_traversal_strategy("own", predicate=True, factory=dict)


def test_a_predicate_that_fails_is_passed_over(caplog):
    def broken(*_):
        raise RuntimeError("boom")

    conflict.register_conflict_strategy("broken", predicate=broken, factory=dict)
    runtime = SimpleNamespace(conflict_graph_impl="dense")
    with caplog.at_level(logging.ERROR, logger="covertreex"):
        chosen = select_conflict_strategy(runtime, residual_mode=False, has_residual_distances=False)
    assert hasattr(chosen, "build") and "conflict strategy 'broken'" in caplog.text
    other = SimpleNamespace(metric="cosine")
    with pytest.raises(RuntimeError, match="traversal: none of the strategies euclidean_dense, residual_sparse"):
        select_traversal_strategy(other, TreeBackend.numpy())


@pytest.mark.parametrize("module, registered", [
    (traversal, registered_traversal_strategies), (conflict, registered_conflict_strategies)
])  # fmt: skip
def test_entry_points(entry_points, caplog, module, registered):
    as_mapping = {"name": "own", "predicate": lambda *_: False, "factory": NearestOnly}
    as_object = SimpleNamespace(**{**as_mapping, "name": "euclidean_other"})
    asked = entry_points(first=lambda: [as_mapping, as_object], nothing=lambda: None, broken=3)
    with caplog.at_level(logging.ERROR, logger="covertreex"):
        assert module.load_entrypoints() == ["first", "nothing"]
    assert "entry point 'broken' of covertreex." in caplog.text
    assert asked == [f"covertreex.{module.__name__.rpartition('.')[2]}"]
    assert registered()[:2] == ("own", "euclidean_other")


def test_metrics_of_entry_points(entry_points, caplog):
    def doubled(backend, lhs, rhs):
        return 2 * covertreex.get_metric("euclidean").pairwise(backend, lhs, rhs)

    asked = entry_points(own=lambda: [Metric("own", doubled, doubled)], broken="own")
    with caplog.at_level(logging.ERROR, logger="covertreex"):
        metric = covertreex.get_metric("own")
    assert asked == ["covertreex.metrics"] and "expected a Metric, got 'own'" in caplog.text
    assert metric.pairwise(TreeBackend.numpy(), [[0.0]], [[3.0]]).tolist() == [[6.0]]
    assert {"name": "own", "module": __name__} in metrics.list_metrics()
    with pytest.raises(KeyError, match="expected one of euclidean, own"):
        covertreex.get_metric("cosine")


def test_entry_points_of_an_installed_package(tmp_path):
    """By its metadata, before a strategy is first asked for."""
    (tmp_path / "nearby.py").write_text(
        "offered = {'name': 'nearby', 'predicate': lambda runtime, backend: False, 'factory': dict}\n", encoding="utf-8"
    )
    info = tmp_path / "nearby-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: nearby\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text("[covertreex.traversal]\nnearby = nearby:offered\n", encoding="utf-8")
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import covertreex; assert 'nearby' not in sys.modules\n"
        "from covertreex.algo.traverse.strategies import registered_traversal_strategies\n"
        "print(*registered_traversal_strategies())"
    )
    said = subprocess.check_output([sys.executable, "-c", code], text=True)
    assert said.split() == ["nearby", "euclidean_dense", "residual_sparse"]

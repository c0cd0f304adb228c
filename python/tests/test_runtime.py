import dataclasses
import json
import os
import subprocess
import sys
import threading

import numpy as np
import pytest

import covertreex
from covertreex import PCCT, CoverTree, Runtime, RuntimeConfig, _calls, cover_tree, runtime
from covertreex.kernels import RBF, Matern32

points = np.random.default_rng(0).random((400, 3))


@pytest.fixture
def environment(monkeypatch):
    """Sets variables, and has them read."""

    def say(**variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return runtime.read_environment()

    yield say
    monkeypatch.undo()
    runtime.read_environment()


def test_a_runtime_gives_options_that_calls_omit():
    with Runtime(order="natural", dtype="float32", leaf_size=7, seed=5).activate() as config:
        assert runtime.active_config() is config
        tree = cover_tree(points)
        assert (tree.order, tree.dtype, tree._info().leaf_size, tree._info().seed) == ("natural", np.float32, 7, 5)
        other = cover_tree(points, order="random", dtype="float64", leaf_size=9, seed=6)
        assert (other.order, other.dtype, other._info().leaf_size, other._info().seed) == ("random", float, 9, 6)
    tree = cover_tree(points)
    assert (tree.order, tree.dtype, tree._info().leaf_size, tree._info().seed) == ("hilbert", np.float64, 32, 0)


def test_residual_settings():
    settings = runtime.Residual(
        n_inducing=20, inducing_points="kmeans++", jitter=1e-4, cover_tree_metric="residual_correlation"
    )
    with Runtime(residual=settings, dtype="float32").activate():
        tree = cover_tree(points, kernel=RBF(0.3))
        assert tree.inducing_points.shape == (20, 3)
        assert tree.cover_tree_metric == "residual_correlation"
        assert tree.stats().jitter == 1e-4
        assert tree.euclidean.dtype == np.float64
    same = cover_tree(points, kernel=RBF(0.3), inducing_count=20, inducing_points="kmeans++", jitter=1e-4)
    assert np.array_equal(tree.inducing_points, same.inducing_points)
    assert np.array_equal(tree.knn(7), same.knn(7))
    with Runtime(residual=runtime.Residual(n_inducing=10**6)).activate():
        assert len(cover_tree(points, kernel=RBF(0.3)).inducing_points) == len(points)


@pytest.mark.parametrize("block_size", [64, 192, 256, 1024])
@pytest.mark.parametrize("tau", [None, 0.02, 0.3, 0.9])
def test_how_searches_go_about_it_changes_no_answer(block_size, tau, tmp_path):
    many = np.random.default_rng(3).random((3000, 2))
    usual = cover_tree(many, kernel=Matern32(0.4), inducing_count=40)
    with Runtime(residual=runtime.Residual(n_inducing=40, block_size=block_size, tau=tau)).activate():
        tree = cover_tree(many, kernel=Matern32(0.4))
    assert tree.export_arrays().block_size == block_size
    queries = np.random.default_rng(4).random((100, 2))
    for search in (
        lambda tree: tree.knn(12, predecessor_mode=True),
        lambda tree: tree.knn(7, queries=queries),
        lambda tree: tree.knn(200, queries=[2999, 5, 1234]),
    ):
        assert np.array_equal(search(tree), search(usual))
    if tau is not None:
        assert tree.stats().n_pivots != usual.stats().n_pivots or block_size == 256
    tree.save(tmp_path / "tree.ct")
    again = covertreex.load(tmp_path / "tree.ct")
    assert again.export_arrays().block_size == block_size
    assert np.array_equal(again.knn(7, queries=queries), usual.knn(7, queries=queries))
    usual.insert(queries)
    tree.insert(queries)
    assert np.array_equal(tree.knn(12, predecessor_mode=True), usual.knn(12, predecessor_mode=True))


def test_threads_are_the_library_s(monkeypatch):
    with Runtime(threads=3).activate():
        assert _calls.threads(None) == 3
        assert _calls.threads(2) == 2
    assert _calls.threads(None) == 0


def test_activation_is_of_its_context():
    seen = []
    with Runtime(leaf_size=7).activate():
        other = threading.Thread(target=lambda: seen.append(runtime.active_config().leaf_size))
        other.start()
        other.join()
        with Runtime(leaf_size=8).activate():
            assert runtime.active_config().leaf_size == 8
        assert runtime.active_config().leaf_size == 7
        with pytest.raises(RuntimeError), Runtime(leaf_size=9).activate():
            raise RuntimeError
        assert runtime.active_config().leaf_size == 7
    assert seen == [32]


def test_the_environment(environment):
    config = environment(COVERTREEX_LEAF_SIZE="64", COVERTREEX_RESIDUAL_N_INDUCING="9", COVERTREEX_SEED="none")
    assert (config.leaf_size, config.residual.n_inducing, config.seed) == (64, 9, None)
    assert cover_tree(points)._info().leaf_size == 64
    assert Runtime(threads=2).to_config().leaf_size == 64
    assert environment(COVERTREEX_PROFILE="cpu-debug", COVERTREEX_LEAF_SIZE="").order == "natural"
    for name, value, words in [
        ("COVERTREEX_LEAF_SIZE", "many", "COVERTREEX_LEAF_SIZE: leaf_size=many"),
        ("COVERTREEX_LEAF_SIZE", "0", "leaf_size: expected 1 to 65536, got 0"),
        ("COVERTREEX_DIAGNOSTICS_ENABLED", "perhaps", "expected true or false, got 'perhaps'"),
        ("COVERTREEX_PROFILE", "fastest", "expected one of default, residual-gold"),
    ]:
        with pytest.raises(ValueError, match=words), pytest.MonkeyPatch.context() as patch:
            patch.setenv(name, value)
            runtime.read_environment()


def test_the_environment_of_a_new_process():
    code = "import covertreex; print(covertreex.cover_tree([[0.0], [1.0]]).order)"
    said = {**os.environ, "COVERTREEX_ORDER": "random"}
    assert subprocess.check_output([sys.executable, "-c", code], env=said, text=True).strip() == "random"


def test_every_setting_has_a_variable():
    names = runtime.environment_names()
    assert len(names) == 7 + 6 + 3
    assert names["COVERTREEX_DIAGNOSTICS_LOG_FILE"] == "diagnostics.log_file"


@pytest.mark.parametrize("name", runtime.PROFILES)
def test_profiles(name):
    chosen = Runtime.from_profile(name)
    assert chosen.to_config() == runtime.PROFILES[name].config
    json.dumps(chosen.describe())
    with chosen.activate():
        kernel = RBF(0.3) if chosen.metric == "residual_correlation" else None
        tree = cover_tree(points, kernel=kernel)
        assert tree.validate()


def test_overrides():
    chosen = Runtime.from_profile("residual-gold", ["residual.n_inducing=256", "diagnostics.enabled=true"])
    assert chosen.residual.n_inducing == 256
    assert chosen.residual.jitter == 1e-6
    assert chosen.diagnostics.enabled
    for override, words in [
        ("leaf_size", "expected 'name=value', got 'leaf_size'"),
        ("leaves=3", "no setting 'leaves'; there are metric, threads"),
        ("residual=3", "no setting 'residual'"),
        ("residual.leaf_size=3", "no setting 'leaf_size'"),
        ("leaf_size=1e9", "leaf_size=1e9"),
        ("residual.jitter=0.5", "residual.jitter: expected above 0, at most 0.01, got 0.5"),
    ]:
        with pytest.raises(ValueError, match=words):
            Runtime.from_profile("default", [override])
    with pytest.raises(ValueError, match=r"name: expected one of default, .*got 'gold'"):
        Runtime.from_profile("gold")


def test_rejects_invalid_arguments():
    for settings, words in [
        (dict(leaf_size=0), "leaf_size: expected 1 to 65536, got 0"),
        (dict(threads=5000), "threads: expected 1 to 1024"),
        (dict(dtype="float16"), "dtype: expected one of auto, float32, float64, got 'float16'"),
        (dict(engine="gpu"), "engine: expected one of auto"),
        (dict(engine="rust-hilbert", order="natural"), "means the order 'hilbert'"),
        (dict(metric="cosine"), "metric: expected one of"),
        (dict(residual=dict(block_size=100)), "block_size: expected a multiple of 64, got 100"),
        (dict(residual=dict(block_size=2048)), "block_size: expected 64 to 1024, got 2048"),
        (dict(residual=dict(tau=1.0)), r"tau: expected above 0 and below 1, got 1\.0"),
    ]:
        with pytest.raises(ValueError, match=words):
            Runtime(**{**settings, "residual": runtime.Residual(**settings.get("residual", {}))})
    with pytest.raises(TypeError, match="leafsize: no such setting"):
        Runtime(leafsize=3)
    with pytest.raises(TypeError, match=r"leaf_size: expected an integer, got 2\.5"):
        Runtime(leaf_size=2.5)
    with pytest.raises(dataclasses.FrozenInstanceError):
        Runtime().leaf_size = 3
    with pytest.raises(dataclasses.FrozenInstanceError):
        RuntimeConfig().leaf_size = 3


def test_old_names_of_settings():
    with pytest.warns(UserWarning, match="conflict_graph, enable_numba: .*without effect"):
        old = Runtime(precision="float32", batch_order="natural", mis_seed=3, conflict_graph="grid", enable_numba=True)
    assert (old.dtype, old.order, old.seed) == ("float32", "natural", 3)
    with pytest.raises(TypeError, match="precision: means dtype"):
        Runtime(precision="float32", dtype="float64")
    assert old.with_updates(seed=4) == Runtime(dtype="float32", order="natural", seed=4)
    with old.activate():
        assert Runtime.from_active().to_config() == old.to_config()


def test_an_explicit_order_goes_before_an_engine_that_was_set():
    with Runtime(engine="rust-natural").activate():
        assert cover_tree(points).order == "natural"
        assert cover_tree(points, order="random").order == "random"
        assert cover_tree(points, engine="rust-hilbert").order == "hilbert"
        with pytest.raises(ValueError, match="means the order 'hilbert'"):
            cover_tree(points, engine="rust-hilbert", order="random")


def test_trees_by_their_old_names():
    tree = CoverTree(Runtime(engine="rust-hilbert", metric="euclidean")).fit(points)
    assert isinstance(tree, PCCT)
    assert isinstance(CoverTree(), PCCT)
    new = cover_tree(points)
    queries = np.random.default_rng(1).random((5, 3))
    indices, distances = tree.knn(queries, k=4, return_distances=True)
    assert np.array_equal(indices, new.knn(4, queries=queries))
    assert np.array_equal(distances, new.knn(4, queries=queries, return_distances=True)[1])
    assert np.array_equal(tree.knn(queries[0], k=4), indices[0])
    assert tree.nearest(queries[2]) == indices[2, 0]
    assert tree.knn([0, 0, 0], k=3).shape == (3,)  # whole numbers are coordinates here
    assert tree.build_seconds > 0
    assert tree.knn(k=2).shape == (400, 2)
    with pytest.raises(ValueError, match=r"call fit\(\) first"):
        PCCT().knn(queries, k=1)
    with pytest.raises(TypeError, match="runtime: expected a Runtime"):
        PCCT(points)


def test_changes_make_new_trees():
    tree = PCCT().fit(points)
    larger = tree.insert([[0.5, 0.5, 0.5], [2, 2, 2]])
    smaller = PCCT(Runtime(), larger).delete([0, 401])
    assert (len(tree), len(larger), len(smaller)) == (400, 402, 400)
    assert larger.nearest([2, 2, 2]) == 401
    assert smaller.nearest([2, 2, 2]) != 401
    assert tree.nearest(points[0]) == 0
    assert smaller.nearest(points[0]) != 0


def test_residual_trees_by_their_old_names():
    settings = Runtime(metric="residual_correlation")
    old = PCCT(settings).fit(points, residual_params={"lengthscale": 0.3, "variance": 2.0, "inducing_count": 30})
    new = cover_tree(points, kernel=RBF(0.3, 2.0), inducing_count=30)
    rows = np.array([[5], [77]])
    assert np.array_equal(old.knn(rows, k=6, predecessor_mode=True), new.knn(6, queries=[5, 77], predecessor_mode=True))
    assert len(PCCT(settings).fit(points, kernel=Matern32(0.3)).insert(points[:3])) == 403
    with pytest.raises(ValueError, match="metric: 'residual_correlation' needs a kernel"):
        PCCT(settings).fit(points)
    with pytest.raises(ValueError, match="residual_params: unknown rank"):
        PCCT(settings).fit(points, residual_params={"rank": 3})
    assert covertreex.PCCT is PCCT

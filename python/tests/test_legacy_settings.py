"""Settings of covertreex 0.4.5: each has its effect, or a warning."""

import dataclasses
import logging
import os
import pickle
import subprocess
import sys

import legacy_names as names
import numpy as np
import pytest

import covertreex
from covertreex import PCCT, LegacyWarning, Residual, Runtime, algo, api, config, cover_tree, runtime, telemetry
from covertreex.kernels import RBF
from covertreex.legacy import profiles
from covertreex.runtime import RuntimeModel, SeedPack

points = np.random.default_rng(0).random((120, 2))


@pytest.fixture(autouse=True)
def nothing_left():
    level = logging.getLogger("covertreex").level
    yield
    logging.getLogger("covertreex").setLevel(level)
    config.reset_runtime_context()


@pytest.fixture
def environment(monkeypatch):
    """Sets variables, and has them read."""

    def say(**variables):
        for name, value in variables.items():
            monkeypatch.setenv(f"COVERTREEX_{name}", value)
        return runtime.read_environment()

    yield say
    monkeypatch.undo()
    runtime.read_environment()


# The metric of the settings


def test_the_metric_of_the_settings_holds_for_cover_tree(environment):
    for settings in (Runtime(metric="residual_correlation"), Runtime(metric="residual")):
        with settings.activate():
            assert type(cover_tree(points, kernel=RBF(0.3))) is covertreex.ResidualTree
            with pytest.raises(ValueError, match="active settings: 'residual_correlation' needs a kernel"):
                cover_tree(points)
            assert len(cover_tree(points, metric="euclidean")) == 120
            assert len(cover_tree(points, metric="auto")) == 120
    with Runtime(metric="euclidean").activate():
        assert len(cover_tree(points)) == 120
        with pytest.raises(ValueError, match="active settings: 'euclidean' cannot be combined"):
            cover_tree(points, kernel=RBF(0.3))
        assert len(cover_tree(points, metric="residual_correlation", kernel=RBF(0.3))) == 120
    environment(METRIC="residual_correlation")
    with pytest.raises(ValueError, match="needs a kernel"):
        cover_tree(points)
    for metric, words in [("residual_correlation", "^metric: .*needs a kernel"), ("hamming", "expected one of auto")]:
        with pytest.raises(ValueError, match=words):
            cover_tree(points, metric=metric)
    # Trees that are built internally ignore the setting.
    tree = cover_tree(points, kernel=RBF(0.3), inducing_points="cover-tree", inducing_count=9)
    assert tree.validate()


# Names, old and new


def test_updates_by_either_name():
    new = Runtime(seed=1, dtype="float64", order="natural")
    assert new.with_updates(mis_seed=3).seed == 3
    assert new.with_updates(global_seed=5).seed == 5
    assert new.with_updates(precision="float32").dtype == "float32"
    assert new.with_updates(batch_order="random").order == "random"
    old = Runtime(mis_seed=1, precision="float64", batch_order="natural", global_seed=9)
    assert (old.seed, old.mis_seed, old.global_seed, old.precision) == (1, 1, 9, "float64")
    updated = old.with_updates(seed=4, dtype="float32")
    assert (updated.seed, updated.mis_seed, updated.global_seed, updated.precision) == (4, None, None, "float32")
    assert updated.order == "natural"
    assert old.with_updates(mis_seed=2).seed == 2
    assert old.with_updates(global_seed=2).seed == 1  # the seed of the tree goes before it
    assert old.with_updates(mis_seed=None).seed == 9
    assert old.with_updates(mis_seed=None, global_seed=None).seed is None
    assert new.with_updates(seed=None).seed is None
    assert new.with_updates(metric="residual").metric == "residual_correlation"
    with pytest.raises(TypeError, match="mis_seed: means seed; give only one"):
        new.with_updates(seed=1, mis_seed=2)
    with pytest.raises(TypeError, match="mis_seeds: no such setting"):
        new.with_updates(mis_seeds=2)
    lite = Runtime(metric="residual-lite").with_updates(seed=3)
    assert lite.is_lite and not lite.with_updates(metric="euclidean").is_lite


def test_every_old_setting_has_its_effect_or_a_warning():
    given = {
        "backend": "jax", "precision": "float32", "engine": "rust-natural", "metric": "euclidean",
        "diagnostics": True, "conflict_graph": "grid", "batch_order": "natural", "prefix_schedule": "doubling",
        "log_level": "DEBUG", "devices": ("cpu",), "residual": Residual(),
    }  # fmt: skip
    meant = "precision engine metric diagnostics batch_order log_level residual global_seed mis_seed"
    methods = "activate describe from_active from_config from_profile to_config to_model with_updates"
    for name in set(names.MEMBERS["Runtime"].split()) - set(methods.split()):
        value = given.get(name, True if name.startswith(("enable", "residual", "scope")) else 3)
        if name in meant.split():
            assert getattr(Runtime(**{name: value}), name) is not None
        elif name == "residual_grid_seed":
            assert Runtime(residual_grid_seed=3).to_model().seeds.residual_grid == 3
        else:
            with pytest.warns(LegacyWarning, match=f"^{name}: of covertreex 0.4.x, without effect here"):
                made = Runtime(**{name: value})
            assert getattr(made, name) == value
        assert getattr(Runtime(**{name: None}), name) is None
    with pytest.warns(LegacyWarning, match="^radius_floor, scope_cap_default, scope_cap_path: "):
        limits = Residual(radius_floor=0.1, scope_cap_path="caps.json", scope_cap_default=2.0)
    assert limits.as_overrides()["residual_radius_floor"] == 0.1
    assert Runtime(backend="numpy").backend == "numpy"  # as it is
    with pytest.raises(ValueError, match="backend: expected one of numpy, jax, gpu, got 'cuda'"):
        Runtime(backend="cuda")
    extra = Runtime(extra={"seeds.global_seed": 6, "batch_order_strategy": "natural", "enable_diagnostics": True})
    assert (extra.seed, extra.order, extra.diagnostics.enabled) == (6, "natural", True)


def test_seeds_have_an_effect():
    one, other = (PCCT(Runtime(global_seed=seed)).fit(points).tree.native._info().seed for seed in (1, 2))
    assert (one, other) == (1, 2)
    sample = [
        PCCT(Runtime(metric="residual", residual_grid_seed=seed)).fit(points, residual_params={"inducing_count": 9})
        for seed in (1, 2)
    ]
    drawn = np.sort(np.random.default_rng(2).choice(120, 9, replace=False))
    assert np.array_equal(sample[1].tree.native.inducing_points, points[drawn])
    assert not np.array_equal(sample[0].tree.native.inducing_points, points[drawn])
    pack = SeedPack(global_seed=42, mis=7)
    assert pack.resolved("mis") == 7
    assert pack.resolved("residual_grid") == 285993376
    assert SeedPack().resolved("mis", fallback=3) == 3


# All of them at once


def test_models_and_configurations():
    chosen = Runtime(precision="float32", global_seed=3, batch_order="natural", metric="residual", diagnostics=True)
    model = chosen.to_model()
    assert (model.precision, model.batch_order_strategy, model.metric) == ("float32", "natural", "residual_correlation")
    assert model.seeds.global_seed == 3 and model.diagnostics.enabled
    assert (model.mis_seed, model.log_level, model.residual_stream_tile) == (None, "INFO", None)
    flat = model.to_runtime_config()
    assert RuntimeModel.from_legacy_config(flat) == model
    assert RuntimeModel(**model.model_dump()) == model
    again = Runtime.from_config(flat)
    assert (again.dtype, again.order, again.seed) == ("float32", "natural", 3)
    assert Runtime.from_config(chosen.to_config()).to_config() == chosen.to_config()
    with pytest.raises(ValueError, match="precision: expected one of float32, float64"):
        RuntimeModel(precision="float16")


def test_contexts():
    config.reset_runtime_context()
    assert config.current_runtime_context() is None
    base = config.runtime_context()
    assert base.get_backend().name == "numpy" and config.runtime_context() is base
    old = api.Runtime(precision="float32", batch_order="natural", log_level="WARNING", mis_seed=5)
    with old.activate() as context:
        assert config.runtime_context() is context
        assert context.config.mis_seed == 5 and context.get_backend().default_float == np.float32
        assert cover_tree(points).order == "natural"
        assert runtime.active_config().seed == 5
        assert logging.getLogger("covertreex").level == logging.WARNING
        assert covertreex.logging.get_logger("part").name == "covertreex.part"
        assert old.describe()["precision"] == "float32"
        assert config.describe_runtime()["seed_pack"]["mis"] == 5
    assert config.runtime_context() is base
    assert cover_tree(points).order == "hilbert"
    installed = config.configure_runtime(old.to_config())
    assert cover_tree(points).order == "natural" and config.runtime_config() is installed.config
    with Runtime(order="random").activate():  # by its new name
        assert config.runtime_config().batch_order_strategy == "random"
        with config.RuntimeContext(config.RuntimeConfig(batch_order_strategy="natural")):
            assert cover_tree(points).order == "natural"
        assert cover_tree(points).order == "random"
    config.reset_runtime_context()
    assert config.current_runtime_context() is None


def test_operations_are_logged(caplog):
    with caplog.at_level(logging.INFO, logger="covertreex"):
        PCCT(Runtime()).fit(points).delete([1]).knn(points[:7], k=3)
        with pytest.raises(ValueError):
            PCCT(Runtime()).fit(points).knn(points, k=0)
    said = [record.getMessage() for record in caplog.records]
    assert [line.split()[0] for line in said[:3]] == ["op=batch_insert", "op=batch_delete", "op=knn_query"]
    assert "queries=7 k=3" in said[2] and "status=ok wall_ms=" in said[2]
    assert "status=error" in said[-1]
    assert caplog.records[2].name == "covertreex.queries.knn"


def test_profiles_by_their_old_names():
    assert {"default", "cpu-debug", "residual-fast", "residual-gold"} <= set(profiles.available_profiles())
    gold = profiles.load_profile_definition(" Residual-Gold.yaml")
    assert (gold.metadata.name, gold.metadata.workload, gold.path) == ("residual-gold", "residual", None)
    assert gold.model.metric == "residual_correlation" and isinstance(gold.model, RuntimeModel)
    assert profiles.load_profile("cpu-debug").diagnostics.enabled
    with pytest.raises(profiles.ProfileNotFoundError, match="expected one of default"):
        profiles.load_profile("gold")

    said = ["diagnostics.enabled=false", "residual.radius_floor = 2.5", 'devices=["cpu"]', "seeds.mis=null"]
    overrides = profiles.parse_override_expressions(said)
    assert overrides == {
        "diagnostics.enabled": False, "residual.radius_floor": 2.5, "devices": ["cpu"], "seeds.mis": None
    }  # fmt: skip
    changed = profiles.apply_overrides_to_model(gold.model, overrides)
    assert (changed.diagnostics.enabled, changed.residual.radius_floor, changed.devices) == (False, 2.5, ("cpu",))
    assert profiles.apply_overrides_to_model(gold.model, None) is gold.model
    for wrong in ("metric", "=3", "devices=[cpu"):
        with pytest.raises(profiles.OverrideError, match="override: expected"):
            profiles.parse_override_expression(wrong)
    for wrong in ({"residual.radius": 1}, {"precision": "float16"}):
        with pytest.raises(profiles.OverrideError):
            profiles.apply_overrides_to_model(gold.model, wrong)


def test_each_setting_has_one_default():
    flat, model = config.RuntimeConfig(), RuntimeModel()
    assert flat == model.to_runtime_config()
    assert {name for name in vars(flat) if name.startswith("residual_")} == {
        f"residual_{name}" for name in vars(model.residual)
    }
    single = RuntimeModel(residual={"stream_tile": 9}, diagnostics={"log_level": "debug"}).to_runtime_config()
    assert (single.residual_stream_tile, single.log_level) == (9, "DEBUG")
    # In the order of 0.4.5.
    in_order = config.RuntimeConfig(
        "numpy", "float32", "rust-natural", (), True, False, True, False, "DEBUG", SeedPack(mis=3)
    )
    assert (in_order.enable_diagnostics, in_order.log_level, in_order.mis_seed) == (False, "DEBUG", 3)
    assert list(vars(flat))[10:12] == ["conflict_graph_impl", "scope_segment_dedupe"]
    assert pickle.loads(pickle.dumps(in_order)) == in_order != flat
    with pytest.raises(dataclasses.FrozenInstanceError):
        flat.metric = "residual_correlation"
    with pytest.raises(TypeError, match="residual_stream_tiles"):
        config.RuntimeConfig(residual_stream_tiles=3)


def test_warnings_name_the_settings_that_stages_read(environment):
    with pytest.warns(LegacyWarning, match=r"here; the functions of covertreex\.algo read conflict_graph$"):
        Runtime(conflict_graph="grid", degree_cap=3)
    with pytest.warns(LegacyWarning, match="algo read radius_floor$"):
        Residual(radius_floor=0.1)
    with pytest.warns(LegacyWarning, match="algo read COVERTREEX_SCOPE_CHUNK_TARGET$"):
        environment(SCOPE_CHUNK_TARGET="3", DEGREE_CAP="4")
    with pytest.warns(LegacyWarning, match="without effect here$"):
        Runtime(degree_cap=3)
    # They do.
    arrays = PCCT(Runtime()).fit(points).tree
    with pytest.warns(LegacyWarning):
        context = api.Runtime(scope_chunk_target=2).activate()
    with context:
        scopes = algo.traverse_collect_scopes(arrays, points[:9] + 0.01).conflict_scopes
    assert {len(one) for one in scopes} == {2}


# The environment


@pytest.mark.parametrize("name", names.UNUSED.split())
def test_variables_without_a_meaning_are_warned_of(environment, name):
    with pytest.warns(LegacyWarning, match=f"^COVERTREEX_{name}: of covertreex 0.4.x, without effect here"):
        environment(**{name: "jax" if name == "BACKEND" else "1"})


def test_variables_with_a_meaning(environment):
    read = environment(
        PRECISION="float32", BATCH_ORDER="natural", MIS_SEED="3", GLOBAL_SEED="8", ENABLE_DIAGNOSTICS="1"
    )
    assert (read.dtype, read.order, read.seed, read.diagnostics.enabled) == ("float32", "natural", 3, True)
    tree = cover_tree(points)
    assert (tree.dtype, tree.order, tree._info().seed) == (np.float32, "natural", 3)
    assert telemetry.last_records().records[-1].operation == "build"
    # New names go before old ones.
    assert environment(SEED="4", ORDER="random").seed == 4


def test_more_variables_with_a_meaning(environment):
    assert environment(GLOBAL_SEED="8").seed == 8
    environment(LOG_LEVEL="debug")
    assert logging.getLogger("covertreex").level == logging.DEBUG
    read = environment(ENGINE="rust-natural")
    assert (read.engine, read.order) == ("native", "natural")
    with pytest.warns(LegacyWarning, match="COVERTREEX_BATCH_ORDER"):
        environment(BATCH_ORDER="hilbert")  # the engine implies another order
    assert cover_tree(points).order == "natural"
    model = RuntimeModel.from_env({"COVERTREEX_METRIC": "residual_correlation", "COVERTREEX_DEGREE_CAP": "48"})
    assert (model.prefix_schedule, model.residual.stream_tile, model.conflict_degree_cap) == ("doubling", 64, 48)
    known = "ARTIFACT_ROOT PRECISION BATCH_ORDER MIS_SEED GLOBAL_SEED ENABLE_DIAGNOSTICS LOG_LEVEL ENGINE METRIC"
    assert set(names.MEANT.split()) <= set(known.split())


@pytest.mark.parametrize(
    "name, value, words",
    [
        ("PRECISION", "float16", "dtype: expected one of auto, float32, float64, got 'float16'"),
        ("BATCH_ORDER", "sorted", "order: expected one of hilbert, natural, random, got 'sorted'"),
        ("MIS_SEED", "many", "COVERTREEX_MIS_SEED: seed=many"),
        ("ENABLE_DIAGNOSTICS", "perhaps", "expected true or false, got 'perhaps'"),
        ("LOG_LEVEL", "loud", "COVERTREEX_LOG_LEVEL: expected a level of logging"),
        ("BACKEND", "cuda", "COVERTREEX_BACKEND: expected one of numpy, jax, gpu, got 'cuda'"),
    ],
)
def test_variables_with_a_wrong_value(environment, name, value, words):
    with pytest.raises(ValueError, match=words):
        environment(**{name: value})


def test_the_environment_of_a_new_process():
    code = "import covertreex; tree = covertreex.cover_tree([[0.0], [1.0]]); print(tree.order, tree._info().seed)"
    said = {**os.environ, "COVERTREEX_ENGINE": "rust-natural", "COVERTREEX_MIS_SEED": "3"}
    assert subprocess.check_output([sys.executable, "-c", code], env=said, text=True).strip() == "natural 3"


def test_the_first_call_of_a_process_is_recorded():
    code = "import covertreex; covertreex.cover_tree([[0.0], [1.0]]); print(len(covertreex.telemetry.last_records()))"
    said = {**os.environ, "COVERTREEX_ENABLE_DIAGNOSTICS": "1"}
    assert subprocess.check_output([sys.executable, "-c", code], env=said, text=True).strip() == "1"


@pytest.mark.parametrize("engine", ["rust-natural", "rust-hilbert"])
def test_active_settings_keep_the_old_name_of_an_engine(engine):
    with Runtime(engine=engine).activate():
        assert config.runtime_config().engine == engine

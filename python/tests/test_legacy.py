"""Names and documented calls of covertreex 0.4.5 run here, and answers are those of the oracles."""

import copy
import importlib
import importlib.util
import pickle
import warnings

import legacy_names as names
import numpy as np
import oracle
import pytest
import residual_oracle

import covertreex
from covertreex import (
    PCCT,
    CoverTree,
    LegacyWarning,
    Residual,
    ResidualCoverTree,
    Runtime,
    config,
    cover_tree,
    reset_residual_metric,
)
from covertreex import kernels as kernels_module
from covertreex import tree as core_tree
from covertreex.engine import build_tree, get_engine
from covertreex.kernels import RBF, Matern52
from covertreex.metrics import build_residual_backend, configure_residual_correlation
from covertreex.residual import ResidualTree

points = np.random.default_rng(0).standard_normal((300, 3))
queries = np.random.default_rng(1).standard_normal((20, 3))


@pytest.fixture(autouse=True)
def nothing_left():
    yield
    reset_residual_metric()
    config.reset_runtime_context()


def assert_nearest(found, k, asked=queries, of=points, distances=None, **options):
    oracle.assert_nearest(of, asked, k, np.asarray(found), distances, **options)


def assert_residual(kernel, inducing, rows, found, k, predecessors=False):  # noqa: PLR0917
    """Neighbours of some points by residual correlation, and distances."""
    indices, distances = found
    v, p = residual_oracle.features(kernel, points, inducing)
    rho, norms = residual_oracle.correlations(kernel, points[rows], v[rows], p[rows], points, v, p)
    rho[np.arange(len(rows)), rows] = 1
    allowed = residual_oracle.predecessors(rows, len(points)) if predecessors else None
    distances = None if distances is None else np.asarray(distances, np.float64)
    residual_oracle.assert_nearest(rho, norms, k, indices, distances, allowed, variance=kernel.variance, slack=1e-6)


# Names


@pytest.mark.parametrize("module", names.MODULES)
def test_every_public_name_is_there(module):
    found = importlib.import_module(module)
    assert {name for name in names.MODULES[module].split() if not hasattr(found, name)} == set()
    # Modules with names of this package, too.
    if module not in ("covertreex", "covertreex.kernels", "covertreex.runtime", "covertreex.telemetry"):
        assert set(found.__all__) <= set(names.MODULES[module].split()) | {"nearest_neighbor"}


def test_what_is_not_there_is_internal():
    exported = {name for package in names.PACKAGES.split() for name in names.MODULES[package].split()}
    for module, listed in names.INTERNAL.items():
        for name in listed.split():
            assert name.startswith("_") or name not in {*exported, *names.DOCUMENTED.split()}, (module, name)
            assert name not in names.MODULES.get(module, "").split(), (module, name)
        if module not in names.MODULES:
            assert importlib.util.find_spec(module) is None
    documented = {name for listed in names.MODULES.values() for name in listed.split()}
    moved = {name for _, listed in names.MOVED.values() for name in listed.split()}
    assert set(names.DOCUMENTED.split()) <= documented | moved | {"RuntimeContext", "RuntimeModel"}
    for module, listed in names.MOVED.values():
        found = importlib.import_module(module)
        assert all(hasattr(found, name) for name in listed.split())


def test_modules_are_attributes_of_the_package():
    for module in names.MODULES:
        thing = covertreex
        for name in module.split(".")[1:]:
            thing = getattr(thing, name)
    # A module that is imported takes no function's place.
    for module, name in [("algo", "batch_delete"), ("algo", "batch_insert"), ("queries", "knn")]:
        importlib.import_module(f"covertreex.{module}.{name}")
        assert callable(getattr(getattr(covertreex, module), name))


def test_members_of_classes():
    tree = PCCT(Runtime()).fit(points)
    made = {
        "CoverTree": CoverTree(Runtime()).fit(points),
        "PCCT": tree,
        "Runtime": Runtime(),
        "Residual": Residual(),
        "RBF": RBF(),
        "Matern52": Matern52(),
        "ResidualCoverTree": ResidualCoverTree(points),
        "EngineCoverTree": build_tree(points),
        "PCCTree": tree.tree,
        "TreeLogStats": tree.tree.stats,
        "ResidualCorrHostData": build_residual_backend(points, seed=0, inducing_count=9, variance=1.0, lengthscale=1.0),
    }
    for kind, listed in names.MEMBERS.items():
        thing = made.get(kind, getattr(covertreex, kind))
        for name in listed.split():
            assert hasattr(thing, name), (kind, name)


def test_numbers_of_kernels():
    class Own(kernels_module.Kernel):
        def __call__(self, X1, X2=None):
            raise NotImplementedError

    numbers = [
        kind.kernel_type for kind in (RBF(), Matern52(2.0), Own(), kernels_module.Matern12(), kernels_module.Matern32)
    ]
    assert numbers == [0, 1, 0, -1, -1]
    with pytest.raises((TypeError, ValueError), match="kernel_type: expected one of"):
        build_residual_backend(
            points,
            seed=0,
            inducing_count=9,
            variance=1.0,
            lengthscale=1.0,
            kernel_type=kernels_module.Matern32.kernel_type,
        )


def test_core_knows_nothing_of_older_names():
    for module in (
        core_tree,
        kernels_module,
        *map(importlib.import_module, ("covertreex._settings", "covertreex._telemetry")),
    ):
        assert not any("legacy" in str(getattr(thing, "__module__", "")) for thing in vars(module).values())
    assert "__new__" not in vars(core_tree.CoverTree)


# The class CoverTree, old and new


def test_one_name_for_trees_of_points_and_for_settings():
    tree = CoverTree(points)
    assert type(tree) is core_tree.CoverTree
    assert type(CoverTree(coords=points, order="natural")) is core_tree.CoverTree
    fitted = CoverTree(Runtime(metric="euclidean")).fit(points)
    assert type(fitted) is PCCT
    for one in (tree, cover_tree(points), fitted, CoverTree()):
        assert isinstance(one, CoverTree)
    assert not isinstance(cover_tree(points, kernel=RBF(), inducing_count=9), CoverTree)
    assert issubclass(core_tree.CoverTree, CoverTree) and issubclass(PCCT, CoverTree)
    assert CoverTree.knn is core_tree.CoverTree.knn

    class Own(CoverTree):
        pass

    assert type(Own(points)) is Own
    assert not isinstance(tree, Own)
    assert np.array_equal(pickle.loads(pickle.dumps(tree)).knn(3), tree.knn(3))
    assert isinstance(tree, covertreex.api.factory.BuiltCoverTree)


# Examples of its documentation


def test_quick_start():
    tree = cover_tree(points.astype(np.float32))
    neighbors, distances = tree.knn(k=10, return_distances=True)
    assert_nearest(neighbors, 10, points.astype(np.float32), points.astype(np.float32))
    assert np.array_equal(tree.knn(k=10), neighbors)
    assert distances.shape == (300, 10)


@pytest.mark.parametrize("kernel", [RBF(lengthscale=2.0), Matern52(lengthscale=1.0, variance=1.5)])
@pytest.mark.parametrize(
    "engine", ["rust-hilbert", "rust-natural", "rust-fast", "rust-hybrid", "hilbert", "natural", "python-numba"]
)
def test_residual_correlation_by_any_engine(kernel, engine):
    with pytest.warns(LegacyWarning, match="chunk_size: .*without effect"):
        tree = cover_tree(points, kernel=kernel, inducing_count=20, seed=42, chunk_size=64, engine=engine)
    everybody = np.arange(300)
    for predecessors in (False, True):
        found = tree.knn(k=12, predecessor_mode=predecessors, return_distances=True)
        assert_residual(kernel, tree.inducing_points, everybody, found, 12, predecessors)
    column = np.array([[5], [17], [250]])
    assert np.array_equal(tree.knn(k=4, queries=column), tree.knn(k=4, queries=column[:, 0]))


def test_engines_stand_for_an_order():
    orders = {
        "rust-fast": "natural", "rust-hybrid": "natural", "natural": "natural", "rust-natural": "natural",
        "hilbert": "hilbert", "rust-hilbert": "hilbert", "rust-pcct": "hilbert", "rust-pcct2": "hilbert",
    }  # fmt: skip
    for engine, order in orders.items():
        assert cover_tree(points, engine=engine).order == order
        assert CoverTree(Runtime(engine=engine)).fit(points).tree.native.order == order
    # A setting by its old name was one thing, the engine another one.
    assert CoverTree(Runtime(engine="rust-hilbert", batch_order="natural")).fit(points).tree.native.order == "natural"
    with pytest.raises(ValueError, match="engine: expected one of auto, native, hybrid"):
        Runtime(engine="rust-slow")


def test_given_features():
    kernel = RBF(lengthscale=1.0)
    inducing = points[::10]
    v, p = residual_oracle.features(kernel, points, inducing)
    with pytest.warns(UserWarning, match="RBF"):
        tree = cover_tree(points, v_matrix=v, p_diag=p, kernel_diag=np.ones(300))
    assert_residual(kernel, inducing, np.arange(300), tree.knn(k=6, return_distances=True), 6)

    # As settings of a runtime; queries are coordinates, or indices.
    for kernel, kernel_type in [(RBF(lengthscale=0.7, variance=2.0), 0), (Matern52(lengthscale=0.7, variance=2.0), 1)]:
        v, p = residual_oracle.features(kernel, points, inducing)
        residual = Residual(v_matrix=v, p_diag=p, coords=points, kernel_type=kernel_type, variance=2.0, lengthscale=0.7)
        tree = CoverTree(Runtime(metric="residual", residual=residual)).fit(points)
        found = tree.knn(points, k=6, return_distances=True)
        assert_residual(kernel, inducing, np.arange(300), found, 6)
        for some in (np.arange(300), np.arange(300)[:, None], np.arange(300.0)[:, None]):
            assert np.array_equal(tree.knn(some, k=6), found[0])
        found = tree.knn(points[40:60], k=6, return_distances=True, predecessor_mode=True)
        assert_residual(kernel, inducing, np.arange(40, 60), found, 6, predecessors=True)
    # In float32, as 0.4.5 kept them, where little of the variance is left.
    data = build_residual_backend(points, seed=0, inducing_count=60, variance=1.0, lengthscale=2.0)
    assert data.p_diag.min() < 1e-3
    single = Residual(v_matrix=data.v_matrix, p_diag=data.p_diag, coords=points, lengthscale=2.0)
    tree = CoverTree(Runtime(metric="residual", residual=single)).fit(points)
    assert np.mean(tree.knn(points, k=5) == data.tree().knn(5)) > 0.9
    with pytest.raises(ValueError, match="expected v_matrix, p_diag and coords together, coords missing"):
        Residual(v_matrix=v, p_diag=p)


def test_settings_first():
    runtime = Runtime(engine="rust-hilbert", metric="euclidean")
    tree = CoverTree(runtime).fit(points)
    neighbors, distances = tree.knn(queries, k=10, return_distances=True)
    assert_nearest(neighbors, 10, distances=distances)
    assert (tree.num_points, tree.dimension) == (300, 3)
    assert tree.nearest(queries[4]) == neighbors[4, 0]
    assert tree.nearest(queries[:2]).shape == (2, 1)
    assert tree.knn(queries[0], k=3).shape == (3,)


def test_predecessors_by_their_rows():
    tree = CoverTree(Runtime(metric="euclidean")).fit(points)
    before = residual_oracle.predecessors(np.arange(300), 300)
    assert_nearest(tree.knn(points, k=8, predecessor_mode=True), 8, points, allowed=before)
    assert_nearest(tree.knn(queries, k=8, predecessor_mode=True), 8, allowed=before[:20])
    hybrid = CoverTree(Runtime(metric="euclidean", engine="python-numba")).fit(points)
    assert np.array_equal(
        hybrid.knn(queries, k=8, predecessor_mode=True), tree.knn(queries, k=8, predecessor_mode=True)
    )


def test_profiles_and_overrides():
    for overrides in (["seeds.global_seed=42"], {"seeds.global_seed": 42}, ["seeds.global=42"]):
        runtime = Runtime.from_profile("residual-gold", overrides=overrides)
        assert (runtime.metric, runtime.seed, runtime.global_seed) == ("residual_correlation", 42, 42)
        assert runtime.to_model().seeds.global_seed == 42
    with pytest.warns(LegacyWarning, match="residual_scope_member_limit, residual_stream_tile"):
        Runtime.from_profile(
            "residual-fast.yaml", overrides=["residual.scope_member_limit=32768", "residual.stream_tile=32"]
        )
    mixed = Runtime.from_profile("default", overrides={"residual.inducing_count": 9, "precision": "float32"})
    assert (mixed.residual.inducing_count, mixed.dtype) == (9, "float32")
    for overrides, words in [(["a.b=1"], "no setting 'a.b'"), ("seeds.mis=1", "expected a list of 'name=value'")]:
        with pytest.raises((ValueError, TypeError), match=words):
            Runtime.from_profile("default", overrides=overrides)


def test_residual_tree_at_once():
    with pytest.warns(LegacyWarning, match="chunk_size"):
        tree = ResidualCoverTree(points, variance=2.0, lengthscale=[0.5, 1.0, 2.0], inducing_count=25, chunk_size=99)
    assert np.array_equal(tree.coords, points)
    kernel = RBF(lengthscale=[0.5, 1.0, 2.0], variance=2.0)
    found = tree.knn(k=5, queries=[100, 200, 299], return_distances=True, predecessor_mode=True)
    assert_residual(kernel, tree.inducing_points, np.array([100, 200, 299]), found, 5, predecessors=True)
    assert len(ResidualCoverTree(points, inducing_count=5_000).inducing_points) == 300


@pytest.mark.parametrize("engine", ["rust-natural", "rust-hilbert", "rust-hybrid", "rust-fast", "python-numba"])
def test_engines_by_themselves(engine):
    runtime = covertreex.api.Runtime(metric="residual_correlation", engine=engine, mis_seed=3)
    context = runtime.activate()
    params = {"inducing_count": 16, "variance": 1.5, "lengthscale": 0.8, "kernel_type": 1}
    tree = build_tree(points, runtime=context.config, engine=engine, context=context, residual_params=params, seed=9)
    rows = np.arange(50, 90)
    found = tree.knn(rows[:, None], k=4, return_distances=True, context=context)
    assert found[1].dtype == (np.float64 if engine == "python-numba" else np.float32)
    # Inducing points are sampled as in 0.4.5: with the argument, or with the seeds of the settings.
    drawn = 9 if engine in ("rust-natural", "rust-fast") else 0
    if engine not in ("rust-natural", "rust-fast"):
        drawn = context.config.seeds.resolved("residual_grid", fallback=context.config.seeds.resolved("mis"))
        assert drawn == 3
    inducing = points[np.sort(np.random.default_rng(drawn).choice(300, 16, replace=False))]
    kernel = Matern52(lengthscale=0.8, variance=1.5)
    assert_residual(kernel, inducing, rows, (found[0], None), 4)
    assert tree.build_seconds > 0
    assert tree.meta["predecessor_bounds_computed"]
    assert get_engine(engine).name == ("rust-natural" if engine == "rust-fast" else engine)


def test_engines_without_residual_correlation():
    tree = build_tree(points)
    assert tree.metric == "euclidean"
    assert_nearest(tree.knn(queries, k=7), 7)
    with pytest.warns(LegacyWarning, match="batch_size, build_mode, scope_cap_recorder"):
        build_tree(points, batch_size=9, build_mode="prefix", scope_cap_recorder=object())
    with pytest.raises(ValueError, match="engine: expected one of python-numba"):
        build_tree(points, engine="rust")


def test_residual_data_that_is_configured():
    runtime = Runtime(metric="residual_correlation", engine="rust-natural")
    with pytest.raises(ValueError, match="'residual_correlation' needs a kernel"):
        CoverTree(runtime).fit(points)
    data = build_residual_backend(points, seed=7, inducing_count=30, variance=1.0, lengthscale=0.9)
    configure_residual_correlation(data)
    inducing = points[np.sort(np.random.default_rng(7).choice(300, 30, replace=False))]
    tree = CoverTree(runtime).fit(points, mis_seed=7)
    found = tree.knn(np.arange(300)[:, None], k=10, predecessor_mode=True, return_distances=True)
    assert_residual(RBF(lengthscale=0.9), inducing, np.arange(300), found, 10, predecessors=True)
    # Points may be dataset indices, too. Other points are refused.
    assert np.array_equal(CoverTree(runtime).fit(np.arange(300)[:, None]).knn([[8], [9]], k=3), tree.knn([8, 9], k=3))
    for other, words in [
        (points[:50], "expected 300, as many as the residual data has, got 50"),
        (points[::-1], "in its order"),
        (points + 1, r"points\[0\]: is not in the dataset"),
    ]:
        with pytest.raises(ValueError, match=words):
            CoverTree(runtime).fit(other)
    reset_residual_metric()
    with pytest.raises(ValueError, match="needs a kernel"):
        CoverTree(runtime).fit(points)


def test_residual_data_of_a_caller():
    """V, p and a kernel of indices, without coordinates."""
    kernel, inducing = Matern52(lengthscale=0.8), points[::15]
    v, p = residual_oracle.features(kernel, points, inducing)
    full = residual_oracle.covariances(kernel, points, points)
    asked = []

    def provider(rows, columns):
        asked.append((len(rows), len(columns)))
        return full[np.ix_(rows, columns)].T.copy().T  # in columns

    data = covertreex.ResidualCorrHostData(
        v_matrix=v, p_diag=p, kernel_diag=np.ones(300), kernel_provider=provider, chunk_size=100
    )
    assert data.v_matrix.dtype == np.float32 and (data.num_points, data.rank) == (300, 20)
    configure_residual_correlation(data)
    tree = CoverTree(Runtime(metric="residual")).fit(np.arange(300)[:, None])
    found = tree.knn(np.arange(300), k=5, return_distances=True)
    assert_residual(kernel, inducing, np.arange(300), found, 5)

    metrics = importlib.import_module("covertreex.metrics.residual")
    asked.clear()
    distances = metrics.compute_residual_distances(data, np.arange(300), np.arange(300))
    assert asked == [(300, 100)] * 3
    rho, _ = residual_oracle.correlations(kernel, points, v, p, points, v, p)
    truth = np.sqrt(1 - np.minimum(rho, 1))
    np.fill_diagonal(truth, 0)
    np.testing.assert_allclose(distances**2, truth**2, atol=1e-9)
    assert metrics.compute_residual_distance_single(data, 4, 9) == pytest.approx(truth[4, 9], abs=1e-6)
    near, inside = metrics.compute_residual_distances_with_radius(data, 4, np.arange(300), None, 0.9)
    assert np.array_equal(inside.astype(bool), near <= 0.9 + 1e-9)
    np.testing.assert_allclose(near**2, truth[4] ** 2, atol=1e-9)
    bounds = metrics.compute_residual_lower_bounds_from_kernel(data, np.arange(9), np.arange(300), full[:9])
    np.testing.assert_allclose(bounds**2, 1 - full[:9], atol=1e-12)
    metric = covertreex.get_metric("residual_correlation")
    backend = covertreex.TreeBackend.numpy()
    np.testing.assert_allclose(metric.pairwise(backend, [[1], [2]], [[3]])[:, 0], truth[[1, 2], 3], atol=1e-6)
    with pytest.raises(IndexError, match=r"indices\[1\]: expected 0 to 299, got 300"):
        metrics.compute_residual_distances(data, np.array([0, 300]), np.array([1]))


def test_metrics_by_name():
    backend = covertreex.TreeBackend.numpy()
    assert covertreex.available_metrics() == ("euclidean", "residual_correlation", "residual_correlation_lite")
    found = covertreex.get_metric().pairwise(backend, queries, points)
    np.testing.assert_allclose(found, oracle.distances(queries, points), rtol=1e-12)
    lite = covertreex.get_metric("residual_correlation_lite")
    truth = 1 - np.corrcoef(queries, points)[:20, 20:]
    np.testing.assert_allclose(lite.pairwise(backend, queries, points), truth, atol=1e-12)
    np.testing.assert_allclose(lite.pointwise(backend, queries, points[:20]), np.diagonal(truth), atol=1e-12)
    with pytest.raises(RuntimeError, match="'residual_correlation' is not configured"):
        covertreex.get_metric("residual_correlation").pairwise(backend, [[0]], [[1]])
    with pytest.raises(KeyError, match="expected one of euclidean"):
        covertreex.get_metric("cosine")


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


def test_copies():
    runtime = Runtime(mis_seed=3, precision="float32", batch_order="natural")
    for tree in (PCCT(runtime).fit(points), PCCT(Runtime(metric="residual")).fit(points, kernel=RBF())):
        again = pickle.loads(pickle.dumps(tree))
        assert np.array_equal(again.knn(points[:9], k=4), tree.knn(points[:9], k=4))
        assert again.runtime == tree.runtime and again.runtime.mis_seed == tree.runtime.mis_seed
    for thing in (runtime, covertreex.api.Runtime(global_seed=2), runtime.to_model()):
        assert pickle.loads(pickle.dumps(thing)) == thing
        assert copy.deepcopy(thing) == thing


# Changes


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
        place = {int(old): new for new, old in enumerate(order)}
        for one, said in zip(plan.level_summaries, only_said.level_summaries):
            group = {node for node in below if arrays.top_levels[node] == one.level}
            assert set(one.uncovered.tolist()) == group
            among = {
                node
                for node in group
                if order[smaller.parents[place[node]]] in group and smaller.parents[place[node]] >= 0
            }
            assert (set(one.reattached.tolist()), set(one.promoted.tolist())) == (among, group - among)
            assert one.promoted_levels.tolist() == [smaller.top_levels[place[node]] for node in one.promoted]
            assert one.reattached_levels.tolist() == [smaller.top_levels[place[node]] for node in one.reattached]
            assert np.array_equal(said.promoted, one.promoted) and one.mis_iterations >= 1


def test_removal_from_a_residual_tree():
    tree = PCCT(Runtime(metric="residual_correlation")).fit(
        points, residual_params={"variance": 1.0, "lengthscale": 0.8, "inducing_count": 20}
    )
    smaller, plan = tree.delete([0, 100], return_plan=True)
    order = new_order(tree.tree, plan)
    same = cover_tree(points[order], kernel=RBF(lengthscale=0.8), inducing_points=tree.tree.native.inducing_points)
    assert np.array_equal(smaller.knn(k=6, predecessor_mode=True), same.knn(6, predecessor_mode=True))
    place = int(np.flatnonzero(order == 5)[0])
    assert np.array_equal(smaller.knn(points[[5]], k=3), same.knn(3, queries=[place])[0])
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
    shown = tree.native.export_arrays()
    roots = np.flatnonzero(tree.parents < 0)
    assert len(roots) == 1 and roots[0] == shown.order[0]
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


def test_points_are_kept_in_float64_unless_the_precision_is_another_one():
    single = points.astype(np.float32)
    assert PCCT(Runtime()).fit(single).knn(queries, k=2, return_distances=True)[1].dtype == np.float64
    assert PCCT(Runtime(precision="float32")).fit(points).tree.native.dtype == np.float32
    assert PCCT(Runtime()).fit(single, dtype="float32").tree.native.dtype == np.float32
    assert cover_tree(single).dtype == np.float32


def test_baselines():
    for name, is_there in [
        ("BaselineCoverTree", True),
        ("ScipyBaseline", covertreex.baseline.has_scipy_baseline()),
        ("ScikitLearnBaseline", covertreex.baseline.has_sklearn_baseline()),
        ("ExternalCoverTreeBaseline", covertreex.has_external_cover_tree()),
        ("MlpackCoverTreeBaseline", covertreex.has_mlpack_cover_tree()),
    ]:
        kind = getattr(covertreex.baseline, name)
        if not is_there:
            with pytest.raises(ImportError, match=f"{name}: needs the package"):
                kind.from_points(points)
            continue
        tree = kind.from_points(points)
        indices, distances = tree.knn(queries, k=4, return_distances=True)
        assert_nearest(indices, 4, distances=distances)
        assert np.array_equal(tree.knn(queries[3], k=1), indices[3, :1])
        assert tree.nearest(queries[3])[0] == indices[3, 0]
        for k in (0, 301):
            with pytest.raises(ValueError, match="k: expected 1 to 300"):
                tree.knn(queries, k=k)
    with pytest.warns(LegacyWarning, match="brute force"):
        assert_nearest(covertreex.GPBoostCoverTreeBaseline.from_points(points).knn(queries, k=4), 4)
    nodes = covertreex.BaselineCoverTree.from_points(points)
    assert [node.point_index for node in nodes.nodes] == list(range(300))
    assert sum(map(len, nodes.levels.values())) == 300
    assert nodes.nodes[nodes.root_id].parent is None
    assert all(nodes.nodes[child].parent == i for i, node in enumerate(nodes.nodes) for child in node.children)


def test_a_warning_names_the_caller_s_line():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        cover_tree(points, chunk_size=512)
        Runtime(enable_rust=True)
        PCCT(Runtime()).fit(points).insert(queries, mis_seed=3)
        build_tree(points, batch_size=3)
    assert [one.filename for one in caught] == [__file__] * 4
    assert all(issubclass(one.category, LegacyWarning) for one in caught)


def test_queries_in_a_column():
    assert isinstance(ResidualCoverTree(points), ResidualTree)
    column = np.array([[4], [99]])
    tree = cover_tree(points)
    for k in (1, 5):
        assert np.array_equal(tree.knn(k, queries=column), tree.knn(k, queries=column[:, 0]))
    assert np.array_equal(tree.radius(0.5, queries=column).indices, tree.radius(0.5, queries=column[:, 0]).indices)
    assert np.array_equal(cover_tree(points, engine="hybrid").knn(5, queries=column), tree.knn(5, queries=column))
    # In one dimension they have the shape of points.
    line = cover_tree(np.arange(50.0)[:, None] * 2)
    assert line.knn(1, queries=np.array([[40], [98]])).ravel().tolist() == [20, 49]


def test_predecessors_of_new_points():
    for engine in ("native", "hybrid"):
        tree = cover_tree(points, engine=engine)
        before = np.arange(20) * 10
        allowed = residual_oracle.predecessors(before, 300)
        assert_nearest(tree.knn(6, queries=queries, before=before), 6, allowed=allowed)
        found = tree.knn(6, queries=np.arange(100, 120), before=before)
        assert_nearest(found, 6, points[100:120], allowed=allowed)
        with pytest.raises(ValueError, match="before: expected 20 of them"):
            tree.knn(6, queries=queries, before=before[:3])
        with pytest.raises(ValueError, match=r"before|predecessor"):
            tree.knn(6, before=np.arange(300), predecessor_mode=True)

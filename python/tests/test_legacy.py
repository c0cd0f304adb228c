"""Names and documented calls of covertreex 0.4.5 run here, and answers are those of the oracles."""

import copy
import importlib
import importlib.util
import pickle
import warnings

import numpy as np
import oracle
import pytest
import residual_oracle
from legacy_data import assert_nearest, points, queries

import covertreex
from covertreex import (
    PCCT,
    CoverTree,
    LegacyWarning,
    Residual,
    ResidualCoverTree,
    Runtime,
    cover_tree,
    reset_residual_metric,
)
from covertreex import tree as core_tree
from covertreex.engine import build_tree, get_engine
from covertreex.kernels import RBF, Matern52
from covertreex.metrics import build_residual_backend, configure_residual_correlation
from covertreex.residual import ResidualTree

pytestmark = pytest.mark.usefixtures("defaults_after")


def assert_residual(kernel, inducing, rows, found, k, predecessors=False):  # noqa: PLR0917
    """Neighbours of some points by residual correlation, and distances."""
    indices, distances = found
    v, p = residual_oracle.features(kernel, points, inducing)
    rho, norms = residual_oracle.correlations(kernel, points[rows], v[rows], p[rows], points, v, p)
    rho[np.arange(len(rows)), rows] = 1
    allowed = residual_oracle.predecessors(rows, len(points)) if predecessors else None
    distances = None if distances is None else np.asarray(distances, np.float64)
    residual_oracle.assert_nearest(rho, norms, k, indices, distances, allowed, variance=kernel.variance, slack=1e-6)


# The class CoverTree, old and new


def test_one_name_for_trees_of_points_and_for_settings():
    tree = CoverTree(points)
    assert type(tree) is core_tree.CoverTree
    assert type(CoverTree(points=points, order="natural")) is core_tree.CoverTree
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


def test_old_engines_mean_an_order():
    orders = {
        "rust-fast": "natural", "rust-hybrid": "natural", "natural": "natural", "rust-natural": "natural",
        "hilbert": "hilbert", "rust-hilbert": "hilbert", "rust-pcct": "hilbert", "rust-pcct2": "hilbert",
    }  # fmt: skip
    for engine, order in orders.items():
        assert cover_tree(points, engine=engine).order == order
        assert CoverTree(Runtime(engine=engine)).fit(points).tree.native.order == order
    # A setting by its old name was one thing, the engine another one.
    assert CoverTree(Runtime(engine="rust-hilbert", batch_order="natural")).fit(points).tree.native.order == "natural"
    assert len(cover_tree(coords=points)) == 300
    with pytest.raises(ValueError, match=r"^coords\[1, 0\]"):
        cover_tree(coords=[[1.0], [np.nan]])
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
    mixed = Runtime.from_profile("default", overrides={"residual.n_inducing": 9, "precision": "float32"})
    assert (mixed.residual.n_inducing, mixed.dtype) == (9, "float32")
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


def test_copies():
    runtime = Runtime(mis_seed=3, precision="float32", batch_order="natural")
    for tree in (PCCT(runtime).fit(points), PCCT(Runtime(metric="residual")).fit(points, kernel=RBF())):
        again = pickle.loads(pickle.dumps(tree))
        assert np.array_equal(again.knn(points[:9], k=4), tree.knn(points[:9], k=4))
        assert again.runtime == tree.runtime and again.runtime.mis_seed == tree.runtime.mis_seed
    for thing in (runtime, covertreex.api.Runtime(global_seed=2), runtime.to_model()):
        assert pickle.loads(pickle.dumps(thing)) == thing
        assert copy.deepcopy(thing) == thing


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
        with pytest.raises(ValueError, match="before: expected 20 numbers"):
            tree.knn(6, queries=queries, before=before[:3])
        with pytest.raises(ValueError, match=r"before|predecessor"):
            tree.knn(6, before=np.arange(300), predecessor_mode=True)

import pickle

import numpy as np
import pytest
from scipy.sparse import csr_array, csr_matrix

pytest.importorskip("sklearn")
from sklearn.base import clone
from sklearn.cluster import DBSCAN, HDBSCAN
from sklearn.datasets import make_blobs, make_s_curve
from sklearn.manifold import TSNE, Isomap
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.neighbors import KNeighborsClassifier, KNeighborsTransformer, NearestNeighbors
from sklearn.neighbors import RadiusNeighborsTransformer as TheirRadiusTransformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_param_validation, parametrize_with_checks

from covertreex.sklearn import (
    CoverTreeClassifier,
    CoverTreeNeighbors,
    CoverTreeRegressor,
    CoverTreeTransformer,
    RadiusNeighborsClassifier,
    RadiusNeighborsRegressor,
    RadiusNeighborsTransformer,
)

rng = np.random.default_rng(0)
points, queries = rng.random((300, 3)), rng.random((40, 3))
COVARIANCE = np.array([[2.0, 0.3, 0.1], [0.3, 1.0, 0.2], [0.1, 0.2, 0.5]])
ours, theirs = CoverTreeNeighbors(radius=0.2).fit(points), NearestNeighbors(radius=0.2).fit(points)


@parametrize_with_checks(
    [
        CoverTreeNeighbors(), CoverTreeTransformer(n_neighbors=2), CoverTreeClassifier(), CoverTreeRegressor(),
        RadiusNeighborsTransformer(radius=10.0), RadiusNeighborsClassifier(), RadiusNeighborsRegressor(),
    ]
)  # fmt: skip
def test_checks_of_scikit_learn(estimator, check):
    check(estimator)


@pytest.mark.parametrize("X", [None, queries])
@pytest.mark.parametrize("n_neighbors", [None, 1, 17])
def test_kneighbors(X, n_neighbors):
    distances, indices = ours.kneighbors(X, n_neighbors)
    expected, their_indices = theirs.kneighbors(X, n_neighbors)
    np.testing.assert_allclose(distances, expected)
    assert np.array_equal(indices, their_indices)
    assert np.array_equal(ours.kneighbors(X, n_neighbors, return_distance=False), indices)


@pytest.mark.parametrize("X", [None, queries, queries[:1]])
@pytest.mark.parametrize("radius", [None, 0.05, 3])
def test_radius_neighbors(X, radius):
    distances, indices = ours.radius_neighbors(X, radius)
    expected, their_indices = theirs.radius_neighbors(X, radius, sort_results=True)
    assert distances.dtype == indices.dtype == object
    assert indices.shape == their_indices.shape
    for ours_one, theirs_one, far, their_far in zip(indices, their_indices, distances, expected):
        assert np.array_equal(ours_one, theirs_one)
        np.testing.assert_allclose(far, their_far)


def assert_same_matrix(one, other):
    """Assert that a sparse matrix is of the same class and types, and has the same elements in the same order."""
    assert type(one) is type(other) and one.format == "csr"
    assert (one.dtype, one.indices.dtype, one.indptr.dtype) == (other.dtype, other.indices.dtype, other.indptr.dtype)
    assert one.shape == other.shape
    for part in ("indptr", "indices"):
        assert np.array_equal(getattr(one, part), getattr(other, part))
    np.testing.assert_allclose(one.data, other.data)
    one.data[:] = 1  # it may be written to


@pytest.mark.parametrize("X", [None, queries])
@pytest.mark.parametrize("mode", ["connectivity", "distance"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_graphs(X, mode, dtype):
    ours, theirs = (kind(radius=0.3).fit(points.astype(dtype)) for kind in (CoverTreeNeighbors, NearestNeighbors))
    assert_same_matrix(ours.kneighbors_graph(X, 4, mode), theirs.kneighbors_graph(X, 4, mode))
    found = ours.radius_neighbors_graph(X, None, mode)
    expected = theirs.radius_neighbors_graph(X, None, "distance", sort_results=True)
    if mode == "connectivity":
        expected.data[:] = 1
    assert_same_matrix(found, expected)


@pytest.mark.parametrize("mode", ["connectivity", "distance"])
def test_the_transformers(mode):
    for ours, theirs in [
        (CoverTreeTransformer(mode=mode, n_neighbors=6), KNeighborsTransformer(mode=mode, n_neighbors=6)),
        (RadiusNeighborsTransformer(mode=mode, radius=0.2), TheirRadiusTransformer(mode=mode, radius=0.2)),
    ]:
        for found, expected in [
            (ours.fit_transform(points), theirs.fit_transform(points)),
            (ours.transform(queries), theirs.transform(queries)),
        ]:
            assert type(found) is type(expected)
            np.testing.assert_allclose(found.toarray(), expected.toarray())
            for start, end in zip(found.indptr, found.indptr[1:]):
                assert np.array_equal(found.data[start:end], np.sort(found.data[start:end]))
        assert len(ours.get_feature_names_out()) == 300


def test_sparse_results_follow_the_configuration():
    config_context = pytest.importorskip("sklearn").config_context
    if "sparse_interface" not in pytest.importorskip("sklearn").get_config():
        pytest.skip("scikit-learn 1.9 or later has the option")
    for interface, kind in (("sparray", csr_array), ("spmatrix", csr_matrix)):
        with config_context(sparse_interface=interface):
            assert type(ours.kneighbors_graph()) is kind


def test_pipelines():
    X, _ = make_s_curve(300, random_state=0)
    one = make_pipeline(CoverTreeTransformer(n_neighbors=10), Isomap(n_neighbors=10, metric="precomputed"))
    other = Isomap(n_neighbors=10)
    np.testing.assert_allclose(np.abs(one.fit_transform(X)), np.abs(other.fit_transform(X)), atol=1e-6)

    X, _ = make_blobs(300, centers=4, cluster_std=0.3, random_state=0)
    graph = CoverTreeNeighbors().fit(X).radius_neighbors_graph(X, 0.5, mode="distance")
    assert np.array_equal(DBSCAN(eps=0.5, metric="precomputed").fit_predict(graph), DBSCAN(eps=0.5).fit_predict(X))
    graph = CoverTreeTransformer(n_neighbors=120).fit_transform(X)
    assert np.array_equal(DBSCAN(eps=0.5, metric="precomputed").fit_predict(graph), DBSCAN(eps=0.5).fit_predict(X))

    graph = RadiusNeighborsTransformer(radius=6.0).fit_transform(X)
    neighbors = TheirRadiusTransformer(radius=6.0)
    for parameters in ({}, {"min_samples": 3, "min_cluster_size": 8}):
        found = HDBSCAN(metric="precomputed", copy=True, **parameters).fit(graph)
        expected = HDBSCAN(copy=True, **parameters).fit(X)
        assert np.array_equal(found.labels_, expected.labels_) and len(np.unique(found.labels_)) == 4
        # scikit-learn breaks ties between edges of a graph in another order than ties between points.
        same = HDBSCAN(metric="precomputed", copy=True, **parameters).fit(neighbors.fit_transform(X))
        np.testing.assert_allclose(found.probabilities_, same.probabilities_)

    settings = dict(init="random", perplexity=10, random_state=0, max_iter=250, method="barnes_hut")
    pipeline = make_pipeline(CoverTreeTransformer(n_neighbors=40), TSNE(metric="precomputed", **settings))
    assert np.isfinite(pipeline.fit_transform(X)).all()


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_umap_accepts_the_neighbours():
    umap = pytest.importorskip("umap")
    X, y = make_blobs(300, centers=3, n_features=5, cluster_std=0.5, random_state=0)
    distances, indices = CoverTreeNeighbors(15).fit(X).kneighbors(X)
    found = umap.UMAP(n_neighbors=15, precomputed_knn=(indices, distances, None), random_state=0).fit_transform(X)
    assert_blobs_apart(found, y)


@pytest.mark.filterwarnings("ignore")
def test_scanpy_accepts_the_transformer():
    scanpy, anndata = pytest.importorskip("scanpy"), pytest.importorskip("anndata")
    X, y = make_blobs(300, centers=3, n_features=5, cluster_std=0.5, random_state=0)
    cells, expected = anndata.AnnData(X), anndata.AnnData(X)
    scanpy.pp.neighbors(cells, transformer=CoverTreeTransformer(n_neighbors=15), use_rep="X")
    scanpy.pp.neighbors(expected, transformer=KNeighborsTransformer(n_neighbors=15), use_rep="X")
    for name in ("distances", "connectivities"):
        np.testing.assert_allclose(cells.obsp[name].toarray(), expected.obsp[name].toarray(), rtol=1e-6)
    scanpy.tl.umap(cells, random_state=0)
    assert_blobs_apart(cells.obsm["X_umap"], y)


def assert_blobs_apart(found, y):
    """Assert that points are nearest to the middle of their own of three blobs."""
    middles = np.array([found[y == label].mean(axis=0) for label in range(3)])
    nearest = np.linalg.norm(found[:, None] - middles, axis=2).argmin(axis=1)
    assert (nearest == y).mean() > 0.99


def test_metrics():
    for parameters in (
        {"metric": "euclidean"}, {"metric": "l2", "p": 1}, {"metric": "minkowski", "p": 2.0},
        {"p": None, "metric_params": {"p": 2}}, {"algorithm": "kd_tree", "leaf_size": 30},
        {"algorithm": "brute", "leaf_size": 10**6},
    ):  # fmt: skip
        model = CoverTreeNeighbors(radius=0.2, **parameters).fit(points)
        assert np.array_equal(model.kneighbors(queries)[1], ours.kneighbors(queries)[1])
        assert (model.effective_metric_, model.effective_metric_params_) == ("euclidean", {})
    with pytest.warns(SyntaxWarning, match="p: is replaced"):
        CoverTreeNeighbors(p=1, metric_params={"p": 2}).fit(points)
    for parameters, words in [
        ({"p": 0.5}, "p: expected a number from 1 up, got 0.5"),
        ({"p": None}, "p: expected a number, got None"),
        ({"metric": "dice"}, "metric"),
        ({"metric_params": {"V": [1, 2, 3]}}, "metric_params: expected p or w or scale for 'minkowski', got 'V'"),
        ({"metric": "euclidean", "metric_params": {"p": 2}}, "metric_params: expected w or scale for 'euclidean'"),
        ({"metric": "mahalanobis"}, "metric_params: expected either VI or V for 'mahalanobis'"),
        ({"metric": "seuclidean"}, "metric_params: expected V for 'seuclidean'"),
    ]:
        with pytest.raises((ValueError, TypeError), match=words):
            CoverTreeNeighbors(**parameters).fit(points)


@pytest.mark.parametrize(
    ("parameters", "effective"),
    [
        ({"p": 1}, ("manhattan", {})),
        ({"metric": "cityblock", "p": 7}, ("manhattan", {})),
        ({"p": np.inf}, ("chebyshev", {})),
        ({"metric": "chebyshev"}, ("chebyshev", {})),
        ({"p": 3}, ("minkowski", {"p": 3})),
        ({"p": None, "metric_params": {"p": 1.5}}, ("minkowski", {"p": 1.5})),
        ({"p": 1, "metric_params": {"w": [1.0, 2.0, 3.0]}}, ("minkowski", {"p": 1, "w": [1.0, 2.0, 3.0]})),
        ({"metric": "seuclidean", "metric_params": {"V": [1.0, 2.0, 3.0]}}, ("seuclidean", {"V": [1.0, 2.0, 3.0]})),
        ({"metric": "mahalanobis", "metric_params": {"VI": COVARIANCE}}, ("mahalanobis", {"VI": COVARIANCE})),
        ({"metric": "cosine"}, ("cosine", {})),
    ],
)
def test_other_metrics_are_those_of_scikit_learn(parameters, effective):
    model = CoverTreeNeighbors(7, radius=0.2, **parameters).fit(points)
    theirs = NearestNeighbors(n_neighbors=7, radius=0.2, algorithm="brute", **parameters).fit(points)
    assert (model.effective_metric_, model.effective_metric_params_) == effective
    for asked in (queries, None):
        (found, indices), (wanted, nearest) = model.kneighbors(asked), theirs.kneighbors(asked)
        np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-12)
        assert np.array_equal(indices, nearest)
    found, _ = model.radius_neighbors(queries)
    wanted, _ = theirs.radius_neighbors(queries, sort_results=True)
    for mine, row in zip(found, wanted):
        np.testing.assert_allclose(mine, row, rtol=1e-9, atol=1e-12)
    labels = points[:, 0] > 0.5
    mine = CoverTreeClassifier(weights="distance", **parameters).fit(points, labels)
    theirs = KNeighborsClassifier(weights="distance", algorithm="brute", **parameters).fit(points, labels)
    assert np.array_equal(mine.predict(queries), theirs.predict(queries))


def test_great_circles():
    places = np.radians([[90.0, 0.0], [0.0, 179.9], [0.0, -179.9], [10.0, 20.0], [-90.0, 77.0]])
    model = CoverTreeNeighbors(2, metric="haversine").fit(places)
    theirs = NearestNeighbors(n_neighbors=2, metric="haversine").fit(places)
    np.testing.assert_allclose(model.kneighbors()[0], theirs.kneighbors()[0], rtol=1e-12)
    assert np.array_equal(model.kneighbors()[1], theirs.kneighbors()[1])
    in_degrees = CoverTreeNeighbors(2, metric="haversine", metric_params={"unit": "degrees", "radius": 6371.0})
    np.testing.assert_allclose(
        in_degrees.fit(np.degrees(places)).kneighbors()[0], 6371 * theirs.kneighbors()[0], rtol=1e-12
    )


def test_models_are_chosen_and_travel():
    X, y = make_blobs(200, centers=3, random_state=1)
    pipeline = make_pipeline(StandardScaler(), CoverTreeClassifier())
    search = GridSearchCV(pipeline, {"covertreeclassifier__n_neighbors": [1, 5, 9]}, n_jobs=2).fit(X, y)
    assert search.best_score_ > 0.9
    assert cross_val_score(CoverTreeRegressor(), X, X[:, 0], n_jobs=2).min() > 0.5
    again = pickle.loads(pickle.dumps(ours))
    assert np.array_equal(again.kneighbors(queries, return_distance=False), ours.kneighbors(queries)[1])
    assert clone(CoverTreeNeighbors(3, order="natural")).get_params()["order"] == "natural"


def test_types_and_threads():
    single = CoverTreeNeighbors(n_jobs=-1).fit(points.astype(np.float32))
    assert single.tree_.dtype == np.float32
    assert single.kneighbors(queries)[0].dtype == np.float32
    for n_jobs in (None, 1, 2, -2, -100):
        assert np.array_equal(clone(ours).set_params(n_jobs=n_jobs).fit(points).kneighbors()[1], ours.kneighbors()[1])


def test_rejects_invalid_arguments():
    for model, call, error, words in [
        (ours, lambda m: m.kneighbors(queries, 0), ValueError, "n_neighbors: expected at least 1, got 0"),
        (ours, lambda m: m.kneighbors(queries, 2.0), TypeError, "n_neighbors: expected an integer"),
        (ours, lambda m: m.kneighbors(queries, True), TypeError, "n_neighbors: expected an integer"),
        (ours, lambda m: m.kneighbors(queries, 301), ValueError, "n_neighbors = 301"),
        (ours, lambda m: m.kneighbors(None, 300), ValueError, "n_samples_fit = 299"),
        (ours, lambda m: m.kneighbors_graph(mode="near"), ValueError, "mode: expected"),
        (ours, lambda m: m.radius_neighbors(queries, -1), ValueError, "^radius: expected"),
        (ours, lambda m: m.radius_neighbors(queries, "far"), TypeError, "^radius: expected"),
        (ours, lambda m: m.radius_neighbors(queries, 1, False, True), ValueError, "return_distance: expected True"),
        (fitted_classifier().set_params(weights="far"), lambda m: m.predict(queries), ValueError, "weights: expected"),
    ]:  # fmt: skip
        with pytest.raises(error, match=words):
            call(model)


def fitted_classifier(**parameters):
    return CoverTreeClassifier(**parameters).fit(points, points[:, 0] > 0.5)


PARAMETERS = {
    "n_neighbors": [0, -1, 2.0, "5", None, True, np.nan],
    "radius": [-1, "1", np.nan, [1]],
    "order": ["sorted", 3, True],
    "leaf_size": [0, -1, 2.5, "32"],
    "algorithm": ["cover_tree", None, 3],
    "metric": ["dice", None, 3],
    "p": [0, -1, 0.5, "2", np.nan],
    "metric_params": [3, {"q": 1}, [2]],
    "outlier_label": [2.5, "seldom", len],
    "n_jobs": [0, 1025, 1.5, "all"],
    "weights": ["foo", "", 3, [1, 2]],
    "mode": ["near", None, 3],
}
ESTIMATORS = [
    CoverTreeNeighbors, CoverTreeTransformer, CoverTreeClassifier, CoverTreeRegressor,
    RadiusNeighborsTransformer, RadiusNeighborsClassifier, RadiusNeighborsRegressor,
]  # fmt: skip


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_fit_checks_every_parameter(kind):
    assert set(kind().get_params()) == set(kind._parameter_constraints)
    for name in kind().get_params():
        assert PARAMETERS[name]
        for value in PARAMETERS[name]:
            with pytest.raises((ValueError, TypeError), match=name):
                kind(**{name: value}).fit(points, points[:, 0] > 0.5)


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_parameters_are_checked_as_in_scikit_learn(kind):
    check_param_validation(kind.__name__, kind())

import pickle

import numpy as np
import pytest

pytest.importorskip("sklearn")
from sklearn.base import clone
from sklearn.cluster import DBSCAN
from sklearn.datasets import make_blobs, make_s_curve
from sklearn.manifold import TSNE, Isomap
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.neighbors import (
    KNeighborsClassifier,
    KNeighborsRegressor,
    KNeighborsTransformer,
    NearestNeighbors,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_param_validation, parametrize_with_checks

from covertreex.sklearn import CoverTreeClassifier, CoverTreeNeighbors, CoverTreeRegressor, CoverTreeTransformer

rng = np.random.default_rng(0)
points, queries = rng.random((300, 3)), rng.random((40, 3))
ours, theirs = CoverTreeNeighbors(radius=0.2).fit(points), NearestNeighbors(radius=0.2).fit(points)


@parametrize_with_checks(
    [CoverTreeNeighbors(), CoverTreeTransformer(n_neighbors=2), CoverTreeClassifier(), CoverTreeRegressor()]
)
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


@pytest.mark.parametrize("X", [None, queries])
@pytest.mark.parametrize("mode", ["connectivity", "distance"])
def test_graphs(X, mode):
    for one, other in [
        (ours.kneighbors_graph(X, 4, mode), theirs.kneighbors_graph(X, 4, mode)),
        (ours.radius_neighbors_graph(X, 0.3, mode), theirs.radius_neighbors_graph(X, 0.3, mode)),
    ]:
        assert one.shape == other.shape
        np.testing.assert_allclose(one.toarray(), other.toarray())


@pytest.mark.parametrize("mode", ["connectivity", "distance"])
def test_the_transformer(mode):
    ours = CoverTreeTransformer(mode=mode, n_neighbors=6)
    theirs = KNeighborsTransformer(mode=mode, n_neighbors=6)
    np.testing.assert_allclose(ours.fit_transform(points).toarray(), theirs.fit_transform(points).toarray())
    np.testing.assert_allclose(ours.transform(queries).toarray(), theirs.transform(queries).toarray())
    assert len(ours.get_feature_names_out()) == 300


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

    settings = dict(init="random", perplexity=10, random_state=0, max_iter=250, method="barnes_hut")
    pipeline = make_pipeline(CoverTreeTransformer(n_neighbors=40), TSNE(metric="precomputed", **settings))
    assert np.isfinite(pipeline.fit_transform(X)).all()


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_umap_accepts_the_neighbours():
    umap = pytest.importorskip("umap")
    X, y = make_blobs(300, centers=3, n_features=5, cluster_std=0.5, random_state=0)
    distances, indices = CoverTreeNeighbors(15).fit(X).kneighbors(X)
    found = umap.UMAP(n_neighbors=15, precomputed_knn=(indices, distances, None), random_state=0).fit_transform(X)
    middles = np.array([found[y == label].mean(axis=0) for label in range(3)])
    nearest = np.linalg.norm(found[:, None] - middles, axis=2).argmin(axis=1)
    assert (nearest == y).mean() > 0.99


@pytest.mark.parametrize("weights", ["uniform", "distance", lambda distances: np.exp(-distances)])
def test_classifier_and_regressor(weights):
    X, y = make_blobs(400, centers=5, cluster_std=2.5, random_state=1)
    names = np.array(list("edcba"))[y]
    at_samples = np.r_[rng.standard_normal((50, 2)) * 4, X[:20]]
    ours = CoverTreeClassifier(7, weights=weights).fit(X, names)
    theirs = KNeighborsClassifier(7, weights=weights).fit(X, names)
    np.testing.assert_allclose(ours.predict_proba(at_samples), theirs.predict_proba(at_samples))
    assert np.array_equal(ours.predict(at_samples), theirs.predict(at_samples))
    assert ours.classes_.tolist() == list("abcde")

    for targets in [X[:, 0] * X[:, 1], X**2]:
        ours = CoverTreeRegressor(7, weights=weights).fit(X, targets)
        theirs = KNeighborsRegressor(7, weights=weights).fit(X, targets)
        np.testing.assert_allclose(ours.predict(at_samples), theirs.predict(at_samples))


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
    "leaf_size": [0, 65537, 2.5, "32"],
    "n_jobs": [0, 1025, 1.5, "all"],
    "weights": ["foo", "", 3, [1, 2]],
    "mode": ["near", None, 3],
}
ESTIMATORS = [CoverTreeNeighbors, CoverTreeTransformer, CoverTreeClassifier, CoverTreeRegressor]


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


@pytest.mark.parametrize("method", ["predict", "predict_proba"])
def test_all_weights_of_a_point_are_zero(method):
    y = points[:, 0] > 0.5

    def far(distances):  # zero near the samples
        return np.where(distances < 10, 0.0, 1.0)

    near, away = queries[:3], queries[3:4] + 20
    for weights, row in ((far, 1), (np.zeros_like, 0)):
        ours = CoverTreeClassifier(weights=weights).fit(points, y)
        theirs = KNeighborsClassifier(weights=weights).fit(points, y)
        for model, words in ((ours, f"weights: .* for point {row}"), (theirs, "zero weights")):
            with pytest.raises(ValueError, match=words):
                getattr(model, method)(np.concatenate([away, near]))
    ours, theirs = (kind(weights=far).fit(points, y) for kind in (CoverTreeClassifier, KNeighborsClassifier))
    assert np.array_equal(getattr(ours, method)(away), getattr(theirs, method)(away))
    with pytest.raises(ValueError, match=r"weights: .* for point 0"):
        CoverTreeRegressor(weights=far).fit(points, points[:, 0]).predict(near)


def test_weights():
    assert np.array_equal(fitted_classifier(weights=None).predict(queries), fitted_classifier().predict(queries))
    for weights, error, words in [
        (lambda d: d[:, 0], ValueError, r"weights: expected shape \(40, 5\)"),
        (lambda d: np.full(d.shape, "a"), TypeError, "weights: expected real numbers"),
        (lambda d: np.full(d.shape, np.nan), ValueError, "weights: .* nan"),
        (lambda d: [[1], [1, 2]], ValueError, "weights: expected an array"),
    ]:
        with pytest.raises(error, match=words):
            fitted_classifier(weights=weights).predict(queries)
    # At the location of a sample, and so near that the inverse of the distance overflows.
    for location in (0.0, 1e-310):
        X = np.array([[0.0], [1.0], [2.0]])
        ours = CoverTreeClassifier(2, weights="distance").fit(X, [0, 1, 1])
        assert ours.predict_proba([[location]]).tolist() == [[1.0, 0.0]]
        with np.errstate(divide="ignore", over="ignore"):
            mine = CoverTreeRegressor(2, weights=lambda d: 1 / d).fit(X, [5.0, 1.0, 1.0])
            assert mine.predict([[location]]).tolist() == [5.0]

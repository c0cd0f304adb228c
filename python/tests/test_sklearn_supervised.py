"""Classifiers and regressors of neighbours, compared with scikit-learn's."""

import contextlib

import numpy as np
import pytest

pytest.importorskip("sklearn")
from sklearn.base import clone
from sklearn.datasets import make_blobs
from sklearn.exceptions import DataConversionWarning
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.neighbors import RadiusNeighborsClassifier as TheirRadiusClassifier
from sklearn.neighbors import RadiusNeighborsRegressor as TheirRadiusRegressor

from covertreex.sklearn import (
    CoverTreeClassifier,
    CoverTreeRegressor,
    RadiusNeighborsClassifier,
    RadiusNeighborsRegressor,
)

rng = np.random.default_rng(0)
points, queries = rng.random((300, 3)), rng.random((40, 3))


def fitted_classifier(**parameters):
    return CoverTreeClassifier(**parameters).fit(points, points[:, 0] > 0.5)


def inverse(distances):
    """Weights of an array of distances, or of an array of arrays."""
    return 1 / (0.1 + distances)


BLOBS, BLOB = make_blobs(400, centers=5, cluster_std=2.5, random_state=1)
AT_SAMPLES = np.r_[rng.standard_normal((50, 2)) * 4, BLOBS[:20]]
NAMES = np.array(list("edcba"))[BLOB]
CLASSES = {
    "names": NAMES,
    "numbers": BLOB,
    "two outputs": np.stack([BLOB % 2, BLOB], axis=1),
    "two outputs, names": np.stack([NAMES, np.where(BLOBS[:, 0] > 0, "east", "west")], axis=1),
    "multilabel": np.eye(5, dtype=int)[BLOB],
    "truth": BLOB > 2,
    "a list of rows": np.stack([BLOB % 2, BLOB], axis=1).tolist(),
}
CLASSIFIERS = [
    (CoverTreeClassifier(7), KNeighborsClassifier(7)),
    (RadiusNeighborsClassifier(6.0), TheirRadiusClassifier(6.0)),
]
REGRESSORS = [
    (CoverTreeRegressor(7), KNeighborsRegressor(7)),
    (RadiusNeighborsRegressor(6.0), TheirRadiusRegressor(6.0)),
]


def assert_same(found, expected):
    """Assert that arrays, or lists of them, are of the same shapes and numbers."""
    assert type(found) is type(expected) and len(found) == len(expected)
    for one, other in zip(found, expected):
        assert np.shape(one) == np.shape(other)
        np.testing.assert_allclose(one, other)


@pytest.mark.parametrize("weights", ["uniform", None, "distance", inverse])
@pytest.mark.parametrize("targets", CLASSES)
@pytest.mark.parametrize(("ours", "theirs"), CLASSIFIERS)
def test_classifiers(ours, theirs, targets, weights):
    ours, theirs = (clone(one).set_params(weights=weights).fit(BLOBS, CLASSES[targets]) for one in (ours, theirs))
    assert ours.outputs_2d_ == theirs.outputs_2d_
    assert np.array_equal(ours.classes_, theirs.classes_) if not ours.outputs_2d_ else len(ours.classes_) > 1
    for X in (AT_SAMPLES, AT_SAMPLES[:1], None):  # None: each sample by the others
        assert_same(ours.predict_proba(X), theirs.predict_proba(X))
        found = ours.predict(X)
        assert found.dtype == theirs.predict(X).dtype
        assert np.array_equal(found, theirs.predict(X))
    if not ours.outputs_2d_:
        assert ours.score(BLOBS, CLASSES[targets]) == theirs.score(BLOBS, CLASSES[targets])


@pytest.mark.parametrize("weights", ["uniform", None, "distance", inverse])
@pytest.mark.parametrize("targets", [BLOBS[:, 0] * BLOBS[:, 1], BLOBS**2, BLOBS[:, :1], BLOB])
@pytest.mark.parametrize(("ours", "theirs"), REGRESSORS)
def test_regressors(ours, theirs, targets, weights):
    ours, theirs = (clone(one).set_params(weights=weights).fit(BLOBS, targets) for one in (ours, theirs))
    for X in (AT_SAMPLES, AT_SAMPLES[:1], None):
        assert_same(ours.predict(X), theirs.predict(X))
    assert ours.score(BLOBS, targets) == pytest.approx(theirs.score(BLOBS, targets))


FAR = np.array([[50.0, 0.0], [0.0, 0.0], [0.0, 60.0]])  # the second has neighbours


@pytest.mark.parametrize("weights", ["uniform", "distance", inverse])
@pytest.mark.parametrize(
    ("targets", "label"),
    [
        ("names", "most_frequent"), ("names", "a"), ("numbers", 3), ("numbers", [3]), ("multilabel", 1),
        ("two outputs", [1, 3]), ("two outputs", "most_frequent"), ("two outputs, names", ["a", "west"]),
    ],
)  # fmt: skip
def test_outliers(targets, label, weights):
    ours, theirs = (
        kind(3.0, weights=weights, outlier_label=label).fit(BLOBS, CLASSES[targets])
        for kind in (RadiusNeighborsClassifier, TheirRadiusClassifier)
    )
    assert list(ours.outlier_label_) == list(theirs.outlier_label_)
    assert_same(ours.predict_proba(FAR), theirs.predict_proba(FAR))
    assert np.array_equal(ours.predict(FAR), theirs.predict(FAR))


def test_outlier_labels_of_other_types():
    for classes, label in [
        (BLOB.astype(np.uint8), 3), (BLOB.astype(np.int8), 300), (BLOB.astype(float), 3), (BLOB > 2, True),
        (NAMES.astype(object), "a"),
    ]:  # fmt: skip
        model = RadiusNeighborsClassifier(3.0, outlier_label=label).fit(BLOBS, classes)
        with contextlib.nullcontext() if label != 300 else pytest.warns(UserWarning, match="no sample"):
            assert model.predict(FAR)[0] == label


def test_outliers_of_no_class():
    for targets, label in [("names", "f"), ("numbers", 9), ("numbers", -1), ("two outputs", [1, -1])]:
        ours, theirs = (
            kind(3.0, outlier_label=label).fit(BLOBS, CLASSES[targets])
            for kind in (RadiusNeighborsClassifier, TheirRadiusClassifier)
        )
        with pytest.warns(UserWarning, match="outlier_label: .* no sample"):
            found = ours.predict_proba(FAR)
        with pytest.warns(UserWarning, match="no sample"):
            predicted = ours.predict(FAR)
        with pytest.warns(UserWarning, match="Outlier label"):
            assert_same(found, theirs.predict_proba(FAR))
            assert np.array_equal(predicted, theirs.predict(FAR))
    with pytest.warns(UserWarning, match="no sample"):
        model = RadiusNeighborsClassifier(3.0, outlier_label="nowhere").fit(BLOBS, NAMES)
        assert model.predict(FAR)[[0, 2]].tolist() == ["nowhere", "nowhere"]


def test_points_without_neighbours():
    model = RadiusNeighborsClassifier(3.0).fit(BLOBS, BLOB)
    assert model.outlier_label_ is None
    for call in (model.predict, model.predict_proba):
        with pytest.raises(ValueError, match=r"radius: expected neighbours of each point .* got none for 0, 2$"):
            call(FAR)
    with pytest.raises(ValueError, match=r"7, 8, 9, \.\.\.$"):
        model.predict(np.full((11, 2), 99.0))
    for targets in (BLOB, BLOBS):
        with pytest.warns(UserWarning, match="radius: some points have no neighbours"):
            found = RadiusNeighborsRegressor(3.0).fit(BLOBS, targets).predict(FAR)
        assert np.isnan(found[[0, 2]]).all() and np.isfinite(found[1]).all()
    # Weights are not asked for points without neighbours.
    assert RadiusNeighborsClassifier(3.0, weights=inverse, outlier_label=0).fit(BLOBS, BLOB).predict(FAR)[0] == 0


@pytest.mark.parametrize(
    ("label", "targets", "error", "words"),
    [
        ([1], "two outputs", ValueError, "outlier_label: expected 2 labels, one for each output, got 1"),
        ([[1], [2]], "two outputs", TypeError, "outlier_label: expected a label for each output"),
        ("a", "numbers", TypeError, "outlier_label: expected a label of dtype int64, as y has, got 'a'"),
        (1, "names", TypeError, "outlier_label: expected a label of dtype <U1"),
        ([1.5], "numbers", TypeError, "outlier_label: expected a label of dtype int64"),
        (2, "truth", TypeError, "outlier_label: expected a label of dtype bool"),
    ],
)
def test_outlier_labels_that_do_not_fit(label, targets, error, words):
    for kind in (RadiusNeighborsClassifier, TheirRadiusClassifier):
        with pytest.raises(error, match=words if kind is RadiusNeighborsClassifier else None):
            kind(outlier_label=label).fit(BLOBS, CLASSES[targets])


def test_a_column_of_classes():
    for ours, _ in CLASSIFIERS:
        with pytest.warns(DataConversionWarning, match="column-vector"):
            model = clone(ours).fit(BLOBS, BLOB[:, None])
        assert not model.outputs_2d_ and model.predict(BLOBS[:3]).shape == (3,)


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
    for weights, error, words in [
        (lambda d: d[:3], ValueError, "weights: expected 40 arrays, one for each point, got an array of dtype object"),
        (lambda d: 1.0, ValueError, "weights: expected 40 arrays, one for each point, got 1.0"),
        (lambda d: [one[1:] for one in d], ValueError, r"weights\[0\]: expected shape"),
        (lambda d: [one * np.nan for one in d], ValueError, r"weights\[0\]: expected .* nan"),
        (
            lambda d: d * 0,
            ValueError,
            "weights: expected one that is not 0 for each point, got zeros alone for point 0",
        ),
    ]:
        model = RadiusNeighborsClassifier(weights=weights).fit(points, points[:, 0] > 0.5)
        with pytest.raises(error, match=words):
            model.predict(queries)
    # At the location of a sample, and so near that the inverse of the distance overflows.
    for location in (0.0, 1e-310):
        X = np.array([[0.0], [1.0], [2.0]])
        ours = CoverTreeClassifier(2, weights="distance").fit(X, [0, 1, 1])
        assert ours.predict_proba([[location]]).tolist() == [[1.0, 0.0]]
        with np.errstate(divide="ignore", over="ignore"):
            mine = CoverTreeRegressor(2, weights=lambda d: 1 / d).fit(X, [5.0, 1.0, 1.0])
            assert mine.predict([[location]]).tolist() == [5.0]

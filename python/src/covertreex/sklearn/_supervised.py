"""Classifiers and regressors of neighbours."""

from __future__ import annotations

import warnings
from numbers import Integral
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_matrix
from sklearn.base import ClassifierMixin, RegressorMixin, _fit_context
from sklearn.exceptions import DataConversionWarning
from sklearn.utils.multiclass import check_classification_targets

from .. import _arguments
from ._base import TYPES, Constraints, checked
from ._weights import OfNearest, OfRadius, Supervised, Weights


class _Classifier(ClassifierMixin, Supervised):
    """The most frequent class of neighbours, for one output or several."""

    def _learn(self, X: ArrayLike, y: ArrayLike) -> None:
        """Build the tree, and number the classes of each output."""
        points, classes = checked(self, X, y, dtype=TYPES, multi_output=True)
        if classes.ndim == 2 and classes.shape[1] == 1:
            words = "A column-vector y was passed when a 1d array was expected. Pass y.ravel()."
            warnings.warn(words, DataConversionWarning, stacklevel=4)
            classes = classes.ravel()
        check_classification_targets(classes)
        self.outputs_2d_ = classes.ndim == 2
        outputs = [np.unique(one, return_inverse=True) for one in (classes.T if self.outputs_2d_ else [classes])]
        self.classes_: Any = [names for names, _ in outputs] if self.outputs_2d_ else outputs[0][0]
        self._classes = [numbers.reshape(-1) for _, numbers in outputs]
        self._grow(points)

    def _names(self) -> list[NDArray[Any]]:
        """The classes of each output."""
        names: list[NDArray[Any]] = self.classes_ if self.outputs_2d_ else [self.classes_]
        return names

    def _shares(self, weights: csr_matrix) -> list[NDArray[np.float64]]:
        """For each output the shares of classes among the neighbours of points, 0 if there are no neighbours."""
        n, shares = self.n_samples_fit_, []
        for names, numbers in zip(self._names(), self._classes):
            is_of_class = csr_matrix((np.ones(n), numbers, np.arange(n + 1)), shape=(n, len(names)))
            found = np.asarray((weights @ is_of_class).todense())
            sums = found.sum(axis=1, keepdims=True)
            shares.append(found / np.where(sums == 0, 1, sums))
        return shares

    def _of_outputs(self, values: list[Any]) -> Any:
        return values if self.outputs_2d_ else values[0]

    def _predicted(self, shares: list[NDArray[np.float64]]) -> list[NDArray[Any]]:
        """The class of the largest share; ties go to the first of the classes."""
        return [names[one.argmax(axis=1)] for names, one in zip(self._names(), shares)]

    def _stacked(self, predicted: list[NDArray[Any]]) -> NDArray[Any]:
        return np.stack(predicted, axis=1) if self.outputs_2d_ else predicted[0]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


class CoverTreeClassifier(_Classifier, OfNearest):
    """The most frequent class of the nearest neighbours: :class:`sklearn.neighbors.KNeighborsClassifier`.

    Parameters
    ----------
    n_neighbors : int
        How many.
    weights : {"uniform", "distance"}, callable or None
        All alike (also None), by the inverse of the distance, or the callable's values for distances, of the same
        shape: (n_queries, n_neighbors). If all weights of a point are 0, predictions raise ValueError.
    algorithm, leaf_size, metric, p, metric_params, order, n_jobs
        As in :class:`CoverTreeNeighbors`.

    Attributes
    ----------
    classes_ : numpy.ndarray or list of numpy.ndarray
        The classes, sorted; for several outputs a list of them.
    outputs_2d_ : bool
        Whether there are several outputs.
    """

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: ArrayLike) -> CoverTreeClassifier:
        """Learn from points, shape (n_samples, n_features), and classes, (n_samples,) or (n_samples, n_outputs)."""
        self._learn(X, y)
        return self

    def predict_proba(self, X: ArrayLike | None) -> Any:
        """Find the share of each class among the neighbours.

        It has shape (n_queries, n_classes). For several outputs there is a list of them. None means the samples, each
        without itself.
        """
        return self._of_outputs(self._shares(self._weighted(X)))

    def predict(self, X: ArrayLike | None) -> NDArray[Any]:
        """Find the class of each point, shape (n_queries,) or (n_queries, n_outputs).

        Ties go to the first of the classes. None means the samples, each without itself.
        """
        return self._stacked(self._predicted(self._shares(self._weighted(X))))


class RadiusNeighborsClassifier(_Classifier, OfRadius):
    """The most frequent class within a radius: :class:`sklearn.neighbors.RadiusNeighborsClassifier`.

    Parameters
    ----------
    radius : float
    weights : {"uniform", "distance"}, callable or None
        As in :class:`CoverTreeClassifier`. A callable gets and returns an array of arrays, one for each point.
    outlier_label : label, list of labels, "most_frequent" or None
        The class of points without neighbours, or one for each output. With None such a point is a ValueError. A class
        that no sample has is predicted with a warning, and its points have shares of 0.
    algorithm, leaf_size, metric, p, metric_params, order, n_jobs
        As in :class:`CoverTreeNeighbors`.

    Attributes
    ----------
    classes_, outputs_2d_
        As in :class:`CoverTreeClassifier`.
    outlier_label_ : list or None
        The class of outliers of each output.
    """

    _parameter_constraints: ClassVar[Constraints] = {
        **OfRadius._parameter_constraints,
        "outlier_label": [Integral, str, "array-like", None],
    }

    def __init__(
        self,
        radius: float | None = 1.0,
        *,
        weights: Weights = "uniform",
        algorithm: str = "auto",
        leaf_size: int | None = None,
        metric: str = "minkowski",
        p: float | None = 2,
        outlier_label: Any = None,
        metric_params: dict[str, Any] | None = None,
        order: str | None = None,
        n_jobs: int | None = None,
    ) -> None:
        super().__init__(
            radius, weights=weights, algorithm=algorithm, leaf_size=leaf_size, metric=metric, p=p,
            metric_params=metric_params, order=order, n_jobs=n_jobs,
        )  # fmt: skip
        self.outlier_label = outlier_label

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: ArrayLike) -> RadiusNeighborsClassifier:
        """Learn from points, shape (n_samples, n_features), and classes, (n_samples,) or (n_samples, n_outputs)."""
        self._learn(X, y)
        self.outlier_label_ = self._outlier_labels()
        return self

    def _outlier_labels(self) -> list[Any] | None:
        """The class of outliers of each output."""
        label, names = self.outlier_label, self._names()
        if label is None:
            return None
        if isinstance(label, str) and label == "most_frequent":
            return [one[np.bincount(numbers).argmax()] for one, numbers in zip(names, self._classes)]
        labels = [label] * len(names) if isinstance(label, str) or np.ndim(label) == 0 else list(label)
        if len(labels) != len(names):
            raise ValueError(f"outlier_label: expected {len(names)} labels, one for each output, got {len(labels)}")
        for one, label in zip(names, labels):
            got = _arguments.described(label)
            if np.ndim(label):
                raise TypeError(f"outlier_label: expected a label for each output, got {got}")
            if not _is_like(np.asarray(label).dtype, one.dtype):
                raise TypeError(f"outlier_label: expected a label of dtype {one.dtype}, as y has, got {got}")
        return labels

    def predict_proba(self, X: ArrayLike | None) -> Any:
        """Find the share of each class among the neighbours, as :meth:`CoverTreeClassifier.predict_proba`.

        Points without neighbours are of the class ``outlier_label``.
        """
        weights = self._weighted(X)
        return self._of_outputs(self._labelled(self._shares(weights), *self._outliers(weights)))

    def predict(self, X: ArrayLike | None) -> NDArray[Any]:
        """Find the class of each point, as :meth:`CoverTreeClassifier.predict`."""
        weights = self._weighted(X)
        outliers, labels = self._outliers(weights)
        predicted = self._predicted(self._labelled(self._shares(weights), outliers, labels))
        for output, label in enumerate(labels):
            # A label that no sample has may be longer than all classes.
            predicted[output] = predicted[output].astype(np.result_type(predicted[output], np.asarray(label)))
            predicted[output][outliers] = label
        return self._stacked(predicted)

    def _outliers(self, weights: csr_matrix) -> tuple[NDArray[np.intp], list[Any]]:
        """Points without neighbours, and their class of each output; no classes if there are no such points."""
        outliers = np.flatnonzero(np.diff(weights.indptr) == 0)
        if not outliers.size:
            return outliers, []
        if self.outlier_label_ is None:
            rows = f"{', '.join(map(str, outliers[:10]))}{', ...' if len(outliers) > 10 else ''}"
            raise ValueError(f"radius: expected neighbours of each point or an outlier_label, got none for {rows}")
        return outliers, self.outlier_label_

    def _labelled(
        self, shares: list[NDArray[np.float64]], outliers: NDArray[np.intp], labels: list[Any]
    ) -> list[NDArray[np.float64]]:
        """Shares of classes in which points without neighbours are of their classes alone."""
        for names, label, one in zip(self._names(), labels, shares):
            column = np.flatnonzero(names == label)
            if not column.size:
                warnings.warn(
                    f"outlier_label: {label!r} is the class of no sample. Its points have shares of 0.", stacklevel=3
                )
            one[np.ix_(outliers, column)] = 1
        return shares


def _is_like(label: np.dtype[Any], classes: np.dtype[Any]) -> bool:
    """True if a label of a type is text among text, or a number among numbers that stay of their kind with it."""
    kinds = {label.kind, classes.kind}
    if classes.kind == "O" or kinds <= {"i", "u"}:
        return True
    return kinds == {classes.kind} or (kinds <= set("biuf") and np.result_type(label, classes).kind == classes.kind)


class _Regressor(RegressorMixin, Supervised):
    """The mean target of neighbours, for one output or several."""

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: ArrayLike) -> Any:
        """Learn from points, shape (n_samples, n_features), and targets, (n_samples,) or (n_samples, n_outputs)."""
        points, targets = checked(self, X, y, dtype=TYPES, multi_output=True, y_numeric=True)
        self._targets = np.asarray(targets, np.float64)
        self._grow(points)
        return self

    def predict(self, X: ArrayLike | None) -> NDArray[np.float64]:
        """Find the weighted mean of the neighbours' targets, shape (n_queries,) or (n_queries, n_outputs).

        None means the samples, each without itself.
        """
        weights = self._weighted(X)
        sums = np.asarray(weights.sum(axis=1)).ravel()
        is_alone = np.diff(weights.indptr) == 0
        if (sums[~is_alone] == 0).any():
            raise ValueError("weights: expected a sum that is not 0 for each point, got 0")
        if is_alone.any():
            warnings.warn("radius: some points have no neighbours. Their predictions are NaN.", stacklevel=2)
            sums = np.where(is_alone, np.nan, sums)
        found: NDArray[np.float64] = weights @ self._targets
        return found / (sums if found.ndim == 1 else sums[:, None])


class CoverTreeRegressor(_Regressor, OfNearest):
    """The mean target of the nearest neighbours: :class:`sklearn.neighbors.KNeighborsRegressor`.

    Parameters
    ----------
    n_neighbors, weights
        As in :class:`CoverTreeClassifier`.
    algorithm, leaf_size, metric, p, metric_params, order, n_jobs
        As in :class:`CoverTreeNeighbors`.
    """


class RadiusNeighborsRegressor(_Regressor, OfRadius):
    """The mean target within a radius: :class:`sklearn.neighbors.RadiusNeighborsRegressor`.

    The prediction is NaN, with a warning, if a point has no neighbours.

    Parameters
    ----------
    radius, weights
        As in :class:`RadiusNeighborsClassifier`.
    algorithm, leaf_size, metric, p, metric_params, order, n_jobs
        As in :class:`CoverTreeNeighbors`.
    """

"""Neighbours with weights, for classifiers and regressors.

Weights are a sparse matrix of shape (n_queries, n_samples). Its product with targets makes predictions, and its product
with rows of 0 and 1, the classes of samples, the shares of classes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Union

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_matrix
from sklearn.utils._param_validation import StrOptions

from .. import _arguments, _arrays
from ..tree import Neighbors
from ..tree._graphs import of_rows
from ._base import N_NEIGHBORS, RADIUS, Constraints, NearestMixin, NeighborsBase, RadiusMixin, arrays_of

Weights = Union[str, Callable[[NDArray[Any]], Any], None]


class Supervised(NeighborsBase, ABC):
    """Neighbours and their weights."""

    _parameter_constraints: ClassVar[Constraints] = {
        **NeighborsBase._parameter_constraints,
        "weights": [StrOptions({"uniform", "distance"}), callable, None],
    }
    weights: Weights

    @abstractmethod
    def _found(self, X: ArrayLike | None) -> tuple[Neighbors, Any]:
        """The neighbours of each point, and what the function ``weights`` returns for them, if there is one."""

    def _weighted(self, X: ArrayLike | None) -> csr_matrix:
        """Weights of the neighbours of each point. At least one of a row with neighbours is not 0."""
        if self.weights is not None and not callable(self.weights):
            _arguments.choice(self.weights, "weights", ("uniform", "distance"))
        found, weights = self._found(X)
        if self.weights is None or self.weights == "uniform":
            weights = np.ones(len(found.indices))
        elif self.weights == "distance":
            with np.errstate(divide="ignore", over="ignore"):
                weights = 1 / np.asarray(found.distances, np.float64)
        n_queries = len(found.offsets) - 1
        rows = np.repeat(np.arange(n_queries), np.diff(found.offsets))
        # If neighbours of a point have infinite weights, as those at its location have, they alone count.
        infinite = np.isinf(weights)
        if infinite.any():
            has_infinite = np.zeros(n_queries, bool)
            has_infinite[rows[infinite]] = True
            weights = np.where(has_infinite[rows], infinite, weights)
        counts = np.bincount(rows[weights != 0], minlength=n_queries)
        for row in np.flatnonzero((counts == 0) & (np.diff(found.offsets) > 0))[:1]:
            raise ValueError(f"weights: expected one that is not 0 for each point, got zeros alone for point {row}")
        return csr_matrix((weights, found.indices, found.offsets), shape=(n_queries, self.n_samples_fit_))


class OfNearest(NearestMixin, Supervised):
    """Predictions by a number of neighbours."""

    _parameter_constraints: ClassVar[Constraints] = {**Supervised._parameter_constraints, **N_NEIGHBORS}

    def __init__(
        self,
        n_neighbors: int = 5,
        *,
        weights: Weights = "uniform",
        algorithm: str = "auto",
        leaf_size: int | None = None,
        metric: str = "minkowski",
        p: float | None = 2,
        metric_params: dict[str, Any] | None = None,
        order: str | None = None,
        n_jobs: int | None = None,
    ) -> None:
        super().__init__(
            algorithm=algorithm, leaf_size=leaf_size, metric=metric, p=p, metric_params=metric_params, order=order,
            n_jobs=n_jobs,
        )  # fmt: skip
        self.n_neighbors = n_neighbors
        self.weights = weights

    def _found(self, X: ArrayLike | None) -> tuple[Neighbors, Any]:
        distances, indices = self._nearest(X)
        found, weights = of_rows(indices, distances), None
        if callable(self.weights):
            weights = _arrays.returned(self.weights(distances), "weights", distances.shape, finite=False).ravel()
        return found, weights


class OfRadius(RadiusMixin, Supervised):
    """Predictions by all neighbours within a radius."""

    _parameter_constraints: ClassVar[Constraints] = {**Supervised._parameter_constraints, **RADIUS}

    def __init__(
        self,
        radius: float | None = 1.0,
        *,
        weights: Weights = "uniform",
        algorithm: str = "auto",
        leaf_size: int | None = None,
        metric: str = "minkowski",
        p: float | None = 2,
        metric_params: dict[str, Any] | None = None,
        order: str | None = None,
        n_jobs: int | None = None,
    ) -> None:
        super().__init__(
            algorithm=algorithm, leaf_size=leaf_size, metric=metric, p=p, metric_params=metric_params, order=order,
            n_jobs=n_jobs,
        )  # fmt: skip
        self.radius = radius
        self.weights = weights

    def _found(self, X: ArrayLike | None) -> tuple[Neighbors, Any]:
        found, weights = self._within(X), None
        if callable(self.weights):
            distances = arrays_of(found.distances, found.offsets)
            given = self.weights(distances)
            if not hasattr(given, "__len__") or len(given) != len(distances):
                raise ValueError(
                    f"weights: expected {len(distances)} arrays, one for each point, got {_arguments.described(given)}"
                )
            sizes = np.diff(found.offsets)
            rows = [
                _arrays.returned(row, f"weights[{one}]", (int(size),), finite=False)
                for one, (row, size) in enumerate(zip(given, sizes))
                if size
            ]
            weights = np.concatenate(rows) if rows else np.empty(0)
        return found, weights

"""Fitted Gaussian processes, in whatever form a caller has one."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .. import _arguments, _arrays
from ..vecchia import VIF, Fit

Floats = NDArray[np.float64]


def is_regressor(model: Any) -> bool:
    """Whether an object is a fitted regressor of covertreex.sklearn: by its attributes, as that needs scikit-learn."""
    return not isinstance(model, type) and isinstance(getattr(model, "model_", None), VIF)


class Fitted(NamedTuple):
    """A model with its data."""

    vif: VIF
    y: Floats | None  #: of the model, without an intercept; None if the caller has to give it
    intercept: float
    bounds: Floats | None  #: of the logarithms of the hyperparameters
    given_names: list[str] | None
    n_neighbors: int  #: of predictions

    @classmethod
    def of(cls, model: Any) -> Fitted:
        """What a fit, a regressor or a model has."""
        if isinstance(model, Fit):
            return cls(model.model, None, 0.0, model.bounds, None, model.model.n_neighbors)
        if isinstance(model, VIF):
            return cls(model, None, 0.0, None, None, model.n_neighbors)
        if is_regressor(model):
            names = getattr(model, "feature_names_in_", None)
            listed = None if names is None else [str(name) for name in names]
            width = model._prediction_neighbors
            return cls(model.model_, model._data.y, model.intercept_, model.bounds_, listed, width)
        raise TypeError(f"model: expected a Fit, a VIF or a fitted regressor, got {_arguments.described(model)}")

    @property
    def coords(self) -> Floats:
        """Of the data, (n, dim)."""
        return self.vif._coords

    @property
    def dim(self) -> int:
        """Columns of the data."""
        return int(self.coords.shape[1])

    @property
    def names(self) -> list[str]:
        """Of the columns."""
        return [f"column {index}" for index in range(self.dim)] if self.given_names is None else self.given_names

    def response(self, y: Any) -> Floats:
        """The response of the model: its own, or the one that the caller gives."""
        if self.y is not None:
            if y is not None:
                raise ValueError(f"y: expected None for a regressor, which has it, got {_arguments.described(y)}")
            return self.y
        if y is None:
            raise ValueError("y: expected the response of the model, got None")
        return np.asarray(_arrays.of_shape(y, "y", (len(self.coords),)), np.float64)

"""Estimators for scikit-learn: exact neighbours by a cover tree, and Gaussian processes for many points.

>>> import numpy as np
>>> from covertreex.sklearn import CoverTreeNeighbors, VIFRegressor
>>> model = CoverTreeNeighbors(n_neighbors=1).fit([[0.0], [1.0], [3.0]])
>>> model.kneighbors([[2.2]])
(array([[0.8]]), array([[2]]))
>>> X = np.linspace(0, 1, 80)[:, None]
>>> y = np.sin(6 * X[:, 0]) + 0.1 * np.random.default_rng(0).standard_normal(80)
>>> mean, std = VIFRegressor(n_inducing=10).fit(X, y).predict([[0.5]], return_std=True)
>>> bool(abs(mean[0] - np.sin(3)) < 0.1)
True

Needs scikit-learn 1.6 or later: ``pip install 'covertreex[sklearn]'``.
"""

try:
    from ._neighbors import CoverTreeNeighbors, CoverTreeTransformer, RadiusNeighborsTransformer
    from ._supervised import (
        CoverTreeClassifier,
        CoverTreeRegressor,
        RadiusNeighborsClassifier,
        RadiusNeighborsRegressor,
    )
    from ._vecchia import VecchiaRegressor
    from ._vif import VIFRegressor
except ImportError as error:
    raise ImportError(
        "covertreex.sklearn needs scikit-learn 1.6 or later: pip install 'covertreex[sklearn]'"
    ) from error

__all__ = [
    "CoverTreeClassifier",
    "CoverTreeNeighbors",
    "CoverTreeRegressor",
    "CoverTreeTransformer",
    "RadiusNeighborsClassifier",
    "RadiusNeighborsRegressor",
    "RadiusNeighborsTransformer",
    "VIFRegressor",
    "VecchiaRegressor",
]

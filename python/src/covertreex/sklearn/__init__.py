"""Estimators for scikit-learn over a cover tree: exact neighbours, quickly.

>>> import numpy as np
>>> from covertreex.sklearn import CoverTreeNeighbors
>>> model = CoverTreeNeighbors(n_neighbors=1).fit([[0.0], [1.0], [3.0]])
>>> model.kneighbors([[2.2]])
(array([[0.8]]), array([[2]]))

Needs scikit-learn 1.6 or later: ``pip install 'covertreex[sklearn]'``.
"""

from ._neighbors import CoverTreeClassifier, CoverTreeNeighbors, CoverTreeRegressor, CoverTreeTransformer

__all__ = ["CoverTreeClassifier", "CoverTreeNeighbors", "CoverTreeRegressor", "CoverTreeTransformer"]

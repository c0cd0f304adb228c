"""Vecchia approximations of Gaussian processes: conditioning sets, the model that is made of them, and its fit.

>>> import numpy as np
>>> from covertreex import vecchia
>>> from covertreex.kernels import Matern52
>>> points = np.random.default_rng(0).random((500, 2))
>>> kernel = Matern52(lengthscale=0.2)
>>> sets = vecchia.neighbors(points, kernel=kernel, m=10, n_inducing=50)
>>> sets.neighbors.shape
(500, 10)
>>> model = vecchia.VIF(points, kernel=kernel, noise=0.1, n_neighbors=10, n_inducing=50)
>>> model.log_likelihood(np.sin(9 * points[:, 0])) > -500
True
"""

from ._calibration import Calibration, calibrate
from ._fit import fit
from ._fit_result import Fit, FitStep, FitWarning
from ._interchange import from_csr, from_linv, from_neighbor_info, from_nnarray, to_linv, to_neighbor_info, to_nnarray
from ._model import VIF
from ._scores import Scores, scores
from ._sets import ORDERINGS, ConditioningSets, neighbors, ordering

__all__ = [
    "ORDERINGS",
    "VIF",
    "Calibration",
    "ConditioningSets",
    "Fit",
    "FitStep",
    "FitWarning",
    "Scores",
    "calibrate",
    "fit",
    "from_csr",
    "from_linv",
    "from_neighbor_info",
    "from_nnarray",
    "neighbors",
    "ordering",
    "scores",
    "to_linv",
    "to_neighbor_info",
    "to_nnarray",
]

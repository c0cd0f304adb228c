"""Small data, models of it and the processes that they must agree with."""

from itertools import product

import numpy as np
import pytest
import vif_oracle as oracle
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF as SklearnRBF
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

from covertreex.kernels import RBF, Matern12, Matern32, Matern52
from covertreex.vecchia import VIF

KINDS = [RBF, Matern12, Matern32, Matern52]
SCALES = [0.3, (0.2, 0.5)]
NAMES = [f"{kind.__name__}-{name}" for kind, name in product(KINDS, ["one", "ard"])]
KERNELS = [kind(scale, 1.7) for kind, scale in product(KINDS, SCALES)]
N = 60
COORDS = np.random.default_rng(30).random((N, 2))
NOISE = np.random.default_rng(31).uniform(0.05, 0.3, N)
Y = np.random.default_rng(32).standard_normal((N, 3))
every_kernel = pytest.mark.parametrize("kernel", KERNELS, ids=NAMES)
every_noise = pytest.mark.parametrize("noise", [0.1, NOISE], ids=["noise", "noises"])


def make(kernel, noise=0.1, coords=COORDS, **options):
    return VIF(coords, kernel=kernel, noise=noise, **{"n_neighbors": 5, "n_inducing": 7, "seed": 3, **options})


def dense(model, kernel, noise=0.1, coords=COORDS):
    """The oracle with the order, the sets and the inducing points of a model."""
    return oracle.of(
        coords, kernel, noise, order=model.order, sets=oracle.unpadded(model.neighbors), inducing=model.inducing_points
    )


def sklearn_process(kernel, noise, y):
    nu = {Matern12: 0.5, Matern32: 1.5, Matern52: 2.5}
    scale = np.array(kernel.lengthscale)
    shape = SklearnRBF(scale) if isinstance(kernel, RBF) else Matern(scale, nu=nu[type(kernel)])
    process = GaussianProcessRegressor(
        ConstantKernel(kernel.variance) * shape + WhiteKernel(noise), alpha=0, optimizer=None
    )
    return process.fit(COORDS, y)


def with_nan(values, *position):
    changed = np.array(values)
    changed[position] = np.nan
    return changed

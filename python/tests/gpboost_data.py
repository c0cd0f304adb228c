"""Data of GPBoost's R tests (fabsig/GPBoost, R-package/tests/testthat), which have published results.

Files ``test_GPModel_gaussian_process_vecchia.R`` and ``..._space_time_ard.R``. Their generator is a linear congruential
one in doubles, whose products are rounded.
"""

import numpy as np
from scipy.spatial.distance import cdist
from scipy.stats import norm


def uniform(n, start):
    state = np.empty(n)
    state[0] = np.floor(start * 2.0**32)
    for i in range(1, n):
        state[i] = np.fmod(22695477.0 * state[i - 1] + 1.0, 2.0**32)
    return state / 2.0**32


def field(coords, scales, start):
    """A draw of an exponential process."""
    over = coords / scales
    return np.linalg.cholesky(np.exp(-cdist(over, over))) @ norm.ppf(uniform(len(coords), start))


PLANE = uniform(200, 0.1).reshape(2, 100).T
CUBE = uniform(300, 0.981).reshape(3, 100).T
TIMES = np.column_stack([np.floor(20 * uniform(100, 0.6418)) + 1, PLANE])  # a time and a point in the plane

_ERRORS = norm.ppf(uniform(100, 0.1)) / 5
_TREND = 2 + 2 * np.sin((np.arange(1, 101) - 50.0) ** 2 * 2 * np.pi / 100)
PLANE_Y = field(PLANE, 0.1, 0.8) + _ERRORS
CUBE_Y = field(CUBE, [0.2, 0.4, 0.3], 0.978688) + _TREND + _ERRORS
TIMES_Y = field(TIMES, [2, 0.1, 0.1], 0.688) + _TREND + _ERRORS

# Lengthscales of the likelihoods, which have a variance of 1.6 and noise of 0.1.
CUBE_SCALES = np.array([0.1, 0.2, 0.15])
TIMES_SCALES = np.array([1, 0.2, 0.2])

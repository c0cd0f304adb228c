"""Types and defaults of residual trees."""

from __future__ import annotations

from typing import Union

import numpy as np

from .._capi.callbacks import PythonKernel
from .._capi.residuals import LibraryKernel
from .._settings import active_config
from ..kernels import Kernel, Stationary

DEFAULT_INDUCING = 512
FLOAT64 = np.dtype(np.float64)

KernelLike = Union[Kernel, PythonKernel]


def chosen_seed(seed: int | None) -> int:
    """The seed of a sample of inducing points: the call's, or the settings', or 42."""
    wanted = active_config().seed if seed is None else seed
    return 42 if wanted is None else wanted


def library_kernel(kernel: Stationary) -> LibraryKernel:
    """A kernel of this package, as the library gets it."""
    lengthscale = np.atleast_1d(np.asarray(kernel.lengthscale, np.float64))
    return LibraryKernel(kernel.shape, kernel.variance, lengthscale)

"""Arguments of residual trees: checked, chosen, and passed to the library."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Union

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _arguments, _arrays, _calls
from .._calls import ProgressReport
from .._capi import Owner, residuals
from .._capi.callbacks import CallbackKernel, PythonKernel
from .._settings import active_config
from ..kernels import Kernel, Stationary, scaled
from . import _inducing

DEFAULT_INDUCING = 512
FLOAT64 = np.dtype(np.float64)

KernelLike = Union[Kernel, PythonKernel]


def chosen_seed(seed: int | None) -> int:
    """Return the seed of a sample of inducing points: the call's, or the settings', or 42."""
    wanted = active_config().seed if seed is None else seed
    return 42 if wanted is None else wanted


@dataclass(frozen=True)
class Inputs:
    """Points and their kernel; ``callback`` calls it if it is not one of this package."""

    coords: NDArray[np.float64]
    kernel: KernelLike
    callback: CallbackKernel | None

    def choose_inducing(
        self,
        count: int | None,
        points: ArrayLike | str | None,
        seed: int,
        n_threads: int | None,
        progress: ProgressReport | None,
    ) -> NDArray[np.float64]:
        """Inducing points, shape (m, dim): those that were given, or some of the points."""
        n, dim = self.coords.shape
        settings = active_config().residual
        if points is None:
            points = settings.inducing_points
        if not isinstance(points, str):
            if count is not None:
                raise ValueError(
                    "n_inducing: cannot be combined with an array of inducing_points, which has its own length"
                )
            given = np.ascontiguousarray(_arrays.points(points, "inducing_points", dtype=FLOAT64))
            if len(given) and given.shape[1] != dim:
                raise ValueError(f"inducing_points: expected {dim} columns, got {given.shape[1]}")
            return given
        if count is None:
            count = min(DEFAULT_INDUCING if settings.n_inducing is None else settings.n_inducing, n)
        count = _arrays.integer(count, "n_inducing", minimum=0, maximum=n)
        if count == 0:
            return np.empty((0, dim))
        over = scaled(self.coords, self.kernel, "points")
        chosen = _inducing.choose(over, count, method=points, seed=seed, n_threads=n_threads, progress=progress)
        return np.ascontiguousarray(self.coords[chosen])

    def build(
        self, inducing: NDArray[np.float64], jitter: float, n_threads: int | None, progress: ProgressReport | None
    ) -> Owner:
        """Build V and p of inducing points."""
        jitter = _arguments.number(jitter, "jitter")
        return residuals.build(
            self.coords, self._known_kernel(), inducing=inducing, jitter=jitter, progress=progress,
            **self._options(n_threads),
        )  # fmt: skip

    def build_given(
        self,
        v_matrix: ArrayLike,
        p_diag: ArrayLike | None,
        kernel_diag: ArrayLike | None,
        n_threads: int | None,
        progress: ProgressReport | None,
    ) -> Owner:
        """Load the caller's own V and p."""
        options = self._options(n_threads)
        v = _arrays.points(v_matrix, "v_matrix")
        n = len(self.coords)
        if len(v) != n:
            raise ValueError(f"v_matrix: expected {n} rows, one for each point, got {len(v)}")
        p = np.ascontiguousarray(_arrays.of_shape(p_diag, "p_diag", (n,)), FLOAT64)
        diagonal = None
        if kernel_diag is not None:
            diagonal = np.ascontiguousarray(_arrays.of_shape(kernel_diag, "kernel_diag", (n,)), FLOAT64)
        given = residuals.GivenFeatures(v, p, diagonal)
        return residuals.build(self.coords, self._known_kernel(), features=given, progress=progress, **options)

    def _known_kernel(self) -> residuals.AnyKernel:
        """The kernel as the library knows it."""
        if self.callback is not None:
            return self.callback
        assert isinstance(self.kernel, Stationary)
        lengthscale = np.atleast_1d(np.asarray(self.kernel.lengthscale, np.float64))
        return residuals.LibraryKernel(self.kernel.shape, self.kernel.variance, lengthscale)

    def _options(self, n_threads: int | None) -> dict[str, Any]:
        """Options of a build, as the call and the settings say."""
        settings = active_config().residual
        return {
            "n_threads": _calls.threads(n_threads),
            "block_size": settings.block_size or 0,
            "tau": settings.tau or 0.0,
        }

"""What a residual tree is built of: checked, chosen, and handed to the library."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any, Union

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _arguments, _arrays, _calls, _native
from .._calls import Owner, ProgressReport
from .._native import lib
from .._settings import active_config
from ..kernels import Kernel, Stationary, scaled
from . import _host_kernel, _inducing
from ._host_kernel import HostKernel, PythonKernel

DEFAULT_INDUCING = 512
FLOAT64 = np.dtype(np.float64)

KernelLike = Union[Kernel, PythonKernel]


def chosen_seed(seed: int | None) -> int:
    """Return the seed of a sample of inducing points: the call's, or the settings', or 42."""
    wanted = active_config().seed if seed is None else seed
    return 42 if wanted is None else wanted


@dataclass(frozen=True)
class Inputs:
    """Points and their kernel; ``host`` calls it if it is not one of this package."""

    coords: NDArray[np.float64]
    kernel: KernelLike
    host: HostKernel | None

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
        options, keep = self._options(n_threads)
        options.jitter = _arguments.number(jitter, "jitter")
        if len(inducing):
            options.inducing_points, options.n_inducing = inducing.ctypes.data, len(inducing)
        owner = self._make(options, progress)
        del keep
        return owner

    def build_given(
        self,
        v_matrix: ArrayLike,
        p_diag: ArrayLike | None,
        kernel_diag: ArrayLike | None,
        n_threads: int | None,
        progress: ProgressReport | None,
    ) -> Owner:
        """Take the caller's own V and p."""
        options, keep = self._options(n_threads)
        v = _arrays.points(v_matrix, "v_matrix")
        n = len(self.coords)
        if len(v) != n:
            raise ValueError(f"v_matrix: expected {n} rows, one for each point, got {len(v)}")
        p = _arrays.numbers(p_diag, "p_diag", n)
        diagonal = None if kernel_diag is None else _arrays.numbers(kernel_diag, "kernel_diag", n)
        features = _native.Features(_calls.matrix(v), p.ctypes.data, None if diagonal is None else diagonal.ctypes.data)
        options.features = ctypes.pointer(features)
        owner = self._make(options, progress)
        del keep
        return owner

    def _options(self, n_threads: int | None) -> tuple[Any, Any]:
        """Return options of a build, and the objects that they point to."""
        options = _native.ResidualOptions()
        options.n_threads = _calls.threads(n_threads)
        settings = active_config().residual
        options.block_size, options.tau = settings.block_size or 0, settings.tau or 0.0
        if self.host is not None:
            self.host.give(options)
            return options, None
        assert isinstance(self.kernel, Stationary)
        lengthscale = np.atleast_1d(np.asarray(self.kernel.lengthscale, np.float64))
        options.kernel = self.kernel.shape
        options.variance = self.kernel.variance
        options.lengthscale, options.n_lengthscales = lengthscale.ctypes.data, len(lengthscale)
        return options, lengthscale

    def _make(self, options: Any, progress: ProgressReport | None) -> Owner:
        owner = Owner(lib.covertree_residual_free)
        _host_kernel.run(
            self.host, lib.covertree_residual_build, _calls.matrix(self.coords), ctypes.byref(options),
            ctypes.byref(owner.handle), options=options, report=progress,
        )  # fmt: skip
        return owner

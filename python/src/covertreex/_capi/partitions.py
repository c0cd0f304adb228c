"""Functions of ``covertree_partitions.h``, which may change in any version."""

from __future__ import annotations

from ctypes import byref, c_double, c_int64
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .callbacks import CallbackKernel
from .calls import Nearest, call, call_options, made, nearest
from .library import check, lib
from .memory import Handle, Owner, address, matrix
from .residuals import GivenFeatures, features_of
from .running import ProgressReport
from .structs import SearchOptions


def hilbert_keys(
    points: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64], *, n_threads: int
) -> NDArray[np.uint64]:
    """Where points lie along the Hilbert curve through a box."""
    keys, options = np.empty(len(points), np.uint64), call_options(n_threads)
    arguments = (matrix(points), address(low), address(high), byref(options), address(keys))
    call(lib.covertree_hilbert_keys, arguments, options, None)
    return keys


def residual_with_points(
    model: Handle,
    points: NDArray[np.float64],
    *,
    n_threads: int,
    progress: ProgressReport | None = None,
    kernel: CallbackKernel | None = None,
) -> Owner:
    """A model of other points in the same process."""
    function, free, given = lib.covertree_residual_with_points, lib.covertree_residual_free, (model, matrix(points))
    return made(function, free, given, call_options(n_threads), progress, kernel=kernel)


def residual_outlines(model: Handle, tau: float, *, n_threads: int) -> list[tuple[Owner, float]]:
    """Pivots of a model, in groups, each with its error; none if the process has too many degrees of freedom."""
    options, count = call_options(n_threads), c_int64()
    arguments = (tau, byref(options), byref(count))
    check(lib.covertree_residual_outline(model, 0, *arguments, None, None))
    found = []
    for group in range(count.value):
        owner, error = Owner(lib.covertree_residual_free), c_double()
        given = (model, group, *arguments, byref(owner.handle), byref(error))
        call(lib.covertree_residual_outline, given, options, None)
        found.append((owner, error.value))
    return found


def residual_projections(
    pivots: Handle, points: NDArray[np.float64], features: GivenFeatures, *, n_threads: int
) -> NDArray[np.float64]:
    """Lengths of the projections of queries onto the span of a model's points."""
    lengths, options = np.empty(len(points)), call_options(n_threads)
    given = features_of(features)
    arguments = (pivots, matrix(points), byref(given), byref(options), address(lengths))
    call(lib.covertree_residual_projections, arguments, options, None)
    return lengths


def residual_bounds(
    model: Handle, rows: NDArray[np.int64], pivots: Handle, error: float, *, n_threads: int
) -> NDArray[np.float64]:
    """Bounds on |rho| of points of a model with any of those that were outlined."""
    bounds, options = np.empty(len(rows)), call_options(n_threads)
    arguments = (model, address(rows), len(rows), pivots, error, byref(options), address(bounds))
    call(lib.covertree_residual_bounds, arguments, options, None)
    return bounds


def residual_knn_given(
    model: Handle,
    points: NDArray[np.float64],
    features: GivenFeatures,
    k: int,
    options: SearchOptions,
    *,
    dtype: np.dtype[Any] | None,
    scores: bool = False,
    progress: ProgressReport | None = None,
    brief: bool = False,
) -> Nearest:
    """Find the ``k`` nearest points of new ones whose features are known."""
    given = features_of(features)
    asked = (model, matrix(points), byref(given))
    return nearest(
        lib.covertree_residual_knn_given, asked, len(points), k, options, dtype=dtype, scores=scores, progress=progress,
        brief=brief,
    )  # fmt: skip

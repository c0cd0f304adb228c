"""Models in the residual-correlation metric: ``covertree_residual_*``."""

from __future__ import annotations

import ctypes
import os
from ctypes import byref
from typing import Any, NamedTuple, Union

import numpy as np
from numpy.typing import NDArray

from . import files
from .callbacks import CallbackKernel
from .calls import Nearest, call, call_options, made, nearest
from .files import Arrays
from .library import check, lib, read
from .memory import Handle, Owner, Rows, address, count, matrix, optional, start, view
from .running import ProgressReport
from .structs import Features, ResidualInfo, ResidualOptions, ResidualView, SearchOptions, TreeOptions

FLOAT64 = np.dtype(np.float64)


class LibraryKernel(NamedTuple):
    """A kernel that the library knows."""

    shape: int  #: a covertree_kernel_shape
    variance: float
    lengthscale: NDArray[np.float64]  #: (1,) or (dim,)


AnyKernel = Union[LibraryKernel, CallbackKernel]


class GivenFeatures(NamedTuple):
    """V and p of the caller."""

    v_matrix: NDArray[Any]
    residual_variance: NDArray[np.float64]
    kernel_diagonal: NDArray[np.float64] | None = None


def features_of(given: GivenFeatures) -> Features:
    """V and p as the library reads them; the arrays have to outlive this."""
    v, p, diagonal = given
    return Features(matrix(v), start(p), None if diagonal is None else start(diagonal))


def build(
    points: NDArray[np.float64],
    kernel: AnyKernel,
    *,
    inducing: NDArray[np.float64] | None = None,
    jitter: float = 0.0,
    features: GivenFeatures | None = None,
    block_size: int = 0,
    tau: float = 0.0,
    n_threads: int,
    progress: ProgressReport | None = None,
) -> Owner:
    """Build a model of inducing points, or of features. 0 means a default."""
    options = ResidualOptions()
    options.n_threads, options.jitter, options.block_size, options.tau = n_threads, jitter, block_size, tau
    callback = kernel if isinstance(kernel, CallbackKernel) else None
    if isinstance(kernel, CallbackKernel):
        kernel.give(options)
    else:
        lengthscale = kernel.lengthscale
        options.kernel, options.variance = kernel.shape, kernel.variance
        options.lengthscale, options.n_lengthscales = start(lengthscale), len(lengthscale)
    if inducing is not None and len(inducing):
        options.inducing_points, options.n_inducing = start(inducing), len(inducing)
    if features is not None:
        options.features = ctypes.pointer(features_of(features))
    function, free = lib.covertree_residual_build, lib.covertree_residual_free
    names = {"residual_variance": "p_diag", "kernel_diagonal": "kernel_diag"}
    return made(function, free, (matrix(points),), options, progress, kernel=callback, **names)


def extend(
    model: Handle,
    points: NDArray[np.float64],
    *,
    n_threads: int,
    progress: ProgressReport | None = None,
    kernel: CallbackKernel | None = None,
) -> Owner:
    """A model with more points."""
    function, free, given = lib.covertree_residual_extend, lib.covertree_residual_free, (model, matrix(points))
    return made(function, free, given, call_options(n_threads), progress, kernel=kernel)


# Searches


def knn(
    model: Handle,
    queries: Rows,
    k: int,
    options: SearchOptions,
    *,
    dtype: np.dtype[Any] | None,
    scores: bool = False,
    progress: ProgressReport | None = None,
    brief: bool = False,
    kernel: CallbackKernel | None = None,
) -> Nearest:
    """Find the ``k`` nearest points of each query; ``dtype`` is float64, or None for no distances."""
    return nearest(
        lib.covertree_residual_knn, (model, matrix(queries)), count(queries), k, options, dtype=dtype, scores=scores,
        progress=progress, brief=brief, kernel=kernel,
    )  # fmt: skip


def distances(
    model: Handle,
    rows: NDArray[np.int64],
    others: NDArray[np.int64],
    *,
    n_threads: int,
    kernel: CallbackKernel | None = None,
) -> NDArray[np.float64]:
    """Distances of points from others, (q, c); infinity where an index is -1."""
    found, options = np.empty(others.shape), call_options(n_threads)
    arguments = (model, address(rows), len(rows), address(others), others.shape[1], byref(options), address(found))
    call(lib.covertree_residual_distances, arguments, options, None, kernel=kernel)
    return found


# Features


def features(
    model: Handle,
    points: NDArray[np.float64],
    n_features: int,
    *,
    n_threads: int,
    kernel: CallbackKernel | None = None,
    name: str = "points",
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """V and p of new points; ``name`` is that of the points in messages."""
    v, p, options = np.empty((len(points), n_features)), np.empty(len(points)), call_options(n_threads)
    arguments = (model, matrix(points), byref(options), address(v), address(p))
    call(lib.covertree_residual_features, arguments, options, None, kernel=kernel, points=name)
    return v, p


def own_features(model: Handle, *, v: NDArray[np.float64] | None = None, p: NDArray[np.float64] | None = None) -> None:
    """Fill in V, p, or both, of the model's points."""
    check(lib.covertree_residual_features(model, None, None, optional(v), optional(p)))


# Properties


def get_info(model: Handle) -> ResidualInfo:
    """A model in numbers."""
    return read(lib.covertree_residual_get_info, model, ResidualInfo)


# Cover trees


def build_tree(model: Handle, options: TreeOptions) -> Owner:
    """Build the cover tree of the points in this metric; :func:`trees.arrays_get` shows it."""
    return made(lib.covertree_residual_build_tree, lib.covertree_arrays_free, (model,), options, None)


def validate_tree(model: Handle, arrays: Handle, *, n_threads: int, progress: ProgressReport | None = None) -> None:
    """Check every rule of such a tree."""
    options = call_options(n_threads)
    call(lib.covertree_residual_validate_tree, (model, arrays, byref(options)), options, progress)


# Arrays


def export(model: Handle, *, n_threads: int) -> Owner:
    """Export the arrays of a model."""
    function, free = lib.covertree_residual_export, lib.covertree_residual_arrays_free
    return made(function, free, (model,), call_options(n_threads), None)


def arrays_get(owner: Owner) -> dict[str, Any]:
    """Show the arrays of a model, and numbers that tell of them, by the names of covertree_residual_view."""
    shown = _shown(owner)
    n, blocks = shown.n_points, shown.n_blocks
    skeleton_points = n if blocks else 0
    pairs = blocks if shown.product_offsets is not None else 0

    def array(name: str, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
        return view(owner, getattr(shown, name), shape, dtype)

    pivot_offsets = array("pivot_offsets", (blocks + 1 if blocks else 0,), np.int64)
    coefficient_offsets = array("coefficient_offsets", pivot_offsets.shape, np.int64)
    ranks = (np.diff(pivot_offsets) + 7) // 8 * 8
    products = (ranks.sum() ** 2 - (ranks**2).sum()) // 2 if pairs else 0
    numbers = ("block_size", "blocks_per_region", "kernel", "kernel_variance", "variance")
    return {
        "order": array("order", (n,), np.int32),
        "positions": array("positions", (n,), np.int32),
        "coordinates": array("coordinates", (n, shown.dim), np.float64),
        "v_matrix": array("v_matrix", (n, shown.feature_stride), np.float64),
        "residual_variance": array("residual_variance", (n,), np.float64),
        "scales": array("scales", (n,), np.float32),
        "pivot_offsets": pivot_offsets,
        "pivots": array("pivots", (int(pivot_offsets[-1]) if blocks else 0,), np.int32),
        "coefficient_offsets": coefficient_offsets,
        "coefficients": array("coefficients", (int(coefficient_offsets[-1]) if blocks else 0,), np.float32),
        "remaining_norms": array("remaining_norms", (skeleton_points,), np.float32),
        "bounds": array("bounds", (shown.n_regions, skeleton_points), np.uint8),
        "product_offsets": array("product_offsets", (pairs, pairs), np.int64),
        "products": array("products", (int(products),), np.float32),
        **{name: getattr(shown, name) for name in numbers},
    }


def arrays_are_current(owner: Owner) -> bool:
    """Whether the model of exported arrays is still there."""
    return bool(_shown(owner).is_current)


def _shown(owner: Owner) -> ResidualView:
    return read(lib.covertree_residual_arrays_get, owner.handle, ResidualView)


# Files


def save(model: Handle, path: str, sections: Arrays, *, n_threads: int, progress: ProgressReport | None = None) -> None:
    """Write a model to a file, in one step, with sections of the caller."""
    files.save(lib.covertree_residual_save, (model, os.fsencode(path)), sections, n_threads, progress)


def encode(model: Handle, sections: Arrays, *, n_threads: int) -> Owner:
    """The file in memory."""
    return files.encode(lib.covertree_residual_encode, model, sections, n_threads)


def load(file: Owner, kernel: CallbackKernel | None = None) -> Owner:
    """The model in a file; ``kernel`` is for one that was built with a kernel of the caller."""
    options, owner = ResidualOptions(), Owner(lib.covertree_residual_free)
    if kernel is not None:
        kernel.give(options)
    check(lib.covertree_residual_load(file.handle, byref(options), byref(owner.handle)), kernel_fn="kernel")
    return owner

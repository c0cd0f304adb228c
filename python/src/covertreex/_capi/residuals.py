"""Models in the residual-correlation metric: ``covertree_residual_*``."""

from __future__ import annotations

import ctypes
from typing import Any, NamedTuple, Union

import numpy as np
from numpy.typing import NDArray

from . import files
from .callbacks import CallbackKernel
from .calls import BRIEF, RADIUS_NAMES, How, Lists, Nearest, Unpack, Wanted, Way, call, lists, made, nearest
from .library import check, lib, read
from .memory import Float64s, Handle, Int64s, Owner, Rows, address, count, matrix, view
from .running import ProgressReport
from .structs import Features, ResidualInfo, ResidualOptions, ResidualView, SearchOptions, TreeOptions


class LibraryKernel(NamedTuple):
    """A kernel that the library knows."""

    shape: int  #: a covertree_kernel_shape
    variance: float
    lengthscale: Float64s  #: (1,) or (dim,)


AnyKernel = Union[LibraryKernel, CallbackKernel]


def give(kernel: AnyKernel, options: Any, how: How) -> None:
    """Make a kernel that of the options of a call, and of the call itself if it is a callback."""
    if isinstance(kernel, CallbackKernel):
        how["kernel"] = kernel
        kernel.give(options)
    else:
        options.kernel, options.variance = kernel.shape, kernel.variance
        options.lengthscale, options.n_lengthscales = address(kernel.lengthscale), len(kernel.lengthscale)


class GivenFeatures(NamedTuple):
    """V and p of the caller."""

    v_matrix: NDArray[Any]
    residual_variance: Float64s
    kernel_diagonal: Float64s | None = None


def features_of(given: GivenFeatures) -> Features:
    """V and p as the library reads them; the arrays have to outlive this."""
    return Features(matrix(given.v_matrix), address(given.residual_variance), address(given.kernel_diagonal))


def build(
    points: Float64s,
    kernel: AnyKernel,
    *,
    inducing: Float64s | None = None,
    jitter: float = 0.0,
    features: GivenFeatures | None = None,
    block_size: int = 0,
    tau: float = 0.0,
    n_threads: int,
    progress: ProgressReport | None = None,
) -> Owner:
    """Build a model of inducing points, or of features. 0 means a default."""
    options = ResidualOptions(n_threads=n_threads, jitter=jitter, block_size=block_size, tau=tau)
    way: How = {"progress": progress}
    give(kernel, options, way)
    if inducing is not None and len(inducing):
        options.inducing_points, options.n_inducing = address(inducing), len(inducing)
    if features is not None:
        options.features = ctypes.pointer(features_of(features))
    names = {"residual_variance": "p_diag", "kernel_diagonal": "kernel_diag"}
    function, free = lib.covertree_residual_build, lib.covertree_residual_free
    return made(function, free, way, matrix(points), options=options, **names)


def extend(model: Handle, points: Float64s, **how: Unpack[How]) -> Owner:
    """A model with more points."""
    return made(lib.covertree_residual_extend, lib.covertree_residual_free, how, model, matrix(points))


def remove(model: Handle, indices: Int64s, **how: Unpack[How]) -> Owner:
    """A model without some points."""
    free, given = lib.covertree_residual_free, (model, address(indices), len(indices))
    return made(lib.covertree_residual_remove, free, how, *given)


def knn(model: Handle, queries: Rows, k: int, options: SearchOptions, **wanted: Unpack[Wanted]) -> Nearest:
    """Find the ``k`` nearest points of each query; distances are of float64."""
    return nearest(lib.covertree_residual_knn, wanted, (model, matrix(queries)), k, options)


def radius(model: Handle, queries: Rows, r: float, options: SearchOptions, **way: Unpack[Way]) -> Lists:
    """Find all points within a radius of each query."""
    return lists(lib.covertree_residual_radius, way, model, matrix(queries), r, options=options)


def radius_count(model: Handle, queries: Rows, r: float, options: SearchOptions, **way: Unpack[Way]) -> Int64s:
    """Count them."""
    counts = np.empty(count(queries), np.int64)
    given = model, matrix(queries), r
    call(lib.covertree_residual_radius_count, way, given, address(counts), options=options, **RADIUS_NAMES)
    return counts


def distances(model: Handle, rows: Int64s, others: Int64s, **how: Unpack[How]) -> Float64s:
    """Distances of points from others, (q, c); infinity where an index is -1."""
    found = np.empty(others.shape)
    given = model, address(rows), len(rows), address(others), others.shape[1]
    call(lib.covertree_residual_distances, how, given, address(found))
    return found


def features(
    model: Handle, points: Float64s, n_features: int, *, name: str = "points", **how: Unpack[How]
) -> tuple[Float64s, Float64s]:
    """V and p of new points; messages name the points ``name``."""
    v, p = np.empty((len(points), n_features)), np.empty(len(points))
    call(lib.covertree_residual_features, how, (model, matrix(points)), address(v), address(p), points=name)
    return v, p


def own_features(model: Handle, *, v: Float64s | None = None, p: Float64s | None = None) -> None:
    """Fill in V, p, or both, of the model's points."""
    check(lib.covertree_residual_features(model, None, None, address(v), address(p)))


def get_info(model: Handle) -> ResidualInfo:
    """A model in numbers."""
    return read(lib.covertree_residual_get_info, model, ResidualInfo)


def build_tree(model: Handle, options: TreeOptions) -> Owner:
    """Build the cover tree of the points in this metric; :func:`trees.arrays_get` shows it."""
    return made(lib.covertree_residual_build_tree, lib.covertree_arrays_free, {}, model, options=options)


def validate_tree(model: Handle, arrays: Handle, **how: Unpack[How]) -> None:
    """Check every rule of such a tree."""
    call(lib.covertree_residual_validate_tree, how, (model, arrays))


def export(model: Handle, **how: Unpack[How]) -> Owner:
    """Export the arrays of a model."""
    return made(lib.covertree_residual_export, lib.covertree_residual_arrays_free, how, model)


def arrays_get(owner: Owner) -> dict[str, Any]:
    """Show the arrays of a model, and numbers that describe them, by the names of covertree_residual_view."""
    shown = read(lib.covertree_residual_arrays_get, owner.handle, ResidualView)
    n, blocks = shown.n_points, shown.n_blocks
    skeleton_points = n if blocks else 0
    pairs = blocks if shown.product_offsets is not None else 0
    arrays: dict[str, Any] = {}

    def show(dtype: type, **shapes: tuple[int, ...]) -> None:
        arrays.update({name: view(owner, getattr(shown, name), shape, dtype) for name, shape in shapes.items()})

    offsets = (blocks + 1 if blocks else 0,)
    show(np.int64, pivot_offsets=offsets, coefficient_offsets=offsets, product_offsets=(pairs, pairs))
    pivot_ends, coefficient_ends = arrays["pivot_offsets"], arrays["coefficient_offsets"]
    block_points = np.diff(np.minimum(np.arange(len(coefficient_ends)) * shown.block_size, n))
    ranks = np.diff(coefficient_ends) // ((block_points + 31) // 32 * 32)
    products = (ranks.sum() ** 2 - (ranks**2).sum()) // 2 if pairs else 0
    show(np.int32, order=(n,), positions=(n,), pivots=(int(pivot_ends[-1:].sum()),))
    show(np.float64, coordinates=(n, shown.dim), v_matrix=(n, shown.feature_stride), residual_variance=(n,))
    show(np.float32, scales=(n,), remaining_norms=(skeleton_points,), products=(int(products),))
    show(np.float32, coefficients=(int(coefficient_ends[-1:].sum()),))  # up to the last end, if there is one
    show(np.uint8, bounds=(shown.n_regions, skeleton_points))
    for name in ("block_size", "blocks_per_region", "kernel", "kernel_variance", "variance"):
        arrays[name] = getattr(shown, name)
    return arrays


def arrays_are_current(owner: Owner) -> bool:
    """True if the model of exported arrays still exists."""
    return bool(read(lib.covertree_residual_arrays_get, owner.handle, ResidualView).is_current)


#: Write a model to a file, and the same in memory.
_writer = files.Writer("residual")
save, encode = _writer.save, _writer.encode


def load(file: Owner, kernel: CallbackKernel | None = None) -> Owner:
    """The model in a file; ``kernel`` is for one that was built with a kernel of the caller."""
    options, function, free = ResidualOptions(), lib.covertree_residual_load, lib.covertree_residual_free
    if kernel is not None:
        kernel.give(options)
    return made(function, free, BRIEF, file.handle, options=options, kernel_fn="kernel")

"""The functions that make trees: of points, in either metric, or from a file."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypedDict, cast, overload

from numpy.typing import ArrayLike, DTypeLike

from . import _arguments, _arrays, _files
from ._calls import ProgressReport
from ._capi.callbacks import CompiledMetric, compiled
from ._settings import METRICS, active_config
from .indexes import VectorIndex
from .kernels import RBF
from .outofcore import MappedTree
from .residual import ResidualTree
from .residual._inputs import KernelLike
from .tree import CoverTree, MetricTree
from .tree._metric import CHOICES
from .tree._options import checked_leaf_size, kept_dtype
from .vecchia import VIF, ConditioningSets
from .vecchia._inputs import KernelGradient

if TYPE_CHECKING:
    from typing_extensions import Unpack


class _OwnMetric(TypedDict, total=False):
    order: str | None
    seed: int | None
    dtype: DTypeLike | None
    n_threads: int | None
    progress: ProgressReport | None


class _Options(TypedDict, total=False):
    metric: str | None
    metric_params: Mapping[str, Any] | None
    period: ArrayLike | None
    order: str | None
    leaf_size: int | None
    seed: int | None
    dtype: DTypeLike | None
    n_threads: int | None
    progress: ProgressReport | None


class _ResidualOptions(_Options, total=False):
    kernel: KernelLike | None
    v_matrix: ArrayLike | None
    p_diag: ArrayLike | None
    kernel_diag: ArrayLike | None
    inducing_count: int | None
    inducing_points: ArrayLike | str | None
    jitter: float | None
    cover_tree_metric: str | None


@overload
def cover_tree(
    points: Any, *, metric: Callable[..., Any] | CompiledMetric, **options: Unpack[_OwnMetric]
) -> MetricTree: ...


@overload
def cover_tree(points: ArrayLike, *, engine: str | None = ..., **options: Unpack[_Options]) -> CoverTree: ...


@overload
def cover_tree(
    points: ArrayLike, *, folder: _files.PathLike, partition_size: int | None = ..., **options: Unpack[_Options]
) -> MappedTree: ...


@overload
def cover_tree(points: ArrayLike, *, engine: str | None = ..., **options: Unpack[_ResidualOptions]) -> ResidualTree: ...


def cover_tree(  # noqa: PLR0912 - a branch for each kind of tree
    points: Any,
    *,
    kernel: KernelLike | None = None,
    v_matrix: ArrayLike | None = None,
    p_diag: ArrayLike | None = None,
    kernel_diag: ArrayLike | None = None,
    inducing_count: int | None = None,
    inducing_points: ArrayLike | str | None = None,
    jitter: float | None = None,
    cover_tree_metric: str | None = None,
    metric: str | Callable[..., Any] | CompiledMetric | None = None,
    metric_params: Mapping[str, Any] | None = None,
    period: ArrayLike | None = None,
    engine: str | None = None,
    order: str | None = None,
    leaf_size: int | None = None,
    seed: int | None = None,
    dtype: DTypeLike | None = None,
    n_threads: int | None = None,
    progress: ProgressReport | None = None,
    folder: _files.PathLike | None = None,
    partition_size: int | None = None,
) -> Any:
    """Build a tree of points, by Euclidean distance or another metric.

    With a kernel it builds a residual tree, as covertreex 0.4.x did; :func:`residual_tree` is the newer way.

    The active :class:`covertreex.Runtime` overrides the defaults below.

    Parameters
    ----------
    points : array_like, shape (n, dim)
        Finite. Rows of float32 and float64 without gaps are read in place, others are converted once. With a function
        as the metric also a list of objects, or their numbers: a range, or integers of shape (n,).
    kernel, inducing_count, inducing_points, jitter, cover_tree_metric : optional
        As in :func:`residual_tree`, where ``inducing_count`` is ``n_inducing``.
    v_matrix, p_diag, kernel_diag : array_like, optional
        As in :meth:`covertreex.ResidualTree.from_features`; without a kernel ``RBF()`` is assumed, with a warning.
    metric : str or callable, optional
        A function makes a cover tree of any objects. It is called with blocks, ``metric(X, Y)``, rows of coordinates or
        lists of objects, and gives distances of shape (len(X), len(Y)); with numbers of objects it is called with
        pairs, ``metric(i, j)``, and gives shape (len(i),). :func:`covertreex.numba.metric` compiles one. Or a name. Of
        points: "euclidean" or "l2", "manhattan" ("cityblock", "l1"), "chebyshev" ("linf"), "minkowski",
        "seuclidean", "haversine" (rows of latitude and longitude), "cosine" (1 - cosine), "angular" (the angle between
        vectors, in radians) or "mahalanobis". "residual_correlation" needs a kernel or ``v_matrix``. "auto" (default)
        is that if there is one of these, and "euclidean" otherwise. An error is raised if the inputs are for another
        metric.
    metric_params : dict, optional
        Of "minkowski": ``p`` from 1 up, infinity included. Of "seuclidean": ``V``, the variance of each coordinate. Of
        the other norms, "euclidean", "manhattan", "chebyshev" and "minkowski": ``w``, weights of the powers of
        differences, as in SciPy, and ``scale``, the length that counts as 1 in each coordinate. Each but ``p`` is a
        number, or one for each coordinate. Of "haversine": ``unit``, "radians" (default) or "degrees", and ``radius``,
        by default 1, so that distances are in radians. Of "mahalanobis": ``VI``, the inverse covariance, or ``V``, the
        covariance, shape (dim, dim).
    period : float or array_like of shape (dim,), optional
        For norms: the period of each coordinate, None or infinity without one. Differences are the least ones by whole
        periods. Points are moved into one period: from 0, or from minus half a period to plus half of it if all first
        points are there and some are below 0.
    engine : {"auto", "native", "hybrid"}, optional
        The library searches ("auto", "native"), or kernels for Numba that walk its arrays do ("hybrid"; see
        :mod:`covertreex.numba`). Answers are the same.
    order : {"hilbert", "natural", "random"}, optional
        The sequence in which points are preferred as centres of the tree: along the Hilbert curve (default, fastest),
        as they come, or shuffled by the seed.
    leaf_size : int, optional
        Euclidean: points that are scanned together, 1 to 65536; by default 32.
    seed : int, optional
        Seed of priorities in the Euclidean tree (default 0), and of the sample of inducing points (default 42).
    dtype : {"auto", "float32", "float64"}, optional
        Euclidean: the type of the stored points; by default their own if it is one of these, or float64.
    n_threads : int, optional
        Threads; by default :func:`get_num_threads`. Results are the same for any number.
    progress : callable, optional
        Called with the share that is done, 0 to 1, at least every 0.2 s of a long call. An exception in it ends the
        call.
    folder : path, optional
        Out of core, in the Euclidean metric: an empty folder, or one to be made, for partitions that are built, saved
        and mapped one after another. ``points`` may then be a memory-mapped array larger than memory.
    partition_size : int, optional
        Points of a partition, with ``folder``; by default 4 000 000. Building needs about 100 bytes for each.

    Returns
    -------
    CoverTree, MetricTree, ResidualTree or MappedTree
        The second for a function, the third in the residual-correlation metric, the fourth with a ``folder``.

    Raises
    ------
    ValueError
        For NaN or infinity, a wrong shape, no points, an option out of range, or inputs that contradict each other. The
        message names the argument.
    TypeError
        For coordinates that are not real numbers.
    MemoryError
        If there is not enough memory. A Euclidean tree needs about two copies of the points and 50 bytes for each
        point, a residual tree 12 bytes for each point and inducing point.

    Examples
    --------
    >>> import numpy as np
    >>> tree = cover_tree(np.array([[0.0, 0.0], [3.0, 4.0], [0.0, 1.0]]))
    >>> tree.knn(2, return_distances=True)
    (array([[0, 2],
           [1, 2],
           [2, 0]]), array([[0.        , 1.        ],
           [0.        , 4.24264069],
           [0.        , 1.        ]]))
    """
    residual = kernel is not None or v_matrix is not None or p_diag is not None
    if points is None:
        raise TypeError("points: expected rows of coordinates, got None")
    of_metric: dict[str, Any] = {"metric_params": metric_params, "period": period}
    if not (metric is None or isinstance(metric, str)) and (callable(metric) or compiled(metric) is not None):
        others = {"kernel": kernel, "v_matrix": v_matrix, "p_diag": p_diag, "folder": folder, "engine": engine}
        _refuse({**of_metric, **others, "leaf_size": leaf_size}, "a metric of the library")
        return MetricTree(points, metric, order=order, seed=seed, dtype=dtype, n_threads=n_threads, progress=progress)
    _check_metric(metric, residual)
    if residual or folder is not None:
        _refuse(of_metric, "points in memory, without a kernel")
    common: dict[str, Any] = {"order": order, "seed": seed, "n_threads": n_threads, "progress": progress}
    if folder is not None:
        if residual:
            raise ValueError("folder: partitions on disk are for the Euclidean metric only")
        _arguments.choice("euclidean" if metric in {None, "auto", "l2"} else metric, "metric", ("euclidean",))
        rows = _arrays.rows(points, "points")
        return MappedTree.build(rows, folder, partition_size, dtype=dtype, leaf_size=leaf_size, **common)
    if partition_size is not None:
        raise ValueError("partition_size: expected only with a folder")
    common["engine"] = engine
    if not residual:
        of_kernels = {
            "kernel_diag": kernel_diag, "inducing_count": inducing_count, "inducing_points": inducing_points,
            "jitter": jitter, "cover_tree_metric": cover_tree_metric,
        }  # fmt: skip
        _refuse(of_kernels, "a kernel or v_matrix")
        name = "euclidean" if metric in {None, "auto"} else str(metric)
        return CoverTree(points, metric=name, leaf_size=leaf_size, dtype=dtype, **of_metric, **common)
    common["cover_tree_metric"] = cover_tree_metric
    # Both are of Euclidean trees, and without effect on others: but a wrong one is an error all the same.
    if dtype is not None:
        kept_dtype(dtype)
    if leaf_size is not None:
        checked_leaf_size(leaf_size)
    if v_matrix is None and p_diag is None:
        _refuse({"kernel_diag": kernel_diag}, "v_matrix and p_diag")
        with _arguments.renamed(n_inducing="inducing_count"):
            return ResidualTree(
                points, kernel=cast(KernelLike, kernel), n_inducing=inducing_count, inducing_points=inducing_points,
                jitter=jitter, **common,
            )  # fmt: skip
    if v_matrix is None or p_diag is None:
        raise ValueError("v_matrix, p_diag: expected both, or neither")
    if inducing_count is not None or inducing_points is not None:
        raise ValueError("v_matrix: cannot be combined with inducing_count and inducing_points")
    if kernel is None:
        warnings.warn("kernel: none was given with v_matrix; RBF(lengthscale=1, variance=1) is assumed", stacklevel=2)
        kernel = RBF()
    return ResidualTree.from_features(points, v_matrix, p_diag, kernel=kernel, kernel_diag=kernel_diag, **common)


def _refuse(options: dict[str, Any], needed: str) -> None:
    """Raise if one of some options is given, which have a meaning only with others."""
    for name, value in options.items():
        if value is not None:
            raise ValueError(f"{name}: expected only with {needed}, got {_arguments.described(value)}")


def residual_tree(
    points: ArrayLike,
    kernel: KernelLike,
    *,
    n_inducing: int | None = None,
    inducing_points: ArrayLike | str | None = None,
    jitter: float | None = None,
    cover_tree_metric: str | None = None,
    engine: str | None = None,
    seed: int | None = None,
    n_threads: int | None = None,
    progress: ProgressReport | None = None,
) -> ResidualTree:
    """Build a tree of points in the residual-correlation metric of a Gaussian process.

    :meth:`covertreex.ResidualTree.from_features` builds one of your own features.

    Parameters
    ----------
    points : array_like, shape (n, dim)
        Finite coordinates.
    kernel : Kernel or callable
        A covariance function of :mod:`covertreex.kernels`, or any ``kernel(X1, X2) -> K``, which is called for
        blocks of pairs, from several threads.
    n_inducing : int, optional
        Inducing points to choose, 0 to n; by default 512, or n if there are fewer points. With 0 the metric is
        the correlation of the kernel itself.
    inducing_points : {"random", "kmeans++", "cover-tree"} or array_like, shape (m, dim), optional
        How to choose them: a seeded sample (default), one spread like the data, or the nodes of the highest levels
        of a cover tree. Or the inducing points themselves.
    jitter : float, optional
        Added to the diagonal of k(U, U), relative to the variance, at most 0.01; by default 1e-6. If the matrix is
        not positive definite with it, ten times as much is tried, up to 0.01.
    cover_tree_metric : {"euclidean", "residual_correlation"}, optional
        The metric of the cover tree that ``export_arrays`` returns and ``validate`` checks. With "euclidean" (default)
        it is the cover tree of the scaled coordinates. It is built when a call needs it. Neighbours are the same.
    engine, n_threads, progress
        As in :func:`cover_tree`.
    seed : int, optional
        For the sample of inducing points; by default 42.

    Raises
    ------
    ValueError, TypeError, MemoryError
        As :func:`cover_tree`. A tree needs about 12 bytes for each point and inducing point.

    Examples
    --------
    >>> import numpy as np
    >>> from covertreex.kernels import Matern52
    >>> points = np.random.default_rng(0).random((300, 2))
    >>> tree = residual_tree(points, Matern52(lengthscale=0.3), n_inducing=20)
    >>> tree.knn(10, predecessor_mode=True).shape
    (300, 10)
    """
    _check_metric(None, True)
    return ResidualTree(
        points, kernel=kernel, n_inducing=n_inducing, inducing_points=inducing_points, jitter=jitter,
        cover_tree_metric=cover_tree_metric, engine=engine, seed=seed, n_threads=n_threads, progress=progress,
    )  # fmt: skip


def _check_metric(metric: Any, residual: bool) -> None:
    """Raise if the metric, of the call or of the active settings, does not fit the inputs."""
    source = "metric" if metric is not None else "metric of the active settings"
    metric = active_config().metric if metric is None else metric
    _arguments.choice(metric, "metric", (*METRICS, *(name for name in CHOICES if name not in METRICS)))
    if metric == "residual_correlation" and not residual:
        raise ValueError(f"{source}: 'residual_correlation' needs a kernel, or v_matrix and p_diag")
    if metric in CHOICES and residual:
        raise ValueError(f"{source}: {metric!r} cannot be combined with a kernel, v_matrix or p_diag")


def load(
    path: _files.PathLike,
    *,
    mmap: bool = True,
    verify: bool = False,
    points: ArrayLike | None = None,
    kernel: KernelLike | None = None,
    kernel_gradient: KernelGradient | None = None,
    metric: Callable[..., Any] | CompiledMetric | None = None,
    engine: str | None = None,
    progress: ProgressReport | None = None,
) -> Any:
    """Open a file that ``save`` wrote: a tree, conditioning sets, a Gaussian process, or a vector index.

    A tree of any size opens at once: its file is mapped, and read as searches need it. Any content of the file is safe
    to read. Sections are compared with their checksums before they are used.

    Parameters
    ----------
    path : path
        The file, or the folder of a tree out of core.
    mmap : bool
        Whether to map the file, so that processes share its pages, or to read it into memory. A mapped file may be
        replaced or deleted, but must not be made shorter or written to while it is in use. The files of a folder are
        always mapped.
    verify : bool
        Whether to compare everything with its checksum now, and not in the first search.
    points : array_like, shape (n, dim), optional
        The points that the tree must have been saved from. For a :class:`MetricTree` of other objects than rows and
        numbers they are required, because they are not in the file: a list with an object for each dataset index that
        was given.
    kernel : callable, optional
        The kernel of a residual tree or a Gaussian process that was saved with one that is not of
        :mod:`covertreex.kernels`.
    kernel_gradient : callable, optional
        Its derivatives, as in :class:`covertreex.vecchia.VIF`.
    metric : callable, optional
        The function of a :class:`MetricTree`, which is not in the file. It evaluates up to 32 distances, which are
        compared with those of the file; the tree is not built again.
    engine, progress
        As in :func:`cover_tree`.

    Returns
    -------
    CoverTree, MetricTree, ResidualTree, MappedTree, covertreex.vecchia.ConditioningSets, covertreex.vecchia.VIF or
    covertreex.indexes.VectorIndex

    Raises
    ------
    OSError
        If the file cannot be read.
    CoverTreeError
        For a file of another kind, that is truncated, damaged or of a later version, or was saved from other points.
    ValueError
        If a file needs a function or objects that are not given, or a metric is another one than that of the file.
    """
    if os.path.isdir(_arguments.path(path)):
        _refuse({"metric": metric}, "a tree of a metric of your own")
        tree = MappedTree(path)
        if verify:
            tree._verify(progress)
        return tree
    file = _files.File.open(path, mmap=mmap, verify=verify, progress=progress)
    if file.kind == _files.FUNCTION:
        _refuse({"engine": engine}, "a metric of the library")
        return MetricTree._of_function(file, metric, points, progress)
    _refuse({"metric": metric}, "a tree of a metric of your own")
    if file.kind in {_files.ARRAYS, _files.INDEX}:
        return VectorIndex._of_file(file) if file.kind == _files.INDEX else ConditioningSets._of_file(file, path)
    _files.check_points(file, points)
    if file.kind == _files.VIF:
        return VIF._of_file(file, kernel, kernel_gradient)
    if file.kind == _files.RESIDUAL:
        return ResidualTree._of_file(file, kernel, engine)
    return CoverTree._of_file(file, engine)

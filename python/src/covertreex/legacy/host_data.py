"""Residual-correlation data: V, p and a kernel of pairs, once for all trees."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial, partialmethod
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _arguments, _arrays
from ..kernels import BY_NAME, Stationary
from ..residual import ResidualTree, _inducing

_FLOAT64 = np.dtype(np.float64)
_LEAST_VARIANCE = 1e-9  # of a residual, in covertreex 0.4.x
_JITTER = 1e-6
_FEW = 32  # inducing points if their number is not positive

Indices = NDArray[np.int64]
Floats = NDArray[np.float64]
IndexKernel = Callable[[Indices, Indices], Any]
Decoder = Callable[[Any], Indices]


def decode_integers(values: Any) -> Indices:
    """Dataset indices of one dimension, or in a column."""
    array = np.asarray(values)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim > 1:
        raise ValueError(f"points: expected dataset indices of shape (q,) or (q, 1), got shape {array.shape}")
    return np.atleast_1d(array).astype(np.int64)


@dataclass(frozen=True)
class _Origin:
    """The source of the data."""

    coords: Floats
    kernel: Stationary
    inducing_points: Floats | None  #: None where V was given


@dataclass(frozen=True)
class ResidualCorrHostData:
    """Whitened features, residual variances, and a kernel of pairs of dataset indices.

    Parameters
    ----------
    v_matrix : numpy.ndarray, shape (n, m)
        ``L^-1 k(U, x_i)``; kept in float32, and as it came for searches.
    p_diag : numpy.ndarray, shape (n,)
        ``k(x_i, x_i) - |v_i|**2``.
    kernel_diag : numpy.ndarray, shape (n,)
        ``k(x_i, x_i)``.
    kernel_provider : callable
        ``kernel_provider(rows, columns) -> K`` for two arrays of dataset indices.
    point_decoder : callable
        ``point_decoder(points) -> indices``: the dataset indices of points; by default points are integers.
    chunk_size : int
        Columns for which the provider is asked at once by :func:`compute_residual_distances` and the like.
    v_matrix_f64, p_diag_f64, kernel_diag_f64 : optional
        The same arrays in float64. ``v_matrix_view(dtype)``, ``p_diag_view(dtype)`` and ``kernel_diag_view(dtype)``
        give them in float32 or float64.
    """

    v_matrix: NDArray[Any]
    p_diag: NDArray[Any]
    kernel_diag: NDArray[Any]
    kernel_provider: IndexKernel
    point_decoder: Decoder = decode_integers
    chunk_size: int = 512
    v_norm_sq: NDArray[Any] | None = None
    kernel_points_f32: NDArray[Any] | None = None
    kernel_row_norms_f32: NDArray[Any] | None = None
    v_matrix_f64: NDArray[Any] | None = None
    p_diag_f64: NDArray[Any] | None = None
    kernel_diag_f64: NDArray[Any] | None = None
    scope_caps: Any = None
    scope_cap_recorder: Any = None
    scope_cap_output_path: str | None = None
    origin: _Origin | None = field(default=None, repr=False, compare=False)
    _given: dict[str, NDArray[Any]] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        v = np.asarray(self.v_matrix)
        if v.ndim != 2:
            raise ValueError(f"v_matrix: expected two dimensions (n, m), got shape {v.shape}")
        for name in ("p_diag", "kernel_diag"):
            shape = np.shape(getattr(self, name))
            if shape != (len(v),):
                raise ValueError(f"{name}: expected shape ({len(v)},), got {shape}")
        for name in ("v_matrix", "p_diag", "kernel_diag"):
            array, exact = np.asarray(getattr(self, name)), getattr(self, f"{name}_f64")
            _arrays.check_real(array, array, name)
            if exact is not None and np.shape(exact) != array.shape:
                raise ValueError(f"{name}_f64: expected shape {array.shape}, got {np.shape(exact)}")
            self._given[name] = array if exact is None else _arrays.real(exact, f"{name}_f64")
            object.__setattr__(self, name, array.astype(np.float32))
        object.__setattr__(self, "v_norm_sq", (np.float64(self._given["v_matrix"]) ** 2).sum(axis=1).astype(np.float32))

    @property
    def num_points(self) -> int:
        """Points of the dataset."""
        return len(self.v_matrix)

    @property
    def rank(self) -> int:
        """Columns of V."""
        return int(self.v_matrix.shape[1])

    def _view(self, name: str, dtype: Any) -> NDArray[Any]:
        if np.dtype(dtype) == _FLOAT64:
            exact = getattr(self, f"{name}_f64")
            if exact is None:
                exact = np.asarray(self._given[name], np.float64)
                object.__setattr__(self, f"{name}_f64", exact)
            return exact  # type: ignore[no-any-return]
        if np.dtype(dtype) != np.float32:
            raise ValueError(f"dtype: expected float32 or float64, got {np.dtype(dtype)}")
        found: NDArray[np.float32] = getattr(self, name)
        return found

    v_matrix_view = partialmethod(_view, "v_matrix")
    p_diag_view = partialmethod(_view, "p_diag")
    kernel_diag_view = partialmethod(_view, "kernel_diag")

    def tree(self, **options: Any) -> ResidualTree:
        """The tree of the points: exact, in float64.

        Options are ``engine``, ``order``, ``n_threads``, ``progress``, ``cover_tree_metric`` and ``seed`` of
        :func:`covertreex.cover_tree`.
        """
        origin = self.origin
        if origin is not None and origin.inducing_points is not None:
            return ResidualTree(
                origin.coords, kernel=origin.kernel, inducing_points=origin.inducing_points, jitter=_JITTER, **options
            )
        # In the types of the caller: the library tolerates the rounding of float32 features.
        given: dict[str, Any] = {**self._given}
        if origin is not None:
            return ResidualTree.from_features(origin.coords, kernel=origin.kernel, **given, **options)
        # Coordinates are unknown: dataset indices replace them.
        coords = np.arange(self.num_points, dtype=np.float64)[:, None]
        options["engine"] = "native"  # Numba cannot call the provider back
        return ResidualTree.from_features(coords, kernel=partial(_of_indices, self.kernel_provider), **given, **options)


def _of_indices(provider: IndexKernel, a: Floats, b: Floats) -> Any:
    """A kernel of dataset indices for coordinates, which are these indices."""
    return provider(a[:, 0].astype(np.int64), b[:, 0].astype(np.int64))


def _of_points(coords: Floats, kernel: Stationary, rows: ArrayLike, columns: ArrayLike) -> Floats:
    """A kernel of coordinates for dataset indices."""
    return kernel(coords[np.asarray(rows)], coords[np.asarray(columns)])


class PointDecoder:
    """Dataset indices of points: of integers, of whole numbers in a column, or of coordinates that are in the dataset.

    Of equal points in the dataset, of shape (n, dim), the first one counts.
    """

    def __init__(self, coords: Floats) -> None:
        self._coords = coords
        self._indices: dict[bytes, int] | None = None

    def __call__(self, values: Any) -> Indices:
        """Find the indices; KeyError for a point that is not in the dataset."""
        array = np.atleast_1d(np.asarray(values))
        if array.dtype.kind in "iu":
            return self._within(array.reshape(-1).astype(np.int64))
        rows = _arrays.real(array[None] if array.ndim == 1 else array, "points")
        if rows.shape[1] == 1:
            whole = np.rint(rows[:, 0])
            if np.allclose(rows[:, 0], whole, atol=1e-8):
                return self._within(whole.astype(np.int64))
        if rows.shape[1] != self._coords.shape[1]:
            raise ValueError(f"points: expected {self._coords.shape[1]} columns, got {rows.shape[1]}")
        if self._indices is None:
            self._indices = {}
            for index, key in enumerate(map(bytes, self._coords + 0.0)):  # +0.0: -0 is 0
                self._indices.setdefault(key, index)
        found = [self._indices.get(bytes(row), -1) for row in rows + 0.0]
        if -1 in found:
            raise KeyError(f"points[{found.index(-1)}]: is not in the dataset")
        return np.array(found, np.int64)

    def _within(self, indices: Indices) -> Indices:
        for row in np.flatnonzero((indices < 0) | (indices >= len(self._coords)))[:1]:
            raise ValueError(f"points[{row}]: expected 0 to {len(self._coords) - 1}, got {indices[row]}")
        return indices


def kernel_of(kernel_type: int | str, variance: float, lengthscale: Any) -> Stationary:
    """The kernel of a name, or of a number of covertreex 0.4.x: 0 for RBF, 1 for Matern 5/2."""
    named = {0: "rbf", 1: "matern52"}.get(kernel_type, kernel_type) if type(kernel_type) is int else kernel_type
    text = named.lower() if isinstance(named, str) else named
    name = _arguments.choice(text, "kernel_type", tuple(BY_NAME))
    return BY_NAME[name](lengthscale=lengthscale, variance=variance)


def host_data_of(
    v_matrix: ArrayLike,
    p_diag: ArrayLike,
    coords: ArrayLike,
    kernel_diag: ArrayLike | None,
    kernel_type: int | str,
    variance: float,
    lengthscale: Any,
) -> ResidualCorrHostData:
    """Data of a caller's own V and p."""
    points = _arrays.points(coords, "coords", dtype=_FLOAT64)
    kernel = kernel_of(kernel_type, variance, lengthscale)
    v = _arrays.points(v_matrix, "v_matrix")
    diagonal = np.full(len(points), kernel.variance) if kernel_diag is None else np.asarray(kernel_diag)
    return ResidualCorrHostData(
        v_matrix=v, p_diag=np.asarray(p_diag), kernel_diag=diagonal,
        kernel_provider=partial(_of_points, points, kernel), point_decoder=PointDecoder(points),
        kernel_points_f32=points.astype(np.float32), origin=_Origin(points, kernel, None),
    )  # fmt: skip


def build_residual_backend(
    points: ArrayLike,
    *,
    seed: int,
    inducing_count: int,
    variance: float,
    lengthscale: Any,
    chunk_size: int = 512,
    rng: np.random.Generator | None = None,
    kernel_type: int | str = 0,
) -> ResidualCorrHostData:
    """Compute V and p of points, shape (n, dim).

    Parameters
    ----------
    seed, rng : int, numpy.random.Generator
        For the sample of inducing points: the same as in covertreex 0.4.x. The generator goes before the seed.
    inducing_count : int
        Inducing points; all points if there are fewer, and at most 32 if it is 0.
    variance, lengthscale, kernel_type
        The kernel: 0 for RBF, 1 for Matern 5/2, or a name.
    chunk_size : int
        As of :class:`ResidualCorrHostData`.
    """
    coords = np.ascontiguousarray(_arrays.points(points, "points", dtype=_FLOAT64))
    if not len(coords):
        raise ValueError("points: expected at least one")
    kernel = kernel_of(kernel_type, variance, lengthscale)
    count = min(inducing_count if inducing_count > 0 else _FEW, len(coords))
    chosen = coords[_inducing.sample(len(coords), count, seed if rng is None else rng)]
    tree = ResidualTree(coords, kernel=kernel, inducing_points=chosen, jitter=_JITTER, engine="native")
    v = tree.v_matrix
    p = np.maximum(tree.residual_variance, _LEAST_VARIANCE)
    diagonal = np.full(len(coords), kernel.variance)
    single = coords.astype(np.float32)
    return ResidualCorrHostData(
        v_matrix=v, p_diag=p, kernel_diag=diagonal, kernel_provider=partial(_of_points, coords, kernel),
        point_decoder=PointDecoder(coords), chunk_size=chunk_size, kernel_points_f32=single,
        kernel_row_norms_f32=(single**2).sum(axis=1), origin=_Origin(coords, kernel, chosen),
    )  # fmt: skip


_active: ResidualCorrHostData | None = None


def set_residual_backend(backend: ResidualCorrHostData | None) -> None:
    """Set the data that trees in the residual-correlation metric use by default."""
    global _active  # noqa: PLW0603
    _active = backend


def get_residual_backend() -> ResidualCorrHostData:
    """The data that was set last; RuntimeError if it is missing."""
    if _active is None:
        raise RuntimeError("residual backend: call configure_residual_correlation() first")
    return _active


def known_backend() -> ResidualCorrHostData | None:
    """The data that was set last, or None."""
    return _active

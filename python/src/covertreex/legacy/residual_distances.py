"""Residual-correlation distances of pairs of dataset indices, by their old names: NumPy in float64."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import partialmethod
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _arrays
from .host_data import Floats, Indices, ResidualCorrHostData

_LEAST = 1e-9


@dataclass
class ResidualDistanceTelemetry:
    """Counts of kernel values that were asked for."""

    kernel_pairs: int = 0
    kernel_seconds: float = 0.0
    kernel_calls: int = 0

    def record_kernel(self, rows: int, cols: int, seconds: float) -> None:
        """Add a block of kernel values."""
        self.kernel_calls += 1
        self.kernel_pairs += max(0, int(rows)) * max(0, int(cols))
        self.kernel_seconds += float(seconds)


@dataclass
class ResidualWorkspace:
    """Arrays that are used again, each at least as large as was asked for."""

    max_queries: int = 1
    max_chunk: int = 1
    gram: NDArray[np.float32] = field(init=False, repr=False)
    dist2: NDArray[np.float32] = field(init=False, repr=False)
    mask: NDArray[np.uint8] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._make(max(1, self.max_queries), max(1, self.max_chunk))

    def _make(self, rows: int, columns: int) -> None:
        self.max_queries, self.max_chunk = rows, columns
        self.gram, self.dist2 = np.empty((2, rows, columns), np.float32)
        self.mask = np.empty((rows, columns), np.uint8)

    def ensure_capacity(self, rows: int, cols: int) -> None:
        """Enlarge arrays that are too small."""
        if rows > self.max_queries or cols > self.max_chunk:
            self._make(max(rows, self.max_queries), max(cols, self.max_chunk))

    def _view(self, name: str, rows: int, cols: int) -> NDArray[Any]:
        self.ensure_capacity(rows, cols)
        array: NDArray[Any] = getattr(self, name)
        return array[:rows, :cols]

    # The first rows and columns of each array.
    gram_view = partialmethod(_view, "gram")
    dist2_view = partialmethod(_view, "dist2")
    mask_view = partialmethod(_view, "mask")


def decode_indices(host_backend: ResidualCorrHostData, payload: Any) -> Indices:
    """Dataset indices of points in any form; ValueError for a point that is not in the dataset."""
    try:
        found = host_backend.point_decoder(payload)
    except KeyError as error:
        raise ValueError(str(error.args[0])) from None
    return np.asarray(found, np.int64).reshape(-1)


def compute_residual_distances(
    backend: ResidualCorrHostData, lhs_indices: ArrayLike, rhs_indices: ArrayLike, *, chunk_size: int | None = None
) -> Floats:
    """Distances ``sqrt(1 - |rho|)`` between two lists of points, shape (l, r); ``chunk_size`` columns at once."""
    return compute_residual_distances_with_kernel(backend, lhs_indices, rhs_indices, chunk_size=chunk_size)[0]


def compute_residual_distances_with_kernel(
    backend: ResidualCorrHostData, lhs_indices: ArrayLike, rhs_indices: ArrayLike, *, chunk_size: int | None = None
) -> tuple[Floats, Floats]:
    """The same, and the kernel's values."""
    left, right = _checked(backend, lhs_indices), _checked(backend, rhs_indices)
    kernel = np.empty((len(left), len(right)))
    width = max(1, int(chunk_size or backend.chunk_size))
    for first in range(0, len(right) if len(left) else 0, width):
        some = slice(first, first + width)
        kernel[:, some] = _kernel(backend, left, right[some])
    return _distances(backend, left, right, kernel), kernel


def compute_residual_distances_from_kernel(
    backend: ResidualCorrHostData, lhs_indices: ArrayLike, rhs_indices: ArrayLike, kernel_block: ArrayLike
) -> Floats:
    """The same, of the kernel's values."""
    left, right = _checked(backend, lhs_indices), _checked(backend, rhs_indices)
    return _distances(backend, left, right, _block(kernel_block, left, right))


def compute_residual_distance_single(backend: ResidualCorrHostData, lhs_index: int, rhs_index: int) -> float:
    """The distance of two points."""
    return float(compute_residual_distances(backend, np.array([lhs_index]), np.array([rhs_index]))[0, 0])


def compute_residual_lower_bounds_from_kernel(
    backend: ResidualCorrHostData, lhs_indices: ArrayLike, rhs_indices: ArrayLike, kernel_block: ArrayLike
) -> Floats:
    """``sqrt(1 - r)``, with ``r`` the correlation of the kernel itself, shape (l, r)."""
    left, right = _checked(backend, lhs_indices), _checked(backend, rhs_indices)
    diagonal = backend.kernel_diag_view(np.float64)
    norms = np.sqrt(np.maximum(np.outer(diagonal[left], diagonal[right]), _LEAST**2))
    return np.sqrt(np.maximum(1 - np.clip(_block(kernel_block, left, right) / norms, -1, 1), 0))


def compute_residual_pairwise_matrix(
    host_backend: ResidualCorrHostData, batch_indices: ArrayLike, *, telemetry: ResidualDistanceTelemetry | None = None
) -> NDArray[np.float32]:
    """Distances between all points of a list, in float32."""
    indices = _checked(host_backend, batch_indices)
    found = np.empty((len(indices), len(indices)), np.float32)
    width = max(1, int(host_backend.chunk_size))
    for first in range(0, len(indices), width):
        rows = indices[first : first + width]
        kernel = _kernel(host_backend, rows, indices, telemetry)
        found[first : first + width] = _distances(host_backend, rows, indices, kernel)
    return found


def compute_residual_distances_with_radius(
    backend: ResidualCorrHostData,
    query_index: int,
    chunk_indices: ArrayLike,
    kernel_row: ArrayLike | None,
    radius: float,
    *,
    workspace: ResidualWorkspace | None = None,
    telemetry: ResidualDistanceTelemetry | None = None,
) -> tuple[Floats, NDArray[np.uint8]]:
    """Distances of one point from others, and 1 for those within a radius, both of shape (c,).

    The kernel's values are asked for where ``kernel_row`` is None, and counted by ``telemetry``. ``workspace`` has no
    effect.
    """
    left, right = _checked(backend, [query_index]), _checked(backend, chunk_indices)
    if kernel_row is None:
        kernel_row = _kernel(backend, left, right, telemetry)[0]
    distances = _distances(backend, left, right, _arrays.real(kernel_row, "kernel_row")[None])[0]
    return distances, (distances <= radius + _LEAST).astype(np.uint8)


def compute_residual_distances_block_no_gate(
    backend: ResidualCorrHostData,
    query_indices: ArrayLike,
    chunk_indices: ArrayLike,
    kernel_block: ArrayLike,
    radii: ArrayLike,
) -> tuple[Floats, NDArray[np.uint8]]:
    """Distances between two lists of points, and 1 for those within each one's radius, both of shape (q, c)."""
    limits = _arrays.real(radii, "radii")
    distances = compute_residual_distances_from_kernel(backend, query_indices, chunk_indices, kernel_block)
    if limits.shape != (len(distances),):
        raise ValueError(f"radii: expected shape ({len(distances)},), got {limits.shape}")
    return distances, (distances <= limits[:, None] + _LEAST).astype(np.uint8)


def _checked(backend: ResidualCorrHostData, indices: ArrayLike) -> Indices:
    array = np.asarray(indices).reshape(-1).astype(np.int64)
    for at in np.flatnonzero((array < 0) | (array >= backend.num_points))[:1]:
        raise IndexError(f"indices[{at}]: expected 0 to {backend.num_points - 1}, got {array[at]}")
    return array


def _kernel(
    backend: ResidualCorrHostData, left: Indices, right: Indices, counts: ResidualDistanceTelemetry | None = None
) -> Floats:
    start = time.perf_counter()
    block = _arrays.returned(backend.kernel_provider(left, right), "kernel_provider", (len(left), len(right)))
    if counts is not None:
        counts.record_kernel(len(left), len(right), time.perf_counter() - start)
    return block


def _block(kernel_block: ArrayLike, left: Indices, right: Indices) -> Floats:
    block = _arrays.real(kernel_block, "kernel_block")
    if block.shape != (len(left), len(right)):
        raise ValueError(f"kernel_block: expected shape {(len(left), len(right))}, got {block.shape}")
    return block


def _distances(backend: ResidualCorrHostData, left: Indices, right: Indices, kernel: Floats) -> Floats:
    v, p = backend.v_matrix_view(np.float64), backend.p_diag_view(np.float64)
    norms = np.sqrt(np.maximum(np.outer(p[left], p[right]), _LEAST**2))
    rho = np.minimum(np.abs(kernel - v[left] @ v[right].T) / norms, 1)
    distances: Floats = np.sqrt(1 - rho)
    distances[left[:, None] == right[None, :]] = 0.0
    return distances

"""Functions of ``covertree_partitions.h``, which may change in any version."""

from __future__ import annotations

from ctypes import byref, c_double, c_int64
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .calls import How, Nearest, Unpack, Wanted, call, made, nearest
from .library import lib
from .memory import Float64s, Handle, Int64s, Owner, address, matrix
from .residuals import GivenFeatures, features_of
from .structs import Outline, OutlineWanted, SearchOptions

#: Coordinates of a point in an outline of points.
OUTLINE_COLUMNS = 64


def hilbert_keys(points: Float64s, low: Float64s, high: Float64s, **how: Unpack[How]) -> NDArray[np.uint64]:
    """The positions of points along the Hilbert curve through a box."""
    keys = np.empty(len(points), np.uint64)
    call(lib.covertree_hilbert_keys, how, (matrix(points), address(low), address(high)), address(keys))
    return keys


def residual_with_points(model: Handle, points: Float64s, **how: Unpack[How]) -> Owner:
    """A model of other points in the same process."""
    return made(lib.covertree_residual_with_points, lib.covertree_residual_free, how, model, matrix(points))


def residual_outlines(model: Handle, tau: float, *, n_threads: int) -> list[tuple[Owner, float]]:
    """Pivots of a model, in groups, each with its error; none if the process has too many degrees of freedom."""
    how: How = {"n_threads": n_threads}
    count = c_int64()
    call(lib.covertree_residual_outline, {**how, "brief": True}, (model, 0, tau), byref(count), None, None)
    found = []
    for group in range(count.value):
        owner, error = Owner(lib.covertree_residual_free), c_double()
        results = byref(count), byref(owner.handle), byref(error)
        call(lib.covertree_residual_outline, how, (model, group, tau), *results)
        found.append((owner, error.value))
    return found


def residual_projections(pivots: Handle, points: Float64s, features: GivenFeatures, **how: Unpack[How]) -> Float64s:
    """Lengths of the projections of queries onto the span of a model's points."""
    lengths, given = np.empty(len(points)), features_of(features)
    call(lib.covertree_residual_projections, how, (pivots, matrix(points), given), address(lengths))
    return lengths


def residual_bounds(model: Handle, rows: Int64s, pivots: Handle, error: float, **how: Unpack[How]) -> Float64s:
    """Bounds on |rho| of points of a model with any outlined point."""
    bounds = np.empty(len(rows))
    call(lib.covertree_residual_bounds, how, (model, address(rows), len(rows), pivots, error), address(bounds))
    return bounds


class PointOutline(NamedTuple):
    """All points of a model, outlined one by one."""

    pivots: Handle
    ranks: Int64s  #: (blocks,)
    coordinates: NDArray[np.float32]  #: (n, OUTLINE_COLUMNS)
    errors: NDArray[np.float32]  #: (n,)
    indices: Int64s  #: (n,)

    def given(self) -> Outline:
        """The same as the library reads it; the arrays have to outlive this."""
        ranks, indices = address(self.ranks), address(self.indices)
        return Outline(self.pivots, len(self.indices), ranks, address(self.coordinates), address(self.errors), indices)


class OutlineRows(NamedTuple):
    """What queries need of bounds."""

    before: Int64s | None  #: (q,) only points of lower indices count
    least: Float64s  #: (q,) the smallest |rho| of use: a bound below it may be any number below it


def residual_outline_points(
    model: Handle, tau: float, n_points: int, n_blocks: int, **how: Unpack[How]
) -> tuple[Owner, Int64s, NDArray[np.float32], NDArray[np.float32]]:
    """The pivots of a model's blocks, and the ranks, coordinates and errors of an outline of its points."""
    ranks, errors = np.empty(n_blocks, np.int64), np.empty(n_points, np.float32)
    coordinates, owner = np.empty((n_points, OUTLINE_COLUMNS), np.float32), Owner(lib.covertree_residual_free)
    results = address(ranks), address(coordinates), address(errors), byref(owner.handle)
    call(lib.covertree_residual_outline_points, how, (model, tau), *results)
    return owner, ranks, coordinates, errors


def outline_bounds(own: PointOutline, other: PointOutline, rows: OutlineRows, **how: Unpack[How]) -> Float64s:
    """Bounds on |rho| of the points of an outline with any point of another one."""
    bounds, wanted = np.empty(len(own.indices)), OutlineWanted(address(rows.before), address(rows.least))
    given = byref(own.given()), byref(other.given()), byref(wanted)
    call(lib.covertree_outline_bounds, how, given, address(bounds))
    return bounds


def outline_bounds_given(
    outline: PointOutline, points: Float64s, features: GivenFeatures, rows: OutlineRows, **how: Unpack[How]
) -> Float64s:
    """Bounds on |rho| of queries with any point of an outline."""
    bounds, wanted = np.empty(len(points)), OutlineWanted(address(rows.before), address(rows.least))
    given = byref(outline.given()), matrix(points), features_of(features), byref(wanted)
    call(lib.covertree_outline_bounds_given, how, given, address(bounds))
    return bounds


def residual_knn_given(
    model: Handle, points: Float64s, features: GivenFeatures, k: int, options: SearchOptions, **wanted: Unpack[Wanted]
) -> Nearest:
    """Find the ``k`` nearest points of new ones whose features are known."""
    asked = model, matrix(points), features_of(features)
    return nearest(lib.covertree_residual_knn_given, wanted, asked, k, options)

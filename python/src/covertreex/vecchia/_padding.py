"""Conditioning sets as padded arrays: checks of those from elsewhere, and conversions."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _arrays

# R's integers have 32 bits; the least one is NA.
R_NA = -(2**31)
R_LARGEST = 2**31 - 1
# Floating-point numbers up to this are whole without rounding.
_EXACT = 2**53


def packed(sets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Sets with the ranks first and the -1s after them."""
    if not ((sets[:, :-1] < 0) & (sets[:, 1:] >= 0)).any():
        return sets
    return np.take_along_axis(sets, np.argsort(sets < 0, axis=1, kind="stable"), axis=1)


def csr(sets: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """Offsets, shape (n + 1,), and ranks one after the other, without unused positions."""
    used = sets >= 0
    return np.concatenate([[0], np.cumsum(used.sum(axis=1))]).astype(np.int64), sets[used]


def checked_sets(neighbors: ArrayLike) -> NDArray[np.int64]:
    """An argument ``neighbors`` of ranks below those of their rows, packed."""
    array = _arrays.array_of(neighbors, "neighbors")
    _arrays.check_real(array, neighbors, "neighbors", "iu", "ranks")
    if array.ndim != 2:
        raise ValueError(f"neighbors: expected shape (n, k), got {array.shape}")
    for rank, slot in np.argwhere((array < -1) | (array >= np.arange(len(array))[:, None]))[:1]:
        raise ValueError(f"neighbors[{rank}, {slot}]: expected -1 or a rank below {rank}, got {array[rank, slot]}")
    return packed(array.astype(np.int64))


def checked_nnarray(nnarray: ArrayLike) -> NDArray[np.int64]:
    """An argument ``nnarray`` as ranks, -1 for those that are missing, without the column of the points themselves."""
    array = _arrays.array_of(nnarray, "nnarray")
    _arrays.check_real(array, nnarray, "nnarray", "iuf", "row numbers")
    if array.ndim != 2 or not array.shape[1]:
        raise ValueError(f"nnarray: expected shape (n, k + 1), got {array.shape}")
    numbers = array.astype(np.float64)
    points, others = np.arange(1.0, len(array) + 1), numbers[:, 1:]
    for row in np.flatnonzero(numbers[:, 0] != points)[:1]:
        raise ValueError(f"nnarray[{row}, 0]: expected {row + 1}, the point itself, got {array[row, 0]}")
    missing = np.isnan(others) if array.dtype.kind == "f" else others == R_NA
    good = (others >= 1) & (others < points[:, None]) & (others == np.floor(others))
    for row, slot in np.argwhere(~missing & ~good)[:1]:
        expected = f"NaN or an integer from 1 to {row}" if row else "NaN"
        raise ValueError(f"nnarray[{row}, {slot + 1}]: expected {expected}, got {array[row, slot + 1]}")
    return np.where(missing, 0, others).astype(np.int64) - 1


def whole_numbers(values: Any, name: str) -> NDArray[np.int64]:
    """Integers, which may have become floats on their way from R, in one dimension; a number makes one, too."""
    array = _arrays.array_of(values, name)
    if array.ndim == 0:
        array = array.reshape(1)
    if array.dtype.kind == "f" and array.ndim == 1:
        for position in np.flatnonzero(~((array == np.floor(array)) & (np.abs(array) <= _EXACT)))[:1]:
            raise ValueError(f"{name}[{position}]: expected an integer, got {array[position]}")
        array = array.astype(np.int64)
    return _arrays.copied_indices(array, name)


def of_csr(
    starts: NDArray[np.int64], sizes: NDArray[np.int64], members: NDArray[np.int64], name: str
) -> NDArray[np.int64]:
    """Sets of given sizes, which start at given positions among the members; these are checked by their name."""
    n, total = len(sizes), int(sizes.sum())
    rank = np.repeat(np.arange(n), sizes)
    slot = np.arange(total) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    position = np.repeat(starts, sizes) + slot
    found = members[position]
    for wrong in np.flatnonzero((found < 0) | (found >= rank))[:1]:
        raise ValueError(f"{name}[{position[wrong]}]: expected a rank below {rank[wrong]}, got {found[wrong]}")
    sets = np.full((n, int(sizes.max(initial=0))), -1, np.int64)
    sets[rank, slot] = found
    return sets

"""Pairs of points: ``covertree_tree_pairs``, ``covertree_tree_spanning_tree`` and their results."""

from __future__ import annotations

from ctypes import byref
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .calls import How, Unpack, Way, call
from .library import Function, lib, read
from .memory import DTYPES, Float64s, Handle, Int64s, Owner, address, view
from .structs import PairCountOptions, PairsView

#: Indices of shape (n, 2), and their distances, or None.
Pairs = tuple[Int64s, Any]


def within(tree: Handle, other: Handle | None, r: float, *, distances: bool, **how: Unpack[How]) -> Pairs:
    """Find all pairs of points within a radius."""
    return _pairs(lib.covertree_tree_pairs, how, tree, other, r, distances, distances=distances)


def counts(
    tree: Handle,
    other: Handle | None,
    radii: Float64s,  # ascending
    weights: Float64s | None,
    other_weights: Float64s | None,
    *,
    n_threads: int,
    **way: Unpack[Way],
) -> NDArray[Any]:
    """Count pairs of points, or sum their weights, beyond one radius and within the next."""
    is_plain = weights is None and other_weights is None
    found = np.empty(len(radii), np.int64 if is_plain else np.float64)
    options = PairCountOptions(
        n_threads=n_threads,
        weights=address(weights),
        n_weights=0 if weights is None else len(weights),
        other_weights=address(other_weights),
        n_other_weights=0 if other_weights is None else len(other_weights),
    )
    asked = tree, other, address(radii), len(radii)
    call(lib.covertree_tree_pair_counts, way, asked, address(found), options=options)
    return found


def spanning_tree(tree: Handle, mutual_k: int, **how: Unpack[How]) -> Pairs:
    """Find the minimum spanning tree, by mutual reachability unless ``mutual_k`` is 0."""
    return _pairs(lib.covertree_tree_spanning_tree, how, tree, mutual_k)


def _pairs(function: Function, how: How, *asked: Any, distances: bool = True) -> Pairs:
    owner = Owner(lib.covertree_pairs_free)
    call(function, how, asked, byref(owner.handle), radius="r")
    found = read(lib.covertree_pairs_get, owner.handle, PairsView)
    indices = view(owner, found.indices, (found.n_pairs, 2), np.int64)
    if not distances:
        return indices, None
    return indices, view(owner, found.distances, (found.n_pairs,), DTYPES[found.dtype])

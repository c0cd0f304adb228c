"""Trees of points: ``covertree_tree_*`` and the arrays that they export."""

from __future__ import annotations

import os
from ctypes import byref, c_int64
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import files
from .calls import Lists, Nearest, call, call_options, lists, made, nearest
from .files import Arrays
from .library import check, lib, read
from .memory import DTYPES, Handle, Owner, Rows, address, count, matrix, view
from .running import ProgressReport
from .structs import ArraysView, SearchOptions, TreeInfo, TreeOptions


def options_of(*, order: int, seed: int, n_threads: int, leaf_size: int = 0) -> TreeOptions:
    """Options of a build."""
    options = TreeOptions()
    options.n_threads, options.order, options.leaf_size, options.seed = n_threads, order, leaf_size, seed
    return options


def build(
    points: NDArray[Any], options: TreeOptions, *, progress: ProgressReport | None = None, brief: bool = False
) -> Owner:
    """Build a tree."""
    return made(lib.covertree_tree_build, lib.covertree_tree_free, (matrix(points),), options, progress, brief=brief)


def insert(
    tree: Handle, points: NDArray[Any], *, n_threads: int, progress: ProgressReport | None = None, brief: bool = False
) -> int:
    """Add points, and return the index of the first one."""
    options, first = call_options(n_threads), c_int64()
    arguments = (tree, matrix(points), byref(options), byref(first))
    call(lib.covertree_tree_insert, arguments, options, progress, brief=brief)
    return first.value


def remove(
    tree: Handle,
    indices: NDArray[np.int64],
    *,
    n_threads: int,
    progress: ProgressReport | None = None,
    brief: bool = False,
) -> None:
    """Remove points."""
    options = call_options(n_threads)
    arguments = (tree, address(indices), len(indices), byref(options))
    call(lib.covertree_tree_remove, arguments, options, progress, brief=brief)


def validate(tree: Handle, *, n_threads: int, progress: ProgressReport | None = None) -> None:
    """Check every rule."""
    options = call_options(n_threads)
    call(lib.covertree_tree_validate, (tree, byref(options)), options, progress)


# Searches


def knn(
    tree: Handle,
    queries: Rows,
    k: int,
    options: SearchOptions,
    *,
    dtype: np.dtype[Any] | None,
    scores: bool = False,
    progress: ProgressReport | None = None,
    brief: bool = False,
) -> Nearest:
    """Find the ``k`` nearest points of each query; ``dtype`` is that of distances, None for no distances."""
    return nearest(
        lib.covertree_tree_knn, (tree, matrix(queries)), count(queries), k, options, dtype=dtype, scores=scores,
        progress=progress, brief=brief,
    )  # fmt: skip


def radius(
    tree: Handle,
    queries: Rows,
    r: float,
    options: SearchOptions,
    *,
    progress: ProgressReport | None = None,
    brief: bool = False,
) -> Lists:
    """Find all points within a radius of each query."""
    return lists(lib.covertree_tree_radius, (tree, matrix(queries), r), options, progress, brief=brief)


def radius_count(
    tree: Handle,
    queries: Rows,
    r: float,
    options: SearchOptions,
    *,
    progress: ProgressReport | None = None,
    brief: bool = False,
) -> NDArray[np.int64]:
    """Count them."""
    counts = np.empty(count(queries), np.int64)
    arguments = (tree, matrix(queries), r, byref(options), address(counts))
    call(lib.covertree_tree_radius_count, arguments, options, progress, brief=brief, radius="r")
    return counts


# Properties


def get_info(tree: Handle) -> TreeInfo:
    """A tree in numbers."""
    return read(lib.covertree_tree_get_info, tree, TreeInfo)


def indices(tree: Handle, n_points: int, *, in_leaf_order: bool = False) -> NDArray[np.int64]:
    """Indices of the points: ascending, or so that points that follow each other are near each other."""
    found = np.empty(n_points, np.int64)
    check(lib.covertree_tree_indices(tree, in_leaf_order, n_points, address(found)))
    return found


def points(tree: Handle, rows: NDArray[np.int64], dim: int, dtype: np.dtype[Any], *, n_threads: int) -> NDArray[Any]:
    """Coordinates of points by their indices."""
    found, options = np.empty((len(rows), dim), dtype), call_options(n_threads)
    check(lib.covertree_tree_points(tree, address(rows), len(rows), byref(options), address(found)))
    return found


# Arrays


def export(tree: Handle, *, n_threads: int, progress: ProgressReport | None = None) -> Owner:
    """Export the cover tree."""
    return made(lib.covertree_tree_export, lib.covertree_arrays_free, (tree,), call_options(n_threads), progress)


def arrays_get(owner: Owner) -> dict[str, Any]:
    """Show the arrays of a cover tree by the names of covertree_arrays_view; ``removed`` is None if no point is."""
    shown = _shown(owner)
    n, dtype = shown.n_nodes, DTYPES[shown.dtype]
    shapes: dict[str, tuple[tuple[int, ...], Any]] = {
        "points": ((n, shown.dim), dtype),
        "order": ((n,), np.int32),
        "levels": ((n,), np.int32),
        "parents": ((n,), np.int32),
        "children_offsets": ((n + 1,), np.int32),
        "children": ((n - 1,), np.int32),
        "radius": ((n,), dtype),
        "subtree_end": ((n,), np.int32),
        "subtree_min": ((n,), np.int32),
        "subtree_max": ((n,), np.int32),
        "removed": ((n,), np.uint8),
    }
    arrays: dict[str, Any] = {name: view(owner, getattr(shown, name), *shape) for name, shape in shapes.items()}
    if shown.removed is None:
        arrays["removed"] = None
    return arrays


def arrays_are_current(owner: Owner) -> bool:
    """Whether exported arrays are still those of their tree."""
    return bool(_shown(owner).is_current)


def _shown(owner: Owner) -> ArraysView:
    return read(lib.covertree_arrays_get, owner.handle, ArraysView)


# Files


def save(tree: Handle, path: str, sections: Arrays, *, n_threads: int, progress: ProgressReport | None = None) -> None:
    """Write a tree to a file, in one step, with sections of the caller."""
    files.save(lib.covertree_tree_save, (tree, os.fsencode(path)), sections, n_threads, progress)


def encode(tree: Handle, sections: Arrays, *, n_threads: int) -> Owner:
    """The file in memory."""
    return files.encode(lib.covertree_tree_encode, tree, sections, n_threads)


def load(file: Owner) -> Owner:
    """The tree in a file."""
    owner = Owner(lib.covertree_tree_free)
    check(lib.covertree_tree_load(file.handle, byref(owner.handle)))
    return owner

"""Trees of points: ``covertree_tree_*`` and the arrays that they export."""

from __future__ import annotations

from collections.abc import Mapping
from ctypes import byref, c_int64
from typing import Any, Union

import numpy as np
from numpy.typing import NDArray

from . import files
from .calls import RADIUS_NAMES, How, Lists, Nearest, Unpack, Wanted, Way, call, call_options, lists, made, nearest
from .library import check, lib, read
from .memory import DTYPES, Float64s, Handle, Int64s, Owner, Rows, address, matrix, view
from .structs import DISTANCE, ArraysView, Matrix, SearchOptions, TreeInfo, TreeOptions

#: Points of a tree: rows of coordinates, or numbers of objects as the library reads them.
Points = Union[NDArray[Any], Matrix]


def options_of(*, order: int, seed: int, n_threads: int, leaf_size: int = 0) -> TreeOptions:
    """Options of a build."""
    return TreeOptions(order=order, seed=seed, n_threads=n_threads, leaf_size=leaf_size)


def set_metric(options: TreeOptions, arrays: Mapping[str, Float64s | None], **numbers: float) -> None:
    """Choose a metric, by the names of the struct. The arrays have to outlive the use of the options."""
    for name, number in numbers.items():
        setattr(options, name, number)
    for name, array in arrays.items():
        setattr(options, name, address(array))


#: A metric of the caller, by its number in the library.
FUNCTION = 8


def set_function(options: TreeOptions, address: int) -> None:
    """Make a compiled function the metric of a build."""
    options.distance_fn = DISTANCE(address)


def _read(points: Points | int) -> Matrix:
    return points if isinstance(points, Matrix) else matrix(points)


def build(points: Points, options: TreeOptions, **way: Unpack[Way]) -> Owner:
    """Build a tree."""
    return made(lib.covertree_tree_build, lib.covertree_tree_free, way, _read(points), options=options)


def insert(tree: Handle, points: Points, **how: Unpack[How]) -> int:
    """Add points, and return the index of the first one."""
    first = c_int64()
    call(lib.covertree_tree_insert, how, (tree, _read(points)), byref(first))
    return first.value


def remove(tree: Handle, indices: Int64s, **how: Unpack[How]) -> None:
    """Remove points."""
    call(lib.covertree_tree_remove, how, (tree, address(indices), len(indices)))


def validate(tree: Handle, **how: Unpack[How]) -> None:
    """Check every rule."""
    call(lib.covertree_tree_validate, how, (tree,))


def knn(tree: Handle, queries: Rows | Matrix, k: int, options: SearchOptions, **wanted: Unpack[Wanted]) -> Nearest:
    """Find the ``k`` nearest points of each query."""
    return nearest(lib.covertree_tree_knn, wanted, (tree, _read(queries)), k, options)


def radius(tree: Handle, queries: Rows | Matrix, r: float, options: SearchOptions, **way: Unpack[Way]) -> Lists:
    """Find all points within a radius of each query."""
    return lists(lib.covertree_tree_radius, way, tree, _read(queries), r, options=options)


def radius_count(tree: Handle, queries: Rows | Matrix, r: float, options: SearchOptions, **way: Unpack[Way]) -> Int64s:
    """Count them."""
    given = tree, _read(queries), r
    counts = np.empty(given[1].rows, np.int64)
    call(lib.covertree_tree_radius_count, way, given, address(counts), options=options, **RADIUS_NAMES)
    return counts


def get_info(tree: Handle) -> TreeInfo:
    """A tree in numbers."""
    return read(lib.covertree_tree_get_info, tree, TreeInfo)


def indices(tree: Handle, n_points: int, *, in_leaf_order: bool = False) -> Int64s:
    """Indices of the points: ascending, or so that points that follow each other are near each other."""
    found = np.empty(n_points, np.int64)
    check(lib.covertree_tree_indices(tree, in_leaf_order, n_points, address(found)))
    return found


def points(tree: Handle, rows: Int64s, dim: int, dtype: np.dtype[Any], *, n_threads: int) -> NDArray[Any]:
    """Coordinates of points by their indices."""
    found, options = np.empty((len(rows), dim), dtype), call_options(n_threads)
    check(lib.covertree_tree_points(tree, address(rows), len(rows), options, address(found)))
    return found


def export(tree: Handle, **how: Unpack[How]) -> Owner:
    """Export the cover tree."""
    return made(lib.covertree_tree_export, lib.covertree_arrays_free, how, tree)


def arrays_get(owner: Owner) -> dict[str, Any]:
    """Show the arrays of a cover tree by the names of covertree_arrays_view; ``removed`` is None if no point is."""
    shown = read(lib.covertree_arrays_get, owner.handle, ArraysView)
    n, dtype = shown.n_nodes, DTYPES[shown.dtype]
    shapes: dict[str, tuple[tuple[int, ...], Any]] = {
        **dict.fromkeys(("order", "levels", "parents", "subtree_end", "subtree_min", "subtree_max"), ((n,), np.int32)),
        "points": ((n, shown.dim), dtype), "radius": ((n,), dtype), "removed": ((n,), np.uint8),
        "children_offsets": ((n + 1,), np.int32), "children": ((n - 1,), np.int32),
    }  # fmt: skip
    arrays: dict[str, Any] = {name: view(owner, getattr(shown, name), *shape) for name, shape in shapes.items()}
    if shown.removed is None:
        arrays["removed"] = None
    return arrays


def arrays_are_current(owner: Owner) -> bool:
    """True if exported arrays are the current arrays of their tree."""
    return bool(read(lib.covertree_arrays_get, owner.handle, ArraysView).is_current)


#: Write a tree to a file, and the same in memory.
_writer = files.Writer("tree")
save, encode = _writer.save, _writer.encode


def load(file: Owner) -> Owner:
    """The tree in a file."""
    owner = Owner(lib.covertree_tree_free)
    check(lib.covertree_tree_load(file.handle, byref(owner.handle)))
    return owner


def load_function(file: Owner, options: TreeOptions, **way: Unpack[Way]) -> Owner:
    """The tree of a distance function, which the options have, in a file."""
    return made(lib.covertree_tree_load_function, lib.covertree_tree_free, way, file.handle, options=options)

"""A tree as covertreex 0.4.x showed it: arrays by dataset index, first child and next sibling."""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass, field
from typing import Any, Union

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..residual import ResidualTree
from ..tree import CoverTree
from .backend import TreeBackend
from .context import runtime_context
from .host_data import Decoder, Indices, PointDecoder

Searcher = Union[CoverTree, ResidualTree]

ARRAYS = ("points", "top_levels", "parents", "children", "level_offsets", "si_cache", "next_cache")
_DUPLICATE = np.iinfo(np.int32).min


def array_dtype(name: str, backend: TreeBackend) -> Any:
    """The type of an array of trees, by its name."""
    return backend.default_float if name in ("points", "si_cache") else backend.default_int


def get_runtime_backend() -> TreeBackend:
    """The backend of the active settings."""
    return runtime_context().get_backend()


def compute_level_offsets(backend: TreeBackend, top_levels: ArrayLike) -> NDArray[Any]:
    """Count the nodes of the highest levels, out of the level of each node.

    Item ``i`` of the result, of shape (levels + 1,), is the number of nodes on the ``i`` highest levels. Levels go from
    the highest one that a node has down to 0, or to the lowest one that a node has if that is below 0. Duplicates, with
    the lowest level of int32, are not counted.
    """
    offsets = level_offsets(np.asarray(top_levels, np.int64))
    return np.asarray(backend.asarray(offsets, dtype=backend.default_int))


def level_offsets(levels: NDArray[Any]) -> Indices:
    """The same in int64."""
    counted = levels[levels != _DUPLICATE]
    if not len(counted):
        return np.zeros(1, np.int64)
    lowest = min(0, int(counted.min()))
    return np.concatenate([[0], np.cumsum(np.bincount(counted - lowest)[::-1])])


@dataclass(frozen=True)
class TreeLogStats:
    """Counts of the changes that made a tree."""

    num_batches: int = 0
    num_insertions: int = 0
    num_deletions: int = 0
    num_conflicts_resolved: int = 0

    def as_dict(self) -> dict[str, int]:
        """The same as a dictionary."""
        return dataclasses.asdict(self)

    def after(self, *, inserted: int = 0, deleted: int = 0) -> TreeLogStats:
        """The same after one more batch."""
        insertions, deletions = self.num_insertions + inserted, self.num_deletions + deleted
        return TreeLogStats(self.num_batches + 1, insertions, deletions, self.num_conflicts_resolved)


@dataclass(frozen=True)
class Recipe:
    """How the tree of some points is made again, of fewer or more: the options of ``fit``."""

    options: dict[str, Any] = field(default_factory=dict)
    is_lite: bool = False  #: points are rows of correlation: centred, and of length 1
    decoder: Decoder | None = None  #: of points, if the residual data has one


class PCCTree:
    """A tree that does not change, by the names of covertreex 0.4.x.

    Node ``i`` is the point with dataset index ``i``. Arrays are made on first access; for residual correlation they
    describe the cover tree of the scaled coordinates.

    Parameters
    ----------
    points : array_like, shape (n, dim)
        Coordinates.
    top_levels : array_like, shape (n,)
        The level of each node; its cover radius is ``2**level``. A duplicate has the lowest level of int32.
    parents : array_like, shape (n,)
        -1 for the root.
    children, next_cache : array_like, shape (n,)
        The first child of each node, and its next sibling; -1 for a missing node.
    level_offsets : array_like, shape (levels + 1,)
        How many nodes the highest levels have together; see :func:`compute_level_offsets`.
    si_cache : array_like, shape (n,)
        Radii of the subtrees.
    stats : TreeLogStats
        The changes that made it.
    backend : TreeBackend, optional
        Types of arrays; by default from the active settings.
    """

    def __init__(
        self,
        points: Any,
        top_levels: Any,
        parents: Any,
        children: Any,
        level_offsets: Any,
        si_cache: Any,
        next_cache: Any,
        min_scale: int | None = None,
        max_scale: int | None = None,
        stats: TreeLogStats | None = None,
        backend: TreeBackend | None = None,
    ) -> None:
        given = (points, top_levels, parents, children, level_offsets, si_cache, next_cache)
        arrays = {name: np.asarray(array) for name, array in zip(ARRAYS, given)}
        n = len(arrays["points"])
        for name in ARRAYS:
            if name != "level_offsets" and len(arrays[name]) != n:
                raise ValueError(f"{name}: expected {n} of them, one for each node, got {len(arrays[name])}")
        self._arrays: dict[str, NDArray[Any]] | None = arrays
        self._native: Searcher | None = None
        self.min_scale, self.max_scale, self.recipe = min_scale, max_scale, Recipe()
        self.stats = TreeLogStats() if stats is None else stats
        self.backend = get_runtime_backend() if backend is None else backend

    @classmethod
    def of(
        cls,
        native: Searcher,
        stats: TreeLogStats | None = None,
        backend: TreeBackend | None = None,
        recipe: Recipe | None = None,
    ) -> PCCTree:
        """One that shows a tree of this package."""
        made = cls.__new__(cls)
        made._arrays, made._native, made.min_scale, made.max_scale = None, native, None, None
        made.recipe = Recipe() if recipe is None else recipe
        made.stats = TreeLogStats().after(inserted=len(native)) if stats is None else stats
        made.backend = get_runtime_backend() if backend is None else backend
        return made

    @classmethod
    def empty(cls, *, dimension: int, backend: TreeBackend | None = None) -> PCCTree:
        """One without points."""
        nothing = np.empty(0, np.int32)
        points = np.empty((0, dimension))
        return cls(points, nothing, nothing, nothing, np.zeros(1, np.int64), np.empty(0), nothing, backend=backend)

    @property
    def native(self) -> Searcher:
        """The tree of this package that searches; ValueError without points."""
        if self._native is None:
            if self.is_empty():
                raise ValueError("tree: has no points")
            self._native = CoverTree(self.points)
        return self._native

    def __getattr__(self, name: str) -> Any:
        if name not in ARRAYS or "_arrays" not in vars(self):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        if self._arrays is None:
            self._arrays = by_dataset_index(self.native)
        return self._arrays[name]

    @property
    def num_points(self) -> int:
        """The number of points."""
        return len(self._native) if self._native is not None else len(self.points)

    @property
    def num_levels(self) -> int:
        """The number of levels in ``level_offsets``, plus one."""
        return len(self.level_offsets)

    @property
    def dimension(self) -> int:
        """Coordinates of a point."""
        return self._native.dim if self._native is not None else int(self.points.shape[1])

    def is_empty(self) -> bool:
        """Whether there are no points."""
        return self.num_points == 0

    def __len__(self) -> int:
        return self.num_points

    def materialise(self) -> dict[str, Any]:
        """All arrays, scales, statistics, and the backend."""
        arrays_and_scales = {name: getattr(self, name) for name in (*ARRAYS, "min_scale", "max_scale")}
        return {**arrays_and_scales, "stats": self.stats.as_dict(), "backend": self.backend.name}

    def replace(self, **changes: Any) -> PCCTree:
        """The same but for some arrays, or for ``stats`` and ``backend``."""
        if self._native is not None and changes.keys() <= {"stats", "backend"}:
            new = {"stats": self.stats, "backend": self.backend, **changes}
            return PCCTree.of(self._native, recipe=self.recipe, **new)
        names = (*ARRAYS, "min_scale", "max_scale", "stats", "backend")
        return PCCTree(**{**{name: getattr(self, name) for name in names}, **changes})

    def to_backend(self, backend: TreeBackend) -> PCCTree:
        """The same with arrays of a backend's types."""
        arrays = {name: backend.asarray(getattr(self, name), dtype=array_dtype(name, backend)) for name in ARRAYS}
        return self.replace(**arrays, backend=backend)

    def validate(self) -> None:
        """Check every rule of the tree that searches; CoverTreeError if one is broken."""
        if not self.is_empty():
            self.native.validate()

    @functools.cached_property
    def decoder(self) -> Decoder:
        """Find the dataset indices of points of a residual tree; KeyError for an unknown point."""
        if self.recipe.decoder is not None:
            return self.recipe.decoder
        native = self.native
        return PointDecoder(native._coords if isinstance(native, ResidualTree) else self.points)

    def __repr__(self) -> str:
        return f"PCCTree(num_points={self.num_points}, dimension={self.dimension})"


def by_dataset_index(native: Searcher) -> dict[str, NDArray[Any]]:
    """Arrays of a tree, node by node in the order of the points that searches find."""
    tree: Any = native.export_arrays()
    if getattr(tree, "removed", None) is not None:
        raise ValueError("tree: points were removed from it in place; their indices are not renumbered")
    n = len(tree.order)
    nodes_by_index = np.argsort(tree.order, kind="stable")
    index_of = np.empty(n, np.int64)
    index_of[nodes_by_index] = np.arange(n)
    parents = np.full(n, -1, np.int32)
    parents[index_of[1:]] = index_of[tree.parents[1:]]
    first, sibling = np.full(n, -1, np.int32), np.full(n, -1, np.int32)
    children = index_of[tree.children]  # the children of a node are together
    is_first = np.diff(parents[children], prepend=np.int32(-1)) != 0
    first[parents[children[is_first]]] = children[is_first]
    later = np.flatnonzero(~is_first)
    sibling[children[later - 1]] = children[later]
    levels = np.asarray(tree.levels)[nodes_by_index]
    return {
        "points": np.asarray(tree.points)[nodes_by_index], "top_levels": levels, "parents": parents,
        "children": first, "level_offsets": level_offsets(levels),
        "si_cache": np.asarray(tree.radius)[nodes_by_index], "next_cache": sibling,
    }  # fmt: skip

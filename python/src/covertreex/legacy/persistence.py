"""Copies of arrays and of :class:`PCCTree` with changes.

A tree does not change. A journal says what an insertion adds to its arrays, and gives a new tree when it is applied.
Each new node becomes the first child of its parent; the former first child becomes its next sibling.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partialmethod
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .backend import TreeBackend
from .context import RuntimeContext
from .trees import ARRAYS, PCCTree, array_dtype, level_offsets

__all__ = [
    "DEFAULT_JOURNAL_POOL",
    "JournalScratchPool",
    "PersistenceJournal",
    "SliceUpdate",
    "apply_persistence_journal",
    "build_persistence_journal",
    "clone_array_segment",
    "clone_tree_with_updates",
]

Ints = NDArray[np.int32]


@dataclass(frozen=True)
class SliceUpdate:
    """New values at some indices of an array."""

    index: Any  #: an index, a slice, or a tuple of these
    values: Any

    @property
    def key(self) -> tuple[Any, ...]:
        """The index as a tuple."""
        return self.index if isinstance(self.index, tuple) else (self.index,)

    def length(self) -> int:
        """The number of rows that an array must have to be changed; 0 if the index does not define it."""
        first = self.key[0] if self.key else None
        end = first.stop if isinstance(first, slice) else first + 1 if isinstance(first, (int, np.integer)) else None
        return 0 if end is None else int(end)


def clone_array_segment(
    backend: TreeBackend, source: ArrayLike, updates: Iterable[SliceUpdate], *, dtype: Any
) -> NDArray[Any]:
    """Copy an array, as one of a backend and of some type, with changes, one after another.

    For indices beyond the end the copy is made longer, with zeros between. Without changes, an array of this type is
    returned as it is.
    """
    array: NDArray[Any] = backend.asarray(source, dtype=dtype)
    changes = list(updates)
    if not changes:
        return array
    length = max([len(array), *(change.length() for change in changes)])
    copy = np.zeros((length, *array.shape[1:]), array.dtype)
    copy[: len(array)] = array
    for change in changes:
        copy[change.key] = backend.asarray(change.values, dtype=array.dtype)
    return copy


def clone_tree_with_updates(
    tree: PCCTree,
    *,
    points_updates: Iterable[SliceUpdate] = (),
    top_level_updates: Iterable[SliceUpdate] = (),
    parent_updates: Iterable[SliceUpdate] = (),
    child_updates: Iterable[SliceUpdate] = (),
    level_offset_updates: Iterable[SliceUpdate] = (),
    si_cache_updates: Iterable[SliceUpdate] = (),
    next_cache_updates: Iterable[SliceUpdate] = (),
) -> PCCTree:
    """Make a tree with other values in its arrays; arrays without changes are shared."""
    updates = (
        points_updates, top_level_updates, parent_updates, child_updates, level_offset_updates, si_cache_updates,
        next_cache_updates,
    )  # fmt: skip
    arrays = {
        name: clone_array_segment(tree.backend, getattr(tree, name), some, dtype=array_dtype(name, tree.backend))
        for name, some in zip(ARRAYS, updates)
    }
    return tree.replace(**arrays)


@dataclass
class JournalScratchPool:
    """Arrays of int32 that are used again for one journal after another; each is as long as it ever had to be.

    ``head_parents``, ``head_values``, ``next_nodes``, ``next_values`` and ``children`` are each called with the length
    that a journal needs.
    """

    min_capacity: int = 16
    _arrays: dict[str, Ints] = field(default_factory=dict, init=False, repr=False)

    def _request(self, name: str, required: int) -> Ints:
        array = self._arrays.get(name, np.empty(0, np.int32))
        if len(array) < required:
            array = np.empty(max(self.min_capacity, required, 2 * len(array)), np.int32)
            self._arrays[name] = array
        return array[: max(0, required)]

    head_parents = partialmethod(_request, "head_parents")  #: for parents whose first child changes
    head_values = partialmethod(_request, "head_values")  #: for their first children
    next_nodes = partialmethod(_request, "next_nodes")  #: for nodes whose next sibling changes
    next_values = partialmethod(_request, "next_values")  #: for their next siblings
    children = partialmethod(_request, "children")  #: for the first child of each node


DEFAULT_JOURNAL_POOL = JournalScratchPool()


@dataclass(frozen=True)
class PersistenceJournal:
    """The entries that an insertion adds to the arrays of a tree."""

    base_length: int  #: nodes before
    inserted_points: NDArray[Any]  #: (m, dim)
    inserted_levels: Ints  #: (m,)
    inserted_parents: Ints  #: (m,) nodes of the tree, or new ones; -1 for a root
    inserted_si: NDArray[Any]  #: (m,)
    head_parents: Ints  #: parents, one entry for each new child
    head_values: Ints  #: their first children; of several entries the last one counts
    next_nodes: Ints  #: (m,) the new nodes
    next_values: Ints  #: (m,) their next siblings
    level_offsets: NDArray[np.int64]  #: of the new tree

    @property
    def inserted_count(self) -> int:
        """New nodes."""
        return len(self.inserted_levels)

    @property
    def total_length(self) -> int:
        """Nodes afterwards."""
        return self.base_length + self.inserted_count


def build_persistence_journal(
    tree: PCCTree,
    *,
    backend: TreeBackend | None = None,
    inserted_points: ArrayLike,
    inserted_levels: ArrayLike,
    inserted_parents: ArrayLike,
    inserted_si: ArrayLike,
    pool: JournalScratchPool | None = None,
) -> PersistenceJournal:
    """List the entries that new nodes add to the arrays of a tree. ``backend`` has no effect.

    Parameters
    ----------
    inserted_points : array_like, shape (m, dim)
        Coordinates of the new nodes.
    inserted_levels, inserted_parents, inserted_si : array_like, shape (m,)
        Their levels, parents (the first new node has the number ``len(tree)``) and subtrees' radii.
    pool : JournalScratchPool, optional
        Arrays for the work; by default :data:`DEFAULT_JOURNAL_POOL`, which is not for several threads at once.
    """
    pool = DEFAULT_JOURNAL_POOL if pool is None else pool
    levels, parents = np.array(inserted_levels, np.int32), np.array(inserted_parents, np.int32)
    points, si = np.array(inserted_points, np.float64), np.array(inserted_si, np.float64)
    for name, array in (("inserted_parents", parents), ("inserted_points", points), ("inserted_si", si)):
        if len(array) != len(levels):
            raise ValueError(f"{name}: expected {len(levels)} of them, one for each level, got {len(array)}")
    base = tree.num_points
    nodes = np.arange(base, base + len(levels), dtype=np.int32)
    has_parent = (parents >= 0) & (parents < base + len(levels))
    siblings = _siblings(tree, nodes, np.where(has_parent, parents, -1), pool)
    every_level = np.concatenate([np.asarray(tree.top_levels, np.int64), levels])
    return PersistenceJournal(
        base_length=base, inserted_points=points, inserted_levels=levels, inserted_parents=parents, inserted_si=si,
        head_parents=parents[has_parent], head_values=nodes[has_parent], next_nodes=nodes, next_values=siblings,
        level_offsets=level_offsets(every_level),
    )  # fmt: skip


def _siblings(tree: PCCTree, nodes: Ints, parents: Ints, pool: JournalScratchPool) -> Ints:
    """The next sibling of each new node: the node that came to the same parent before it."""
    children = pool.children(tree.num_points + len(nodes))
    children[: tree.num_points] = tree.children
    children[tree.num_points :] = -1
    order = np.argsort(parents, kind="stable")
    of_same = np.diff(parents[order], prepend=np.int32(-2)) == 0
    siblings = pool.next_values(len(nodes))
    siblings[order] = np.where(of_same, np.roll(nodes[order], 1), children[parents[order]])
    siblings[parents < 0] = -1
    return np.array(siblings)


def apply_persistence_journal(
    tree: PCCTree,
    journal: PersistenceJournal,
    *,
    backend: TreeBackend | None = None,
    context: RuntimeContext | None = None,
) -> PCCTree:
    """Make the tree that a journal, of :func:`build_persistence_journal` for this tree, describes.

    Its arrays have the types of ``backend``, by default the tree's. Its searches use the points alone. ``context`` has
    no effect.
    """
    if journal.base_length != tree.num_points:
        raise ValueError(f"journal: expected one for {tree.num_points} nodes, got one for {journal.base_length}")
    backend = tree.backend if backend is None else backend
    new = np.full(journal.inserted_count, -1)
    children, siblings = np.concatenate([tree.children, new]), np.concatenate([tree.next_cache, new])
    children[journal.head_parents] = journal.head_values  # of equal parents the last one counts
    siblings[journal.next_nodes] = journal.next_values
    points = np.asarray(tree.points).reshape(tree.num_points, -1) if tree.num_points else journal.inserted_points[:0]
    arrays = {
        "points": np.concatenate([points, journal.inserted_points]),
        "si_cache": np.concatenate([tree.si_cache, journal.inserted_si]),
        "top_levels": np.concatenate([tree.top_levels, journal.inserted_levels]),
        "parents": np.concatenate([tree.parents, journal.inserted_parents]),
        "children": children, "next_cache": siblings, "level_offsets": journal.level_offsets,
    }  # fmt: skip
    return tree.replace(
        **{name: backend.asarray(one, dtype=array_dtype(name, backend)) for name, one in arrays.items()}
    )

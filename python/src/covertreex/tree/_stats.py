"""A tree in numbers."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class CoverStats:
    """A compressed cover tree in numbers."""

    n_nodes: int  #: with those removed since the cover tree was last rebuilt
    n_duplicates: int  #: nodes at distance 0 from their parent
    root_level: int
    levels: dict[int, int]  #: nodes of each level, the highest first, without duplicates
    distance_evaluations: int  #: of the last building of the cover tree, or insertion into it, as the next six
    conflict_edges: int
    conflict_rounds: int
    levels_entered: int
    order_seconds: float
    insert_seconds: float
    layout_seconds: float


@dataclass(frozen=True)
class TreeStats:
    """A tree in numbers.

    Those of the compressed cover tree, as ``levels``, are attributes too. They are asked of the tree, and the cover
    tree is built if there is none yet.
    """

    n_points: int  #: that searches find
    n_segments: int  #: k-d trees that searches walk
    memory_bytes: int  #: of the tree
    total_seconds: float  #: of the last build, insertion or removal
    queries: int  #: since the tree was built, as the next two
    points_compared: int
    boxes_compared: int
    _cover: Callable[[], CoverStats] | None = field(default=None, repr=False, compare=False)

    @functools.cached_property
    def cover(self) -> CoverStats:
        """The numbers of the compressed cover tree."""
        if self._cover is None:
            raise ValueError("cover: these numbers were copied without their tree")
        return self._cover()

    @property
    def n_nodes(self) -> int:
        """Nodes of the cover tree, with points removed since it was last rebuilt."""
        return self.cover.n_nodes

    @property
    def n_duplicates(self) -> int:
        """Nodes of the cover tree at distance 0 from their parent."""
        return self.cover.n_duplicates

    @property
    def root_level(self) -> int:
        """The highest level of the cover tree."""
        return self.cover.root_level

    @property
    def levels(self) -> dict[int, int]:
        """Nodes of each level of the cover tree, the highest first, without duplicates."""
        return self.cover.levels

    @property
    def distance_evaluations(self) -> int:
        """Distances computed by the last build of the cover tree, or insertion into it."""
        return self.cover.distance_evaluations

    @property
    def conflict_edges(self) -> int:
        """Pairs of points that could not enter a level of the cover tree together."""
        return self.cover.conflict_edges

    @property
    def conflict_rounds(self) -> int:
        """Independent sets that were computed for the cover tree."""
        return self.cover.conflict_rounds

    @property
    def levels_entered(self) -> int:
        """Levels of the cover tree that points entered."""
        return self.cover.levels_entered

    @property
    def order_seconds(self) -> float:
        """Seconds of sorting along the curve for the cover tree."""
        return self.cover.order_seconds

    @property
    def insert_seconds(self) -> float:
        """Seconds of building the levels of the cover tree."""
        return self.cover.insert_seconds

    @property
    def layout_seconds(self) -> float:
        """Seconds of computing arrays and radii of the cover tree."""
        return self.cover.layout_seconds

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_cover": None}

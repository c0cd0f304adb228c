"""A tree in numbers."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

Number = TypeVar("Number")


@dataclass(frozen=True)
class CoverStats:
    """A compressed cover tree in numbers, which :class:`TreeStats` describes."""

    n_nodes: int
    n_duplicates: int
    root_level: int
    levels: dict[int, int]
    distance_evaluations: int
    conflict_edges: int
    conflict_rounds: int
    levels_entered: int
    order_seconds: float
    insert_seconds: float
    layout_seconds: float


def _of_cover(kind: type[Number], name: str) -> Number:
    """A number of the cover tree as an attribute of its tree's numbers. It has no annotation, so it is no field."""
    return cast(Number, property(operator.attrgetter(f"cover.{name}")))


@dataclass(frozen=True)
class TreeStats:
    """A tree in numbers.

    Numbers of the compressed cover tree are attributes too. They come from the tree, and a missing cover tree is built.

    Attributes
    ----------
    n_nodes : int
        Nodes, with points removed since the cover tree was last rebuilt.
    n_duplicates : int
        Nodes at distance 0 from their parent.
    root_level : int
        The highest level.
    levels : dict of int to int
        Nodes of each level, the highest first, without duplicates.
    distance_evaluations : int
        Distances computed by the last build of the cover tree, or insertion into it, as the next six.
    conflict_edges : int
        Pairs of points that could not enter a level together.
    conflict_rounds : int
        Independent sets that were computed.
    levels_entered : int
        Levels that points entered.
    order_seconds, insert_seconds, layout_seconds : float
        Time to sort along the curve, to build the levels, and to compute arrays and radii.
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

    n_nodes = _of_cover(int, "n_nodes")
    n_duplicates = _of_cover(int, "n_duplicates")
    root_level = _of_cover(int, "root_level")
    levels = _of_cover(dict[int, int], "levels")
    distance_evaluations = _of_cover(int, "distance_evaluations")
    conflict_edges = _of_cover(int, "conflict_edges")
    conflict_rounds = _of_cover(int, "conflict_rounds")
    levels_entered = _of_cover(int, "levels_entered")
    order_seconds = _of_cover(float, "order_seconds")
    insert_seconds = _of_cover(float, "insert_seconds")
    layout_seconds = _of_cover(float, "layout_seconds")

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_cover": None}

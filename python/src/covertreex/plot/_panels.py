"""Axes to draw on, colours, and points in the plane."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from .. import _arguments

QUIET, NEAR, SELF = "#c7ccd1", "#1f6f8b", "#c8553d"


def panel(ax: Axes | None) -> Any:
    """Axes of a figure that no window shows, unless some are given."""
    if ax is None:
        return Figure(figsize=(5, 4), layout="constrained").subplots()
    return _arguments.instance(ax, "ax", (Axes,))


def panels(axes: Any, count: int, size: tuple[float, float]) -> list[Axes]:
    """The given axes, after a check of their number, or the axes of a figure of a size in inches."""
    if axes is None:
        return list(np.atleast_1d(Figure(figsize=size, layout="constrained").subplots(1, count)))
    listed = list(axes) if isinstance(axes, Iterable) and not isinstance(axes, str) else [axes]
    for one in listed:
        _arguments.instance(one, "axes", (Axes,))
    if len(listed) < count:
        raise ValueError(f"axes: expected {count} axes, got {len(listed)}")
    return listed


def in_the_plane(points: NDArray[Any]) -> NDArray[np.float64]:
    """Points in two dimensions: as they are, or projected onto those in which they vary most."""
    if points.shape[1] == 2:
        return points
    if points.shape[1] == 1:
        return np.column_stack([points[:, 0], np.zeros(len(points))])
    centred = points - points.mean(axis=0)
    _, axes = np.linalg.eigh(centred.T @ centred)
    return centred @ axes[:, :-3:-1]

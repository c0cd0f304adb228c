"""Pictures of measurements."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from typing import Any

from matplotlib.axes import Axes

from .. import _arguments
from ._panels import panels


def scaling(results: str | os.PathLike[str] | Iterable[Any], *, axes: Sequence[Axes] | None = None) -> list[Axes]:
    """Draw seconds of building, and queries a second, against the number of points.

    Parameters
    ----------
    results : path, or iterable of dict
        What ``covertreex bench --json`` printed: a file, or several runs of different ``--scale`` together.
    axes : sequence of two matplotlib.axes.Axes, optional
        Where to.
    """
    rows = [_plain(one) for one in _results(results)]
    if not rows:
        raise ValueError("results: expected at least one, got none")
    axes = panels(axes, 2, (8, 3.4))
    lines = sorted({(row["workload"], row["who"]) for row in rows})
    single = len({workload for workload, _ in lines}) == 1
    for ax, name, label in zip(axes, ("build_seconds", "queries_per_second"), ("build, s", "queries a second")):
        for workload, who in lines:
            own = [row for row in rows if (row["workload"], row["who"]) == (workload, who)]
            own.sort(key=lambda row: row["n_points"])
            xs, ys = ([row[of] for row in own] for of in ("n_points", name))
            ax.plot(xs, ys, marker="o", markersize=3, label=who if single else f"{who}: {workload}")
        ax.set(xscale="log", yscale="log", xlabel="points", ylabel=label)
    axes[0].legend(fontsize=8)
    return axes


def _results(given: Any) -> Iterable[Any]:
    if not isinstance(given, (str, os.PathLike)):
        if isinstance(given, (bytes, Mapping)) or not isinstance(given, Iterable):
            raise TypeError(f"results: expected a path or an iterable of results, got {_arguments.described(given)}")
        return given
    with open(_arguments.path(given, "results"), encoding="utf-8") as file:
        rows = json.load(file)
    if not isinstance(rows, list):
        raise ValueError(f"results: {os.fspath(given)} is not the output of covertreex bench --json")
    return rows


def _plain(row: Any) -> Mapping[str, Any]:
    if is_dataclass(row) and not isinstance(row, type):
        return asdict(row)
    if not isinstance(row, Mapping):
        raise TypeError(f"results: expected rows of bench --json, got {_arguments.described(row)}")
    wanted = ("workload", "who", "n_points", "build_seconds", "queries_per_second")
    for name in wanted:
        if name not in row:
            raise ValueError(f"results: expected rows with {', '.join(wanted)}, got one without {name}")
    return row

"""Commands on pairs of points of trees: pairs, mst."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Optional

import typer
from numpy.typing import NDArray

from ..tree import CoverTree
from ._files import read_tree
from ._options import FUNCTION, JSON, THREADS, named, numbers, runtime_of
from ._output import say, say_rows, waiting
from ._tables import check_output, write_arrays, write_columns

_WRITTEN = (".parquet", ".csv", ".npz")
_TREE = typer.Argument(..., help="A file that build wrote.", exists=True, dir_okay=False)
_OTHER = typer.Argument(
    None, help="Another one, for pairs of a point of each; by default pairs are within the tree.", exists=True,
    dir_okay=False,
)  # fmt: skip


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (pairs, mst):
        app.command()(command)


def pairs(
    tree: Path = _TREE,
    other: Optional[Path] = _OTHER,
    radius: Optional[float] = typer.Option(None, "--radius", help="All pairs within this are written to --out."),
    out: Optional[Path] = typer.Option(
        None, "--out", "-o", help="The .parquet, .csv or .npz to write: the two points of each pair, and the distance."
    ),
    count: Optional[str] = typer.Option(
        None, "--count", help="Print the number of ordered pairs within these radii, with commas."
    ),
    function: Optional[str] = FUNCTION,
    threads: Optional[int] = THREADS,
    as_json: bool = JSON,
) -> None:
    """Find all pairs of points within a radius, or count them for several radii."""
    if count is not None and (radius is not None or out is not None):
        raise ValueError("--count: expected neither --radius nor --out with it")
    if count is None and (radius is None or out is None):
        raise ValueError("--radius, --out: expected both, or --count")
    with named(other=other), runtime_of(None, None, threads):
        if out is not None:
            check_output(out, "--out", _WRITTEN)
        first, second = _in_space(tree, function), None if other is None else _in_space(other, function)
        if count is not None:
            _count(first, second, count, as_json)
            return
        assert radius is not None and out is not None
        start = time.perf_counter()
        with waiting("searching") as progress:
            found, distances = first.pairs_within(radius, second, return_distances=True, progress=progress)
        seconds = time.perf_counter() - start
        _write(out, "pairs", found, "distances", distances)
    say({"file": str(out), "pairs": len(found), "seconds": seconds}, as_json=as_json)


def mst(
    tree: Path = _TREE,
    out: Path = typer.Option(
        ..., "--out", "-o", help="The .parquet, .csv or .npz to write: the two points of each edge, and its length."
    ),
    mutual_k: Optional[int] = typer.Option(
        None, "--mutual-k", help="By mutual reachability with this neighbour, as HDBSCAN; by default by distance."
    ),
    function: Optional[str] = FUNCTION,
    threads: Optional[int] = THREADS,
    as_json: bool = JSON,
) -> None:
    """Find the minimum spanning tree of the points of a tree."""
    check_output(out, "--out", _WRITTEN)
    with named(), runtime_of(None, None, threads):
        opened = _in_space(tree, function)
        start = time.perf_counter()
        with waiting("searching") as progress:
            edges, lengths = opened.minimum_spanning_tree(mutual_k, progress=progress)
        seconds = time.perf_counter() - start
        _write(out, "edges", edges, "lengths", lengths)
    facts = {"file": str(out), "edges": len(edges), "length": float(lengths.sum(dtype=float)), "seconds": seconds}
    say(facts, as_json=as_json)


def _in_space(path: Path, function: str | None) -> CoverTree:
    opened = read_tree(path, function)
    if not isinstance(opened, CoverTree):
        raise ValueError(f"{path}: expected a tree without a kernel, got {type(opened).__name__}")
    return opened


def _count(first: CoverTree, second: CoverTree | None, radii: str, as_json: bool) -> None:
    wanted = numbers(radii, "--count")
    limits = wanted if isinstance(wanted, list) else [wanted]
    with waiting("counting") as progress:
        found = first.count_pairs(limits, second, progress=progress)
    rows = [{"radius": radius, "pairs": number} for radius, number in zip(limits, found.tolist())]
    say_rows(rows, as_json=as_json)


def _write(out: Path, name: str, indices: NDArray[Any], measure: str, distances: NDArray[Any]) -> None:
    """Write pairs as two arrays, or as columns i, j and the measure of each."""
    if out.suffix.lower() == ".npz":
        write_arrays(out, **{name: indices, measure: distances})
    else:
        write_columns(out, {"i": indices[:, 0], "j": indices[:, 1], measure[:-1]: distances})

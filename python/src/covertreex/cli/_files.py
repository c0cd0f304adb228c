"""Commands on files: build, query, neighbors, validate, info."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Any, List, Optional

import numpy as np
import typer

from .. import _arguments, _writing, factory, vecchia
from .. import _files as _stored
from ..kernels import BY_NAME
from ..residual import ResidualTree
from ..tree import CoverTree
from ..vecchia import ConditioningSets
from ._options import (
    ARRAY,
    COLUMNS,
    FUNCTION,
    HEADER,
    INDUCING,
    JSON,
    KERNEL,
    LENGTHSCALE,
    METRIC,
    METRIC_PARAMS,
    ORDERING,
    PERIOD,
    PROFILE,
    SET,
    THREADS,
    VARIANCE,
    function_of,
    kernel_of,
    metric_of,
    named,
    runtime_of,
)
from ._output import report, say, tell, waiting
from ._regression import Model
from ._tables import READ, check_output, read_points, write_arrays

_POINTS = typer.Argument(..., help=f"Points: {READ}.", exists=True, dir_okay=False)
_TREE = typer.Argument(..., help="A file that build, neighbors or save wrote.", exists=True, dir_okay=False)
_KERNEL = typer.Option(None, "--kernel", help=f"Residual correlation by a kernel: {', '.join(BY_NAME)}.")


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (build, query, neighbors, validate, info):
        app.command()(command)


def build(
    points: Path = _POINTS,
    out: Path = typer.Argument(..., help="The file to write."),
    array: Optional[str] = ARRAY,
    columns: Optional[str] = COLUMNS,
    header: Optional[bool] = HEADER,
    metric: Optional[str] = METRIC,
    metric_params: Optional[List[str]] = METRIC_PARAMS,
    period: Optional[str] = PERIOD,
    kernel: Optional[str] = _KERNEL,
    lengthscale: str = LENGTHSCALE,
    variance: float = VARIANCE,
    inducing: Optional[int] = INDUCING,
    profile: Optional[str] = PROFILE,
    overrides: Optional[List[str]] = SET,
    threads: Optional[int] = THREADS,
    as_json: bool = JSON,
) -> None:
    """Build a tree of points, and save it."""
    _writing.destination(out)
    with named(points=points), runtime_of(profile, overrides, threads):
        read = read_points(points, array=array, columns=columns, header=header)
        tell(f"{points}: {read}", as_json=as_json)
        if kernel is None and inducing is not None:
            raise ValueError("--inducing: expected only with --kernel")
        of_metric = metric_of(metric, metric_params, period)
        if kernel is not None and any(one is not None for one in of_metric.values()):
            raise ValueError("--metric, --metric-param, --period: expected only without --kernel")
        chosen = None if kernel is None else kernel_of(kernel, lengthscale, variance)
        with waiting("building") as progress:
            tree: Any
            if chosen is None:
                tree = factory.cover_tree(read.points, progress=progress, **of_metric)
            else:
                tree = factory.residual_tree(read.points, chosen, n_inducing=inducing, progress=progress)
        with waiting("saving") as progress:
            tree.save(out, progress=progress)
        facts = {
            "file": str(out), "kind": type(tree).__name__, "points": len(tree), "dim": tree.dim,
            "build_seconds": tree.build_time, "file_bytes": out.stat().st_size,
        }  # fmt: skip
    report(facts, as_json=as_json, read=read)


def query(
    tree: Path = _TREE,
    queries: Optional[Path] = typer.Argument(None, help=f"Points: {READ}; by default those of the tree.", exists=True),
    out: Path = typer.Option(..., "--out", "-o", help="The .npz to write: indices, and distances."),
    k: int = typer.Option(10, "--k", "-k", min=1, help="Neighbours of each."),
    radius: Optional[float] = typer.Option(None, "--radius", help="All within this, in place of k: offsets, too."),
    predecessors: bool = typer.Option(False, "--predecessors", help="Only points before each."),
    exclude_self: bool = typer.Option(False, "--exclude-self", help="Not the point itself."),
    function: Optional[str] = FUNCTION,
    array: Optional[str] = ARRAY,
    columns: Optional[str] = COLUMNS,
    header: Optional[bool] = HEADER,
    profile: Optional[str] = PROFILE,
    overrides: Optional[List[str]] = SET,
    threads: Optional[int] = THREADS,
    as_json: bool = JSON,
) -> None:
    """Find the nearest points of a tree, and write them to an .npz."""
    check_output(out, "--out")
    with named(queries=queries), runtime_of(profile, overrides, threads):
        opened = read_tree(tree, function)
        read = rows = None
        if queries is not None:
            read = read_points(queries, array=array, columns=columns, header=header)
            tell(f"{queries}: {read}", as_json=as_json)
            rows = np.asarray(read.points, float)  # integers would be indices
        choice: dict[str, Any] = {"queries": rows, "predecessor_mode": predecessors, "return_distances": True}
        start = time.perf_counter()
        offsets = None
        with waiting("searching") as progress:
            if radius is not None:
                if isinstance(opened, ResidualTree):
                    raise ValueError("--radius: is not supported by residual trees; use -k")
                offsets, indices, distances = opened.radius(
                    radius, exclude_self=exclude_self, progress=progress, **choice
                )
            else:
                if not isinstance(opened, ResidualTree):
                    choice["exclude_self"] = exclude_self
                elif exclude_self:
                    raise ValueError("--exclude-self: is not supported by residual trees; use --predecessors")
                indices, distances = opened.knn(k, progress=progress, **choice)
        seconds = time.perf_counter() - start
        write_arrays(out, offsets=offsets, indices=indices, distances=distances)
    n_queries = len(opened) if rows is None else len(rows)
    facts = {
        "file": str(out), "queries": n_queries, "found": int((indices >= 0).sum()), "seconds": seconds,
        "queries_per_second": n_queries / seconds,
    }  # fmt: skip
    report(facts, as_json=as_json, read=read)


def neighbors(
    points: Path = _POINTS,
    out: Path = typer.Argument(..., help="The .npz to write: order, neighbors, distances."),
    kernel: str = KERNEL,
    lengthscale: str = LENGTHSCALE,
    variance: float = VARIANCE,
    m: int = typer.Option(30, "--m", "-m", min=1, help="Neighbours of each point."),
    inducing: Optional[int] = INDUCING,
    ordering: str = ORDERING,
    array: Optional[str] = ARRAY,
    columns: Optional[str] = COLUMNS,
    header: Optional[bool] = HEADER,
    profile: Optional[str] = PROFILE,
    overrides: Optional[List[str]] = SET,
    threads: Optional[int] = THREADS,
    as_json: bool = JSON,
) -> None:
    """Find Vecchia's conditioning sets: the m nearest predecessors of each point by residual correlation."""
    check_output(out)
    with named(points=points), runtime_of(profile, overrides, threads):
        read = read_points(points, array=array, columns=columns, header=header)
        tell(f"{points}: {read}", as_json=as_json)
        chosen = kernel_of(kernel, lengthscale, variance)
        start = time.perf_counter()
        with waiting("searching") as progress:
            sets = vecchia.neighbors(
                read.points, kernel=chosen, m=m, n_inducing=inducing, ordering=ordering, return_distances=True,
                progress=progress,
            )  # fmt: skip
        seconds = time.perf_counter() - start
        write_arrays(out, order=sets.order, neighbors=sets.neighbors, distances=sets.distances)
    facts = {"file": str(out), "points": len(read.points), "m": m, "kernel": repr(chosen), "seconds": seconds}
    report(facts, as_json=as_json, read=read)


def validate(
    tree: Path = _TREE,
    function: Optional[str] = FUNCTION,
    threads: Optional[int] = THREADS,
    as_json: bool = JSON,
) -> None:
    """Check every rule of a tree, and every checksum of its file. The exit code is 1 if one is broken."""
    with runtime_of(None, None, threads):
        opened = read_tree(tree, function, verify=True)
        with waiting("checking") as progress:
            opened.validate(progress=progress)
    say({"file": str(tree), "valid": True}, as_json=as_json)


def info(file: Path = _TREE, as_json: bool = JSON) -> None:
    """Describe the contents of a file: a tree, conditioning sets, a Gaussian process, a vector index."""
    stored = _stored.File.open(file, mmap=True, verify=False, progress=None)
    if stored.kind == _stored.FUNCTION:
        say({"file": str(file), "file_bytes": file.stat().st_size, **_of_function(stored)}, as_json=as_json)
        return
    opened = factory.load(file)
    facts: dict[str, Any] = {"file": str(file), "kind": type(opened).__name__, "file_bytes": file.stat().st_size}
    if isinstance(opened, ConditioningSets):
        facts.update(points=len(opened.order), m=opened.neighbors.shape[1], input_hash=opened.input_hash)
    elif isinstance(opened, vecchia.VIF):
        facts.update(points=len(opened.order), dim=opened.inducing_points.shape[1], kernel=repr(opened.kernel))
        noise = "one for each point" if isinstance(opened.noise, np.ndarray) else opened.noise
        facts.update(n_neighbors=opened.n_neighbors, n_inducing=len(opened.inducing_points), noise=noise)
        facts.update(log_determinant=opened.log_determinant)
        model = Model.of(opened, file)
        if model is not None:
            facts.update(columns=model.data.columns, response=model.response, trend=model.trend)
    else:
        stats = opened.stats()
        numbers = [field.name for field in dataclasses.fields(stats) if not field.name.startswith("_")]
        facts.update({name: getattr(stats, name) for name in numbers})
    if isinstance(opened, CoverTree):
        if opened._info().n_nodes:  # the file has the cover tree
            facts.update(dataclasses.asdict(opened.stats().cover))
        facts.update(dim=opened.dim, dtype=str(opened.dtype), metric=opened.metric, order=opened.order)
    if isinstance(opened, ResidualTree):
        facts.update(kernel=repr(opened.kernel))
    # A tree that was just opened has done nothing yet.
    say(facts if as_json else {name: value for name, value in facts.items() if value != 0}, as_json=as_json)


def _of_function(stored: _stored.File) -> dict[str, Any]:
    """What the file of a :class:`MetricTree` shows without its function."""
    n_nodes, dim = stored.shape("objects") or (0, 0)
    gone = sum(int(removed.sum()) for removed in stored.sections("removed").values())
    return {"kind": "MetricTree", "n_points": n_nodes - gone, "n_nodes": n_nodes, "dim": dim}


def read_tree(path: Path, function: str | None = None, *, verify: bool = False) -> Any:
    """Open the file of a tree, one in a metric of the caller with its function."""
    with _arguments.renamed(metric="--function"):
        opened = factory.load(path, verify=verify, metric=function_of(function))
    if not isinstance(opened, (CoverTree, ResidualTree)):
        raise ValueError(f"{path}: expected a tree, got {type(opened).__name__}")
    return opened

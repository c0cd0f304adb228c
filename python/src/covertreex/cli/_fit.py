"""The command fit: a Gaussian process by maximum likelihood, into a file."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, List, Optional

import numpy as np
import typer

from .. import _arguments, _arrays
from .._tables.tables import Table
from ..kernels import BY_NAME
from ..vecchia import ORDERINGS, Fit
from ..vecchia._fit import fitted
from ..vecchia._model import METRICS
from ._fit_record import FitRecord
from ._options import (
    ARRAY,
    COLUMNS,
    DATA,
    HEADER,
    INDUCING,
    JSON,
    NEIGHBORS,
    ORDERING,
    PROFILE,
    RESPONSE,
    SET,
    SETS,
    THREADS,
    named,
    need_scipy,
    runtime_of,
)
from ._output import report, tell, waiting, warn
from ._regression import TRENDS, Model, Trend
from ._tables import check_output, read_points

_INTERRUPTED = 130


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(fit)


def fit(
    data: Path = DATA,
    out: Path = typer.Option(..., "--out", "-o", help="The file to write, for predict."),
    response: str = RESPONSE,
    kernel: str = typer.Option("matern32", "--kernel", help=f"{', '.join(BY_NAME)}."),
    trend: str = typer.Option("constant", "--trend", help="The mean: none, constant, or linear in the coordinates."),
    neighbors: int = NEIGHBORS,
    inducing: Optional[int] = INDUCING,
    ordering: str = ORDERING,
    sets: str = SETS,
    max_iterations: int = typer.Option(100, "--max-iterations", min=0, help="Iterations with all data."),
    restarts: int = typer.Option(0, "--restarts", min=0, help="Further starting values."),
    seed: Optional[int] = typer.Option(None, "--seed", min=0, help="Of everything random; by default 42."),
    array: Optional[str] = ARRAY,
    columns: Optional[str] = COLUMNS,
    header: Optional[bool] = HEADER,
    profile: Optional[str] = PROFILE,
    overrides: Optional[List[str]] = SET,
    threads: Optional[int] = THREADS,
    as_json: bool = JSON,
) -> None:
    """Fit a Gaussian process to a response by maximum likelihood, and save it. Ctrl-C ends it with the best so far."""
    need_scipy("fit")
    check_output(out, "--out", None)
    if out.exists() and os.path.samefile(out, data):
        raise ValueError(f"--out: expected another file than the data, got {out}")
    with named(coords=data, points=data), runtime_of(profile, overrides, threads):
        _arguments.choice(kernel, "kernel", tuple(BY_NAME))
        _arguments.choice(ordering, "ordering", ORDERINGS)
        _arguments.choice(sets, "neighbors", METRICS)
        _arguments.choice(trend, "trend", TRENDS)
        read = read_points(data, array=array, columns=columns, header=header, response=response)
        tell(f"{data}: {read}", as_json=as_json)
        if not len(read.points):
            raise ValueError(f"{data}: expected at least 1 row, got 0")
        if inducing is not None:
            _arrays.integer(inducing, "n_inducing", minimum=0, maximum=len(read.points))
        found = fitted(
            read.points, _without_trend(read, trend), kernel=kernel, noise=None, weights=None, ard=True, bounds=None,
            refit=True, restarts=restarts, max_iterations=max_iterations, tolerance=1e-11, seed=seed, n_threads=None,
            callback=None, verbose=sys.stderr.isatty(), n_neighbors=neighbors, n_inducing=inducing, ordering=ordering,
            neighbors=sets,
        )  # fmt: skip
        record = FitRecord(found, data.name)
        model = Model(found.model, read, trend, record)
        with waiting("saving") as progress:
            model.save(out, progress)
        warnings = record.warnings(read.coordinates)
        facts = {"file": str(out), **_facts(found, model, as_json=as_json)}
    report({**facts, **({"warnings": warnings} if as_json else {})}, as_json=as_json, read=read)
    for message in warnings:
        warn(message)
    if found.stopped == "interrupted":
        raise typer.Exit(_INTERRUPTED)


def _without_trend(read: Table, kind: str) -> Any:
    """The response, less a trend by least squares."""
    trend = Trend.of(read.points, kind)
    return read.observed if trend is None else trend.removed(read.points, read.observed)


def _facts(found: Fit, model: Model, *, as_json: bool) -> dict[str, Any]:
    """Names and values of a fit, for reports."""
    value, _ = model.log_likelihood()
    kernel, trend = found.kernel, model.trend_facts()
    lengthscales = np.broadcast_to(np.asarray(kernel.lengthscale, np.float64), (model.data.points.shape[1],))
    return {
        "log_likelihood": value if as_json else f"{value:,.4f}",
        **{name: value for name, value in model.facts().items() if name != "kernel"},
        "kernel": type(kernel).__name__.lower(), "variance": kernel.variance,
        "lengthscales": model.by_coordinate(lengthscales), **({"trend": trend} if trend else {}),
        "iterations": found.n_iterations, "evaluations": found.n_evaluations, "refits": found.n_refits,
        "stopped": found.stopped, "seconds": found.seconds,
    }  # fmt: skip

"""Commands on Gaussian processes of a response: likelihood, predict."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, List, Optional, TypeVar

import numpy as np
import typer

from .. import _arguments, _arrays
from .._calls import ProgressReport
from .._tables import tables
from .._tables.tables import Table
from ..kernels import Stationary
from ..vecchia import ORDERINGS, VIF, _inputs
from ..vecchia._model import METRICS
from ._options import (
    ARRAY,
    COLUMNS,
    HEADER,
    INDUCING,
    JSON,
    KERNEL,
    LENGTHSCALE,
    NEIGHBORS,
    ORDERING,
    PROFILE,
    RESPONSE_HELP,
    SET,
    SETS,
    THREADS,
    VARIANCE,
    kernel_of,
    named,
    runtime_of,
)
from ._output import report, tell, waiting
from ._regression import TRENDS, Model, is_of_library
from ._tables import READ, check_output, is_readable, is_text, read_new, read_points, write_arrays, write_columns

Value = TypeVar("Value")

_SPREADS = ("sd", "variance")
_WRITTEN = (".parquet", ".csv", ".npz")
# Options that describe a process and its data, which a model has.
_OF_DATA = (
    "response", "kernel", "lengthscale", "variance", "noise", "trend", "neighbors", "inducing", "ordering", "sets",
    "columns",
)  # fmt: skip

_MODEL_OR_DATA = typer.Argument(
    ...,
    metavar="MODEL_OR_DATA",
    help=f"A model that fit wrote; or points and their response: {READ}.",
    exists=True,
    dir_okay=False,
)
_RESPONSE = typer.Option(None, "--response", help=f"{RESPONSE_HELP} Needed with data.")
_NOISE = typer.Option(
    None, "--noise", help="The variance of the noise of the response; 0 means no noise. Needed with data."
)
_TREND = typer.Option("none", "--trend", help="The mean: none, constant, or linear in the coordinates.")


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (likelihood, predict):
        app.command()(command)


@dataclass(frozen=True)
class Process:
    """A process as options describe it."""

    kernel: Stationary
    noise: float
    n_neighbors: int
    n_inducing: Optional[int]
    ordering: str
    sets: str
    trend: str

    def __post_init__(self) -> None:
        _inputs.noise(self.noise, 0)
        _arguments.choice(self.ordering, "ordering", ORDERINGS)
        _arguments.choice(self.sets, "neighbors", METRICS)
        _arguments.choice(self.trend, "trend", TRENDS)

    def model(self, data: Table, progress: ProgressReport) -> Model:
        """The process at points that have a response."""
        if self.n_inducing is not None:
            _arrays.integer(self.n_inducing, "n_inducing", minimum=0, maximum=len(data.points))
        vif = VIF(
            data.points, kernel=self.kernel, noise=self.noise, n_neighbors=self.n_neighbors,
            n_inducing=self.n_inducing, ordering=self.ordering, neighbors=self.sets, progress=progress,
        )  # fmt: skip
        return Model(vif, data, self.trend)


def likelihood(
    context: typer.Context,
    data: Path = _MODEL_OR_DATA,
    response: Optional[str] = _RESPONSE,
    kernel: str = KERNEL,
    lengthscale: str = LENGTHSCALE,
    variance: float = VARIANCE,
    noise: Optional[float] = _NOISE,
    trend: str = _TREND,
    gradient: bool = typer.Option(False, "--gradient", help="Also by log noise, log variance, log lengthscales."),
    neighbors: int = NEIGHBORS,
    inducing: Optional[int] = INDUCING,
    ordering: str = ORDERING,
    sets: str = SETS,
    array: Optional[str] = ARRAY,
    columns: Optional[str] = COLUMNS,
    header: Optional[bool] = HEADER,
    profile: Optional[str] = PROFILE,
    overrides: Optional[List[str]] = SET,
    threads: Optional[int] = THREADS,
    as_json: bool = JSON,
) -> None:
    """Compute the log likelihood of a response: of a model in a file, or of the Gaussian process of the options."""
    with named(coords=data, points=data), runtime_of(profile, overrides, threads):
        model = _model_in(data, context, "array", "header")
        if model is None:
            needed = _given(response, "--response", context), _given(noise, "--noise", context)
            chosen = kernel_of(kernel, lengthscale, variance)
            process = Process(chosen, needed[1], neighbors, inducing, ordering, sets, trend)
            read = _read(data, needed[0], array=array, columns=columns, header=header, as_json=as_json)
        else:
            read = model.data
            tell(f"{data}: {read}", as_json=as_json)
        start = time.perf_counter()
        if model is None:
            with waiting("building") as progress:
                model = process.model(read, progress)
        with waiting("computing") as progress:
            value, slopes = model.log_likelihood(gradient=gradient, progress=progress)
        seconds = time.perf_counter() - start
    # People compare likelihoods by their difference.
    found: dict[str, Any] = {"log_likelihood": value if as_json else f"{value:,.4f}"}
    if slopes is not None:
        by_name = {"log_noise": slopes[0], "log_variance": slopes[1], "log_lengthscales": slopes[2:].tolist()}
        if as_json:
            found["gradient"] = by_name
        else:
            found.update({f"gradient_by_{name}": slope for name, slope in by_name.items()})
    report({**found, **model.facts(), "seconds": seconds}, as_json=as_json, read=read)


def predict(
    context: typer.Context,
    data: Path = _MODEL_OR_DATA,
    new: Path = typer.Argument(..., help=f"New points: {READ}.", exists=True, dir_okay=False),
    out: Path = typer.Option(..., "--out", "-o", help="The .parquet, .csv or .npz to write."),
    response: Optional[str] = _RESPONSE,
    kernel: str = KERNEL,
    lengthscale: str = LENGTHSCALE,
    variance: float = VARIANCE,
    noise: Optional[float] = _NOISE,
    trend: str = _TREND,
    spread: str = typer.Option("sd", "--spread", help="Of the response: sd (standard deviation) or variance."),
    latent: bool = typer.Option(False, "--latent", help="Of the process, without the noise."),
    prediction_neighbors: Optional[int] = typer.Option(
        None, "--prediction-neighbors", min=0, help="Neighbours of each prediction; by default twice --neighbors."
    ),
    calibrated: bool = typer.Option(
        False, "--calibrated", help="Correct the spread by the leave-one-out errors of the data nearby."
    ),
    neighbors: int = NEIGHBORS,
    inducing: Optional[int] = INDUCING,
    ordering: str = ORDERING,
    sets: str = SETS,
    array: Optional[str] = ARRAY,
    columns: Optional[str] = COLUMNS,
    header: Optional[bool] = HEADER,
    profile: Optional[str] = PROFILE,
    overrides: Optional[List[str]] = SET,
    threads: Optional[int] = THREADS,
    as_json: bool = JSON,
) -> None:
    """Predict a response at new points: the mean and its spread, by a model in a file or by one of the options."""
    check_output(out, "--out", _WRITTEN)
    _arguments.choice(spread, "--spread", _SPREADS)
    with named(coords=data, points=data, new=new), runtime_of(profile, overrides, threads):
        model = _model_in(data, context)
        if model is None:
            needed = _given(response, "--response", context), _given(noise, "--noise", context)
            chosen = kernel_of(kernel, lengthscale, variance)
            process = Process(chosen, needed[1], neighbors, inducing, ordering, sets, trend)
            # --header is for each of the two files that is text.
            given = None if is_text(new) and not is_text(data) else header
            read = _read(data, needed[0], array=array, columns=columns, header=given, as_json=as_json)
        else:
            read = model.data
            tell(f"{data}: {read}", as_json=as_json)
            if header is not None and not is_text(new):
                raise ValueError(f"{new}: --header and --no-header are for text")
        points = read_new(new, read, array=array, header=header)
        tell(f"{new}: {points}", as_json=as_json)
        names = _names_of_results(out, points if points.source.names else read, spread)
        start = time.perf_counter()
        if model is None:
            with waiting("building") as progress:
                model = process.model(read, progress)
        with waiting("predicting") as progress:
            mean, variances = model.predict(
                points.points, latent=latent, calibrated=calibrated, n_neighbors=prediction_neighbors,
                progress=progress,
            )  # fmt: skip
        seconds = time.perf_counter() - start
        results = {"mean": mean, spread: variances if spread == "variance" else np.sqrt(variances)}
        if names is None:
            write_arrays(out, **results)
        else:
            coordinates = points.points.astype(_arrays.float_dtype(points.points.dtype), copy=False)
            write_columns(out, {**dict(zip(names, coordinates.T)), **results})
    facts = {"file": str(out), "predictions": len(mean), **model.facts(), "seconds": seconds}
    report(facts, as_json=as_json, read=read, new=points)


def _model_in(path: Path, context: typer.Context, *others: str) -> Model | None:
    """The model in a file; None for a file of data, which ``others`` are further options of."""
    if not is_of_library(path):
        if not is_readable(path):
            raise ValueError(f"{path}: expected a model that covertreex fit wrote, or a file that ends in {READ}")
        return None
    for name in (*_OF_DATA, *others):
        if getattr(context.get_parameter_source(name), "name", "DEFAULT") != "DEFAULT":
            raise ValueError(f"--{name}: expected only with data; {path} is a model, which has its own")
    return Model.load(path)


def _given(value: Value | None, option: str, context: typer.Context) -> Value:
    """The value of an option that data need."""
    if value is None:
        raise typer.BadParameter("expected with data, got none", ctx=context, param_hint=option)
    return value


def _read(
    path: Path, response: str, *, array: str | None, columns: str | None, header: bool | None, as_json: bool
) -> Table:
    """Points with their response."""
    read = read_points(path, array=array, columns=columns, header=header, response=response)
    tell(f"{path}: {read}", as_json=as_json)
    return read


def _names_of_results(out: Path, named: Table, spread: str) -> list[str] | None:
    """Names for coordinates in a table of results, which those of a file are; None for arrays."""
    if out.suffix.lower() == ".npz":
        return None
    names = named.coordinates
    for name in names:
        if name in {"mean", spread} or names.count(name) > 1:
            expected = f"columns that differ from each other, from mean and from {spread} for {out}"
            raise ValueError(f"{named.source.path}: expected {expected}, got {tables.listed(names)}")
    return names

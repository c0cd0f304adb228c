"""Commands on Gaussian processes of a response: likelihood, predict."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, List, Optional

import numpy as np
import typer
from numpy.typing import NDArray

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
    ORDERING,
    PROFILE,
    SET,
    THREADS,
    VARIANCE,
    kernel_of,
    named,
    runtime_of,
)
from ._output import report, tell, waiting
from ._tables import READ, check_output, is_text, read_new, read_points, write_arrays, write_columns

_TRENDS = ("none", "constant", "linear")
_SPREADS = ("sd", "variance")
_WRITTEN = (".parquet", ".csv", ".npz")

_DATA = typer.Argument(..., help=f"Points and their response: {READ}.", exists=True, dir_okay=False)
_RESPONSE = typer.Option(
    ..., "--response", help="The column of the response: a name, or a number from 0; or an array of an .npz."
)
_NOISE = typer.Option(..., "--noise", help="The variance of the noise of the response; 0 means no noise.")
_NEIGHBORS = typer.Option(30, "--neighbors", min=0, help="Points that each one is conditioned on.")
_SETS = typer.Option("residual", "--sets", help="Nearest by residual correlation, or euclidean: over the lengthscales.")
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
        _arguments.choice(self.trend, "trend", _TRENDS)

    def model(self, data: Table, progress: ProgressReport) -> Model:
        """The process at points that have a response."""
        if self.n_inducing is not None:
            _arrays.integer(self.n_inducing, "n_inducing", minimum=0, maximum=len(data.points))
        vif = VIF(
            data.points, kernel=self.kernel, noise=self.noise, n_neighbors=self.n_neighbors,
            n_inducing=self.n_inducing, ordering=self.ordering, neighbors=self.sets, progress=progress,
        )  # fmt: skip
        assert data.response is not None
        trend = None if self.trend == "none" else Trend.of(data.points, is_linear=self.trend == "linear")
        return Model(vif, data, data.response.values, trend)


@dataclass(frozen=True)
class Trend:
    """The columns of a linear mean: 1, and the coordinates, in units in which those of the data are alike."""

    centre: NDArray[np.float64]
    scale: NDArray[np.float64]

    @classmethod
    def of(cls, points: NDArray[Any], *, is_linear: bool) -> Trend:
        """The trend at data."""
        used = np.asarray(points if is_linear else points[:, :0], np.float64)
        return cls(used.mean(axis=0), np.array([column.std() or 1.0 for column in used.T]))

    def __call__(self, points: NDArray[Any]) -> NDArray[np.float64]:
        columns = (np.asarray(points[:, : len(self.scale)], np.float64) - self.centre) / self.scale
        return np.column_stack([np.ones(len(points)), columns])


@dataclass(frozen=True)
class Model:
    """A process at points, and their response."""

    vif: VIF
    data: Table
    response: NDArray[Any]
    trend: Optional[Trend]

    def facts(self) -> dict[str, Any]:
        """Names and values for reports."""
        vif = self.vif
        return {
            "points": len(self.data.points), "dim": self.data.points.shape[1], "kernel": repr(vif.kernel),
            "noise": vif.noise, "neighbors": vif.n_neighbors, "inducing": len(vif.inducing_points),
        }  # fmt: skip

    def log_likelihood(self, *, gradient: bool, progress: ProgressReport) -> tuple[float, NDArray[np.float64] | None]:
        """The log likelihood, and its gradient if it is wanted."""
        trend = None if self.trend is None else self.trend(self.data.points)
        found = self.vif.log_likelihood(self.response, eval_gradient=gradient, trend=trend, progress=progress)
        return found if gradient else (found, None)

    def predict(
        self, new: NDArray[Any], *, latent: bool, progress: ProgressReport
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Means and variances at new points. Variances include those of the coefficients of a trend."""
        if self.trend is None:
            found: tuple[NDArray[np.float64], NDArray[np.float64]] = self.vif.predict(
                new, self.response, return_var=True, latent=latent, progress=progress
            )
            return found
        design, columns = self.trend(self.data.points), np.asarray(self.response, np.float64)
        coefficients, covariance = self.vif.trend(columns, design)
        means, variances = self.vif.predict(
            new, np.column_stack([columns, design]), return_var=True, latent=latent, progress=progress
        )
        # The part of the trend that the data around a point do not predict.
        rest = self.trend(new) - means[:, 1:]
        return means[:, 0] + rest @ coefficients, variances + ((rest @ covariance) * rest).sum(axis=1)


def likelihood(
    data: Path = _DATA,
    response: str = _RESPONSE,
    kernel: str = KERNEL,
    lengthscale: str = LENGTHSCALE,
    variance: float = VARIANCE,
    noise: float = _NOISE,
    trend: str = _TREND,
    gradient: bool = typer.Option(False, "--gradient", help="Also by log noise, log variance, log lengthscales."),
    neighbors: int = _NEIGHBORS,
    inducing: Optional[int] = INDUCING,
    ordering: str = ORDERING,
    sets: str = _SETS,
    array: Optional[str] = ARRAY,
    columns: Optional[str] = COLUMNS,
    header: Optional[bool] = HEADER,
    profile: Optional[str] = PROFILE,
    overrides: Optional[List[str]] = SET,
    threads: Optional[int] = THREADS,
    as_json: bool = JSON,
) -> None:
    """Compute the log likelihood of a response: a Gaussian process by the VIF approximation."""
    with named(coords=data, points=data), runtime_of(profile, overrides, threads):
        chosen = kernel_of(kernel, lengthscale, variance)
        process = Process(chosen, noise, neighbors, inducing, ordering, sets, trend)
        read = _read(data, response, array=array, columns=columns, header=header, as_json=as_json)
        start = time.perf_counter()
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
    data: Path = _DATA,
    new: Path = typer.Argument(..., help=f"New points: {READ}.", exists=True, dir_okay=False),
    out: Path = typer.Option(..., "--out", "-o", help="The .parquet, .csv or .npz to write."),
    response: str = _RESPONSE,
    kernel: str = KERNEL,
    lengthscale: str = LENGTHSCALE,
    variance: float = VARIANCE,
    noise: float = _NOISE,
    trend: str = _TREND,
    spread: str = typer.Option("sd", "--spread", help="Of the response: sd (standard deviation) or variance."),
    latent: bool = typer.Option(False, "--latent", help="Of the process, without the noise."),
    neighbors: int = _NEIGHBORS,
    inducing: Optional[int] = INDUCING,
    ordering: str = ORDERING,
    sets: str = _SETS,
    array: Optional[str] = ARRAY,
    columns: Optional[str] = COLUMNS,
    header: Optional[bool] = HEADER,
    profile: Optional[str] = PROFILE,
    overrides: Optional[List[str]] = SET,
    threads: Optional[int] = THREADS,
    as_json: bool = JSON,
) -> None:
    """Predict a response at new points: the mean and its spread, by the VIF approximation."""
    check_output(out, "--out", _WRITTEN)
    _arguments.choice(spread, "--spread", _SPREADS)
    with named(coords=data, points=data, new=new), runtime_of(profile, overrides, threads):
        chosen = kernel_of(kernel, lengthscale, variance)
        process = Process(chosen, noise, neighbors, inducing, ordering, sets, trend)
        # --header is for each of the two files that is text.
        given = None if is_text(new) and not is_text(data) else header
        read = _read(data, response, array=array, columns=columns, header=given, as_json=as_json)
        points = read_new(new, read, array=array, header=header)
        tell(f"{new}: {points}", as_json=as_json)
        names = _names_of_results(out, points if points.source.names else read, spread)
        start = time.perf_counter()
        with waiting("building") as progress:
            model = process.model(read, progress)
        with waiting("predicting") as progress:
            mean, variances = model.predict(points.points, latent=latent, progress=progress)
        seconds = time.perf_counter() - start
        results = {"mean": mean, spread: variances if spread == "variance" else np.sqrt(variances)}
        if names is None:
            write_arrays(out, **results)
        else:
            coordinates = points.points.astype(_arrays.float_dtype(points.points.dtype), copy=False)
            write_columns(out, {**dict(zip(names, coordinates.T)), **results})
    facts = {"file": str(out), "predictions": len(mean), **model.facts(), "seconds": seconds}
    report(facts, as_json=as_json, read=read, new=points)


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

"""Gaussian processes of a response: with their trend, and in files that predictions need alone.

A model is in a file of a Gaussian process, which :func:`covertreex.load` opens, with more sections: the response, from
which columns of the data the coordinates and the response were read, and the fit.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

import numpy as np
from numpy.typing import NDArray

from .. import _arguments, factory
from .._calls import ProgressReport
from .._capi import CoverTreeError
from .._tables.tables import Chosen, Columns, Response, Table
from ..kernels import Stationary
from ..vecchia import VIF, _inputs, calibrate
from ._fit_record import FIT, HISTORY, FitRecord

TRENDS = ("none", "constant", "linear")

_RESPONSE, _REGRESSION = "covertreex.response", "covertreex.regression"
# How a file of the library begins (docs/file-format.md).
_MAGIC = b"\x89CVT\r\n\x1a\n"


@dataclass(frozen=True)
class Trend:
    """The columns of a linear mean: 1, and the coordinates, in units in which those of the data are alike."""

    centre: NDArray[np.float64]
    scale: NDArray[np.float64]

    @classmethod
    def of(cls, points: NDArray[Any], kind: str) -> Optional[Trend]:
        """The trend at data: one of TRENDS."""
        if kind == "none":
            return None
        used = np.asarray(points if kind == "linear" else points[:, :0], np.float64)
        return cls(used.mean(axis=0), np.array([column.std() or 1.0 for column in used.T]))

    def __call__(self, points: NDArray[Any]) -> NDArray[np.float64]:
        columns = (np.asarray(points[:, : len(self.scale)], np.float64) - self.centre) / self.scale
        return np.column_stack([np.ones(len(points)), columns])

    def removed(self, points: NDArray[Any], response: NDArray[np.float64]) -> NDArray[np.float64]:
        """The response at data less its trend by ordinary least squares."""
        design = self(points)
        _inputs.precision(design, design, "trend")
        coefficients, *_ = np.linalg.lstsq(design, response, rcond=None)
        rest: NDArray[np.float64] = response - design @ coefficients
        return rest


@dataclass(frozen=True)
class Model:
    """A process at points, their response, the kind of its trend, and the fit that found it, if it is known."""

    vif: VIF
    data: Table
    trend: str
    record: Optional[FitRecord] = None

    @property
    def response(self) -> str:
        """The name of the response."""
        assert self.data.response is not None
        return self.data.response.name

    @property
    def observed(self) -> NDArray[np.float64]:
        """The response, (n,)."""
        return self.data.observed

    @property
    def source(self) -> str:
        """The name of the file of the data; of the model, if it does not have that."""
        return self.data.source.path.name if self.record is None else self.record.source

    @property
    def kernel(self) -> Stationary:
        """The kernel, which is one of this package."""
        kernel = self.vif.kernel
        assert isinstance(kernel, Stationary)
        return kernel

    @property
    def _trend(self) -> Optional[Trend]:
        return Trend.of(self.data.points, self.trend)

    @property
    def _design(self) -> Optional[NDArray[np.float64]]:
        """The columns of the trend at the data."""
        trend = self._trend
        return None if trend is None else trend(self.data.points)

    def facts(self) -> dict[str, Any]:
        """Names and values for reports."""
        vif = self.vif
        return {
            "points": len(self.data.points), "dim": self.data.points.shape[1], "kernel": repr(vif.kernel),
            "noise": vif.noise, "neighbors": vif.n_neighbors, "inducing": len(vif.inducing_points),
        }  # fmt: skip

    def by_coordinate(self, numbers: NDArray[np.float64]) -> dict[str, float]:
        """A number for each coordinate by its name, or by its position if names are not unique."""
        names = self.data.coordinates
        keys = names if len(set(names)) == len(names) else list(map(str, range(len(names))))
        return dict(zip(keys, numbers.tolist()))

    def trend_facts(self) -> dict[str, Any]:
        """The coefficients of the trend, in the units of the data."""
        trend = self._trend
        if trend is None:
            return {}
        coefficients, _ = self.vif.trend(self.observed, trend(self.data.points))
        slopes = coefficients[1:] / trend.scale
        found = {"constant": float(coefficients[0] - slopes @ trend.centre)}
        return {**found, "slopes": self.by_coordinate(slopes)} if len(slopes) else found

    def log_likelihood(
        self, *, gradient: bool = False, progress: Optional[ProgressReport] = None
    ) -> tuple[float, NDArray[np.float64] | None]:
        """The log likelihood, and its gradient if it is wanted."""
        found = self.vif.log_likelihood(self.observed, eval_gradient=gradient, trend=self._design, progress=progress)
        return found if gradient else (found, None)

    def leave_one_out(self, progress: ProgressReport) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Means and variances of each observation by all others, with the same hyperparameters."""
        found: tuple[NDArray[np.float64], NDArray[np.float64]] = self.vif.leave_one_out(
            self.observed, trend=self._design, progress=progress
        )
        return found

    def predict(
        self,
        new: NDArray[Any],
        *,
        latent: bool,
        calibrated: bool = False,
        n_neighbors: Optional[int] = None,
        progress: Optional[ProgressReport],
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Means and variances at new points. Variances include those of the coefficients of a trend.

        They are ``calibrated`` by the errors nearby if that is wanted. By default each prediction is conditioned on
        twice as many neighbours as a point of the data.
        """
        trend = self._trend
        design, new_design = self._design, None if trend is None else trend(new)
        mean, variance = self.vif.predict(
            new, self.observed, return_var=True, latent=latent, trend=design, new_trend=new_design,
            n_neighbors=2 * self.vif.n_neighbors if n_neighbors is None else n_neighbors, progress=progress,
        )  # fmt: skip
        if calibrated:
            variance *= calibrate(self.vif, self.observed, trend=design).factors(new)
        return mean, variance

    # Files

    def save(self, path: Path, progress: ProgressReport) -> None:
        """Write the model to a file, in one step."""
        data = self.data
        described = {
            "trend": self.trend, "response": self.response, "array": data.array, "names": list(data.source.names),
            "width": data.source.width, "numbers": list(data.chosen.numbers), "widths": list(data.widths),
        }  # fmt: skip
        text = np.frombuffer(json.dumps(described).encode(), np.uint8)
        fit = {} if self.record is None else self.record.sections()
        self.vif._save(path, {_RESPONSE: self.observed, _REGRESSION: text, **fit}, progress)

    @classmethod
    def load(cls, path: Path) -> Model:
        """Open a file that :meth:`save` wrote."""
        if not is_of_library(path):
            raise ValueError(f"{path}: expected a model that covertreex fit wrote, got another file")
        opened = factory.load(path)
        found = cls.of(opened, path) if isinstance(opened, VIF) else None
        if found is None:
            got = f"a {type(opened).__name__}" + " without a response" * isinstance(opened, VIF)
            raise ValueError(f"{path}: expected a model that covertreex fit wrote, got {got}")
        return found

    @classmethod
    def of(cls, vif: VIF, path: Path) -> Optional[Model]:
        """The model that a process was loaded from; None if the file has no response."""
        found = vif._file.sections(_RESPONSE, _REGRESSION, FIT, HISTORY)
        if not found:
            return None
        with _naming(path, _REGRESSION, _RESPONSE):
            described = _Described(**json.loads(found[_REGRESSION].tobytes()))
            data = described.table(path, vif._coords, found[_RESPONSE])
            if isinstance(vif.noise, np.ndarray):
                raise ValueError("noise: expected one variance of all points, got one of each")
        with _naming(path, FIT, HISTORY):
            return cls(vif, data, described.trend, FitRecord.of(vif, found))


@contextlib.contextmanager
def _naming(path: Path, *sections: str) -> Iterator[None]:
    """Name the sections of a file in errors of what reads them."""
    try:
        yield
    except (ValueError, TypeError, KeyError, RecursionError) as error:  # the last one by JSON that is nested
        named = " or ".join(map(repr, sections))
        raise CoverTreeError(f"{path}: section {named} is damaged: {error}") from error


@dataclass(frozen=True)
class _Described:
    """The trend of a model and the columns of its data, out of a file, which may have anything."""

    trend: str
    response: str  #: its name
    array: Optional[str]
    names: list[str]  #: of all columns; empty if they have none
    width: int  #: how many columns there are
    numbers: list[int]  #: of the columns that are coordinates
    widths: list[int]  #: coordinates in each of them; empty if it is one in each

    def __post_init__(self) -> None:
        _arguments.choice(self.trend, "trend", TRENDS)
        _arguments.instance(self.response, "response", (str,))
        if self.array is not None:
            _arguments.instance(self.array, "array", (str,))
        for values, name, kind in [
            (self.names, "names", str), (self.numbers, "numbers", int), (self.widths, "widths", int)
        ]:  # fmt: skip
            for value in _arguments.instance(values, name, (list,)):
                _arguments.instance(value, name, (kind,))
        if len(self.names) not in {0, _arguments.instance(self.width, "width", (int,))}:
            raise ValueError(f"names: expected {self.width}, got {len(self.names)}")
        if not all(0 <= number < self.width for number in self.numbers):
            raise ValueError(f"numbers: expected numbers below {self.width}, got others")

    def table(self, path: Path, points: NDArray[Any], response: NDArray[Any]) -> Table:
        """The data as they were read, but for columns that a model does not use."""
        n, dim = points.shape
        widths = self.widths or [1] * len(self.numbers)
        if len(widths) != len(self.numbers) or min(widths) < 1 or sum(widths) != dim:
            raise ValueError(f"widths: expected {dim} coordinates in {len(self.numbers)} columns, got {sum(widths)}")
        if response.dtype != np.float64 or response.shape != (n,) or not np.isfinite(response).all():
            raise ValueError(f"response: expected {n} finite numbers, got others")
        source = Columns(path, self.names, self.width)
        named = Response(self.response, response)
        return Table(points, source, Chosen(self.numbers), array=self.array, widths=self.widths, response=named)


def is_of_library(path: Path) -> bool:
    """Whether a file begins as those that the library writes."""
    if not path.is_file():  # a pipe is read only once
        return False
    with path.open("rb") as file:
        return file.read(len(_MAGIC)) == _MAGIC

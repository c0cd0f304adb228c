"""Fits in files: their course, their bounds and their warnings, which the model that they found does not have."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Optional

import numpy as np
from numpy.typing import NDArray

from .. import _arguments, _arrays
from .._tables import tables
from ..kernels import Stationary
from ..vecchia import VIF, Fit, FitStep

Floats = NDArray[np.float64]

#: The sections of a file.
FIT, HISTORY = "covertreex.fit", "covertreex.history"
# The columns of the history; the hyperparameters follow them.
_COUNTS = ("iteration", "n_refits", "n_points", "n_evaluations")
_NUMBERS = ("seconds", "log_likelihood", "best")
_STOPPED = ("converged", "max_iterations", "interrupted", "failed")
# Integers up to here are float64 numbers.
_MOST = 2**53


@dataclass(frozen=True)
class FitRecord:
    """A fit, and the name of the file of its data."""

    fit: Fit
    source: str

    def warnings(self, coordinates: list[str]) -> list[str]:
        """Of the fit, with the names of coordinates in place of their numbers."""

        def named(found: re.Match[str]) -> str:
            number = int(found[1])
            return f"lengthscale of {tables.shown(coordinates[number])}" if number < len(coordinates) else found[0]

        return [re.sub(r"\blengthscale\[(\d{1,9})\]", named, message) for message in self.fit.messages]

    def sections(self) -> dict[str, NDArray[Any]]:
        """Arrays for a file, by their names."""
        described = json.dumps(dataclasses.asdict(_Described.of(self)), allow_nan=False)
        steps = [
            [*(getattr(step, name) for name in (*_COUNTS, *_NUMBERS)), *step.theta.tolist()]
            for step in self.fit.history
        ]  # fmt: skip
        return {FIT: np.frombuffer(described.encode(), np.uint8), HISTORY: np.array(steps, np.float64)}

    @classmethod
    def of(cls, vif: VIF, sections: Mapping[str, NDArray[Any]]) -> Optional[FitRecord]:
        """The fit that found a model, out of a file, which may have anything: ValueError, TypeError or KeyError.

        None if the file has no fit, as files from before version 1.0.0 of covertreex have none.
        """
        if FIT not in sections and HISTORY not in sections:
            return None
        described = _Described(**json.loads(sections[FIT].tobytes()))
        kernel = vif.kernel
        size = 2 + np.size(kernel.lengthscale) if isinstance(kernel, Stationary) else 0
        return described.record(vif, size, _steps(sections[HISTORY], size, len(vif.order)))


@dataclass(frozen=True)
class _Described:
    """All of a fit but its model and its history."""

    source: str
    log_likelihood: float
    theta: list[float]
    bounds: list[list[float]]
    sets_theta: list[float]
    iterations: int
    evaluations: int
    refits: int
    seconds: float
    stopped: str
    messages: list[str]

    def __post_init__(self) -> None:
        _arguments.instance(self.source, "source", (str,))
        _arguments.choice(self.stopped, "stopped", _STOPPED)
        for name in ("iterations", "evaluations", "refits"):
            _arrays.integer(getattr(self, name), name, minimum=0, maximum=_MOST)
        for message in _arguments.instance(self.messages, "messages", (list,)):
            _arguments.instance(message, "messages", (str,))

    @classmethod
    def of(cls, record: FitRecord) -> _Described:
        fit = record.fit
        return cls(
            record.source, fit.log_likelihood, fit.theta.tolist(), fit.bounds.tolist(), fit.sets_theta.tolist(),
            fit.n_iterations, fit.n_evaluations, fit.n_refits, fit.seconds, fit.stopped, list(fit.messages),
        )  # fmt: skip

    def record(self, vif: VIF, size: int, history: list[FitStep]) -> FitRecord:
        """The fit of a model with this number of hyperparameters."""
        bounds = _finite(self.bounds, "bounds", (size, 2))
        if (bounds[:, 0] > bounds[:, 1]).any():
            raise ValueError("bounds: expected ascending pairs, got others")
        fit = Fit(
            model=vif, log_likelihood=float(_finite(self.log_likelihood, "log_likelihood", ())),
            theta=_finite(self.theta, "theta", (size,)), noise=float(vif.noise), bounds=bounds,
            sets_theta=_finite(self.sets_theta, "sets_theta", (size,)), history=history, n_iterations=self.iterations,
            n_evaluations=self.evaluations, n_refits=self.refits, seconds=float(_finite(self.seconds, "seconds", ())),
            stopped=self.stopped, messages=tuple(self.messages),
        )  # fmt: skip
        return FitRecord(fit, self.source)


def _finite(given: Any, name: str, shape: tuple[int, ...]) -> Floats:
    values = np.asarray(_arrays.real(given, name), np.float64)
    if values.shape != shape or not np.isfinite(values).all():
        raise ValueError(f"{name}: expected finite numbers of shape {shape}, got others")
    return values


def _steps(rows: NDArray[Any], size: int, n: int) -> list[FitStep]:
    """The steps of a fit with this number of hyperparameters to n points."""
    width = len(_COUNTS) + len(_NUMBERS) + size
    if rows.dtype != np.float64 or rows.ndim != 2 or rows.shape[1] != width or not len(rows):
        raise ValueError(f"history: expected steps of {width} numbers, got others")
    # Before there is a likelihood of all data, the best one is minus infinity.
    best = rows[:, len(_COUNTS) + _NUMBERS.index("best")]
    if not (np.isfinite(rows).sum(axis=1) + (best == -np.inf) == width).all():
        raise ValueError("history: expected finite numbers, got others")
    counts = rows[:, : len(_COUNTS)]
    if not ((counts >= 0) & (counts <= _MOST) & (counts == np.floor(counts))).all():
        raise ValueError("history: expected counts, got others")
    points = counts[:, _COUNTS.index("n_points")]
    if not ((points >= 1) & (points <= n)).all():
        raise ValueError(f"history: expected steps with 1 to {n} points, got others")
    return [
        FitStep(
            **dict(zip(_COUNTS, map(int, row))), **dict(zip(_NUMBERS, row[len(_COUNTS) :])),
            theta=np.array(row[width - size :]),
        )
        for row in rows.tolist()
    ]  # fmt: skip

"""Options that commands have in common."""

from __future__ import annotations

import importlib.util
import os
import sys
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Callable

import typer
from numpy.typing import NDArray

from .. import _arguments
from .._settings import Activation, Runtime
from ..kernels import BY_NAME, Stationary
from ..tree import CompiledMetric
from ..tree._metric import CHOICES
from ._tables import READ, is_readable, read_points

PROFILE = typer.Option(None, "--profile", help="Settings to begin with; see covertreex profile.")
SET = typer.Option(None, "--set", help="A setting, as in residual.n_inducing=256.")
THREADS = typer.Option(None, "--threads", min=1, max=1024, help="By default all.")
JSON = typer.Option(False, "--json", help="Print JSON.")

# Of trees

METRIC = typer.Option(None, "--metric", help=f"{', '.join(CHOICES)}.")
METRIC_PARAMS = typer.Option(
    None, "--metric-param", help="Of the metric, as in p=3, w=1,2,0.5, unit=degrees or VI=matrix.csv."
)
PERIOD = typer.Option(None, "--period", help="Of each coordinate: one, or one for each with commas; inf without one.")

FUNCTION = typer.Option(None, "--function", help="The function of a MetricTree, module:name, from this folder, too.")

# Of files of points

ARRAY = typer.Option(None, "--array", help="Which array of an .npz.")
COLUMNS = typer.Option(None, "--columns", help="Which columns: names or numbers from 0, with commas.")
HEADER = typer.Option(
    None, "--header/--no-header", help="Whether the first line of text has names; by default the text decides."
)

# Of a response

RESPONSE_HELP = "The column of the response: a name, or a number from 0; or an array of an .npz."
DATA = typer.Argument(..., help=f"Points and their response: {READ}.", exists=True, dir_okay=False)
RESPONSE = typer.Option(..., "--response", help=RESPONSE_HELP)

# Of Gaussian processes

KERNEL = typer.Option("matern52", "--kernel", help=f"{', '.join(BY_NAME)}.")
LENGTHSCALE = typer.Option("1", "--lengthscale", help="One, or one for each column, with commas.")
VARIANCE = typer.Option(1.0, "--variance", help="Of the kernel.")
INDUCING = typer.Option(None, "--inducing", help="Inducing points; by default 512.")
ORDERING = typer.Option("maxmin", "--ordering", help="maxmin, random or natural.")
NEIGHBORS = typer.Option(30, "--neighbors", min=0, help="Points that each one is conditioned on.")
SETS = typer.Option("residual", "--sets", help="Nearest by residual correlation, or euclidean: over the lengthscales.")


def kernel_of(name: str, lengthscale: str, variance: float) -> Stationary:
    """Return the kernel that the options name."""
    if name not in BY_NAME:
        raise ValueError(f"--kernel: expected one of {', '.join(BY_NAME)}, got {name!r}")
    return BY_NAME[name](lengthscale=numbers(lengthscale, "--lengthscale"), variance=variance)


def metric_of(metric: str | None, parameters: list[str] | None, period: str | None) -> dict[str, Any]:
    """The arguments of :func:`covertreex.cover_tree` for the metric that the options name."""
    given: dict[str, Any] = {}
    for one in parameters or ():
        key, equals, value = one.partition("=")
        if not equals:
            raise ValueError(f"--metric-param: expected a name, = and a value, got {one!r}")
        option = f"--metric-param {key}"
        if metric == "mahalanobis":
            given[key] = _matrix(value, option)
        else:
            given[key] = value if key == "unit" else numbers(value, option)
    return {
        "metric": metric, "metric_params": given or None,
        "period": None if period is None else numbers(period, "--period"),
    }  # fmt: skip


def function_of(text: str | None) -> Callable[..., Any] | CompiledMetric | None:
    """The function that the option names. As for ``python -m``, modules may be in the working folder."""
    if text is None:
        return None
    module, _, name = text.partition(":")
    if not module or not name:
        raise ValueError(f"--function: expected module:name, got {text!r}")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"--function: expected module:name, got {text!r}: {error}") from None
    if not (callable(found) or isinstance(found, CompiledMetric)):
        raise ValueError(f"--function: expected a function, got {type(found).__name__}")
    return found


def _matrix(path: str, option: str) -> NDArray[Any]:
    """The matrix in a file."""
    if not is_readable(Path(path)):
        raise ValueError(f"{option}: expected a file of a matrix ({READ}), got {path!r}")
    return read_points(Path(path)).points


def numbers(text: str, option: str) -> float | list[float]:
    """A number, or several with commas."""
    try:
        found = [float(one) for one in text.split(",")]
    except ValueError:
        raise ValueError(f"{option}: expected numbers with commas, got {text!r}") from None
    return found[0] if len(found) == 1 else found


def need_scipy(command: str) -> None:
    """Raise before any work if SciPy is missing."""
    if importlib.util.find_spec("scipy") is None:
        raise ImportError(f"{command}: needs SciPy: pip install scipy")


def runtime_of(profile: str | None, overrides: list[str] | None, threads: int | None) -> Activation:
    """Activate settings from options, as a context manager."""
    with _arguments.renamed(name="--profile", overrides="--set"):
        if profile is not None:
            runtime = Runtime.from_profile(profile, overrides or ())
        else:
            runtime = Runtime.from_config(Runtime().to_config().with_overrides(overrides or ()))
    return (runtime if threads is None else runtime.with_updates(threads=threads)).activate()


def named(**files: Path | None) -> AbstractContextManager[None]:
    """Have errors name options as they are written on the command line, and for ``files`` the file of an argument."""
    same = ("metric", "period", "kernel", "lengthscale", "variance", "noise", "ordering", "trend", "seed", "m", "k")
    options = {name: f"--{name}" for name in same}
    inner = {
        "n_inducing": "--inducing", "metric_params": "--metric-param", "r": "--radius", "n_neighbors": "--neighbors",
        "neighbors": "--sets", "y": "--response", "design": "--trend", "mutual_k": "--mutual-k",
        "radii": "--count", "VI": "--metric-param VI", "V": "--metric-param V",
    }  # fmt: skip
    return _arguments.renamed(
        **options, **inner, **{name: str(path) for name, path in files.items() if path is not None}
    )

"""Commands on settings and records: doctor, profile, telemetry."""

from __future__ import annotations

import dataclasses
import functools
import operator
import os
import platform
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any, Optional

import numpy as np
import typer

from .. import __version__, _capi, _telemetry
from .._bench import truth
from .._settings import PROFILES, Runtime, environment_names
from ..factory import cover_tree
from ..kernels import Matern52
from ..residual import ResidualTree
from ._options import JSON
from ._output import console, say, say_rows, shown

_EXTRAS = ("numba", "scipy", "scikit-learn", "matplotlib", "pyarrow", "typer", "rich")
_FORMATS = ("table", "json", "markdown")

profiles = typer.Typer(help="Settings that go together.", no_args_is_help=True)
records = typer.Typer(help="Records of calls.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(doctor)
    app.add_typer(profiles, name="profile")
    app.add_typer(records, name="telemetry")


@profiles.command("list")
def list_profiles(as_json: bool = JSON) -> None:
    """List the profiles."""
    say_rows([{"name": one.name, "purpose": one.purpose} for one in PROFILES.values()], as_json=as_json)


@profiles.command("show")
def show_profile(
    name: str = typer.Argument(..., help="One of those that list shows."),
    as_json: bool = JSON,
) -> None:
    """Show the settings of a profile, and the environment variable of each."""
    config = Runtime.from_profile(name).to_config().as_dict()
    if as_json:
        say(config, as_json=True)
        return
    rows = []
    for variable, path in environment_names().items():
        value = functools.reduce(operator.getitem, path.split("."), config)
        rows.append({"setting": path, "value": str(value), "variable": variable})
    say_rows(rows, as_json=False, title=PROFILES[name].purpose)


@records.command("render")
def render(
    log: Path = typer.Argument(..., help="What diagnostics.log_file named.", exists=True, dir_okay=False),
    form: str = typer.Option("table", "--format", help=f"{', '.join(_FORMATS)}."),
    calls: bool = typer.Option(False, "--calls", help="Every call, in place of sums."),
) -> None:
    """Sum up a log by kind and operation."""
    if form not in _FORMATS:
        raise ValueError(f"--format: expected one of {', '.join(_FORMATS)}, got {form!r}")
    read = _telemetry.read(log)
    rows = [dataclasses.asdict(one) for one in (read if calls else _telemetry.summarise(read))]
    if form != "markdown":
        say_rows(rows if form == "json" else map(_for_people, rows), as_json=form == "json")
        return
    for line in _markdown(list(map(_for_people, rows))):
        print(line)


def _for_people(row: dict[str, Any]) -> dict[str, Any]:
    """A row that fits a line: parts of the time as shares of it."""
    phases, counts, seconds = row["phases"], row["counts"], row["seconds"] or 1.0
    shares = ", ".join(f"{name} {value / seconds:.0%}" for name, value in phases.items())
    hidden = ("kind", "operation", "started", "phases", "counts")
    shown = {name: value for name, value in row.items() if name not in hidden}
    call = f"{row['kind']}.{row['operation']}"
    return {"call": call, **shown, "phases": shares, "exact": counts.get("exact"), "pruned": counts.get("pruned")}


def _markdown(rows: list[dict[str, Any]]) -> list[str]:
    if not rows:
        return []
    names = list(rows[0])
    lines = ["| " + " | ".join(name.replace("_", " ") for name in names) + " |", "| " + "--- | " * len(names)]
    return lines + ["| " + " | ".join(shown(row[name]) for name in names) + " |" for row in rows]


def doctor(as_json: bool = JSON) -> None:
    """Describe this installation, and check its results. The exit code is 1 if a check fails."""
    flags = _of_processor("flags").split()
    facts: dict[str, Any] = {
        "covertreex": __version__,
        "library": _capi.build_info(),
        "library_path": _capi.library_path(),
        "processor": _of_processor("model name") or platform.processor(),
        "processors": os.cpu_count(),
        "threads": _capi.get_num_threads(),
        "avx2": "avx2" in flags,
        "avx512": "avx512f" in flags,
        "python": platform.python_version(),
        "numpy": np.__version__,
        **{name: _version(name) for name in _EXTRAS},
        "environment": {name: value for name, value in os.environ.items() if name.startswith("COVERTREE")},
    }
    checks = {name: _outcome(check) for name, check in _CHECKS.items()}
    say({**facts, "checks": checks} if as_json else facts, as_json=as_json)
    if not as_json:
        for name, outcome in checks.items():
            console.print(f"[{'green' if outcome == 'ok' else 'red'}]{outcome:>4}[/] {name}", highlight=False)
    if any(outcome != "ok" for outcome in checks.values()):
        sys.exit(1)


def _outcome(check: Callable[[], bool]) -> str:
    try:
        return "ok" if check() else "wrong"
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def _neighbors_are_exact() -> bool:
    points = np.random.default_rng(0).random((2000, 3))
    tree = cover_tree(points, metric="euclidean", engine="native")
    return truth.euclidean(points, points[:100], 5).recall(tree.knn(5, queries=np.arange(100))) == 1


def _residuals_are_exact() -> bool:
    points = np.random.default_rng(1).random((600, 2))
    tree = ResidualTree(points, kernel=Matern52(lengthscale=0.3), n_inducing=50, engine="native")
    return truth.residual(tree, points, None, 1, most=600).recall(tree.knn(1, predecessor_mode=True)) == 1


def _rules_hold() -> bool:
    return cover_tree(np.random.default_rng(2).random((2000, 2)), metric="euclidean", engine="native").validate()


def _threads_agree() -> bool:
    points = np.random.default_rng(3).random((20_000, 3))
    one = cover_tree(points, metric="euclidean", n_threads=1).knn(8, n_threads=1)
    return bool(np.array_equal(one, cover_tree(points, metric="euclidean").knn(8)))


_CHECKS: dict[str, Callable[[], bool]] = {
    "neighbours are those of a brute force": _neighbors_are_exact,
    "neighbours by residual correlation, too": _residuals_are_exact,
    "the rules of a cover tree hold": _rules_hold,
    "one thread and many agree": _threads_agree,
}


def _of_processor(name: str) -> str:
    """A field of the first processor in Linux."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.partition(":")[0].strip() == name:
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return ""


def _version(package: str) -> Optional[str]:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None

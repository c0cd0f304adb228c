"""The command bench."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any, List, Optional

import typer

from .._bench import workloads
from ._options import JSON, PROFILE, SET, THREADS, runtime_of
from ._output import say_rows, waiting


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(bench)


def bench(
    workload: Optional[str] = typer.Argument(None, help="Its name; without one they are listed."),
    peers: str = typer.Option("", "--peers", help=f"With commas: {', '.join(list(workloads.CONTENDERS)[1:])}."),
    scale: float = typer.Option(1.0, "--scale", min=0.001, max=100.0, help="Points and queries, times this."),
    turns: int = typer.Option(3, "--turns", min=0, help="Searches after the first; the median counts."),
    compare: Optional[Path] = typer.Option(None, "--compare", help="What --json printed before.", exists=True),
    profile: Optional[str] = PROFILE,
    overrides: Optional[List[str]] = SET,
    threads: Optional[int] = THREADS,
    as_json: bool = JSON,
) -> None:
    """Measure covertreex and others on a named workload, with the recall against the float64 truth."""
    if workload is None:
        say_rows([{"name": one.name, "workload": one.title} for one in workloads.WORKLOADS.values()], as_json=as_json)
        return
    if workload not in workloads.WORKLOADS:
        raise ValueError(f"workload: expected one of {', '.join(workloads.WORKLOADS)}, got {workload!r}")
    who = ["covertreex", *filter(None, (one.strip() for one in peers.split(",")))]
    for one in who:
        if one not in workloads.CONTENDERS:
            raise ValueError(f"--peers: expected some of {', '.join(workloads.CONTENDERS)}, got {one!r}")
    before = {} if compare is None else _read(compare)
    with runtime_of(profile, overrides, threads), waiting(workload) as progress:
        results = workloads.run(workload, scale=scale, who=who, turns=turns, report=progress)
    rows: list[dict[str, Any]] = [dataclasses.asdict(one) for one in results]
    for row in rows:
        known = before.get((row["workload"], row["who"], row["n_points"]))
        if compare is not None:
            row["times_before"] = row["queries_per_second"] / known if known else None
    if not as_json:
        rows = [{name: value for name, value in row.items() if name != "workload"} for row in rows]
    say_rows(rows, as_json=as_json, title=workloads.WORKLOADS[workload].title)


def _read(path: Path) -> dict[tuple[Any, Any, Any], float]:
    """Queries a second of an earlier run, by workload, contender and number of points."""
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
        return {(row["workload"], row["who"], row["n_points"]): row["queries_per_second"] for row in rows}
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{path}: expected the output of bench --json: {type(error).__name__}: {error}") from None

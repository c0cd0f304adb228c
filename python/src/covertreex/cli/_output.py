"""Output of commands: tables for people, JSON for programs, a bar while they wait."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NoReturn

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from .._calls import ProgressReport
from .._tables import tables

# Lines that a program reads are not to be broken.
console = Console(width=None if sys.stdout.isatty() else 200)
errors = Console(stderr=True)


def fail(error: BaseException) -> NoReturn:
    """End with the error in one line."""
    text = str(error).strip() or type(error).__name__
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        text = f"{error.filename}: {error.strerror}"
    print("covertreex: " + " ".join(text.split()), file=sys.stderr)
    sys.exit(1)


def warn(message: str) -> None:
    """Print a warning, apart from the results."""
    print(f"covertreex: warning: {' '.join(message.split())}", file=sys.stderr)


@contextlib.contextmanager
def waiting(what: str) -> Iterator[ProgressReport]:
    """Show a bar on the terminal, which is updated by the share that is done."""
    percent = TextColumn("{task.percentage:3.0f} %")
    columns = (TextColumn("{task.description}"), BarColumn(), percent, TimeElapsedColumn())
    with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as progress:
        task = progress.add_task(what, total=1.0)
        yield lambda share: progress.update(task, completed=share)


def say(facts: Mapping[str, Any], *, as_json: bool, title: str | None = None) -> None:
    """Print names and values."""
    if as_json:
        print(json.dumps(plain(facts), indent=2))
        return
    table = Table(show_header=False, box=None, title=title, title_justify="left")
    for name, value in facts.items():
        table.add_row(name.replace("_", " "), escape(shown(value)))  # names of columns have brackets, too
    console.print(table)


def report(facts: Mapping[str, Any], *, as_json: bool, **read: tables.Table | None) -> None:
    """Print names and values. People have seen how tables were read; programs find it here, by the given names."""
    if as_json:
        there = {name: {"file": str(one.source.path), **one.facts()} for name, one in read.items() if one is not None}
        facts = {**facts, **there}
    say(facts, as_json=as_json)


def tell(line: str, *, as_json: bool) -> None:
    """Print a line at once, before long work; programs that read JSON find the same there."""
    if not as_json:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def say_rows(rows: Iterable[Mapping[str, Any]], *, as_json: bool, title: str | None = None) -> None:
    """Print rows of names and values."""
    listed = list(rows)
    if as_json:
        print(json.dumps(plain(listed), indent=2))
        return
    names = list(dict.fromkeys(name for row in listed for name in row))
    table = Table(title=title, title_justify="left", header_style="bold")
    for name in names:
        numeric = all(isinstance(row.get(name), (int, float, type(None))) for row in listed)
        table.add_column(name.replace("_", " "), justify="right" if numeric else "left", overflow="fold")
    for row in listed:
        table.add_row(*(shown(row.get(name)) for name in names))
    console.print(table)


def shown(value: Any) -> str:
    """Write a value for people."""
    if value is None or isinstance(value, bool):
        return {None: "", True: "yes", False: "no"}[value]
    if isinstance(value, (int, np.integer)):
        return f"{value:,}"
    if isinstance(value, (float, np.floating)):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    if isinstance(value, Mapping):
        value = [f"{name} {shown(one)}" for name, one in value.items()]
    return ", ".join(map(shown, value)) if isinstance(value, (list, tuple)) else str(value)


def plain(value: Any) -> Any:
    """Convert a value for JSON."""
    if isinstance(value, Mapping):
        return {str(name): plain(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    return value

"""Tables in Markdown."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any


def spaced(n: int) -> str:
    """A number with spaces between thousands."""
    return f"{n:_}".replace("_", " ")


def cell(row: Mapping[str, Any], key: str, form: str = ",.1f", scale: float = 1) -> str:
    """A figure of a row; nothing if the row does not have it."""
    value = row.get(key)
    return "" if value is None else f"{value * scale:{form}}"


def table(
    head: Sequence[str], rows: Iterable[Sequence[str]], n_words: int = 2
) -> list[str]:
    """Lines of a table, of which the first columns have words and the others figures."""
    rule = ["---"] * n_words + ["---:"] * (len(head) - n_words)
    return [f"| {' | '.join(line)} |" for line in (head, rule, *rows)]


def titled(names: Iterable[str], title: str) -> Iterable[tuple[str, str]]:
    """Names of a group of rows; the first has the title of the group."""
    for number, name in enumerate(names):
        yield (title if number == 0 else ""), name


def machine() -> str:
    """The processor, and how many of it there are."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    models = (
        line.split(":")[1].strip() for line in lines if line.startswith("model name")
    )
    return f"{next(models, 'unknown')}, {len(os.sched_getaffinity(0))} cores, Python {platform.python_version()}"


def write(path: Path, text: str, results: Any = None) -> None:
    """Write the text to ``path.md``, and the figures, if there are any, to ``path.json``."""
    path.with_suffix(".md").write_text(text + "\n", encoding="utf-8")
    if results is not None:
        path.with_suffix(".json").write_text(
            json.dumps(results, indent=1) + "\n", encoding="utf-8"
        )

"""Cases that run in processes of their own, in turns, so that memory is their own and noise meets all alike."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

Figures = dict[str, Any]

# Seconds that a case may take.
PATIENCE = 1800


def printed(figures: Figures) -> None:
    """Tell `once` what a case measured."""
    print(json.dumps(figures))


def once(script: str, arguments: Sequence[str], patience: float = PATIENCE) -> Figures:
    """Run a case in a process of its own: what it measured, or an `error`."""
    try:
        done = subprocess.run(
            [sys.executable, script, *arguments],
            check=False,
            capture_output=True,
            text=True,
            timeout=patience,
            env={**os.environ},
        )
    except subprocess.TimeoutExpired:
        return {"error": f"not done in {patience:.0f} s"}
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"ended by {-done.returncode}"]
        return {"error": lines[-1]}
    return json.loads(done.stdout.splitlines()[-1])


def medians(results: Sequence[Figures]) -> Figures:
    """One row of several turns: the median of each figure, and the least recall."""
    row = {}
    for key, value in results[0].items():
        values = [result.get(key) for result in results]
        if not isinstance(value, (int, float)) or None in values:
            row[key] = value
        else:
            row[key] = min(values) if key == "recall" else statistics.median(values)
    return row


def in_turns(
    script: str,
    case: str,
    peers: Iterable[str],
    n_turns: int,
    options: Sequence[str] = (),
) -> dict[str, Figures]:
    """Run a case for all peers, turn by turn; one row each."""
    peers = list(peers)
    turns: dict[str, list[Figures]] = {peer: [] for peer in peers}
    failed: dict[str, str] = {}
    for _ in range(n_turns):
        for peer in peers:
            if peer in failed:
                continue
            result = once(script, ["--case", case, "--peer", peer, *options])
            if "error" in result:
                failed[peer] = result["error"]
                print(f"  {peer}: {result['error']}", file=sys.stderr, flush=True)
            else:
                turns[peer].append(result)
    rows = {}
    for peer in peers:
        rows[peer] = {"error": failed[peer]} if peer in failed else medians(turns[peer])
        told = (f"{key} {shown(value)}" for key, value in rows[peer].items())
        print(f"  {peer:18}", *told, flush=True)
    return rows


def shown(value: Any) -> str:
    """A figure in a few digits."""
    return f"{value:,.4g}" if isinstance(value, (int, float)) else str(value)


def spaced(n: int) -> str:
    """A number with spaces between thousands."""
    return f"{n:_}".replace("_", " ")


def cell(row: Figures, key: str, form: str = ",.1f", scale: float = 1) -> str:
    """A figure of a row as Markdown; nothing where there is none."""
    value = row.get(key)
    return "" if value is None else f"{value * scale:{form}}"


def table(
    head: Sequence[str], rows: Iterable[Sequence[str]], n_words: int = 2
) -> list[str]:
    """Lines of a Markdown table, of which the first columns have words and the others figures."""
    rule = ["---"] * n_words + ["---:"] * (len(head) - n_words)
    return [f"| {' | '.join(line)} |" for line in (head, rule, *rows)]


def titled(names: Iterable[str], title: str) -> Iterable[tuple[str, str]]:
    """Names of a group of rows, with the group's title beside the first."""
    for place, name in enumerate(names):
        yield (title if place == 0 else ""), name


def write(name: str, text: str, results: Any) -> None:
    """Write the table and the figures beside this file."""
    here = Path(__file__).parent
    (here / f"{name}.json").write_text(json.dumps(results, indent=1) + "\n")
    (here / f"{name}.md").write_text(text + "\n")


def seconds(
    work: Callable[[], Any], at_least: float = 0.3, most: int = 5
) -> tuple[float, Any]:
    """Seconds of the fastest run, and the result of the last: no run begins after `at_least` seconds, or `most` runs."""
    least, spent, result = float("inf"), 0.0, None
    for _ in range(most):
        start = time.perf_counter()
        result = work()
        took = time.perf_counter() - start
        least, spent = min(least, took), spent + took
        if spent > at_least:
            break
    return least, result


def best(work: Callable[[], Any], turns: int) -> float:
    """Seconds of the fastest of `turns` runs."""
    return seconds(work, float("inf"), turns)[0]

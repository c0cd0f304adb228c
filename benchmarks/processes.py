"""Cases that run in processes of their own, in turns, so that memory is their own and noise meets all alike."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

Figures = dict[str, Any]


def options(doc: str | None, turns: int = 0) -> argparse.ArgumentParser:
    """The options of a benchmark, with its number of turns; a process for one case has ``--case`` and ``--peer``."""
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--quick", action="store_true", help="less of everything; write nothing"
    )
    if turns:
        parser.add_argument("--turns", type=int, default=turns)
    parser.add_argument("--case", help=argparse.SUPPRESS)
    parser.add_argument("--peer", help=argparse.SUPPRESS)
    return parser


def once(
    script: str,
    arguments: Sequence[str],
    *,
    python: str = sys.executable,
    environment: Mapping[str, str] | None = None,
    patience: float = 1800,
) -> Figures:
    """Run a case in a process of its own: the figures that it prints as JSON in its last line, or an `error`."""
    try:
        done = subprocess.run(
            [python, script, *arguments],
            check=False,
            capture_output=True,
            text=True,
            timeout=patience,
            env={**(os.environ if environment is None else environment)},
        )
    except subprocess.TimeoutExpired:
        return {"error": f"not done in {patience:.0f} s"}
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"ended by {-done.returncode}"]
        return {"error": lines[-1]}
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    return figures


def in_turns(
    peers: Iterable[str], n_turns: int, run: Callable[[str], Figures]
) -> dict[str, Figures]:
    """Run all peers, turn by turn; one row each, with the median of each figure. A peer that fails has an `error`."""
    turns: dict[str, list[Figures]] = {peer: [] for peer in peers}
    rows: dict[str, Figures] = {}
    for _ in range(n_turns):
        for peer, done in turns.items():
            if peer not in rows:
                done.append(run(peer))
                if "error" in done[-1]:
                    rows[peer] = done[-1]
    for peer, done in turns.items():
        row = rows.setdefault(peer, _median_of(done))
        print(
            f"  {peer:18}",
            *(f"{key} {_shown(value)}" for key, value in row.items()),
            flush=True,
        )
    return {peer: rows[peer] for peer in turns}


def _median_of(results: Sequence[Figures]) -> Figures:
    """The median of each figure, and the least recall."""
    row = dict(results[0])
    for key in row:
        values: list[Any] = [result.get(key) for result in results]
        if all(isinstance(value, (int, float)) for value in values):
            row[key] = min(values) if key == "recall" else statistics.median(values)
    return row


def _shown(value: Any) -> str:
    return f"{value:,.4g}" if isinstance(value, (int, float)) else str(value)

"""How long work takes, and how much memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

Result = TypeVar("Result")


def timed(work: Callable[[], Result], clock: Callable[[], float] = time.perf_counter) -> tuple[float, Result]:
    """Seconds of one run, and its result. With ``time.process_time`` the seconds of all threads are added."""
    start = clock()
    result = work()
    return clock() - start, result


def fastest(work: Callable[[], Result], spend: float = 0.3, most: int = 5) -> tuple[float, Result]:
    """Seconds of the fastest run, and the result of the last: ``most`` runs, or fewer after ``spend`` seconds."""
    best, result = timed(work)
    spent = best
    for _ in range(most - 1):
        if spent > spend:
            break
        took, result = timed(work)
        best, spent = min(best, took), spent + took
    return best, result


def fastest_of(turns: int, work: Callable[[], object]) -> float:
    """Seconds of the fastest of ``turns`` runs."""
    return fastest(work, float("inf"), turns)[0]


def alternate(works: Mapping[str, Callable[[], Any]], turns: int) -> dict[str, list[float]]:
    """Seconds of each run of works that alternate, so that noise meets all alike.

    Work that prepares something first returns a float: the seconds that count.
    """
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(turns):
        for name, work in works.items():
            took, result = timed(work)
            seconds[name].append(result if isinstance(result, float) else took)
    return seconds


def resident_bytes() -> int:
    """Memory of this process now, from which `peak_bytes` then counts."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return peak_bytes()


def peak_bytes() -> int:
    """The most memory that this process has had since `resident_bytes` was called."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.split("VmHWM:")[1].split()[0]) * 1024

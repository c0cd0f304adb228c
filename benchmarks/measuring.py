"""The fastest of several runs, and how much memory a process has had."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from covertreex._bench.clocks import Result, timed


def fastest(
    work: Callable[[], Result], spend: float = 0.3, most: int = 5
) -> tuple[float, Result]:
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


def resident_bytes() -> int:
    """Memory of this process now, from which `peak_bytes` then counts."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return peak_bytes()


def peak_bytes() -> int:
    """The most memory that this process has had since `resident_bytes` was called."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.split("VmHWM:")[1].split()[0]) * 1024

"""The fastest of several runs, how much memory a process has had, and what other programs have computed."""

from __future__ import annotations

import os
import time
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


class OtherPrograms:
    """The cores that other programs use, from when this is made."""

    def __init__(self) -> None:
        self._start, self._before = time.perf_counter(), _others_seconds()

    def cores(self) -> float:
        """On average; of this program's children, those count as others that have not ended."""
        took = time.perf_counter() - self._start
        return max(0.0, _others_seconds() - self._before) / took


def _others_seconds() -> float:
    """Seconds of processors that other programs than this one and its children have had since the machine started."""
    line = Path("/proc/stat").read_text(encoding="ascii").splitlines()[0].split()
    user, nice, system, _idle, _waiting, interrupts, soft = map(int, line[1:8])
    ticks = user + nice + system + interrupts + soft
    return ticks / os.sysconf("SC_CLK_TCK") - sum(os.times()[:4])

"""Measured times of work."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

Result = TypeVar("Result")


def timed(work: Callable[[], Result], clock: Callable[[], float] = time.perf_counter) -> tuple[float, Result]:
    """Seconds of one run, and its result. With ``time.process_time`` the seconds of all threads are added."""
    start = clock()
    result = work()
    return clock() - start, result


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

"""Loggers by the names of covertreex 0.4.x, and a line for each operation."""

from __future__ import annotations

import contextlib
import logging
import resource
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from . import context as contexts
from .model import RuntimeConfig


def get_logger(
    name: str | None = None,
    *,
    runtime: RuntimeConfig | None = None,
    context: contexts.RuntimeContext | None = None,
) -> logging.Logger:
    """The logger "covertreex", or the logger of a name below it, at the level of ``runtime`` or ``context``.

    By default the active context gives the level. Without one the level stays.
    """
    logger = logging.getLogger("covertreex" if name is None else f"covertreex.{name}")
    config = _config(runtime, context)
    if config is not None:
        logger.setLevel(config.log_level)
    return logger


def _config(runtime: RuntimeConfig | None, context: contexts.RuntimeContext | None) -> RuntimeConfig | None:
    if runtime is not None:
        return runtime
    active = contexts.current_runtime_context() if context is None else context
    return None if active is None else active.config


@dataclass
class OperationMetrics:
    """A context manager that logs the time of an operation: a line ``op=... status=... wall_ms=...``."""

    label: str
    logger: logging.Logger
    level: int = logging.INFO
    metadata: dict[str, object] = field(default_factory=dict)
    runtime: RuntimeConfig | None = None
    context: contexts.RuntimeContext | None = None
    _start: tuple[float, float, float, float] | None = field(default=None, init=False, repr=False)

    def __enter__(self) -> OperationMetrics:
        self._start = None
        if not self.logger.isEnabledFor(self.level):
            return self
        config = _config(self.runtime, self.context)
        self.collect_resources = config is None or config.enable_diagnostics
        self._start = self._now()
        return self

    def add_metadata(self, **facts: object) -> None:
        """Add facts to the line."""
        self.metadata.update(facts)

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if self._start is None:
            return
        wall, user, system, rss = (end - start for end, start in zip(self._now(), self._start))
        used: dict[str, object] = {"cpu_user_ms": 1e3 * user, "cpu_system_ms": 1e3 * system, "rss_delta": rss}
        if not self.collect_resources:
            used = dict.fromkeys(used)
        status = "ok" if error is None else "error"
        facts = {"op": self.label, "status": status, "wall_ms": 1e3 * wall, **used, **self.metadata}
        self.logger.log(self.level, " ".join(f"{name}={_shown(value)}" for name, value in facts.items()))

    @staticmethod
    def _now() -> tuple[float, float, float, float]:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return time.perf_counter(), usage.ru_utime, usage.ru_stime, 1024.0 * usage.ru_maxrss


def _shown(value: object) -> str:
    return "NA" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value)


@contextlib.contextmanager
def log_operation(logger: logging.Logger, label: str, **options: Any) -> Iterator[OperationMetrics]:
    """Log the time of a block; options are ``level``, ``runtime`` and ``context``."""
    with OperationMetrics(label, logger, **options) as metrics:
        yield metrics

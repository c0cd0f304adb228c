"""The code of :mod:`covertreex.telemetry`."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import inspect
import json
import math
import os
import statistics
import threading
import time
import warnings
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from types import MethodType
from typing import Any, TypeVar, cast

import numpy as np

from . import _arguments, _arrays, _writing
from . import _settings as runtime
from ._capi import CoverTreeError, get_num_threads

_SCHEMA = "covertreex.telemetry/1"
_KEPT = 10_000
_CHANGES = ("build", "insert", "remove")

# Counts of the library since an object was made: of trees, of residual trees, of indexes.
_BOUNDS = ("boxes_compared", "blocks_estimated", "blocks_compared", "points_bounded")
_EXACT = ("points_compared", "points_exact", "comparisons")


@dataclass(frozen=True)
class Record:
    """A call."""

    operation: str  #: "build", "insert", "remove", or a search by the name of its method
    kind: str  #: of the object, by the name of its class
    points: int  #: of the object afterwards
    rows: int  #: that were built, inserted or removed, or queries; of questions on pairs: pairs, edges or radii
    k: int | None  #: neighbours that were asked for
    threads: int
    started: float  #: seconds since 1970
    seconds: float
    phases: dict[str, float]  #: seconds of each phase that the library measures
    #: Of searches: ``pairs`` of a query and a point it might have, ``bounds`` computed, pairs compared exactly
    #: (``exact``), and not (``pruned``). Kernels for Numba count none; searches of one object at the same time
    #: count for each of them.
    counts: dict[str, int]
    error: str | None = None  #: how it failed

    def to_json(self) -> str:
        """Write it as one line."""
        return json.dumps({"schema": _SCHEMA, **dataclasses.asdict(self)}, separators=(",", ":"))

    @classmethod
    def from_json(cls, line: str) -> Record:
        """Read what :meth:`to_json` wrote."""
        _arguments.instance(line, "line", (str, bytes))
        try:
            given = json.loads(line)
        except ValueError:
            given = None
        if not isinstance(given, dict) or given.get("schema") != _SCHEMA:
            raise ValueError(f"line: expected a record of {_SCHEMA}, got {line[:60]!r}")
        names = [one.name for one in dataclasses.fields(cls)]
        missing = [name for name in names if name not in given]
        if missing:
            raise ValueError(f"line: expected a record of {_SCHEMA}, got one without {missing[0]!r}")
        return cls(**{name: given[name] for name in names})


@dataclass(frozen=True)
class Summary:
    """Calls of one operation on objects of one kind."""

    kind: str
    operation: str
    calls: int
    failed: int
    rows: int
    seconds: float
    median_seconds: float
    p95_seconds: float
    rows_per_second: float
    phases: dict[str, float]
    counts: dict[str, int]


class Log:
    """Records, the oldest first; all where ``most`` is None."""

    def __init__(self, most: int | None = None) -> None:
        kept = None if most is None else _arrays.integer(most, "most", minimum=0)
        self._records: deque[Record] = deque(maxlen=kept)

    @property
    def records(self) -> list[Record]:
        """All records so far."""
        return list(self._records)

    def summary(self) -> list[Summary]:
        """Sum up, by kind and operation."""
        return summarise(self._records)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write all records as lines of JSON, in one step, as :meth:`covertreex.CoverTree.save` does."""
        with _writing.replacing(_arguments.path(path)) as file:
            file.writelines(one.to_json().encode() + b"\n" for one in self._records)

    def __len__(self) -> int:
        return len(self._records)


_logs: list[Log] = []
_last = Log(_KEPT)
_lock = threading.Lock()


@contextlib.contextmanager
def record() -> Iterator[Log]:
    """Record the calls of all threads while the block runs."""
    log = Log()
    with _lock:
        _logs.append(log)
    try:
        yield log
    finally:
        with _lock:
            _logs.remove(log)


def last_records() -> Log:
    """The last 10 000 calls that were recorded by the setting ``diagnostics.enabled``."""
    return _last


def read(path: str | os.PathLike[str]) -> list[Record]:
    """Read a file of records, one a line.

    Raises
    ------
    ValueError
        For a line that is not a record; the message has its number.
    """
    path = _arguments.path(path)
    records = []
    with open(path, encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                with _arguments.renamed(line=f"{path}: line {number}"):
                    records.append(Record.from_json(line))
    return records


def summarise(records: Iterable[Record]) -> list[Summary]:
    """Sum up records, by kind and operation, in the order in which these came first."""
    groups: dict[tuple[str, str], list[Record]] = {}
    if not isinstance(records, Iterable):
        raise TypeError(f"records: expected records of calls, got {_arguments.described(records)}")
    for one in records:
        _arguments.instance(one, "records", (Record,))
        groups.setdefault((one.kind, one.operation), []).append(one)
    return [_summary(kind, operation, group) for (kind, operation), group in groups.items()]


def _summary(kind: str, operation: str, group: list[Record]) -> Summary:
    seconds = sorted(one.seconds for one in group)
    total, rows = math.fsum(seconds), sum(one.rows for one in group)
    return Summary(
        kind=kind,
        operation=operation,
        calls=len(group),
        failed=sum(one.error is not None for one in group),
        rows=rows,
        seconds=total,
        median_seconds=statistics.median(seconds),
        p95_seconds=seconds[math.ceil(0.95 * len(seconds)) - 1],
        rows_per_second=rows / total if total > 0 else 0.0,
        phases=_sums(one.phases for one in group),
        counts=_sums(one.counts for one in group),
    )


def _sums(parts: Iterable[dict[str, Any]]) -> dict[str, Any]:
    sums: Counter[str] = Counter()
    for part in parts:
        sums.update(part)
    return dict(sums)


Method = TypeVar("Method", bound=Callable[..., Any])


def recorded(operation: str) -> Callable[[Method], Method]:
    """Have the calls of a method recorded, and its object validated, if the settings say so."""

    def decorate(method: Method) -> Method:
        return cast(Method, _Recorded(operation, method))

    return decorate


class _Recorded:
    """A method, and a wrapper that records its calls.

    A look-up returns the wrapper only if it has work, so other calls, of microseconds, do not pass through it.
    """

    def __init__(self, operation: str, method: Callable[..., Any]) -> None:
        self.operation = operation
        self.__func__ = method
        names = list(inspect.signature(method).parameters)
        self._position_of_k = names.index("k") - 1 if "k" in names else None

        @functools.wraps(method)
        def watched(its: Any, *arguments: Any, **named: Any) -> Any:
            return self._call(its, arguments, named)

        self.watched = watched

    def __get__(self, its: Any, kind: Any = None) -> Any:
        method = self.watched if _logs or runtime.is_diagnosed else self.__func__
        return method if its is None else MethodType(method, its)

    def _call(self, its: Any, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        diagnostics = runtime.active_config().diagnostics
        if not _logs and diagnostics == runtime.Diagnostics():
            return self.__func__(its, *arguments, **named)
        position = self._position_of_k
        k = named.get("k", None if position is None or position >= len(arguments) else arguments[position])
        result, made = _observed(its, self.operation, k, lambda: self.__func__(its, *arguments, **named), named)
        _keep(made, diagnostics)
        if made.error is not None:
            raise result
        if diagnostics.validate and self.operation in _CHANGES and hasattr(its, "validate"):
            its.validate()
        return result


def _observed(self: Any, operation: str, k: Any, call: Callable[[], Any], named: dict[str, Any]) -> tuple[Any, Record]:
    """The result of a call, or its error, and the record of it."""
    before, started, start = _numbers(self), time.time(), time.perf_counter()
    result, error = None, None
    try:
        result = call()
    except BaseException as raised:
        error = raised
    seconds = time.perf_counter() - start
    after = _numbers(self)
    is_change = operation in _CHANGES
    made = Record(
        operation=operation,
        kind=type(self).__name__,
        points=_points(after),
        rows=abs(_points(after) - _points(before)) if is_change else _rows(operation, result),
        k=int(k) if isinstance(k, (int, np.integer)) else None,
        threads=int(named.get("n_threads") or runtime.active_config().threads or get_num_threads()),
        started=started,
        seconds=seconds,
        phases=_phases(before, after),
        counts={} if is_change or error else _counts(before, after, _rows(operation, result), named),
        error=None if error is None else f"{type(error).__name__}: {error}",
    )
    return (result if error is None else error), made


def _keep(made: Record, diagnostics: runtime.Diagnostics) -> None:
    with _lock:
        for log in _logs:
            log._records.append(made)
        if diagnostics.enabled:
            _last._records.append(made)
        if diagnostics.log_file is not None:
            # Opened each time, and written in one piece: several processes may add to one file. A pipe without a reader
            # is not waited for. The result of the call is returned in any case.
            try:
                with open(diagnostics.log_file, "ab", buffering=0, opener=_without_waiting) as file:
                    file.write(made.to_json().encode() + b"\n")
            except OSError as error:
                warnings.warn(f"diagnostics.log_file: a record was lost: {error}", stacklevel=4)


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK, 0o666)


def _numbers(self: Any) -> dict[str, float]:
    """The library's numbers of an object; empty if it is not made yet, or closed."""
    try:
        info = self._info()
    except (AttributeError, ValueError, CoverTreeError):
        return {}
    return {name: getattr(info, name) for name, *_ in info._fields_ if name != "struct_size"}


def _points(numbers: dict[str, float]) -> int:
    return int(numbers.get("n_points", numbers.get("n_vectors", 0)))


def _rows(operation: str, result: Any) -> int:
    first = result[0] if isinstance(result, tuple) else result
    if first is None:
        return 0
    if not hasattr(first, "__len__") or np.ndim(first) < (2 if operation == "knn" else 1):
        return 1  # one count, or the query was one point
    # Lists by their offsets have one more of these.
    return len(first) - 1 if hasattr(result, "offsets") else len(first)


def _phases(before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
    grown = {name: value - before.get(name, 0.0) for name, value in after.items() if name.endswith("_seconds")}
    phases = {name[: -len("_seconds")]: seconds for name, seconds in grown.items() if seconds > 0}
    return {name: seconds for name, seconds in phases.items() if name not in ("total", "build")}


def _counts(before: dict[str, float], after: dict[str, float], queries: int, named: dict[str, Any]) -> dict[str, int]:
    def grown(names: tuple[str, ...]) -> int:
        return int(sum(after.get(name, 0) - before.get(name, 0) for name in names))

    if "queries" in after and grown(("queries",)) == 0:
        return {}
    pairs, exact = _pairs(_points(after), queries, named), grown(_EXACT)
    return {"pairs": pairs, "bounds": grown(_BOUNDS), "exact": exact, "pruned": max(0, pairs - exact)}


def _pairs(n_points: int, queries: int, named: dict[str, Any]) -> int:
    """Pairs of a query and a point that it might have."""
    before = named.get("before")
    if before is None and named.get("predecessor_mode"):
        before = named.get("queries")
        if before is None:
            return n_points * (n_points - 1) // 2
    return n_points * queries if before is None else int(np.sum(np.asarray(before, np.int64)))

"""Metrics by name, as functions of two arrays: NumPy, for callers who compute distances themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _arrays
from . import context as contexts
from . import host_data
from .host_data import ResidualCorrHostData
from .model import RuntimeConfig
from .residual_distances import compute_residual_distances, decode_indices
from .scope_caps import ResidualScopeCaps
from .strategies import load_entry_points

__all__ = [
    "Metric",
    "MetricRegistry",
    "available_metrics",
    "configure_residual_metric",
    "get_metric",
    "reset_residual_metric",
]

Kernel = Callable[[Any, Any, Any], Any]
_ENTRY_POINTS = "covertreex.metrics"
_LEAST = 1e-12  # squared length below which a row counts as zero


@dataclass(frozen=True)
class Metric:
    """Distances between all rows of two arrays, and between rows of the same number."""

    name: str
    pairwise_kernel: Kernel
    pointwise_kernel: Kernel

    def pairwise(self, backend: Any, lhs: Any, rhs: Any) -> Any:
        """Distances between all rows, shape (l, r)."""
        return self.pairwise_kernel(backend, lhs, rhs)

    def pointwise(self, backend: Any, lhs: Any, rhs: Any) -> Any:
        """Distances between rows of the same number, shape (l,)."""
        return self.pointwise_kernel(backend, lhs, rhs)


class MetricRegistry:
    """Metrics by name, in lower case."""

    def __init__(self) -> None:
        self._metrics: dict[str, Metric] = {}

    def register(self, metric: Metric, *, overwrite: bool = False) -> None:
        """Add a metric."""
        if metric.name.lower() in self._metrics and not overwrite:
            raise ValueError(f"metric: there is one of the name {metric.name!r}")
        self._metrics[metric.name.lower()] = metric

    def get(self, name: str) -> Metric:
        """The metric of a name."""
        if name.lower() not in self._metrics:
            raise KeyError(f"metric: expected one of {', '.join(self.names())}, got {name!r}")
        return self._metrics[name.lower()]

    def names(self) -> tuple[str, ...]:
        """All names."""
        return tuple(sorted(self._metrics))

    def unregister(self, name: str) -> None:
        """Remove the metric of this name, if there is one."""
        self._metrics.pop(name.lower(), None)

    def describe(self) -> tuple[tuple[str, str], ...]:
        """Names, and the module of each."""
        return tuple((name, self._metrics[name].pairwise_kernel.__module__) for name in self.names())


def _made(backend: Any, values: Any) -> Any:
    return backend.asarray(values, dtype=backend.default_float)


def _rows(values: Any) -> NDArray[np.float64]:
    array = _arrays.real(values, "points")
    return array[None] if array.ndim == 1 else array


def _paired(lhs: Any, rhs: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    left, right = _arrays.real(lhs, "lhs"), _arrays.real(rhs, "rhs")
    if left.shape != right.shape:
        raise ValueError(f"rhs: expected shape {left.shape}, as lhs, got {right.shape}")
    return left, right


def _both(lhs: Any, rhs: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    left, right = _rows(lhs), _rows(rhs)
    if left.shape[1] != right.shape[1]:
        raise ValueError(f"rhs: expected {left.shape[1]} columns, as lhs, got {right.shape[1]}")
    return left, right


def _euclidean(backend: Any, lhs: Any, rhs: Any) -> Any:
    left, right = _both(lhs, rhs)
    squares = np.zeros((len(left), len(right)))
    for column in range(left.shape[1] if squares.size else 0):
        squares += (left[:, column, None] - right[None, :, column]) ** 2
    return _made(backend, np.sqrt(squares))


def _euclidean_pointwise(backend: Any, lhs: Any, rhs: Any) -> Any:
    left, right = _paired(lhs, rhs)
    return _made(backend, np.sqrt(((left - right) ** 2).sum(axis=-1)))


def unit_rows(values: Any) -> NDArray[np.float64]:
    """Rows less their mean, of length 1; zeros where all coordinates are the same."""
    rows = _rows(values)
    centred: NDArray[np.float64] = rows - rows.mean(axis=1, keepdims=True)
    lengths = np.sqrt((centred**2).sum(axis=1, keepdims=True))
    flat = lengths <= np.sqrt(_LEAST)
    return np.where(flat, 0.0, centred / np.where(flat, 1.0, lengths))


def _lite(backend: Any, lhs: Any, rhs: Any) -> Any:
    left, right = _both(lhs, rhs)
    correlations = np.clip(unit_rows(left) @ unit_rows(right).T, -1, 1)
    return _made(backend, 1 - correlations)


def _lite_pointwise(backend: Any, lhs: Any, rhs: Any) -> Any:
    left, right = _paired(lhs, rhs)
    correlations = np.clip((unit_rows(left) * unit_rows(right)).sum(axis=1), -1, 1)
    return _made(backend, 1 - correlations)


_handlers: list[tuple[Kernel, Kernel | None]] = []


def _handler() -> tuple[Kernel, Kernel | None]:
    if not _handlers:
        raise RuntimeError("metric: 'residual_correlation' is not configured; call configure_residual_correlation()")
    return _handlers[-1]


def _residual(backend: Any, lhs: Any, rhs: Any) -> Any:
    return _handler()[0](backend, lhs, rhs)


def _residual_pointwise(backend: Any, lhs: Any, rhs: Any) -> Any:
    pairwise, pointwise = _handler()
    if pointwise is not None:
        return pointwise(backend, lhs, rhs)
    values = np.asarray(pairwise(backend, _rows(lhs), _rows(rhs)))
    return _made(backend, np.diagonal(values) if values.ndim == 2 else values)


registry = MetricRegistry()
registry.register(Metric("euclidean", _euclidean, _euclidean_pointwise))
registry.register(Metric("residual_correlation", _residual, _residual_pointwise))
registry.register(Metric("residual_correlation_lite", _lite, _lite_pointwise))


def get_metric(name: str | None = None) -> Metric:
    """The metric of a name; by default the active settings' metric."""
    wanted = contexts.runtime_config().metric if name is None else name
    if wanted.lower() not in registry.names():
        load_entrypoints()
    return registry.get(wanted)


def load_entrypoints() -> list[str]:
    """Add the metrics of installed packages, and return the names of their entry points.

    An entry point of the group "covertreex.metrics" is a :class:`Metric`, several, or a function that gives them.
    """

    def register(payload: Any) -> None:
        for metric in _metrics_of(payload):
            registry.register(metric, overwrite=True)

    return load_entry_points(_ENTRY_POINTS, register)


def _metrics_of(payload: Any) -> Iterator[Metric]:
    if isinstance(payload, Metric):
        yield payload
    elif callable(payload):
        yield from _metrics_of(payload())
    elif isinstance(payload, Sequence) and not isinstance(payload, (str, bytes)):
        for one in payload:
            yield from _metrics_of(one)
    elif payload is not None:
        raise TypeError(f"entry point: expected a Metric, got {payload!r}")


def available_metrics() -> tuple[str, ...]:
    """Names of metrics."""
    return registry.names()


def configure_residual_metric(*, pairwise: Kernel, pointwise: Kernel | None = None) -> None:
    """Set the functions of the metric "residual_correlation"."""
    _handlers[:] = [(pairwise, pointwise)]


def reset_residual_metric() -> None:
    """Remove the functions that were set, and the residual data."""
    _handlers.clear()
    host_data.set_residual_backend(None)


def configure_residual_correlation(
    backend: ResidualCorrHostData,
    *,
    runtime: RuntimeConfig | None = None,
    context: contexts.RuntimeContext | None = None,
) -> None:
    """Set the data that trees in the residual-correlation metric use by default, and its metric.

    A table of limits that ``runtime`` or ``context`` names is read and kept with the data.
    """
    config = runtime if context is None else context.config
    if config is not None and config.residual_scope_cap_path:
        caps = ResidualScopeCaps.load(config.residual_scope_cap_path, config.residual_scope_cap_default or None)
        object.__setattr__(backend, "scope_caps", caps)
    host_data.set_residual_backend(backend)

    def pairwise(tree_backend: Any, lhs: Any, rhs: Any) -> Any:
        data = host_data.get_residual_backend()
        found = compute_residual_distances(data, decode_indices(data, lhs), decode_indices(data, rhs))
        return _made(tree_backend, found)

    def pointwise(tree_backend: Any, lhs: Any, rhs: Any) -> Any:
        found = np.asarray(pairwise(tree_backend, lhs, rhs))
        if found.shape != (1, 1):
            raise ValueError(f"lhs, rhs: expected one point each, got {found.shape[0]} and {found.shape[1]}")
        return _made(tree_backend, found[0, 0])

    configure_residual_metric(pairwise=pairwise, pointwise=pointwise)

"""Options of trees: types, sizes, orders and engines."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from .. import _arguments, _arrays, _calls, _engines
from .._capi import trees
from .._capi.structs import TreeOptions
from .._capi.trees import options_of
from .._settings import active_config
from ._metric import Metric

KEPT_DTYPES = (np.dtype(np.float32), np.dtype(np.float64))


def kept_dtype(wanted: DTypeLike) -> np.dtype[Any] | None:
    """The type in which a tree keeps points; None for their own."""
    if isinstance(wanted, str) and wanted == "auto":
        return None
    return _arrays.element_type(wanted, "dtype", KEPT_DTYPES)


def checked_leaf_size(size: int) -> int:
    return _arrays.integer(size, "leaf_size", minimum=1, maximum=65536)


def tree_options(order: str, seed: int, n_threads: int | None, *, leaf_size: int = 0) -> TreeOptions:
    """Options of a build; 0 means the usual size of leaves."""
    threads, seed = _calls.threads(n_threads), _arrays.seed(seed)
    return options_of(order=_engines.ORDERS.index(order), seed=seed, n_threads=threads, leaf_size=leaf_size)


def set_metric(options: TreeOptions, metric: Metric) -> None:
    """Put a metric into options, which live no longer than the metric."""
    arrays = {
        "weights": metric.weights, "periods": metric.periods, "inverse_covariance": metric.inverse_covariance,
    }  # fmt: skip
    trees.set_metric(
        options, arrays, metric=metric.number, exponent=metric.exponent, radius=metric.radius, degrees=metric.degrees
    )


def resolve_engine(engine: str | None, order: str | None) -> tuple[str, str]:
    """The engine and the order of a call; defaults come from the active settings."""
    settings = active_config()
    searcher, order = _engines.resolve(
        settings.engine if engine is None else engine, settings.order if order is None else order
    )
    if searcher == "hybrid":
        kernels_for_numba()  # raises if Numba is missing, and names the package to install
    return searcher, order


def kernels_for_numba(filter: Any = None, **limits: Any) -> Any:
    """Return the kernels for Numba, if they know the options of a search. Importing it takes a second."""
    if filter is not None:
        raise ValueError("filter: kernels for Numba have no filters, expected a tree of engine 'native'")
    for name, value in limits.items():
        if _arguments.is_many(value):
            raise ValueError(f"{name}: kernels for Numba expect one number, got {_arguments.described(value)}")
    from .._jit import tree_queries  # noqa: PLC0415

    return tree_queries

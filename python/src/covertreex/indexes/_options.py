"""Options of vector indexes and of their searches, in the form that the library reads."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import _arguments, _arrays, _calls
from .._capi import indexes
from .._capi.structs import IndexOptions, IndexSearchOptions
from ..store import _ids

METRICS = ("l2", "sqeuclidean", "ip", "cosine")
STORAGES = ("float32", "float16", "int8")


def choice(value: str, choices: tuple[str, ...], name: str) -> int:
    """Return the position of a value among the choices."""
    return choices.index(_arguments.choice(value, name, choices))


def index_options(
    kind: int, metric: str, *, storage: str, rerank: bool, seed: int, own: dict[str, int]
) -> IndexOptions:
    """Return the options of an index; `own` are options of its kind."""
    numbers = {"metric": choice(metric, METRICS, "metric"), "storage": choice(storage, STORAGES, "storage")}
    options = {"seed": _arrays.seed(seed)}
    for name, value in own.items():
        minimum = 0 if name in ("split", "lsh_mode") else 1
        options[name] = _arrays.integer(value, name, minimum=minimum, maximum=2**31 - 1)
    return indexes.options_of(kind=kind, rerank=rerank, own=options, **numbers)


def search_options(filter: Any, n_threads: int | None, tuning: dict[str, int], ids: _ids.Ids) -> IndexSearchOptions:
    threads = _calls.threads(n_threads)
    chosen = {name: _arrays.integer(value, name, minimum=1, maximum=2**24) for name, value in tuning.items()}
    if filter is None:
        return indexes.search_options(threads, chosen, None)
    mask = np.asarray(filter) if hasattr(filter, "__array__") else None
    if mask is None or mask.dtype != bool:
        given = ids.found(_ids.gathered(filter, name="filter", in_order=False))
        return indexes.search_options(threads, chosen, given)
    if not ids.is_integral:
        raise TypeError("filter: a boolean array says which integers may be found; give a list of ids")
    if mask.ndim != 1:
        raise ValueError(f"filter: expected one dimension, got shape {mask.shape}")
    return indexes.search_options(threads, chosen, np.packbits(mask, bitorder="little"))

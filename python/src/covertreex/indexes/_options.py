"""Options of vector indexes and of their searches, in the form that the library reads."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _arguments, _arrays, _calls, _native
from ..store import _ids

METRICS = ("l2", "sqeuclidean", "ip", "cosine")
STORAGES = ("float32", "float16", "int8")
_FILTER_IDS, _FILTER_BITMAP = 1, 2
_RERANK = 1

_SEARCH_DEFAULTS = _native.IndexSearchOptions()


def choice(value: str, choices: tuple[str, ...], name: str) -> int:
    """Return the position of a value among the choices."""
    return choices.index(_arguments.choice(value, name, choices))


def index_options(kind: int, metric: str, *, storage: str, rerank: bool, seed: int, own: dict[str, int]) -> Any:
    """Return the options of an index; `own` are options of its kind."""
    options = _native.IndexOptions()
    options.kind = kind
    options.metric = choice(metric, METRICS, "metric")
    options.storage = choice(storage, STORAGES, "storage")
    options.flags = _RERANK if rerank else 0
    options.seed = _arrays.integer(seed, "seed", minimum=0, maximum=2**64 - 1)
    for name, value in own.items():
        minimum = 0 if name in ("split", "lsh_mode") else 1
        setattr(options, name, _arrays.integer(value, name, minimum=minimum, maximum=2**31 - 1))
    return options


def search_options(
    filter: Any, n_threads: int | None, tuning: dict[str, int], ids: _ids.Ids
) -> tuple[Any, NDArray[Any] | None]:
    """Return the options of a search, and an array that must live until it ends."""
    options = _native.IndexSearchOptions.from_buffer_copy(_SEARCH_DEFAULTS)
    options.n_threads = _calls.threads(n_threads)
    for name, value in tuning.items():
        setattr(options, name, _arrays.integer(value, name, minimum=1, maximum=2**24))
    if filter is None:
        return options, None
    mask = np.asarray(filter) if hasattr(filter, "__array__") else None
    if mask is not None and mask.dtype == bool:
        if not ids.is_integral:
            raise TypeError("filter: a boolean array says which integers may be found; give a list of ids")
        if mask.ndim != 1:
            raise ValueError(f"filter: expected one dimension, got shape {mask.shape}")
        keep: NDArray[Any] = np.packbits(mask, bitorder="little")
        options.filter_kind = _FILTER_BITMAP
    else:
        keep = ids.found(_ids.gathered(filter, name="filter", in_order=False))
        options.filter_kind = _FILTER_IDS
    options.filter, options.n_filter = keep.ctypes.data, len(keep)
    return options, keep

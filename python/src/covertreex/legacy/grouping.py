"""Grouping by integers, and sorting by levels: helpers of the stages of an insertion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .backend import TreeBackend

__all__ = ["GroupByResult", "group_by_int", "select_topk_by_level"]


@dataclass(frozen=True)
class GroupByResult:
    """Values in groups: ``keys[i]`` has ``values[indptr[i]:indptr[i + 1]]``."""

    keys: NDArray[Any]  #: (groups,) ascending
    indptr: NDArray[Any]  #: (groups + 1,)
    values: NDArray[Any]  #: (n, ...)


def group_by_int(keys: ArrayLike, values: ArrayLike, *, backend: TreeBackend, stable: bool = True) -> GroupByResult:
    """Group values, of shape (n, ...), by integer keys, of shape (n,). Values of a key keep their order in any case.

    Raises
    ------
    TypeError
        For keys that are not integers.
    ValueError
        For keys that are not in one dimension, and for values of another number.
    """
    whole = np.asarray(keys)
    if whole.ndim != 1:
        raise ValueError(f"keys: expected one dimension, got shape {whole.shape}")
    if whole.size and whole.dtype.kind not in "iub":
        raise TypeError(f"keys: expected integers, got dtype {whole.dtype}")
    chosen = backend.asarray(whole, dtype=backend.default_int)
    given = backend.asarray(values)
    if given.ndim == 0 or len(given) != len(chosen):
        raise ValueError(f"values: expected {len(chosen)} of them, one for each key, got shape {given.shape}")
    order = np.argsort(chosen, kind="stable")
    unique, counts = np.unique(chosen, return_counts=True)
    indptr = np.concatenate([[0], np.cumsum(counts)])
    return GroupByResult(unique, backend.asarray(indptr, dtype=backend.default_int), given[order])


def select_topk_by_level(indices: ArrayLike, levels: ArrayLike, limit: int) -> NDArray[np.int64]:
    """Sort nodes by level, the highest first; of equal levels the lower index first.

    The first ``limit`` of them are kept, or all if it is 0 or less.
    """
    nodes, heights = np.asarray(indices, np.int64), np.asarray(levels, np.int64)
    if nodes.shape != heights.shape:
        raise ValueError(f"levels: expected shape {nodes.shape}, as indices, got {heights.shape}")
    chosen = nodes[np.lexsort((nodes, -heights))]
    return chosen[:limit] if limit > 0 else chosen

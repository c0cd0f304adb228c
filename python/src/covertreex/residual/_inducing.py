"""Choices of inducing points."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _calls
from .._calls import ProgressReport
from .._capi.points import spread_sample
from ..tree import CoverTree


def sample(n: int, count: int, seed: int | np.random.Generator) -> NDArray[np.int64]:
    """A sample of equal chances of the first ``n`` numbers, ascending: the same as in covertreex 0.4.x."""
    return np.sort(np.random.default_rng(seed).choice(n, count, replace=False)) if count < n else np.arange(n)


def choose(
    points: NDArray[np.float64],
    count: int,
    *,
    method: str,
    seed: int,
    n_threads: int | None,
    progress: ProgressReport | None = None,
) -> NDArray[Any]:
    """Return rows of ``count`` points, 1 to n, that represent all of them, in ascending order.

    ``points`` are scaled coordinates. The methods are a sample of equal chances; one that is spread like the data
    (k-means++); and the nodes of the highest levels of a cover tree, which are far apart.
    """
    n = len(points)
    if method == "random":
        return sample(n, count, seed)
    if method == "kmeans++":
        return np.sort(spread_sample(points, count, seed, n_threads=_calls.threads(n_threads), progress=progress))
    if method == "cover-tree":
        build, export = _calls.part(progress, 0, 0.1), _calls.part(progress, 0.1, 1)
        with CoverTree(points, seed=seed, n_threads=n_threads, progress=build) as tree:
            arrays = tree.export_arrays(n_threads=n_threads, progress=export)
        highest = np.argsort(-arrays.levels.astype(np.int64), kind="stable")[:count]
        return np.sort(arrays.order[highest].astype(np.int64))
    raise ValueError(f"inducing_points: expected one of random, kmeans++, cover-tree, or an array, got {method!r}")

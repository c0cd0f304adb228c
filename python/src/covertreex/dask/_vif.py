"""A VIF model whose points are on the workers of a Dask cluster."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import dask.array as da
import numpy as np
from distributed import Client, Future
from numpy.typing import ArrayLike, NDArray

from .. import _arguments, _arrays
from .._partitions.permutation import Permutation
from ..kernels import Stationary
from ..vecchia import _groups, _inputs
from ..vecchia._parts import Lead, Shared, Terms, Totals
from . import _cluster, _vif_tasks
from ._tree import PartitionedTree

# New points that are predicted in one task.
_BLOCK = 1 << 16


class PartitionedVIF:
    """A Gaussian process by the VIF approximation, of points in partitions on the workers of a Dask cluster.

    Made by :func:`covertreex.dask.vif`. Likelihoods, gradients and predictions are those of :class:`covertreex.vecchia.VIF`
    with the same order, sets and inducing points, but for rounding: sums over partitions differ from those over all
    points by about 1e-12 of their size.
    """

    def __init__(
        self,
        tree: PartitionedTree,
        columns: _groups.Columns,
        shared: Shared,
        sets: list[Future],
        *,
        n_neighbors: int,
        permutation: Permutation | None,
        keep: bool,
    ) -> None:
        self._tree, self._columns, self._sets = tree, columns, sets
        self._permutation, self._keep = permutation, keep
        self.n_neighbors = n_neighbors
        self._parts: list[Future] = []
        self._use(shared)

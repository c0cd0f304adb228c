"""Building: points come in chunks, are cut along the Hilbert curve, and shuffled once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import dask.array as da
import numpy as np
from distributed import Client, Future, get_client
from numpy.typing import ArrayLike, NDArray

from .. import _arguments, _arrays, _engines
from .._capi import Int64s
from .._partitions.curve import sample_share
from .._partitions.permutation import Order
from ..kernels import Stationary, of_this_package
from ..residual._inducing import sample
from ..residual._inputs import DEFAULT_INDUCING, chosen_seed
from ..tree._options import checked_leaf_size
from . import _cluster, _source, _tasks
from ._cluster import Groups
from ._tasks import Made
from ._tree import PartitionedTree

# One worker cannot build a larger partition at a time.
_MOST_POINTS = 50_000_000


def cover_tree(
    points: da.Array | ArrayLike | str | os.PathLike[str],
    *,
    client: Client | None = None,
    kernel: Stationary | None = None,
    n_inducing: int | None = None,
    inducing_points: ArrayLike | None = None,
    jitter: float | None = None,
    n_partitions: int | None = None,
    order: str | None = None,
    leaf_size: int | None = None,
    seed: int | None = None,
) -> PartitionedTree:
    """Build a cover tree of points that are on many machines: Euclidean, or in the residual-correlation metric.

    Points are put into partitions along the Hilbert curve, cut by a sample, in one shuffle. Each worker builds the
    trees of its partitions and keeps them.

    Parameters
    ----------
    points : dask.array.Array, array_like or path, shape (n, dim)
        Or a folder of ``.npy`` or Parquet files, which workers read. Rows follow each other in the order of the files:
        as in the folder's ``_metadata``, or else by names, in which numbers count as numbers (part 2, part 10). All
        columns of Parquet are coordinates except the columns of a pandas index; one column of lists of one length may
        be alone instead. The columns are logged at level INFO. float32 points stay so, others become float64.
    client : distributed.Client, optional
        By default the current one.
    kernel : covertreex.kernels.Kernel, optional
        One of :mod:`covertreex.kernels`; it makes the metric residual correlation.
    n_inducing, inducing_points, jitter
        As in :func:`covertreex.residual_tree`, whose sample this is for the same seed; points can only be chosen at
        random.
    n_partitions : int, optional
        By default one for each worker, and more for more than 50 000 000 points each.
    order, leaf_size, seed
        As in :func:`covertreex.cover_tree`.

    Returns
    -------
    PartitionedTree

    Raises
    ------
    ValueError
        For NaN or infinity, no points, more partitions than there are points for, an option out of range.
    TypeError
        For points that are not real numbers, and for a kernel that is not of :mod:`covertreex.kernels`.
    """
    if kernel is not None:
        of_this_package(kernel)
    _check_options(order, leaf_size, seed, jitter)
    array = _source.opened(points)
    n = int(array.shape[0])
    if n_partitions is not None:
        _arrays.integer(n_partitions, "n_partitions", minimum=1, maximum=n)
    if client is not None:
        _arguments.instance(client, "client", (Client,))
    client = get_client() if client is None else client
    if kernel is not None:
        array = array.astype(np.float64)
    elif not (n_inducing is None and inducing_points is None and jitter is None):
        raise ValueError("n_inducing, inducing_points, jitter: expected only with a kernel")
    chunks = Chunks(client, array)
    common = None
    if kernel is not None:
        common = chunks.process(kernel, chunks.inducing(n_inducing, inducing_points, seed), jitter)
    return chunks.tree(common, n_partitions, Made({"order": order, "leaf_size": leaf_size, "seed": seed}))


def _check_options(order: str | None, leaf_size: int | None, seed: int | None, jitter: float | None) -> None:
    """Raise for options that workers would refuse, before anything is sent to them."""
    if order is not None:
        _arguments.choice(order, "order", _engines.ORDERS)
    if leaf_size is not None:
        checked_leaf_size(leaf_size)
    if seed is not None:
        _arrays.integer(seed, "seed", minimum=0, maximum=2**64 - 1)
    if jitter is not None:
        _arguments.number(jitter, "jitter")


class Chunks:
    """The points as they come, on the workers.

    The first ``dim`` columns of the array are coordinates, which get a type of their own; the others are values that
    travel with the points (`Partition.values`). Only coordinates are checked. With an ``order`` the dataset index of a
    row is what this says.
    """

    def __init__(
        self,
        client: Client,
        array: da.Array,
        *,
        dim: int | None = None,
        dtype: np.dtype[Any] | None = None,
        order: Order | None = None,
    ) -> None:
        self._client, self._submit = client, partial(_cluster.submit, client)
        dim, dtype = int(array.shape[1]) if dim is None else dim, array.dtype if dtype is None else dtype
        self._kind = _tasks.Rows(dim, dtype, order)
        self._firsts = np.concatenate([[0], np.cumsum(array.chunks[0])])
        self.n = int(self._firsts[-1])
        self._chunks = _cluster.chunks(client, array)
        boxes = client.gather([self._submit(_tasks.box, chunk, first, self._kind) for chunk, first in self._each()])
        self._box = np.min([low for low, _ in boxes], axis=0), np.max([high for _, high in boxes], axis=0)

    def _each(self) -> Iterator[tuple[Future, int]]:
        """Chunks, and the dataset indices of their first points."""
        return zip(self._chunks, self._firsts.tolist())

    def _points(self, indices: NDArray[np.int64]) -> NDArray[Any]:
        """Some of the points, by dataset index."""
        given = self._kind.order
        rows = indices if given is None else given.inverse(indices)
        order = np.argsort(rows)
        ends = np.searchsorted(rows[order], self._firsts)
        wanted = [
            self._submit(_tasks.pick, chunk, rows[order[start:end]] - first)
            for (chunk, first), start, end in zip(self._each(), ends[:-1], ends[1:])
            if end > start
        ]
        found = self._kind.points(np.concatenate(self._client.gather(wanted)))
        points = np.empty_like(found)
        points[order] = found
        return points

    def check(self, values_are_valid: Callable[[NDArray[np.float64], int], None]) -> None:
        """Raise what a function raises for the values of a chunk, and the row of the first."""
        wait = [
            self._submit(_tasks.check_values, chunk, first, self._kind, values_are_valid)
            for chunk, first in self._each()
        ]
        self._client.gather(wait)

    def inducing(self, count: int | None, inducing: ArrayLike | None, seed: int | None) -> NDArray[np.float64]:
        """Inducing points: a random sample, or those of the caller."""
        if inducing is None:
            count = min(DEFAULT_INDUCING, self.n) if count is None else count
            count = _arrays.integer(count, "n_inducing", minimum=0, maximum=self.n)
            rows = sample(self.n, count, chosen_seed(seed))
            return self._points(rows) if count else np.empty((0, len(self._box[0])))
        if isinstance(inducing, str):
            raise ValueError(f"inducing_points: expected an array, or None for a random sample, got {inducing!r}")
        if count is not None:
            raise ValueError(
                "n_inducing: cannot be combined with an array of inducing_points, which has its own length"
            )
        return np.ascontiguousarray(_arrays.points(inducing, "inducing_points", dtype=np.dtype(np.float64)))

    def process(self, kernel: Stationary, inducing: NDArray[np.float64], jitter: float | None) -> Future:
        """The residual process, with the factor of its inducing points, made once."""
        return self._submit(_tasks.process, kernel, inducing, self._box[0][None], {"jitter": jitter})

    def tree(self, common: Future | None, n_partitions: int | None, made: Made) -> PartitionedTree:
        """Cut the curve through all points, bring them to the workers in one shuffle, and build the trees there."""
        workers = _cluster.workers(self._client)
        if n_partitions is None:
            n_partitions = min(self.n, max(len(workers), -(-self.n // _MOST_POINTS)))
        curve, owners = self._cut(n_partitions), _cluster.divided(n_partitions, len(workers))
        built = self._shuffle(curve, owners, workers, common, made)
        groups = Groups(self._client, built, owners)
        return PartitionedTree(
            groups, curve, common, n_points=self.n, dim=self._kind.dim, dtype=self._kind.dtype, folder=made.folder
        )

    def _cut(self, n_partitions: int) -> Future:
        share = sample_share(self.n, n_partitions)
        samples = [
            self._submit(_tasks.sample, chunk, first, self._kind, self._box, share) for chunk, first in self._each()
        ]
        return self._submit(_tasks.cut, self._box, samples, n_partitions)

    def _shuffle(
        self, curve: Future, owners: Int64s, workers: list[str], common: Future | None, made: Made
    ) -> list[Future]:
        split = [self._submit(_tasks.split, chunk, first, self._kind, curve, owners) for chunk, first in self._each()]
        groups = []
        for group, worker in enumerate(workers[: int(owners[-1]) + 1]):
            numbers = np.flatnonzero(owners == group).tolist()
            pieces = [self._submit(_tasks.pick, of_chunk, group) for of_chunk in split]
            groups.append(self._submit(_tasks.build, pieces, numbers, common, made, worker=worker))
        return groups

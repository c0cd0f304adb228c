"""Building: points come in chunks, are cut along the Hilbert curve, and shuffled once."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import dask.array as da
import numpy as np
from distributed import Client, Future, get_client
from numpy.typing import ArrayLike, NDArray

from .. import _arguments, _arrays, _engines
from .._partitions.curve import sample_share
from ..kernels import Stationary
from ..residual._inducing import sample
from ..residual._inputs import DEFAULT_INDUCING, chosen_seed
from ..tree._options import checked_leaf_size
from . import _cluster, _source, _tasks
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
    if kernel is not None and not isinstance(kernel, Stationary):
        raise TypeError(f"kernel: expected one of covertreex.kernels, got {_arguments.described(kernel)}")
    _check_options(order, leaf_size, seed, jitter)
    array = _source.opened(points)
    n = int(array.shape[0])
    if n_partitions is not None:
        _arrays.integer(n_partitions, "n_partitions", minimum=1, maximum=n)
    if client is not None:
        _arguments.instance(client, "client", (Client,))
    client = get_client() if client is None else client
    workers = _cluster.workers(client)
    if n_partitions is None:
        n_partitions = min(n, max(len(workers), -(-n // _MOST_POINTS)))
    if kernel is not None:
        array = array.astype(np.float64)
    chunks = _Chunks(client, array)
    common = None
    if kernel is not None:
        common = chunks.process(kernel, n_inducing, inducing_points, jitter, seed)
    elif not (n_inducing is None and inducing_points is None and jitter is None):
        raise ValueError("n_inducing, inducing_points, jitter: expected only with a kernel")
    curve = chunks.cut(n_partitions)
    options = {"order": order, "leaf_size": leaf_size, "seed": seed}
    partitions = chunks.shuffle(curve, n_partitions, common, options, workers)
    return PartitionedTree(client, partitions, curve, common, n_points=n, dim=int(array.shape[1]), dtype=array.dtype)


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


class _Chunks:
    """The points as they come, on the workers."""

    def __init__(self, client: Client, array: da.Array) -> None:
        self._client, self._submit = client, partial(_cluster.submit, client)
        self._firsts = np.concatenate([[0], np.cumsum(array.chunks[0])])
        self.n = int(self._firsts[-1])
        self._chunks = _cluster.chunks(client, array)
        boxes = client.gather([self._submit(_tasks.box, chunk, first) for chunk, first in self._each()])
        self._box = np.min([low for low, _ in boxes], axis=0), np.max([high for _, high in boxes], axis=0)

    def _each(self) -> Iterator[tuple[Future, int]]:
        """Chunks, and the dataset indices of their first points."""
        return zip(self._chunks, self._firsts.tolist())

    def _rows(self, indices: NDArray[np.int64]) -> NDArray[Any]:
        """Some of the points, by ascending dataset index."""
        ends = np.searchsorted(indices, self._firsts)
        wanted = [
            self._submit(_tasks.pick, chunk, indices[start:end] - first)
            for (chunk, first), start, end in zip(self._each(), ends[:-1], ends[1:])
            if end > start
        ]
        return np.concatenate(self._client.gather(wanted))

    def process(
        self, kernel: Stationary, count: int | None, inducing: ArrayLike | None, jitter: float | None, seed: int | None
    ) -> Future:
        """The residual process, with its inducing points and their factor, made once."""
        if inducing is None:
            count = min(DEFAULT_INDUCING, self.n) if count is None else count
            count = _arrays.integer(count, "n_inducing", minimum=0, maximum=self.n)
            rows = sample(self.n, count, chosen_seed(seed))
            chosen = self._rows(rows) if count else np.empty((0, len(self._box[0])))
        elif isinstance(inducing, str):
            raise ValueError(f"inducing_points: expected an array, or None for a random sample, got {inducing!r}")
        elif count is not None:
            raise ValueError(
                "n_inducing: cannot be combined with an array of inducing_points, which has its own length"
            )
        else:
            chosen = np.ascontiguousarray(_arrays.points(inducing, "inducing_points", dtype=np.dtype(np.float64)))
        options = {"jitter": jitter, "seed": seed}
        return self._submit(_tasks.process, kernel, chosen, self._box[0][None], options)

    def cut(self, n_partitions: int) -> Future:
        """The curve through all points, cut into partitions."""
        share = sample_share(self.n, n_partitions)
        samples = [self._submit(_tasks.sample, chunk, first, self._box, share) for chunk, first in self._each()]
        return self._submit(_tasks.cut, self._box, samples, n_partitions)

    def shuffle(
        self, curve: Future, n_partitions: int, common: Future | None, options: dict[str, Any], workers: Sequence[str]
    ) -> list[Future]:
        """Bring the points of each partition to a worker, and build its tree there."""
        split = [self._submit(_tasks.split, chunk, first, curve) for chunk, first in self._each()]
        partitions = []
        for partition in range(n_partitions):
            pieces = [self._submit(_tasks.pick, of_chunk, partition) for of_chunk in split]
            worker = workers[partition % len(workers)]
            partitions.append(self._submit(_tasks.build, pieces, common, options, worker=worker))
        return partitions

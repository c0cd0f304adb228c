"""VIF models of points that are on the workers of a Dask cluster."""

from __future__ import annotations

import os
from functools import partial
from typing import Any

import dask.array as da
import numpy as np
from distributed import Client, get_client
from numpy.typing import ArrayLike

from .. import _arguments, _arrays, _writing
from .._partitions.permutation import Permutation
from .._settings import active_config
from ..kernels import Stationary, of_this_package
from ..residual._inputs import chosen_seed
from ..vecchia import _inputs
from ..vecchia._groups import Columns
from ..vecchia._parts import Lead
from . import _source
from ._build import Chunks
from ._tasks import Made
from ._vif_model import PartitionedVIF
from ._vif_tasks import check_observed

ORDERINGS = ("random", "natural")
METRICS = ("residual", "euclidean")


def vif(
    points: da.Array | ArrayLike | str | os.PathLike[str],
    y: da.Array | ArrayLike,
    *,
    client: Client | None = None,
    kernel: Stationary,
    noise: float | da.Array | ArrayLike = 0.0,
    m: int = 30,
    n_inducing: int | None = None,
    inducing_points: ArrayLike | None = None,
    jitter: float | None = None,
    ordering: str = "random",
    neighbors: str = "residual",
    n_partitions: int | None = None,
    keep: bool = True,
    folder: str | os.PathLike[str] | None = None,
    seed: int | None = None,
) -> PartitionedVIF:
    """Build a VIF model of points that are on many machines.

    It is the model of :class:`covertreex.vecchia.VIF` for data that one machine cannot hold. Each worker has some
    partitions of the points. Conditioning sets are found exactly, among the points of all workers.

    Parameters
    ----------
    points : dask.array.Array, array_like or path, shape (n, dim)
        As for :func:`covertreex.dask.cover_tree`. They become float64.
    y : dask.array.Array or array_like, shape (n,) or (n, r)
        The responses, in the order of the points; columns are responses of their own.
    client : distributed.Client, optional
        By default the current one.
    kernel : covertreex.kernels.Kernel
        One of :mod:`covertreex.kernels`.
    noise : float, or array of shape (n,)
        The variance of the noise, of all points or of each.
    m : int
        Points that each one is conditioned on.
    n_inducing, inducing_points, jitter
        As in :func:`covertreex.residual_tree`; points can only be chosen at random.
    ordering : {"random", "natural"}
        The order of the approximation: random, or as the points come. A max-min order needs all points in one place.
    neighbors : {"residual", "euclidean"}
        The nearest predecessors by residual correlation, or by distance over the lengthscales.
    n_partitions : int, optional
        As for :func:`covertreex.dask.cover_tree`. Results depend on it by rounding only.
    keep : bool
        Whether workers keep ``V`` and the factor between calls: 16 bytes a point and inducing point, and more. Without,
        partitions are computed one after another, twice for each likelihood, and only one is in memory at a time.
    folder : path, optional
        For models that are larger than memory: a folder that all workers see. Trees of partitions are then in files
        there, which are mapped, and which the system removes with the workers; ``keep`` is not read.
    seed : int, optional
        For the random order and the sample of inducing points; by default 42.

    Returns
    -------
    PartitionedVIF

    Raises
    ------
    ValueError
        For NaN or infinity, shapes that do not fit, an option out of range.
    TypeError
        For data that are not real numbers, and for a kernel that is not of :mod:`covertreex.kernels`.

    Examples
    --------
    >>> import numpy as np
    >>> from dask.distributed import Client
    >>> import covertreex.dask
    >>> from covertreex.kernels import Matern52
    >>> client = Client(processes=False, dashboard_address=None)
    >>> points = np.random.default_rng(0).random((2000, 2))
    >>> y = np.sin(6 * points[:, 0])
    >>> model = covertreex.dask.vif(points, y, client=client, kernel=Matern52(0.3), noise=0.1, m=10, n_inducing=50)
    >>> value, gradient = model.log_likelihood(eval_gradient=True)
    >>> mean = model.predict([[0.5, 0.5]])
    >>> bool(abs(mean[0] - np.sin(3)) < 0.1)
    True
    >>> client.close()
    """
    of_this_package(kernel)
    where = None if folder is None else _writing.absolute(_arguments.path(folder, "folder"))
    _arguments.choice(ordering, "ordering", ORDERINGS)
    _arguments.choice(neighbors, "neighbors", METRICS)
    width = _arrays.integer(m, "m", minimum=0)
    wanted = active_config().residual.jitter if jitter is None else jitter
    jitter = _inputs.jitter(wanted)
    if client is not None:
        _arguments.instance(client, "client", (Client,))
    array = _source.opened(points).astype(np.float64)
    n, dim = int(array.shape[0]), int(array.shape[1])
    if n_partitions is not None:
        _arrays.integer(n_partitions, "n_partitions", minimum=1, maximum=n)
    response = _observations(y, "y", n)
    one, of_each = _noise(noise, n)
    seed = _arrays.seed(chosen_seed(seed))
    columns = Columns(int(response.shape[1]), of_each is not None)
    extra = [response] if of_each is None else [response, of_each]
    aligned = [some.rechunk({0: array.chunks[0], 1: -1}) for some in extra]
    rows = da.concatenate([array, *aligned], axis=1).rechunk({1: -1})
    order = Permutation(n, seed) if ordering == "random" else None
    chunks = Chunks(get_client() if client is None else client, rows, dim=dim, dtype=array.dtype, order=order)
    chunks.check(partial(check_observed, columns))
    inducing = chunks.inducing(n_inducing, inducing_points, seed)
    # Without features, the nearest by residual correlation are those over the lengthscales.
    common = chunks.process(kernel, inducing if neighbors == "residual" else inducing[:0], jitter)
    tree = chunks.tree(common, n_partitions, Made({}, where))
    lead = Lead(kernel, one, inducing, jitter, dim)
    how: dict[str, Any] = {"jitter": jitter, "n_neighbors": width, "keep": bool(keep) and where is None}
    model = PartitionedVIF(tree, columns, lead, order, is_one=np.ndim(y) == 1, **how)
    model._condition()
    return model


def _observations(given: Any, name: str, n: int) -> da.Array:
    """Numbers of the points, a row for each, as float64."""
    array = given if isinstance(given, da.Array) else da.from_array(_arrays.array_of(given, name))
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name}: expected real numbers, got dtype {array.dtype}")
    if array.ndim not in (1, 2):
        raise ValueError(f"{name}: expected shape ({n},) or ({n}, r), got {array.shape}")
    if np.isnan(array.shape[0]):
        array = array.compute_chunk_sizes()
    if array.shape[0] != n or 0 in array.shape:
        raise ValueError(f"{name}: expected {n} numbers, one for each point, got {array.shape[0]}")
    array = array[:, None] if array.ndim == 1 else array
    return array.astype(np.float64)


def _noise(given: Any, n: int) -> tuple[float, da.Array | None]:
    """The noise variance of all points, and a factor for each of them."""
    if isinstance(given, da.Array) or np.ndim(given):
        array = _observations(given, "noise", n)
        if array.shape[1] != 1:
            raise ValueError(f"noise: expected one number or {n}, one for each point, got shape {array.shape}")
        return 1.0, array
    one = _inputs.noise(given, n)
    assert isinstance(one, float)
    return one, None

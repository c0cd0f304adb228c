"""Conditioning sets and factors in the formats of other packages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _arguments, _arrays
from . import _padding
from ._model import VIF

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

# The fields of a neighbor.info that spNNGP requires.
_FIELDS = ("n.neighbors", "nn.indx", "nn.indx.lu", "ord")


def to_nnarray(neighbors: ArrayLike) -> NDArray[np.float64]:
    """Conditioning sets as the ``NNarray`` of the R package GpGp.

    GpGp reads ``min(i, k)`` neighbours of the point with rank i, without a check that there are this many.

    Parameters
    ----------
    neighbors : array_like of int, shape (n, k)
        Ranks below the rank of the row, filled up with -1.

    Returns
    -------
    numpy.ndarray, shape (n, k + 1)
        Row numbers from 1: of the point itself, then of its neighbours in the given order; filled up with NaN. They
        refer to the data in the order of the ranks.

    Examples
    --------
    >>> from covertreex import vecchia
    >>> vecchia.to_nnarray([[-1, -1], [0, -1], [1, 0]])
    array([[ 1., nan, nan],
           [ 2.,  1., nan],
           [ 3.,  2.,  1.]])
    """
    sets = _padding.checked_sets(neighbors)
    numbers = np.where(sets >= 0, sets + 1.0, np.nan)
    return np.hstack([np.arange(1.0, len(sets) + 1)[:, None], numbers])


def from_nnarray(nnarray: ArrayLike) -> NDArray[np.int64]:
    """Conditioning sets from the ``NNarray`` of the R package GpGp.

    Parameters
    ----------
    nnarray : array_like, shape (n, k + 1)
        As :func:`to_nnarray` returns it. Missing neighbours are NaN, or -2**31 in integers, which is R's NA.

    Returns
    -------
    numpy.ndarray of int64, shape (n, k)
        Ranks, filled up with -1.
    """
    return _padding.packed(_padding.checked_nnarray(nnarray))


def to_linv(model: VIF) -> NDArray[np.float64]:
    """The factor of a model as the ``Linv`` of the R package GpGp.

    Parameters
    ----------
    model : VIF
        With inducing points, this is the factor of the residual process; :attr:`VIF.v_matrix` has the rest.

    Returns
    -------
    numpy.ndarray, shape (n, k + 1)
        The entries of ``D**-0.5 @ B`` at the columns of ``to_nnarray(model.neighbors)``; they are 0 for NaN.

    Examples
    --------
    >>> import numpy as np
    >>> from covertreex import vecchia
    >>> from covertreex.kernels import Matern32
    >>> coords = np.random.default_rng(0).random((100, 2))
    >>> model = vecchia.VIF(coords, kernel=Matern32(0.3), noise=0.1, n_neighbors=5, n_inducing=0)
    >>> vecchia.to_linv(model).shape
    (100, 6)
    """
    _arguments.instance(model, "model", (VIF,))
    matrix, variances = model.factor()
    sets = _padding.packed(model.neighbors)
    linv = np.zeros((len(sets), sets.shape[1] + 1))
    linv[:, 0] = 1
    rank, slot = np.nonzero(sets >= 0)
    linv[rank, slot + 1] = np.asarray(matrix[rank, sets[rank, slot]]).ravel()
    linv /= np.sqrt(variances)[:, None]
    return linv


def from_linv(linv: ArrayLike, nnarray: ArrayLike) -> tuple[csr_matrix, NDArray[np.float64]]:
    """The factor from ``Linv`` and ``NNarray`` of the R package GpGp.

    Parameters
    ----------
    linv : array_like, shape (n, k + 1)
        As :func:`to_linv` returns it. Where ``nnarray`` has no neighbour, it must be 0 or NaN.
    nnarray : array_like, shape (n, k + 1)
        As for :func:`from_nnarray`.

    Returns
    -------
    b : scipy.sparse.csr_matrix, shape (n, n)
        Unit lower triangular.
    d : numpy.ndarray, shape (n,)
        ``b.T @ inv(diag(d)) @ b`` is the precision.
    """
    from scipy.sparse import csr_matrix  # noqa: PLC0415 - slow to import

    sets = _padding.checked_nnarray(nnarray)
    n, width = sets.shape
    values = _arrays.of_shape(linv, "linv", (n, width + 1)).astype(np.float64)
    own, others, used = values[:, 0], values[:, 1:], sets >= 0
    with np.errstate(all="ignore"):
        variances = own**-2.0
    for row in np.flatnonzero(~((own > 0) & (variances > 0) & np.isfinite(variances)))[:1]:
        raise ValueError(f"linv[{row}, 0]: expected 1 / sqrt(d) for a finite d above 0, got {own[row]}")
    for row, slot in np.argwhere(used & ~np.isfinite(others))[:1]:
        raise ValueError(f"linv[{row}, {slot + 1}]: expected a finite number, got {others[row, slot]}")
    for row, slot in np.argwhere(~used & (others != 0) & ~np.isnan(others))[:1]:
        where = f"[{row}, {slot + 1}]"
        raise ValueError(f"linv{where}: expected 0, as nnarray{where} is missing, got {others[row, slot]}")
    ranks, points = np.nonzero(used)[0], np.arange(n)
    entries = np.concatenate([others[used] / own[ranks], np.ones(n)])
    positions = np.concatenate([ranks, points]), np.concatenate([sets[used], points])
    return csr_matrix((entries, positions), shape=(n, n)), variances


def to_neighbor_info(neighbors: ArrayLike, order: ArrayLike) -> dict[str, int | NDArray[np.int32]]:
    """Conditioning sets as the ``neighbor.info`` of the R package spNNGP, with the fields that it requires.

    ``json.dumps(info, default=numpy.ndarray.tolist)`` writes it as JSON.

    Parameters
    ----------
    neighbors : array_like of int, shape (n, k)
        Ranks below the rank of the row, filled up with -1. Each point has k neighbours, or all points before it.
    order : array_like of int, shape (n,)
        The row of each rank.

    Returns
    -------
    dict
        ``n.neighbors``: k. ``nn.indx``: ranks from 0, one set after the other. ``nn.indx.lu``: where each set begins
        in ``nn.indx``, then the sizes of the sets. ``ord``: ``order`` from 1. Arrays are int32, as R's integers.

    Examples
    --------
    >>> from covertreex import vecchia
    >>> info = vecchia.to_neighbor_info([[-1, -1], [0, -1], [1, 0]], order=[2, 0, 1])
    >>> {name: value if name == "n.neighbors" else value.tolist() for name, value in info.items()}
    {'n.neighbors': 2, 'nn.indx': [0, 1, 0], 'nn.indx.lu': [0, 0, 1, 0, 1, 2], 'ord': [3, 1, 2]}
    """
    sets = _padding.checked_sets(neighbors)
    ranks, used = np.arange(len(sets)), sets >= 0
    rows = _arrays.copied_indices(order, "order")
    if not np.array_equal(np.sort(rows), ranks):
        raise ValueError(f"order: expected every number from 0 to {len(sets) - 1} once, got others")
    sizes = used.sum(axis=1)
    width = int(sizes.max(initial=0))
    for rank in np.flatnonzero(sizes != np.minimum(ranks, width))[:1]:
        raise ValueError(f"neighbors[{rank}]: expected {min(rank, width)} ranks, got {sizes[rank]}")
    if sizes.sum() > _padding.R_LARGEST:
        raise ValueError(f"neighbors: expected at most {_padding.R_LARGEST} ranks, got {sizes.sum()}")
    bounds = np.concatenate([np.cumsum(sizes) - sizes, sizes])
    return {
        "n.neighbors": width,
        "nn.indx": sets[used].astype(np.int32),
        "nn.indx.lu": bounds.astype(np.int32),
        "ord": (rows + 1).astype(np.int32),
    }


def from_neighbor_info(info: Mapping[str, Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Conditioning sets and their order from the ``neighbor.info`` of the R package spNNGP.

    Parameters
    ----------
    info : dict
        As :func:`to_neighbor_info` returns it, or with lists. Further fields are ignored.

    Returns
    -------
    neighbors : numpy.ndarray of int64, shape (n, k)
        Ranks, filled up with -1; k is the size of the largest set.
    order : numpy.ndarray of int64, shape (n,)
        The row of each rank.
    """
    _arguments.instance(info, "info", (Mapping,))
    for name in _FIELDS:
        if name not in info:
            raise ValueError(f"info: expected the field {name!r}, got {', '.join(map(repr, info)) or 'no fields'}")
    width, members, bounds, order = (_padding.whole_numbers(info[name], f"info[{name!r}]") for name in _FIELDS)
    n = len(order)
    if not np.array_equal(np.sort(order), np.arange(1, n + 1)):
        raise ValueError(f"info['ord']: expected every number from 1 to {n} once, got others")
    if len(width) != 1 or width[0] < 0:
        raise ValueError(f"info['n.neighbors']: expected one number from 0 up, got {_arguments.described(width)}")
    if len(bounds) != 2 * n:
        raise ValueError(f"info['nn.indx.lu']: expected {2 * n} numbers, got {len(bounds)}")
    starts, sizes = bounds[:n], bounds[n:]
    most = np.minimum(np.arange(n), width[0])
    for rank in np.flatnonzero((sizes < 0) | (sizes > most))[:1]:
        raise ValueError(f"info['nn.indx.lu'][{n + rank}]: expected 0 to {most[rank]}, got {sizes[rank]}")
    last = len(members) - sizes
    for rank in np.flatnonzero((sizes > 0) & ((starts < 0) | (starts > last)))[:1]:
        raise ValueError(f"info['nn.indx.lu'][{rank}]: expected 0 to {last[rank]}, got {starts[rank]}")
    return _padding.of_csr(starts, sizes, members, "info['nn.indx']"), order - 1


def from_csr(offsets: ArrayLike, ranks: ArrayLike) -> NDArray[np.int64]:
    """Conditioning sets from :meth:`ConditioningSets.to_csr`.

    Parameters
    ----------
    offsets : array_like of int, shape (n + 1,)
        Where each set begins in ``ranks``, and where the last one ends.
    ranks : array_like of int
        One set after the other.

    Returns
    -------
    numpy.ndarray of int64, shape (n, k)
        The sets, filled up with -1; k is the size of the largest.
    """
    begins, members = _arrays.copied_indices(offsets, "offsets"), _arrays.copied_indices(ranks, "ranks")
    if not len(begins):
        raise ValueError("offsets: expected at least 1 number, got 0")
    if begins[0] != 0:
        raise ValueError(f"offsets[0]: expected 0, got {begins[0]}")
    for one in np.flatnonzero(begins[1:] < begins[:-1])[:1]:
        raise ValueError(f"offsets[{one + 1}]: expected at least {begins[one]}, got {begins[one + 1]}")
    if begins[-1] != len(members):
        raise ValueError(f"offsets[{len(begins) - 1}]: expected {len(members)}, got {begins[-1]}")
    return _padding.of_csr(begins[:-1], np.diff(begins), members, "ranks")

"""Orders of points, and conditioning sets: the nearest predecessors of each."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from .. import _arguments, _arrays, _calls, _files
from .._calls import ProgressReport
from .._capi import CoverTreeError
from .._capi.points import maxmin_order
from .._files import File, PathLike
from .._settings import active_config
from ..kernels import Stationary, checked, scaled
from ..residual import ResidualTree
from ..residual._inputs import KernelLike, chosen_seed
from ._padding import csr

ORDERINGS = ("maxmin", "random", "natural")

# The section of a file that identifies conditioning sets.
_HASH = "vecchia.input_hash"


def ordering(
    points: ArrayLike,
    method: str = "maxmin",
    *,
    seed: int = 0,
    n_threads: int | None = None,
    progress: ProgressReport | None = None,
) -> NDArray[np.int64]:
    """Order points for a Vecchia approximation.

    Parameters
    ----------
    points : array_like, shape (n, dim)
        Distances are Euclidean.
    method : {"maxmin", "random", "natural"}
        Max-min distance: the point nearest to the centroid, then always the one farthest from all before it
        (Guinness, 2018); shuffled; or as they come.
    seed : int
        For "random".
    n_threads, progress
        As in :func:`covertreex.cover_tree`.

    Returns
    -------
    numpy.ndarray of int64, shape (n,)
        ``order[rank]`` is a row of ``points``. Max-min takes O(n log n) if the points have few intrinsic dimensions;
        without structure in many dimensions (uniform in 20 or more) it is quadratic in n.
    """
    points = _arrays.points(points, "points", dtype=np.dtype(np.float64))
    seed = _arrays.seed(seed)
    _arguments.choice(method, "method", ORDERINGS)
    if not points.shape[1]:
        raise ValueError("points: expected at least 1 column, got 0")
    _arrays.check_finite(points, "points")
    if method == "natural" or not len(points):
        return np.arange(len(points))
    if method == "random":
        return np.random.default_rng(seed).permutation(len(points))
    return maxmin_order(points, n_threads=_calls.threads(n_threads), progress=progress)


@dataclass(frozen=True)
class ConditioningSets:
    """The neighbours that each point of a Vecchia approximation is conditioned on.

    Everything but ``order`` and ``inverse`` speaks of ranks: ``rank`` means row ``order[rank]`` of the
    coordinates.
    """

    order: NDArray[np.int64]  #: (n,) row of each rank
    inverse: NDArray[np.int64]  #: (n,) rank of each row
    neighbors: NDArray[Any]  #: (n, m) ranks below the row's own, the nearest first; -1 for missing ones
    distances: NDArray[np.float64] | None  #: (n, m) residual-correlation distances; infinity there
    #: Of coordinates, order, kernel, inducing points and options: whether a file is still current. A kernel that is not
    #: of :mod:`covertreex.kernels` is known by its values: of two callables with the same values the hash is the
    #: same, in other processes too, on processors of one kind; with other values it differs, whatever their ``repr``.
    input_hash: str

    def to_csr(self) -> tuple[NDArray[np.int64], NDArray[Any]]:
        """Offsets, shape (n + 1,), and ranks one after the other, without unused positions."""
        return csr(self.neighbors)

    def save(self, path: PathLike, *, progress: ProgressReport | None = None) -> None:
        """Write everything to a file, in one step, as :meth:`covertreex.CoverTree.save` does."""
        sections: dict[str, NDArray[Any]] = {
            _HASH: np.frombuffer(self.input_hash.encode(), np.uint8),
            "order": self.order,
            "neighbors": self.neighbors,
        }
        if self.distances is not None:
            sections["distances"] = self.distances
        number = int.from_bytes(hashlib.sha256(self.input_hash.encode()).digest()[:8], "little")
        _files.save(path, sections, progress, input_hash=number)

    @classmethod
    def load(cls, path: PathLike, *, input_hash: str | None = None, mmap: bool = True) -> ConditioningSets:
        """Open what :meth:`save` wrote, and check it.

        Parameters
        ----------
        input_hash : str, optional
            What the file must have been computed from: CoverTreeError for others.
        path, mmap
            As for :func:`covertreex.load`.
        """
        path = _arguments.path(path)
        if input_hash is not None:
            _arguments.instance(input_hash, "input_hash", (str,))
        return cls._of_file(File.open(path, mmap=mmap, verify=True, progress=None), path, input_hash)

    @classmethod
    def _of_file(cls, file: File, path: PathLike, input_hash: str | None = None) -> ConditioningSets:
        found, name = file.sections(_HASH, "order", "neighbors", "distances"), repr(os.fspath(path))
        if file.kind != _files.ARRAYS or not found.keys() >= {_HASH, "order", "neighbors"}:
            raise CoverTreeError(f"path: {name} has no conditioning sets")
        order, n = found["order"], len(found["order"])
        neighbors = found["neighbors"].reshape(n, -1)
        if not np.array_equal(np.sort(order), np.arange(n)):
            raise CoverTreeError(f"path: the order in {name} is not a permutation")
        if (neighbors >= np.arange(n)[:, None]).any() or (neighbors < -1).any():
            raise CoverTreeError(f"path: a neighbour in {name} does not come before its point")
        known = found[_HASH].tobytes().decode()
        if input_hash is not None and input_hash != known:
            raise CoverTreeError(f"input_hash: {name} was computed from other inputs")
        distances = found["distances"].reshape(neighbors.shape) if "distances" in found else None
        return cls(order, _inverse(order), neighbors, distances, known)


def neighbors(
    points: ArrayLike,
    *,
    kernel: KernelLike,
    m: int,
    n_inducing: int | None = None,
    inducing_points: ArrayLike | str | None = None,
    ordering: str | ArrayLike = "maxmin",
    seed: int | None = None,
    jitter: float | None = None,
    dtype: DTypeLike = np.int64,
    return_distances: bool = False,
    n_threads: int | None = None,
    progress: ProgressReport | None = None,
) -> ConditioningSets:
    """Find the ``m`` nearest predecessors of every point, by residual correlation, exactly.

    Parameters
    ----------
    points : array_like, shape (n, dim)
    kernel, n_inducing, inducing_points, jitter
        As in :func:`covertreex.residual_tree`.
    m : int
        Neighbours of each point.
    ordering : {"maxmin", "random", "natural"} or array_like of int, shape (n,)
        The order of the points, in coordinates over the lengthscale; or the order itself.
    seed : int, optional
        For the random ordering and the sample of inducing points; by default 42.
    dtype : {int64, int32}
        Of the neighbours.
    return_distances : bool
        Whether to keep the distances.
    n_threads, progress
        As in :func:`covertreex.cover_tree`.
    """
    points = _arrays.points(points, "points", dtype=np.dtype(np.float64))
    kernel = checked(kernel)
    m = _arrays.integer(m, "m", minimum=1)
    integers = _arrays.element_type(dtype, "dtype", (np.dtype(np.int32), np.dtype(np.int64)))
    seed = _arrays.seed(chosen_seed(seed))
    jitter = active_config().residual.jitter if jitter is None else jitter
    with _arguments.renamed(k="m", method="ordering"):
        if n_inducing is not None:
            _arrays.integer(n_inducing, "n_inducing", minimum=0, maximum=len(points))
        order = _order(points, kernel, ordering, seed, n_threads, _calls.part(progress, 0, 0.1))
        build, search = _calls.part(progress, 0.1, 0.4), _calls.part(progress, 0.4, 1)
        with ResidualTree(
            points[order], kernel=kernel, n_inducing=n_inducing, inducing_points=inducing_points, jitter=jitter,
            seed=seed, n_threads=n_threads, progress=build,
        ) as tree:  # fmt: skip
            found, distances = tree.knn(
                m, predecessor_mode=True, return_distances=True, n_threads=n_threads, progress=search
            )
            inducing = tree.inducing_points
    # int32 can represent every rank: there are fewer than 2**31 points.
    digest = _input_hash(kernel, (np.array([m, jitter]), points, order, inducing), (found, distances))
    kept = distances if return_distances else None
    return ConditioningSets(order, _inverse(order), found.astype(integers, copy=False), kept, digest)


def _input_hash(kernel: KernelLike, inputs: tuple[NDArray[Any] | None, ...], results: tuple[NDArray[Any], ...]) -> str:
    """The ``input_hash``. The values of a kernel that is not of this package are known by the results."""
    digest = hashlib.sha256()
    of_kernel: tuple[NDArray[Any], ...]
    if isinstance(kernel, Stationary):
        name, of_kernel = f"kernel {kernel.shape}", (np.array(kernel.lengthscale), np.array(kernel.variance))
    else:
        name, of_kernel = "callable", results
    digest.update(name.encode())
    for part in map(np.asarray, (*inputs, *of_kernel)):
        digest.update(f"{part.dtype.str} {part.shape}".encode())  # so that no two lists of arrays have the same bytes
        digest.update(part.tobytes())
    return digest.hexdigest()


def _order(  # noqa: PLR0917 - what `neighbors` was given
    points: NDArray[np.float64],
    kernel: KernelLike,
    order: str | ArrayLike,
    seed: int,
    n_threads: int | None,
    progress: ProgressReport | None,
) -> NDArray[np.int64]:
    over = scaled(points, kernel, "points")  # checked for every order, by the rows of the caller
    if isinstance(order, str):
        return ordering(over, order, seed=seed, n_threads=n_threads, progress=progress)
    given = _arrays.copied_indices(order, "ordering")
    if len(given) != len(points):
        raise ValueError(f"ordering: expected {len(points)} numbers, one for each point, got {len(given)}")
    if not np.array_equal(np.sort(given), np.arange(len(points))):
        raise ValueError(f"ordering: expected every number from 0 to {len(points) - 1} once, got others")
    return given


def _inverse(order: NDArray[np.int64]) -> NDArray[np.int64]:
    inverse = np.empty_like(order)
    inverse[order] = np.arange(len(order))
    return inverse

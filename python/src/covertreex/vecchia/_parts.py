"""Parts of a VIF model: each has some of its points, and computes their shares of likelihoods and predictions.

A set may have points of other parts; a part keeps copies of these as its *halo*, and computes their rows of ``V`` from
coordinates. The likelihood takes two rounds over the parts: :meth:`Part.totals`, then :meth:`Part.terms`, which needs
the totals of all. A :class:`Lead` has no points of its own, and makes the result of the sums.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._capi import Float64s, Int64s, Owner, vif_parts
from .._capi.vif import Process, Sets
from .._capi.vif_parts import Terms, Totals
from ..kernels import Stationary
from ..residual._inputs import library_kernel
from ._padding import csr

__all__ = ["Lead", "Observed", "Part", "Shared", "Terms", "Totals"]


@dataclass(frozen=True)
class Shared:
    """What all parts share."""

    kernel: Stationary
    noise: float  #: of all points, or the factor of :attr:`Observed.noise`
    inducing: Float64s  #: (m, dim)
    jitter: float

    def process(self, shares: Float64s | None) -> Process:
        """The same as the library gets it, for points with these shares of the noise."""
        noise = np.array([self.noise]) if shares is None else self.noise * shares
        return Process(library_kernel(self.kernel), noise, self.inducing, self.jitter)

    def _key(self) -> tuple[Any, ...]:
        kernel = library_kernel(self.kernel)
        numbers = kernel.lengthscale.tobytes(), self.inducing.tobytes()
        return kernel.shape, kernel.variance, *numbers, self.noise, self.jitter


class Observed(NamedTuple):
    """Some points with what was observed there."""

    points: Float64s  #: (n, dim)
    y: Float64s  #: (n, responses)
    noise: Float64s | None  #: (n,) of each point, times that of :class:`Shared`

    def some(self, rows: NDArray[Any]) -> Observed:
        """Some of them."""
        return Observed(self.points[rows], self.y[rows], None if self.noise is None else self.noise[rows])

    @classmethod
    def joined(cls, several: Sequence[Observed]) -> Observed:
        """Several, one after the other."""
        points, y, noise = zip(*several)
        return cls(np.concatenate(points), np.concatenate(y), None if noise[0] is None else np.concatenate(noise))


def members(neighbors: Int64s) -> Int64s:
    """The ranks in sets, (n, k) with -1 for missing ones; they ascend."""
    ranks = _in_sets(neighbors)
    # Without a set, any point of the model will do.
    return ranks if len(ranks) else np.zeros(1, np.int64)


def strangers(own: Int64s, neighbors: Int64s) -> Int64s:
    """Ranks in sets, (n, k) with -1 for missing ones, that are not among ``own``, which ascend; they ascend, too."""
    return np.setdiff1d(_in_sets(neighbors), own, assume_unique=True)


def _in_sets(neighbors: Int64s) -> Int64s:
    ranks = np.unique(neighbors)
    return ranks[ranks >= 0]


class Part:
    """Some points of a model.

    Parameters
    ----------
    ranks : (n_own,)
        Of its own points; they ascend.
    own : Observed
        These.
    neighbors : (n_own, k)
        The set of each: lower ranks, -1 for missing ones.
    halo_ranks, halo
        Of all other points in sets; see :func:`strangers`.
    keep : bool
        Whether ``V`` and the factor stay in memory between calls with the same hyperparameters.
    """

    def __init__(
        self, ranks: Int64s, own: Observed, neighbors: Int64s, halo_ranks: Int64s, halo: Observed, *, keep: bool = True
    ) -> None:
        self.n_own, self.n_halo = len(ranks), len(halo_ranks)
        self._names = np.concatenate([halo_ranks, ranks])
        self._data = Observed.joined([halo, own])
        offsets, members = csr(neighbors)
        outside = np.isin(members, ranks, invert=True)
        rows = np.empty(len(members), np.int64)
        rows[outside] = np.searchsorted(halo_ranks, members[outside])
        rows[~outside] = self.n_halo + np.searchsorted(ranks, members[~outside])
        self._sets = Sets(np.concatenate([np.zeros(self.n_halo, np.int64), offsets]), rows)
        self._keep = keep
        self._built: tuple[tuple[Any, ...], Owner] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_built": None}

    def __sizeof__(self) -> int:
        arrays, built = (self._names, *self._data, *self._sets), self._built
        kept = 0 if built is None else int(vif_parts.get_info(built[1].handle).memory_bytes)
        return kept + sum(0 if array is None else array.nbytes for array in arrays)

    def _use(self, shared: Shared, n_threads: int) -> Owner:
        """The library's part with these hyperparameters."""
        key, built = shared._key(), self._built  # which another thread may replace
        if built is not None and built[0] == key:
            return built[1]
        process = shared.process(self._data.noise)
        if built is None:
            owner = vif_parts.build(
                self._data.points, self.n_halo, self._names, self._sets, process, n_threads=n_threads
            )
        else:
            owner = vif_parts.with_parameters(built[1].handle, process, n_threads=n_threads)
        if vif_parts.get_info(owner.handle).jitter != shared.jitter:
            raise RuntimeError(
                f"jitter: {shared.jitter} is enough on the machine that leads the computation, but not on this one"
            )
        if self._keep:
            self._built = key, owner
        return owner

    def totals(self, shared: Shared, *, n_threads: int = 0) -> Totals:
        """Its shares of the totals."""
        owner = self._use(shared, n_threads)
        return vif_parts.sums(owner.handle, self.n_own, self._data.y, n_threads=n_threads)

    def terms(self, shared: Shared, totals: Totals, *, gradient: bool, n_threads: int = 0) -> Terms:
        """Its shares of the value and of the gradient."""
        owner = self._use(shared, n_threads)
        return vif_parts.terms(owner.handle, self._data.y, totals, gradient=gradient, n_threads=n_threads)


def predict(
    points: Float64s,
    neighbors: Int64s,
    known: tuple[Int64s, Observed],
    shared: Shared,
    totals: Totals,
    *,
    variance: bool,
    n_threads: int = 0,
) -> tuple[Float64s, Float64s | None]:
    """Means, (q, responses), and variances of the process, (q,), at new points.

    ``neighbors``, (q, k), are ranks of the data, -1 for missing ones; ``known`` has those of :func:`members`.
    """
    ranks, data = known
    none = Sets(np.zeros(len(ranks) + 1, np.int64), np.empty(0, np.int64))
    process = shared.process(data.noise)
    owner = vif_parts.build(data.points, len(ranks), ranks, none, process, n_threads=n_threads)
    offsets, in_sets = csr(neighbors)
    sets = Sets(offsets, np.searchsorted(ranks, in_sets))
    return vif_parts.predict(owner.handle, data.y, totals, points, sets, variance=variance, n_threads=n_threads)


class Lead:
    """A part without points of its own, which makes the result of the sums over all parts."""

    def __init__(self, kernel: Stationary, noise: float, inducing: Float64s, jitter: float, dim: int) -> None:
        none = Sets(np.zeros(2, np.int64), np.empty(0, np.int64))
        shared = Shared(kernel, noise, inducing, jitter)
        self._owner = vif_parts.build(np.zeros((1, dim)), 1, np.zeros(1, np.int64), none, shared.process(None))
        #: With the jitter that was necessary.
        self.shared = Shared(kernel, noise, inducing, vif_parts.get_info(self._owner.handle).jitter)

    def log_likelihood(self, totals: Totals, terms: Terms) -> tuple[Float64s, Float64s | None]:
        """The log likelihood of each response, and its gradient, (responses, parameters)."""
        return vif_parts.log_likelihood(self._owner.handle, totals, terms)

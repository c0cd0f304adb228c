"""The VIF model: its order, sets, inducing points and factor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _arguments, _arrays, _calls
from .._calls import ProgressReport
from .._capi import vif
from .._settings import active_config
from ..kernels import Stationary, checked
from ..residual import ResidualTree
from ..residual._inputs import KernelLike, chosen_seed, library_kernel
from . import _files, _inputs, _sets
from ._inference import Inference
from ._inputs import KernelGradient
from ._search import Search

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

METRICS = ("residual", "euclidean")


class VIF(Inference):
    """A Gaussian process by the Vecchia-inducing-points full-scale approximation.

    The covariance of the response is ``V @ V.T + inv(B.T @ inv(D) @ B)``: ``V`` has the features of inducing points,
    and ``B`` and ``D`` regress the residual process of each point, with its noise, on its conditioning set. With
    ``n_inducing=0`` this is a Vecchia approximation, with ``n_neighbors=0`` FITC, and with all predecessors the process
    itself. All numbers are float64, and results are the same for any number of threads.

    Parameters
    ----------
    coords : array_like, shape (n, dim)
    kernel : callable
        Of :mod:`covertreex.kernels`, or any other function ``kernel(X1, X2)`` of two arrays that gives covariances,
        shape (n1, n2). It is called for blocks of points, by several threads.
    kernel_gradient : callable, optional
        For gradients with a kernel of your own: ``kernel_gradient(X1, X2)`` gives its derivatives by p parameters, or
        by their logarithms, shape (p, n1, n2).
    noise : float or array_like, shape (n,)
        The variance of the noise, of all points or of each. Equal points need some: ValueError otherwise.
    n_neighbors : int
        Points that each one is conditioned on; by default 30. If the sets are given, predictions are conditioned on as
        many, found by residual correlation; by default the width of the sets.
    n_inducing, inducing_points, jitter
        As in :func:`covertreex.residual_tree`.
    ordering : {"maxmin", "random", "natural"} or array_like of int, shape (n,)
        As in :func:`covertreex.vecchia.neighbors`.
    neighbors : {"residual", "euclidean"} or array_like of int, shape (n, k)
        The nearest predecessors by residual correlation, or by distance over the lengthscales; or the sets themselves:
        ranks below the rank of the row, filled up with -1.
    seed : int, optional
        For the random ordering and the sample of inducing points; by default 42.
    n_threads, progress
        As in :func:`covertreex.cover_tree`.

    References
    ----------
    Gyger, Furrer and Sigrist, "Vecchia-inducing-points full-scale approximations for Gaussian processes" (2025).

    Examples
    --------
    >>> import numpy as np
    >>> from covertreex.kernels import Matern32
    >>> from covertreex.vecchia import VIF
    >>> coords = np.random.default_rng(0).random((300, 2))
    >>> y = np.sin(6 * coords[:, 0])
    >>> model = VIF(coords, kernel=Matern32(0.3), noise=0.01, n_neighbors=10, n_inducing=20)
    >>> value, gradient = model.log_likelihood(y, eval_gradient=True)
    >>> gradient.shape  # by the logarithms of noise, variance and lengthscale
    (3,)
    >>> mean, variance = model.predict([[0.5, 0.5]], y, return_var=True)
    >>> bool(abs(mean[0] - np.sin(3)) < 0.1)
    True
    """

    #: The row of each rank, int64 of shape (n,).
    order: NDArray[np.int64]
    #: (m, dim)
    inducing_points: NDArray[np.float64]

    def __init__(
        self,
        coords: ArrayLike,
        *,
        kernel: KernelLike,
        kernel_gradient: KernelGradient | None = None,
        noise: ArrayLike = 0.0,
        n_neighbors: int | None = None,
        n_inducing: int | None = None,
        inducing_points: ArrayLike | str | None = None,
        ordering: str | ArrayLike = "maxmin",
        neighbors: str | ArrayLike = "residual",
        seed: int | None = None,
        jitter: float | None = None,
        n_threads: int | None = None,
        progress: ProgressReport | None = None,
    ) -> None:
        super().__init__()
        self._coords = _arrays.points(coords, "coords", dtype=np.dtype(np.float64)).copy()
        _arrays.check_finite(self._coords, "coords")
        ordering = _inputs.own(ordering, "ordering")
        neighbors = _inputs.own(neighbors, "neighbors")
        inducing_points = _inputs.own(inducing_points, "inducing_points")
        choices: dict[str, Any] = {
            "n_neighbors": n_neighbors, "n_inducing": n_inducing, "inducing_points": inducing_points,
            "ordering": ordering, "neighbors": neighbors, "seed": seed, "jitter": jitter,
        }  # fmt: skip
        self._choices = {name: _files.kept(one) for name, one in choices.items()}
        self._seed = _arrays.seed(chosen_seed(seed))
        jitter = active_config().residual.jitter if jitter is None else jitter
        self._jitter = _inputs.jitter(jitter)
        self._take_kernel(kernel, kernel_gradient)
        self.noise = _inputs.noise(noise, len(self._coords))
        if isinstance(neighbors, str):
            self._metric = _arguments.choice(neighbors, "neighbors", METRICS)
            self.n_neighbors = _arrays.integer(30 if n_neighbors is None else n_neighbors, "n_neighbors", minimum=0)
        with _arguments.renamed(points="coords", k="n_neighbors", method="ordering"):
            self.order = _sets._order(
                self._coords, self.kernel, ordering, self._seed, n_threads, _calls.part(progress, 0, 0.1)
            )
            self._choose_inducing(n_inducing, inducing_points, n_threads)
            if not isinstance(neighbors, str):
                self._take_sets(neighbors, n_neighbors)
            ranked = self._coords[self.order]
            self._search = Search(ranked, self.kernel, self._metric, self.inducing_points, self._jitter)
            if isinstance(neighbors, str):
                search = _calls.part(progress, 0.1, 0.5)
                self.neighbors = self._search.predecessors(self.n_neighbors, n_threads, search)
            for array in (self.order, self.neighbors, self.inducing_points):
                array.flags.writeable = False
            owner = vif.build(
                self._coords, self.order, _inputs.in_rows(self.neighbors), self._process(),
                n_threads=_calls.threads(n_threads), progress=_calls.part(progress, 0.5, 1),
            )  # fmt: skip
            self._adopt(owner)

    # Building

    def _choose_inducing(self, count: int | None, points: ArrayLike | str | None, n_threads: int | None) -> None:
        """Inducing points, as those of a residual tree of the points in their order."""
        self.inducing_points = ResidualTree._inducing_of(
            self._coords[self.order], self.kernel, count, points, seed=self._seed, n_threads=n_threads
        )

    def _take_sets(self, given: ArrayLike, n_neighbors: int | None) -> None:
        """Use sets from elsewhere; predictions search in the residual metric."""
        self.neighbors, self._metric = _inputs.sets(given, len(self._coords)), "residual"
        width = self.neighbors.shape[1] if n_neighbors is None else n_neighbors
        self.n_neighbors = _arrays.integer(width, "n_neighbors", minimum=0)

    def _take_kernel(
        self, kernel: KernelLike, gradient: KernelGradient | None, point: NDArray[np.float64] | None = None
    ) -> None:
        self.kernel, self.kernel_gradient = checked(kernel), gradient
        self._callback = _inputs.callback(self.kernel, gradient, self._coords[:1] if point is None else point)

    def _process(self) -> vif.Process:
        kernel = library_kernel(self.kernel) if isinstance(self.kernel, Stationary) else self._callback
        assert kernel is not None
        noise = np.atleast_1d(np.asarray(self.noise, np.float64))
        return vif.Process(kernel, noise, self.inducing_points, self._jitter)

    def with_parameters(
        self,
        *,
        kernel: KernelLike | None = None,
        kernel_gradient: KernelGradient | None = None,
        noise: ArrayLike | None = None,
        n_threads: int | None = None,
    ) -> VIF:
        """A model with the same order, sets and inducing points, and other hyperparameters.

        O(n (k^3 + k^2 m + m^2)) for k neighbours and m inducing points.
        """
        _inputs.together(kernel, kernel_gradient)
        other = VIF._blank()
        state = {name: value for name, value in self.__dict__.items() if name not in ("_handle", "_owner")}
        other.__dict__.update(state)
        if kernel is not None:
            other._take_kernel(kernel, kernel_gradient)
            other._search = self._search.with_kernel(other.kernel)
        other.noise = self.noise if noise is None else _inputs.noise(noise, len(self._coords))
        with _arguments.renamed(points="coords"):
            other._adopt(self._call(vif.with_parameters, other._process(), n_threads=n_threads))
        return other

    def refit(
        self,
        *,
        kernel: KernelLike | None = None,
        kernel_gradient: KernelGradient | None = None,
        noise: ArrayLike | None = None,
        n_threads: int | None = None,
        progress: ProgressReport | None = None,
    ) -> VIF:
        """A model with other hyperparameters, whose order, sets and inducing points are chosen again as at first."""
        self._open()
        _inputs.together(kernel, kernel_gradient)
        if kernel is None:
            kernel, kernel_gradient = self.kernel, self.kernel_gradient
        arrays = {"ordering": "order", "neighbors": "neighbors", "inducing_points": "inducing_points"}
        choices = {
            name: getattr(self, arrays[name]) if one == _files.GIVEN else one for name, one in self._choices.items()
        }
        return VIF(
            self._coords, kernel=kernel, kernel_gradient=kernel_gradient, n_threads=n_threads, progress=progress,
            noise=self.noise if noise is None else noise, **choices,
        )  # fmt: skip

    # Description

    @property
    def v_matrix(self) -> NDArray[np.float64]:
        """``V`` by rank, (n, m)."""
        return vif.features(self._open())

    @property
    def log_determinant(self) -> float:
        """Of the covariance of the response."""
        return float(self._info().log_determinant)

    def factor(self) -> tuple[csr_matrix, NDArray[np.float64]]:
        """``B``, a sparse unit lower triangular matrix, and ``D``, shape (n,), both by rank."""
        from scipy.sparse import csr_matrix  # noqa: PLC0415 - slow to import

        n, sets = len(self._coords), _inputs.in_rows(self.neighbors)
        weights, variances = vif.factor(self._open())
        ends, ranks = sets.offsets[1:], np.arange(n)
        indptr = sets.offsets + np.arange(n + 1)
        columns = np.insert(sets.neighbors, ends, ranks)
        matrix = csr_matrix((np.insert(-weights, ends, 1.0), columns, indptr), shape=(n, n))
        matrix.sort_indices()
        return matrix, variances

    def __repr__(self) -> str:
        n, dim = self._coords.shape
        return (
            f"VIF(n={n}, dim={dim}, kernel={self.kernel}, n_neighbors={self.n_neighbors}, "
            f"n_inducing={len(self.inducing_points)})"
        )

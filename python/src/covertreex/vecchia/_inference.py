"""Inference by a VIF model: likelihoods, trends, draws and predictions."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _arguments, _arrays, _calls
from .._calls import ProgressReport
from .._capi import vif
from .._capi.callbacks import CallbackKernel
from ..kernels import Stationary, scaled
from . import _files, _inputs

# A datum determines a coefficient alone if, after that, so little of its precision is left by rounding.
_LEAST_PRECISION = 1e-10


class Inference(_files.Stored):
    """What a model says of responses. ``Sigma`` is their covariance, noise included."""

    _callback: CallbackKernel | None

    # Likelihood

    def log_likelihood(
        self,
        y: ArrayLike,
        *,
        eval_gradient: bool = False,
        trend: ArrayLike | None = None,
        n_threads: int | None = None,
        progress: ProgressReport | None = None,
    ) -> Any:
        """The log likelihood of responses.

        Parameters
        ----------
        y : array_like, shape (n,) or (n, r)
            In the order of ``coords``; columns are responses of their own.
        eval_gradient : bool
            Whether to return the gradient by the logarithms of the noise, of the variance and of the lengthscales, in
            this order; order, sets and inducing points are held fixed. All noise variances change by one factor. With
            ``kernel_gradient`` it is by the logarithm of the noise and by the parameters of that function.
        trend : array_like, shape (n, c), optional
            A linear mean, see :meth:`trend`: its coefficients are those of the largest likelihood.
        n_threads, progress
            As in :func:`covertreex.cover_tree`.

        Returns
        -------
        value : float, or numpy.ndarray of shape (r,)
        gradient : numpy.ndarray, shape (p,) or (r, p)
            If it is wanted. It costs as much as two or three likelihoods, whatever p is.
        """
        response = _inputs.checked(y, len(self._coords))
        if trend is not None:
            design = _inputs.design(trend, len(self._coords), "trend")
            coefficients, *_ = self._fit_trend(response.columns, design, "trend", n_threads)
            response = response._replace(columns=response.columns - design @ coefficients)
        if eval_gradient and not isinstance(self.kernel, Stationary) and self.kernel_gradient is None:
            raise ValueError("kernel_gradient: expected a function for a gradient by your own kernel, got None")
        values, gradients = self._call(
            vif.log_likelihood, response.columns, gradient=eval_gradient, n_threads=n_threads, progress=progress,
            kernel=self._callback,
        )  # fmt: skip
        value = float(values[0]) if response.is_one else values
        if not eval_gradient:
            return value
        return value, gradients[0] if response.is_one else gradients

    def solve(self, y: ArrayLike, *, n_threads: int | None = None) -> NDArray[np.float64]:
        """Solve for the covariance of the response: ``inv(Sigma) @ y``, with the shape of ``y``."""
        response = _inputs.checked(y, len(self._coords))
        return response.shaped(self._call(vif.solve, response.columns, n_threads=n_threads))

    def trend(
        self, y: ArrayLike, design: ArrayLike, *, n_threads: int | None = None
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Fit a linear mean of the response by generalised least squares.

        Parameters
        ----------
        y : array_like, shape (n,) or (n, r)
        design : array_like, shape (n, c)
            Linearly independent columns, in the order of ``coords``.
        n_threads : int, optional

        Returns
        -------
        coefficients : numpy.ndarray, shape (c,) or (c, r)
        covariance : numpy.ndarray, shape (c, c)
            Of the coefficients of one response.
        """
        response = _inputs.checked(y, len(self._coords))
        columns = _inputs.design(design, len(self._coords), "design")
        coefficients, covariance, _ = self._fit_trend(response.columns, columns, "design", n_threads)
        return response.shaped(coefficients), covariance

    def _fit_trend(
        self, y: NDArray[np.float64], design: NDArray[np.float64], name: str, n_threads: int | None
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """The coefficients of a trend, their covariance, and ``inv(Sigma) @ design``."""
        with _arguments.renamed(y=name):
            whitened = self._call(vif.solve, design, n_threads=n_threads)
        covariance = np.linalg.inv(_inputs.precision(design, whitened, name)).astype(np.float64, copy=False)
        return covariance @ (whitened.T @ y), covariance, whitened

    # Simulation

    def sample(
        self,
        size: int = 1,
        *,
        y: ArrayLike | None = None,
        coords: ArrayLike | None = None,
        n_neighbors: int | None = None,
        seed: int | None = None,
        n_threads: int | None = None,
    ) -> NDArray[np.float64]:
        """Draw responses, noise included: at the data from the prior, or at new points given the data.

        Parameters
        ----------
        size : int
        y : array_like, shape (n,), optional
            The response at the data.
        coords : array_like, shape (q, dim), optional
            The new points; with ``y``. Each is conditioned on its nearest data and new points before it. If the noise
            varies, draws at new points are without noise.
        n_neighbors : int, optional
            As in :meth:`predict`.
        seed : int, optional
            By default another one each time.
        n_threads : int, optional

        Returns
        -------
        numpy.ndarray, shape (size, n) or (size, q)
        """
        size = _arrays.integer(size, "size", minimum=0)
        generator = np.random.default_rng(None if seed is None else _arrays.seed(seed))
        n, m = len(self._coords), len(self.inducing_points)
        if (y is None) != (coords is None):
            raise ValueError("coords: expected together with y, or neither of them")
        if y is None or coords is None:
            return self._call(vif.draw, _inputs.normals(generator, size, m + n), n_threads=n_threads)
        response = _inputs.checked(y, n)
        if not response.is_one:
            raise ValueError(f"y: expected shape ({n},), got {response.columns.shape}")
        points = self._new_points(coords, "coords")
        sets = _inputs.in_rows(self._search.nearest_of_all(points, self._conditioned_on(n_neighbors), n_threads, None))
        given = points, sets, self._noise_of_new
        how: dict[str, Any] = {"n_threads": n_threads, "kernel": self._callback}
        mean, _ = self._call(vif.predict_jointly, response.columns, *given, covariance=False, **how)
        normals = _inputs.normals(generator, size, m + len(points))
        deviations = self._call(vif.draw_new, *given, normals, **how)
        return np.add(mean[:, 0], deviations)

    # Prediction

    def predict(
        self,
        new: ArrayLike,
        y: ArrayLike,
        *,
        return_var: bool = False,
        return_cov: bool = False,
        latent: bool = False,
        trend: ArrayLike | None = None,
        new_trend: ArrayLike | None = None,
        n_neighbors: int | None = None,
        n_threads: int | None = None,
        progress: ProgressReport | None = None,
    ) -> Any:
        """Predict the response at new points.

        Parameters
        ----------
        new : array_like, shape (q, dim)
            Each is conditioned on its nearest data; with ``return_cov`` on the nearest of the data and the new points
            before it.
        y : array_like, shape (n,) or (n, r)
            The responses at the data.
        return_var : bool
            Whether to return variances.
        return_cov : bool
            Whether to return the joint covariance instead.
        latent : bool
            Of the process, without the noise. If the noise varies, nothing else can be predicted.
        trend, new_trend : array_like, shapes (n, c) and (q, c), optional
            The columns of a linear mean at the data and at the new points, see :meth:`trend`. Predictions are by
            universal kriging: variances include the variance of the coefficients.
        n_neighbors : int, optional
            Points that each new one is conditioned on; by default the model's ``n_neighbors``. Twice as many often
            predict better.
        n_threads, progress
            As in :func:`covertreex.cover_tree`.

        Returns
        -------
        mean : numpy.ndarray, shape (q,) or (q, r)
        variance or covariance : numpy.ndarray, shape (q,) or (q, q)
            If it is wanted; it is the same for all responses.
        """
        response = _inputs.checked(y, len(self._coords))
        points = self._new_points(new, "new")
        if (return_var or return_cov) and not latent and isinstance(self.noise, np.ndarray):
            raise ValueError("latent: expected True, as the noise of new points is not known, got False")
        designs = _inputs.designs(trend, new_trend, len(self._coords), len(points))
        how: dict[str, Any] = {
            "width": self._conditioned_on(n_neighbors),
            "latent": latent,
            "n_threads": n_threads,
            "progress": progress,
        }
        predicted = self._predicted_jointly if return_cov else functools.partial(self._predicted, variance=return_var)
        if designs is None:
            mean, spread = predicted(points, response.columns, **how)
        else:
            design, new_design = designs
            coefficients, covariance, _ = self._fit_trend(response.columns, design, "trend", n_threads)
            mean, spread = predicted(points, np.hstack([response.columns, design]), **how)
            mean, shares = np.hsplit(mean, [response.columns.shape[1]])
            # The part of the trend that the data around a point do not predict.
            rest = new_design - shares
            mean = mean + rest @ coefficients
            if return_cov:
                spread = spread + rest @ covariance @ rest.T
            elif return_var:
                spread = spread + ((rest @ covariance) * rest).sum(axis=1)
        mean = response.shaped(mean)
        return mean if spread is None else (mean, spread)

    def _predicted(
        self,
        points: NDArray[np.float64],
        columns: NDArray[np.float64],
        *,
        variance: bool,
        width: int,
        latent: bool,
        n_threads: int | None,
        progress: ProgressReport | None,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
        """Means, (q, columns), and variances if they are wanted."""
        search, rest = _calls.part(progress, 0, 0.5), _calls.part(progress, 0.5, 1)
        sets = _inputs.in_rows(self._search.nearest(points, width, n_threads, search))
        mean, found = self._call(
            vif.predict, columns, points, sets, variance=variance, n_threads=n_threads, progress=rest,
            kernel=self._callback,
        )  # fmt: skip
        return mean, found if found is None or latent else found + self.noise

    def _predicted_jointly(
        self,
        points: NDArray[np.float64],
        columns: NDArray[np.float64],
        *,
        width: int,
        latent: bool,
        n_threads: int | None,
        progress: ProgressReport | None,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Means, (q, columns), and the covariance of the new points."""
        search, rest = _calls.part(progress, 0, 0.5), _calls.part(progress, 0.5, 1)
        sets = _inputs.in_rows(self._search.nearest_of_all(points, width, n_threads, search))
        noise = self._noise_of_new
        mean, covariance = self._call(
            vif.predict_jointly, columns, points, sets, noise, covariance=True, n_threads=n_threads, progress=rest,
            kernel=self._callback,
        )  # fmt: skip
        if latent:
            diagonal = np.diag_indices(len(points))
            covariance[diagonal] = np.maximum(covariance[diagonal] - noise, 0)
        return mean, covariance

    def leave_one_out(
        self,
        y: ArrayLike,
        *,
        trend: ArrayLike | None = None,
        n_threads: int | None = None,
        progress: ProgressReport | None = None,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Predict the response of each datum from those of all others.

        The hyperparameters stay as they are, so scores of these predictions are a little too good if few data have
        determined many hyperparameters. O(n (k m + m^2)): the predictions are not made one by one.

        Parameters
        ----------
        y : array_like, shape (n,) or (n, r)
        trend : array_like, shape (n, c), optional
            The columns of a linear mean, see :meth:`trend`. Its coefficients are fitted to the other data, too.
        n_threads, progress
            As in :func:`covertreex.cover_tree`.

        Returns
        -------
        mean : numpy.ndarray, shape (n,) or (n, r)
        variance : numpy.ndarray, shape (n,)
            Of the response, noise included.

        References
        ----------
        Dubrule, "Cross validation of kriging in a unique neighborhood", Mathematical Geology 15 (1983).

        Examples
        --------
        >>> import numpy as np
        >>> from covertreex import vecchia
        >>> from covertreex.kernels import Matern32
        >>> coords = np.linspace(0, 1, 100)[:, None]
        >>> y = np.sin(6 * coords[:, 0])
        >>> mean, variance = vecchia.VIF(coords, kernel=Matern32(0.5), noise=0.01).leave_one_out(y)
        >>> bool(vecchia.scores(y, mean, variance).rmse < 0.02)
        True
        """
        response = _inputs.checked(y, len(self._coords))
        alpha = self._call(vif.solve, response.columns, n_threads=n_threads)
        precisions = self._call(vif.precision, n_threads=n_threads, progress=progress)
        if trend is not None:
            design = _inputs.design(trend, len(self._coords), "trend")
            coefficients, covariance, whitened = self._fit_trend(response.columns, design, "trend", n_threads)
            alpha = alpha - whitened @ coefficients
            without = precisions - ((whitened @ covariance) * whitened).sum(axis=1)
            for row in np.flatnonzero(without <= _LEAST_PRECISION * precisions)[:1]:
                raise ValueError(f"trend: expected coefficients that are known without row {row}, got others")
            precisions = without
        variance = 1 / precisions
        return response.shaped(response.columns - alpha * variance[:, None]), variance

    def _conditioned_on(self, n_neighbors: int | None) -> int:
        """Points that a new one is conditioned on."""
        return self.n_neighbors if n_neighbors is None else _arrays.integer(n_neighbors, "n_neighbors", minimum=0)

    def _new_points(self, new: ArrayLike, name: str) -> NDArray[np.float64]:
        points = _arrays.points(new, name, dtype=np.dtype(np.float64))
        if points.shape[1] != self._coords.shape[1]:
            raise ValueError(f"{name}: expected {self._coords.shape[1]} columns, got {points.shape[1]}")
        _arrays.check_finite(points, name)
        scaled(points, self.kernel, name)  # by the name and the rows of the caller, which a search does not know
        return points

    @property
    def _noise_of_new(self) -> float:
        """The noise variance of new points; without one of all points they have none."""
        return 0.0 if isinstance(self.noise, np.ndarray) else self.noise

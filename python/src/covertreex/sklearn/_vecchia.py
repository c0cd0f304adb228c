"""Regression by Gaussian processes with Vecchia approximations, for many points."""

from __future__ import annotations

import warnings
from numbers import Integral, Real
from typing import Any, ClassVar, NamedTuple, Union

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, RegressorMixin, _fit_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import _check_sample_weight, check_is_fitted

from .. import _arrays, _frames
from ..kernels import BY_NAME, Stationary
from ..vecchia import ORDERINGS, VIF, Calibration, calibrate
from ..vecchia._fit import fitted
from ..vecchia._hyperparameters import kernel_and_noise
from ._base import NeighborsBase, checked

Floats = NDArray[np.float64]
Bounds = Union[str, tuple[float, float], None]

_BOUNDS = [StrOptions({"fixed"}), tuple, list, np.ndarray, None]
ARRAY = [np.ndarray, list]


class _Data(NamedTuple):
    """Observations of a fitted model."""

    coords: Floats
    y: Floats  #: less the intercept
    weights: Floats | None  #: None if all are 1

    def noise(self, variance: float) -> float | Floats:
        """The noise variance of all observations, or of each."""
        return variance if self.weights is None else variance / self.weights


class VecchiaRegressor(RegressorMixin, BaseEstimator):
    """A Gaussian process by Vecchia's approximation, for hundreds of thousands of points in few dimensions.

    The response is a constant, plus a Gaussian process, plus noise. ``fit`` finds the hyperparameters of the largest
    likelihood, as :func:`covertreex.vecchia.fit` does. All numbers are float64, and results are the same for any number
    of threads.

    Parameters
    ----------
    kernel : {"matern12", "matern32", "matern52", "rbf"} or an object of them
        A name means starting values from the data; an object of :mod:`covertreex.kernels` has them, and as many
        lengthscales as it has are fitted.
    ard : bool
        Whether a kernel given by name has one lengthscale for each feature.
    noise : float, optional
        The noise variance to start from; by default a share of the variance of the targets.
    noise_bounds, variance_bounds, lengthscale_bounds : (float, float) or "fixed", optional
        The smallest and the largest value; "fixed" keeps the starting value. By default they are wide.
    n_neighbors : int
        Points that each one is conditioned on.
    n_prediction_neighbors : int, optional
        Points that each prediction is conditioned on; by default twice ``n_neighbors``.
    neighbors : {"euclidean", "residual"} or array_like of int, shape (n_samples, k)
        The nearest predecessors by distance over the lengthscales or by residual correlation, or the sets themselves.
        The two metrics are the same without inducing points.
    ordering : {"maxmin", "random", "natural"} or array_like of int, shape (n_samples,)
        As in :func:`covertreex.vecchia.neighbors`. Max-min order is slow in ten or more dimensions.
    fit_intercept : bool
        Whether to subtract the mean of the targets; otherwise the process has mean 0.
    refit : bool
        Whether order, sets and inducing points are chosen again during the fit.
    n_restarts : int
        Further starting values.
    max_iter : int
        Iterations with all data; with 0 the starting values are the result.
    tol : float
        Nats per observation, see :func:`covertreex.vecchia.fit`.
    random_state : int, RandomState or None
        For the random order, inducing points, the sample of the warm-up, and restarts. None means the default seed of
        this package, so that fits can be repeated.
    n_jobs : int, optional
        As in :class:`CoverTreeNeighbors`.
    verbose : int
        1 writes a bar with iteration, likelihood and seconds to the standard error.

    Attributes
    ----------
    kernel_ : covertreex.kernels.Stationary
    noise_ : float
        The noise variance of an observation with a weight of 1.
    intercept_ : float
    theta_ : numpy.ndarray, shape (n_hyperparameters,)
        Logarithms of the noise variance, of the kernel's variance and of the lengthscales.
    bounds_ : numpy.ndarray, shape (n_hyperparameters, 2)
        Of ``theta_``.
    log_marginal_likelihood_value_ : float
    n_iter_ : int
        Iterations of the fit, warm-up included.
    history_ : list of covertreex.vecchia.FitStep
    n_features_in_ : int
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "kernel": [StrOptions(set(BY_NAME)), Stationary],
        "ard": ["boolean"],
        "noise": [Interval(Real, 0, None, closed="left"), None],
        "noise_bounds": _BOUNDS,
        "variance_bounds": _BOUNDS,
        "lengthscale_bounds": _BOUNDS,
        "n_neighbors": [Interval(Integral, 0, None, closed="left")],
        "n_prediction_neighbors": [Interval(Integral, 0, None, closed="left"), None],
        "neighbors": [StrOptions({"euclidean", "residual"}), *ARRAY],
        "ordering": [StrOptions(set(ORDERINGS)), *ARRAY],
        "fit_intercept": ["boolean"],
        "refit": ["boolean"],
        "n_restarts": [Interval(Integral, 0, None, closed="left")],
        "max_iter": [Interval(Integral, 0, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "random_state": ["random_state"],
        "n_jobs": NeighborsBase._parameter_constraints["n_jobs"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        kernel: Stationary | str = "matern32",
        *,
        ard: bool = True,
        noise: float | None = None,
        noise_bounds: Bounds = None,
        variance_bounds: Bounds = None,
        lengthscale_bounds: Bounds = None,
        n_neighbors: int = 30,
        n_prediction_neighbors: int | None = None,
        neighbors: str | ArrayLike = "euclidean",
        ordering: str | ArrayLike = "maxmin",
        fit_intercept: bool = True,
        refit: bool = True,
        n_restarts: int = 0,
        max_iter: int = 100,
        tol: float = 1e-11,
        random_state: Any = None,
        n_jobs: int | None = None,
        verbose: int = 0,
    ) -> None:
        self.kernel = kernel
        self.ard = ard
        self.noise = noise
        self.noise_bounds = noise_bounds
        self.variance_bounds = variance_bounds
        self.lengthscale_bounds = lengthscale_bounds
        self.n_neighbors = n_neighbors
        self.n_prediction_neighbors = n_prediction_neighbors
        self.neighbors = neighbors
        self.ordering = ordering
        self.fit_intercept = fit_intercept
        self.refit = refit
        self.n_restarts = n_restarts
        self.max_iter = max_iter
        self.tol = tol
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.verbose = verbose

    _threads = NeighborsBase._threads

    # Fitting

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> VecchiaRegressor:
        """Fit the hyperparameters.

        Parameters
        ----------
        X : array_like, shape (n_samples, n_features)
        y : array_like, shape (n_samples,)
        sample_weight : array_like, shape (n_samples,), optional
            Precisions: the noise variance of a sample is the fitted one over its weight. Samples of weight 0 are left
            out.
        """
        coords, targets = checked(self, X, y, dtype=np.float64, y_numeric=True)
        data = self._weighted(coords, targets, sample_weight)
        self.intercept_ = float(np.average(data.y, weights=data.weights)) if self.fit_intercept else 0.0
        self._data = data = data._replace(y=data.y - self.intercept_)
        seed = None if self.random_state is None else int(check_random_state(self.random_state).randint(2**31 - 1))
        options = {**self._options(len(data.y)), "seed": seed}
        bounds = {
            "noise": self.noise_bounds, "variance": self.variance_bounds, "lengthscale": self.lengthscale_bounds
        }  # fmt: skip
        found = fitted(
            *data[:2], kernel=self.kernel, noise=self.noise, weights=data.weights, ard=self.ard, bounds=bounds,
            refit=self.refit, restarts=self.n_restarts, max_iterations=self.max_iter, tolerance=self.tol,
            n_threads=self._threads(), callback=None, verbose=bool(self.verbose), **options,
        )  # fmt: skip
        for message in found.messages:
            warnings.warn(f"{type(self).__name__}.{message}", ConvergenceWarning, stacklevel=3)
        self.kernel_, self.noise_, self.theta_, self.bounds_ = found.kernel, found.noise, found.theta, found.bounds
        self.log_marginal_likelihood_value_ = found.log_likelihood
        self.n_iter_, self.history_ = found.n_iterations, found.history
        self._choices, self._sets_theta, self._model = options, found.sets_theta, found.model
        self._calibration: Calibration | None = None
        return self

    def _options(self, n: int) -> dict[str, Any]:
        """The options of a model."""
        return {
            "n_neighbors": self.n_neighbors, "neighbors": self.neighbors, "ordering": self.ordering, "n_inducing": 0
        }  # fmt: skip

    def _weighted(self, coords: Floats, targets: ArrayLike, sample_weight: ArrayLike | None) -> _Data:
        """Checked observations, of weights above 0."""
        y = np.asarray(targets, np.float64)
        if sample_weight is None:
            return _Data(coords, y, None)
        _frames.check_mask(sample_weight, "sample_weight")
        weights = _check_sample_weight(sample_weight, coords, dtype=np.float64)
        for row in np.flatnonzero(weights < 0)[:1]:
            raise ValueError(f"sample_weight[{row}]: expected a number from 0 up, got {weights[row]}")
        used = weights > 0
        if not used.any():
            raise ValueError("sample_weight: expected a number above zero, got zeros alone")
        return _Data(coords[used], y[used], weights[used])

    def update(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> VecchiaRegressor:
        """Add observations to the fitted model, without a new fit.

        Hyperparameters, intercept and inducing points stay. New points come after the old ones in the order, in which
        they are given, so that old points stay conditioned on old points: the model of the old data is the same, and
        several small updates make the model of a large one. Sets are searched again, by the fitted kernel. Fit again
        after many points, or after points far from the others.

        Parameters
        ----------
        X, y, sample_weight
            As in :meth:`fit`, for the new samples.
        """
        check_is_fitted(self)
        coords, targets = checked(self, X, y, reset=False, dtype=np.float64, y_numeric=True)
        new, old, model = self._weighted(coords, targets, sample_weight), self._data, self.model_
        weights = None
        if new.weights is not None or old.weights is not None:
            both = [np.ones(len(one.y)) if one.weights is None else one.weights for one in (old, new)]
            weights = np.concatenate(both)
        n, q = len(old.y), len(new.y)
        self._data = _Data(
            np.concatenate([old.coords, new.coords]), np.concatenate([old.y, new.y - self.intercept_]), weights
        )
        self._choices = {
            "n_neighbors": self._choices["n_neighbors"],
            "neighbors": self.neighbors if isinstance(self.neighbors, str) else "residual",
            "ordering": np.concatenate([model.order, np.arange(n, n + q)]),
            "inducing_points": model.inducing_points,
        }
        self._sets_theta = self.theta_
        del self._model
        self._calibration = None
        self.log_marginal_likelihood_value_ = self.log_marginal_likelihood()
        return self

    # The model

    @property
    def model_(self) -> VIF:
        """The fitted model, of the targets less ``intercept_``. After unpickling its first use makes it again."""
        check_is_fitted(self)
        if "_model" not in vars(self):
            model = self._model_of(self._sets_theta, None)
            is_other = not np.array_equal(self._sets_theta, self.theta_)
            self._model = self._model_of(self.theta_, model) if is_other else model
        return self._model

    def _model_of(self, theta: Floats, base: VIF | None) -> VIF:
        """A model of hyperparameters, with the sets of another one or its own."""
        kernel, noise = kernel_and_noise(type(self.kernel_), np.ndim(self.kernel_.lengthscale) == 0, theta)
        process: dict[str, Any] = {"kernel": kernel, "noise": self._data.noise(noise), "n_threads": self._threads()}
        return VIF(self._data.coords, **process, **self._choices) if base is None else base.with_parameters(**process)

    def __getstate__(self) -> Any:
        state = dict(super().__getstate__())
        state.pop("_model", None)
        state["_calibration"] = None
        return state

    def log_marginal_likelihood(self, theta: ArrayLike | None = None, eval_gradient: bool = False) -> Any:
        """Log likelihood of the samples for hyperparameters like ``theta_``, with the sets of the fitted model.

        Parameters
        ----------
        theta : array_like, shape (n_hyperparameters,), optional
            By default the fitted ones.
        eval_gradient : bool
            Whether to return the gradient, too.

        Returns
        -------
        log_likelihood : float
        gradient : numpy.ndarray, shape (n_hyperparameters,)
            By ``theta``, if it is wanted.
        """
        model = self.model_
        if theta is not None:
            model = self._model_of(_arrays.of_shape(theta, "theta", self.theta_.shape).astype(np.float64), model)
        return model.log_likelihood(self._data.y, eval_gradient=eval_gradient, n_threads=self._threads())

    # Prediction

    @property
    def calibration_(self) -> Calibration:
        """Factors of predicted variances by leave-one-out errors; the first use finds them."""
        model = self.model_
        if self._calibration is None:
            self._calibration = calibrate(model, self._data.y, n_threads=self._threads())
        return self._calibration

    @property
    def _prediction_neighbors(self) -> int:
        """Points that each prediction is conditioned on."""
        given = self.n_prediction_neighbors
        return 2 * self.model_.n_neighbors if given is None else int(given)

    def predict(
        self,
        X: ArrayLike,
        return_std: bool = False,
        return_cov: bool = False,
        *,
        latent: bool = False,
        calibrated: bool = False,
    ) -> Any:
        """Predict targets.

        Parameters
        ----------
        X : array_like, shape (n_queries, n_features)
        return_std : bool
            Whether to return standard deviations.
        return_cov : bool
            Whether to return the joint covariance instead.
        latent : bool
            Whether these are without the noise. Otherwise they have the noise of a sample with a weight of 1.
        calibrated : bool
            Whether variances are multiplied by the factors of ``calibration_``, which correct them where errors are
            larger or smaller than elsewhere. See :func:`covertreex.vecchia.calibrate`.

        Returns
        -------
        mean : numpy.ndarray, shape (n_queries,)
        std or cov : numpy.ndarray, shape (n_queries,) or (n_queries, n_queries)
            If it is wanted.
        """
        check_is_fitted(self)
        if return_std and return_cov:
            raise ValueError("return_cov: expected False with return_std, got True")
        new = checked(self, X, reset=False, dtype=np.float64)
        wanted: dict[str, Any] = {
            "return_var": return_std,
            "return_cov": return_cov,
            "latent": True,
            "n_neighbors": self._prediction_neighbors,
            "n_threads": self._threads(),
        }
        found = self.model_.predict(new, self._data.y, **wanted)
        if not (return_std or return_cov):
            return found + self.intercept_
        mean, spread = found[0] + self.intercept_, found[1]
        noise = 0.0 if latent else self.noise_
        spread = spread + (noise if return_std else noise * np.eye(len(new)))
        if calibrated:
            factors = self.calibration_.factors(new, n_threads=self._threads())
            spread = spread * (factors if return_std else np.sqrt(np.outer(factors, factors)))
        return mean, np.sqrt(spread) if return_std else spread

    def sample_y(self, X: ArrayLike, n_samples: int = 1, random_state: Any = 0) -> Floats:
        """Draw targets, noise included, from their joint distribution given the samples of the fit.

        Parameters
        ----------
        X : array_like, shape (n_queries, n_features)
        n_samples : int
            Draws.
        random_state : int, RandomState or None

        Returns
        -------
        numpy.ndarray, shape (n_queries, n_samples)
        """
        check_is_fitted(self)
        new, generator = (
            checked(self, X, reset=False, dtype=np.float64),
            check_random_state(random_state),
        )
        seed = int(generator.randint(2**31 - 1))
        draws = self.model_.sample(
            n_samples, y=self._data.y, coords=new, n_neighbors=self._prediction_neighbors, seed=seed,
            n_threads=self._threads(),
        )  # fmt: skip
        if self._data.weights is not None:  # noise that varies is not known at new points, and left out
            draws = draws + np.sqrt(self.noise_) * generator.standard_normal(draws.shape)
        return draws.T + self.intercept_

"""Regression by Gaussian processes with inducing points and Vecchia approximations."""

from __future__ import annotations

from numbers import Integral
from typing import Any, ClassVar

from numpy.typing import ArrayLike
from sklearn.utils._param_validation import Interval, StrOptions

from ..kernels import Stationary
from ._vecchia import ARRAY, Bounds, VecchiaRegressor


class VIFRegressor(VecchiaRegressor):
    """A Gaussian process by the Vecchia-inducing-points full-scale approximation, for many points and features.

    As :class:`VecchiaRegressor`, with inducing points for the smooth component of the process. The residual process has
    Vecchia's approximation.

    Parameters
    ----------
    kernel, ard, noise, noise_bounds, variance_bounds, lengthscale_bounds
        As in :class:`VecchiaRegressor`.
    n_inducing : int
        Inducing points; all samples if there are fewer.
    inducing_points : {"kmeans++", "random", "cover-tree"} or array_like, shape (m, n_features)
        How they are chosen, or the points themselves.
    n_neighbors, n_prediction_neighbors, neighbors, ordering
        As in :class:`VecchiaRegressor`. By default neighbours have the largest residual correlations, and the order is
        random.
    fit_intercept, refit, n_restarts, max_iter, tol, random_state, n_jobs, verbose
        As in :class:`VecchiaRegressor`.

    Attributes
    ----------
    kernel_, noise_, intercept_, theta_, bounds_, log_marginal_likelihood_value_, n_iter_, history_, n_features_in_
        As in :class:`VecchiaRegressor`.

    References
    ----------
    Gyger, Furrer and Sigrist, "Vecchia-inducing-points full-scale approximations for Gaussian processes" (2025).
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **VecchiaRegressor._parameter_constraints,
        "n_inducing": [Interval(Integral, 0, None, closed="left")],
        "inducing_points": [StrOptions({"kmeans++", "random", "cover-tree"}), *ARRAY],
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
        n_inducing: int = 200,
        inducing_points: str | ArrayLike = "kmeans++",
        n_neighbors: int = 30,
        n_prediction_neighbors: int | None = None,
        neighbors: str | ArrayLike = "residual",
        ordering: str | ArrayLike = "random",
        fit_intercept: bool = True,
        refit: bool = True,
        n_restarts: int = 0,
        max_iter: int = 100,
        tol: float = 1e-11,
        random_state: Any = None,
        n_jobs: int | None = None,
        verbose: int = 0,
    ) -> None:
        super().__init__(
            kernel, ard=ard, noise=noise, noise_bounds=noise_bounds, variance_bounds=variance_bounds,
            lengthscale_bounds=lengthscale_bounds, n_neighbors=n_neighbors,
            n_prediction_neighbors=n_prediction_neighbors, neighbors=neighbors, ordering=ordering,
            fit_intercept=fit_intercept, refit=refit, n_restarts=n_restarts, max_iter=max_iter, tol=tol,
            random_state=random_state, n_jobs=n_jobs, verbose=verbose,
        )  # fmt: skip
        self.n_inducing = n_inducing
        self.inducing_points = inducing_points

    def _options(self, n: int) -> dict[str, Any]:
        """The options of a model."""
        options = super()._options(n)
        options["inducing_points"] = self.inducing_points
        options["n_inducing"] = min(self.n_inducing, n) if isinstance(self.inducing_points, str) else None
        return options

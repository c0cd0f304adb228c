"""The VIF approximation by its formulas in NumPy, in float64; errors of the library's results; the operations that formulas need.

Everything is by rank. For kernel k, noise s, inducing points U and conditioning sets N(i):

    k(U, U) with its diagonal times 1 + jitter = L L^T;   V = k(X, U) L^-T;   R = k(X, X) - V V^T
    a_i = (R_NN + s I)^-1 R_Ni;   D_i = R_ii + s - R_iN a_i;   B_ii = 1, B_iN = -a_i
    Sigma = V V^T + B^-1 D B^-T;   W = B V;   M = I + W^T D^-1 W
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
from covertreex.vecchia import VIF
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.sparse import csr_matrix, identity

JITTER = 1e-6
CHUNK = 256


class Process:
    """A kernel, noise and inducing points, and the features of some points."""

    def __init__(
        self, points: np.ndarray, kernel: Any, noise: float, inducing: np.ndarray
    ) -> None:
        self.points, self.kernel, self.noise = points, kernel, noise
        self.inducing = inducing
        gram = self.covariances(inducing, inducing)
        gram[np.diag_indices_from(gram)] *= 1 + JITTER
        self.lower = np.linalg.cholesky(gram)
        self.v = self.features(points)

    def covariances(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Of points, shape (..., i, dim), with points, shape (..., j, dim)."""
        a, b = (x / np.asarray(self.kernel.lengthscale) for x in (a, b))
        squared = ((a[..., :, None, :] - b[..., None, :, :]) ** 2).sum(axis=-1)
        return self.kernel.variance * self.kernel._correlation(squared)

    def features(self, x: np.ndarray) -> np.ndarray:
        """V of points."""
        v = np.empty((len(x), len(self.inducing)))
        for some in chunks(len(x)):
            across = self.covariances(self.inducing, x[some])
            v[some] = solve_triangular(self.lower, across, lower=True).T
        return v

    def regressions(
        self, x: np.ndarray, v: np.ndarray, sets: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The regressions of points on their sets: `a`, and 0 for missing members; D, with noise."""
        weights, variances = np.empty(sets.shape), np.empty(len(x))
        for some in chunks(len(x)):
            used = sets[some] >= 0
            members = np.where(used, sets[some], 0)
            near, theirs = self.points[members], self.v[members]
            gram = self.covariances(near, near) - theirs @ theirs.transpose(0, 2, 1)
            # Missing members have a unit matrix of their own.
            gram *= used[:, :, None] & used[:, None, :]
            diagonal = np.arange(sets.shape[1])
            gram[:, diagonal, diagonal] += np.where(used, self.noise, 1)
            cross = self.covariances(near, x[some][:, None])[:, :, 0]
            cross = used * (cross - (theirs @ v[some][:, :, None])[:, :, 0])
            weights[some] = np.linalg.solve(gram, cross[:, :, None])[:, :, 0]
            own = self.kernel.variance - (v[some] ** 2).sum(axis=1) + self.noise
            variances[some] = own - (weights[some] * cross).sum(axis=1)
        return weights, variances


class Approximation(Process):
    """The process, inducing points and sets of a model in the order of its points: likelihood and prediction."""

    def __init__(
        self, points: np.ndarray, model: VIF, kernel: Any = None, noise: float = 0
    ) -> None:
        """With other hyperparameters than the model's, if they are given."""
        inducing, sets = model.inducing_points, model.neighbors
        super().__init__(points, kernel or model.kernel, noise or model.noise, inducing)
        weights, self.d = self.regressions(points, self.v, sets)
        rank, slot = np.nonzero(sets >= 0)
        entries = weights[rank, slot], (rank, sets[rank, slot])
        n = len(points)
        self.b = identity(n, format="csr") - csr_matrix(entries, shape=(n, n))
        self.w = self.b @ self.v
        self.m = np.eye(len(inducing)) + self.w.T @ (self.w / self.d[:, None])
        self.m_factor = cho_factor(self.m, lower=True)

    def _beta(self, y: np.ndarray) -> np.ndarray:
        return cho_solve(self.m_factor, self.w.T @ ((self.b @ y) / self.d))

    def log_likelihood(self, y: np.ndarray) -> float:
        """By the sparse factor."""
        beta = self._beta(y)
        rest = self.b @ y - self.w @ beta
        size = np.log(self.d).sum() + np.linalg.slogdet(self.m)[1]
        return self._density((rest**2 / self.d).sum() + beta @ beta, size)

    def dense_log_likelihood(self, y: np.ndarray) -> float:
        """By the Cholesky factor of the dense covariance of the response."""
        root = np.linalg.inv(self.b.toarray())
        lower = np.linalg.cholesky(self.v @ self.v.T + (root * self.d) @ root.T)
        white = solve_triangular(lower, y, lower=True)
        return self._density(white @ white, 2 * np.log(np.diag(lower)).sum())

    def _density(self, quadratic: float, log_determinant: float) -> float:
        rest = len(self.points) * np.log(2 * np.pi)
        return float(-0.5 * (quadratic + log_determinant + rest))

    def predict(
        self, new: np.ndarray, y: np.ndarray, sets: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance of the response at new points, with their sets among the data."""
        v = self.features(new)
        weights, variances = self.regressions(new, v, sets)
        weights = weights * (sets >= 0)
        beta = self._beta(y)
        rest = y - self.v @ beta
        mean = v @ beta + (weights * rest[sets]).sum(axis=1)
        innovation = v - (weights[:, None] @ self.v[sets])[:, 0]
        explained = cho_solve(self.m_factor, innovation.T).T
        return mean, variances + (innovation * explained).sum(axis=1)


def relative(found: Any, wanted: Any) -> float:
    """The largest error relative to the largest number."""
    difference = np.abs(np.asarray(found) - wanted).max()
    return float(difference / np.abs(wanted).max())


def factor_error(model: VIF, points: np.ndarray, count: int) -> float:
    """The largest relative error of rows of B and of elements of D, of random ranks; points are in the model's order."""
    count = min(count, len(points))
    ranks = np.random.default_rng(4).choice(len(points), count, replace=False)
    sets = model.neighbors[ranks]
    # Of the points, only these ranks and the members of their sets are needed.
    needed, numbers = np.unique(np.append(ranks, sets[sets >= 0]), return_inverse=True)
    rows, local = numbers[:count], np.full(sets.shape, -1)
    local[sets >= 0] = numbers[count:]
    process = Process(points[needed], model.kernel, model.noise, model.inducing_points)
    weights, variances = process.regressions(
        process.points[rows], process.v[rows], local
    )
    b, d = model.factor()
    errors = [relative(d[ranks] / variances, 1)]
    for rank, members, row in zip(ranks, sets, weights):
        own_and_set = np.append(rank, members[members >= 0])
        found = b[rank].toarray()[0, own_and_set]
        errors.append(relative(found, np.append(1, -row[members >= 0])))
    return max(errors)


def likelihood_errors(
    model: VIF, points: np.ndarray, y: np.ndarray
) -> dict[str, float]:
    """Relative errors of the log likelihood, by a dense matrix, and of its derivative in a random direction."""
    kernel = model.kernel
    value, gradient = model.log_likelihood(y, eval_gradient=True)
    scales = np.atleast_1d(kernel.lengthscale)
    parameters = np.log([model.noise, kernel.variance, *scales])
    direction = np.random.default_rng(5).standard_normal(len(parameters))
    direction /= np.linalg.norm(direction)

    def ahead(step: float) -> float:
        noise, variance, *scales = np.exp(parameters + step * direction)
        scale = scales if len(scales) > 1 else scales[0]
        moved = dataclasses.replace(kernel, variance=variance, lengthscale=scale)
        return Approximation(points, model, moved, noise).log_likelihood(y)

    # Differences of fourth order: the step's error and that of rounding are both below 1e-8.
    step = 1e-3
    near, far = (ahead(times * step) - ahead(-times * step) for times in (1, 2))
    slope = (8 * near - far) / (12 * step)
    error = abs(gradient @ direction - slope) / np.linalg.norm(gradient)
    dense = Approximation(points, model).dense_log_likelihood(y)
    return {"likelihood": relative(value, dense), "gradient": float(error)}


def operations(work: dict[str, Any]) -> dict[str, float]:
    """Floating-point operations that the formulas need: of a likelihood, of one with its gradient, of all predictions.

    A multiply-add is two. Exponentials and roots are not counted, but the squared distances in front of them are, and the derivatives
    after them. For the gradient, the library regresses each point again rather than keep k^2 / 2 numbers of each; the formulas do not
    need this, so it is not counted.
    """
    n, m, k, dim = (work[name] for name in ("n", "m", "k", "dim"))
    # Of a point: a row of V by a triangular solve; half of the products of features of the set and the point; a Cholesky factor of the
    # set's covariances, and two triangular solves; a row of W; distances to inducing points and in the set.
    pairs = m + k**2 / 2
    row = m**2 + (k + 1) * (k + 2) * m + k**3 / 3 + 2 * k**2 + 2 * k * m + 3 * dim * pairs  # fmt: skip
    # Half of W^T D^-1 W; W^T D^-1 w and W beta; B y and B^T r. The factors of k(U, U) and M.
    likelihood = n * (row + m**2 + 4 * m + 4 * k) + 2 * m**3 / 3
    # M^-1 w by two triangular solves; a row of G L^-1; G^T V, which has no symmetry. V_N z and u V_N; B^T X and U^T W; u by the factor
    # of the set. Derivatives by lengthscales. Four products of triangular matrices, of which one has a triangular result.
    gradient = n * (5 * m**2 + 8 * k * m + 2 * k**2 + 4 * dim * pairs) + 10 * m**3 / 3
    # A row, and the square of q in the metric of M.
    prediction = work.get("new", 0) * (row + m**2 + 6 * m)
    return {
        "likelihood": likelihood,
        "gradient": likelihood + gradient,
        "prediction": prediction,
    }


def chunks(n: int) -> Iterator[slice]:
    """Slices of n rows, for arrays that fit in a cache."""
    return (slice(first, first + CHUNK) for first in range(0, n, CHUNK))

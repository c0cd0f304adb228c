"""The VIF approximation of a Gaussian process as dense matrices in float64: written apart from the library."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import Covariance, multivariate_normal

SHAPES = {
    "RBF": lambda r: np.exp(-(r**2) / 2),
    "Matern12": lambda r: np.exp(-r),
    "Matern32": lambda r: (1 + np.sqrt(3) * r) * np.exp(-np.sqrt(3) * r),
    "Matern52": lambda r: (1 + np.sqrt(5) * r + 5 * r**2 / 3) * np.exp(-np.sqrt(5) * r),
}


@dataclass(frozen=True)
class Model:
    """Everything that the covariance of the responses depends on."""

    coords: Any  #: (n, dim), in the order of the dataset
    shape: str  #: one of SHAPES
    lengthscale: Any  #: one, or one for each dimension
    variance: Any
    noise: Any  #: a variance, or one for each point, in the order of the dataset
    order: Any  #: (n,) dataset index of each rank
    sets: Any  #: for each rank an array of lower ranks
    inducing: Any = None  #: (m, dim)
    jitter: float = 1e-6  #: relative to the variance

    def kernel(self, a, b):
        scaled = [np.asarray(x, float) / self.lengthscale for x in (a, b)]
        return self.variance * SHAPES[self.shape](np.sqrt(((scaled[0][:, None] - scaled[1][None]) ** 2).sum(axis=2)))

    @property
    def ranked(self):
        """Coordinates by rank."""
        return np.asarray(self.coords, float)[self.order]

    @property
    def ranked_noise(self):
        return np.broadcast_to(self.noise, len(self.order))[self.order]


def of(coords, kernel, noise, **rest):
    """A model with the parameters of a kernel of the library."""
    return Model(coords, type(kernel).__name__, np.asarray(kernel.lengthscale), kernel.variance, noise, **rest)


def predecessors(n):
    """The sets with which the approximation is exact."""
    return [np.arange(rank) for rank in range(n)]


def padded(sets):
    """Sets as one array with -1 at the end of its rows."""
    out = np.full((len(sets), max(map(len, sets), default=0)), -1)
    for row, members in zip(out, sets):
        row[: len(members)] = members
    return out


def unpadded(rows):
    return [row[row >= 0] for row in np.asarray(rows)]


def nearest(model, points, allowed, k, metric="residual"):
    """For each point the ``k`` nearest ranks among the first ``allowed[i]``."""
    if metric == "euclidean":
        scaled = [np.asarray(x, float) / model.lengthscale for x in (points, model.ranked)]
        score = -((scaled[0][:, None] - scaled[1][None]) ** 2).sum(axis=2)
    else:
        p = [model.variance - np.diag(_shared(model, x, x)) for x in (points, model.ranked)]
        residual = model.kernel(points, model.ranked) - _shared(model, points, model.ranked)
        score = np.abs(residual) / np.sqrt(np.outer(*p))
    return [np.argsort(-row[:end], kind="stable")[:k] for row, end in zip(score, allowed)]


def nearest_sets(model, k, metric="residual"):
    """The nearest predecessors of each rank."""
    n = len(model.order)
    return nearest(model, model.ranked, np.arange(n), k, metric)


def nearest_to(model, new, k, metric="residual"):
    """The nearest ranks of new points."""
    return nearest(model, new, np.full(len(new), len(model.order)), k, metric)


def features(model, points):
    """V of some points, (n, m)."""
    if model.inducing is None or len(model.inducing) == 0:
        return np.zeros((len(points), 0))
    factor = np.linalg.cholesky(_gram(model))
    return np.linalg.solve(factor, model.kernel(model.inducing, points)).T


def _gram(model):
    gram = model.kernel(model.inducing, model.inducing)
    return gram + model.jitter * np.diag(np.diag(gram))


def _shared(model, a, b):
    """V_a V_b^T without a Cholesky factor, which has no derivative by a complex step."""
    if model.inducing is None or len(model.inducing) == 0:
        return np.zeros((len(a), len(b)))
    return model.kernel(a, model.inducing) @ np.linalg.solve(_gram(model), model.kernel(model.inducing, b))


def _b_and_d(model):
    points, noise = model.ranked, model.ranked_noise
    residual = model.kernel(points, points) - _shared(model, points, points)
    noisy = residual + np.diag(noise)
    b, d = np.eye(len(points), dtype=noisy.dtype), np.diag(noisy).copy()
    for i, members in enumerate(model.sets):
        if len(members):
            c = residual[members, i]
            a = np.linalg.solve(noisy[np.ix_(members, members)], c)
            b[i, members] = -a
            d[i] -= c @ a
    return b, d


def factor(model):
    """B, D and V by rank, B dense."""
    return (*_b_and_d(model), features(model, model.ranked))


def covariance(model):
    """Covariance of the responses, in the order of the dataset."""
    b, d = _b_and_d(model)
    root = np.linalg.inv(b)
    by_rank = _shared(model, model.ranked, model.ranked) + (root * d) @ root.T
    rank = np.argsort(model.order)
    return by_rank[np.ix_(rank, rank)]


def log_likelihood(model, y):
    """Of a response, or of each column."""
    sigma = covariance(model)
    normal = multivariate_normal(cov=Covariance.from_cholesky(np.linalg.cholesky((sigma + sigma.T) / 2)))
    return normal.logpdf(np.asarray(y, float).T)


def gradient(model, y, step=1e-30):
    """By log noise (of all points together), log variance and log lengthscales; of columns, one row for each.

    The likelihood is an analytic function of the parameters, so its derivative is the imaginary part after an imaginary
    step, without cancellation.
    """
    scales = np.atleast_1d(model.lengthscale)
    turn = np.exp(1j * step)
    moved = [dataclasses.replace(model, noise=np.multiply(model.noise, turn))]
    moved.append(dataclasses.replace(model, variance=model.variance * turn))
    for i in range(len(scales)):
        changed = np.where(np.arange(len(scales)) == i, scales * turn, scales)
        moved.append(dataclasses.replace(model, lengthscale=changed))
    return np.stack([_analytic_likelihood(one, np.asarray(y, float)).imag / step for one in moved], axis=-1)


def _analytic_likelihood(model, y):
    sigma = covariance(model)
    sign, log_size = np.linalg.slogdet(sigma)
    quadratic = (y * np.linalg.solve(sigma, y)).sum(axis=0)
    return -(quadratic + log_size + np.log(sign) + len(y) * np.log(2 * np.pi)) / 2


def generalised_least_squares(model, y, design):
    """Coefficients of a linear trend and their covariance."""
    weighted = np.linalg.solve(covariance(model), design)
    spread = np.linalg.inv(design.T @ weighted)
    return spread @ (weighted.T @ y), spread


def predict(model, new, y, sets_of_new, latent=False):
    """Mean and variance at each new point by itself; ``sets_of_new`` has ranks of the data.

    A response at a new point has the noise of the model, which must be one number then.
    """
    points, noise = model.ranked, model.ranked_noise
    ranked = np.asarray(y, float)[model.order]
    b, d, v = factor(model)
    w, scaled = b @ ranked, (b @ v) / d[:, None]
    m = np.eye(v.shape[1]) + scaled.T @ (b @ v)
    beta = np.linalg.solve(m, scaled.T @ w)
    v_new = features(model, new)
    mean = np.empty((len(new), *ranked.shape[1:]))
    variance = np.empty(len(new))
    for i, members in enumerate(sets_of_new):
        s = model.kernel(points[members], points[members]) - v[members] @ v[members].T + np.diag(noise[members])
        c = model.kernel(points[members], new[i : i + 1])[:, 0] - v[members] @ v_new[i]
        a = np.linalg.solve(s, c) if len(members) else np.zeros(0)
        q = v_new[i] - a @ v[members]
        mean[i] = v_new[i] @ beta + a @ (ranked[members] - v[members] @ beta)
        variance[i] = model.variance - v_new[i] @ v_new[i] - c @ a + q @ np.linalg.solve(m, q)
    return mean, variance if latent else variance + model.noise


def predict_jointly(model, new, y, sets_of_new, latent=False):
    """Mean and covariance at new points, as further ranks of a larger model that is conditioned on the data.

    ``sets_of_new`` may have ranks of earlier new points: n is that of the first.
    """
    n, q = len(model.order), len(new)
    noise_of_new = np.full(q, 0 if np.ndim(model.noise) else model.noise)
    if np.ndim(model.noise) and not latent:
        raise ValueError("latent: expected True, as the noise of new points is not known")
    larger = dataclasses.replace(
        model,
        coords=np.concatenate([model.coords, new]),
        noise=np.concatenate([np.broadcast_to(model.noise, n), noise_of_new]),
        order=np.concatenate([model.order, np.arange(n, n + q)]),
        sets=[*model.sets, *sets_of_new],
    )
    sigma = covariance(larger)
    weights = np.linalg.solve(sigma[:n, :n], sigma[:n, n:])
    spread = sigma[n:, n:] - weights.T @ sigma[:n, n:]
    return weights.T @ np.asarray(y, float), spread - latent * np.diag(noise_of_new)


def kriging(sigma, towards, own, y, *, design=None, at=None):
    """Means and covariance given data: simple kriging, or universal with a design, by Lagrange multipliers."""
    count = 0 if design is None else design.shape[1]
    if count:
        sigma = np.block([[sigma, design], [design.T, np.zeros((count, count))]])
        towards = np.vstack([towards, at.T])
        y = np.concatenate([y, np.zeros((count, *y.shape[1:]))])
    weights = np.linalg.solve(sigma, towards)
    return weights.T @ y, own - weights.T @ towards


def left_out(sigma, y, design=None):
    """Mean and variance of each response by all others, one after the other."""
    means, variances = [], []
    for i in range(len(y)):
        rest = np.delete(np.arange(len(y)), i)
        trend = {} if design is None else {"design": design[rest], "at": design[i : i + 1]}
        mean, variance = kriging(sigma[np.ix_(rest, rest)], sigma[rest, i : i + 1], sigma[i, i], y[rest], **trend)
        means.append(mean[0])
        variances.append(variance[0, 0])
    return np.array(means), np.array(variances)

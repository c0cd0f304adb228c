"""Residual correlation by brute force in float64: written apart from the library, with SciPy where it is there."""

from __future__ import annotations

import numpy as np


def covariances(kernel, a, b):
    """k(a, b) by the textbook, in float64."""
    scaled = [np.asarray(x, np.float64) / np.asarray(kernel.lengthscale) for x in (a, b)]
    r = np.sqrt(((scaled[0][:, None, :] - scaled[1][None, :, :]) ** 2).sum(axis=2))
    name = type(kernel).__name__
    if name == "RBF":
        shape = np.exp(-(r**2) / 2)
    elif name == "Matern12":
        shape = np.exp(-r)
    elif name == "Matern32":
        shape = (1 + np.sqrt(3) * r) * np.exp(-np.sqrt(3) * r)
    else:
        shape = (1 + np.sqrt(5) * r + 5 * r**2 / 3) * np.exp(-np.sqrt(5) * r)
    return kernel.variance * shape


def features(kernel, points, inducing, jitter=1e-6):
    """V and p."""
    if len(inducing) == 0:
        return np.zeros((len(points), 0)), np.full(len(points), kernel.variance)
    gram = covariances(kernel, inducing, inducing) + jitter * kernel.variance * np.eye(len(inducing))
    factor = np.linalg.cholesky(gram)
    v = np.linalg.solve(factor, covariances(kernel, inducing, points)).T
    return v, np.maximum(kernel.variance - (v**2).sum(axis=1), 1e-9 * kernel.variance)


def correlations(kernel, queries, v_q, p_q, points, v, p):  # noqa: PLR0917
    """|rho|, cut at 1; 0 where the variances are too small to divide by."""
    norms = np.sqrt(p_q[:, None] * p[None, :])
    rho = np.abs(covariances(kernel, queries, points) - v_q @ v.T) / norms
    return np.where(norms < 1e-9 * kernel.variance, 0, np.minimum(rho, 1)), norms


def assert_nearest(  # noqa: PLR0917
    rho,
    norms,
    k,
    indices,
    distances,
    allowed=None,
    *,
    variance=1.0,
    slack=0.0,
    in_space=False,
):
    """Each row of `indices` has the k largest |rho| of those allowed, up to what float64 rounding may exchange.

    Equal distances are sorted by index; if `in_space`, by distance in space, which is not checked here.
    """
    allowed = np.ones(rho.shape, bool) if allowed is None else allowed
    assert indices.shape == (len(rho), k)
    for row in range(len(rho)):
        usable = np.flatnonzero(allowed[row])
        got = indices[row][indices[row] >= 0]
        assert len(got) == min(k, len(usable)), (row, len(got), len(usable))
        assert (indices[row][len(got) :] == -1).all()
        assert len(set(got.tolist())) == len(got)
        assert set(got.tolist()) <= set(usable.tolist())
        # Two float64 ways of computing k - v.v differ by some ulps of the variance, times the condition number of the
        # inducing points' factor, and p does by as much. With 100 inducing points of a smooth kernel 86e-14 was seen.
        tolerance = slack + 256e-14 * variance / norms[row]
        wanted = np.sort(rho[row, usable])[::-1][: len(got)]
        mine = rho[row, got]
        off = tolerance[got] * (1 + 1e3 * mine) + 1e-13
        assert (np.abs(mine - wanted) <= off + tolerance[usable].max(initial=0)).all(), (row, mine - wanted)
        if distances is not None:
            # d = sqrt(1 - |rho|): errors near 0 are compared squared.
            assert (np.abs(distances[row, : len(got)] ** 2 - (1 - mine)) <= off).all(), row
            assert np.isinf(distances[row, len(got) :]).all()
            order = np.lexsort((np.arange(len(got)) if in_space else got, distances[row, : len(got)]))
            assert (order == np.arange(len(got))).all()


def predecessors(rows, n):
    """(q, n): which points come before each query."""
    return np.arange(n)[None, :] < np.asarray(rows)[:, None]

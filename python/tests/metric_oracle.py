"""Distances in other metrics than Euclidean by a float64 brute force, written apart from the library.

Where SciPy has a metric, ``scipy.spatial.distance.cdist`` computes it, of differences that are wrapped first.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial.distance import cdist

# Names that differ in SciPy.
IN_SCIPY = {"manhattan": "cityblock"}


def wrapped(queries, points, period):
    """(q, n, dim) differences, the least ones by whole periods."""
    apart = np.abs(queries[:, None, :].astype(np.float64) - points[None, :, :].astype(np.float64))
    period = np.broadcast_to(np.asarray(period, np.float64), apart.shape[-1:])
    finite = np.isfinite(period)
    rest = np.where(finite, np.mod(apart, np.where(finite, period, 1)), apart)
    return np.where(finite, np.minimum(rest, np.where(finite, period, 0) - rest), rest)


def distances(queries, points, name, *, period=None, **parameters):
    """(q, n) distances in float64."""
    queries, points = np.atleast_2d(queries).astype(np.float64), np.atleast_2d(points).astype(np.float64)
    if name == "haversine":
        return great_circle(queries, points, **parameters)
    if name == "angular":
        return angles(queries, points)
    name = IN_SCIPY.get(name, name)
    if period is None and "scale" not in parameters:
        return cdist(queries, points, name, **parameters)
    apart = wrapped(queries, points, np.inf if period is None else period) / parameters.pop("scale", 1.0)
    flat = apart.reshape(-1, apart.shape[-1])
    return cdist(np.zeros((1, flat.shape[1])), flat, name, **parameters).reshape(apart.shape[:2])


def great_circle(queries, points, *, unit="radians", radius=1.0):
    """The haversine formula."""
    if unit == "degrees":
        queries, points = np.radians(queries), np.radians(points)
    (lat1, lon1), (lat2, lon2) = queries.T[:, :, None], points.T[:, None, :]
    half = np.sin((lat2 - lat1) / 2) ** 2 + np.cos(lat1) * np.cos(lat2) * np.sin((lon2 - lon1) / 2) ** 2
    return 2 * radius * np.arcsin(np.minimum(1, np.sqrt(half)))


def angles(queries, points):
    """Angles by the half-angle formula, which is precise for all of them."""
    u = queries / np.linalg.norm(queries, axis=1, keepdims=True)
    v = points / np.linalg.norm(points, axis=1, keepdims=True)
    return 2 * np.arctan2(np.linalg.norm(u[:, None] - v[None], axis=2), np.linalg.norm(u[:, None] + v[None], axis=2))


def nearest(true, k, allowed=None):
    """(q, k) indices by (distance, index), -1 for missing ones, and their distances."""
    allowed = np.ones(true.shape, bool) if allowed is None else allowed
    indices = np.full((len(true), k), -1)
    found = np.full((len(true), k), np.inf)
    for row, (apart, may) in enumerate(zip(true, allowed)):
        usable = np.flatnonzero(may)
        order = usable[np.lexsort((usable, apart[usable]))][:k]
        indices[row, : len(order)], found[row, : len(order)] = order, apart[order]
    return indices, found


def assert_nearest(true, indices, found, k, allowed=None, *, rtol=1e-12, atol=0.0):
    """The distances found are the k least ones, and belong to the points."""
    _, wanted = nearest(true, k, allowed)
    np.testing.assert_allclose(found, wanted, rtol=rtol, atol=atol)
    rows = np.arange(len(true))[:, None]
    mine = np.where(indices >= 0, true[rows, indices], np.inf)
    np.testing.assert_allclose(mine, wanted, rtol=rtol, atol=atol)
    if allowed is not None:
        assert (allowed[rows, indices] | (indices < 0)).all()
    for row in indices:
        there = row[row >= 0]
        assert len(set(there.tolist())) == len(there)

"""Brute force in float64, and the rules of a cover tree checked pair by pair: written apart from the library."""

from __future__ import annotations

import numpy as np

DUPLICATE = np.iinfo(np.int32).min

# Sums of squares in another order differ by a few ulps.
TOLERANCE = 1e-12


def distances(queries, points):
    """(q, n) distances in float64 (long double, so that squares of extreme coordinates stay finite)."""
    difference = np.asarray(queries, np.longdouble)[:, None, :] - np.asarray(points, np.longdouble)[None, :, :]
    return np.sqrt((difference**2).sum(axis=2)).astype(np.float64)


def within(true, limit, dtype):
    """Whether distances count as within a limit: before or after they are rounded to the type of results."""
    with np.errstate(over="ignore"):
        return (true <= limit) | (true.astype(dtype) <= limit)


def assert_nearest(
    points,
    queries,
    k,
    indices,
    found=None,
    *,
    allowed=None,
    max_distance=np.inf,
    dtype=np.float64,
    dataset_indices=None,
):
    """`indices` are the k nearest among the `allowed` (q, n) points: by distance first, as ties differ by rounding."""
    points, queries = np.atleast_2d(points), np.atleast_2d(queries)
    dataset_indices = np.arange(len(points)) if dataset_indices is None else np.asarray(dataset_indices)
    truth = distances(queries, points) if len(queries) else np.empty((0, len(points)))
    allowed = np.ones(truth.shape, bool) if allowed is None else allowed
    assert indices.shape == (len(queries), k)
    assert indices.dtype == np.int64
    column = {int(index): position for position, index in enumerate(dataset_indices)}
    for row in range(len(queries)):
        usable = np.flatnonzero(allowed[row] & within(truth[row], max_distance, dtype))
        wanted = np.sort(truth[row, usable])[:k]
        got = indices[row][indices[row] >= 0]
        assert len(got) == len(wanted), (row, got, wanted)
        assert (indices[row][len(got) :] == -1).all()
        columns = np.array([column[int(i)] for i in got], int)
        assert len(set(got.tolist())) == len(got)
        assert set(columns) <= set(usable)
        mine = truth[row, columns]
        np.testing.assert_allclose(mine, wanted, rtol=TOLERANCE, atol=0)
        # Sorted by distance; among equals by index.
        order = np.lexsort((got, mine))
        rounded = np.isclose(mine[order], mine, rtol=TOLERANCE, atol=0)
        assert rounded.all()
        ties = (np.diff(mine) == 0) & exact_ties(queries[row], points[columns])
        assert (np.diff(got)[ties] > 0).all()
        if found is not None:
            assert found.dtype == dtype
            np.testing.assert_allclose(found[row, : len(got)], mine, **rounding(points))
            assert np.isinf(found[row, len(got) :]).all()


def rounding(points):
    """What a sum over the dimensions, and the type of the result, may lose."""
    info = np.finfo(points.dtype)
    dims = points.shape[1] if points.dtype == np.float64 else 0
    return {"rtol": (4 + dims / 4) * info.eps, "atol": info.smallest_subnormal}


def exact_ties(query, points):
    """Whether neighbouring points are equal, coordinate by coordinate: ties that no rounding can break."""
    del query
    return (points[1:] == points[:-1]).all(axis=1) if len(points) > 1 else np.zeros(0, bool)


def assert_cover_tree(arrays, n, d=None, *, tolerance=TOLERANCE):
    """Every rule of a compressed cover tree, by the O(n^2) definition, in float64.

    `d` has the distances of all nodes; by default they are Euclidean.
    """
    levels, parents, order = arrays.levels.astype(int), arrays.parents.astype(int), arrays.order
    points = arrays.points.astype(np.float64)
    assert arrays.points.shape[0] == n == len(levels)
    assert len(set(order.tolist())) == n
    assert parents[0] == -1 and (parents[1:] >= 0).all(), "one root, and it is node 0"
    d = distances(points, points) if d is None else d
    duplicate = levels == DUPLICATE
    own = np.where(duplicate, -(10**6), levels)

    assert (own[1:] < own[0]).all()
    for t in range(1, n):
        if duplicate[t]:
            assert d[t, parents[t]] == 0 and not duplicate[parents[t]]
        else:
            assert own[t] < own[parents[t]]
            assert d[t, parents[t]] <= 2.0 ** (own[t] + 1) * (1 + tolerance), "covering"

    real = np.flatnonzero(~duplicate)
    apart = d[np.ix_(real, real)] + np.diag(np.full(len(real), np.inf))
    lower = np.minimum.outer(own[real], own[real])
    assert (apart * (1 + tolerance) > 2.0**lower).all(), "separation"

    check_layout(arrays, d, tolerance)


def check_layout(arrays, d, tolerance):
    """Depth-first order, children, radii and index ranges follow from the parents."""
    n = len(arrays.order)
    inside = np.zeros((n, n), bool)
    for t in range(n - 1, -1, -1):
        children = arrays.children[arrays.children_offsets[t] : arrays.children_offsets[t + 1]]
        assert (arrays.parents[children] == t).all()
        inside[t, t] = True
        for child in children:
            inside[t] |= inside[child]
        below = np.flatnonzero(inside[t])
        assert below[0] == t and below[-1] == arrays.subtree_end[t] - 1 and len(below) == below[-1] - t + 1
        assert arrays.subtree_min[t] == arrays.order[below].min()
        assert arrays.subtree_max[t] == arrays.order[below].max()
        allowed = rounding(arrays.points)
        allowed["rtol"] = max(allowed["rtol"], tolerance)
        np.testing.assert_allclose(arrays.radius[t], d[t, below].max(), **allowed)
    assert len(arrays.children) == n - 1

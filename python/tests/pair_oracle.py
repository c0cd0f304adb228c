"""Brute force for questions on pairs of points, written apart from the library."""

import numpy as np
from oracle import distances


def limit_between(true, quantile):
    """A limit between two distances that occur, so that rounding of sums decides nothing."""
    values = np.unique(true)
    gaps = np.flatnonzero(values[1:] > values[:-1] * (1 + 1e-5))
    if not len(gaps):
        return float(values[-1]) * 2
    at = gaps[min(int(quantile * len(gaps)), len(gaps) - 1)]
    return float((values[at] + values[at + 1]) / 2)


def pairs(true, r, *, one_tree):
    """All pairs within a limit, in lexicographic order."""
    within = true <= r
    return np.argwhere(np.triu(within, 1) if one_tree else within)


def mutual_reachability(true, k):
    """The largest of each distance and of the distances of both points to their k-th nearest other point."""
    core = np.sort(true, axis=1)[:, k]
    return np.maximum(true, np.maximum.outer(core, core))


def spanning_tree(lengths):
    """Kruskal's algorithm: edges in the order of (length, lower index, higher index), and their lengths."""
    n = len(lengths)
    low, high = np.triu_indices(n, 1)
    order = np.lexsort((high, low, lengths[low, high]))
    component, edges = np.arange(n), []
    for i, j in zip(low[order], high[order]):
        if component[i] != component[j]:
            component[component == component[j]] = component[i]
            edges.append((i, j))
    edges = np.array(edges, np.int64).reshape(-1, 2)
    return edges, lengths[edges[:, 0], edges[:, 1]]


def assert_spanning_tree(found, lengths, *, rtol, atol=0):
    """A tree of `lengths`, as short as Kruskal's, sorted."""
    edges, wanted = spanning_tree(lengths)
    n = len(lengths)
    assert found.edges.shape == (n - 1, 2) and found.edges.dtype == np.int64
    assert (found.edges[:, 0] < found.edges[:, 1]).all()
    component = np.arange(n)
    for i, j in found.edges:
        assert component[i] != component[j], "a circle"
        component[component == component[j]] = component[i]
    assert (np.diff(found.lengths) >= 0).all()
    np.testing.assert_allclose(found.lengths, wanted, rtol=rtol, atol=atol)
    np.testing.assert_allclose(found.lengths, lengths[tuple(found.edges.T)], rtol=rtol, atol=atol)
    return edges


def euclidean(points, others=None):
    return distances(points, points if others is None else others)

"""Your own jitted function that searches a tree: weighted means over the 20 nearest points, without leaving Numba.

Also the neighbours of all points as an (n, m) int32 array, which JAX and PyTorch accept.
"""

import numpy as np
from covertreex import cover_tree
from covertreex.numba import NO_EXCLUSION, NO_LIMIT, as_numba, nearest
from numba import njit, prange


@njit(parallel=True)
def smoothed(tree, queries, values, k, bandwidth):
    """Means of the values over the k nearest, each weighted by a Gaussian of its distance."""
    means = np.empty(len(queries))
    for row in prange(len(queries)):
        squares, indices = np.empty(k), np.empty(k, np.int64)
        count = nearest(
            tree, queries[row], k, NO_LIMIT, NO_EXCLUSION, np.inf, squares, indices
        )
        weights = np.exp(-0.5 * squares[:count] / bandwidth**2)
        means[row] = (weights * values[indices[:count]]).sum() / weights.sum()
    return means


def main() -> None:
    rng = np.random.default_rng(0)
    points = rng.random((100_000, 2))
    truth = np.sin(6 * points[:, 0]) + points[:, 1]
    values = truth + rng.normal(scale=0.3, size=len(points))

    tree = cover_tree(points)
    means = smoothed(as_numba(tree), points, values, 20, 0.01)
    before, after = np.std(values - truth), np.std(means - truth)
    print(
        f"noise of 100 000 values: {before:.3f}, of their means over 20 neighbours: {after:.3f}"
    )
    assert after < before / 3

    neighbors = tree.knn(20, exclude_self=True).astype(np.int32)
    print(
        f"neighbours: {neighbors.shape} {neighbors.dtype}; jax.numpy.asarray and torch.from_numpy accept it"
    )
    assert neighbors.flags.c_contiguous and neighbors.min() >= 0


if __name__ == "__main__":
    main()

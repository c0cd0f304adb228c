"""The classes of scipy.spatial over a cover tree."""

import numpy as np

from covertreex import cover_tree


class KDTree:
    """:class:`scipy.spatial.KDTree` by the calls of a cover tree."""

    index = np.intp  #: the type of the index of one neighbour

    def __init__(
        self, data, leafsize=10, compact_nodes=True, copy_data=False, balanced_tree=True, boxsize=None
    ):  # fmt: skip
        del compact_nodes, copy_data, balanced_tree
        self.data, self.leafsize, self.boxsize = np.asarray(data), leafsize, boxsize
        self.trees = {}
        self.tree = self._tree(2)
        self.n, self.m = self.tree.n_points, self.tree.dim
        self.maxes, self.mins = self.data.max(axis=0), self.data.min(axis=0)

    def query(self, x, k=1, eps=0, p=2, distance_upper_bound=np.inf, workers=1):
        del eps
        x = np.asarray(x)
        indices, distances = self._tree(p).knn(
            k, queries=self._rows(x), return_distances=True, max_distance=distance_upper_bound,
            n_threads=_threads(workers),
        )  # fmt: skip
        indices[indices < 0] = self.n
        shape = x.shape[:-1] if np.ndim(k) == 0 and k == 1 else (*x.shape[:-1], indices.shape[1])
        distances, indices = distances.reshape(shape), indices.reshape(shape)
        return (distances, indices) if shape else (float(distances), self.index(indices))

    def _tree(self, p):
        """The tree of a metric: scipy has one for all."""
        if p not in self.trees:
            name = {1: "manhattan", 2: "euclidean", np.inf: "chebyshev"}.get(p, "minkowski")
            parameters = {"p": p} if name == "minkowski" else None
            period = None if self.boxsize is None else np.where(np.equal(self.boxsize, 0), np.inf, self.boxsize)
            self.trees[p] = cover_tree(
                self.data, leaf_size=self.leafsize, metric=name, metric_params=parameters, period=period
            )
        return self.trees[p]

    def _rows(self, x):
        """Points as rows, and as floats: integers could be indices."""
        return x.reshape(-1, self.m) if x.dtype.kind in "fc" else x.reshape(-1, self.m).astype(float)

    def query_ball_point(self, x, r, p=2.0, eps=0, workers=1, return_sorted=None, return_length=False):
        del eps
        x, tree = np.asarray(x), self._tree(p)
        asked = {"queries": self._rows(x), "n_threads": _threads(workers)}
        if np.ndim(r):
            r = np.broadcast_to(r, x.shape[:-1]).ravel()
        if return_length:
            counts = tree.radius(r, count_only=True, **asked).reshape(x.shape[:-1])
            return counts if counts.shape else int(counts)
        lists = _lists(tree.radius(r, **asked))
        if return_sorted or (return_sorted is None and x.ndim > 1):
            lists = [sorted(one) for one in lists]
        results = np.empty(len(lists), object)
        results[:] = lists
        return results.reshape(x.shape[:-1]) if x.ndim > 1 else lists[0]

    def query_ball_tree(self, other, r, p=2.0, eps=0):
        del eps
        return _lists(other._tree(p).radius(r, queries=self._rows(self.data)))

    def query_pairs(self, r, p=2.0, eps=0, output_type="set"):
        del eps
        found = self._tree(p).radius(r, predecessor_mode=True)
        later = np.repeat(np.arange(self.n), np.diff(found.offsets))
        pairs = np.stack([found.indices, later], axis=1)
        return pairs if output_type == "ndarray" else {(int(i), int(j)) for i, j in pairs}

    def count_neighbors(self, other, r, p=2.0, weights=None, cumulative=True):
        other = None if other is self else other._tree(p)
        return self._tree(p).count_pairs(r, other, weights=weights, cumulative=cumulative)

    def sparse_distance_matrix(self, other, max_distance, p=2.0, output_type="dok_matrix"):
        return self._tree(p).sparse_distance_matrix(other._tree(p), max_distance, output_type=output_type)


class cKDTree(KDTree):
    index = int


def _threads(workers):
    return None if workers == -1 else workers


def _lists(found):
    return [one.tolist() for one in np.split(found.indices, found.offsets[1:-1])]


NAMES = {"scipy.spatial": {"KDTree": KDTree, "cKDTree": cKDTree}}

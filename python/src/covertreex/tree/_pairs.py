"""Questions on pairs of points."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _arguments, _arrays, _calls
from .._calls import ProgressReport
from .._capi import Float64s, Handle, pairs
from .._telemetry import recorded
from .._tree_base import Tree

_OUTPUT_TYPES = ("dok_matrix", "coo_matrix", "dict", "ndarray")


class SpanningTree(NamedTuple):
    """A minimum spanning tree of ``n`` points."""

    edges: NDArray[np.int64]  #: (n - 1, 2) dataset indices, the lower one of an edge first
    lengths: NDArray[Any]  #: (n - 1,) ascending, in the tree's dtype


class PairQuestions(Tree):
    """Pairs of points of one tree, or of two."""

    @recorded("pairs_within")
    def pairs_within(
        self,
        r: float,
        other: Any = None,
        *,
        return_distances: bool = False,
        n_threads: int | None = None,
        progress: ProgressReport | None = None,
    ) -> Any:
        """Find all pairs of points within a radius.

        Parameters
        ----------
        r : float
            The radius, at least 0; inclusive, as in :meth:`radius`.
        other : CoverTree, optional
            A tree of the same ``dim`` and metric, for pairs of a point of this tree and a point of that one. Without
            it, pairs are of two points of this tree, each pair once.
        return_distances : bool
            Whether to return the distances too.

        Returns
        -------
        pairs : numpy.ndarray of int64, shape (n_pairs, 2)
            Dataset indices, in lexicographic order. Of pairs of one tree the lower index is first. Read-only.
        distances : numpy.ndarray, shape (n_pairs,)
            In the trees' dtype, float64 if they differ. Only with ``return_distances``.
        """
        r = _arguments.number(r, "r")
        found, distances = self._pairs(
            r, other, distances=bool(return_distances), n_threads=n_threads, progress=progress
        )
        return (found, distances) if return_distances else found

    def sparse_distance_matrix(
        self,
        other: Any,
        max_distance: float,
        *,
        output_type: str = "dok_matrix",
        n_threads: int | None = None,
        progress: ProgressReport | None = None,
    ) -> Any:
        """Compute the distances between points of this tree and of another one, up to a maximum.

        It has the results of :meth:`scipy.spatial.KDTree.sparse_distance_matrix`, in the order of the indices. Rows and
        columns are dataset indices, so a tree with removed points has empty rows for them.

        Parameters
        ----------
        other : CoverTree
            A tree of the same ``dim`` and metric; this tree itself for all distances in it.
        max_distance : float
            Nothing farther than this (inclusive).
        output_type : {"dok_matrix", "coo_matrix", "dict", "ndarray"}
            A sparse matrix of SciPy; a dictionary of distances by (i, j); or a record array with the fields ``i``,
            ``j`` and ``v``.

        Returns
        -------
        scipy.sparse.dok_matrix, scipy.sparse.coo_matrix, dict or numpy.ndarray
            The distances, in float64.
        """
        _arguments.choice(output_type, "output_type", _OUTPUT_TYPES)
        max_distance = _arguments.number(max_distance, "max_distance", minimum=0)
        self._other(other)
        found, distances = self.pairs_within(
            max_distance, other, return_distances=True, n_threads=n_threads, progress=progress
        )
        (rows, columns), values = found.T, distances.astype(np.float64)
        if output_type == "dict":
            return dict(zip(zip(rows.tolist(), columns.tolist()), values.tolist()))
        if output_type == "ndarray":
            records = np.empty(len(values), [("i", np.intp), ("j", np.intp), ("v", np.float64)])
            records["i"], records["j"], records["v"] = rows, columns, values
            return records
        from scipy.sparse import coo_matrix  # noqa: PLC0415 - slow to import

        matrix = coo_matrix((values, (rows, columns)), shape=(self._info().next_index, other._info().next_index))
        return matrix if output_type == "coo_matrix" else matrix.todok()

    @recorded("count_pairs")
    def count_pairs(
        self,
        radii: ArrayLike,
        other: Any = None,
        *,
        weights: Any = None,
        cumulative: bool = True,
        n_threads: int | None = None,
        progress: ProgressReport | None = None,
    ) -> Any:
        """Count the pairs of points within several radii, as for a two-point correlation function.

        It counts as :meth:`scipy.spatial.KDTree.count_neighbors` does: ordered pairs. Without ``other``, each pair of
        two points counts twice, and each point with itself.

        Parameters
        ----------
        radii : float or array_like, shape (m,)
            At least 0, and inclusive. In any order if ``cumulative``, otherwise ascending.
        other : CoverTree, optional
            A tree of the same ``dim`` and metric, for pairs of a point of this tree and a point of that one.
        weights : array_like or tuple, optional
            Finite numbers, one a point in the order of :attr:`indices`. A pair counts with the product of the weights
            of its points. A tuple has the weights of this tree and those of ``other``, either of which may be None.
            Otherwise they are for one tree, without ``other``.
        cumulative : bool
            Whether the pairs within each radius count, or only those beyond the radius before.

        Returns
        -------
        int, float or numpy.ndarray, shape (m,)
            int64, or float64 with weights; a number for one radius. Sums of weights are in a fixed order, so they do
            not depend on the number of threads.
        """
        limits = _arrays.real(radii, "radii")
        if limits.ndim > 1:
            raise ValueError(f"radii: expected a number or shape (m,), got shape {limits.shape}")
        if not (limits >= 0).all():
            raise ValueError(f"radii: expected numbers from 0 up, got {limits[~(limits >= 0)].flat[0]}")
        if not cumulative and (np.diff(np.atleast_1d(limits)) < 0).any():
            raise ValueError("radii: expected ascending numbers without cumulative, got others")
        other = None if other is self else other
        if other is not None:
            self._other(other)
        given = self._weights(weights, other)
        order = np.argsort(np.atleast_1d(limits), kind="stable")
        ascending = np.ascontiguousarray(np.atleast_1d(limits)[order])
        found = self._counts(ascending, other, *given, n_threads=n_threads, progress=progress)
        if cumulative:
            found[order] = found.cumsum()
        return found if limits.ndim else found[0].item()

    def _weights(self, weights: Any, other: Any) -> tuple[Float64s | None, Float64s | None]:
        """The weights of the first and of the second points of pairs."""
        if weights is None:
            return None, None
        second = self if other is None else other
        if not isinstance(weights, tuple):
            if other is not None:
                raise ValueError("weights: expected a tuple of those of both trees, got those of one")
            own = _weights_of(weights, "weights", self)
            return own, own
        if len(weights) != 2:
            raise ValueError(f"weights: expected a tuple of two, got {len(weights)}")
        first, last = weights
        theirs = None if last is None else _weights_of(last, "weights[1]", second)
        if first is last and other is None:
            return theirs, theirs
        return None if first is None else _weights_of(first, "weights[0]", self), theirs

    @recorded("minimum_spanning_tree")
    def minimum_spanning_tree(
        self, mutual_k: int | None = None, *, n_threads: int | None = None, progress: ProgressReport | None = None
    ) -> SpanningTree:
        """Find the minimum spanning tree of the points, by distance or by mutual reachability.

        Parameters
        ----------
        mutual_k : int, optional
            Lengths are mutual reachability distances, with which HDBSCAN clusters: the length of an edge is the largest
            of the distance of its two points and of the distances of both to their ``mutual_k``-th nearest other
            point. That is ``min_samples`` of the package ``hdbscan``, and ``min_samples - 1`` of scikit-learn, which
            counts the point itself. From 1 up, and below the number of points. Without it, lengths are distances.

        Returns
        -------
        SpanningTree
            Edges and their lengths, sorted by (length, lower index, higher index). Of several minimum spanning trees it
            is the one whose edges come first in this order.
        """
        k = 0 if mutual_k is None else _arrays.integer(mutual_k, "mutual_k", minimum=1)
        edges, lengths = self._call(
            pairs.spanning_tree, k, n_threads=n_threads, progress=progress, brief=self._is_paired_briefly(None)
        )
        return SpanningTree(edges, lengths)

    def _pairs(self, r: float, other: Any, *, distances: bool, **how: Any) -> pairs.Pairs:
        """Pairs in lexicographic order, and their distances or None."""
        second, brief = None if other is None else self._other(other), self._is_paired_briefly(other)
        found: pairs.Pairs = self._call(pairs.within, second, r, distances=distances, brief=brief, **how)
        return found

    def _counts(
        self, radii: Float64s, other: Any, own: Float64s | None, others: Float64s | None, **how: Any
    ) -> NDArray[Any]:
        """Pairs, or sums of their weights, beyond one of ascending radii and within the next."""
        second, brief = None if other is None else self._other(other), self._is_paired_briefly(other)
        found: NDArray[Any] = self._call(pairs.counts, second, radii, own, others, brief=brief, **how)
        return found

    def _other(self, other: Any) -> Handle:
        """The handle of another tree."""
        if not isinstance(other, PairQuestions):
            raise TypeError(f"other: expected a CoverTree, got {_arguments.described(other)}")
        with _arguments.renamed(tree="other"):
            return other._open()

    def _is_paired_briefly(self, other: Any) -> bool:
        return all(len(tree) < _calls.ROWS_WORTH_A_THREAD for tree in (self, other) if tree is not None)


def _weights_of(weights: Any, name: str, tree: PairQuestions) -> Float64s:
    """A weight for each point of a tree."""
    array = np.ascontiguousarray(_arrays.of_shape(weights, name, (len(tree),)), np.float64)
    if not np.isfinite(array).all():
        row = int(np.flatnonzero(~np.isfinite(array))[0])
        raise ValueError(f"{name}[{row}]: expected a finite number, got {array[row]}")
    return array

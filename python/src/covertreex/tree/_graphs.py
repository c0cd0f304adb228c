"""Sparse matrices of neighbours."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _arguments, _arrays
from .._calls import ProgressReport
from .._exports.tree_arrays import Neighbors
from .._tree_base import Tree

MODES = ("connectivity", "distance")


class NeighborGraphs(Tree):
    """Trees that give the neighbours of their points as sparse matrices."""

    # Its searches.
    knn: Callable[..., Any]
    radius: Callable[..., Any]

    @property
    @abstractmethod
    def indices(self) -> NDArray[np.int64]:
        """Dataset indices of the points."""

    def kneighbors_graph(
        self,
        k: int,
        *,
        mode: str = "connectivity",
        include_self: bool = False,
        n_threads: int | None = None,
        progress: ProgressReport | None = None,
    ) -> Any:
        """Find the ``k`` nearest points of each point, as a sparse matrix.

        It equals that of :func:`sklearn.neighbors.kneighbors_graph`.

        Parameters
        ----------
        k : int
            At least 1. Rows have fewer elements if there are fewer neighbours.
        mode : {"connectivity", "distance"}
            Whether elements are 1 or distances.
        include_self : bool
            Whether a point counts as its own neighbour.

        Returns
        -------
        scipy.sparse.csr_matrix of float64, shape (n, n)
            Element (i, j) is there if point j is a neighbour of point i. Rows and columns are dataset indices, so ``n``
            is the number of all points that were ever in the tree; those of removed points are empty. The elements of a
            row are sorted by (distance, index).
        """
        _arguments.choice(mode, "mode", MODES)
        k = _arrays.integer(k, "k", minimum=1)
        rows, asked = self._rows_of_graph(mode, include_self, n_threads, progress)
        found = self.knn(k, **asked)
        indices, distances = found if mode == "distance" else (found, None)
        return self._graph(mode, rows, of_rows(indices, distances))

    def radius_neighbors_graph(
        self,
        r: Any,
        *,
        mode: str = "connectivity",
        include_self: bool = False,
        n_threads: int | None = None,
        progress: ProgressReport | None = None,
    ) -> Any:
        """Find all points within a radius of each point, as a sparse matrix like that of :meth:`kneighbors_graph`.

        It equals that of :func:`sklearn.neighbors.radius_neighbors_graph`.

        Parameters
        ----------
        r : float or array_like, shape (n_points,)
            The radius, or one for each point in the order of :attr:`indices`; inclusive.
        mode, include_self
            As in :meth:`kneighbors_graph`.
        """
        _arguments.choice(mode, "mode", MODES)
        rows, asked = self._rows_of_graph(mode, include_self, n_threads, progress)
        return self._graph(mode, rows, self.radius(r, **asked))

    def _rows_of_graph(
        self, mode: str, include_self: bool, n_threads: int | None, progress: ProgressReport | None
    ) -> tuple[NDArray[np.int64], dict[str, Any]]:
        """Dataset indices of the points, and the options of a search for the neighbours of each."""
        rows = self.indices
        asked = {"queries": rows, "return_distances": mode == "distance", "exclude_self": not include_self}
        return rows, {**asked, "n_threads": n_threads, "progress": progress}

    def _graph(self, mode: str, rows: NDArray[np.int64], found: Neighbors) -> Any:
        """Neighbours of some points, by their dataset indices, as a square matrix."""
        from scipy.sparse import csr_matrix  # noqa: PLC0415 - slow to import

        n = self._info().next_index
        counts = np.zeros(n + 1, np.int64)
        counts[rows + 1] = np.diff(found.offsets)
        return csr_matrix(csr_parts(mode, found._replace(offsets=counts.cumsum())), shape=(n, n))


def csr_parts(mode: str, found: Neighbors) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """The values, columns and offsets of a CSR matrix of neighbours, each row in their order."""
    # SciPy writes to the arrays of a matrix, but arrays of a search may be read-only.
    values = np.ones(len(found.indices)) if mode == "connectivity" else np.array(found.distances, np.float64)
    return values, np.array(found.indices), np.array(found.offsets)


def of_rows(indices: NDArray[np.int64], distances: NDArray[Any] | None) -> Neighbors:
    """Rows of neighbours, with -1 for missing ones at their ends, as lists of their own lengths."""
    there = indices >= 0
    offsets = np.concatenate([[0], there.sum(axis=1).cumsum()])
    return Neighbors(offsets, indices[there], None if distances is None else distances[there])

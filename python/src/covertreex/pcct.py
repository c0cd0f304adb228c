"""Trees by the names of covertreex 0.4.x: settings first, then points; queries before ``k``; changes make new ones.

>>> import numpy as np
>>> from covertreex import PCCT, Runtime
>>> tree = PCCT(Runtime(threads=1)).fit([[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]])
>>> tree = tree.insert([[2.5, 2.5]])
>>> tree.knn([[0.25, 0.25], [2.4, 2.4]], k=2)
array([[0, 1],
       [3, 2]])
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import factory
from .kernels import RBF
from .residual import ResidualTree
from .runtime import Runtime
from .tree import CoverTree

__all__ = ["PCCT"]


@dataclass(frozen=True)
class PCCT:
    """A parallel compressed cover tree, or the settings of one to be.

    Parameters
    ----------
    runtime : Runtime
        Settings.
    tree : PCCT, CoverTree or ResidualTree, optional
        What :meth:`fit` gave.
    """

    runtime: Runtime = field(default_factory=Runtime)
    tree: CoverTree | ResidualTree | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.runtime, Runtime):
            raise TypeError(f"runtime: expected a Runtime, got {self.runtime!r}")
        if isinstance(self.tree, PCCT):
            object.__setattr__(self, "tree", self.tree.tree)
        if self.tree is not None and not isinstance(self.tree, (CoverTree, ResidualTree)):
            raise TypeError(f"tree: expected what fit() gave, got {self.tree!r}")

    def fit(
        self,
        points: ArrayLike,
        *,
        mis_seed: int | None = None,
        residual_params: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> PCCT:
        """Build a tree.

        Parameters
        ----------
        points : array_like, shape (n, dim)
            A single point may be of shape (dim,).
        mis_seed : int, optional
            Another name of ``seed``.
        residual_params : dict, optional
            ``variance``, ``lengthscale`` and ``inducing_count`` of an RBF kernel: the metric is residual correlation.
        **options
            As in :func:`covertreex.cover_tree`, ``kernel`` among them.

        Returns
        -------
        PCCT
            One with the tree.
        """
        if mis_seed is not None:
            options.setdefault("seed", mis_seed)
        if residual_params is not None:
            if "kernel" in options:
                raise ValueError("residual_params: stands against kernel; give one or the other")
            given = dict(residual_params)
            options["kernel"] = RBF(lengthscale=given.pop("lengthscale", 1.0), variance=given.pop("variance", 1.0))
            options.setdefault("inducing_count", given.pop("inducing_count", None))
            given.pop("chunk_size", None)  # of covertreex 0.4.x, without effect
            if given:
                raise ValueError(f"residual_params: unknown {', '.join(sorted(given))}")
        with self.runtime.activate() as config:
            options.setdefault("metric", config.metric)
            return replace(self, tree=factory.cover_tree(_rows(points), **options))

    def insert(self, batch_points: ArrayLike) -> PCCT:
        """Make a tree with some points more, whose indices follow those there are; this one stays as it is.

        It is copied for that; :meth:`CoverTree.insert` changes a tree in place.
        """
        with self.runtime.activate():
            tree = copy.copy(self._fitted())
            tree.insert(_rows(batch_points))
        return replace(self, tree=tree)

    def delete(self, indices: ArrayLike) -> PCCT:
        """Make a tree without some points; the others keep their indices. This one stays as it is."""
        tree = self._fitted()
        if not isinstance(tree, CoverTree):
            raise TypeError("delete: points of a residual tree cannot be taken out")
        with self.runtime.activate():
            tree = copy.copy(tree)
            tree.remove(indices)
        return replace(self, tree=tree)

    def knn(
        self,
        query_points: ArrayLike | None = None,
        *,
        k: int,
        return_distances: bool = False,
        predecessor_mode: bool = False,
    ) -> Any:
        """Find the ``k`` nearest points of each query.

        Parameters
        ----------
        query_points : array_like, optional
            New points, shape (q, dim) or (dim,); or, with residual correlation, points of the tree: their indices,
            integers of shape (q,) or (q, 1); or None for all points.
        k : int
            Neighbours.
        return_distances, predecessor_mode
            As in :meth:`CoverTree.knn`.

        Returns
        -------
        indices, and distances
            Of shape (q, k); as in covertreex 0.4.x (k,) for a single query, and a number for its single neighbour.
        """
        tree = self._fitted()
        queries = None if query_points is None else _queries(query_points, tree)
        with self.runtime.activate():
            found = tree.knn(k, queries=queries, return_distances=return_distances, predecessor_mode=predecessor_mode)
        return tuple(map(_squeezed, found)) if return_distances else _squeezed(found)

    def nearest(self, query_points: ArrayLike, *, return_distances: bool = False) -> Any:
        """Find the nearest point of each query: :meth:`knn` with ``k=1``."""
        return self.knn(query_points, k=1, return_distances=return_distances)

    @property
    def build_seconds(self) -> float | None:
        """Seconds that building took; None before."""
        return None if self.tree is None else self.tree.build_time

    def __len__(self) -> int:
        return 0 if self.tree is None else len(self.tree)

    def _fitted(self) -> Any:
        if self.tree is None:
            raise ValueError("tree: there is none yet; call fit() first")
        return self.tree


def _rows(points: ArrayLike) -> NDArray[Any]:
    array = np.asarray(points)
    return array[None] if array.ndim == 1 and array.size else array


def _queries(given: ArrayLike, tree: CoverTree | ResidualTree) -> NDArray[Any]:
    """Queries by what they are: for a Euclidean tree whole numbers are coordinates, too."""
    array = np.asarray(given)
    if array.dtype.kind not in "iub":
        return np.atleast_2d(array)
    return array.reshape(-1) if isinstance(tree, ResidualTree) else np.atleast_2d(array.astype(np.float64))


def _squeezed(found: NDArray[Any]) -> Any:
    if found.shape[0] != 1:
        return found
    return found[0] if found.shape[1] > 1 else found[0, 0]

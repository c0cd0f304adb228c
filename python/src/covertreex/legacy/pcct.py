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

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _settings
from ..residual import ResidualTree
from ..tree import CoverTree as NativeTree
from . import _engine_names, changes, host_data, plans
from . import runtime as runtimes
from ._notices import without_effect
from .backend import TreeBackend
from .logging import log_operation
from .model import RuntimeConfig
from .trees import PCCTree, Recipe

_INSERTS = logging.getLogger("covertreex.algo.batch_insert")
_DELETES = logging.getLogger("covertreex.algo.batch_delete")
_QUERIES = logging.getLogger("covertreex.queries.knn")


@dataclass(frozen=True)
class PCCT:
    """A parallel compressed cover tree, or the settings of one to be.

    ``tree`` is the result of :meth:`fit`, or another tree: a PCCTree, PCCT, CoverTree or ResidualTree.
    """

    runtime: _settings.Runtime = field(default_factory=runtimes.Runtime)
    tree: PCCTree | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.runtime, _settings.Runtime):
            raise TypeError(f"runtime: expected a Runtime, got {self.runtime!r}")
        tree: Any = self.tree
        if isinstance(tree, PCCT):
            tree = tree.tree
        elif isinstance(tree, (NativeTree, ResidualTree)):
            tree = PCCTree.of(tree, backend=self._backend())
        if tree is not None and not isinstance(tree, PCCTree):
            raise TypeError(f"tree: expected what fit() gave, got {tree!r}")
        object.__setattr__(self, "tree", tree)

    # Changes

    def fit(
        self,
        points: ArrayLike,
        *,
        apply_batch_order: bool = True,
        mis_seed: int | None = None,
        return_plan: bool = False,
        residual_params: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Any:
        """Build a tree; return it as a :class:`PCCT`, and with ``return_plan`` a :class:`BatchInsertPlan`, too.

        With ``metric="residual_correlation"`` the kernel comes from the first of these that is given: ``kernel``,
        ``residual_params``, the runtime's :class:`covertreex.Residual` with a ``v_matrix``, and the data
        of :func:`covertreex.configure_residual_correlation`.

        Parameters
        ----------
        points : array_like, shape (n, dim)
            A single point may be of shape (dim,). They are kept in float64 unless the precision is another one. If the
            kernel comes from residual data, all points of it, in its order: coordinates, or dataset indices.
        apply_batch_order : bool
            False keeps the order of the points, whichever order the settings say.
        mis_seed : int, optional
            Another name of ``seed``.
        residual_params : dict, optional
            ``variance``, ``lengthscale``, ``inducing_count`` and ``kernel_type`` of a kernel.
        **options
            As in :func:`covertreex.cover_tree`, ``kernel`` among them.
        """
        if mis_seed is not None:
            options.setdefault("seed", mis_seed)
        if not apply_batch_order:
            options.setdefault("order", "natural")
        array = changes.rows(points)
        with self._active() as config, log_operation(_INSERTS, "batch_insert"):
            recipe = self._recipe(config, array, residual_params, options)
            tree = PCCTree.empty(dimension=int(array.shape[1]), backend=self._backend())
            tree.recipe = recipe
            made = changes.built(tree, array) if len(array) else tree
        fitted = replace(self, tree=made)
        if not return_plan:
            return fitted
        return fitted, plans.of_insertion(tree, made, self._old_config(), mis_seed, apply_batch_order)

    def insert(
        self,
        batch_points: ArrayLike,
        *,
        mis_seed: int | None = None,
        apply_batch_order: bool | None = None,
        return_plan: bool = False,
    ) -> Any:
        """Make a tree with some points more, whose indices follow those there are; this one stays as it is.

        It is copied for that; :meth:`covertreex.tree.CoverTree.insert` changes a tree in place.

        Parameters
        ----------
        batch_points : array_like, shape (m, dim)
            A single point may be of shape (dim,).
        mis_seed, apply_batch_order, return_plan
            For the plan, as in :meth:`fit`; seed and order of a tree stay.
        """
        for_plan = {"mis_seed": mis_seed, "apply_batch_order": apply_batch_order}
        without_effect(name for name, value in for_plan.items() if value is not None and not return_plan)
        tree, array = self._fitted(), changes.rows(batch_points)
        with self._active(), log_operation(_INSERTS, "batch_insert"):
            made = changes.extended(tree, array)
        larger = replace(self, tree=made)
        if not return_plan:
            return larger
        in_order = True if apply_batch_order is None else apply_batch_order
        return larger, plans.of_insertion(tree, made, self._old_config(), mis_seed, in_order)

    def delete(self, indices: ArrayLike, *, return_plan: bool = False) -> Any:
        """Make a tree without some points. The other points are renumbered from 0; this tree does not change.

        Descendants of removed points come last, as the plan says, a :class:`BatchDeletePlan` that is returned with
        ``return_plan``. :meth:`covertreex.tree.CoverTree.remove` changes a tree in place, and keeps the indices.

        Raises
        ------
        ValueError
            For an index that the tree does not have, or has twice in the list.
        """
        tree = self._fitted()
        removed = changes.indices_in(tree, indices)
        with self._active(), log_operation(_DELETES, "batch_delete") as log:
            log.add_metadata(removed=len(removed))
            made = changes.reduced(tree, removed)
        smaller = replace(self, tree=made)
        return (smaller, plans.of_removal(tree, removed, lambda: made)) if return_plan else smaller

    # Searches

    def knn(
        self,
        query_points: ArrayLike | None = None,
        *,
        k: int,
        return_distances: bool = False,
        predecessor_mode: bool = False,
    ) -> Any:
        """Find the ``k`` nearest points of each query, and the distances with ``return_distances``.

        Parameters
        ----------
        query_points : array_like, optional
            New points, shape (q, dim) or (dim,). With residual correlation, points of the tree: their indices, integers
            of shape (q,) or (q, 1), or their coordinates. None for all points of the tree.
        predecessor_mode : bool
            Only points with a lower dataset index than the query's own. The index of a new point is its row.

        Returns
        -------
        indices, and distances
            Of shape (q, k); as in covertreex 0.4.x (k,) for a single query, and a number for its single neighbour.
        """
        tree = self._fitted()
        options: dict[str, Any] = {"return_distances": return_distances}
        with self._active(), log_operation(_QUERIES, "knn_query") as log:
            queries = None if query_points is None else _queries(query_points, tree)
            if predecessor_mode and queries is not None and queries.ndim == 2:
                options["before"] = np.arange(len(queries))
            else:
                options["predecessor_mode"] = predecessor_mode
            log.add_metadata(queries=tree.num_points if queries is None else len(queries), k=k)
            found = tree.native.knn(k, queries=queries, **options)
        if not return_distances:
            return squeezed(found)
        indices, distances = found
        return squeezed(indices), squeezed(distances**2 / 2 if tree.recipe.is_lite else distances)

    def nearest(self, query_points: ArrayLike, *, return_distances: bool = False) -> Any:
        """Find the nearest point of each query: :meth:`knn` with ``k=1``."""
        return self.knn(query_points, k=1, return_distances=return_distances)

    # Properties

    @property
    def num_points(self) -> int:
        """The number of points."""
        return self._fitted().num_points

    @property
    def dimension(self) -> int:
        """Coordinates of a point."""
        return self._fitted().dimension

    @property
    def build_seconds(self) -> float | None:
        """Seconds of building; None before."""
        return None if self.tree is None or self.tree.is_empty() else self.tree.native.build_time

    def __len__(self) -> int:
        return 0 if self.tree is None else len(self.tree)

    def _fitted(self) -> PCCTree:
        if self.tree is None:
            raise ValueError("tree: call fit() first")
        return self.tree

    def _active(self) -> _settings.Activation:
        return _settings.Activation(self.runtime.to_config(_settings.environment_config()))

    def _backend(self) -> TreeBackend:
        return TreeBackend.numpy(precision="float32" if self.runtime.dtype == "float32" else "float64")

    def _old_config(self) -> RuntimeConfig:
        """All settings by their old names."""
        own = self.runtime
        if not isinstance(own, runtimes.Runtime):
            own = runtimes.Runtime.from_config(own.to_config())
        return own.to_model().to_runtime_config()

    def _recipe(
        self,
        config: _settings.RuntimeConfig,
        points: NDArray[Any],
        residual_params: Mapping[str, Any] | None,
        options: dict[str, Any],
    ) -> Recipe:
        """The recipe of the tree, also to make it again."""
        options = {"metric": config.metric, **_engine_names.translated(options)}
        if residual_params is not None:
            if "kernel" in options:
                raise ValueError("residual_params: cannot be combined with kernel")
            options.update(options_of(residual_params))
            seed = getattr(self.runtime, "residual_grid_seed", None)
            if seed is not None:
                options.setdefault("seed", seed)
        if getattr(self.runtime, "is_lite", False):
            return Recipe({"dtype": np.float64, **options}, is_lite=True)
        if "kernel" in options or "v_matrix" in options:
            return Recipe(options)
        if options["metric"] == "residual_correlation":
            data = getattr(config.residual, "data", None) or host_data.known_backend()
            if data is not None:
                _check_data(data, points)
                del options["metric"]
                allowed = {"engine", "order", "seed", "n_threads", "progress", "cover_tree_metric"}
                for name in options.keys() - allowed:
                    raise TypeError(f"{name}: is for a kernel, but the residual data that is configured is used")
                return Recipe({"data": data, **options}, decoder=data.point_decoder)
        if options.get("dtype") is None and options["metric"] != "residual_correlation" and config.dtype == "auto":
            options["dtype"] = np.float64
        return Recipe(options)


def options_of(residual_params: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters of a kernel, by their old names, as options of a tree."""
    given = dict(residual_params)
    kernel_type = given.pop("kernel_type", 0)
    kernel = host_data.kernel_of(kernel_type, given.pop("variance", 1.0), given.pop("lengthscale", 1.0))
    count = given.pop("inducing_count", None)
    without_effect(["chunk_size"] if given.pop("chunk_size", 512) != 512 else [])
    if given:
        raise ValueError(f"residual_params: unknown {', '.join(sorted(given))}")
    return {"kernel": kernel} if count is None else {"kernel": kernel, "inducing_count": count}


def _check_data(data: host_data.ResidualCorrHostData, points: NDArray[Any]) -> None:
    """Raise unless points are the points of the residual data, in its order."""
    try:
        known = np.asarray(data.point_decoder(points), np.int64).reshape(-1)
    except KeyError as error:
        raise ValueError(f"points: expected those of the residual data; {error.args[0]}") from None
    if len(known) != data.num_points:
        raise ValueError(f"points: expected {data.num_points}, as many as the residual data has, got {len(known)}")
    if data.origin is not None:
        same = np.array_equal(data.origin.coords[known], data.origin.coords)
    else:
        same = np.array_equal(known, np.arange(len(known)))
    if not same:
        raise ValueError("points: expected those of the residual data in its order, got them in another one")


def _queries(given: ArrayLike, tree: PCCTree) -> NDArray[Any]:
    """Queries as coordinates or dataset indices. For a Euclidean tree, integers are coordinates, too."""
    array = np.asarray(given)
    if not isinstance(tree.native, ResidualTree):
        rows = np.asarray(changes.rows(array), np.float64 if array.dtype.kind in "iub" else None)
        return changes.lite_rows(rows, "query_points") if tree.recipe.is_lite else rows
    if array.dtype.kind in "iub":
        return array.reshape(-1).astype(np.int64)
    try:
        found: NDArray[np.int64] = np.asarray(tree.decoder(array), np.int64).reshape(-1)
    except (KeyError, ValueError):
        return np.atleast_2d(array)  # new points
    return found


def squeezed(found: NDArray[Any]) -> Any:
    """Results in the shapes of covertreex 0.4.x: without the dimension of a single query, or of its one neighbour."""
    if found.shape[0] != 1:
        return found
    return found[0] if found.shape[1] > 1 else found[0, 0]

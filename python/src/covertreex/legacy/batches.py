"""Changes and searches of :class:`PCCTree`, as functions."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from . import changes, engine, plans
from ._notices import without_effect
from .backend import TreeBackend
from .context import RuntimeContext, runtime_context
from .pcct import PCCT
from .plans import BatchDeletePlan, BatchInsertPlan, PrefixBatchGroup, PrefixBatchResult
from .runtime import Runtime
from .trees import PCCTree


def _runtime(context: RuntimeContext | None) -> Any:
    return Runtime() if context is None else Runtime.from_config(context.config)


def batch_insert(
    tree: PCCTree,
    batch_points: ArrayLike,
    *,
    backend: TreeBackend | None = None,
    mis_seed: int | None = None,
    apply_batch_order: bool | None = None,
    context: RuntimeContext | None = None,
) -> tuple[PCCTree, BatchInsertPlan]:
    """Make a tree with more points, of shape (m, dim), and a plan. ``backend`` has no effect.

    The settings of ``context``, by default the active ones, are for the plan, and for an empty tree. So are
    ``mis_seed`` and ``apply_batch_order``, as of :meth:`covertreex.PCCT.fit`.
    """
    context = runtime_context() if context is None else context
    facade = PCCT(_runtime(context), tree)
    in_order = True if apply_batch_order is None else apply_batch_order
    if tree.is_empty():
        made = facade.fit(batch_points, mis_seed=mis_seed, apply_batch_order=in_order)
    else:
        made = facade.insert(batch_points)
    return made.tree, plans.of_insertion(tree, made.tree, context.config, mis_seed, in_order)


def batch_insert_prefix_doubling(
    tree: PCCTree,
    batch_points: ArrayLike,
    *,
    backend: TreeBackend | None = None,
    mis_seed: int | None = None,
    shuffle_seed: int | None = None,
    context: RuntimeContext | None = None,
) -> tuple[PCCTree, PrefixBatchResult]:
    """Make a tree with some points more: :func:`batch_insert`, in one group, as the library needs no prefixes.

    ``shuffle_seed`` has no effect.
    """
    without_effect([] if shuffle_seed is None else ["shuffle_seed"])
    made, plan = batch_insert(tree, batch_points, backend=backend, mis_seed=mis_seed, context=context)
    own = np.arange(made.num_points - tree.num_points)
    group = PrefixBatchGroup(permutation_indices=own, plan=plan)
    return made, PrefixBatchResult(own, (group,), plan.batch_order_strategy, plan.batch_order_metrics)


def batch_delete(
    tree: PCCTree,
    remove_indices: ArrayLike,
    *,
    backend: TreeBackend | None = None,
    context: RuntimeContext | None = None,
) -> tuple[PCCTree, BatchDeletePlan]:
    """Make a tree without some points, and a plan: :meth:`covertreex.PCCT.delete`. ``backend`` has no effect."""
    made, plan = PCCT(_runtime(context), tree).delete(remove_indices, return_plan=True)
    return made.tree, plan


def plan_batch_delete(tree: PCCTree, remove_indices: ArrayLike, **options: Any) -> BatchDeletePlan:
    """Make the plan of :func:`batch_delete`."""
    without_effect(options.keys() - {"backend", "context"})
    removed = changes.indices_in(tree, remove_indices)
    return plans.of_removal(tree, removed, lambda: changes.reduced(tree, removed))


def knn(
    tree: PCCTree | engine.CoverTree,
    query_points: ArrayLike,
    *,
    k: int,
    return_distances: bool = False,
    predecessor_mode: bool = False,
    backend: TreeBackend | None = None,
    context: RuntimeContext | None = None,
) -> Any:
    """Find the ``k`` nearest points of each query: :meth:`covertreex.PCCT.knn`. ``backend`` has no effect.

    Raises
    ------
    ValueError
        For a tree without points, and for a ``k`` below 1 or above the number of points.
    """
    options: dict[str, Any] = {"k": k, "return_distances": return_distances, "predecessor_mode": predecessor_mode}
    if isinstance(tree, engine.CoverTree):
        return tree.knn(query_points, **options)
    if not 1 <= k <= tree.num_points:
        raise ValueError(f"k: expected 1 to {tree.num_points}, the number of points, got {k}")
    return PCCT(_runtime(context), tree).knn(np.asarray(query_points), **options)


def nearest_neighbor(tree: PCCTree | engine.CoverTree, query_points: ArrayLike, **options: Any) -> Any:
    """Find the nearest point of each query: :func:`knn` with ``k=1``."""
    return knn(tree, query_points, k=1, **options)

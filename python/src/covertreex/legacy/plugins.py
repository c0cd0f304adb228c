"""Strategies and metrics of other packages, by the names of ``covertreex.plugins`` of covertreex 0.4.x.

A package registers them by entry points of the groups "covertreex.traversal", "covertreex.conflict" and
"covertreex.metrics". They are for the stages of :mod:`covertreex.algo`, and in :func:`covertreex.get_metric`;
trees are built and searched by the library, in its own metrics.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import adjacency, metrics
from .backend import TreeBackend
from .conflicts import ConflictGraphStrategy, conflict_strategies
from .model import RuntimeConfig
from .traversal import TraversalStrategy, traversal_strategies

_STRATEGIES = adjacency  # this module registers the strategies of conflict graphs

# Traversal


def register_traversal_strategy(
    name: str,
    *,
    predicate: Callable[[Any, TreeBackend], Any],
    factory: Callable[[], TraversalStrategy],
    origin: str | None = None,
) -> None:
    """Add a way to find parents and scopes, instead of one of the same name.

    Parameters
    ----------
    name : str
    predicate : callable
        ``predicate(config, backend)``: whether it is for these settings.
    factory : callable
        Makes an object with a method ``collect(tree, batch, *, backend, runtime)`` that returns a
        :class:`covertreex.algo.TraversalResult`.
    origin : str, optional
        The module that it is from; by default the factory's.
    """
    traversal_strategies.register(name, predicate=predicate, factory=factory, origin=origin)


deregister_traversal_strategy = traversal_strategies.deregister
registered_traversal_strategies = traversal_strategies.names
describe_traversal_strategies = traversal_strategies.describe
load_traversal_entrypoints = traversal_strategies.load_entry_points


def select_traversal_strategy(runtime: RuntimeConfig, backend: TreeBackend) -> TraversalStrategy:
    """Make the strategy for some settings."""
    chosen: TraversalStrategy = traversal_strategies.select(runtime, backend)
    return chosen


# Conflict graphs


def register_conflict_strategy(
    name: str,
    *,
    predicate: Callable[[Any, bool, bool], Any],
    factory: Callable[[], ConflictGraphStrategy],
    origin: str | None = None,
) -> None:
    """Add a way to find the edges of a conflict graph, instead of one of the same name.

    Parameters
    ----------
    name, origin
        As of :func:`register_traversal_strategy`.
    predicate : callable
        ``predicate(config, is_residual, has_distances)``: whether it is for these settings.
    factory : callable
        Makes an object with a method ``build(context)`` that returns an ``AdjacencyBuild`` for a
        ``ConflictGraphContext``.
    """
    conflict_strategies.register(name, predicate=predicate, factory=factory, origin=origin)


deregister_conflict_strategy = conflict_strategies.deregister
registered_conflict_strategies = conflict_strategies.names
describe_conflict_strategies = conflict_strategies.describe
load_conflict_entrypoints = conflict_strategies.load_entry_points


def select_conflict_strategy(
    runtime: RuntimeConfig, *, residual_mode: bool, has_residual_distances: bool
) -> ConflictGraphStrategy:
    """Make the strategy for some settings."""
    chosen: ConflictGraphStrategy = conflict_strategies.select(runtime, residual_mode, has_residual_distances)
    return chosen


def load_conflict_plugins() -> None:
    """Load the strategies of installed packages now."""
    conflict_strategies.load_entry_points()


# Metrics


def list_metrics() -> list[dict[str, str]]:
    """The names of all metrics, also of installed packages, and the module of each."""
    metrics.load_entrypoints()
    return [{"name": name, "module": module} for name, module in metrics.registry.describe()]

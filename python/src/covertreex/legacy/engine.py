"""Engines by the names of covertreex 0.4.x. One library does the work of all."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import factory
from ..residual import ResidualTree
from . import _engine_names, host_data, pcct, plans
from ._notices import without_effect
from .backend import TreeBackend
from .context import RuntimeContext
from .host_data import ResidualCorrHostData
from .model import DEFAULT_ENGINE, RuntimeConfig
from .trees import PCCTree, Searcher


@dataclass(frozen=True)
class Handle:
    """The result of a build."""

    tree: Searcher

    @property
    def node_to_dataset(self) -> list[int]:
        """The dataset index of each node."""
        found: list[int] = self.tree.export_arrays().order.tolist()
        return found

    @property
    def subtree_min_bounds(self) -> NDArray[np.int32]:
        """The lowest dataset index below each node."""
        found: NDArray[np.int32] = self.tree.export_arrays().subtree_min
        return found

    @property
    def v_matrix(self) -> NDArray[np.float64]:
        """Whitened features V of a residual tree."""
        return self._residual().v_matrix

    @property
    def p_diag(self) -> NDArray[np.float64]:
        """Residual variances of a residual tree."""
        return self._residual().residual_variance

    @property
    def coords(self) -> NDArray[Any]:
        """Coordinates."""
        return self.tree._coords if isinstance(self.tree, ResidualTree) else PCCTree.of(self.tree).points

    def _residual(self) -> ResidualTree:
        if not isinstance(self.tree, ResidualTree):
            raise AttributeError("handle: a Euclidean tree has no features")
        return self.tree


@dataclass(frozen=True)
class CoverTree:
    """A tree and the engine that built it."""

    engine: TreeEngine
    handle: Any
    metric: str
    backend: TreeBackend | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)

    def knn(
        self,
        query_points: ArrayLike,
        *,
        k: int,
        return_distances: bool = False,
        predecessor_mode: bool = False,
        context: RuntimeContext | None = None,
    ) -> Any:
        """Find the ``k`` nearest points of each query: :meth:`covertreex.PCCT.knn`.

        Distances of the engines "rust-..." are float32, as they were. ``context`` has no effect.
        """
        return self.engine.knn(
            self, query_points, k=k, return_distances=return_distances, predecessor_mode=predecessor_mode
        )

    @property
    def build_seconds(self) -> float | None:
        """Seconds of building."""
        return self.meta.get("build_seconds")


class TreeEngine(Protocol):
    """An object that builds trees and searches them."""

    name: str

    def build(self, points: ArrayLike, *, runtime: RuntimeConfig) -> CoverTree:
        """Build a tree."""

    def knn(
        self,
        tree: CoverTree,
        query_points: ArrayLike,
        *,
        k: int,
        return_distances: bool,
        predecessor_mode: bool = False,
    ) -> Any:
        """Find neighbours."""


class _Engine:
    """An engine by its old name."""

    name = ""

    def build(
        self,
        points: ArrayLike,
        *,
        runtime: RuntimeConfig,
        context: RuntimeContext | None = None,
        batch_size: int = 512,
        seed: int = 0,
        build_mode: str = "batch",
        log_writer: Any = None,
        scope_cap_recorder: Any = None,
        plan_callback: Callable[..., Any] | None = None,
        residual_backend: ResidualCorrHostData | None = None,
        residual_params: Mapping[str, Any] | None = None,
        compute_predecessor_bounds: bool = True,
    ) -> CoverTree:
        """Build a tree of points, shape (n, dim), by settings; the metric above all.

        Parameters
        ----------
        seed : int
            For the tree. Inducing points are sampled as in covertreex 0.4.x: with this seed for "rust-natural", and
            with the seeds of ``runtime`` for other engines.
        residual_backend : ResidualCorrHostData, optional
            V and p of the points; the metric is residual correlation.
        residual_params : mapping, optional
            Instead of these: ``variance``, ``lengthscale``, ``inducing_count`` and ``kernel_type`` of a kernel.
        log_writer : BenchmarkLogWriter, optional
            Gets one line: all points are one batch.
        plan_callback : callable, optional
            ``plan_callback(plan, batch_index, batch_size)`` for that batch. It may return more facts for the line.
        context, batch_size, build_mode, scope_cap_recorder, compute_predecessor_bounds
            Without effect.
        """
        unused = {
            "batch_size": batch_size != 512, "build_mode": build_mode != "batch",
            "scope_cap_recorder": scope_cap_recorder is not None,
        }  # fmt: skip
        without_effect(name for name, is_used in unused.items() if is_used)
        is_given = residual_backend is not None or residual_params is not None
        is_residual = is_given or runtime.metric == "residual_correlation"
        native: Searcher
        if is_residual:
            data = residual_backend or self._data(points, runtime, seed, residual_params)
            native = data.tree(**_engine_names.translated({"engine": self.name, "seed": seed}))
        else:
            settings = {**runtime.settings(), "engine": self.name, "order": None, "metric": "euclidean", "seed": seed}
            native = factory.cover_tree(np.asarray(points), **_engine_names.translated(settings))
        meta = {"build_seconds": native.build_time, "dataset_size": len(native), "predecessor_bounds_computed": True}
        backend = TreeBackend.numpy(precision=runtime.precision)
        if log_writer is not None or plan_callback is not None:
            _report(PCCTree.of(native, backend=backend), native.order, runtime, log_writer, plan_callback)
        metric = "residual_correlation" if is_residual else "euclidean"
        handle = PCCTree.of(native, backend=backend) if self.name == "python-numba" else Handle(native)
        return CoverTree(self, handle, metric, backend, meta)

    def _data(
        self, points: ArrayLike, runtime: RuntimeConfig, seed: int, residual_params: Mapping[str, Any] | None
    ) -> ResidualCorrHostData:
        known = host_data.known_backend()
        if residual_params is None and known is not None:
            return known
        params = {"variance": 1.0, "lengthscale": 1.0, "inducing_count": 512, **(residual_params or {})}
        seeds = runtime.seeds
        drawn = seed if self.name == "rust-natural" else seeds.resolved("residual_grid", fallback=seeds.resolved("mis"))
        return host_data.build_residual_backend(points, seed=drawn, **params)

    def knn(
        self,
        tree: CoverTree,
        query_points: ArrayLike,
        *,
        k: int,
        return_distances: bool,
        predecessor_mode: bool = False,
        context: RuntimeContext | None = None,
        runtime: RuntimeConfig | None = None,
    ) -> Any:
        """Find the ``k`` nearest points of each query: :meth:`CoverTree.knn`. Settings have no effect."""
        searched = tree.handle if self.name == "python-numba" else tree.handle.tree
        found = pcct.PCCT(tree=searched).knn(
            query_points, k=k, return_distances=return_distances, predecessor_mode=predecessor_mode
        )
        if not return_distances or not self.name.startswith("rust"):
            return found
        return found[0], found[1].astype(np.float32)


def _report(
    built: PCCTree, order: str, runtime: RuntimeConfig, log_writer: Any, plan_callback: Callable[..., Any] | None
) -> None:
    """Report the one batch by which a tree was built."""
    empty = PCCTree.empty(dimension=built.dimension, backend=built.backend)
    settings: dict[str, Any] = {"batch_order_strategy": order}
    plan = plans.of_insertion(empty, built, dataclasses.replace(runtime, **settings), None, True)
    extra = None if plan_callback is None else plan_callback(plan, 0, built.num_points)
    if log_writer is not None:
        log_writer.record_batch(batch_index=0, batch_size=built.num_points, plan=plan, extra=extra)


class PythonNumbaEngine(_Engine):
    """The engine "python-numba": kernels for Numba walk the library's trees."""

    name = "python-numba"


class RustNaturalEngine(_Engine):
    """The engine "rust-natural", or "rust-fast": points as they come."""

    name = "rust-natural"


class RustHybridResidualEngine(_Engine):
    """The engine "rust-hybrid"."""

    name = "rust-hybrid"


class RustHilbertEngine(_Engine):
    """The engine "rust-hilbert": points along the Hilbert curve."""

    name = "rust-hilbert"


_ENGINES = {
    one.name: one for one in (PythonNumbaEngine(), RustNaturalEngine(), RustHybridResidualEngine(), RustHilbertEngine())
}
SUPPORTED_ENGINES = tuple(_ENGINES)


def get_engine(name: str) -> _Engine:
    """The engine of a name."""
    known = name if name in _ENGINES else _engine_names.old_name(*_engine_names.NAMES.get(name, (None, None)))
    if known is None:
        raise ValueError(f"engine: expected one of {', '.join(SUPPORTED_ENGINES)}, got {name!r}")
    return _ENGINES[known]


def build_tree(
    points: ArrayLike,
    *,
    runtime: RuntimeConfig | None = None,
    engine: str | None = None,
    context: RuntimeContext | None = None,
    **options: Any,
) -> CoverTree:
    """Build a tree of points, shape (n, dim), by an engine.

    Parameters
    ----------
    runtime, context : optional
        Settings; by default from the environment.
    engine : str, optional
        Its name; by default from the settings, or "rust-hilbert" if they name no other.
    **options
        As of :meth:`RustHilbertEngine.build`.
    """
    if runtime is None:
        runtime = RuntimeConfig.from_env() if context is None else context.config
    name = engine or ("rust-hilbert" if runtime.engine == DEFAULT_ENGINE else runtime.engine)
    return get_engine(name).build(points, runtime=runtime, context=context, **options)


def build_fast_residual_tree(
    points: ArrayLike,
    *,
    seed: int = 0,
    variance: float = 1.0,
    lengthscale: Any = 1.0,
    inducing_count: int = 512,
    chunk_size: int = 512,
    use_hilbert_order: bool = True,
) -> tuple[ResidualTree, list[int], ResidualCorrHostData]:
    """Build a residual tree with an RBF kernel; return it, the numbers 0 to n - 1, and the data.

    The arguments are as of :func:`covertreex.metrics.build_residual_backend`. ``use_hilbert_order`` has no effect.
    """
    without_effect([] if use_hilbert_order else ["use_hilbert_order"])
    data = host_data.build_residual_backend(
        points, seed=seed, inducing_count=inducing_count, variance=variance, lengthscale=lengthscale,
        chunk_size=chunk_size,
    )  # fmt: skip
    tree = data.tree()
    return tree, list(range(len(tree))), data

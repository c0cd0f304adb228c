"""Plans out of the reports of another engine, as covertreex 0.4.x got them from its Rust backend."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .benchmark_log import BenchmarkLogWriter
from .conflicts import GRID_COUNTS, ConflictGraph, ConflictGraphTimings
from .independent_sets import MISResult
from .plans import BatchInsertPlan, BatchInsertTimings
from .traversal import TraversalResult, TraversalTimings

__all__ = ["build_rust_plan", "record_rust_batch"]

_ENGINE = "rust-pcct2"


def build_rust_plan(payload: Mapping[str, Any]) -> BatchInsertPlan:
    """Make the plan of an insertion that another engine reports.

    Parameters
    ----------
    payload : mapping
        ``parents``, ``levels``, ``scope_indptr``, ``scope_indices``, ``conflict_indptr``, ``conflict_indices``,
        ``selected`` and ``dominated`` as lists or arrays of integers, ``batch_size``, ``engine``, ``gate_active``,
        ``batch_order_strategy``, ``batch_order_metrics``, ``conflict_grid_...``, and ``timings``: a mapping with the
        fields of the stages' timings. All of it is optional.
    """
    timings = payload.get("timings") or {}
    parents = _integers(payload, "parents")
    size = int(payload.get("batch_size", len(parents)))
    row_starts = np.zeros(size + 1, np.int64)
    scopes = _integers(payload, "scope_indptr", row_starts), _integers(payload, "scope_indices")
    edges = _integers(payload, "conflict_indices")
    grid: dict[str, Any] = {name: int(payload.get(f"conflict_{name}", 0)) for name in GRID_COUNTS}
    selected = _integers(payload, "selected")
    no_ints, no_floats = np.empty(0, np.int64), np.empty(0, np.float32)
    in_traversal = {
        "build_wall_seconds": timings.get("traversal_seconds", 0.0), "scope_chunk_segments": size,
        "scope_chunk_emitted": len(parents), "scope_chunk_max_members": len(parents),
    }  # fmt: skip
    in_graph = {
        "adjacency_seconds": timings.get("conflict_graph_seconds", 0.0), "adjacency_total_pairs": len(edges),
        "adjacency_candidate_pairs": len(edges), "scope_chunk_pairs_before": len(edges),
        "scope_chunk_pairs_after": len(edges),
    }  # fmt: skip
    return BatchInsertPlan(
        traversal=TraversalResult(
            parents, _integers(payload, "levels"), ((),) * size, *scopes,
            timings=_timings(TraversalTimings, {**in_traversal, **timings}),
            engine=str(payload.get("engine", _ENGINE)), gate_active=bool(payload.get("gate_active", False)),
        ),
        conflict_graph=ConflictGraph(
            _integers(payload, "conflict_indptr", row_starts), edges, np.zeros(len(edges), np.float32), *scopes,
            np.zeros(size, np.float32), no_floats.reshape(0, 2), no_ints, np.zeros(1, np.int64), no_ints, no_ints,
            timings=_timings(ConflictGraphTimings, {**in_graph, **timings, **grid}), **grid,
        ),
        mis_result=MISResult(selected, int(timings.get("mis_iterations", 1))),
        selected_indices=selected, dominated_indices=_integers(payload, "dominated"), level_summaries=(),
        timings=_timings(BatchInsertTimings, timings),
        batch_order_strategy=str(payload.get("batch_order_strategy", _ENGINE)),
        batch_order_metrics=dict(payload.get("batch_order_metrics") or {}),
    )  # fmt: skip


def record_rust_batch(log_writer: BenchmarkLogWriter, payload: Mapping[str, Any]) -> None:
    """Append the line of an insertion that another engine reports to a log.

    ``payload`` is as of :func:`build_rust_plan`, with ``batch_index`` and, for other facts, ``extra``.
    """
    log_writer.record_batch(
        batch_index=int(payload.get("batch_index", 0)), batch_size=int(payload.get("batch_size", 0)),
        plan=build_rust_plan(payload), extra=payload.get("extra"),
    )  # fmt: skip


def _integers(payload: Mapping[str, Any], name: str, default: Any = ()) -> NDArray[np.int64]:
    return np.atleast_1d(np.asarray(payload.get(name, default), np.int64))


def _timings(kind: Any, known: Mapping[str, Any]) -> Any:
    """Timings of a stage, of what is known; other fields are 0."""
    kinds: dict[Any, Any] = {"int": int, "float": float}
    return kind(**{one.name: kinds[one.type](known.get(one.name, 0)) for one in dataclasses.fields(kind)})

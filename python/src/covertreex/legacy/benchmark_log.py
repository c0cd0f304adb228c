"""Writers of logs of benchmarks: a line of JSON for each batch, and a file of radius limits.

:mod:`covertreex.legacy.benchmark_schemas` describes the formats. :mod:`covertreex.telemetry` records the calls of this
package.
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _arguments, _writing
from . import benchmark_schemas as schemas
from .conflicts import GRID_COUNTS
from .plans import BatchInsertPlan
from .traversal import ResidualTraversalCache

__all__ = ["BenchmarkLogWriter", "ResidualScopeCapRecorder"]


def _named(stage: str, *fields: str) -> dict[str, str]:
    """The names in a line of some fields of a stage's timings. Seconds become milliseconds."""
    return {f"{stage}_{field.replace('_seconds', '_ms')}": field for field in fields}


_TRAVERSAL = _named(
    "traversal", "pairwise_seconds", "mask_seconds", "semisort_seconds", "tile_seconds", "build_wall_seconds",
    "scope_chunk_segments", "scope_chunk_emitted", "scope_chunk_max_members", "scope_chunk_scans",
    "scope_chunk_points", "scope_chunk_dedupe", "scope_chunk_saturated", "scope_budget_start", "scope_budget_final",
    "scope_budget_escalations", "scope_budget_early_terminate", "whitened_block_pairs", "whitened_block_seconds",
    "whitened_block_calls", "kernel_provider_pairs", "kernel_provider_seconds", "kernel_provider_calls",
)  # fmt: skip
_CONFLICTS = {
    **_named(
        "conflict", "pairwise_seconds", "scope_group_seconds", "adjacency_seconds", "annulus_seconds",
        "scope_chunk_segments", "scope_chunk_emitted", "scope_chunk_max_members", "scope_chunk_pair_cap",
        "scope_chunk_pairs_before", "scope_chunk_pairs_after", "scope_chunk_pair_merges", "scope_domination_ratio",
        "pairwise_reused", "arena_bytes", "degree_cap", "degree_pruned_pairs",
    ),
    "conflict_adj_scatter_ms": "adjacency_scatter_seconds",
    "conflict_adj_filter_ms": "adjacency_filter_seconds",
    "conflict_adj_pairs": "adjacency_total_pairs",
    "conflict_adj_candidates": "adjacency_candidate_pairs",
}  # fmt: skip
_STAGES = {f"{stage}_ms": f"{stage}_seconds" for stage in ("traversal", "conflict_graph", "mis")}
_WHOLE = ("conflict_adj_pairs", "conflict_adj_candidates")
_PERCENTILES = (50, 90, 95, 99)
_SLACK = 1e-12


class BenchmarkLogWriter:
    """Appends a line of JSON for each batch to a file; a context manager that closes it.

    Parameters
    ----------
    path : path_like
        The file. Its folder is made.
    run_id : str, optional
        The name of the run.
    runtime : mapping, optional
        Settings, with the seeds as ``"seeds"``. They are in each line, too, as ``runtime_...``.
    metadata : mapping, optional
        Other facts, for each line.
    run_hash : str, optional
        By default a hash of settings and seeds.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        run_id: str | None = None,
        runtime: Mapping[str, Any] | None = None,
        metadata: Mapping[str, Any] | None = None,
        run_hash: str | None = None,
    ) -> None:
        settings, self._metadata = dict(runtime or {}), dict(metadata or {})
        seeds, digest = dict(settings.get("seeds") or {}), _hash({"runtime": settings})
        self._head = {
            "schema_id": schemas.BENCHMARK_BATCH_SCHEMA_ID,
            "schema_version": schemas.BENCHMARK_BATCH_SCHEMA_VERSION,
            "run_id": run_id or "run-0",
            "run_hash": run_hash or _hash({"runtime_digest": digest, "seeds": seeds}),
            "runtime_digest": digest,
            "seed_pack": seeds,
            "runtime": settings,
        }
        self._flat = {f"runtime_{name}": value for name, value in settings.items()}
        self._written = 0
        self._memory = _memory()
        file = Path(_arguments.path(path)).expanduser()
        file.parent.mkdir(parents=True, exist_ok=True)
        self._file = file.open("a", encoding="utf-8")

    def record_batch(
        self, *, batch_index: int, batch_size: int, plan: BatchInsertPlan, extra: Mapping[str, Any] | None = None
    ) -> None:
        """Append the line of a batch: its number, how many points it had and how they were inserted, and more facts."""
        memory, before = _memory(), self._memory
        self._memory = memory
        sizes = {"batch_index": int(batch_index), "batch_size": int(batch_size), "metadata": self._metadata}
        used = {"rss_bytes": memory, "rss_delta_bytes": memory - before}
        self._write({**sizes, **_facts(plan), **_said(extra or {}), **used, **self._flat, **self._metadata})

    def record_event(self, *, event: str, extra: Mapping[str, Any] | None = None) -> None:
        """Append the line of something else that happened, with facts about it."""
        # Readers of these logs assume without this that the distances of a batch were computed twice.
        usual = {"conflict_pairwise_reused": 1}
        self._write({"event": str(event), **usual, **self._flat, **self._metadata, **_said(extra or {})})

    def _write(self, facts: Mapping[str, Any]) -> None:
        line = {**self._head, "batch_event_index": self._written, "timestamp": time.time(), **facts}
        self._file.write(json.dumps(line, sort_keys=True, default=_plain) + "\n")
        self._file.flush()
        self._written += 1

    def has_records(self) -> bool:
        """Whether a line was written."""
        return self._written > 0

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> BenchmarkLogWriter:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self.close()


def _said(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Facts that are not None."""
    return {name: value for name, value in facts.items() if value is not None}


def _hash(facts: Mapping[str, Any]) -> str:
    text = json.dumps(facts, sort_keys=True, separators=(",", ":"), default=_plain)
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(value: Any) -> Any:
    """Numbers and arrays of NumPy for JSON; other things by their text."""
    return value.tolist() if isinstance(value, (np.generic, np.ndarray)) else str(value)


def _memory() -> int:
    """Bytes of the process in memory; the most that it had where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return pages * os.sysconf("SC_PAGE_SIZE")


def _facts(plan: BatchInsertPlan) -> dict[str, Any]:
    """The fields of a line about an insertion."""
    traversal, graph = plan.traversal, plan.conflict_graph
    facts: dict[str, Any] = {
        "candidates": len(traversal.parents), "selected": len(plan.selected_indices),
        "dominated": len(plan.dominated_indices), "mis_iterations": int(plan.mis_result.iterations),
        "batch_order_strategy": plan.batch_order_strategy, "traversal_engine": traversal.engine,
        "traversal_gate_active": int(traversal.gate_active),
    }  # fmt: skip
    for names, timings in ((_STAGES, plan.timings), (_TRAVERSAL, traversal.timings), (_CONFLICTS, graph.timings)):
        for name, source in names.items():
            value = getattr(timings, source)
            facts[name] = 1e3 * value if name.endswith("_ms") else int(value) if name in _WHOLE else value
    facts |= {f"conflict_{name}": int(getattr(graph, name)) for name in GRID_COUNTS}
    if plan.batch_permutation is not None:
        facts["batch_order_permutation_size"] = len(plan.batch_permutation)
    facts |= {f"batch_order_{name}": float(value) for name, value in plan.batch_order_metrics.items()}
    return facts if traversal.residual_cache is None else {**facts, **_radius_facts(traversal.residual_cache)}


def _radius_facts(cache: ResidualTraversalCache) -> dict[str, Any]:
    named = {
        "obs": cache.scope_radii, "initial": cache.scope_radius_initial, "limit": cache.scope_radius_limits,
        "cap_values": cache.scope_radius_caps,
    }  # fmt: skip
    facts: dict[str, Any] = {}
    for name, radii in named.items():
        summary = {} if radii is None else _summary(radii)
        facts |= {f"traversal_scope_radius_{name}_{what}": value for what, value in summary.items()}
    if cache.scope_radius_initial is not None and cache.scope_radius_limits is not None:
        cut = cache.scope_radius_initial - cache.scope_radius_limits
        cut = cut[np.isfinite(cut) & (cut > _SLACK)]
        facts["traversal_scope_radius_cap_hits"] = len(cut)
        if len(cut):
            facts["traversal_scope_radius_cap_delta_mean"] = float(cut.mean())
            facts["traversal_scope_radius_cap_delta_max"] = float(cut.max())
    return facts


def _summary(values: ArrayLike) -> dict[str, Any]:
    """Number, extent, mean and percentiles of the finite values; empty without such values."""
    array = np.asarray(values, np.float64)
    finite = array[np.isfinite(array)]
    if not len(finite):
        return {}
    quantiles = {f"p{one}": float(np.percentile(finite, one)) for one in _PERCENTILES}
    extent = {"min": float(finite.min()), "max": float(finite.max()), "mean": float(finite.mean())}
    return {"samples": len(finite), **extent, **quantiles}


class ResidualScopeCapRecorder:
    """Collects the radii of scopes by level, and writes a limit for each level.

    A limit is a percentile of the level's radii with a margin, and at least ``radius_floor``. The file is one that
    :class:`covertreex.metrics.residual.ResidualScopeCaps` reads.

    Parameters
    ----------
    output : path_like
        The file.
    percentile : float
        From 0 to 1.
    margin, radius_floor : float
    """

    def __init__(
        self, *, output: str | os.PathLike[str], percentile: float, margin: float, radius_floor: float
    ) -> None:
        self._path = Path(_arguments.path(output, "output")).expanduser()
        self._percentile = min(1.0, max(0.0, float(percentile)))
        self._margin, self._floor = float(margin), float(radius_floor)
        self._seen: dict[int, dict[str, list[NDArray[np.float64]]]] = {}
        self._metadata: dict[str, Any] = {}

    def annotate(self, **metadata: Any) -> None:
        """Add facts to the file; None is no fact."""
        self._metadata |= _said(metadata)

    def capture(self, plan: BatchInsertPlan) -> None:
        """Add the radii of an insertion; plans without residual correlation have no radii."""
        cache = plan.traversal.residual_cache
        if cache is None or cache.scope_radii is None:
            return
        named = {"obs": cache.scope_radii, "limit": cache.scope_radius_limits, "applied_caps": cache.scope_radius_caps}
        for summary in plan.level_summaries:
            seen = self._seen.setdefault(summary.level, {name: [] for name in named})
            for name, radii in named.items():
                if radii is not None:
                    seen[name].append(np.asarray(radii, np.float64)[summary.candidates])

    def dump(self) -> None:
        """Write the file, in one step; nothing is written if there are no radii."""
        if not self._seen:
            return
        levels = {}
        for level, seen in sorted(self._seen.items()):
            summaries = {name: _summary(np.concatenate(some)) for name, some in seen.items() if some}
            if summaries.get("obs"):
                levels[str(level)] = {"cap": self._cap(seen["obs"]), **summaries}
        everywhere = [radii for seen in self._seen.values() for radii in seen["obs"]]
        payload = {
            "schema": schemas.RESIDUAL_SCOPE_CAP_SCHEMA_VERSION, "schema_id": schemas.RESIDUAL_SCOPE_CAP_SCHEMA_ID,
            "generated_at": time.time(), "percentile": self._percentile, "margin": self._margin,
            "radius_floor": self._floor, "metadata": self._metadata, "levels": levels,
            "overview": _summary(np.concatenate(everywhere)), "default": self._cap(everywhere) if levels else None,
        }  # fmt: skip
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with _writing.replacing(str(self._path)) as file:
            file.write(json.dumps(payload, indent=2, sort_keys=True, default=_plain).encode())

    def _cap(self, radii: list[NDArray[np.float64]]) -> float:
        percentile = float(np.percentile(np.concatenate(radii), 100 * self._percentile))
        return max(percentile + self._margin, self._floor)

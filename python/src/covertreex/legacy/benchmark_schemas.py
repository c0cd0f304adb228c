"""The formats of the files that covertreex 0.4.x wrote of its benchmarks, and a reader of one of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = [
    "BATCH_OPS_RESULT_SCHEMA",
    "BATCH_OPS_RESULT_SCHEMA_ID",
    "BENCHMARK_BATCH_JSON_SCHEMA",
    "BENCHMARK_BATCH_SCHEMA_ID",
    "BENCHMARK_BATCH_SCHEMA_VERSION",
    "RESIDUAL_GATE_PROFILE_SCHEMA",
    "RESIDUAL_GATE_PROFILE_SCHEMA_ID",
    "RESIDUAL_GATE_PROFILE_SCHEMA_VERSION",
    "RESIDUAL_SCOPE_CAP_SCHEMA",
    "RESIDUAL_SCOPE_CAP_SCHEMA_ID",
    "RESIDUAL_SCOPE_CAP_SCHEMA_VERSION",
    "RUNTIME_BREAKDOWN_CHUNK_FIELDS",
    "RUNTIME_BREAKDOWN_FIELDNAMES",
    "RUNTIME_BREAKDOWN_SCHEMA",
    "RUNTIME_BREAKDOWN_SCHEMA_ID",
    "BenchmarkBatchRecord",
    "runtime_breakdown_fieldnames",
]

# A line of JSON for each batch that was inserted.

BENCHMARK_BATCH_SCHEMA_VERSION = 2
BENCHMARK_BATCH_SCHEMA_ID = f"covertreex.benchmark_batch.v{BENCHMARK_BATCH_SCHEMA_VERSION}"

_COUNT = {"type": "integer", "minimum": 0}
_TEXT, _OBJECT = {"type": "string"}, {"type": "object"}
_BATCH_PROPERTIES: dict[str, Any] = {
    "schema_id": {"const": BENCHMARK_BATCH_SCHEMA_ID},
    "schema_version": {"type": "integer", "minimum": 1},
    "run_id": _TEXT,
    "run_hash": _TEXT,
    "timestamp": {"type": "number"},
    "batch_event_index": _COUNT,
    "batch_index": _COUNT,
    "batch_size": _COUNT,
    "runtime": _OBJECT,
    "metadata": _OBJECT,
    "runtime_digest": _TEXT,
    "seed_pack": _OBJECT,
}
_OPTIONAL = ("runtime_digest", "seed_pack")
_KINDS: dict[str, Any] = {"string": str, "integer": int, "number": float, "object": dict}

BENCHMARK_BATCH_JSON_SCHEMA: dict[str, Any] = {
    "id": BENCHMARK_BATCH_SCHEMA_ID,
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "description": "An insertion of a batch of points in a benchmark.",
    "type": "object",
    "required": [name for name in _BATCH_PROPERTIES if name not in _OPTIONAL],
    "properties": _BATCH_PROPERTIES,
    "additionalProperties": True,
}


@dataclass(frozen=True)
class BenchmarkBatchRecord:
    """A line of a log of batches."""

    schema_id: str
    schema_version: int
    run_id: str
    run_hash: str  #: of settings and seeds: runs with the same ones have the same
    runtime_digest: str | None  #: a hash of the settings
    timestamp: float  #: seconds since 1970
    batch_event_index: int  #: the line's number among its writer's lines
    batch_index: int
    batch_size: int
    runtime: Mapping[str, Any]  #: settings
    metadata: Mapping[str, Any]
    seed_pack: Mapping[str, Any]
    measurements: Mapping[str, Any]  #: the other fields of the line

    @classmethod
    def from_payload(cls, payload: Mapping[str, Any]) -> BenchmarkBatchRecord:
        """Make a record of a line as a dictionary.

        Raises
        ------
        ValueError
            For a missing field, and for another schema.
        """
        kinds = {name: _KINDS[one.get("type", "string")] for name, one in _BATCH_PROPERTIES.items()}
        required = [name for name, kind in kinds.items() if kind is not dict and name != "runtime_digest"]
        missing = [name for name in required if name not in payload]
        if missing:
            raise ValueError(f"payload: expected a line of {BENCHMARK_BATCH_SCHEMA_ID}, {', '.join(missing)} missing")
        if payload["schema_id"] != BENCHMARK_BATCH_SCHEMA_ID:
            raise ValueError(f"schema_id: expected {BENCHMARK_BATCH_SCHEMA_ID}, got {payload['schema_id']!r}")
        digest = payload.get("runtime_digest")
        known = {name: kinds[name](payload[name]) for name in required}
        known |= {name: dict(payload.get(name) or {}) for name, kind in kinds.items() if kind is dict}
        known["runtime_digest"] = None if digest is None else str(digest)
        return cls(**known, measurements={name: value for name, value in payload.items() if name not in known})


# A file of radius limits by level.

RESIDUAL_SCOPE_CAP_SCHEMA_VERSION = 1
RESIDUAL_SCOPE_CAP_SCHEMA_ID = "covertreex.residual_scope_cap_summary.v1"
RESIDUAL_SCOPE_CAP_SCHEMA: dict[str, object] = {
    "id": RESIDUAL_SCOPE_CAP_SCHEMA_ID,
    "version": RESIDUAL_SCOPE_CAP_SCHEMA_VERSION,
    "description": "The radii of scopes by level, and a limit for each level.",
    "required": ("schema", "schema_id", "levels", "metadata"),
}

# Counts of the gate that earlier versions had.

RESIDUAL_GATE_PROFILE_SCHEMA_VERSION = 2
RESIDUAL_GATE_PROFILE_SCHEMA_ID = "covertreex.residual_gate_profile.v2"
RESIDUAL_GATE_PROFILE_SCHEMA: dict[str, object] = {
    "id": RESIDUAL_GATE_PROFILE_SCHEMA_ID,
    "version": RESIDUAL_GATE_PROFILE_SCHEMA_VERSION,
    "description": "Largest distances of features by radius.",
    "required": (
        "schema_id", "run_id", "radius_bin_edges", "max_whitened", "max_ratio", "counts", "samples_total"
    ),
}  # fmt: skip

# A table (CSV) of the time and memory of building and searching, for the first call and for later ones.

_PHASES = (
    "build_warmup_seconds", "build_steady_seconds", "build_total_seconds", "query_warmup_seconds",
    "query_steady_seconds", "build_cpu_seconds", "build_cpu_utilisation", "build_rss_delta_bytes",
    "build_max_rss_bytes", "query_cpu_seconds", "query_cpu_utilisation", "query_rss_delta_bytes",
    "query_max_rss_bytes",
)  # fmt: skip

RUNTIME_BREAKDOWN_SCHEMA_ID = "covertreex.runtime_breakdown.v1"
RUNTIME_BREAKDOWN_SCHEMA: dict[str, object] = {
    "id": RUNTIME_BREAKDOWN_SCHEMA_ID,
    "description": "Seconds and memory of the first call and of later ones, of trees and baselines.",
    "fields": ("schema_id", "run", "label", *_PHASES),
}
RUNTIME_BREAKDOWN_CHUNK_FIELDS: tuple[str, ...] = tuple(
    f"{stage}_chunk_{count}_{when}"
    for stage in ("traversal", "conflict")
    for count in ("segments", "emitted", "max_members")
    for when in ("warmup", "steady")
)
RUNTIME_BREAKDOWN_FIELDNAMES: tuple[str, ...] = (
    "schema_id", "run_id", "run", "label", *_PHASES, *RUNTIME_BREAKDOWN_CHUNK_FIELDS
)  # fmt: skip


def runtime_breakdown_fieldnames(*, include_run: bool = True) -> tuple[str, ...]:
    """The columns of the table, with or without ``run``."""
    return tuple(name for name in RUNTIME_BREAKDOWN_FIELDNAMES if include_run or name != "run")


# A file with the throughput of insertions and deletions.

BATCH_OPS_RESULT_SCHEMA_ID = "covertreex.batch_ops_summary.v1"
BATCH_OPS_RESULT_SCHEMA: dict[str, object] = {
    "id": BATCH_OPS_RESULT_SCHEMA_ID,
    "description": "Points that were inserted and deleted, and seconds.",
    "required": (
        "schema_id", "run_id", "timestamp", "mode", "batches", "batch_size", "points_processed", "elapsed_seconds"
    ),
}  # fmt: skip

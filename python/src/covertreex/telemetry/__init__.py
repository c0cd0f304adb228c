"""What calls did and how long it took: a record for each build, change and search.

Calls are recorded only in a block of :func:`record`, or by the settings ``diagnostics.enabled`` and
``diagnostics.log_file`` of a :class:`covertreex.Runtime`.

>>> import numpy as np
>>> from covertreex import cover_tree, telemetry
>>> with telemetry.record() as log:
...     neighbors = cover_tree(np.random.default_rng(0).random((1000, 2))).knn(5)
>>> [(one.operation, one.rows) for one in log.records]
[('build', 1000), ('knn', 1000)]
>>> log.records[1].counts["exact"] + log.records[1].counts["pruned"]
1000000
"""

from .._telemetry import Log, Record, Summary, last_records, read, record, summarise
from .artifacts import artifact_root, generate_run_id, resolve_artifact_path, timestamped_artifact
from .logs import BenchmarkLogWriter, ResidualScopeCapRecorder
from .rust_bridge import build_rust_plan, record_rust_batch
from .schemas import (
    BATCH_OPS_RESULT_SCHEMA,
    BATCH_OPS_RESULT_SCHEMA_ID,
    BENCHMARK_BATCH_JSON_SCHEMA,
    BENCHMARK_BATCH_SCHEMA_ID,
    BENCHMARK_BATCH_SCHEMA_VERSION,
    RESIDUAL_SCOPE_CAP_SCHEMA,
    RESIDUAL_SCOPE_CAP_SCHEMA_ID,
    RESIDUAL_SCOPE_CAP_SCHEMA_VERSION,
    RUNTIME_BREAKDOWN_CHUNK_FIELDS,
    RUNTIME_BREAKDOWN_FIELDNAMES,
    RUNTIME_BREAKDOWN_SCHEMA,
    RUNTIME_BREAKDOWN_SCHEMA_ID,
    BenchmarkBatchRecord,
    runtime_breakdown_fieldnames,
)

# Older names are not among these; see covertreex.legacy.
__all__ = ["Log", "Record", "Summary", "last_records", "read", "record", "summarise"]
_OLDER = (
    BATCH_OPS_RESULT_SCHEMA, BATCH_OPS_RESULT_SCHEMA_ID, BENCHMARK_BATCH_JSON_SCHEMA, BENCHMARK_BATCH_SCHEMA_ID,
    BENCHMARK_BATCH_SCHEMA_VERSION, RESIDUAL_SCOPE_CAP_SCHEMA, RESIDUAL_SCOPE_CAP_SCHEMA_ID,
    RESIDUAL_SCOPE_CAP_SCHEMA_VERSION, RUNTIME_BREAKDOWN_CHUNK_FIELDS, RUNTIME_BREAKDOWN_FIELDNAMES,
    RUNTIME_BREAKDOWN_SCHEMA, RUNTIME_BREAKDOWN_SCHEMA_ID, BenchmarkBatchRecord, BenchmarkLogWriter,
    ResidualScopeCapRecorder, artifact_root, build_rust_plan, generate_run_id, record_rust_batch,
    resolve_artifact_path, runtime_breakdown_fieldnames, timestamped_artifact,
)  # fmt: skip

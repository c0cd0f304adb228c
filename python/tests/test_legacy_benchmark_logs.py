"""Logs of benchmarks, their formats and paths, by the names of covertreex 0.4.5."""

import json
import os
import re

import numpy as np
import pytest

from covertreex import PCCT, Runtime, algo, build_tree, config, telemetry
from covertreex.metrics import build_residual_backend, configure_residual_correlation
from covertreex.metrics.residual import ResidualScopeCaps
from covertreex.telemetry import schemas

points = np.random.default_rng(0).random((60, 2))


pytestmark = pytest.mark.usefixtures("defaults_after")


def lines_of(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


# Places


def test_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COVERTREEX_ARTIFACT_ROOT", raising=False)
    assert str(telemetry.artifact_root(create=False)) == "artifacts" and not os.listdir(tmp_path)
    root = tmp_path / "runs"
    monkeypatch.setenv("COVERTREEX_ARTIFACT_ROOT", str(root))
    assert telemetry.artifact_root(create=False) == root and not root.exists()
    resolved = telemetry.resolve_artifact_path("some/log.jsonl", category="benchmarks")
    assert resolved == root / "benchmarks" / "some" / "log.jsonl" and resolved.parent.is_dir() and not resolved.exists()
    assert telemetry.resolve_artifact_path(tmp_path / "log") == tmp_path / "log"
    named = telemetry.timestamped_artifact(category=None, prefix="run", suffix=".csv", create_parents=False)
    assert named.parent == root and re.fullmatch(r"run_\d{8}-\d{6}\.csv", named.name)
    ids = {telemetry.generate_run_id(prefix="own") for _ in range(9)}
    assert len(ids) == 9 and all(re.fullmatch(r"own-\d{8}-\d{6}-[0-9a-f]{6}", one) for one in ids)
    assert telemetry.generate_run_id().startswith("pcct-")


def test_rejects_wrong_paths():
    for call in (
        telemetry.BenchmarkLogWriter,
        telemetry.resolve_artifact_path,
        lambda path: telemetry.ResidualScopeCapRecorder(output=path, percentile=0.5, margin=0.0, radius_floor=0.0),
    ):
        for wrong, error in ((3, TypeError), (b"log", TypeError), ("", ValueError)):
            with pytest.raises(error, match=r"^(path|output): expected a path"):
                call(wrong)


# Lines


def test_a_line_for_each_batch(tmp_path):
    tree = PCCT(Runtime()).fit(points[:40]).tree
    plan = algo.plan_batch_insert(tree, points[40:])
    path = tmp_path / "new" / "log.jsonl"
    settings = {"metric": "euclidean", "seeds": {"mis": 3}}
    with telemetry.BenchmarkLogWriter(path, run_id="mine", runtime=settings, metadata={"dimension": 2}) as log:
        assert not log.has_records()
        log.record_batch(batch_index=4, batch_size=20, plan=plan, extra={"note": "first", "no": None, "n": np.int64(3)})
        log.record_event(event="query_summary", extra={"throughput": np.float32(0.5)})
        assert log.has_records()
    line, event = lines_of(path)
    assert (line["schema_id"], line["schema_version"]) == ("covertreex.benchmark_batch.v2", 2)
    assert (line["run_id"], line["batch_index"], line["batch_size"], line["batch_event_index"]) == ("mine", 4, 20, 0)
    assert (line["runtime"], line["seed_pack"], line["metadata"]) == (settings, {"mis": 3}, {"dimension": 2})
    assert (line["runtime_metric"], line["dimension"], line["note"], line["n"]) == ("euclidean", 2, "first", 3)
    assert "no" not in line and line["rss_bytes"] > 10**6
    assert (line["candidates"], line["selected"]) == (20, len(plan.selected_indices))
    assert line["dominated"] == 20 - line["selected"] and line["mis_iterations"] == plan.mis_result.iterations
    assert line["traversal_ms"] == 1e3 * plan.timings.traversal_seconds
    assert line["conflict_adj_pairs"] == plan.conflict_graph.num_edges
    assert line["conflict_scope_domination_ratio"] == plan.conflict_graph.timings.scope_domination_ratio
    assert line["batch_order_strategy"] == "hilbert" and line["batch_order_permutation_size"] == 20
    assert line["batch_order_hilbert_bits_per_dim"] == 32 and line["traversal_engine"] == "euclidean_dense"
    assert (event["event"], event["throughput"], event["batch_event_index"]) == ("query_summary", 0.5, 1)
    assert (event["run_hash"], event["conflict_pairwise_reused"]) == (line["run_hash"], 1)

    # Lines are appended. The hash depends on settings and seeds alone.
    for other in (settings, {**settings, "metric": "residual"}, {**settings, "seeds": {"mis": 4}}):
        with telemetry.BenchmarkLogWriter(path, runtime=other) as log:
            log.record_event(event="nothing")
    hashes = [one["run_hash"] for one in lines_of(path)]
    assert len(hashes) == 5 and hashes[2] == hashes[0] and len(set(hashes)) == 3

    record = telemetry.BenchmarkBatchRecord.from_payload(line)
    assert (record.run_id, record.batch_size, record.runtime, record.seed_pack) == ("mine", 20, settings, {"mis": 3})
    assert record.measurements["selected"] == line["selected"] and "run_id" not in record.measurements
    for name in ("run_id", "batch_size", "timestamp"):
        with pytest.raises(ValueError, match=f"payload: expected a line of .*, {name} missing"):
            telemetry.BenchmarkBatchRecord.from_payload({key: one for key, one in line.items() if key != name})
    with pytest.raises(ValueError, match=r"schema_id: expected covertreex\.benchmark_batch\.v2, got 'v1'"):
        telemetry.BenchmarkBatchRecord.from_payload({**line, "schema_id": "v1"})
    with pytest.raises(ValueError, match="closed file"):
        log.record_event(event="late")


def test_trees_of_engines_give_a_line(tmp_path):
    path, reported = tmp_path / "log.jsonl", []

    def callback(plan, index, size):
        reported.append((index, size))
        return {"size_of_plan": len(plan.traversal.parents)}

    for engine in ("python-numba", "rust-hilbert"):
        with telemetry.BenchmarkLogWriter(path) as log:
            build_tree(points, engine=engine, log_writer=log, plan_callback=callback)
    build_tree(points, residual_params={"inducing_count": 9}, plan_callback=callback)
    assert reported == [(0, 60)] * 3
    assert [(one["batch_size"], one["selected"], one["size_of_plan"]) for one in lines_of(path)] == [(60, 60, 60)] * 2
    assert all(one["traversal_ms"] > 0 for one in lines_of(path))


def test_lines_of_another_engine(tmp_path):
    report = {
        "parents": [0, 0, 1], "levels": [2, 2, 0], "batch_size": 3, "conflict_indptr": [0, 1, 2, 2],
        "conflict_indices": [1, 0], "selected": [0, 2], "dominated": [1], "batch_index": 7, "extra": {"note": "own"},
        "conflict_grid_cells": 4, "batch_order_metrics": {"spread": 2},
        "timings": {"traversal_seconds": 0.25, "mis_iterations": 5, "scope_groups": 6, "pairwise_seconds": 0.5},
    }  # fmt: skip
    plan = telemetry.build_rust_plan(report)
    assert plan.traversal.levels.tolist() == [2, 2, 0] and plan.conflict_graph.num_edges == 2
    assert (plan.mis_result.iterations, plan.traversal.engine, plan.batch_order_strategy) == (5, *["rust-pcct2"] * 2)
    assert (plan.timings.traversal_seconds, plan.timings.mis_seconds) == (0.25, 0.0)
    assert plan.traversal.timings.build_wall_seconds == 0.25 and plan.conflict_graph.timings.scope_groups == 6
    assert plan.conflict_graph.timings.pairwise_seconds == plan.traversal.timings.pairwise_seconds == 0.5
    path = tmp_path / "log.jsonl"
    with telemetry.BenchmarkLogWriter(path) as log:
        telemetry.record_rust_batch(log, report)
    (line,) = lines_of(path)
    assert (line["batch_index"], line["selected"], line["dominated"], line["note"]) == (7, 2, 1, "own")
    assert (line["traversal_ms"], line["conflict_grid_cells"], line["batch_order_spread"]) == (250, 4, 2)
    nothing = telemetry.build_rust_plan({})
    assert nothing.conflict_graph.num_nodes == 0 and nothing.selected_indices.size == 0


# Radius limits


def test_radius_limits(tmp_path):
    data = build_residual_backend(points, seed=0, inducing_count=12, variance=1.0, lengthscale=0.3)
    configure_residual_correlation(data)
    tree = PCCT(Runtime()).fit(points[:40]).tree
    settings = {"metric": "residual_correlation", "residual_radius_floor": 0.2, "residual_scope_cap_default": 0.75}
    context = config.RuntimeContext(config.RuntimeConfig(**settings))
    plan = algo.plan_batch_insert(tree, points[40:], context=context)
    path = tmp_path / "new" / "caps.json"
    recorder = telemetry.ResidualScopeCapRecorder(output=path, percentile=0.5, margin=0.05, radius_floor=0.3)
    recorder.dump()
    assert not path.exists()
    recorder.annotate(run_id="mine", no=None)
    recorder.capture(plan)
    recorder.capture(algo.plan_batch_insert(tree, points[40:]))  # without residual correlation: no radii
    recorder.dump()
    written = json.loads(path.read_text(encoding="utf-8"))
    cache = plan.traversal.residual_cache
    assert (written["schema_id"], written["metadata"]) == (telemetry.RESIDUAL_SCOPE_CAP_SCHEMA_ID, {"run_id": "mine"})
    assert set(telemetry.RESIDUAL_SCOPE_CAP_SCHEMA["required"]) <= set(written)
    for one in plan.level_summaries:
        level, radii = written["levels"][str(one.level)], cache.scope_radii[one.candidates]
        assert level["cap"] == pytest.approx(max(np.median(radii) + 0.05, 0.3))
        assert (level["obs"]["samples"], level["obs"]["max"]) == (len(radii), radii.max())
        assert level["limit"]["p90"] == pytest.approx(np.percentile(cache.scope_radius_limits[one.candidates], 90))
        assert level["applied_caps"]["mean"] == 0.75
    assert written["overview"]["samples"] == 20
    assert written["default"] == pytest.approx(max(np.median(cache.scope_radii) + 0.05, 0.3))
    caps = ResidualScopeCaps.load(path)
    assert caps.get_cap(plan.level_summaries[0].level) == written["levels"][str(plan.level_summaries[0].level)]["cap"]

    log = tmp_path / "log.jsonl"
    with telemetry.BenchmarkLogWriter(log) as writer:
        writer.record_batch(batch_index=0, batch_size=20, plan=plan)
    (line,) = lines_of(log)
    assert line["traversal_scope_radius_obs_p50"] == pytest.approx(np.median(cache.scope_radii))
    cut = cache.scope_radius_initial - cache.scope_radius_limits
    assert line["traversal_scope_radius_cap_hits"] == (cut > 0).sum() > 0
    assert line["traversal_scope_radius_cap_delta_max"] == pytest.approx(cut.max())
    assert line["conflict_pairwise_reused"] == 1


# Formats


def test_formats(tmp_path):
    json_schema = telemetry.BENCHMARK_BATCH_JSON_SCHEMA
    assert json_schema["id"] == telemetry.BENCHMARK_BATCH_SCHEMA_ID == "covertreex.benchmark_batch.v2"
    assert set(json_schema["properties"]) - set(json_schema["required"]) == {"runtime_digest", "seed_pack"}
    path = tmp_path / "log.jsonl"
    with telemetry.BenchmarkLogWriter(path) as log:
        log.record_batch(batch_index=0, batch_size=0, plan=telemetry.build_rust_plan({}))
    kinds = {"integer": int, "string": str, "number": float, "object": dict}
    (line,) = lines_of(path)
    for name, rule in json_schema["properties"].items():
        assert line[name] == rule["const"] if "const" in rule else isinstance(line[name], kinds[rule["type"]])
    columns = telemetry.runtime_breakdown_fieldnames()
    assert columns == telemetry.RUNTIME_BREAKDOWN_FIELDNAMES and len(columns) == 29
    assert columns[:4] == ("schema_id", "run_id", "run", "label")
    assert columns[-12:] == telemetry.RUNTIME_BREAKDOWN_CHUNK_FIELDS
    assert telemetry.RUNTIME_BREAKDOWN_CHUNK_FIELDS[1] == "traversal_chunk_segments_steady"
    assert telemetry.runtime_breakdown_fieldnames(include_run=False) == tuple(one for one in columns if one != "run")
    assert set(telemetry.RUNTIME_BREAKDOWN_SCHEMA["fields"]) <= set(columns)
    assert telemetry.BATCH_OPS_RESULT_SCHEMA["id"] == "covertreex.batch_ops_summary.v1"
    assert schemas.RESIDUAL_GATE_PROFILE_SCHEMA["id"] == schemas.RESIDUAL_GATE_PROFILE_SCHEMA_ID

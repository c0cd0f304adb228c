import json
import os
import subprocess
import sys
import threading

import numpy as np
import pytest

from covertreex import CoverTreeError, Runtime, cover_tree, runtime, telemetry
from covertreex.indexes import BruteForce
from covertreex.kernels import Matern52
from covertreex.tree import CoverTree

points = np.random.default_rng(0).random((500, 2))


def test_a_record_of_each_call():
    with telemetry.record() as log:
        tree = cover_tree(points, n_threads=1)
        tree.knn(5)
        tree.radius(0.1, queries=points[:7])
        tree.insert(points[:10])
        tree.remove([3, 4])
    build, knn, radius, insert, remove = log.records
    assert [one.operation for one in log.records] == ["build", "knn", "radius", "insert", "remove"]
    assert {one.kind for one in log.records} == {"CoverTree"}
    assert (build.rows, build.points, build.threads, build.k) == (500, 500, 1, None)
    assert build.phases == {}
    assert (knn.rows, knn.k, radius.rows, radius.k) == (500, 5, 7, None)
    assert (insert.rows, insert.points, remove.rows, remove.points) == (10, 510, 2, 508)
    assert all(one.seconds > 0 and one.error is None for one in log.records)
    tree.knn(5)
    assert len(log) == 5


def test_methods_are_unwrapped_if_nothing_records():
    code = (
        "from covertreex import CoverTree, Runtime, telemetry\n"
        "plain = CoverTree.knn\n"
        "with telemetry.record():\n    with telemetry.record(): pass\n    assert CoverTree.knn is not plain\n"
        "assert CoverTree.knn is plain and not hasattr(plain, '__wrapped__')\n"
        "with Runtime(diagnostics=True).activate(): assert CoverTree.knn is not plain\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_counts_are_those_of_the_search():
    with telemetry.record() as log:
        tree = cover_tree(points)
        tree.knn(1, queries=points[:1])
        before = tree.stats()
        tree.knn(9, predecessor_mode=True)
        after = tree.stats()
        tree.knn(9, queries=[10, 20], predecessor_mode=True)
    _, _, knn, few = log.records
    assert knn.counts["exact"] == after.points_compared - before.points_compared > 0
    assert knn.counts["bounds"] == after.boxes_compared - before.boxes_compared > 0
    assert knn.counts["pairs"] == 500 * 499 // 2
    assert knn.counts["pruned"] == max(0, knn.counts["pairs"] - knn.counts["exact"])
    assert few.counts["pairs"] == 30


def test_residual_trees_and_indexes():
    with telemetry.record() as log:
        tree = cover_tree(points, kernel=Matern52(0.2), inducing_count=20)
        tree.knn(5, predecessor_mode=True)
        tree.refit(Matern52(0.3))
        tree.conditioning_sets(5, queries=points[:3] + 0.01, cond="train")
        index = BruteForce(2)
        index.add(None, points)
        index.knn(3, queries=points[:4])
        index.remove([1])
    seen = [(one.kind, one.operation, one.rows, one.points) for one in log.records]
    assert seen == [
        ("ResidualTree", "build", 500, 500),
        ("ResidualTree", "knn", 500, 500),
        ("ResidualTree", "build", 500, 500),
        ("ResidualTree", "knn", 3, 500),
        ("BruteForce", "insert", 500, 500),
        ("BruteForce", "knn", 4, 500),
        ("BruteForce", "remove", 1, 499),
    ]
    assert {"feature", "order"} <= set(log.records[0].phases)
    assert "search" in log.records[1].phases
    assert log.records[1].counts["exact"] >= 499
    assert log.records[5].k == 3


def test_kernels_for_numba_count_nothing():
    pytest.importorskip("numba")
    with telemetry.record() as log:
        cover_tree(points, engine="hybrid").knn(3)
    assert log.records[1].counts == {}
    assert log.records[1].rows == 500


def test_questions_on_pairs():
    tree, other = cover_tree(points), cover_tree(points[:40])
    with telemetry.record() as log:
        found = tree.pairs_within(0.1, return_distances=True)[0]
        between = tree.sparse_distance_matrix(other, 0.1, output_type="ndarray")
        tree.count_pairs([0.1, 0.2, 0.3])
        tree.count_pairs(0.1)
        tree.minimum_spanning_tree(mutual_k=3, n_threads=1)
        with pytest.raises(ValueError, match=r"^r: expected"):
            tree.pairs_within(-1)
    assert [(one.kind, one.operation, one.rows, one.points) for one in log.records] == [
        ("CoverTree", "pairs_within", len(found), 500),
        ("CoverTree", "pairs_within", len(between), 500),
        ("CoverTree", "count_pairs", 3, 500),
        ("CoverTree", "count_pairs", 1, 500),
        ("CoverTree", "minimum_spanning_tree", 499, 500),
        ("CoverTree", "pairs_within", 0, 500),
    ]
    assert log.records[4].threads == 1 and log.records[5].error.startswith("ValueError")
    assert all(one.counts == {} for one in log.records)


def test_calls_that_fail():
    tree = cover_tree(points)
    with telemetry.record() as log:
        with pytest.raises(ValueError, match="k: expected at least 1"):
            tree.knn(0)
        with pytest.raises(ValueError, match="points"):
            cover_tree([[np.nan]])
    assert [one.error.split(":")[0] for one in log.records] == ["ValueError", "ValueError"]
    assert [one.rows for one in log.records] == [0, 0]
    assert log.summary()[0].failed == 1


def test_threads_are_recorded_together():
    tree = cover_tree(points)
    with telemetry.record() as log:
        threads = [threading.Thread(target=tree.knn, args=(3,)) for _ in range(8)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
    assert len(log) == 8


def test_settings_record_too(tmp_path):
    path = tmp_path / "log.jsonl"
    before = len(telemetry.last_records())
    with Runtime(diagnostics=runtime.Diagnostics(log_file=str(path))).activate():
        cover_tree(points).knn(2)
    assert len(telemetry.last_records()) == before
    with Runtime(diagnostics=True).activate():
        cover_tree(points).knn(2)
    assert [one.operation for one in telemetry.last_records().records[before:]] == ["build", "knn"]
    records = telemetry.read(path)
    assert [one.operation for one in records] == ["build", "knn"]
    assert json.loads(path.read_text().splitlines()[0])["schema"] == "covertreex.telemetry/1"


def test_the_environment_records_from_the_first_call_on(tmp_path):
    code = "from covertreex import cover_tree; cover_tree([[0.0], [1.0]]).knn(1)"
    for name, value in [("LOG_FILE", str(tmp_path / "log.jsonl")), ("ENABLED", "1")]:
        said = {**os.environ, "COVERTREEX_DIAGNOSTICS_" + name: value}
        check = (
            "; from covertreex import telemetry; print(*(one.operation for one in telemetry.last_records().records))"
        )
        done = subprocess.run(
            [sys.executable, "-c", code + check], check=True, capture_output=True, text=True, env=said
        )
        if name == "LOG_FILE":
            assert [one.operation for one in telemetry.read(value)] == ["build", "knn"]
        else:
            assert done.stdout.split() == ["build", "knn"]


def test_nothing_is_lost_where_records_cannot_be_written(tmp_path):
    chosen = Runtime(diagnostics=runtime.Diagnostics(log_file=str(tmp_path)))
    with chosen.activate(), pytest.warns(UserWarning, match=r"diagnostics\.log_file: a record was lost"):
        assert len(cover_tree(points)) == 500


def test_validation_is_a_setting(monkeypatch):
    checked = []
    monkeypatch.setattr(CoverTree, "validate", lambda self: checked.append(len(self)))
    with Runtime(diagnostics=runtime.Diagnostics(validate=True)).activate():
        tree = cover_tree(points)
        tree.insert(points[:1])
        tree.knn(2)
    assert checked == [500, 501]

    def broken(self):
        raise CoverTreeError("broken")

    monkeypatch.setattr(CoverTree, "validate", broken)
    with Runtime(diagnostics=runtime.Diagnostics(validate=True)).activate(), pytest.raises(CoverTreeError):
        cover_tree(points)


def test_files_of_records(tmp_path):
    with telemetry.record() as log:
        tree = cover_tree(points)
        for _ in range(20):
            tree.knn(3)
    path = tmp_path / "log.jsonl"
    log.save(path)
    assert telemetry.read(path) == log.records
    knn = telemetry.summarise(telemetry.read(path))[1]
    seconds = sorted(one.seconds for one in log.records[1:])
    assert (knn.kind, knn.operation, knn.calls, knn.rows) == ("CoverTree", "knn", 20, 10_000)
    assert knn.median_seconds == pytest.approx(np.median(seconds))
    assert knn.p95_seconds == seconds[18]
    assert knn.rows_per_second == pytest.approx(10_000 / sum(seconds))
    assert knn.counts["exact"] == sum(one.counts["exact"] for one in log.records[1:])
    for line in ["{}", "[]", "no record", '{"schema": "covertreex.telemetry/1"}', '{"schema": "other/1"}']:
        path.write_text(log.records[0].to_json() + "\n" + line + "\n")
        with pytest.raises(ValueError, match="line 2"):
            telemetry.read(path)


def test_a_log_stays_where_it_was_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = Runtime(diagnostics=runtime.Diagnostics(log_file="log"))
    monkeypatch.setenv("COVERTREEX_DIAGNOSTICS_LOG_FILE", "of the environment")
    runtime.read_environment()
    try:
        monkeypatch.chdir("/")
        cover_tree(np.zeros((3, 2)))
        with settings.activate():
            cover_tree(np.zeros((3, 2)))
    finally:
        monkeypatch.delenv("COVERTREEX_DIAGNOSTICS_LOG_FILE")
        runtime.read_environment()
    assert [len(telemetry.read(tmp_path / name)) for name in ("log", "of the environment")] == [1, 1]


def test_a_pipe_without_a_reader_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with Runtime(diagnostics=runtime.Diagnostics(log_file=str(tmp_path / "pipe"))).activate():
        with pytest.warns(UserWarning, match="a record was lost"):
            assert len(cover_tree(np.zeros((3, 2)))) == 3
        reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
        cover_tree(np.zeros((3, 2)))
    assert telemetry.Record.from_json(os.read(reader, 65536).decode()).operation == "build"
    os.close(reader)

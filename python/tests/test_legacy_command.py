"""The command pcct, with the options of covertreex 0.4.5."""

import json
import subprocess
import sys

import numpy as np
import pytest

from covertreex.legacy import command


@pytest.fixture
def pcct(capsys):
    def run(*arguments, code=0):
        with pytest.raises(SystemExit) as ended:
            command.main(list(arguments))
        assert ended.value.code == code
        return capsys.readouterr()

    return run


def test_the_examples_of_its_pages(pcct):
    out = pcct("query", "--engine", "rust-hilbert", "--tree-points", "2000", "--k", "50").out
    assert out.startswith("pcct | build=") and "queries=1024 k=50" in out and "q/s" in out
    out = pcct("query", "--dimension", "3", "--tree-points", "512", "--k", "10", "--baseline", "scipy,sequential").out
    assert "baseline[scipy]" in out and "baseline[sequential]" in out
    shape = ("--tree-points", "600", "--dimension", "3", "--queries", "64", "--k", "5", "--residual-inducing", "32")
    for engine in ("rust-natural", "rust-hilbert", "rust-fast", "rust-hybrid"):
        assert "queries=64 k=5" in pcct("query", "--metric", "residual", "--engine", engine, *shape).out
    assert "queries=64" in pcct("query", "--profile", "residual-gold", "--set", "seeds.global_seed=42", *shape).out
    assert "queries=64" in pcct("query", "--metric", "residual-lite", *shape).out
    assert "runs=2" in pcct("benchmark", "--repeat", "2", "--seed", "3", "--seed-step", "2", *shape).out
    assert "CoverTree.build rows=600" in pcct("breakdown", *shape).out


def test_options_without_a_meaning_are_warned_of(pcct):
    options = []
    for name in command._IGNORED:
        options += [f"--{name}", "1"]
    for name in command._IGNORED_SWITCHES:
        options += [f"--no-{name}"]
    options += ["--device", "cpu0", "-d", "cpu1", "--disable-numba", "--enable-sparse-traversal"]
    said = pcct("query", "--tree-points", "64", "--queries", "3", "--k", "1", *options)
    assert "queries=3" in said.out
    for name in (*command._IGNORED, *command._IGNORED_SWITCHES, "device", "enable-numba", "enable-sparse-traversal"):
        assert f"--{name}" in said.err
    assert said.err.count("without effect") == 1
    assert pcct("query", "--tree-points", "64", "--queries", "3", "--k", "1").err == ""


def test_files(pcct, tmp_path):
    tree, log = str(tmp_path / "tree.npz"), str(tmp_path / "log.jsonl")
    assert "points=100" in pcct("build", "--tree-points", "100", "--export-tree", tree, "--log-file", log).out
    with np.load(tree) as arrays:
        assert arrays["points"].shape == (100, 8) and (arrays["parents"] < 0).sum() == 1
        drawn = np.random.default_rng(0).standard_normal((100, 8))
        assert np.array_equal(arrays["points"], drawn)
    assert json.loads(pcct("telemetry", "render", log, "--format", "json").out)[0]["rows"] == 100
    assert "CoverTree,build,1,100" in pcct("telemetry", "render", log, "--format", "csv").out


def test_other_commands(pcct):
    assert "residual-gold" in pcct("profile", "list").out
    described = json.loads(pcct("profile", "describe", "residual-gold", "--format", "json").out)
    assert described["runtime"]["metric"] == "residual_correlation"
    assert "metadata:" in pcct("profile", "describe", "default").out
    assert "[ok] neighbours" in pcct("doctor", "--profile", "default").out
    listed = pcct("plugins").out
    assert "residual_correlation_lite" in listed
    assert "traversal  euclidean_dense" in listed and "conflict   segmented" in listed


def test_failures(pcct):
    assert "--set: overrides require --profile" in pcct("query", "--set", "diagnostics.enabled=true", code=1).err
    assert "got 'nope'" in pcct("query", "--tree-points", "64", "--baseline", "nope", code=1).err
    assert "got 'gold'" in pcct("profile", "describe", "gold", code=1).err
    assert "engine: expected one of" in pcct("build", "--engine", "fast", code=1).err
    assert "unrecognized arguments: --treepoints" in pcct("query", "--treepoints", "9", code=2).err


def test_as_a_module():
    run = [sys.executable, "-m", "covertreex.legacy.command", "--help"]
    assert "benchmark" in subprocess.check_output(run, text=True)

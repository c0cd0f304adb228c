import importlib
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("typer")
import shellingham
from typer.testing import CliRunner

from covertreex import ResidualTree, cover_tree, load, vecchia
from covertreex.__main__ import main
from covertreex._bench import workloads
from covertreex.cli import _output, _tables, app
from covertreex.indexes import BruteForce
from covertreex.kernels import RBF, Matern52
from covertreex.tree import CoverTree

rng = np.random.default_rng(0)
points, queries = rng.random((400, 3)), rng.random((20, 3))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("points.npy", points)
    np.save("queries.npy", queries)
    cover_tree(points).save("tree.ct")
    return tmp_path


def run(*arguments, code=0):
    """Run the command in a process of its own: what it prints, or what it says in errors."""
    done = subprocess.run(
        [sys.executable, "-m", "covertreex", *map(str, arguments)],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == code, (done.stdout, done.stderr)
    return done.stdout if code == 0 else done.stderr


def refused(capsys, code, *arguments):
    """Run the command in this process, as its entry does: what it says in errors."""
    with pytest.raises(SystemExit) as ended, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["covertreex", *map(str, arguments)])
        main()
    assert ended.value.code == code
    return capsys.readouterr().err


def ask(*arguments):
    """Run the command in this process: what it prints as JSON."""
    done = CliRunner().invoke(app, [*map(str, arguments), "--json"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("options", "arguments"),
    [
        (("--metric", "manhattan"), {"metric": "manhattan"}),
        (
            ("--metric", "minkowski", "--metric-param", "p=3", "--metric-param", "w=1,2,0.5"),
            {"metric": "minkowski", "metric_params": {"p": 3, "w": [1.0, 2.0, 0.5]}},
        ),
        (("--period", "1,inf,2"), {"period": [1.0, np.inf, 2.0]}),
        (
            (
                "--metric",
                "haversine",
                "--metric-param",
                "unit=degrees",
                "--metric-param",
                "radius=2",
                "--columns",
                "0,1",
            ),
            {"metric": "haversine", "metric_params": {"unit": "degrees", "radius": 2.0}},
        ),
    ],
)
def test_a_tree_of_another_metric_is_built(folder, options, arguments):
    ask("build", "points.npy", "built.ct", *options)
    built = load("built.ct")
    tree = cover_tree(points[:, : built.dim], **arguments)
    assert ask("info", "built.ct")["metric"] == tree.metric == built.metric
    for mine, wanted in zip(built.knn(4, return_distances=True), tree.knn(4, return_distances=True)):
        assert np.array_equal(mine, wanted)


def test_a_tree_is_built_and_searched(folder):
    assert "points" in run("build", "points.npy", "built.ct", "--set", "order=natural", "--threads", 1)
    tree = load("built.ct")
    assert (type(tree), tree.order) == (CoverTree, "natural")
    said = ask("query", "built.ct", "queries.npy", "-o", "found.npz", "-k", 4)
    assert (said["queries"], said["found"]) == (20, 80)
    found = np.load("found.npz")
    indices, distances = tree.knn(4, queries=queries, return_distances=True)
    assert np.array_equal(found["indices"], indices)
    assert np.array_equal(found["distances"], distances)
    ask("query", "built.ct", "--out", "own.npz", "-k", 2, "--exclude-self", "--predecessors")
    assert np.array_equal(np.load("own.npz")["indices"], tree.knn(2, exclude_self=True, predecessor_mode=True))
    ask("query", "built.ct", "queries.npy", "--out", "near.npz", "--radius", 0.2)
    near = tree.radius(0.2, queries=queries)
    assert np.array_equal(np.load("near.npz")["offsets"], near.offsets)
    assert np.array_equal(np.load("near.npz")["indices"], near.indices)


@pytest.mark.parametrize("key", ["VI", "V"])
def test_a_matrix_of_a_metric_is_a_file(folder, capsys, key):
    matrix = np.array([[2.0, 0.3, 0.0], [0.3, 0.5, 0.1], [0.0, 0.1, 1.0]])
    np.save("matrix.npy", matrix)
    np.savetxt("matrix.csv", matrix, delimiter=",")
    built = cover_tree(points, metric="mahalanobis", metric_params={key: matrix})
    for file in ("matrix.npy", "matrix.csv"):
        ask("build", "points.npy", "built.ct", "--metric", "mahalanobis", "--metric-param", f"{key}={file}")
        np.testing.assert_allclose(load("built.ct").knn(3), built.knn(3))
    np.save("matrix.npy", matrix[:2])
    for value, message in [
        ("matrix.npy", f"--metric-param {key}: expected shape (3, 3), got (2, 3)"),
        ("1,2,3", f"--metric-param {key}: expected a file of a matrix"),
        ("none.npy", "none.npy: No such file"),
    ]:
        given = ("build", "points.npy", "x.ct", "--metric", "mahalanobis", "--metric-param", f"{key}={value}")
        assert message in refused(capsys, 1, *given)


def test_pairs(folder):
    cover_tree(queries).save("other.ct")
    tree, other = cover_tree(points), cover_tree(queries)
    for trees, (wanted, distances) in {
        ("tree.ct",): tree.pairs_within(0.2, return_distances=True),
        ("tree.ct", "other.ct"): tree.pairs_within(0.2, other, return_distances=True),
    }.items():
        said = ask("pairs", *trees, "--radius", 0.2, "--out", "pairs.npz")
        assert (said["file"], said["pairs"]) == ("pairs.npz", len(wanted))
        with np.load("pairs.npz") as written:
            assert (written["pairs"] == wanted).all() and (written["distances"] == distances).all()
    said = ask("pairs", "tree.ct", "--count", "0.1,0.2")
    assert said == [{"radius": r, "pairs": tree.count_pairs(r)} for r in (0.1, 0.2)]
    assert ask("pairs", "tree.ct", "other.ct", "--count", 0.3)[0]["pairs"] == tree.count_pairs(0.3, other)


def test_spanning_trees(folder):
    pytest.importorskip("pyarrow")
    for options, k in (((), None), (("--mutual-k", 5), 5)):
        edges, lengths = cover_tree(points).minimum_spanning_tree(k)
        said = ask("mst", "tree.ct", "--out", "edges.csv", *options)
        assert said["edges"] == 399 and said["length"] == pytest.approx(lengths.sum())
        written = np.genfromtxt("edges.csv", delimiter=",", names=True)
        assert written.dtype.names == ("i", "j", "length")
        assert (written["i"] == edges[:, 0]).all() and (written["j"] == edges[:, 1]).all()
        np.testing.assert_allclose(written["length"], lengths)


def test_errors_of_pairs(folder, capsys):
    cover_tree(points, metric="manhattan").save("other.ct")
    cover_tree(points, kernel=RBF(1.0), inducing_count=9).save("residual.ct")
    for arguments, message in [
        (
            ("pairs", "tree.ct", "other.ct", "--count", 1),
            "other.ct: expected a tree of the same metric, plain euclidean",
        ),
        (("pairs", "residual.ct", "--count", 1), "residual.ct: expected a tree without a kernel, got ResidualTree"),
        (("pairs", "tree.ct", "--radius", 1), "--radius, --out: expected both, or --count"),
        (("pairs", "tree.ct", "--radius", 1, "--count", 1), "--count: expected neither --radius nor --out with it"),
        (("pairs", "tree.ct", "--radius", -1, "-o", "x.npz"), "--radius: expected a number from 0 up, got -1"),
        (("pairs", "tree.ct", "--count", "a"), "--count: expected numbers with commas, got 'a'"),
        (("pairs", "tree.ct", "--count", "-1"), "--count: expected numbers from 0 up, got -1"),
        (("pairs", "tree.ct", "--radius", 1, "-o", "x.txt"), "--out: expected a name that ends in .parquet, .csv or"),
        (("mst", "tree.ct", "-o", "x.npz", "--mutual-k", 400), "--mutual-k: expected a number below that of the"),
        (("mst", "tree.ct", "-o", "x.npz", "--mutual-k", 0), "--mutual-k: expected"),
        (("mst", "residual.ct", "-o", "x.npz"), "residual.ct: expected a tree without a kernel"),
    ]:
        assert message in refused(capsys, 1, *arguments)


def test_residual_trees(folder):
    options = ("--kernel", "matern52", "--lengthscale", "0.3,0.2,0.4", "--variance", 2, "--inducing", 30)
    said = ask("build", "points.npy", "built.ct", *options)
    assert (said["kind"], said["points"], said["dim"]) == ("ResidualTree", 400, 3)
    tree = load("built.ct")
    assert isinstance(tree, ResidualTree)
    assert tree.kernel == Matern52([0.3, 0.2, 0.4], 2.0)
    ask("query", "built.ct", "-o", "found.npz", "-k", 3, "--predecessors")
    assert np.array_equal(np.load("found.npz")["indices"], tree.knn(3, predecessor_mode=True))
    profiled = ("--profile", "residual-audit", "--set", "residual.n_inducing=20")
    ask("build", "points.npy", "audit.ct", "--kernel", "rbf", *profiled)
    assert len(load("audit.ct").inducing_points) == 20


def test_vecchia_neighbors(folder):
    said = ask(
        "neighbors", "points.npy", "sets.npz", "--kernel", "rbf", "--lengthscale", 0.3, "-m", 5, "--inducing", 40
    )
    assert (said["points"], said["m"]) == (400, 5)
    expected = vecchia.neighbors(points, kernel=RBF(0.3), m=5, n_inducing=40, return_distances=True)
    sets = np.load("sets.npz")
    assert np.array_equal(sets["order"], expected.order)
    assert np.array_equal(sets["neighbors"], expected.neighbors)
    assert np.array_equal(sets["distances"], expected.distances)


def test_files_are_described_and_checked(folder):
    assert ask("validate", "tree.ct")["valid"]
    facts = ask("info", "tree.ct")
    assert (facts["n_points"], facts["n_segments"]) == (400, 1) and "levels" not in facts
    tree = load("tree.ct")
    tree.export_arrays()
    tree.save("tree.ct")
    facts = ask("info", "tree.ct")
    assert facts["n_nodes"] == 400 and sum(facts["levels"].values()) == 400
    vecchia.neighbors(points, kernel=RBF(), m=3, n_inducing=10).save("sets.ct")
    assert ask("info", "sets.ct")["m"] == 3
    vecchia.VIF(points, kernel=RBF(), noise=0.25, n_neighbors=4, n_inducing=10).save("model.ct")
    facts = ask("info", "model.ct")
    assert (facts["points"], facts["dim"], facts["n_inducing"], facts["noise"]) == (400, 3, 10, 0.25)
    index = BruteForce(3)
    index.add(None, points)
    index.save("index.ct")
    assert ask("info", "index.ct")["n_vectors"] == 400
    own = cover_tree(points, metric=lambda a, b: np.abs(a[:, None] - b[None]).sum(-1))
    own.remove([0, 1])
    own.save("own.ct")
    facts = ask("info", "own.ct")
    assert (facts["kind"], facts["n_points"], facts["n_nodes"], facts["dim"]) == ("MetricTree", 398, 400, 3)
    assert "--function: expected the function of the tree" in run("validate", "own.ct", code=1)
    assert "expected a tree, got BruteForce" in run("validate", "index.ct", code=1)
    data = bytearray((folder / "tree.ct").read_bytes())
    data[-200] ^= 1
    (folder / "tree.ct").write_bytes(data)
    assert "checksum" in run("validate", "tree.ct", code=1)


@pytest.mark.parametrize("form", ["npz", "csv", "names", "parquet"])
def test_points_of_many_kinds(folder, form):
    path = folder / f"points.{'csv' if form == 'names' else form}"
    if form == "npz":
        np.savez(path, coords=points)
    elif form == "parquet":
        pyarrow = pytest.importorskip("pyarrow")
        parquet = pytest.importorskip("pyarrow.parquet")
        parquet.write_table(pyarrow.table({name: points[:, i] for i, name in enumerate("xyz")}), path)
    else:
        np.savetxt(path, points, delimiter=",", header="x,y,z" if form == "names" else "", comments="", fmt="%.18g")
    assert np.array_equal(_tables.read_points(path).points, points)
    assert np.array_equal(_tables.read_points(path, columns="2,0").points, points[:, [2, 0]])
    if form in ("names", "parquet"):
        assert np.array_equal(_tables.read_points(path, columns="z, x").points, points[:, [2, 0]])
    with pytest.raises(ValueError, match="has no column '7'"):
        _tables.read_points(path, columns="7")
    assert ask("build", path, "built.ct", "--columns", "1")["dim"] == 1


def test_a_tree_of_a_function(folder, capsys, monkeypatch):
    (folder / "distances.py").write_text(
        "import numpy as np\n\n\ndef city(a, b):\n    return np.abs(a[:, None] - b[None]).sum(-1)\n\n\n"
        "def squares(a, b):\n    return city(a, b) ** 2\n\n\nnumber = 3\n"
    )
    monkeypatch.syspath_prepend(str(folder))
    distances = importlib.import_module("distances")
    own = cover_tree(points, metric=distances.city)
    own.save("own.ct")
    cover_tree(points, metric=distances.squares).save("squares.ct")
    by = ("--function", "distances:city")
    assert ask("validate", "own.ct", *by)["valid"]
    assert "the triangle inequality is broken" in run(
        "validate", "squares.ct", "--function", "distances:squares", code=1
    )
    ask("query", "own.ct", "queries.npy", "--out", "found.npz", "-k", 4, *by)
    assert np.array_equal(np.load("found.npz")["indices"], own.knn(4, queries=queries))
    ask("pairs", "own.ct", "--radius", 0.5, "--out", "pairs.npz", *by)
    assert np.array_equal(np.load("pairs.npz")["pairs"], own.pairs_within(0.5))
    ask("mst", "own.ct", "--out", "edges.npz", *by)
    assert np.array_equal(np.load("edges.npz")["edges"], own.minimum_spanning_tree().edges)
    for text, wanted in (
        ("city", "--function: expected module:name, got 'city'"),
        ("nowhere:city", "No module named 'nowhere'"),
        ("distances:town", "has no attribute 'town'"),
        ("distances:number", "--function: expected a function, got int"),
    ):
        assert wanted in refused(capsys, 1, "validate", "own.ct", "--function", text)
    assert "--function: " in refused(capsys, 1, "validate", "tree.ct", *by)


def test_arrays_of_an_npz(tmp_path):
    path = tmp_path / "two.npz"
    np.savez(path, a=points, b=queries)
    assert np.array_equal(_tables.read_points(path, array="b").points, queries)
    with pytest.raises(ValueError, match="has a, b; say which with --array"):
        _tables.read_points(path)
    with pytest.raises(ValueError, match="has no array 'c'; there are a, b"):
        _tables.read_points(path, array="c")
    np.save(tmp_path / "cube.npy", np.zeros((2, 2, 2)))
    with pytest.raises(ValueError, match="expected points of shape"):
        _tables.read_points(tmp_path / "cube.npy")


def test_errors_take_one_line(folder, capsys):
    np.save("nan.npy", np.full((3, 2), np.nan))
    (folder / "ragged.csv").write_text("x,y\n1\n")
    (folder / "either.csv").write_text("0,1\n2,3\n")
    for arguments, words in [
        (("build", "nan.npy", "x.ct"), "nan.npy: row 0, column 0"),
        (("build", "ragged.csv", "x.ct"), "ragged.csv: line 2: expected 2 fields, got 1"),
        (("build", "either.csv", "x.ct"), "either.csv: line 1 (0, 1) may have names"),
        (("build", "tree.ct", "x.ct"), "expected a file that ends in .npy"),
        (("build", "points.npy", "no/such/folder.ct"), "no/such/folder.ct"),
        (("build", "points.npy", "x.ct", "--metric", "far"), "--metric: expected one of"),
        (("build", "points.npy", "x.ct", "--metric", "minkowski"), "--metric-param: expected p for 'minkowski'"),
        (("build", "points.npy", "x.ct", "--metric-param", "w"), "--metric-param: expected a name, = and a value"),
        (("build", "points.npy", "x.ct", "--metric-param", "w=a"), "--metric-param w: expected numbers with commas"),
        (("build", "points.npy", "x.ct", "--period", "1,2"), "--period: expected a number, or 3 of them"),
        (("build", "points.npy", "x.ct", "--kernel", "rbf", "--period", "1"), "expected only without --kernel"),
        (("build", "points.npy", "x.ct", "--kernel", "cubic"), "--kernel: expected one of rbf"),
        (("build", "points.npy", "x.ct", "--inducing", 3), "--inducing: expected only with --kernel"),
        (("build", "points.npy", "x.ct", "--kernel", "rbf", "--lengthscale", "a"), "--lengthscale: expected numbers"),
        (("build", "points.npy", "x.ct", "--set", "leaves=3"), "no setting 'leaves'"),
        (("build", "points.npy", "x.ct", "--profile", "gold"), "expected one of default"),
        (("query", "tree.ct", "queries.npy", "-o", "x.npy"), "expected a name that ends in .npz"),
        (("bench", "everything"), "workload: expected one of euclidean-3d"),
        (("bench", "gold-rbf", "--scale", 0.01, "--peers", "scipy"), "only covertreex and numpy"),
    ]:
        error = refused(capsys, 1, *arguments)
        assert error.startswith("covertreex: ")
        assert words in error
        assert error.count("\n") == 1
    assert not (folder / "x.ct").exists()
    for arguments in [("build",), ("build", "none.npy", "x"), ("query", "tree.ct", "-o", "x.npz", "-k", 0), ("what",)]:
        assert "Usage" in refused(capsys, 2, *arguments)
    assert run("build", "nan.npy", "x.ct", code=1).count("\n") == 1


def test_errors_name_arguments_as_typed(folder, capsys):
    np.save(folder / "bad.npy", np.array([[0.0, np.nan]]))
    np.save(folder / "none.npy", np.empty((0, 2)))
    build, residual = ("build", "points.npy", "x.ct"), ("--kernel", "rbf", "--inducing", "5")
    for arguments, words in [
        ((*build, "--kernel", "rbf", "--inducing", "100000"), "covertreex: --inducing: expected 0 to"),
        ((*build, "--kernel", "rbf", "--inducing", "-1"), "covertreex: --inducing: expected 0 to"),
        ((*build, *residual, "--lengthscale", "1,2,3,4"), "covertreex: --lengthscale: expected one number or"),
        ((*build, *residual, "--lengthscale=-1"), "covertreex: --lengthscale: expected finite numbers"),
        ((*build, *residual, "--variance", "0"), "covertreex: --variance: expected a finite number"),
        ((*build, "--profile", "gold"), "covertreex: --profile: expected one of"),
        ((*build, "--set", "gold=1"), "covertreex: --set: no setting 'gold'"),
        (("build", "bad.npy", "x.ct"), "covertreex: bad.npy: row 0, column 1: expected a finite number"),
        (("build", "none.npy", "x.ct"), "covertreex: none.npy: expected at least 1 row"),
        (("query", "tree.ct", "bad.npy", "-o", "x.npz"), "covertreex: bad.npy"),
        (("query", "tree.ct", "-o", "x.npz", "--radius=-1"), "covertreex: --radius: expected a number"),
        (("query", "tree.ct", "-o", "x.npz", "--radius", "nan"), "covertreex: --radius: expected a number"),
        (("neighbors", "points.npy", "x.npz", "--inducing", "100000"), "covertreex: --inducing: expected 0 to"),
        (("neighbors", "points.npy", "x.npz", "--ordering", "best"), "covertreex: --ordering: expected one of"),
        (("neighbors", "bad.npy", "x.npz"), "covertreex: bad.npy: row 0, column 1: expected a finite number"),
    ]:
        error = refused(capsys, 1, *arguments)
        assert error.startswith(words), error


def test_an_interrupt_ends_it(folder):
    cover_tree(rng.random((1_500_000, 8))).save("large.ct")
    process = subprocess.Popen(
        [sys.executable, "-m", "covertreex", "validate", "large.ct"], stderr=subprocess.PIPE, text=True
    )
    while "large.ct" not in Path(f"/proc/{process.pid}/maps").read_text():
        assert process.poll() is None
        time.sleep(0.01)
    time.sleep(0.5)  # it builds the cover tree
    process.send_signal(signal.SIGINT)
    start = time.monotonic()
    _, error = process.communicate(timeout=30)
    assert process.returncode == 130
    assert time.monotonic() - start < 5
    assert "Traceback" not in error


def test_bench(folder):
    assert "gold-matern52" in run("bench")
    (folder / "before.json").write_text(
        json.dumps(ask("bench", "euclidean-3d", "--scale", 0.02, "--turns", 1, "--peers", "numpy,scipy"))
    )
    rows = ask("bench", "euclidean-3d", "--scale", 0.02, "--turns", 1, "--compare", "before.json")
    assert [row["who"] for row in rows] == ["covertreex"]
    assert rows[0]["recall"] == 1
    assert rows[0]["times_before"] > 0
    for name in ["gold-rbf", "gold-matern52", "vecchia-rbf", "vecchia-matern52", "euclidean-8d"]:
        for row in ask("bench", name, "--scale", 0.01, "--turns", 0, "--peers", "numpy"):
            assert row["recall"] == 1, row
    (folder / "before.json").write_text("{}")
    assert "expected the output of bench --json" in run("bench", "gold-rbf", "--compare", "tree.ct", code=1)


def test_a_wrong_answer_is_seen(monkeypatch):
    right = workloads.CONTENDERS["covertreex"]
    wrong = {"covertreex": lambda *data: lambda: (right(*data)() + 1) % 300}
    monkeypatch.setattr(workloads, "CONTENDERS", wrong)
    for name in ("euclidean-3d", "gold-rbf"):
        found = workloads.run(name, scale=0.01, who=["covertreex"], turns=0, report=lambda share: None)
        assert found[0].recall < 0.5


def test_the_doctor(folder, monkeypatch):
    said = ask("doctor")
    assert set(said["checks"].values()) == {"ok"}
    assert said["library"].startswith("covertree ")
    assert "neighbours are those of a brute force" in run("doctor")
    knn = CoverTree.knn
    monkeypatch.setattr(CoverTree, "knn", lambda self, k, **options: knn(self, k, **options)[::-1])
    done = CliRunner().invoke(app, ["doctor", "--json"])
    assert done.exit_code == 1
    assert "wrong" in json.loads(done.stdout)["checks"].values()


def test_profiles(folder):
    assert len(ask("profile", "list")) == 5
    assert ask("profile", "show", "cpu-debug")["threads"] == 1
    assert "COVERTREEX_LEAF_SIZE" in run("profile", "show", "cpu-debug")
    assert "expected one of" in run("profile", "show", "best", code=1)


def test_telemetry(folder):
    ask("build", "points.npy", "built.ct", "--set", "diagnostics.log_file=log.jsonl")
    ask("query", "built.ct", "queries.npy", "-o", "found.npz", "--set", "diagnostics.log_file=log.jsonl")
    said = json.loads(run("telemetry", "render", "log.jsonl", "--format", "json"))
    assert [(one["operation"], one["rows"]) for one in said] == [("build", 400), ("knn", 20)]
    assert "CoverTree.knn" in run("telemetry", "render", "log.jsonl")
    lines = run("telemetry", "render", "log.jsonl", "--format", "markdown", "--calls").splitlines()
    assert len(lines) == 4
    assert len({line.count("|") for line in lines}) == 1
    (folder / "log.jsonl").write_text("nothing\n")
    assert "line 1" in run("telemetry", "render", "log.jsonl", code=1)


def test_version_and_completion(folder):
    assert run("--version").startswith("covertreex 1.")
    try:
        shellingham.detect_shell()
    except shellingham.ShellDetectionFailure:
        return  # the completion is for the shell that runs the command
    assert "complete" in run("--show-completion")


def test_output_for_people():
    for value, text in [
        (None, ""), (True, "yes"), (1234567, "1,234,567"), (0.123456, "0.1235"), (12345.6, "12,346"),
        ({"a": 1, "b": 2.5}, "a 1, b 2.5"), ([1, "x"], "1, x"), ("text", "text"),
    ]:  # fmt: skip
        assert _output.shown(value) == text
    assert _output.plain({1: np.float32(2), "a": (np.arange(2), None)}) == {"1": 2.0, "a": [[0, 1], None]}


def test_without_typer_it_says_what_to_install():
    code = "import sys; sys.modules['typer'] = None; from covertreex.__main__ import main; main()"
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert "pip install 'covertreex[cli]'" in done.stderr

"""The command fit, and predict by the models that it writes: the numbers of `vecchia.fit` and `VIF`."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

pytest.importorskip("typer")
pytest.importorskip("pyarrow")
pytest.importorskip("scipy")
import pyarrow
from file_reader import read, write
from pyarrow import parquet
from test_cli import ask, refused
from typer.testing import CliRunner

import covertreex
from covertreex import CoverTreeError, cover_tree, vecchia
from covertreex.cli import _fit, app
from covertreex.cli._tables import read_points
from covertreex.kernels import Matern32
from covertreex.vecchia import VIF

rng = np.random.default_rng(11)
N, Q = 160, 12
COORDS, NEW = rng.random((N, 2)), rng.random((Q, 2))
Y = np.sin(5 * COORDS[:, 0]) + COORDS[:, 1] + 0.1 * rng.standard_normal(N)
NAMES = ("east", "distance [km]")
SIZES = {"n_neighbors": 8, "n_inducing": 20}
FIT = ("data.csv", "--response", "z", "--neighbors", 8, "--inducing", 20, "--out", "model.ct")


def table(path, coords, names=NAMES, **others):
    columns = {**dict(zip(names, coords.T)), **others}
    rows = [columns, *zip(*(list(map(str, np.asarray(one).tolist())) for one in columns.values()))]
    path.write_text("".join(",".join(row) + "\n" for row in rows))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table(tmp_path / "data.csv", COORDS, z=Y)
    table(tmp_path / "new.csv", NEW)
    return tmp_path


@pytest.fixture
def model(folder):
    """A model with a trend, from a short fit."""
    ask("fit", *FIT, "--max-iterations", 3, "--trend", "linear")
    return folder / "model.ct"


def the_fit(y, **options):
    # The command does not warn in Python's way.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("warnings.warn", lambda *_, **__: None)
        return vecchia.fit(COORDS, y, **{**SIZES, **options})


def predict(*arguments, out="out.npz"):
    """What the command reports, and what it writes."""
    said = ask("predict", *arguments, "--out", out)
    return said, np.load(out)


def people(*arguments):
    """What the command prints for people, and in warnings."""
    return CliRunner().invoke(app, list(map(str, arguments)), catch_exceptions=False)


# Numbers


@pytest.mark.parametrize(
    ("options", "chosen"),
    [
        ((), {}),
        (("--kernel", "rbf"), {"kernel": "rbf"}),
        (("--ordering", "random", "--seed", 5), {"ordering": "random", "seed": 5}),
        (("--sets", "euclidean"), {"neighbors": "euclidean"}),
        (("--max-iterations", 2), {"max_iterations": 2}),
        (("--restarts", 1), {"restarts": 1}),
        (("--inducing", 0), {"n_inducing": 0}),
        (("--neighbors", 3), {"n_neighbors": 3}),
        (("--set", "residual.jitter=1e-4"), {"jitter": 1e-4}),
    ],
)
def test_a_fit_is_that_of_python(folder, options, chosen):
    said = ask("fit", *FIT, "--trend", "none", *options)
    found = the_fit(Y, **chosen)
    assert said["log_likelihood"] == found.log_likelihood
    assert (said["noise"], said["variance"]) == (found.noise, found.kernel.variance)
    assert list(said["lengthscales"]) == list(NAMES)
    assert tuple(said["lengthscales"].values()) == tuple(found.kernel.lengthscale)
    assert said["kernel"] == type(found.kernel).__name__.lower()
    assert (said["iterations"], said["evaluations"]) == (found.n_iterations, found.n_evaluations)
    assert (said["stopped"], said["refits"]) == (found.stopped, found.n_refits)
    assert (said["points"], said["dim"], said["file"]) == (N, 2, "model.ct")
    assert (said["read"]["columns"], said["read"]["response"]) == (list(NAMES), "z")
    assert said["seconds"] > 0
    assert "trend" not in said
    opened = covertreex.load("model.ct")
    assert isinstance(opened, VIF)
    assert opened.kernel == found.kernel
    mean, variance = found.model.predict(NEW, Y, return_var=True, n_neighbors=2 * found.model.n_neighbors)
    said, written = predict("model.ct", "new.csv")
    np.testing.assert_array_equal(written["mean"], mean)
    np.testing.assert_array_equal(written["sd"], np.sqrt(variance))
    assert (said["predictions"], said["points"], said["read"]["response"]) == (Q, N, "z")


def test_defaults(folder):
    said = ask("fit", "data.csv", "--response", "z", "--out", "model.ct")
    found = vecchia.fit(COORDS, Y - Y.mean(), kernel="matern32")
    assert (said["kernel"], said["neighbors"], said["inducing"]) == ("matern32", 30, N)
    assert set(said["trend"]) == {"constant"}
    np.testing.assert_allclose([said["noise"], said["variance"]], [found.noise, found.kernel.variance], rtol=1e-3)
    np.testing.assert_allclose(list(said["lengthscales"].values()), found.kernel.lengthscale, rtol=1e-3)


@pytest.mark.parametrize("trend", ["constant", "linear"])
def test_a_trend(folder, trend):
    """The fit is of the response less least squares; the rest is by generalised least squares."""
    shift = np.array([4e5, 5.7e6])
    y = 30 + Y - 2 * COORDS[:, 0]
    table(folder / "data.csv", COORDS + shift, z=y)
    table(folder / "new.csv", NEW + shift)
    said = ask("fit", *FIT, "--trend", trend, "--max-iterations", 10)
    design = np.column_stack([np.ones(N), COORDS])[:, : {"constant": 1, "linear": 3}[trend]]
    rest = y - design @ np.linalg.lstsq(design, y, rcond=None)[0]
    found = the_fit(rest, max_iterations=10)
    for name, value in [("noise", found.noise), ("variance", found.kernel.variance)]:
        np.testing.assert_allclose(said[name], value, rtol=1e-3)
    opened = covertreex.load("model.ct")
    np.testing.assert_allclose(said["log_likelihood"], opened.log_likelihood(y, trend=design), rtol=1e-8)
    coefficients, covariance = opened.trend(y, design)
    np.testing.assert_allclose(list(said["trend"].get("slopes", {}).values()), coefficients[1:], rtol=1e-5)
    np.testing.assert_allclose(
        said["trend"]["constant"], coefficients[0] - shift[: len(coefficients) - 1] @ coefficients[1:], rtol=1e-5
    )
    both, width = np.column_stack([y, design]), 2 * opened.n_neighbors
    means, variances = opened.predict(NEW + shift, both, return_var=True, n_neighbors=width)
    beyond = np.column_stack([np.ones(Q), NEW])[:, : len(coefficients)] - means[:, 1:]
    _, written = predict("model.ct", "new.csv", "--spread", "variance")
    np.testing.assert_allclose(written["mean"], means[:, 0] + beyond @ coefficients, rtol=1e-6)
    wanted = variances + ((beyond @ covariance) * beyond).sum(axis=1)
    np.testing.assert_allclose(written["variance"], wanted, rtol=1e-6)
    _, latent = predict("model.ct", "new.csv", "--spread", "variance", "--latent")
    np.testing.assert_allclose(written["variance"] - latent["variance"], opened.noise, rtol=1e-9)
    _, calibrated = predict("model.ct", "new.csv", "--spread", "variance", "--calibrated")
    factors = vecchia.calibrate(opened, y, trend=design).factors(NEW + shift)
    np.testing.assert_allclose(calibrated["variance"], written["variance"] * factors, rtol=1e-6)


def test_one_column_and_many_threads(folder):
    table(folder / "one.csv", COORDS[:, :1], names=["x"], z=Y)
    found = [ask("fit", "one.csv", *FIT[1:], "--max-iterations", 4, "--threads", threads) for threads in (1, 2)]
    assert list(found[0]["lengthscales"]) == ["x"]
    for name in ("log_likelihood", "noise", "lengthscales"):
        assert found[0][name] == found[1][name]


def test_a_file_is_the_same_twice(model):
    """But for seconds."""
    before = read(model.read_bytes())
    ask("fit", *FIT, "--max-iterations", 3, "--trend", "linear")
    after = read(model.read_bytes())
    assert list(before.sections) == list(after.sections)
    for name in set(before.sections) - {"covertreex.fit", "covertreex.history"}:
        np.testing.assert_array_equal(before.sections[name], after.sections[name], err_msg=name)
    steps = [np.delete(one.sections["covertreex.history"], 4, axis=1) for one in (before, after)]
    np.testing.assert_array_equal(*steps)


# Columns


def test_new_points_have_the_columns_of_the_model(folder, model):
    _, wanted = predict("model.ct", "new.csv")
    mixed = {"note": ["a"] * Q, NAMES[1]: NEW[:, 1], "z": np.full(Q, 9.0), NAMES[0]: NEW[:, 0]}
    parquet.write_table(pyarrow.table(mixed), "mixed.parquet")
    np.save("new.npy", NEW)
    os.remove("data.csv")  # predictions do not need the data
    for new in ("mixed.parquet", "new.npy"):
        _, found = predict("model.ct", new)
        np.testing.assert_array_equal(found["mean"], wanted["mean"])
        np.testing.assert_array_equal(found["sd"], wanted["sd"])
    for out in ("out.parquet", "out.csv"):
        ask("predict", "model.ct", "new.npy", "-o", out)
        written = read_points(folder / out)
        assert written.columns == [*NAMES, "mean", "sd"]
        np.testing.assert_array_equal(written.points[:, 2], wanted["mean"])


def test_columns_that_were_chosen(folder):
    table(folder / "data.csv", np.insert(COORDS, 1, 5.0, axis=1), names=["x", "skipped", "y"], z=Y)
    ask("fit", *FIT, "--columns", "y,x", "--max-iterations", 1)
    table(folder / "new.csv", NEW[:, ::-1], names=["y", "x"])
    _, by_name = predict("model.ct", "new.csv")
    np.save("new.npy", np.insert(NEW, 1, np.pi, axis=1))
    _, by_number = predict("model.ct", "new.npy")
    np.testing.assert_array_equal(by_name["mean"], by_number["mean"])
    assert ask("info", "model.ct")["columns"] == ["y", "x"]


def test_lists_and_archives(folder):
    lists = pyarrow.array(COORDS.tolist(), pyarrow.list_(pyarrow.float64()))
    parquet.write_table(pyarrow.table({"place": lists, "z": Y}), "data.parquet")
    said = ask("fit", "data.parquet", *FIT[1:], "--max-iterations", 2)
    assert list(said["lengthscales"]) == ["place[0]", "place[1]"]
    new = pyarrow.array(NEW.tolist(), pyarrow.list_(pyarrow.float64()))
    parquet.write_table(pyarrow.table({"place": new}), "new.parquet")
    _, wanted = predict("model.ct", "new.parquet")
    np.savez("data.npz", coords=COORDS, z=Y, other=Y)
    ask("fit", "data.npz", *FIT[1:], "--array", "coords", "--max-iterations", 2)
    np.savez("new.npz", coords=NEW, other=Y)
    said, found = predict("model.ct", "new.npz")  # by the array that had the data
    np.testing.assert_array_equal(found["mean"], wanted["mean"])
    assert said["read"]["array"] == "coords"


def test_columns_of_one_name(folder):
    assert list(ask("fit", *FIT, "--columns", "east,east", "--max-iterations", 1)["lengthscales"]) == ["0", "1"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("east\n1\n", "bad.csv: expected one column 'distance [km]', as in model.ct, got east"),
        ("1\n2\n", "bad.csv: expected 2 columns, or those of model.ct (east, distance [km], z), got 1"),
        ("east,distance [km]\n1,\n", "bad.csv: line 2, column distance [km]: expected a finite number, got an empty"),
    ],
)
@pytest.mark.usefixtures("model")
def test_faults_of_new_points(folder, text, words):
    (folder / "bad.csv").write_text(text)
    with pytest.raises(ValueError) as error:
        predict("model.ct", "bad.csv")
    assert str(error.value).replace("'", "").startswith(words.replace("'", ""))


# Output


@pytest.mark.usefixtures("folder")
def test_output_for_people():
    done = people("fit", *FIT, "--max-iterations", 1, "--trend", "linear")
    words = " ".join(done.stdout.split())
    assert "data.csv: header in line 1; columns east, distance [km]; response z; 160 rows" in words
    said = ask("fit", *FIT, "--max-iterations", 1, "--trend", "linear")
    assert f"log likelihood {said['log_likelihood']:,.4f}" in words
    scales = [f"{value:.4g}" for value in said["lengthscales"].values()]
    assert f"lengthscales east {scales[0]}, distance [km] {scales[1]}" in words
    assert "iterations 1" in words
    warning = "fit: has not converged after 1 iterations; raise their limit to go on"
    assert done.stderr == f"covertreex: warning: {warning}\n"
    assert said["warnings"] == [warning]
    done = people("predict", "model.ct", "new.csv", "-o", "out.csv")
    assert "model.ct: columns east, distance [km]; response z; 160 rows\n" in done.stdout
    assert "predictions 12" in " ".join(done.stdout.split())


def test_warnings_have_names_of_columns(folder):
    """A column without any effect, whose lengthscale ends at its upper bound."""
    y = np.sin(9 * COORDS[:, 0])
    table(folder / "data.csv", COORDS, z=y)
    said = ask("fit", *FIT, "--inducing", 40)
    assert any("lengthscale of distance [km] (upper, " in message for message in said["warnings"])


@pytest.mark.usefixtures("model")
def test_info():
    said = ask("info", "model.ct")
    assert (said["kind"], said["response"], said["columns"], said["trend"]) == ("VIF", "z", list(NAMES), "linear")
    assert said["points"] == N
    assert "columns east, distance [km]" in " ".join(people("info", "model.ct").stdout.split())
    VIF(COORDS, kernel=Matern32(), noise=0.1).save("plain.ct")
    assert "response" not in ask("info", "plain.ct")


# Interrupts


def test_an_interrupt_writes_the_best_so_far(folder):
    coords = rng.random((4000, 3))
    y = np.sin(9 * coords).sum(axis=1) + 0.3 * rng.standard_normal(len(coords))
    np.save("data.npy", np.column_stack([coords, y]))
    terminal, end = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "covertreex", "fit", "data.npy", "--response", "3", "--inducing", "100", "--json"]
        + ["--max-iterations", "1000", "--out", "model.ct"],
        stdout=subprocess.PIPE,
        stderr=end,
        text=True,
    )
    os.close(end)
    shown, deadline = "", time.monotonic() + 100
    while "iteration 2," not in shown:  # the bar of a terminal
        assert time.monotonic() < deadline, shown
        shown += os.read(terminal, 1000).decode(errors="replace")
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    os.close(terminal)
    assert process.returncode == 130
    said = json.loads(out)
    assert said["stopped"] == "interrupted"
    assert said["warnings"][0] == "fit: was interrupted; the model is the best so far"
    assert said["iterations"] >= 2
    assert covertreex.load("model.ct").noise == said["noise"]
    np.save("new.npy", coords[:5])
    assert predict("model.ct", "new.npy")[0]["predictions"] == 5


# Errors


@pytest.fixture
def unused(monkeypatch):
    """Fail the test if a fit begins."""

    def begin(*_, **__):
        raise AssertionError("a fit begins before the error")

    monkeypatch.setattr(_fit, "fitted", begin)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--response", "q"), "--response: expected a column of data.csv (east, distance [km], z), got 'q'"),
        (("--kernel", "cubic"), "--kernel: expected one of rbf, matern12, matern32, matern52, got 'cubic'"),
        (("--ordering", "best"), "--ordering: expected one of maxmin, random, natural, got 'best'"),
        (("--sets", "best"), "--sets: expected one of residual, euclidean, got 'best'"),
        (("--trend", "cubic"), "--trend: expected one of none, constant, linear, got 'cubic'"),
        (("--inducing", 161), "--inducing: expected 0 to 160, got 161"),
        (("--trend", "linear", "--columns", "east,east"), "--trend: expected linearly independent columns, got others"),
        (("--out", "no/such/model.ct"), "no/such/model.ct: No such file or directory"),
        (("--out", "data.csv"), "--out: expected another file than the data, got data.csv"),
        (("--set", "gold=1"), "--set: no setting 'gold'"),
    ],
)
@pytest.mark.usefixtures("folder", "unused")
def test_refused_options(capsys, options, words):
    before = set(os.listdir())
    error = refused(capsys, 1, "fit", *FIT, *options)
    assert error.startswith(f"covertreex: {words}")
    assert error.count("\n") == 1
    assert set(os.listdir()) == before


@pytest.mark.usefixtures("folder", "unused")
def test_wrong_usage(capsys):
    for arguments in [
        ("fit", "data.csv", "--out", "model.ct"),
        ("fit", "data.csv", "--response", "z"),
        ("fit", *FIT, "--max-iterations", -1),
        ("fit", *FIT, "--restarts", -1),
        ("fit", *FIT, "--seed", -1),
        ("predict", "data.csv", "new.csv", "--noise", 1, "--out", "out.csv"),
        ("predict", "data.csv", "new.csv", "--response", "z", "--out", "out.csv"),
    ]:
        assert "Usage" in refused(capsys, 2, *arguments)
    error = refused(capsys, 2, "predict", "data.csv", "new.csv", "--response", "z", "--out", "out.csv")
    assert "--noise" in error and "expected with data" in error


@pytest.mark.usefixtures("folder", "unused")
def test_a_fit_needs_points_and_scipy(monkeypatch):
    np.save("empty.npy", np.empty((0, 3)))
    for trend in ("none", "constant"):
        with pytest.raises(ValueError, match=r"^empty.npy: expected at least 1 row, got 0"):
            ask("fit", "empty.npy", "--response", 2, "--out", "model.ct", "--trend", trend)
    there = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "scipy" else there(name, *rest)
    )
    with pytest.raises(ImportError, match=r"^fit: needs SciPy: pip install scipy"):
        ask("fit", *FIT)


@pytest.mark.parametrize(
    ("options", "name"),
    [
        (("--response", "z"), "response"), (("--kernel", "rbf"), "kernel"), (("--lengthscale", "1"), "lengthscale"),
        (("--variance", 1), "variance"), (("--noise", 0.1), "noise"), (("--trend", "none"), "trend"),
        (("--neighbors", 30), "neighbors"), (("--inducing", 3), "inducing"), (("--ordering", "maxmin"), "ordering"),
        (("--sets", "residual"), "sets"), (("--columns", "east"), "columns"),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("model")
def test_options_that_a_model_has(capsys, options, name):
    error = refused(capsys, 1, "predict", "model.ct", "new.csv", "-o", "out.csv", *options)
    assert error == f"covertreex: --{name}: expected only with data; model.ct is a model, which has its own\n"
    assert not os.path.exists("out.csv")


@pytest.mark.usefixtures("model")
def test_files_that_are_no_models(folder):
    VIF(COORDS, kernel=Matern32(), noise=0.1).save("plain.ct")
    cover_tree(COORDS).save("tree.ct")
    (folder / "text.ct").write_text("x,y\n1,2\n")
    (folder / "empty.ct").write_text("")
    needed = "expected a model that covertreex fit wrote"
    for file, words in [
        ("plain.ct", f"plain.ct: {needed}, got a VIF without a response"),
        ("tree.ct", f"tree.ct: {needed}, got a CoverTree"),
        ("text.ct", f"text.ct: {needed}, or a file that ends in .npy"),
        ("empty.ct", f"empty.ct: {needed}, or a file that ends in .npy"),
    ]:
        with pytest.raises(ValueError) as error:
            predict(file, "new.csv")
        assert str(error.value).startswith(words)
    np.save("new.npy", NEW)
    with pytest.raises(ValueError, match=r"^new.npy: --header and --no-header are for text"):
        predict("model.ct", "new.npy", "--no-header")
    assert predict("model.ct", "new.csv", "--header")[0]["predictions"] == Q


@pytest.mark.usefixtures("model")
def test_the_likelihood_of_a_model():
    said = ask("likelihood", "model.ct", "--gradient")
    design = np.column_stack([np.ones(N), COORDS])
    value, gradient = covertreex.load("model.ct").log_likelihood(Y, trend=design, eval_gradient=True)
    np.testing.assert_allclose(said["log_likelihood"], value, rtol=1e-9)
    slopes = said["gradient"]
    found = [slopes["log_noise"], slopes["log_variance"], *slopes["log_lengthscales"]]
    np.testing.assert_allclose(found, gradient, rtol=1e-5)
    assert (said["points"], said["read"]["columns"]) == (N, list(NAMES))
    assert "gradient" not in ask("likelihood", "model.ct")
    words = " ".join(people("likelihood", "model.ct").stdout.split())
    assert f"log likelihood {value:,.4f}" in words and "model.ct: columns east" in words


@pytest.mark.parametrize("options", [("--kernel", "rbf"), ("--noise", 1), ("--array", "a"), ("--header",)])
@pytest.mark.usefixtures("model")
def test_options_of_likelihood_that_a_model_has(capsys, options):
    error = refused(capsys, 1, "likelihood", "model.ct", *options)
    assert error == f"covertreex: {options[0]}: expected only with data; model.ct is a model, which has its own\n"


def test_damaged_models(model):
    whole = model.read_bytes()
    for place in [*range(20, 128, 9), *range(len(whole) // 2, len(whole), len(whole) // 40)]:
        damaged = bytearray(whole)
        damaged[place] ^= 1
        model.write_bytes(damaged)
        try:
            predict("model.ct", "new.csv")
        except CoverTreeError:
            continue
        raise AssertionError(place)
    model.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CoverTreeError):
        predict("model.ct", "new.csv")


GOOD = {
    "trend": "linear", "response": "z", "array": None, "names": [*NAMES, "z"], "width": 3, "numbers": [0, 1],
    "widths": [],
}  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        {"trend": "cubic"}, {"trend": 3}, {"response": None}, {"array": 3}, {"names": ["a"]}, {"names": [1, 2, 3]},
        {"width": 2}, {"width": "3"}, {"numbers": [0]}, {"numbers": [0, 3]}, {"numbers": [0, -1]}, {"numbers": "01"},
        {"numbers": [0.0, 1.0]}, {"numbers": []}, {"widths": [1]}, {"widths": [2, 0]}, {"widths": [1, 2]}, {"more": 1},
    ],
    ids=str,
)  # fmt: skip
def test_models_that_contradict_themselves(model, change):
    file = read(model.read_bytes())
    assert json.loads(file.sections["covertreex.regression"].tobytes()) == GOOD
    text = json.dumps({**GOOD, **change}).encode()
    file.sections["covertreex.regression"] = np.frombuffer(text, np.uint8)[:, None]
    model.write_bytes(write(file))
    for command in (("info", "model.ct"), ("predict", "model.ct", "new.csv", "--out", "out.npz")):
        with pytest.raises(CoverTreeError, match=r"^model.ct: section .* is damaged: "):
            ask(*command)


@pytest.mark.parametrize(
    "values", [Y[:-1, None], np.where(np.arange(N) == 3, np.nan, Y)[:, None], Y[:, None].astype("f4")]
)
def test_responses_that_are_damaged(model, values):
    file = read(model.read_bytes())
    np.testing.assert_array_equal(file.sections["covertreex.response"][:, 0], Y)
    file.sections["covertreex.response"] = values
    model.write_bytes(write(file))
    with pytest.raises(CoverTreeError, match=r"^model.ct: section .* is damaged: response: expected 160"):
        predict("model.ct", "new.csv")


def test_models_without_a_section(model):
    for name in ("covertreex.response", "covertreex.regression"):
        file = read(model.read_bytes())
        del file.sections[name]
        model.with_name("half.ct").write_bytes(write(file))
        with pytest.raises(CoverTreeError, match=r"^half.ct: section .* is damaged: "):
            predict("half.ct", "new.csv")

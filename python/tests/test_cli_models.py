"""Commands on Gaussian processes: the numbers of `VIF`, the columns that are read, and errors before long work."""

import csv
import gzip
import os
import sys

import numpy as np
import pytest

pytest.importorskip("typer")
pytest.importorskip("pyarrow")
import pyarrow
from pyarrow import parquet
from test_cli import ask, refused
from typer.testing import CliRunner

from covertreex.cli import _models, app
from covertreex.cli._tables import read_points
from covertreex.kernels import RBF, Matern12, Matern32, Matern52
from covertreex.vecchia import VIF

rng = np.random.default_rng(7)
N, Q = 150, 12
COORDS, NEW = rng.random((N, 2)), rng.random((Q, 2))
Y = np.sin(5 * COORDS[:, 0]) + COORDS[:, 1] + 0.1 * rng.standard_normal(N)
PROCESS = ("--kernel", "matern32", "--lengthscale", "0.2,0.5", "--variance", 1.5, "--noise", 0.1)
SIZES = ("--neighbors", 8, "--inducing", 20)
KERNEL = Matern32((0.2, 0.5), 1.5)


def the_model(**options):
    return VIF(**{"coords": COORDS, "kernel": KERNEL, "noise": 0.1, "n_neighbors": 8, "n_inducing": 20, **options})


def write(path, columns):
    """Write columns as the name of a file says; names are lost in arrays."""
    kind = path.name.partition(".")[2]
    if kind == "parquet":
        parquet.write_table(pyarrow.table(columns), path)
    elif kind == "npy":
        np.save(path, np.column_stack(list(columns.values())))
    elif kind == "npz":
        np.savez(path, **columns)
    else:
        mark = "\t" if kind.startswith("tsv") else ","
        rows = [columns, *zip(*(list(map(str, np.asarray(one).tolist())) for one in columns.values()))]
        text = "".join(mark.join(row) + "\n" for row in rows).encode()
        path.write_bytes(gzip.compress(text) if kind.endswith("gz") else text)
    return path


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "data.csv", {"x": COORDS[:, 0], "y": COORDS[:, 1], "z": Y})
    write(tmp_path / "new.csv", {"x": NEW[:, 0], "y": NEW[:, 1]})
    return tmp_path


def likelihood(*arguments):
    """What the command reports."""
    return ask("likelihood", *PROCESS, *SIZES, *arguments)


def predict(*arguments, out="out.npz"):
    """What the command reports, and what it writes."""
    said = ask("predict", *PROCESS, *SIZES, "--out", out, *arguments)
    return said, np.load(out)


def predicted(model, **options):
    """As the command predicts by default."""
    return model.predict(NEW, Y, n_neighbors=2 * model.n_neighbors, **options)


# Numbers


@pytest.mark.parametrize("name", ["d.csv", "d.csv.gz", "d.tsv", "d.parquet", "d.npy"])
def test_the_likelihood_of_a_file(folder, name):
    data = write(folder / name, {"x": COORDS[:, 0], "response": Y, "y": COORDS[:, 1]})
    said = likelihood(data, "--response", 1 if name == "d.npy" else "response", "--gradient")
    value, gradient = the_model().log_likelihood(Y, eval_gradient=True)
    assert said["log_likelihood"] == value
    assert said["gradient"] == {
        "log_noise": gradient[0], "log_variance": gradient[1], "log_lengthscales": gradient[2:].tolist()
    }  # fmt: skip
    assert (said["points"], said["dim"], said["neighbors"], said["inducing"]) == (N, 2, 8, 20)
    assert (said["kernel"], said["noise"]) == (repr(KERNEL), 0.1)
    assert said["seconds"] > 0
    names = ["0", "2"] if name == "d.npy" else ["x", "y"]
    assert (said["read"]["columns"], said["read"]["rows"]) == (names, N)
    assert said["read"]["response"] == ("1" if name == "d.npy" else "response")
    assert "gradient" not in likelihood(data, "--response", "1")


@pytest.mark.parametrize(
    ("options", "chosen"),
    [
        ((), {}),
        (("--sets", "euclidean"), {"neighbors": "euclidean"}),
        (("--ordering", "random"), {"ordering": "random"}),
        (("--ordering", "natural"), {"ordering": "natural"}),
        (("--inducing", 0), {"n_inducing": 0}),
        (("--neighbors", 0), {"n_neighbors": 0}),
        (("--kernel", "rbf"), {"kernel": RBF((0.2, 0.5), 1.5)}),
        (("--kernel", "matern12", "--lengthscale", 0.3, "--variance", 2), {"kernel": Matern12(0.3, 2.0)}),
        (("--noise", 0), {"noise": 0.0}),
        (("--set", "residual.jitter=1e-4"), {"jitter": 1e-4}),
    ],
)
def test_options_are_those_of_the_model(folder, options, chosen):
    model = the_model(**chosen)
    mean, variance = predicted(model, return_var=True)
    value, gradient = model.log_likelihood(Y, eval_gradient=True)
    said = likelihood("data.csv", "--response", "z", "--gradient", *options)
    assert said["log_likelihood"] == value
    assert said["gradient"]["log_lengthscales"] == gradient[2:].tolist()
    _, found = predict("data.csv", "new.csv", "--response", "z", *options)
    np.testing.assert_array_equal(found["mean"], mean)
    np.testing.assert_array_equal(found["sd"], np.sqrt(variance))


@pytest.mark.parametrize("count", [0, 3, 40])
@pytest.mark.usefixtures("folder")
def test_neighbours_of_predictions(count):
    mean, variance = the_model().predict(NEW, Y, return_var=True, n_neighbors=count)
    _, found = predict("data.csv", "new.csv", "--response", "z", "--prediction-neighbors", count)
    np.testing.assert_array_equal(found["mean"], mean)
    np.testing.assert_array_equal(found["sd"], np.sqrt(variance))


def test_defaults(folder):
    said = ask("likelihood", "data.csv", "--response", "z", "--noise", 0.2)
    model = VIF(COORDS, kernel=Matern52(), noise=0.2, n_neighbors=30)
    assert said["log_likelihood"] == model.log_likelihood(Y)
    assert (said["neighbors"], said["inducing"]) == (30, N)


@pytest.mark.parametrize("latent", [False, True])
@pytest.mark.parametrize("spread", ["sd", "variance"])
@pytest.mark.parametrize("kind", ["csv", "parquet", "npz"])
def test_predictions_in_files(folder, kind, spread, latent):
    options = ("--spread", spread) * (spread != "sd") + ("--latent",) * latent
    out = folder / f"out.{kind}"
    said = ask("predict", "data.csv", "new.csv", "--response", "z", *PROCESS, *SIZES, "-o", out, *options)
    assert (said["file"], said["predictions"], said["points"]) == (str(out), Q, N)
    assert (said["read"]["file"], said["new"]["file"], said["new"]["rows"]) == ("data.csv", "new.csv", Q)
    mean, variance = predicted(the_model(), return_var=True, latent=latent)
    wanted = {"mean": mean, spread: variance if spread == "variance" else np.sqrt(variance)}
    if kind == "npz":
        found = np.load(out)
        assert found.files == list(wanted)
    else:
        wanted = {"x": NEW[:, 0], "y": NEW[:, 1], **wanted}
        read = read_points(out)
        assert read.columns == list(wanted)
        found = dict(zip(read.columns, read.points.T))
    for name, values in wanted.items():
        np.testing.assert_array_equal(found[name], values)


@pytest.mark.parametrize("trend", ["constant", "linear"])
def test_a_trend_is_that_of_universal_kriging(folder, trend):
    """With all neighbours, against the equations of kriging with Lagrange multipliers."""
    all_neighbors = (*PROCESS, "--neighbors", N + Q, "--inducing", 0, "--trend", trend)
    # Far from the origin, as coordinates of maps are.
    shift = np.array([4e5, 5.7e6])
    write(folder / "data.csv", {"x": COORDS[:, 0] + shift[0], "y": COORDS[:, 1] + shift[1], "z": 30 + Y})
    write(folder / "new.csv", {"x": NEW[:, 0] + shift[0], "y": NEW[:, 1] + shift[1]})
    files = ("data.csv", "new.csv", "--response", "z")
    count = {"constant": 1, "linear": 3}[trend]
    design, at = (np.column_stack([np.ones(len(one)), *one.T][:count]) for one in (COORDS, NEW))
    covariance = KERNEL(COORDS) + 0.1 * np.eye(N)
    system = np.block([[covariance, design], [design.T, np.zeros((count, count))]])
    towards = np.vstack([KERNEL(COORDS, NEW), at.T])
    weights = np.linalg.solve(system, towards)
    for latent in (False, True):
        ask("predict", *files, *all_neighbors, "--spread", "variance", "-o", "out.npz", *["--latent"] * latent)
        found = np.load("out.npz")
        np.testing.assert_allclose(found["mean"], weights[:N].T @ (30 + Y), rtol=1e-6)
        variance = 1.5 + 0.1 * (not latent) - (weights * towards).sum(axis=0)
        np.testing.assert_allclose(found["variance"], variance, rtol=1e-5)
    said = ask("likelihood", "data.csv", "--response", "z", *all_neighbors)
    whitened = np.linalg.solve(covariance, design)
    rest = 30 + Y - design @ np.linalg.solve(whitened.T @ design, whitened.T @ (30 + Y))
    log_determinant = np.linalg.slogdet(covariance)[1]
    wanted = -0.5 * (rest @ np.linalg.solve(covariance, rest) + log_determinant + N * np.log(2 * np.pi))
    np.testing.assert_allclose(said["log_likelihood"], wanted, rtol=1e-6)


def test_the_trend_is_as_in_python(folder):
    design = np.column_stack([np.ones(N), COORDS])
    said = likelihood("data.csv", "--response", "z", "--trend", "linear", "--gradient")
    value, gradient = the_model().log_likelihood(Y, trend=design, eval_gradient=True)
    np.testing.assert_allclose(said["log_likelihood"], value, rtol=1e-9)
    np.testing.assert_allclose(said["gradient"]["log_noise"], gradient[0], rtol=1e-6)


def test_output_for_people(folder):
    value = the_model().log_likelihood(Y)
    arguments = ("data.csv", "--response", "z", *PROCESS, *SIZES, "--gradient")
    done = CliRunner().invoke(app, ["likelihood", *map(str, arguments)], catch_exceptions=False)
    assert "data.csv: header in line 1; columns x, y; response z; 150 rows\n" in done.stdout
    assert f"log likelihood {value:,.4f}" in " ".join(done.stdout.split())
    assert "gradient by log lengthscales" in done.stdout
    arguments = ("data.csv", "new.csv", "--response", "z", *PROCESS, *SIZES, "-o", "out.csv")
    done = CliRunner().invoke(app, ["predict", *map(str, arguments)], catch_exceptions=False)
    assert "new.csv: header in line 1; columns x, y; 12 rows\n" in done.stdout
    assert "predictions 12" in " ".join(done.stdout.split())


# Columns


def test_new_points_have_their_columns_by_name(folder):
    mean = predicted(the_model())
    words = [f"place {row}" for row in range(Q)]
    mixed = {"note": words, "y": NEW[:, 1], "z": np.full(Q, 9), "x": NEW[:, 0]}
    for name in ("mixed.csv", "mixed.parquet"):
        said, found = predict("data.csv", write(folder / name, mixed), "--response", "z")
        np.testing.assert_array_equal(found["mean"], mean)
        assert (said["new"]["columns"], said["new"]["rows"]) == (["x", "y"], Q)
    more = write(folder / "more.parquet", {"z": Y, "note": [""] * N, "y": COORDS[:, 1], "x": COORDS[:, 0]})
    _, found = predict(more, "mixed.csv", "--response", "z", "--columns", "3,2")
    np.testing.assert_array_equal(found["mean"], mean)


@pytest.mark.parametrize("names", ["response first", "response last", "response between"])
def test_new_points_have_their_columns_by_number(folder, names):
    at = {"response first": 0, "response between": 1, "response last": 2}[names]
    np.save("data.npy", np.insert(COORDS, at, Y, axis=1))
    np.save("alone.npy", NEW)
    np.save("both.npy", np.insert(NEW, at, 7, axis=1))
    mean = predicted(the_model())
    for new in ("alone.npy", "both.npy", "new.csv"):
        _, found = predict("data.npy", new, "--response", at)
        np.testing.assert_array_equal(found["mean"], mean)
    _, found = predict("data.csv", "alone.npy", "--response", "z")
    np.testing.assert_array_equal(found["mean"], mean)
    if at == 0:
        np.save("other.npy", NEW[:, :1])
        error = refused_prediction("data.npy", "other.npy", "--response", 0)
        assert "other.npy: expected 2 columns, or those of data.npy (0 to 2), got 1" in error


def test_a_table_of_arrays_has_the_names_of_the_data(folder):
    np.save("new.npy", NEW)
    ask("predict", "data.csv", "new.npy", "--response", "z", *PROCESS, *SIZES, "-o", "out.csv")
    assert read_points(folder / "out.csv").columns == ["x", "y", "mean", "sd"]
    np.save("data.npy", np.column_stack([COORDS, Y]))
    ask("predict", "data.npy", "new.npy", "--response", 2, *PROCESS, *SIZES, "-o", "out.parquet")
    assert parquet.read_table("out.parquet").column_names == ["0", "1", "mean", "sd"]


def test_arrays_of_an_archive(folder):
    write(folder / "data.npz", {"coords": COORDS, "z": Y})
    write(folder / "more.npz", {"coords": COORDS, "z": Y[:, None], "other": Y})
    write(folder / "new.npz", {"places": NEW})
    write(folder / "news.npz", {"coords": NEW, "z": Y})
    value, mean = the_model().log_likelihood(Y), predicted(the_model())
    said = likelihood("data.npz", "--response", "z")
    assert said["log_likelihood"] == value
    assert (said["read"]["array"], said["read"]["response"]) == ("coords", "z")
    assert likelihood("more.npz", "--response", "z", "--array", "coords")["log_likelihood"] == value
    for new in ("new.npz", "news.npz"):
        np.testing.assert_array_equal(predict("data.npz", new, "--response", "z")[1]["mean"], mean)
    write(folder / "one.npz", {"all": np.column_stack([COORDS, Y])})
    assert likelihood("one.npz", "--response", 2)["log_likelihood"] == value
    for columns, options, words in [
        ({"coords": COORDS, "z": Y[:-1]}, (), "wrong.npz: array z: expected 150 numbers, one for each point, got 149"),
        (
            {"coords": COORDS, "z": COORDS},
            (),
            "wrong.npz: array z: expected 150 numbers, one for each point, got shape",
        ),
        ({"coords": COORDS, "z": np.full(N, np.nan)}, (), "wrong.npz: array z: row 0, column 0: expected a finite"),
        ({"coords": COORDS, "z": ["a"] * N}, (), "wrong.npz: array z: expected real numbers, got dtype <U1"),
        ({"a": COORDS, "b": COORDS, "z": Y}, (), "wrong.npz: has a, b; say which with --array"),
        ({"z": Y}, (), "wrong.npz: expected an array of points, got none"),
        ({"a": COORDS, "z": Y}, ("--array", "q"), "wrong.npz: has no array 'q'; there are a"),
    ]:
        write(folder / "wrong.npz", columns)
        assert words in refused_prediction("wrong.npz", "new.npz", "--response", "z", *options)


def test_columns_of_lists(folder):
    def table(coords, **others):
        lists = pyarrow.array(coords.tolist(), pyarrow.list_(pyarrow.float64()))
        return pyarrow.table({"place": lists, **others})

    parquet.write_table(table(COORDS, z=Y), "data.parquet")
    parquet.write_table(table(NEW), "new.parquet")
    assert likelihood("data.parquet", "--response", "z")["log_likelihood"] == the_model().log_likelihood(Y)
    ask("predict", "data.parquet", "new.parquet", "--response", "z", *PROCESS, *SIZES, "-o", "out.csv")
    read = read_points(folder / "out.csv")
    assert read.columns == ["place[0]", "place[1]", "mean", "sd"]
    np.testing.assert_array_equal(read.points[:, :2], NEW)
    parquet.write_table(table(NEW[:, :1]), "short.parquet")
    error = refused_prediction("data.parquet", "short.parquet", "--response", "z")
    assert "short.parquet: expected 2 coordinates, got 1" in error
    error = refused_prediction("data.parquet", "new.parquet", "--response", "place", "--columns", "z")
    assert "column 'place': expected numbers, got list" in error


def test_an_index_is_no_coordinate(folder):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"x": COORDS[:, 0], "y": COORDS[:, 1], "z": Y})
    frame = frame.iloc[np.roll(np.arange(N), 1)]
    frame.to_csv("indexed.csv")
    frame.to_parquet("indexed.parquet")
    value = the_model(coords=np.roll(COORDS, 1, axis=0)).log_likelihood(np.roll(Y, 1))
    for name in ("indexed.csv", "indexed.parquet"):
        said = likelihood(name, "--response", "z")
        assert said["log_likelihood"] == value
        assert len(said["read"]["left_out"]) == 1


def test_names_that_need_quotes(folder):
    names = ['the "x", km', "y\nkm"]
    for name, coords, others in [("data.csv", COORDS, {"z": Y}), ("new.csv", NEW, {})]:
        with (folder / name).open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow([*names, *others])
            writer.writerows(np.column_stack([coords, *others.values()]).tolist())
    ask("predict", "data.csv", "new.csv", "--response", "z", *PROCESS, *SIZES, "-o", "out.csv")
    read = read_points(folder / "out.csv")
    assert read.columns == [*names, "mean", "sd"]
    np.testing.assert_array_equal(read.points[:, :2], NEW)


def test_types_of_coordinates(folder):
    """Predictions are of the numbers that were read, and tables have those."""
    np.save("data.npy", np.column_stack([np.arange(20), np.arange(20) % 3, np.arange(20) % 5]))
    np.save("new.npy", np.arange(6).reshape(3, 2))
    options = ("--response", 2, "--noise", 1, "--inducing", 0)
    ask("predict", "data.npy", "new.npy", *options, "-o", "out.csv")
    assert (folder / "out.csv").read_text().startswith("0,1,mean,sd\n0,1,")
    np.save("half.npy", np.arange(6, dtype=np.float16).reshape(3, 2))
    ask("predict", "data.npy", "half.npy", *options, "-o", "half.csv")
    assert (folder / "half.csv").read_text() == (folder / "out.csv").read_text()
    np.save("none.npy", np.empty((0, 2)))
    assert ask("predict", "data.npy", "none.npy", *options, "-o", "none.parquet")["predictions"] == 0
    assert parquet.read_table("none.parquet").shape == (0, 4)


# Errors


@pytest.fixture
def unused(monkeypatch):
    """Fail the test if a model is made."""

    def make(*_, **__):
        raise AssertionError("a model is made before the error")

    monkeypatch.setattr(_models, "VIF", make)


def refused_prediction(*arguments, out="out.csv"):
    """The error of a prediction, which writes nothing."""
    before = set(os.listdir())
    try:
        ask("predict", *arguments, *PROCESS, *SIZES, "--out", out)
    except (ValueError, OSError) as error:
        assert set(os.listdir()) == before
        return str(error)
    raise AssertionError("expected an error")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--response", "q"), "--response: expected a column of data.csv (x, y, z), got 'q'"),
        (("--response", 3), "--response: expected a column of data.csv (x, y, z), got '3'"),
        (("--response", "z", "--columns", "x,z"), "--response: expected a column that is not in --columns, got 'z'"),
        (("--response", "z", "--columns", "x,q"), "data.csv: has no column 'q'; there are x, y, z"),
        (("--response", "z", "--kernel", "cubic"), "--kernel: expected one of rbf, matern12, matern32, matern52, got"),
        (("--response", "z", "--lengthscale", "a"), "--lengthscale: expected numbers with commas, got 'a'"),
        (("--response", "z", "--lengthscale", "0"), "--lengthscale: expected finite numbers above 0, got 0.0"),
        (("--response", "z", "--variance=-1"), "--variance: expected a finite number above 0, got -1.0"),
        (("--response", "z", "--noise=-0.1"), "--noise: expected a finite number from 0 up, got -0.1"),
        (("--response", "z", "--noise", "nan"), "--noise: expected a finite number from 0 up, got nan"),
        (("--response", "z", "--inducing", 151), "--inducing: expected 0 to 150, got 151"),
        (("--response", "z", "--ordering", "best"), "--ordering: expected one of maxmin, random, natural, got 'best'"),
        (("--response", "z", "--sets", "best"), "--sets: expected one of residual, euclidean, got 'best'"),
        (("--response", "z", "--trend", "cubic"), "--trend: expected one of none, constant, linear, got 'cubic'"),
        (("--response", "z", "--set", "gold=1"), "--set: no setting 'gold'"),
    ],
)
@pytest.mark.parametrize("command", ["likelihood", "predict"])
@pytest.mark.usefixtures("folder", "unused")
def test_refused_options(capsys, command, options, words):
    files = ("data.csv",) if command == "likelihood" else ("data.csv", "new.csv", "--out", "out.csv")
    error = refused(capsys, 1, command, *files, *PROCESS, *SIZES, *options)
    assert error.startswith(f"covertreex: {words}")
    assert error.count("\n") == 1
    assert not os.path.exists("out.csv")


def test_options_that_are_missing(folder, capsys):
    for arguments in [
        ("likelihood", "data.csv", "--noise", 1),
        ("likelihood", "data.csv", "--response", "z"),
        ("likelihood", "data.csv", "--response", "z", "--noise", "a"),
        ("likelihood", "none.csv", "--response", "z", "--noise", 1),
        ("likelihood", "data.csv", "--response", "z", "--noise", 1, "--neighbors", -1),
        ("predict", "data.csv", "new.csv", "--response", "z", "--noise", 1),
        ("predict", "data.csv", "--response", "z", "--noise", 1, "--out", "out.csv"),
    ]:
        assert "Usage" in refused(capsys, 2, *arguments)


@pytest.mark.parametrize(
    ("text", "response", "words"),
    [
        ("x,y,z\n1,2,3\n4,,6\n", "z", "line 3, column y: expected a finite number, got an empty field"),
        ("x,y,z\n1,2,3\n4,5,\n", "z", "line 3, column z: expected a finite number, got an empty field"),
        ("x,y,z\n1,2,nan\n4,5,6\n", "z", "line 2, column z: expected a finite number, got 'nan'"),
        ("x,y,z\na,2,3\nb,5,6\n", "z", "line 2, column x: expected a finite number, got 'a'"),
        ("x,y,z\n1,2,a\n4,5,b\n", "z", "line 2, column z: expected a finite number, got 'a'"),
        ("z\n1\n2\n", "z", "expected a column of coordinates, got no column but the response"),
        ("x,z,z\n1,2,3\n", "z", "has 2 columns 'z'; choose by number, 0 to 2"),
        ("x,y,z\n", "z", "has no rows below the names in line 1"),
    ],
)
def test_faults_of_the_data(folder, unused, text, response, words):
    (folder / "bad.csv").write_text(text)
    with pytest.raises(ValueError) as error:
        likelihood("bad.csv", "--response", response)
    assert str(error.value) == f"bad.csv: {words}"


def test_faults_of_parquet_and_arrays(folder, unused):
    write(folder / "words.parquet", {"x": [1.0, 2.0], "z": ["a", "b"], "w": ["c", "d"]})
    np.save("nan.npy", np.where(np.arange(12).reshape(4, 3) == 8, np.nan, 1))
    for arguments, words in [
        (("words.parquet", "--response", "z"), "words.parquet: cannot tell which columns are coordinates"),
        (
            ("words.parquet", "--response", "z", "--columns", "x"),
            "words.parquet: column 'z': expected numbers, got str",
        ),
        (("nan.npy", "--response", 2), "nan.npy: row 2, column 2: expected a finite number, got nan"),
        (("nan.npy", "--response", 0), "nan.npy: row 2, column 2: expected a finite number, got nan"),
        (("nan.npy", "--response", 3), "--response: expected a column of nan.npy (0 to 2), got '3'"),
        (("nan.npy", "--response", 0, "--header"), "nan.npy: --header and --no-header are for text"),
    ]:
        with pytest.raises(ValueError) as error:
            likelihood(*arguments)
        assert str(error.value).startswith(words)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x\n1\n", "expected one column y, as in data.csv, got x"),
        ("x,Y\n1,2\n", "expected one column y, as in data.csv, got x, Y"),
        ("x,y,y\n1,2,3\n", "expected one column y, as in data.csv, got x, y, y"),
        ("1\n2\n", "expected 2 columns, or those of data.csv (x, y, z), got 1"),
        ("x,y\n1,\n", "line 2, column y: expected a finite number, got an empty field"),
        ("x,y\n1,a\n", "line 2, column y: expected a finite number, got 'a'"),
        ("x,y\n", "has no rows below the names in line 1"),
    ],
)
def test_faults_of_new_points(folder, unused, text, words):
    (folder / "bad.csv").write_text(text)
    assert refused_prediction("data.csv", "bad.csv", "--response", "z") == f"bad.csv: {words}"


def test_headers_of_both_files(folder):
    (folder / "new.csv").write_text("0,1\n1,1\n")
    np.save("data.npy", np.column_stack([COORDS, Y]))
    assert "say which with --header" in refused_prediction("data.npy", "new.csv", "--response", 2)
    assert predict("data.npy", "new.csv", "--response", 2, "--no-header")[0]["predictions"] == 2
    assert predict("data.npy", "new.csv", "--response", 2, "--header")[0]["predictions"] == 1
    np.save("new.npy", NEW)
    assert predict("data.csv", "new.npy", "--response", "z", "--header")[0]["predictions"] == Q
    error = refused_prediction("data.npy", "new.npy", "--response", 2, "--header")
    assert error == "data.npy: --header and --no-header are for text"


@pytest.mark.parametrize(
    ("out", "words"),
    [
        ("out.txt", "--out: expected a name that ends in .parquet, .csv or .npz, got out.txt"),
        ("out", "--out: expected a name that ends in .parquet, .csv or .npz, got out"),
        ("no/such/out.csv", "no/such/out.csv: No such file or directory"),
        ("data.csv/out.csv", "data.csv/out.csv: Not a directory"),
        ("folder.csv", "folder.csv: path: expected a regular file or nothing there, got a directory"),
    ],
)
def test_outputs_that_cannot_be_written(folder, capsys, unused, out, words):
    (folder / "folder.csv").mkdir()
    error = refused(capsys, 1, "predict", "data.csv", "new.csv", "--response", "z", *PROCESS, "-o", out)
    assert error == f"covertreex: {words}\n"


@pytest.mark.parametrize("out", ["out.csv", "out.parquet"])
def test_tables_need_pyarrow(folder, unused, monkeypatch, out):
    np.save("data.npy", np.column_stack([COORDS, Y]))
    np.save("new.npy", NEW)
    for module in ("pyarrow", "pyarrow.csv", "pyarrow.parquet"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=f"{out}: needs pyarrow: pip install pyarrow"):
        ask("predict", "data.npy", "new.npy", "--response", 2, *PROCESS, "--out", out)


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_folders_without_permission(folder, unused):
    (folder / "closed").mkdir(mode=0o500)
    assert "Permission denied" in refused_prediction("data.csv", "new.csv", "--response", "z", out="closed/o.csv")


def test_names_that_results_have(folder, unused):
    for names in (["mean", "y"], ["x", "sd"]):
        write(folder / "data.csv", {names[0]: COORDS[:, 0], names[1]: COORDS[:, 1], "z": Y})
        write(folder / "new.csv", {names[0]: NEW[:, 0], names[1]: NEW[:, 1]})
        error = refused_prediction("data.csv", "new.csv", "--response", "z")
        expected = "expected columns that differ from each other, from mean and from sd for out.csv"
        assert error == f"new.csv: {expected}, got {', '.join(names)}"
    with pytest.raises(ValueError, match="--spread: expected one of sd, variance, got 'range'"):
        ask("predict", "data.csv", "new.csv", "--response", "z", *PROCESS, "--out", "out.csv", "--spread", "range")


def test_errors_of_the_model(folder, capsys):
    twice = np.concatenate([COORDS[:5], COORDS])
    np.save("twice.npy", np.column_stack([twice, np.zeros(len(twice))]))
    np.save("empty.npy", np.empty((0, 3)))
    np.save("flat.npy", np.column_stack([COORDS[:, 0], np.full(N, 0.1), Y]))
    for arguments, words in [
        (("twice.npy", "--response", 2, "--noise", 0), "--noise: "),
        (("empty.npy", "--response", 2, "--inducing", 0), "empty.npy: expected at least 1 row"),
        (("flat.npy", "--response", 2, "--trend", "linear"), "--trend: expected linearly independent columns"),
        (("data.csv", "--response", "z", "--lengthscale", "1,2,3"), "--lengthscale: expected one number or 2"),
    ]:
        error = refused(capsys, 1, "likelihood", *PROCESS, *SIZES, *arguments)
        assert error.startswith(f"covertreex: {words}")


def test_a_file_is_replaced_in_one_step(folder, monkeypatch):
    (folder / "out.csv").write_text("old")
    os.chmod("out.csv", 0o640)
    before = os.stat("out.csv").st_ino
    ask("predict", "data.csv", "new.csv", "--response", "z", *PROCESS, *SIZES, "-o", "out.csv")
    after = os.stat("out.csv")
    assert (after.st_mode & 0o777, after.st_ino != before) == (0o640, True)
    written = (folder / "out.csv").read_bytes()

    def fail(*_):
        raise OSError("the disk is full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="the disk is full"):
        ask("predict", "data.csv", "new.csv", "--response", "z", *PROCESS, *SIZES, "-o", "out.csv")
    assert (folder / "out.csv").read_bytes() == written
    assert sorted(os.listdir()) == ["data.csv", "new.csv", "out.csv"]


def test_commands_in_the_help():
    done = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "200"})
    names = [command.name or command.callback.__name__ for command in app.registered_commands]
    files = ["build", "query", "neighbors", "validate", "info", "pairs", "mst"]
    assert names == [*files, "fit", "likelihood", "predict", "report", "bench", "doctor"]
    assert all(name in done.stdout for name in names)

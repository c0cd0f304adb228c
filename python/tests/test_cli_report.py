"""The command report: a page on a fit, with the numbers of the model and of its predictions."""

import dataclasses
import html
import json
import os
import re
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("typer")
pytest.importorskip("pyarrow")
pytest.importorskip("scipy")
pytest.importorskip("matplotlib")
import browser
import vif_oracle as oracle
from file_reader import read, write
from scipy.stats import norm
from test_cli import ask, refused
from test_cli_fit import people, table

import covertreex
from covertreex import CoverTreeError, cover_tree, vecchia
from covertreex.cli import _fit, _pictures
from covertreex.cli._regression import Model
from covertreex.kernels import Matern32
from covertreex.plot._panels import NEAR, QUIET, SELF
from covertreex.vecchia import VIF

rng = np.random.default_rng(5)
N, Q = 90, 40
COORDS = rng.random((N + Q, 2)) * [1, 3]
Y = 20 + np.sin(5 * COORDS[:, 0]) + COORDS[:, 1] + 0.1 * rng.standard_normal(N + Q)
# Names that HTML and Matplotlib could take for something else.
NAMES = ("<script>alert('1')</script>", r"$\frac{a & b$")
RESPONSE = '"z" <b>'
FIT = ("data.csv", "--response", RESPONSE, "--neighbors", 8, "--inducing", 20, "--max-iterations", 3)
REPORT = ("model.ct", "--out", "page.html")


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """A folder with data, test data, a model, a page on it, and all that the two commands report."""
    folder = tmp_path_factory.mktemp("fitted")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        quoted(folder / "data.csv", COORDS[:N], Y[:N])
        quoted(folder / "test.csv", COORDS[N:, ::-1], Y[N:], NAMES[::-1])
        fit = ask("fit", *FIT, "--trend", "linear", "--out", "model.ct")
        said = ask("report", *REPORT, "--test", "test.csv")
    return folder, fit, said


def quoted(path, coords, y, names=NAMES):
    table(path, coords, names=['"' + name.replace('"', '""') + '"' for name in names], **{'"""z"" <b>"': y})


@pytest.fixture
def folder(fitted, tmp_path, monkeypatch):
    """A copy of that folder, to work in."""
    shutil.copytree(fitted[0], tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    return tmp_path / "copy"


class Page:
    """The numbers and words of a page, by the elements that have them."""

    def __init__(self, path):
        self.text = path.read_text(encoding="utf-8")
        self.rows = {}
        for head, cells in re.findall(r'<tr><th scope="row">(.*?)</th>(.*?)</tr>', self.text):
            self.rows.setdefault(words(head), []).append(numbers(cells))
        self.facts = {
            words(name): (numbers(value) or [words(value)])[0]
            for name, value in re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", self.text)
        }
        self.pictures = [html.unescape(one) for one in re.findall(r'<svg [^>]*aria-label="([^"]*)"', self.text)]


def words(markup):
    return html.unescape(re.sub("<.*?>", "", markup))


def numbers(markup):
    return [float(one) for one in re.findall(r'<data value="(.*?)">', markup)]


def scored(observed, mean, variance):
    """The rows of the scores, by formulas of SciPy."""
    sd = np.sqrt(variance)
    z = (observed - mean) / sd
    rows = {
        "RMSE": np.sqrt(np.mean((observed - mean) ** 2)),
        "Mean absolute error": np.mean(np.abs(observed - mean)),
        "CRPS": np.mean(sd * (z * (2 * norm.cdf(z) - 1) + 2 * norm.pdf(z) - 1 / np.sqrt(np.pi))),
        "Log score": -norm.logpdf(observed, mean, sd).mean(),
    }
    for level in (0.5, 0.8, 0.95):
        low, high = norm.interval(level, mean, sd)
        rows[f"In {100 * level:.0f} % intervals"] = np.mean((low <= observed) & (observed <= high))
    return {**rows, "Observations": len(observed), "Their standard deviation": observed.std()}


def left_out(model):
    """Each observation by all others, one after the other, from dense matrices."""
    dense = oracle.of(
        COORDS[:N], model.kernel, model.noise, order=model.order, sets=oracle.unpadded(model.neighbors),
        inducing=model.inducing_points,
    )  # fmt: skip
    design = np.column_stack([np.ones(N), COORDS[:N]])
    return oracle.left_out(oracle.covariance(dense), Y[:N], design)


# Numbers


def test_scores(fitted):
    folder, _, said = fitted
    model = covertreex.load(folder / "model.ct")
    design = np.column_stack([np.ones(N), COORDS[:N]])
    both, width = np.column_stack([Y[:N], design]), 2 * model.n_neighbors
    mean, variance = model.predict(COORDS[N:], both, return_var=True, n_neighbors=width)
    beta, spread = model.trend(Y[:N], design)
    beyond = np.column_stack([np.ones(Q), COORDS[N:]]) - mean[:, 1:]
    of_test = mean[:, 0] + beyond @ beta, variance + ((beyond @ spread) * beyond).sum(axis=1)
    wanted = [scored(Y[:N], *left_out(model)), scored(Y[N:], *of_test)]
    rows = Page(folder / "page.html").rows
    for name, value in wanted[0].items():
        np.testing.assert_allclose(rows[name], [[value, wanted[1][name]]], rtol=1e-6, err_msg=name)
    for key, one in zip(("leave_one_out", "test"), wanted):
        found = [said["scores"][key][name] for name in ("rmse", "mae", "crps", "log_score")]
        np.testing.assert_allclose(found, list(one.values())[:4], rtol=1e-6)
        np.testing.assert_allclose(list(said["scores"][key]["coverage"].values()), list(one.values())[4:7])


def test_hyperparameters_and_fit(fitted):
    folder, fit, _ = fitted
    page = Page(folder / "page.html")
    scales, slopes = np.array(list(fit["lengthscales"].values())), list(fit["trend"]["slopes"].values())
    relevance = COORDS[:N].std(axis=0) / scales
    for row, name in enumerate(NAMES):
        np.testing.assert_allclose(page.rows[name][0], [scales[row], relevance[row], slopes[row]], rtol=1e-12)
    for name, value in {
        "Standard deviation of the noise": np.sqrt(fit["noise"]),
        "Standard deviation of the process": np.sqrt(fit["variance"]),
        "Constant of the trend": fit["trend"]["constant"],
        "Log likelihood": fit["log_likelihood"],
        "Iterations": 3,
        "Evaluations of likelihood and gradient": fit["evaluations"],
        "Choices of order, sets and inducing points": fit["refits"],
        "Seconds": fit["seconds"],
        "Neighbours": 8,
        "Inducing points": 20,
        "observations": N,
    }.items():
        np.testing.assert_allclose(page.facts[name], value, rtol=1e-12, err_msg=name)
    assert (page.facts["Ended"], page.facts["Trend"]) == ("at the limit of iterations", "linear")
    assert (page.facts["Kernel"], page.facts["Neighbours by"]) == ("Matern 3/2", "residual correlation")
    assert fit["warnings"] and all(html.escape(one) in page.text for one in fit["warnings"])


def test_data(fitted):
    page = Page(fitted[0] / "page.html")
    for name, values in [*zip(NAMES, COORDS[:N].T), (f"{RESPONSE} response", Y[:N])]:
        wanted = [values.min(), values.mean(), values.std(), values.max()]
        np.testing.assert_allclose(page.rows[name][-1], wanted, rtol=1e-12)
    for words_ in ("<h3>data.csv</h3>", f"response {html.escape(RESPONSE)}"):
        assert words_ in page.text


def test_pictures(fitted):
    page = Page(fitted[0] / "page.html")
    over = " and ".join(NAMES)
    starts = [
        f"Map of the predicted mean of {RESPONSE} over {over}", f"Map of the standard deviation of {RESPONSE} over",
        "Share of observations in central intervals", "Share of observations in central intervals",
        "Bars of the standard deviation of each column over its lengthscale; the largest", "Log likelihood per",
    ]  # fmt: skip
    assert len(page.pictures) == len(starts)
    for alt, start in zip(page.pictures, starts):
        assert alt.startswith(start)
    # The scheme of the page replaces these colours of Matplotlib.
    for colour in (QUIET, NEAR, SELF):
        assert f'[style*="fill: {colour}"]' in page.text
    assert f"fill: {NEAR}" in page.text.partition("<svg")[2]
    assert len(set(re.findall(r'\bid="(.*?)"', page.text))) == len(re.findall(r'\bid="', page.text)) > 50


def test_the_map_is_of_predictions(fitted, monkeypatch):
    drawn = []
    real = _pictures.drawn_field
    monkeypatch.setattr(_pictures, "drawn_field", lambda *given, **how: drawn.append((given, real(*given, **how))))
    monkeypatch.chdir(fitted[0])
    ask("report", "model.ct", "--out", "other.html")
    ((predict, coords, response, _), (ax, _)), *_ = drawn
    model = Model.load(fitted[0] / "model.ct")
    for found, wanted in zip(predict(COORDS[N:]), model.predict(COORDS[N:], latent=True, progress=None)):
        np.testing.assert_array_equal(found, wanted)
    np.testing.assert_array_equal(response, Y[:N])
    np.testing.assert_array_equal(coords, COORDS[:N])
    values = ax.collections[0].get_array()
    grid = np.array([[ax.get_xlim()[0], ax.get_ylim()[1]]])
    np.testing.assert_allclose(values[-1, 0], model.predict(grid, latent=False, progress=None)[0])


def test_a_page_is_the_same_twice(folder):
    before = (folder / "page.html").read_bytes()
    ask("report", *REPORT, "--test", "test.csv")
    assert (folder / "page.html").read_bytes() == before


# Pages of other data


@pytest.mark.parametrize(("dim", "trend"), [(1, "linear"), (2, "none"), (3, "constant"), (40, "linear")])
def test_other_numbers_of_columns(tmp_path, monkeypatch, dim, trend):
    monkeypatch.chdir(tmp_path)
    coords = np.random.default_rng(dim).random((70, dim))
    np.save("data.npy", np.column_stack([coords, coords[:, 0]]))
    fit = ask("fit", "data.npy", "--response", dim, "--trend", trend, "--max-iterations", 1, "--out", "model.ct")
    ask("report", *REPORT)
    page = Page(tmp_path / "page.html")
    assert sum(alt.startswith("Map") for alt in page.pictures) == (2 if dim == 2 else 0)
    np.testing.assert_allclose(page.rows["0"][0][0], next(iter(fit["lengthscales"].values())))
    assert len(page.rows["0"][0]) == (3 if trend == "linear" else 2)
    assert len(page.rows["RMSE"][0]) == 1
    assert page.facts["Trend"] == trend


def test_a_column_that_does_not_vary(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table(tmp_path / "data.csv", np.column_stack([COORDS[:60, 0], np.ones(60)]), names=["x", "one"], z=Y[:60])
    ask("fit", "data.csv", "--response", "z", "--max-iterations", 1, "--out", "model.ct")
    ask("report", *REPORT)
    page = Page(tmp_path / "page.html")
    assert not any(alt.startswith("Map") for alt in page.pictures)
    assert page.rows["one"][-1] == [1, 1, 0, 1]


def test_lengthscales_at_their_bound(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table(tmp_path / "data.csv", COORDS, names=["x", "unused"], z=np.sin(9 * COORDS[:, 0]))
    ask("fit", "data.csv", "--response", "z", "--neighbors", 8, "--out", "model.ct")
    ask("report", *REPORT)
    text = (tmp_path / "page.html").read_text()
    assert text.count('class="flag"') == 1
    assert re.search(r'<th scope="row">unused</th><td><data [^>]*>[^<]*</data><span class="flag"> at its upper', text)


@pytest.mark.usefixtures("folder")
def test_test_data_by_number_and_in_archives(capsys):
    wanted = ask("report", *REPORT, "--test", "test.csv")["scores"]
    np.save("test.npy", np.column_stack([COORDS, Y])[N:])
    assert ask("report", *REPORT, "--test", "test.npy")["scores"] == wanted
    np.savez("data.npz", coords=COORDS[:N], z=Y[:N])
    np.savez("test.npz", coords=COORDS[N:], z=Y[N:], other=Y)
    ask("fit", "data.npz", "--response", "z", "--array", "coords", *FIT[3:], "--trend", "linear", "--out", "model.ct")
    assert ask("report", *REPORT, "--test", "test.npz")["scores"] == wanted
    error = refused(capsys, 1, "report", *REPORT, "--test", "test.npy")
    assert error == "covertreex: test.npy: expected an .npz with the array z, as for model.ct, got columns 0 to 2\n"


@pytest.mark.usefixtures("folder")
def test_a_trend_that_needs_each_observation(capsys):
    coords = np.column_stack([COORDS[:60, 0], np.arange(60) == 7])
    np.save("data.npy", np.column_stack([coords, Y[:60]]))
    ask("fit", "data.npy", "--response", 2, "--trend", "linear", "--max-iterations", 1, "--out", "model.ct")
    error = refused(capsys, 1, "report", *REPORT)
    assert error == "covertreex: model.ct: expected coefficients that are known without row 7, got others\n"


# Names


@pytest.mark.usefixtures("fitted")
def test_names_are_text(fitted):
    text = (fitted[0] / "page.html").read_text()
    for name in (*NAMES, RESPONSE):
        assert name not in text
        assert html.escape(name) in text
    assert "<script" not in text and "<b>" not in text
    # Matplotlib writes names, too.
    assert re.search(r"<text [^>]*>&lt;script&gt;alert\('1'\)", text)


def test_names_that_cannot_be_seen(folder):
    """They are in files that others wrote."""
    file = read((folder / "model.ct").read_bytes())
    said = json.loads(file.sections["covertreex.regression"].tobytes())
    said["names"] = ["a\ud800\0b" * 20, "日本" * 300, "z\n"]
    said["response"] = "z\n"
    file.sections["covertreex.regression"] = np.frombuffer(json.dumps(said).encode(), np.uint8)[:, None]
    (folder / "model.ct").write_bytes(write(file))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ask("report", *REPORT)
    text = (folder / "page.html").read_text(encoding="utf-8")
    assert r"a\ud800\x00b" in text and "日本" * 300 in text and r"z\n" in text
    assert "\0" not in text


def test_a_page_needs_nothing_else(fitted):
    text = (fitted[0] / "page.html").read_text()
    assert not re.findall(r"""(?:src|href|url)\W+(?!data:|#)\w+:""", re.sub(r"xmlns\S+", "", text))
    assert "@import" not in text


# Files


@pytest.mark.usefixtures("folder")
def test_a_file_keeps_the_fit(monkeypatch):
    found = []
    real = _fit.fitted

    def fitted(*data, **options):
        found.append(real(*data, **options))
        return found[0]

    monkeypatch.setattr(_fit, "fitted", fitted)
    ask("fit", *FIT, "--out", "other.ct")
    record = Model.load(Path("other.ct")).record
    assert record.source == "data.csv"
    for field in dataclasses.fields(vecchia.Fit):
        before, after = (getattr(one, field.name) for one in (found[0], record.fit))
        if field.name == "history":
            assert len(before) == len(after) > 3
            for one, other in zip(before, after):
                np.testing.assert_array_equal(one.theta, other.theta)
                assert dataclasses.replace(one, theta=None) == dataclasses.replace(other, theta=None)
                assert [type(value) for value in vars(one).values()] == [type(value) for value in vars(other).values()]
        elif field.name != "model":
            np.testing.assert_array_equal(before, after, err_msg=field.name)


def test_files_without_a_fit(folder):
    """As before files had one."""
    file = read((folder / "model.ct").read_bytes())
    for name in ("covertreex.fit", "covertreex.history"):
        del file.sections[name]
    (folder / "old.ct").write_bytes(write(file))
    with_fit = ask("report", *REPORT)
    assert {**ask("report", "old.ct", *REPORT[1:]), "seconds": 0, "file_bytes": 0, "read": 0} == {
        **with_fit, "seconds": 0, "file_bytes": 0, "read": 0
    }  # fmt: skip
    page = Page(folder / "page.html")
    assert "The file has no history of the fit" in page.text
    assert len(page.pictures) == 4
    assert "<h3>old.ct</h3>" in page.text
    assert ask("predict", "old.ct", "test.csv", "-o", "out.csv")["predictions"] == Q


GOOD = {"source", "log_likelihood", "theta", "bounds", "sets_theta", "iterations", "evaluations", "refits", "seconds",
        "stopped", "messages"}  # fmt: skip
PAIRS = [[0, 1]] * 4


@pytest.mark.parametrize(
    "change",
    [
        {"source": 3}, {"source": None}, {"log_likelihood": "1"}, {"log_likelihood": None}, {"log_likelihood": [1.0]},
        {"log_likelihood": np.nan}, {"log_likelihood": 10**400}, {"theta": [0, 1, 2]}, {"theta": [0, 1, 2, np.inf]},
        {"theta": "0123"}, {"theta": [[0, 1, 2, 3]]}, {"bounds": PAIRS[:3]}, {"bounds": [*PAIRS[:3], [1, 0]]},
        {"bounds": [*PAIRS[:3], [0]]}, {"bounds": {}}, {"sets_theta": []}, {"sets_theta": ["a"] * 4},
        {"iterations": -1}, {"iterations": 1.0}, {"iterations": True}, {"evaluations": 2**60}, {"refits": "3"},
        {"seconds": "long"}, {"seconds": np.inf}, {"stopped": "bored"}, {"stopped": 3}, {"messages": "none"},
        {"messages": [3]}, {"more": 1},
    ],
    ids=str,
)  # fmt: skip
def test_fits_that_contradict_themselves(folder, change):
    file = read((folder / "model.ct").read_bytes())
    said = json.loads(file.sections["covertreex.fit"].tobytes())
    assert set(said) == GOOD
    assert_damaged(folder, file, "covertreex.fit", json.dumps({**said, **change}).encode())


@pytest.mark.parametrize(
    "text", [b"", b"\xff", b"[]", b"{}", b"null", b"[" * 100_000, b"1" * 5000], ids=lambda one: one[:9]
)
def test_fits_that_are_no_fits(folder, text):
    assert_damaged(folder, read((folder / "model.ct").read_bytes()), "covertreex.fit", text)


@pytest.mark.parametrize(
    "change",
    [
        lambda steps: steps[:0],
        lambda steps: steps[:, :-1],
        lambda steps: np.column_stack([steps, steps[:, 0]]),
        lambda steps: steps.astype("<f4"),
        lambda steps: steps.ravel()[:, None],
        *(lambda steps, place=place, value=value: put(steps, place, value) for place, value in [
            (0, -1), (0, 0.5), (1, np.nan), (2, 0), (2, N + 1), (3, 1e300), (4, np.inf), (5, -np.inf), (6, np.inf),
            (6, np.nan), (7, np.nan), (10, np.inf),
        ]),
    ],
)  # fmt: skip
def test_histories_that_are_damaged(folder, change):
    file = read((folder / "model.ct").read_bytes())
    file.sections["covertreex.history"] = np.ascontiguousarray(change(file.sections["covertreex.history"]))
    assert_damaged(folder, file)


def put(steps, column, value):
    steps = steps.copy()
    steps[-1, column] = value
    return steps


def assert_damaged(folder, file, section=None, text=b""):
    """Every command that opens models names the sections."""
    if section is not None:
        file.sections[section] = np.frombuffer(text, np.uint8)[:, None]
    (folder / "bad.ct").write_bytes(write(file))
    for command in (("report", "bad.ct", "-o", "bad.html"), ("predict", "bad.ct", "test.csv", "-o", "bad.npz")):
        with pytest.raises(
            CoverTreeError, match=r"^bad.ct: section 'covertreex.fit' or 'covertreex.history' is damaged"
        ):
            ask(*command)
    assert not (folder / "bad.html").exists()


@pytest.mark.parametrize("missing", ["covertreex.fit", "covertreex.history"])
def test_half_of_a_fit(folder, missing):
    file = read((folder / "model.ct").read_bytes())
    del file.sections[missing]
    assert_damaged(folder, file)


def test_a_history_of_huge_numbers(folder):
    file = read((folder / "model.ct").read_bytes())
    steps = file.sections["covertreex.history"].copy()
    steps[:, 5:7] = np.where(np.arange(len(steps)) % 2, 1e308, -1e308)[:, None]
    file.sections["covertreex.history"] = steps
    (folder / "model.ct").write_bytes(write(file))
    ask("report", *REPORT)


# Errors


@pytest.mark.usefixtures("folder")
def test_files_that_are_no_models(capsys):
    VIF(COORDS, kernel=Matern32(), noise=0.1).save("plain.ct")
    cover_tree(COORDS).save("tree.ct")
    needed = "expected a model that covertreex fit wrote, got a"
    for file, said in [
        ("plain.ct", f"plain.ct: {needed} VIF without a response"),
        ("tree.ct", f"tree.ct: {needed} CoverTree"),
        ("data.csv", "data.csv: expected a model that covertreex fit wrote, got another file"),
    ]:
        assert refused(capsys, 1, "report", file, "-o", "no.html") == f"covertreex: {said}\n"
    assert not os.path.exists("no.html")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--out", "page.pdf"), "--out: expected a name that ends in .html or .htm, got page.pdf"),
        (("--out", "no/such/page.html"), "no/such/page.html: No such file or directory"),
        (("--array", "a"), "--array: expected only with --test"),
        (("--no-header",), "--header: expected only with --test"),
        (("--set", "gold=1"), "--set: no setting 'gold'"),
        (("--test", "less.csv"), f"less.csv: expected one column {NAMES[0]}, as in model.ct, got a, b"),
        (("--test", "new.csv"), f"new.csv: expected one column {RESPONSE}, as in model.ct, got <script>"),
        (("--test", "empty.npy"), "empty.npy: expected at least 1 row, got 0"),
        (("--test", "narrow.npy"), "narrow.npy: expected 3 columns, or those of model.ct"),
        (("--test", "narrow.npy", "--header"), "narrow.npy: --header and --no-header are for text"),
        (("--test", "model.ct"), "model.ct: expected a file that ends in .npy"),
    ],
)
def test_refused_options(folder, capsys, options, words):
    table(folder / "less.csv", COORDS, names=["a", "b"])
    table(folder / "new.csv", COORDS, names=NAMES)
    np.save("empty.npy", np.empty((0, 3)))
    np.save("narrow.npy", np.empty((4, 2)))
    before = set(os.listdir())
    error = refused(capsys, 1, "report", *REPORT, *options)
    assert error.startswith(f"covertreex: {words}")
    assert error.count("\n") == 1
    assert set(os.listdir()) == before


def test_pages_do_not_replace_what_they_are_made_of(folder, capsys):
    shutil.copy("model.ct", "model.html")
    for options in (("model.html", "--out", "model.html"), ("model.ct", "--out", "page.html", "--test", "page.html")):
        error = refused(capsys, 1, "report", *options)
        assert error.startswith("covertreex: --out: expected another file than ")
    assert Model.load(folder / "model.html").trend == "linear"


@pytest.mark.usefixtures("folder")
def test_wrong_usage(capsys):
    for arguments in [("report", "model.ct"), ("report", "--out", "page.html"), ("report", "none.ct", "-o", "a.html")]:
        assert "Usage" in refused(capsys, 2, *arguments)


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        ("matplotlib", r"covertreex.plot needs Matplotlib: pip install 'covertreex\[plot\]'"),
        ("scipy", "report: needs SciPy"),
    ],
)
def test_packages_that_are_needed(folder, missing, words):
    """In a process that has imported neither of them."""
    code = f"import sys; sys.modules[{missing!r}] = None; from covertreex.__main__ import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "report", *REPORT], check=False, stderr=subprocess.PIPE, text=True, cwd=folder
    )
    assert done.returncode == 1
    assert re.match(f"covertreex: {words}", done.stderr), done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.usefixtures("folder")
def test_output_for_people():
    said = " ".join(people("report", *REPORT, "--test", "test.csv").stdout.split())
    assert f"{RESPONSE}; 90 rows" in said and f"{RESPONSE}; 40 rows" in said
    assert "file page.html" in said and "scores of leave one out rmse" in said and "scores of test rmse" in said


# In a browser

# Pictures that have no size; bitmaps in them are loaded.
_PICTURES = """Promise.all([...document.querySelectorAll("svg, svg image")].map(async one => {
  const box = one.getBoundingClientRect();
  const said = one.getAttribute("aria-label") || one.tagName + " of " + one.parentNode.closest("svg,th,td")?.tagName;
  if (one.tagName !== "image") return [said, box.width, box.height];
  const bitmap = new Image();
  bitmap.src = one.getAttribute("xlink:href");
  await bitmap.decode();
  return [said, Math.min(box.width, bitmap.naturalWidth), Math.min(box.height, bitmap.naturalHeight)];
}))"""
# Elements that reach beyond the window, except inside of boxes that scroll.
_BEYOND = """[...document.querySelectorAll("body *")].filter(one =>
  !one.closest(".scroll :scope, .scroll *, svg *") && one.getBoundingClientRect().right > innerWidth + 0.5
).map(one => one.outerHTML.slice(0, 100))"""


@pytest.mark.skipif(browser.PROGRAM is None, reason="Chromium is needed")
def test_in_a_browser(fitted, tmp_path):
    image = pytest.importorskip("matplotlib.image")
    page = fitted[0] / "page.html"
    sizes = {}
    with browser.opened(tmp_path) as chromium:
        for width, scheme in [(1280, "light"), (400, "light"), (400, "dark")]:
            chromium.show(page, width, scheme=scheme)
            assert chromium.complaints() == []
            assert chromium.requests() == [page.as_uri()]
            assert chromium.ask("innerWidth") == width
            assert chromium.ask("document.documentElement.scrollWidth") <= width
            assert chromium.ask(_BEYOND) == []
            pictures = chromium.ask(_PICTURES)
            assert len(pictures) > 10
            for said, *size in pictures:
                assert min(size) > 5, said
            shown = chromium.ask("document.body.innerText")
            for said in (*NAMES, RESPONSE, "Scores of predictions", "Log likelihood", "RMSE"):
                assert said in shown
            sizes[width, scheme] = chromium.ask("[...document.querySelectorAll('.picture')].map(one => one.offsetLeft)")
            (tmp_path / "shot.png").write_bytes(chromium.screenshot())
            shot = image.imread(tmp_path / "shot.png")
            assert shot.shape[1] == width
            # A background, and something on it nearly everywhere from top to bottom.
            background = shot[0, 0, :3]
            assert (background > 0.9).all() if scheme == "light" else (background < 0.2).all()
            is_drawn = (np.abs(shot[..., :3] - background) > 0.2).any(axis=(1, 2))
            assert is_drawn.reshape(-1)[: len(is_drawn) // 40 * 40].reshape(40, -1).any(axis=1).all()
    # Pictures are in two columns, or in one.
    assert len(set(sizes[1280, "light"])) == 2
    assert len(set(sizes[400, "light"])) == 1

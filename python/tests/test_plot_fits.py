"""Pictures of fits of Gaussian processes, and of their predictions."""

import dataclasses
import warnings

import numpy as np
import pytest

pytest.importorskip("matplotlib")
pytest.importorskip("sklearn")
from matplotlib.figure import Figure
from scipy.stats import binom

from covertreex import plot, vecchia
from covertreex.kernels import Matern32
from covertreex.sklearn import VecchiaRegressor, VIFRegressor
from covertreex.vecchia import VIF, _fit_run

generator = np.random.default_rng(0)
X = generator.random((300, 3)) * [1, 4, 1]
Y = 5 + np.sin(6 * X[:, 0]) + 0.3 * X[:, 1] + 0.1 * generator.standard_normal(300)
SMALL = {"n_neighbors": 6, "n_inducing": 8}


@pytest.fixture(scope="module")
def fit():
    """A fit of 300 points that begins with a sample of 100 of them."""
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        patch.setattr(_fit_run, "_WARM_UP_POINTS", 100)
        patch.setattr(_fit_run, "_WARM_UP_DATA", 200)
        warnings.simplefilter("ignore")
        return vecchia.fit(X, Y - Y.mean(), bounds={"lengthscale": (0.01, 50)}, **SMALL)


@pytest.fixture(scope="module")
def regressor():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return VIFRegressor(**SMALL, max_iter=5, random_state=0).fit(X, Y)


@pytest.fixture(scope="module")
def plane():
    """A model of two columns."""
    return VIF(X[:, :2], kernel=Matern32([0.3, 1.0]), noise=0.01, **SMALL)


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def labelled(ax, start):
    """The line of a label."""
    return next(line for line in ax.lines if line.get_label().startswith(start))


def test_history_of_a_fit_with_a_warm_up(fit):
    ax = plot.history(fit)
    sample = [step for step in fit.history if step.n_points == 100]
    rest = [step for step in fit.history if step.n_points == 300]
    assert sample and rest
    by_color = {}
    for line in ax.lines[:-1]:
        by_color.setdefault(line.get_color(), []).append(line)
    assert len(by_color) == 2
    for lines, steps in zip(by_color.values(), (sample, rest)):
        drawn = np.concatenate([line.get_xydata() for line in lines])
        np.testing.assert_allclose(drawn, [(one.iteration, one.log_likelihood / one.n_points) for one in steps])
        assert len(lines) == len({one.n_refits for one in steps})
    best = ax.lines[-1]
    np.testing.assert_allclose(best.get_ydata(), [one.best / 300 for one in rest])
    np.testing.assert_allclose(best.get_xdata(), [one.iteration for one in rest])
    assert best.get_ydata()[-1] == pytest.approx(fit.log_likelihood / 300)
    circles = np.asarray(ax.collections[0].get_offsets())
    assert len(circles) == fit.n_refits
    firsts = [next(one for one in fit.history if one.n_refits == refit) for refit in range(1, fit.n_refits + 1)]
    np.testing.assert_allclose(circles, [(one.iteration, one.log_likelihood / one.n_points) for one in firsts])
    entries = legend(ax)
    assert entries[:2] == ["on a sample of 100", "all 300 observations"] and len(entries) == 4


def test_history_of_other_things(fit, regressor):
    ax = plot.history(regressor)
    assert "all 300 observations" in legend(ax) and not any("sample" in entry for entry in legend(ax))
    drawn = np.concatenate([line.get_xydata() for line in ax.lines[:-1]])
    assert len(drawn) == len(regressor.history_)
    assert drawn[-1, 1] == pytest.approx(regressor.history_[-1].log_likelihood / 300)
    mine = Figure().subplots()
    assert plot.history(iter(fit.history[:1]), ax=mine) is mine
    assert legend(mine) == ["on a sample of 100", "sets chosen"]


def test_relevance(fit, regressor):
    ax = plot.relevance(regressor, names=["a", "b", "c"])
    expected = X.std(axis=0) / regressor.kernel_.lengthscale
    order = np.argsort(-expected)
    np.testing.assert_allclose([bar.get_width() for bar in ax.patches], expected[order])
    assert [text.get_text() for text in ax.get_yticklabels()] == ["abc"[column] for column in order]
    assert ax.yaxis_inverted()
    ax = plot.relevance(fit, n_shown=2)
    shown = np.argsort(-X.std(axis=0) / fit.kernel.lengthscale)[:2]
    assert [text.get_text() for text in ax.get_yticklabels()] == [f"column {column}" for column in shown]
    assert ax.get_title() == "2 of 3 columns"


def test_relevance_at_bounds_and_of_one_lengthscale(fit, plane):
    upper = fit.bounds[4, 1]
    theta = np.where(np.arange(5) == 4, upper, fit.theta)
    _, variance, *lengthscales = np.exp(theta)
    ended = dataclasses.replace(fit, model=fit.model.with_parameters(kernel=Matern32(lengthscales, variance)))
    ax = plot.relevance(ended)
    colours = {text.get_text(): bar.get_facecolor() for text, bar in zip(ax.get_yticklabels(), ax.patches)}
    assert colours["column 2"] != colours["column 0"] == colours["column 1"]
    assert legend(ax) == ["lengthscale at its upper bound"]
    ax = plot.relevance(plane.with_parameters(kernel=Matern32(0.5)))
    np.testing.assert_allclose(sorted(bar.get_width() for bar in ax.patches), np.sort(X[:, :2].std(axis=0) / 0.5))
    assert ax.get_legend() is None


def test_names_of_a_data_frame():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X[:, :2], columns=["east", "north"])
    model = VecchiaRegressor(n_neighbors=5, max_iter=0).fit(frame, Y)
    assert {text.get_text() for text in plot.relevance(model).get_yticklabels()} == {"east", "north"}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mean, spread = plot.field(model, n_grid=3)
    for ax in (mean, spread):
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("east", "north")


def test_calibration():
    q = 2000
    mean, variance = generator.standard_normal(q), generator.uniform(0.5, 2, q)
    y = mean + np.sqrt(variance) * generator.standard_normal(q)
    ax = plot.calibration(y, mean, variance, confidence=0.9)
    line = labelled(ax, "observed")
    levels = line.get_xdata()
    coverage = vecchia.scores(y, mean, variance, levels=levels.tolist()).coverage
    np.testing.assert_allclose(line.get_ydata(), list(coverage.values()))
    np.testing.assert_allclose(labelled(ax, "calibrated").get_xydata(), [[0, 0], [1, 1]])
    edge = ax.collections[0].get_paths()[0].vertices
    for level in (0.01, 0.5, 0.99):
        there = edge[np.isclose(edge[:, 0], level), 1]
        assert there.min() == pytest.approx(binom.ppf(0.05, q, level) / q)
        assert there.max() == pytest.approx(binom.ppf(0.95, q, level) / q)
    too_narrow = labelled(plot.calibration(y, mean, variance / 9), "observed")
    assert (too_narrow.get_ydata() < levels).all()
    mine = Figure().subplots()
    assert plot.calibration(y[:1], mean[:1], variance[:1], ax=mine) is mine


def test_the_field_of_a_model_of_two_columns(plane):
    axes = plot.field(plane, Y, n_grid=7, n_points=50)
    x, y = (np.linspace(X[:, one].min(), X[:, one].max(), 7) for one in (0, 1))
    points = np.array([(one, other) for other in y for one in x])
    mean, variance = plane.predict(points, Y, return_var=True, latent=True)
    for ax, expected, label in zip(axes, (mean, np.sqrt(variance)), ("mean", "standard deviation")):
        mesh, dots = ax.collections
        np.testing.assert_allclose(np.ravel(mesh.get_array()), expected)
        assert mesh.colorbar.ax.get_ylabel() == label
        assert len(dots.get_offsets()) == 50
        assert (ax.get_xlim(), ax.get_ylim()) == ((x[0], x[-1]), (y[0], y[-1]))
    dots = axes[0].collections[1]
    for (east, north), value in zip(np.asarray(dots.get_offsets()), dots.get_array()):
        row = np.flatnonzero((X[:, 0] == east) & (X[:, 1] == north))
        assert value == Y[row]
    assert dots.norm is axes[0].collections[0].norm
    assert dots.norm.vmin <= min(dots.get_array().min(), mean.min())
    mine = list(Figure().subplots(1, 2))
    assert plot.field(plane, Y, n_grid=2, n_points=0, axes=mine) == mine
    axes[0].figure.canvas.draw()


def test_the_field_on_a_plane_through_a_point(fit, regressor):
    point = [0.5, 1.0, 0.2]
    mean, _ = plot.field(regressor, columns=(2, 0), at=point, n_grid=5)
    x, y = (np.linspace(X[:, one].min(), X[:, one].max(), 5) for one in (2, 0))
    points = np.array([(other, 1.0, one) for other in y for one in x])
    np.testing.assert_allclose(np.ravel(mean.collections[0].get_array()), regressor.predict(points))
    assert (mean.get_xlabel(), mean.get_ylabel()) == ("column 2", "column 0")
    assert len(mean.collections[1].get_offsets()) == 300
    mean, spread = plot.field(fit, Y - Y.mean(), n_grid=4)
    points = np.array(
        [
            (one, other, np.median(X[:, 2]))
            for other in np.linspace(X[:, 1].min(), X[:, 1].max(), 4)
            for one in np.linspace(X[:, 0].min(), X[:, 0].max(), 4)
        ]
    )
    expected, variance = fit.model.predict(points, Y - Y.mean(), return_var=True, latent=True)
    np.testing.assert_allclose(np.ravel(mean.collections[0].get_array()), expected)
    np.testing.assert_allclose(np.ravel(spread.collections[0].get_array()), np.sqrt(variance))


def test_what_is_no_model(fit, regressor, plane):
    for call in (plot.relevance, plot.field):
        with pytest.raises(TypeError, match=r"^model: expected a Fit, a VIF or a fitted regressor, got VIFReg"):
            call(VIFRegressor())
    with pytest.raises(
        TypeError, match=r"^fit: expected a Fit, a fitted regressor or the steps of a fit, got an object"
    ):
        plot.history(plane)
    with pytest.raises(ValueError, match=r"^fit: expected at least one step, got none"):
        plot.history([])
    with pytest.raises(ValueError, match=r"^model: expected a kernel of covertreex.kernels, got "):
        plot.relevance(VIF(X, kernel=Matern32(0.3).__call__, noise=0.1, **SMALL))
    with pytest.raises(ValueError, match=r"^model: expected at least two columns, got 1"):
        plot.field(VIF(X[:, :1], kernel=Matern32(0.3), noise=0.1, **SMALL), Y)
    with pytest.raises(ValueError, match=r"^y: expected the response of the model, got None"):
        plot.field(fit)
    with pytest.raises(ValueError, match=r"^y: expected None for a regressor, which has it, got "):
        plot.field(regressor, Y)
    with pytest.raises(ValueError, match=r"^columns: expected columns of several values, got 1, which is constant"):
        plot.field(VIF(X * [1, 0, 1], kernel=Matern32(0.3), noise=0.1, **SMALL), Y)

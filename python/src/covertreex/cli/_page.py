"""The page of a report: its sections, as HTML."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Optional

import numpy as np
from numpy.typing import NDArray

from .. import __version__
from .._calls import ProgressReport, part
from ..plot._fits import at_upper_bound
from ..vecchia import Scores, scores
from . import _pictures
from ._html import Inner, Markup, element, facts, histogram, joined, number, table
from ._output import shown
from ._regression import Model

Floats = NDArray[np.float64]

_TEMPLATE = Path(__file__).with_name("report.html")
_SCORES = {"rmse": "RMSE", "mae": "Mean absolute error", "crps": "CRPS", "log_score": "Log score"}
_ENDS = {
    "converged": "at convergence", "max_iterations": "at the limit of iterations", "interrupted": "by an interrupt",
    "failed": "by an error",
}  # fmt: skip


@dataclass(frozen=True)
class Predictions:
    """Predictions of observations, and their scores."""

    key: str
    title: str
    observed: Floats
    mean: Floats
    variance: Floats  #: of the response
    scores: Scores

    @classmethod
    def of(cls, key: str, title: str, observed: Floats, mean: Floats, variance: Floats) -> Predictions:
        """With the scores of the predictions."""
        return cls(key, title, observed, mean, variance, scores(observed, mean, variance))


def page(model: Model, predictions: Sequence[Predictions], progress: ProgressReport) -> str:
    """The page on a model, with predictions of observations."""
    title = f"{model.response} in {model.source}"
    log_likelihood, _ = model.log_likelihood()
    sections = [
        _header(model, title, log_likelihood, predictions),
        _warnings(model),
        _field(model, part(progress, 0, 0.5)),
        _scores(model, predictions),
        _hyperparameters(model),
        _fit(model, log_likelihood),
        _data(model),
        _footer(model),
    ]
    progress(1.0)
    filled = {"title": joined([title]), "version": __version__, "content": joined(sections)}
    return Template(_TEMPLATE.read_text(encoding="utf-8")).substitute(filled)


def _section(title: str, *inner: Inner) -> Markup:
    return element("section", element("h2", title), element("div", *inner, class_="grid"))


def _card(title: str, *inner: Inner, kind: str = "") -> Markup:
    return element("div", element("h3", title), *inner, class_=f"card {kind}".strip())


def _header(model: Model, title: str, log_likelihood: float, predictions: Sequence[Predictions]) -> Markup:
    n, dim = model.data.points.shape
    last = predictions[-1]
    level = max(last.scores.coverage)
    tiles = {
        "observations": number(n),
        "columns" if dim > 1 else "column": number(dim),
        "log likelihood": number(log_likelihood),
        f"RMSE, {last.title}": number(last.scores.rmse),
        f"in {_shown_percent(level)} intervals": _percent(last.scores.coverage[level]),
    }
    what = f"A Gaussian process with a {_kernel(model)} kernel, fitted by covertreex to {shown(n)} observations."
    lines = [element("h1", title), element("p", what, class_="quiet"), facts(tiles, class_="tiles")]
    return element("header", *lines)


def _kernel(model: Model) -> str:
    """The name of the kernel as people write it."""
    return re.sub(r"^Matern(\d)(\d)$", r"Matern \1/\2", type(model.vif.kernel).__name__)


def _percent(share: float) -> Markup:
    return number(share, f"{100 * share:.1f} %")


def _shown_percent(level: float) -> str:
    return f"{100 * level:.4g} %"


def _warnings(model: Model) -> Markup | None:
    found = [] if model.record is None else model.record.warnings(model.data.coordinates)
    return element("div", *(element("p", one) for one in found), class_="card notice") if found else None


def _field(model: Model, progress: Optional[ProgressReport]) -> Markup | None:
    """Maps, if there are two coordinates that vary."""
    points = np.asarray(model.data.points, np.float64)
    if points.shape[1] != 2 or not np.ptp(points, axis=0).all():
        return None
    return _section(
        "The field",
        *_pictures.maps(
            lambda grid: model.predict(grid, latent=True, progress=progress), points, model.observed,
            model.data.coordinates, model.response,
        ),
    )  # fmt: skip


def _scores(model: Model, predictions: Sequence[Predictions]) -> Markup:
    rows = [[name, *(number(getattr(one.scores, key)) for one in predictions)] for key, name in _SCORES.items()]
    for level in predictions[0].scores.coverage:
        rows.append(
            [f"In {_shown_percent(level)} intervals", *(_percent(one.scores.coverage[level]) for one in predictions)]
        )
    rows.append(["Observations", *(number(len(one.observed)) for one in predictions)])
    rows.append(["Their standard deviation", *(number(float(one.observed.std())) for one in predictions)])
    words = (
        "RMSE, mean absolute error and CRPS are in the units of the response. CRPS and log score, the mean negative "
        "log density, judge whole distributions. Of each, smaller is better. Leave-one-out predictions are those of "
        "each observation by all others, with the same hyperparameters."
    )
    head = ["", *(one.title for one in predictions)]
    card = _card(
        f"Scores of predictions of {model.response}",
        table(head, rows),
        element("p", words, class_="quiet"),
        kind="wide" if len(predictions) > 1 else "",
    )
    drawn = [
        _pictures.calibration(one.key, f"Calibration, {one.title}", one.observed, one.mean, one.variance, one.scores)
        for one in predictions
    ]
    return _section("Predictions", card, *drawn)


def _hyperparameters(model: Model) -> Markup:
    points, names, kernel = np.asarray(model.data.points, np.float64), model.data.coordinates, model.kernel
    lengthscales = np.broadcast_to(np.asarray(kernel.lengthscale, np.float64), points.shape[1])
    relevance = points.std(axis=0) / lengthscales
    trend = model.trend_facts()
    slopes = list(trend.get("slopes", {}).values())
    bounds = None if model.record is None else model.record.fit.bounds
    at_bound = at_upper_bound(kernel, bounds, points.shape[1])
    flag = element("span", " at its upper bound", class_="flag")
    rows = []
    for column in np.argsort(-relevance, kind="stable"):
        lengthscale = joined([number(lengthscales[column]), flag if at_bound[column] else None])
        slope = [number(slopes[column])] if slopes else []
        rows.append([names[column], lengthscale, number(relevance[column]), *slope])
    head = ["column", "lengthscale", "relevance", *(["slope of the trend"] if slopes else [])]
    whole = {
        "Kernel": _kernel(model),
        "Standard deviation of the process": number(float(np.sqrt(kernel.variance))),
        "Standard deviation of the noise": number(float(np.sqrt(model.vif.noise))),
        "Trend": model.trend,
        **({"Constant of the trend": number(trend["constant"])} if trend else {}),
    }
    cards = element("div", _card("Process", facts(whole)), _card("Columns", table(head, rows)), class_="stack")
    drawn = _pictures.relevance(model.vif if model.record is None else model.record.fit, names, relevance)
    return _section("Hyperparameters", cards, drawn)


def _fit(model: Model, log_likelihood: float) -> Markup:
    fit = None if model.record is None else model.record.fit
    about = _card("Approximation", facts(_approximation(model)))
    if fit is None:
        words = "The file has no history of the fit: an older version of covertreex wrote it."
        return _section("Fit", _card("Course of the fit", element("p", words)), about)
    course = {
        "Log likelihood": number(log_likelihood),
        "Ended": _ENDS[fit.stopped],
        "Iterations": number(fit.n_iterations),
        "Evaluations of likelihood and gradient": number(fit.n_evaluations),
        "Choices of order, sets and inducing points": number(fit.n_refits),
        "Seconds": number(fit.seconds),
    }
    caption = "A circle is where order, sets and inducing points are chosen again, by the hyperparameters there."
    if model.trend != "none":
        caption += " Likelihoods are of the response less a trend by ordinary least squares."
    cards = element("div", _card("Result", facts(course)), about, class_="stack")
    return _section("Fit", _pictures.history(fit, caption), cards)


def _approximation(model: Model) -> dict[str, Inner]:
    vif, choices = model.vif, model.vif._choices
    return {
        "Neighbours": number(vif.n_neighbors),
        "Inducing points": number(len(vif.inducing_points)),
        "Order": str(choices.get("ordering")),
        "Neighbours by": {"residual": "residual correlation"}.get(vif._metric, vif._metric),
        "Seed": str(choices.get("seed")),
    }


def _data(model: Model) -> Markup:
    data = model.data
    points = np.asarray(data.points, np.float64)
    columns = [*zip(data.coordinates, points.T), (model.response, model.observed)]
    rows: list[list[Inner]] = []
    for name, values in columns:
        is_response = len(rows) == len(columns) - 1
        said = joined([name, element("span", " response", class_="quiet")]) if is_response else name
        numbers = [float(of(values)) for of in (np.min, np.mean, np.std, np.max)]
        rows.append([said, histogram(values), *map(number, numbers)])
    head = ["column", "distribution", "minimum", "mean", "standard deviation", "maximum"]
    return _section(
        "Data", _card(model.source, element("p", str(data), class_="quiet"), table(head, rows), kind="wide")
    )


def _footer(model: Model) -> Markup:
    command = f"covertreex predict {model.data.source.path.name} new.csv --out predictions.csv"
    said = f"covertreex {__version__}. Predictions at new points: "
    return element("footer", said, element("code", command))

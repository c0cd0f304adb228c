"""The pictures of a report, by covertreex.plot: figures of a page as SVG, whose text has the page's font and colour."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from .. import plot
from ..plot._predictions import drawn_field
from ..vecchia import Fit, Scores
from ._html import Markup, element, visible
from ._output import shown

Floats = NDArray[np.float64]

# Inches. A point of a figure is about a pixel of a small screen.
_WIDTH, _HEIGHT = 4.5, 3.4
# Of a bar of the picture of relevance, and of its axis.
_BAR, _AXIS = 0.24, 0.9
_MOST_BARS = 30
_LONGEST_NAME = 22
_STYLE = {
    "svg.fonttype": "none",  # text stays text
    "text.parse_math": False,  # names may have dollars
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.edgecolor": "none",
    "savefig.dpi": 144,  # of maps, which are bitmaps
}
_TAG, _ID = re.compile(r"<[^>]*>"), re.compile(r'(\bid="|url\(#|href="#)')
_OF_ITS_OWN = re.compile(r"<style.*?</style>|<metadata>.*?</metadata>", re.DOTALL)


def history(fit: Fit, caption: str) -> Markup:
    """The course of a fit."""
    ends = [shown(step.log_likelihood / step.n_points) for step in (fit.history[0], fit.history[-1])]
    alt = f"Log likelihood per observation, from {ends[0]} to {ends[1]} in {shown(fit.n_iterations)} iterations"
    with _axes() as ax:
        plot.history(fit, ax=ax)
        return _figure("history", "Course of the fit", ax, alt, caption)


def relevance(model: Any, names: Sequence[str], values: Floats) -> Markup:
    """Which columns matter, for a Fit or a VIF."""
    order = np.argsort(-values, kind="stable")
    most = ", ".join(f"{names[column]} {shown(values[column])}" for column in order[:3])
    with _axes(max(_BAR * min(len(names), _MOST_BARS) + _AXIS, 2 * _AXIS)) as ax:
        plot.relevance(model, names=[_short(name) for name in names], n_shown=_MOST_BARS, ax=ax)
        ax.set_xlabel("standard deviation over lengthscale")  # names leave less room than in a figure of its own
        ax.margins(y=0.01)
        return _figure(
            "relevance", "Relevance of the columns", ax,
            f"Bars of the standard deviation of each column over its lengthscale; the largest: {most}",
            "The more lengthscales a column spans, the faster the process varies along it.",
        )  # fmt: skip


def calibration(name: str, title: str, observed: Floats, mean: Floats, variance: Floats, scores: Scores) -> Markup:
    """How many observations are in the intervals of their predictions."""
    shares = ", ".join(f"{100 * share:.1f} % in {100 * level:.4g} %" for level, share in scores.coverage.items())
    with _axes() as ax:
        plot.calibration(observed, mean, variance, ax=ax)
        return _figure(
            name, title, ax, f"Share of observations in central intervals, against their level: {shares}",
            "Below the diagonal, intervals are too narrow; above it, they are too wide.",
        )  # fmt: skip


def maps(
    predict: Callable[[Floats], tuple[Floats, Floats]],
    coords: Floats,
    response: Floats,
    names: Sequence[str],
    what: str,
) -> list[Markup]:
    """The field over two coordinates: its mean, and its standard deviation."""
    with _axes() as mean, _axes() as spread:
        drawn_field(predict, coords, response, [_short(name) for name in names], axes=[mean, spread])
        over = " and ".join(names)
        return [
            _figure(name, title, ax, f"Map of the {said} of {what} over {over}", caption)
            for name, title, ax, said, caption in [
                ("mean", "Mean", mean, "predicted mean", "Dots are data, in the colour of their response."),
                ("deviation", "Standard deviation", spread, "standard deviation", "Of the field, without the noise."),
            ]
        ]


@contextmanager
def _axes(height: float = _HEIGHT) -> Iterator[Axes]:
    """Axes of a figure of the page."""
    with mpl.rc_context(_STYLE), warnings.catch_warnings():
        # A page has more fonts than Matplotlib, which only measures the text.
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        yield Figure(figsize=(_WIDTH, height), layout="constrained").subplots()


def _short(name: str) -> str:
    name = visible(name)
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"


def _figure(name: str, title: str, ax: Any, alt: str, caption: str) -> Markup:
    """A figure of a page; the name, which no other figure has, makes the identifiers in it unique."""
    with mpl.rc_context({"svg.hashsalt": name}), io.StringIO() as file:  # the same picture twice is the same text
        none = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        ax.figure.savefig(file, format="svg", transparent=True, metadata=none)
        text = file.getvalue()
    text = _OF_ITS_OWN.sub("", text[text.index("<svg") :])
    text = _TAG.sub(lambda tag: _ID.sub(rf"\g<1>{name}-", tag[0]), text)
    start = re.search(r'viewBox="[^"]*"', text)
    assert start is not None
    inner = Markup(text[text.index(">") + 1 : text.rindex("</svg>")])
    drawn = element("svg", inner, viewBox=start[0].split('"')[1], role="img", aria_label=alt)
    return element("figure", element("h3", title), drawn, element("figcaption", caption), class_="card picture")

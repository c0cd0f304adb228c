"""HTML of elements whose text is escaped by construction, and numbers as people and programs read them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any, Union

import numpy as np
from numpy.typing import NDArray

from ._output import plain, shown

_BINS = 24


class Markup(str):
    """A piece of HTML. Any other string is text, which is escaped where it is put into an element."""

    __slots__ = ()


Inner = Union[str, None]


def element(name: str, *inner: Inner, **attributes: str) -> Markup:
    """An element with its content; ``class_`` is its class, and None is nothing."""
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(visible(value))}"' for key, value in attributes.items()
    )
    return Markup(f"<{name}{given}>{joined(inner)}</{name}>")


def visible(text: str) -> str:
    """A text whose characters are all seen: names out of files may have any."""
    return text if text.isprintable() else "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)


def joined(parts: Iterable[Inner]) -> Markup:
    """Pieces of HTML and text, one after the other."""
    return Markup("".join(one if isinstance(one, Markup) else escape(visible(one or "")) for one in parts))


def number(value: Any, said: str | None = None) -> Markup:
    """A number in four digits, or as it is said, and in full for programs."""
    return element("data", shown(value) if said is None else said, value=repr(plain(value)))


def table(head: Iterable[Inner], rows: Iterable[Iterable[Inner]]) -> Markup:
    """A table, which scrolls in its own box. The first column has the names of the rows."""
    lines = []
    for row in rows:
        name, *cells = row
        lines.append(element("tr", element("th", name, scope="row"), *(element("td", one) for one in cells)))
    top = element("thead", element("tr", *(element("th", one, scope="col") for one in head)))
    body = element("table", top, element("tbody", *lines))
    # A keyboard scrolls the element that has the focus.
    return element("div", body, class_="scroll", tabindex="0")


def facts(values: Mapping[str, Inner], **attributes: str) -> Markup:
    """Names with their values."""
    pairs = (element("div", element("dt", name), element("dd", one)) for name, one in values.items())
    return element("dl", *pairs, **attributes)


def histogram(values: NDArray[np.float64]) -> Markup:
    """A small picture of the distribution of numbers: bars between the least and the largest."""
    low, high = values.min(), values.max()
    with np.errstate(all="ignore"):  # of numbers that are nearly the largest there are
        shares = (values - low) / (high - low)
    places = np.minimum((np.nan_to_num(shares) * _BINS).astype(np.int64), _BINS - 1)
    heights = np.bincount(places, minlength=_BINS) / len(values)
    heights = 20 * heights / heights.max()
    path = f"M0 20{''.join(f'V{20 - height:.1f}h1' for height in heights)}V20z"
    outline = element("path", d=path)
    return element(
        "svg", outline, class_="bars", viewBox=f"0 0 {_BINS} 20", preserveAspectRatio="none", aria_hidden="true"
    )

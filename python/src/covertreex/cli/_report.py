"""The command report: a page on a model that fit wrote."""

from __future__ import annotations

import dataclasses
import os
import time
from pathlib import Path
from typing import List, Optional

import typer

from .. import _arguments, _writing
from .._tables.tables import Table
from . import _output
from ._options import ARRAY, HEADER, JSON, PROFILE, SET, THREADS, named, need_scipy, runtime_of
from ._output import tell, waiting
from ._regression import Model
from ._tables import READ, check_output, is_text, read_new

_KINDS = (".html", ".htm")
_MODEL = typer.Argument(..., metavar="MODEL", help="A model that fit wrote.", exists=True, dir_okay=False)
_TEST = typer.Option(
    None, "--test", help=f"Observations that the fit has not seen: {READ}.", exists=True, dir_okay=False
)


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(report)


def report(
    file: Path = _MODEL,
    out: Path = typer.Option(..., "--out", "-o", help="The .html to write."),
    test: Optional[Path] = _TEST,
    array: Optional[str] = ARRAY,
    header: Optional[bool] = HEADER,
    profile: Optional[str] = PROFILE,
    overrides: Optional[List[str]] = SET,
    threads: Optional[int] = THREADS,
    as_json: bool = JSON,
) -> None:
    """Write a page on a fit: its data, hyperparameters, scores and pictures, for a browser without a network."""
    need_scipy("report")
    check_output(out, "--out", _KINDS)
    for other in (file, test):
        if other is not None and out.exists() and os.path.samefile(out, other):
            raise ValueError(f"--out: expected another file than {other}, got {out}")
    from . import _page  # noqa: PLC0415 - Matplotlib is slow to import

    with named(test=test), runtime_of(profile, overrides, threads):
        start = time.perf_counter()
        for option, given in (("--array", array), ("--header", header)):
            if given is not None and test is None:
                raise ValueError(f"{option}: expected only with --test")
        model = Model.load(file)
        tell(f"{file}: {model.data}", as_json=as_json)
        read = None if test is None else _observations(test, model, array, header)
        if read is not None:
            tell(f"{test}: {read}", as_json=as_json)
        with waiting("leaving one out") as progress, _arguments.renamed(trend=str(file)):
            found = model.leave_one_out(progress)
            predictions = [_page.Predictions.of("leave_one_out", "leave-one-out", model.observed, *found)]
        if read is not None:
            with waiting("predicting") as progress:
                found = model.predict(read.points, latent=False, progress=progress)
            predictions.append(_page.Predictions.of("test", "test data", read.observed, *found))
        with waiting("drawing") as progress:
            text = _page.page(model, predictions, progress)
        with _writing.replacing(out) as written:
            written.write(text.encode())
    scores = {one.key: dataclasses.asdict(one.scores) for one in predictions}
    facts = {
        "file": str(out), "file_bytes": out.stat().st_size, **model.facts(),
        **({"scores": scores} if as_json else {f"scores_of_{key}": one for key, one in scores.items()}),
        "seconds": time.perf_counter() - start,
    }  # fmt: skip
    _output.report(facts, as_json=as_json, read=model.data, test=read)


def _observations(path: Path, model: Model, array: str | None, header: bool | None) -> Table:
    """Points with a response, in the columns in which the data of a model have them."""
    if header is not None and not is_text(path):
        raise ValueError(f"{path}: --header and --no-header are for text")
    read = read_new(path, model.data, array=array, header=header, response=True)
    if not len(read.points):
        raise ValueError(f"{path}: expected at least 1 row, got 0")
    return read

"""The command line, of typer and rich: ``covertreex --help``."""

from __future__ import annotations

import typer

from .. import __version__
from .._capi import build_info
from . import _bench, _files, _fit, _models, _pairs, _report, _settings
from ._output import fail

app = typer.Typer(
    name="covertreex",
    help="Exact nearest neighbours in Euclidean space and in the residual-correlation metric of Gaussian processes.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for module in (_files, _pairs, _fit, _models, _report, _bench, _settings):
    module.add_to(app)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"covertreex {__version__} ({build_info()})")
        raise typer.Exit


@app.callback()
def options(
    version: bool = typer.Option(False, "--version", callback=_show_version, is_eager=True, help="Say it and exit."),
) -> None:
    """Exact nearest neighbours in Euclidean space and in the residual-correlation metric of Gaussian processes."""


def run() -> None:
    """Run a command. Exit codes: 0, 1 for a failure, 2 for wrong usage, 130 for an interrupt."""
    try:
        app()
    except (ValueError, TypeError, LookupError, OSError, MemoryError, ImportError, RuntimeError) as error:
        fail(error)

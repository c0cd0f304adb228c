"""Options that commands have in common."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

import typer

from .. import _arguments
from .._settings import Activation, Runtime

PROFILE = typer.Option(None, "--profile", help="Settings to begin with; see covertreex profile.")
SET = typer.Option(None, "--set", help="A setting, as in residual.n_inducing=256.")
THREADS = typer.Option(None, "--threads", min=1, max=1024, help="By default all.")
JSON = typer.Option(False, "--json", help="Print JSON.")


def runtime_of(profile: str | None, overrides: list[str] | None, threads: int | None) -> Activation:
    """Activate settings from options, as a context manager."""
    with _arguments.renamed(name="--profile", overrides="--set"):
        if profile is not None:
            runtime = Runtime.from_profile(profile, overrides or ())
        else:
            runtime = Runtime.from_config(Runtime().to_config().with_overrides(overrides or ()))
    return (runtime if threads is None else runtime.with_updates(threads=threads)).activate()


def named(**files: Path | None) -> AbstractContextManager[None]:
    """Have errors name options as they are written on the command line, and for ``files`` the file of an argument."""
    options = {name: f"--{name}" for name in ("kernel", "lengthscale", "variance", "ordering", "m", "k")}
    inner = {"n_inducing": "--inducing", "r": "--radius"}
    return _arguments.renamed(
        **options, **inner, **{name: str(path) for name, path in files.items() if path is not None}
    )

"""Options that commands have in common."""

from __future__ import annotations

import typer

from .._settings import Activation, Runtime

PROFILE = typer.Option(None, "--profile", help="Settings to begin with; see covertreex profile.")
SET = typer.Option(None, "--set", help="A setting, as in residual.tree=pure.")
THREADS = typer.Option(None, "--threads", min=1, max=1024, help="By default all.")
JSON = typer.Option(False, "--json", help="Print JSON.")


def runtime_of(profile: str | None, overrides: list[str] | None, threads: int | None) -> Activation:
    """Make active what options say, as a context manager."""
    if profile is not None:
        runtime = Runtime.from_profile(profile, overrides or ())
    else:
        runtime = Runtime.from_config(Runtime().to_config().with_overrides(overrides or ()))
    return (runtime if threads is None else runtime.with_updates(threads=threads)).activate()

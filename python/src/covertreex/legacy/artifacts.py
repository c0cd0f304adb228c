"""Folders for the files of benchmark runs, and names of runs."""

from __future__ import annotations

import os
import secrets
from datetime import datetime, timezone
from pathlib import Path
from typing import Union

from .. import _arguments

ROOT_VARIABLE = "COVERTREEX_ARTIFACT_ROOT"

PathLike = Union[str, "os.PathLike[str]"]


def artifact_root(create: bool = True) -> Path:
    """The folder for files of runs: ``COVERTREEX_ARTIFACT_ROOT``, or "artifacts" in the working directory.

    It is made if ``create`` says so.
    """
    root = Path(os.environ.get(ROOT_VARIABLE) or "artifacts").expanduser()
    if create:
        root.mkdir(parents=True, exist_ok=True)
    return root


def resolve_artifact_path(path: PathLike, *, category: str | None = None, create_parents: bool = True) -> Path:
    """Return the absolute path of a file: a relative path is below the folder for files of runs.

    ``category`` is a folder between, for relative paths. The folder of the file is made if ``create_parents`` says so.
    """
    found = Path(_arguments.path(path)).expanduser()
    if not found.is_absolute():
        found = artifact_root(create_parents) / (category or "") / found
    if create_parents:
        found.parent.mkdir(parents=True, exist_ok=True)
    return found


def timestamped_artifact(*, category: str | None, prefix: str, suffix: str, create_parents: bool = True) -> Path:
    """Return the path of a file named ``prefix``, the time (UTC) to the second, and ``suffix``.

    The others are as of :func:`resolve_artifact_path`.
    """
    return resolve_artifact_path(f"{prefix}_{_now()}{suffix}", category=category, create_parents=create_parents)


def generate_run_id(*, prefix: str = "pcct") -> str:
    """A name for a run: ``prefix``, the time (UTC) to the second, and some random digits."""
    return f"{prefix}-{_now()}-{secrets.token_hex(3)}"


def _now() -> str:
    return datetime.now(timezone.utc).strftime("%Y%m%d-%H%M%S")

"""Warnings about old settings."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Container, Iterable
from pathlib import Path

_PACKAGE = str(Path(__file__).parents[1]) + os.sep
_IMPORTS = "<frozen importlib"


class LegacyWarning(UserWarning):
    """A setting, option or name of covertreex 0.4.x has no effect here, or another one."""


def warn(message: str) -> None:
    """Warn at the line outside of this package from which the call came."""
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith((_PACKAGE, _IMPORTS)):
        # Frames of an import do not count as levels.
        level, frame = level + (not frame.f_code.co_filename.startswith(_IMPORTS)), frame.f_back
    warnings.warn(message, LegacyWarning, stacklevel=level)


def without_effect(names: Iterable[str], in_stages: Container[str] = ()) -> None:
    """Warn of settings that have no meaning here, if there are any.

    Those in ``in_stages`` are read by the stages of an insertion, in :mod:`covertreex.algo`.
    """
    listed = sorted(names)
    if not listed:
        return
    read = [name for name in listed if name in in_stages]
    but = f"; the functions of covertreex.algo read {', '.join(read)}" if read else ""
    warn(f"{', '.join(listed)}: of covertreex 0.4.x, without effect here{but}")

"""Building a tree in parts in a folder: the whole tree, or no files at all."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
from collections.abc import Iterator
from pathlib import Path

from .. import _files, _writing
from .files import MANIFEST

# In the folder while it is filled, and locked by the process that fills it.
_MARKER = "unfinished.lock"
# Files of a build that has not ended.
_UNFINISHED = re.compile(rf"part-\d+\.(covertree|points|indices)|layout\.covertree|\.covertree-\w+\.partial|{_MARKER}")


@contextlib.contextmanager
def filling(folder: _files.PathLike) -> Iterator[Path]:
    """Make a folder, or take one that is empty, and have it filled.

    If the block raises, its files are removed. If its process is killed, the next build in the folder removes them.

    Yields
    ------
    Path
        The folder, without links and from the root on.

    Raises
    ------
    FileExistsError
        Where something is in the folder, or another process fills it.
    """
    target = _writing.absolute(folder)
    made = [one for one in (target, *target.parents) if not one.exists()]
    target.mkdir(parents=True, exist_ok=True)
    try:
        marker = _claim(target)
        try:
            _clear(target)
            try:
                yield target
            except BaseException:
                _clear(target)
                (target / MANIFEST).unlink(missing_ok=True)
                raise
            finally:
                (target / _MARKER).unlink(missing_ok=True)
        finally:
            os.close(marker)
    except BaseException:
        with contextlib.suppress(OSError):  # not empty: somebody else has put something there
            for one in made:
                one.rmdir()
        raise


def _claim(folder: Path) -> int:
    """Lock the marker of a folder that is empty, or that nobody fills any more."""
    marker = folder / _MARKER
    names = os.listdir(folder)
    if names and (_MARKER not in names or not all(map(_UNFINISHED.fullmatch, names))):
        raise FileExistsError(errno.EEXIST, "folder: expected an empty one, or none", str(folder))
    descriptor = os.open(marker, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Another build may have ended, and removed this file, before the lock.
        is_ours = marker.exists() and os.path.samestat(os.stat(marker), os.fstat(descriptor))
    except BlockingIOError:
        is_ours = False
    except BaseException:
        os.close(descriptor)
        raise
    if not is_ours:
        os.close(descriptor)
        raise FileExistsError(errno.EEXIST, "folder: another process puts a tree there", str(folder))
    return descriptor


def _clear(folder: Path) -> None:
    """Remove the files of a build that has not ended, except the marker."""
    for name in os.listdir(folder):
        if name != _MARKER and _UNFINISHED.fullmatch(name):
            (folder / name).unlink()

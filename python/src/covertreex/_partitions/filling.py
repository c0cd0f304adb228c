"""Writing a tree in partitions to a folder: all of it, or nothing.

The files of a tree have a tag in their names, and the manifest has the tag. So a new tree is written next to the old
one, and replaces it when the manifest is replaced, which is one step. Each file is on the disk before the manifest is
written. Afterwards all files of other tags are removed, and so are files that killed processes left.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import secrets
from collections.abc import Iterator
from pathlib import Path

from .. import _files, _writing
from .._capi import CoverTreeError
from .manifest import MANIFEST, Manifest

# In the folder while it is filled, and locked by the process that fills it.
_MARKER = "unfinished.lock"
# Files of partitions, with the tag of their tree.
_OF_A_TREE = re.compile(r"(?:part-\d+|process)-([0-9a-f]{8})\.(?:covertree|points|indices)")
# Files of a build that has not ended.
_UNFINISHED = re.compile(rf"{_OF_A_TREE.pattern}|\.covertree-\w+\.partial|{_MARKER}")


@contextlib.contextmanager
def filling(folder: _files.PathLike, *, replace: bool = False) -> Iterator[tuple[Path, str]]:
    """Have a tree written to a folder, which is made if it does not exist. Yields its full path, and the tree's tag.

    The block writes the partitions' files, and the manifest last. If it raises before that, its files are removed. If
    the process is killed, the next call for the folder removes them.

    With ``replace`` the folder may have a tree, which is replaced, and other files, which stay. Otherwise it must be
    empty, and if the block raises, it is empty again, or removed again. FileExistsError if another process writes a
    tree there, or if something is in the folder that is not to be replaced.
    """
    target = _writing.absolute(folder)
    made = _made(target)
    try:
        marker = _claim(target, replace)
        try:
            # In every state that a power failure can leave, files of an unfinished tree have the marker with them.
            _writing._sync_folder(str(target))
            (_remove_others if replace else _clear)(target)
            try:
                yield target, _new_tag(target)
            except BaseException:
                if not replace:
                    (target / MANIFEST).unlink(missing_ok=True)
                    _writing._sync_folder(str(target))  # a manifest never lasts longer than its partitions
                raise
            finally:
                _remove_others(target)
                _writing._sync_folder(str(target))
                (target / _MARKER).unlink(missing_ok=True)
        finally:
            os.close(marker)
    except BaseException:
        with contextlib.suppress(OSError):  # not empty: another process has put something there
            for one in made:
                one.rmdir()
        raise


def _made(folder: Path) -> list[Path]:
    """Make a folder and the folders above it. Returns the new folders."""
    made = [one for one in (folder, *folder.parents) if not one.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for one in made:
        _writing._sync_folder(str(one.parent))
    return made


def _new_tag(folder: Path) -> str:
    """A tag that no file in the folder has."""
    names = os.listdir(folder)
    while True:
        tag = secrets.token_hex(4)
        if not any(tag in name for name in names):
            return tag


def _claim(folder: Path, replace: bool) -> int:
    """Lock the marker of a folder that no process writes to; one that is empty, except for `replace`."""
    marker = folder / _MARKER
    names = os.listdir(folder)
    if not replace and names and (_MARKER not in names or not all(map(_UNFINISHED.fullmatch, names))):
        raise FileExistsError(errno.EEXIST, "folder: expected an empty one, or none", str(folder))
    descriptor = os.open(marker, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    try:
        with contextlib.suppress(BlockingIOError):
            _lock(descriptor)
            # Another build may have ended, and removed this file, before the lock.
            if marker.exists() and os.path.samestat(os.stat(marker), os.fstat(descriptor)):
                return descriptor
        raise FileExistsError(errno.EEXIST, "folder: another process puts a tree there", str(folder))
    except BaseException:
        os.close(descriptor)
        raise


def _lock(descriptor: int) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        # Some file systems of clusters have no locks.
        if error.errno not in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP):
            raise


def _clear(folder: Path) -> None:
    """Remove the files of a build that has not ended, except the marker."""
    for name in os.listdir(folder):
        if name != _MARKER and _UNFINISHED.fullmatch(name):
            (folder / name).unlink()


def _remove_others(folder: Path) -> None:
    """Remove the files of all trees except the tree in the manifest."""
    tag = None
    if (folder / MANIFEST).exists():
        try:
            tag = Manifest.open(folder).tag
        except (OSError, CoverTreeError):
            return  # which files it names is not known
    for name in os.listdir(folder):
        found = _OF_A_TREE.fullmatch(name)
        if found and found[1] != tag:
            with contextlib.suppress(OSError):  # the tree is whole without this
                (folder / name).unlink()

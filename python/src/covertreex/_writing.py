"""Files that Python writes: in one step, by the rules by which the library writes its own."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Union

PathLike = Union[str, "os.PathLike[str]"]


@contextlib.contextmanager
def replacing(path: PathLike) -> Iterator[BinaryIO]:
    """Write a file in one step, as the library does (``docs/file-format.md``, "Writing").

    The yielded file is renamed when the block ends. If the block raises, the old file is unchanged.
    """
    place, replaced = destination(path)
    draft = os.path.join(os.path.dirname(place), f".covertree-{secrets.token_hex(8)}.partial")
    mode = 0o666 if replaced is None else 0o600
    descriptor = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with open(descriptor, "w+b") as file:
            if replaced is not None:
                _take_over(descriptor, replaced, path)
            yield file
            file.flush()
            os.fsync(descriptor)
        os.replace(draft, place)
    except BaseException:
        os.unlink(draft)
        raise
    _sync_folder(os.path.dirname(place))


def destination(path: PathLike) -> tuple[str, os.stat_result | None]:
    """Where a path leads, and the regular file that is there, or None. OSError where nothing can be written."""
    place = os.path.realpath(os.fspath(path))
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return place, None
    if not stat.S_ISREG(found.st_mode):
        number = errno.EISDIR if stat.S_ISDIR(found.st_mode) else errno.EINVAL
        raise OSError(number, f"path: expected a regular file or nothing there, got {_noun(found.st_mode)}", str(path))
    if not os.path.exists(place) or not os.path.samestat(os.lstat(place), found):
        raise OSError(errno.EINVAL, "path: leads to a file without a name, which cannot be replaced", str(path))
    if not os.access(place, os.W_OK, effective_ids=True):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
    return place, found


def _noun(mode: int) -> str:
    kinds = {stat.S_IFDIR: "a directory", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
    return kinds.get(stat.S_IFMT(mode), "a device")


def _take_over(descriptor: int, replaced: os.stat_result, path: PathLike) -> None:
    own = os.fstat(descriptor)
    if (own.st_uid, own.st_gid) != (replaced.st_uid, replaced.st_gid):
        try:
            os.fchown(descriptor, replaced.st_uid, replaced.st_gid)
        except OSError as error:
            owner = f"owner {replaced.st_uid} and group {replaced.st_gid}"
            raise OSError(error.errno, f"path: {owner} of the file cannot be kept", str(path)) from None
    os.fchmod(descriptor, stat.S_IMODE(replaced.st_mode))


def _sync_folder(folder: str) -> None:
    # Some file systems have nothing to do for it and say so, and a folder may be written to and not read.
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def absolute(path: PathLike) -> Path:
    """A path for later use: without links, and the same after a change of the working directory."""
    return Path(os.path.realpath(os.fspath(path)))

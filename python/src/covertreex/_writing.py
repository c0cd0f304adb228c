"""Files that Python writes: in one step, by the rules by which the library writes its own."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
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
    target, replaced = destination(path)
    folder = os.path.dirname(target)
    _remove_abandoned(folder)
    # A draft that replaces a file is private until it has the mode of that file.
    descriptor, draft = _open_draft(folder, 0o666 if replaced is None else 0o600)
    try:
        with open(descriptor, "w+b") as file:
            if replaced is not None:
                _copy_attributes(descriptor, replaced, path)
            yield file
            file.flush()
            os.fsync(descriptor)
            # With the draft its lock is closed: the draft has to be renamed before.
            if draft is None:
                draft = _give_name(descriptor, folder)
            os.replace(draft, target)
            draft = None
    except BaseException:
        if draft is not None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(draft)
        raise
    _sync_folder(folder)


# Drafts, as the library's (``FileDraft.swift``): without a name until all is written, where the system can do this.
# The process holds a lock on its draft. One that has a name and no lock is left from a process that was killed.

_DRAFT = re.compile(r"\.covertree-[0-9a-z]{1,16}\.partial")


def _open_draft(folder: str, mode: int) -> tuple[int, str | None]:
    """Create a draft and lock it. Its path is None while it has no name."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDWR | os.O_TMPFILE | os.O_CLOEXEC, mode)
        # The name is given through /proc, which not every machine has.
        if os.path.exists(f"/proc/self/fd/{descriptor}") and _holds(descriptor, 0):
            return descriptor, None
        os.close(descriptor)
    while True:
        draft = _random_path(folder)
        with contextlib.suppress(FileExistsError):
            descriptor = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
            if _holds(descriptor, 1):
                return descriptor, draft
            os.close(descriptor)


def _holds(descriptor: int, links: int) -> bool:
    """Lock a new draft: another process may have removed it before."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks: no draft is removed there
        pass
    return os.fstat(descriptor).st_nlink == links


def _give_name(descriptor: int, folder: str) -> str:
    # Links are followed where a folder is given as a descriptor.
    opened = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        while True:
            draft = _random_path(folder)
            with contextlib.suppress(FileExistsError):
                os.link(f"/proc/self/fd/{descriptor}", os.path.basename(draft), dst_dir_fd=opened)
                return draft
    finally:
        os.close(opened)


def _random_path(folder: str) -> str:
    return os.path.join(folder, f".covertree-{secrets.token_hex(8)}.partial")


def _remove_abandoned(folder: str) -> None:
    """Remove drafts that are left from processes that were killed. If that fails, they stay."""
    with contextlib.suppress(OSError):
        for name in filter(_DRAFT.fullmatch, os.listdir(folder)):
            with contextlib.suppress(OSError):
                _remove_if_abandoned(os.path.join(folder, name))


def _remove_if_abandoned(draft: str) -> None:
    descriptor = os.open(draft, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.unlink(draft)
    finally:
        os.close(descriptor)


def destination(path: PathLike) -> tuple[str, os.stat_result | None]:
    """The target of a path, and the regular file that is there, or None. OSError if it cannot be written."""
    target = os.path.realpath(os.fspath(path))
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return target, None
    if not stat.S_ISREG(found.st_mode):
        number = errno.EISDIR if stat.S_ISDIR(found.st_mode) else errno.EINVAL
        raise OSError(number, f"path: expected a regular file or nothing there, got {_noun(found.st_mode)}", str(path))
    if not os.path.exists(target) or not os.path.samestat(os.lstat(target), found):
        raise OSError(errno.EINVAL, "path: leads to a file without a name, which cannot be replaced", str(path))
    if not os.access(target, os.W_OK, effective_ids=True):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
    return target, found


def _noun(mode: int) -> str:
    kinds = {stat.S_IFDIR: "a directory", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
    return kinds.get(stat.S_IFMT(mode), "a device")


def _copy_attributes(descriptor: int, replaced: os.stat_result, path: PathLike) -> None:
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

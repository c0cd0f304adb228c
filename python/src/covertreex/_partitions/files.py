"""The files of partitions: each has the tree of its points, with their dataset indices."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _files
from .._capi import CoverTreeError
from ..residual import ResidualTree
from ..tree import CoverTree
from .partition import Partition

SEAL_BYTES = 16
_INDICES = "covertreex.indices"


def partition_path(folder: Path, tag: str, number: int) -> Path:
    """The path of a partition's file, with the tree's tag: two trees have no file in common."""
    return folder / f"part-{number:05d}-{tag}.covertree"


def process_path(folder: Path, tag: str) -> Path:
    """The path of the residual process that all partitions have in common."""
    return folder / f"process-{tag}.covertree"


def save_partition(partition: Partition, path: Path) -> bytes:
    """Write a partition, and return the seal of its file."""
    partition.tree._save(path, {_INDICES: partition.indices})
    return seal(path)


def mapped(partition: Partition, folder: Path) -> Partition:
    """The same partition, mapped from a file. It has no name any more, so it disappears with the last process."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"part-{uuid.uuid4().hex}.covertree"
    try:
        save_partition(partition, path)
        file = _files.File.open(path, mmap=True, verify=False, progress=None)
        return Partition(partition.indices, type(partition.tree)._of_file(file), partition.values)
    finally:
        path.unlink(missing_ok=True)


def seal(path: Path) -> bytes:
    """The seal of a file: a digest of its checksums, which differs if any byte of the file differs."""
    return _seal(_files.File.open(path, mmap=True, verify=False, progress=None))


def _seal(file: _files.File) -> bytes:
    return hashlib.blake2b(file.head.tobytes(), digest_size=SEAL_BYTES).digest()


def open_sealed(path: Path, expected: bytes, *, verify: bool = False) -> _files.File:
    """Map a file if it has the expected seal. Its sections are compared with their checksums when they are used.

    With ``verify`` they are compared at once.
    """
    try:
        file = _files.File.open(path, mmap=True, verify=verify, progress=None)
    except FileNotFoundError:
        raise CoverTreeError(f"path: {path} is missing: the folder lost it, or has another tree now") from None
    if _seal(file) != expected:
        raise CoverTreeError(f"path: {path} is not the file that was saved with the other files of this folder")
    return file


@dataclass(frozen=True)
class PartitionFile:
    """The file of a partition, and its expected contents."""

    path: Path
    seal: bytes
    kind: int  #: of the file
    dim: int
    dtype: np.dtype[Any]
    size: int  #: points of the partition
    first: int  #: the smallest dataset index
    n_points: int  #: points of all partitions

    def check(self) -> _files.File:
        """Open the file; points are not read. CoverTreeError if it is another file, or of another size."""
        file = open_sealed(self.path, self.seal)
        if file.kind != self.kind or file.shape(_INDICES) != (self.size, 1):
            raise CoverTreeError(f"path: {self.path} is not a partition of {self.size} points")
        return file

    def open(self) -> Partition:
        """Open the partition. It is mapped, and compared with its checksums."""
        file = self.check()
        indices = file.sections(_INDICES)[_INDICES]
        if not self._fits(indices):
            raise CoverTreeError(f"path: {self.path} has dataset indices that do not fit the other partitions")
        tree = (ResidualTree if self.kind == _files.RESIDUAL else CoverTree)._of_file(file)
        if len(tree) != self.size or tree.dim != self.dim or tree._dtype != self.dtype:
            raise CoverTreeError(
                f"path: {self.path} has a tree of {len(tree)} x {tree.dim} {tree._dtype}, "
                f"expected {self.size} x {self.dim} {self.dtype}"
            )
        return Partition(indices, tree)

    def _fits(self, indices: NDArray[Any]) -> bool:
        """True if these are ascending dataset indices from `first` on."""
        return bool(
            indices.dtype == np.int64
            and indices.shape == (self.size,)
            and indices[0] == self.first
            and indices[-1] < self.n_points
            and (indices[1:] > indices[:-1]).all()
        )

"""Parts in files: of each its tree, and beside it the indices of its points."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .. import _files
from ..residual import ResidualTree
from ..tree import CoverTree
from .part import Part

# What says that a folder has a tree in parts; it is written when all else is there.
MANIFEST = "partitions.json"


def part_path(folder: _files.PathLike, number: int, ending: str) -> Path:
    """A file of a part."""
    return Path(folder) / f"part-{number:05d}.{ending}"


def save_part(part: Part, folder: _files.PathLike, number: int) -> None:
    """Write a part."""
    part.tree.save(part_path(folder, number, "covertree"))
    np.save(part_path(folder, number, "npy"), part.indices)


def open_part(folder: _files.PathLike, number: int, *, mapped: bool) -> Part:
    """Open a part that was written; ``mapped`` is whether its indices are, too, as its tree is."""
    file = _files.File.open(part_path(folder, number, "covertree"), mmap=True, verify=False, progress=None)
    kind = ResidualTree if file.kind == _files.RESIDUAL else CoverTree
    return Part(np.load(part_path(folder, number, "npy"), mmap_mode="r" if mapped else None), kind._of_file(file))

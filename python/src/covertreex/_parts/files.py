"""Parts in files: of each its tree with the indices of its points; and what they have in common."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _files, _writing
from .._native import CoverTreeError, lib
from ..residual import ResidualTree
from ..tree import CoverTree
from .part import Part

# What says that a folder has a tree in parts; it is written when all else is there.
MANIFEST = "partitions.json"
_INDICES = "covertreex.indices"


def part_path(folder: _files.PathLike, number: int, ending: str = "covertree") -> Path:
    """A file of a part."""
    return Path(folder) / f"part-{number:05d}.{ending}"


def save_part(part: Part, folder: _files.PathLike, number: int) -> None:
    """Write a part."""
    part.tree._save(part_path(folder, number), {_INDICES: part.indices})


def open_part(folder: _files.PathLike, number: int) -> Part:
    """Open a part that was written; it is mapped."""
    path = part_path(folder, number)
    file = _files.File.open(path, mmap=True, verify=False, progress=None)
    kind = ResidualTree if file.kind == _files.RESIDUAL else CoverTree
    indices = file.sections(_INDICES).get(_INDICES)
    tree = kind._of_file(file)
    if indices is None or indices.dtype != np.int64 or indices.shape != (len(tree),):
        raise CoverTreeError(f"path: {path} is not a part of a tree in parts")
    return Part(indices, tree)


def save_arrays(folder: _files.PathLike, name: str, arrays: dict[str, NDArray[Any]]) -> None:
    """Write arrays of which each may be of two dimensions; uint64 ones as int64."""
    sections = {key: array.view(np.int64) if array.dtype == np.uint64 else array for key, array in arrays.items()}
    _files.save(lib.covertree_sections_save, (), Path(folder) / f"{name}.covertree", sections, None, input_hash=0)


def open_arrays(folder: _files.PathLike, name: str, *keys: str) -> dict[str, NDArray[Any]]:
    """Read arrays that were written; each has been compared with its checksum."""
    path = Path(folder) / f"{name}.covertree"
    found = _files.File.open(path, mmap=False, verify=True, progress=None).sections(*keys)
    missing = [key for key in keys if key not in found]
    if missing:
        raise CoverTreeError(f"path: {path} has no section {missing[0]!r}")
    return found


def save_manifest(folder: _files.PathLike, known: dict[str, Any]) -> None:
    """Say that all else is there."""
    with _writing.replacing(Path(folder) / MANIFEST) as file:
        file.write(json.dumps(known).encode())


def open_manifest(folder: _files.PathLike) -> dict[str, Any]:
    """What :func:`save_manifest` wrote."""
    known: dict[str, Any] = json.loads((Path(folder) / MANIFEST).read_text(encoding="utf-8"))
    return known

"""Files of the library: their sections, and the sections that this package adds."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _arguments, _arrays, _calls, _writing
from ._calls import ProgressReport
from ._capi import DTYPES, CoverTreeError, Owner, files
from ._capi.files import ARRAYS, FUNCTION, INDEX, RESIDUAL, TREE, VIF, Arrays

__all__ = [
    "ARRAYS", "FUNCTION", "INDEX", "RESIDUAL", "TREE", "VIF", "Arrays", "File", "PathLike", "check_points", "save",
]  # fmt: skip

PathLike = _writing.PathLike

_HEADER_BYTES = 64
_ENTRY = np.dtype([("name", "S24"), ("type", "<u4"), ("checksum", "<u4"), ("offset", "<u8"), ("rows", "<u8"),
                   ("columns", "<u8"), ("unused", "V8")])  # fmt: skip


class File:
    """A file that is open, or one in memory; arrays out of it keep it so."""

    def __init__(self, owner: Owner) -> None:
        self.owner = owner
        self.kind, self.input_hash, self._n_sections, self.bytes = files.get_info(owner)

    @classmethod
    def open(cls, path: PathLike, *, mmap: bool, verify: bool, progress: ProgressReport | None) -> File:
        text = _arguments.path(path)
        threads = _calls.threads(None)
        return cls(files.open(text, copy=not mmap, verify=verify, n_threads=threads, progress=progress))

    @classmethod
    def copy(cls, data: NDArray[np.uint8]) -> File:
        return cls(files.copy(data, n_threads=_calls.threads(None)))

    def sections(self, *names: str) -> dict[str, NDArray[Any]]:
        """Arrays by name, those there are of the names; each is compared with its checksum first."""
        there = (name.decode("ascii", "replace") for name in self._table()["name"].tolist())
        return {name: files.get_section(self.owner, index) for index, name in enumerate(there) if name in names}

    def shape(self, name: str) -> tuple[int, int] | None:
        """Rows and columns of a section, if there is one of the name; the section is not read."""
        for entry in self._table():
            if entry["name"] == name.encode("ascii"):
                return int(entry["rows"]), int(entry["columns"])
        return None

    @property
    def head(self) -> NDArray[np.uint8]:
        """The header and the table. They have the checksums of everything else, which is not read."""
        return self.bytes[: _HEADER_BYTES + _ENTRY.itemsize * self._n_sections]

    def _table(self) -> NDArray[Any]:
        return self.head[_HEADER_BYTES:].view(_ENTRY)


def save(path: PathLike, sections: Arrays, progress: ProgressReport | None, *, input_hash: int) -> None:
    """Write a file of arrays, in one step."""
    path, threads = _arguments.path(path), _calls.threads(None)
    files.sections_save(path, input_hash, sections, n_threads=threads, progress=progress)


def check_points(file: File, points: ArrayLike | None) -> None:
    """Raise where a file was saved from other points than these, in the type in which its tree keeps them."""
    if points is None:
        return
    dtype = np.dtype(np.float64)
    if file.kind == TREE:
        dtype = DTYPES[int(file.sections("settings")["settings"][5])]
    check_rows(file, _arrays.points(points, "points", dtype=dtype))


def check_rows(file: File, array: NDArray[Any]) -> None:
    """Raise where a file was saved from other rows than these, which have the type of its tree."""
    if files.hash_points(array, n_threads=_calls.threads(None)) != file.input_hash:
        raise CoverTreeError("points: the file was saved from other points")

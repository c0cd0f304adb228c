"""Files of the library: their sections, and the sections that this package adds."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _arguments, _arrays, _calls, _native, _writing
from ._calls import ProgressReport
from ._native import CoverTreeError, lib

PathLike = _writing.PathLike

TREE, RESIDUAL, ARRAYS, INDEX = 1, 2, 3, 4

_COPY, _VERIFY = 1, 2
# By their numbers in the library, each a covertree_dtype.
DTYPES: dict[int, np.dtype[Any]] = {
    1: np.dtype(np.float32),
    2: np.dtype(np.float64),
    3: np.dtype(np.int32),
    4: np.dtype(np.int64),
    5: np.dtype(np.uint8),
}
DTYPE_NUMBERS = {dtype: number for number, dtype in DTYPES.items()}

_HEADER_BYTES = 64
_ENTRY = np.dtype([("name", "S24"), ("type", "<u4"), ("checksum", "<u4"), ("offset", "<u8"), ("rows", "<u8"),
                   ("columns", "<u8"), ("unused", "V8")])  # fmt: skip

Arrays = Mapping[str, NDArray[Any]]


class File:
    """A file that is open, or one in memory; arrays out of it keep it so."""

    def __init__(self, owner: _calls.Owner) -> None:
        self._owner = owner
        self.handle = owner.handle
        self._info = _native.FileInfo()
        _native.check(lib.covertree_file_get_info(self.handle, ctypes.byref(self._info)))
        self.kind = int(self._info.kind)
        self.input_hash = int(self._info.input_hash)

    @classmethod
    def open(cls, path: PathLike, *, mmap: bool, verify: bool, progress: ProgressReport | None) -> File:
        """Open a file; it is mapped, or read."""
        flags = (0 if mmap else _COPY) | (_VERIFY if verify else 0)
        return cls._opened(lib.covertree_file_open, encoded_path(path), flags, progress=progress)

    @classmethod
    def copy(cls, data: NDArray[np.uint8]) -> File:
        """Open a copy of a file that is in memory."""
        return cls._opened(lib.covertree_file_copy, data.ctypes.data, data.nbytes, 0)

    @classmethod
    def encode(cls, function: Callable[..., int], source: ctypes.c_void_p, sections: Arrays) -> File:
        """Put a tree into memory as it would be in a file."""
        array, keep = _section_array(sections)
        file = cls._opened(function, source, array, len(keep))
        del keep
        return file

    @classmethod
    def _opened(cls, function: Callable[..., int], *arguments: Any, progress: ProgressReport | None = None) -> File:
        options = _calls.call_options(None)
        owner = _calls.Owner(lib.covertree_file_free)
        _native.run(
            function, *arguments, ctypes.byref(options), ctypes.byref(owner.handle), options=options, report=progress
        )
        return cls(owner)

    @property
    def bytes(self) -> NDArray[np.uint8]:
        """The whole file."""
        return _arrays.view(self._owner, self._info.bytes, (self._info.n_bytes,), np.uint8)

    def sections(self, *names: str) -> dict[str, NDArray[Any]]:
        """Arrays by name, those there are of the names; each is compared with its checksum first."""
        found = {}
        for index, name in enumerate(self._names()):
            if name in names:
                section = self._section(index)
                shape = (section.rows,) if section.columns == 1 else (section.rows, section.columns)
                found[name] = _arrays.view(self._owner, section.data, shape, DTYPES[section.dtype])
        return found

    def _section(self, index: int) -> Any:
        section = _native.Section()
        _native.check(lib.covertree_file_get_section(self.handle, index, ctypes.byref(section)))
        return section

    def shape(self, name: str) -> tuple[int, int] | None:
        """Rows and columns of a section, if there is one of the name; the section is not read."""
        for entry in self._table():
            if entry["name"] == name.encode("ascii"):
                return int(entry["rows"]), int(entry["columns"])
        return None

    @property
    def head(self) -> NDArray[np.uint8]:
        """The header and the table. They have the checksums of everything else, which is not read."""
        return self.bytes[: _HEADER_BYTES + _ENTRY.itemsize * self._info.n_sections]

    def _names(self) -> list[str]:
        return [bytes(name).decode("ascii", "replace") for name in self._table()["name"]]

    def _table(self) -> NDArray[Any]:
        return self.head[_HEADER_BYTES:].view(_ENTRY)


def save(
    function: Callable[..., int],
    arguments: tuple[Any, ...],
    path: PathLike,
    sections: Arrays,
    progress: ProgressReport | None,
    *,
    input_hash: int | None = None,
) -> None:
    """Write a file in one step, with sections of ours."""
    array, keep = _section_array(sections)
    options = _calls.call_options(None)
    hashes = () if input_hash is None else (input_hash,)
    _native.run(
        function, *arguments, encoded_path(path), *hashes, array, len(keep), ctypes.byref(options), options=options,
        report=progress,
    )  # fmt: skip


def _section_array(sections: Arrays) -> tuple[Any, list[NDArray[Any]]]:
    """Return arrays in the form that the library reads, and the objects that they point to."""
    keep = [np.ascontiguousarray(values) for values in sections.values()]
    array = (_native.Section * max(1, len(keep)))()
    for entry, name, values in zip(array, sections, keep):
        entry.name, entry.dtype = name.encode("ascii"), DTYPE_NUMBERS[values.dtype]
        entry.rows, entry.columns = len(values), values.size // max(1, len(values))
        entry.data = values.ctypes.data
    return array, keep


def encoded_path(path: PathLike, name: str = "path") -> bytes:
    """Return a path in the form that the library reads."""
    return os.fsencode(_arguments.path(path, name))


def check_points(file: File, points: ArrayLike | None) -> None:
    """Raise where a file was saved from other points than these, in the type in which its tree keeps them."""
    if points is None:
        return
    is_float64 = file.kind == RESIDUAL
    dtype = np.dtype(np.float64) if is_float64 else DTYPES[int(file.sections("settings")["settings"][5])]
    array = _arrays.points(points, "points", dtype=dtype)
    options = _calls.call_options(None)
    found = ctypes.c_uint64()
    arguments = (_calls.matrix(array), ctypes.byref(options), ctypes.byref(found))
    _native.run(lib.covertree_hash_points, *arguments, options=options)
    if found.value != file.input_hash:
        raise CoverTreeError("points: the file was saved from other points")

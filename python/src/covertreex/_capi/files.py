"""Files of the library."""

from __future__ import annotations

import os
from collections.abc import Mapping
from ctypes import byref, c_uint64
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .calls import How, Unpack, call, made
from .library import check, lib, read
from .memory import DTYPE_NUMBERS, DTYPES, Handle, Owner, address, matrix, view
from .structs import FileInfo, Section

#: Kinds of files, each a covertree_file_kind.
TREE, RESIDUAL, ARRAYS, INDEX, VIF, FUNCTION = 1, 2, 3, 4, 5, 6

_COPY, _VERIFY = 1, 2

#: Arrays by name.
Arrays = Mapping[str, NDArray[Any]]


def open(path: str, *, copy: bool, verify: bool, **how: Unpack[How]) -> Owner:
    """Open a file; it is mapped, or read where a ``copy`` is asked for."""
    flags = (_COPY if copy else 0) | (_VERIFY if verify else 0)
    return made(lib.covertree_file_open, lib.covertree_file_free, how, os.fsencode(path), flags)


def copy(data: NDArray[np.uint8], **how: Unpack[How]) -> Owner:
    """Open a copy of a file that is in memory."""
    return made(lib.covertree_file_copy, lib.covertree_file_free, how, address(data), data.nbytes, 0)


def get_info(file: Owner) -> tuple[int, int, int, NDArray[np.uint8]]:
    """Kind, hash of the points, number of sections, and all bytes of a file."""
    info = read(lib.covertree_file_get_info, file.handle, FileInfo)
    data = view(file, info.bytes, (info.n_bytes,), np.uint8)
    return int(info.kind), int(info.input_hash), int(info.n_sections), data


def get_section(file: Owner, index: int) -> NDArray[Any]:
    """An array out of a file; it is compared with its checksum first."""
    section = Section()
    check(lib.covertree_file_get_section(file.handle, index, byref(section)))
    shape = (section.rows,) if section.columns == 1 else (section.rows, section.columns)
    return view(file, section.data, shape, DTYPES[section.dtype])


def hash_points(points: NDArray[Any], **how: Unpack[How]) -> int:
    """A number by which points are recognised."""
    found = c_uint64()
    call(lib.covertree_hash_points, how, (matrix(points),), byref(found))
    return found.value


def sections_save(path: str, input_hash: int, sections: Arrays, **how: Unpack[How]) -> None:
    """Write a file of arrays, in one step."""
    array, _keep = _section_array(sections)
    call(lib.covertree_sections_save, how, (os.fsencode(path), input_hash, array, len(sections)))


class Writer:
    """Writes things of a kind, with sections of the caller."""

    def __init__(self, kind: str) -> None:
        self._prefix = f"covertree_{kind}_"

    def save(self, source: Handle, path: str, sections: Arrays, **how: Unpack[How]) -> None:
        """Write one to a file, in one step."""
        array, _keep = _section_array(sections)
        call(getattr(lib, self._prefix + "save"), how, (source, os.fsencode(path), array, len(sections)))

    def encode(self, source: Handle, sections: Arrays, **how: Unpack[How]) -> Owner:
        """The same in memory: the file, as if it had been opened."""
        array, _keep = _section_array(sections)
        function, free = getattr(lib, self._prefix + "encode"), lib.covertree_file_free
        return made(function, free, how, source, array, len(sections))


def _section_array(sections: Arrays) -> tuple[Any, list[NDArray[Any]]]:
    """Arrays as the library reads them, and their memory."""
    keep = [np.ascontiguousarray(values) for values in sections.values()]
    array = (Section * max(1, len(keep)))()
    for entry, name, values in zip(array, sections, keep):
        entry.name, entry.dtype = name.encode("ascii"), DTYPE_NUMBERS[values.dtype]
        entry.rows, entry.columns = len(values), values.size // max(1, len(values))
        entry.data = address(values)
    return array, keep

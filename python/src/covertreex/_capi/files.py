"""Files of the library."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from ctypes import byref, c_uint64
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .calls import call, call_options, made
from .library import check, lib, read
from .memory import DTYPE_NUMBERS, DTYPES, Handle, Owner, matrix, start, view
from .running import ProgressReport
from .structs import FileInfo, Section

#: Kinds of files, each a covertree_file_kind.
TREE, RESIDUAL, ARRAYS, INDEX = 1, 2, 3, 4

_COPY, _VERIFY = 1, 2

#: Arrays by name.
Arrays = Mapping[str, NDArray[Any]]


class Contents(NamedTuple):
    """A file."""

    kind: int
    input_hash: int
    n_sections: int
    bytes: NDArray[np.uint8]  #: all of it


def open(path: str, *, copy: bool, verify: bool, n_threads: int, progress: ProgressReport | None) -> Owner:
    """Open a file; it is mapped, or read where a ``copy`` is asked for."""
    flags = (_COPY if copy else 0) | (_VERIFY if verify else 0)
    return _opened(lib.covertree_file_open, (os.fsencode(path), flags), n_threads, progress)


def copy(data: NDArray[np.uint8], *, n_threads: int) -> Owner:
    """Open a copy of a file that is in memory."""
    return _opened(lib.covertree_file_copy, (start(data), data.nbytes, 0), n_threads, None)


def _opened(
    function: Callable[..., int], arguments: tuple[Any, ...], n_threads: int, progress: ProgressReport | None
) -> Owner:
    return made(function, lib.covertree_file_free, arguments, call_options(n_threads), progress)


def get_info(file: Owner) -> Contents:
    """What a file is."""
    info = read(lib.covertree_file_get_info, file.handle, FileInfo)
    data = view(file, info.bytes, (info.n_bytes,), np.uint8)
    return Contents(int(info.kind), int(info.input_hash), int(info.n_sections), data)


def get_section(file: Owner, index: int) -> NDArray[Any]:
    """An array out of a file; it is compared with its checksum first."""
    section = Section()
    check(lib.covertree_file_get_section(file.handle, index, byref(section)))
    shape = (section.rows,) if section.columns == 1 else (section.rows, section.columns)
    return view(file, section.data, shape, DTYPES[section.dtype])


def hash_points(points: NDArray[Any], *, n_threads: int) -> int:
    """A number by which points are recognised."""
    options, found = call_options(n_threads), c_uint64()
    call(lib.covertree_hash_points, (matrix(points), byref(options), byref(found)), options, None)
    return found.value


def sections_save(
    path: str, input_hash: int, sections: Arrays, *, n_threads: int, progress: ProgressReport | None
) -> None:
    """Write a file of arrays, in one step."""
    save(lib.covertree_sections_save, (os.fsencode(path), input_hash), sections, n_threads, progress)


def save(
    function: Callable[..., int],
    arguments: tuple[Any, ...],
    sections: Arrays,
    n_threads: int,
    progress: ProgressReport | None,
) -> None:
    """Write a file by one of the functions that do, with sections of the caller."""
    array, _keep = _section_array(sections)
    options = call_options(n_threads)
    call(function, (*arguments, array, len(sections), byref(options)), options, progress)


def encode(function: Callable[..., int], source: Handle, sections: Arrays, n_threads: int) -> Owner:
    """The same in memory: the file, as if it had been opened."""
    array, _keep = _section_array(sections)
    return _opened(function, (source, array, len(sections)), n_threads, None)


def _section_array(sections: Arrays) -> tuple[Any, list[NDArray[Any]]]:
    """Arrays as the library reads them, and their memory."""
    keep = [np.ascontiguousarray(values) for values in sections.values()]
    array = (Section * max(1, len(keep)))()
    for entry, name, values in zip(array, sections, keep):
        entry.name, entry.dtype = name.encode("ascii"), DTYPE_NUMBERS[values.dtype]
        entry.rows, entry.columns = len(values), values.size // max(1, len(values))
        entry.data = start(values)
    return array, keep

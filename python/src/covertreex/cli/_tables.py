"""Points out of files of several kinds, and results into files."""

from __future__ import annotations

import csv
import dataclasses
import errno
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _writing
from .._tables import tables
from .._tables.delimited import Text
from .._tables.tables import Choice, Columns, Response, Table
from . import _columns

READ = ".npy, .npz, .csv, .tsv (also .gz), .parquet"

_DELIMITERS = {".csv": ",", ".txt": ",", ".tsv": "\t", ".tab": "\t"}
_COMPRESSIONS = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd", ".lz4": "lz4"}
# Modules of pyarrow that write tables.
_MODULES = {".csv": "csv", ".parquet": "parquet"}

# Reading


def read_points(
    path: Path,
    *,
    array: str | None = None,
    columns: str | None = None,
    header: bool | None = None,
    response: str | None = None,
) -> Table:
    """Read points, shape (n, dim).

    Parameters
    ----------
    path : Path
        ``.npy`` is mapped; of ``.npz`` the only array is read, or the one named; text and ``.parquet`` need pyarrow.
    array : str, optional
        Which of the arrays of an ``.npz``.
    columns : str, optional
        Names of columns, or their numbers from 0, with commas between them; a name with a comma in double quotes.
    header : bool, optional
        Whether the first line of text has names; by default the text decides.
    response : str, optional
        A column that is read in addition, and is no coordinate: its name or number, or another array of an ``.npz``.
    """
    wanted = None if columns is None else tables.split_names(columns)
    if response is None or response == array or response not in _names_of_arrays(path):
        return _read(path, _columns.chosen(wanted, response), array, header)
    return _with_response(_read(path, _columns.chosen(wanted, None), array, header, apart=response), response)


def read_new(
    path: Path, known: Table, *, array: str | None = None, header: bool | None = None, response: bool = False
) -> Table:
    """Read new points, whose coordinates are in the columns in which a table of known points has them.

    ``header`` is for text, and ``array`` for an ``.npz`` with several arrays: by default that of the known points.
    ``response`` reads the response, too, which is where the known table has it.
    """
    there, wanted = _names_of_arrays(path), array or known.array
    name = known.response.name if response and known.response is not None else None
    is_array = name in there and name != wanted
    array = None if len(there) == 1 + is_array else wanted
    header = header if is_text(path) else None
    if name is not None and is_array:
        read = _with_response(_read(path, _columns.same(known), array, header, apart=name), name)
    else:
        read = _read(path, _columns.same(known, response=response), array, header)
    if read.points.shape[1] != known.points.shape[1]:
        raise ValueError(f"{path}: expected {known.points.shape[1]} coordinates, got {read.points.shape[1]}")
    return read


def is_readable(path: Path) -> bool:
    """Whether a file is one of points, by its name."""
    return _kind(path)[0] in {*_DELIMITERS, ".parquet", ".npy", ".npz"}


def is_text(path: Path) -> bool:
    """Whether a file is delimited text, by its name."""
    return _kind(path)[0] in _DELIMITERS


def _kind(path: Path) -> tuple[str, str | None]:
    """The kind of a file by its name, and its compression."""
    kind = path.suffix.lower()
    if kind in _COMPRESSIONS and Path(path.stem).suffix.lower() in _DELIMITERS:
        return Path(path.stem).suffix.lower(), _COMPRESSIONS[kind]
    return kind, None


def _read(path: Path, choose: Choice, array: str | None, header: bool | None, *, apart: str | None = None) -> Table:
    """Read the columns that are chosen; ``apart`` is an array that does not have them."""
    kind, compression = _kind(path)
    if header is not None and kind not in _DELIMITERS:
        raise ValueError(f"{path}: --header and --no-header are for text")
    if kind in _DELIMITERS:
        return Text(path, _DELIMITERS[kind], compression).read(choose, header)
    if kind == ".parquet":
        return tables.ParquetFile(path, choose, "choose with --columns").table()
    if not is_readable(path):
        raise ValueError(f"{path}: expected a file that ends in {READ}")
    with tables.naming(path):
        points, name = _loaded(path, array, apart)
    return _of_array(path, points, name, choose)


# Arrays of NumPy


def _names_of_arrays(path: Path) -> list[str]:
    """The arrays of an ``.npz``."""
    if path.suffix.lower() != ".npz":
        return []
    with tables.naming(path), np.load(path, allow_pickle=False) as arrays:
        return list(arrays.files)


def _loaded(path: Path, array: str | None, apart: str | None) -> tuple[NDArray[Any], str | None]:
    """An array, and its name in an archive."""
    if path.suffix.lower() == ".npy":
        return np.load(path, mmap_mode="r", allow_pickle=False), None
    with np.load(path, allow_pickle=False) as arrays:
        there = [name for name in arrays.files if name != apart]
        if not there:
            raise ValueError(f"{path}: expected an array of points, got none")
        if array is None and len(there) > 1:
            raise ValueError(f"{path}: has {', '.join(there)}; say which with --array")
        key = there[0] if array is None else array
        if key not in there:
            raise ValueError(f"{path}: has no array {key!r}; there are {', '.join(there)}")
        return arrays[key], key


def _of_array(path: Path, points: NDArray[Any], name: str | None, choose: Choice) -> Table:
    _check_real(path, points)
    if points.ndim == 1:
        points = points[:, None]
    if points.ndim != 2:
        raise ValueError(f"{path}: expected points of shape (n, dim), got {points.shape}")
    source = Columns(path, [], points.shape[1])
    chosen, response = choose(source), None
    if chosen.response is not None:
        response = Response(source.name(chosen.response), points[:, chosen.response])
        tables.check_finite(path, response.values[:, None], [chosen.response])
    if list(chosen.numbers) != list(range(source.width)):
        points = np.ascontiguousarray(points[:, chosen.numbers])
    tables.check_finite(path, points, chosen.numbers)
    return Table(points, source, chosen, array=name, response=response)


def _with_response(read: Table, name: str) -> Table:
    """Add a response that is an array of its own."""
    path, n = read.source.path, len(read.points)
    with tables.naming(path):
        values, _ = _loaded(path, name, None)
    where = f"{path}: array {name}"
    _check_real(where, values)
    if values.shape not in {(n,), (n, 1)}:
        got = len(values) if values.ndim == 1 else f"shape {values.shape}"
        raise ValueError(f"{where}: expected {n} numbers, one for each point, got {got}")
    tables.check_finite(where, values.reshape(-1, 1))
    return dataclasses.replace(read, response=Response(name, values.reshape(-1)))


def _check_real(source: object, values: NDArray[Any]) -> None:
    if values.dtype.kind not in "biuf":
        raise ValueError(f"{source}: expected real numbers, got dtype {values.dtype}")


# Writing


def check_output(path: Path, name: str = "out", kinds: Sequence[str] | None = (".npz",)) -> None:
    """Raise where writing would, before anything is computed for it.

    ``name`` is how the caller gave the path, and ``kinds`` is None if it may end in anything.
    """
    kind = path.suffix.lower()
    if kinds is not None and kind not in kinds:
        *others, last = kinds
        endings = f"{', '.join(others)} or {last}" if others else last
        raise ValueError(f"{name}: expected a name that ends in {endings}, got {path}")
    folder = os.path.dirname(_writing.destination(path)[0])
    if not os.path.isdir(folder):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
    if not os.access(folder, os.W_OK | os.X_OK, effective_ids=True):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
    if kinds is not None and kind in _MODULES:
        with tables.naming(path):
            tables.arrow(_MODULES[kind])


def write_arrays(path: Path, **arrays: Any) -> None:
    """Write arrays to an ``.npz``, except None."""
    check_output(path)
    with _writing.replacing(path) as file:
        np.savez(file, **{name: values for name, values in arrays.items() if values is not None})


def write_columns(path: Path, columns: Mapping[str, NDArray[Any]]) -> None:
    """Write columns of one length, by their names, to a ``.csv`` or ``.parquet``."""
    check_output(path, kinds=tuple(_MODULES))
    kind = path.suffix.lower()
    module = tables.arrow(_MODULES[kind])
    table = tables.arrow("").table(dict(columns))
    with _writing.replacing(path) as file:
        if kind == ".parquet":
            module.write_table(table, file)
        else:
            # Names may have quotation marks, which pyarrow does not write.
            names = io.StringIO()
            csv.writer(names, lineterminator="\n").writerow(columns)
            file.write(names.getvalue().encode())
            module.write_csv(table, file, module.WriteOptions(include_header=False))

"""Points out of tables: which columns are coordinates, and the columns of Parquet files.

Nothing is guessed in silence: a :class:`Table` says which header and columns were read, and a file that can be read in
two ways is refused.
"""

from __future__ import annotations

import contextlib
import csv
import importlib
import re
import zipfile
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Names that pyarrow gives to the columns of a frame's index that has no name.
_INDEX = re.compile(r"__index_level_\d+__")
_MOST_LISTED = 12
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Table:
    """Points of a file, with the header and the columns that were read."""

    points: NDArray[Any]  #: (n, dim)
    columns: Sequence[str]  #: names of the columns that were read, or their numbers if they have no names
    header: str | None = None  #: where the names are; "none", or None if files of this kind have no such line
    left_out: Sequence[str] = ()  #: columns of an index, which are not coordinates
    array: str | None = None  #: the array of an archive

    def facts(self) -> dict[str, Any]:
        """Names and values for programs."""
        given = {"array": self.array, "header": self.header, "columns": list(self.columns)}
        return {
            **{name: value for name, value in given.items() if value is not None},
            "left_out": list(self.left_out),
            "rows": len(self.points),
        }

    def __str__(self) -> str:
        parts = [
            None if self.array is None else f"array {self.array}",
            {None: None, "none": "no header"}.get(self.header, f"header in {self.header}"),
            f"columns {listed(self.columns)}",
            f"left out {listed(self.left_out)} (index)" if self.left_out else None,
            f"{len(self.points):,} row{'' if len(self.points) == 1 else 's'}",
        ]
        return "; ".join(part for part in parts if part is not None)


def listed(names: Sequence[str]) -> str:
    """Names with commas, the middle ones left out if there are many."""
    if len(names) <= _MOST_LISTED:
        return ", ".join(map(shown, names))
    first = ", ".join(map(shown, names[: _MOST_LISTED // 2]))
    return f"{first}, ..., {shown(names[-1])} ({len(names)} of them)"


def shown(name: str) -> str:
    """A name as it is written in a list of names: quoted if its end would be unclear."""
    plain = name.isprintable() and "," not in name and name == name.strip() != ""
    return name if plain else repr(name)


def split_names(text: str) -> list[str]:
    """Names with commas between them; a name that has a comma is in double quotes."""
    return [one.strip() for one in next(csv.reader([text], skipinitialspace=True), [])]


def column_numbers(path: Path, wanted: Sequence[str], names: Sequence[str], width: int) -> list[int]:
    """Numbers of columns, by their names or by their numbers from 0."""
    found = []
    for one in wanted:
        if names.count(one) > 1:
            raise ValueError(f"{path}: has {names.count(one)} columns {one!r}; choose by number, 0 to {width - 1}")
        if one in names:
            found.append(names.index(one))
        elif one.isdecimal() and int(one) < width:
            found.append(int(one))
        else:
            there = listed(names) if names else f"0 to {width - 1}"
            raise ValueError(f"{path}: has no column {one!r}; there are {there}")
    if not found:
        raise ValueError(f"{path}: expected at least one column, got none")
    return found


def arrow(module: str) -> Any:
    """A module of pyarrow, which reads text and Parquet."""
    try:
        return importlib.import_module(f"pyarrow.{module}" if module else "pyarrow")
    except ImportError:
        raise ImportError("needs pyarrow: pip install pyarrow") from None


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Name the file in errors of libraries that do not."""
    try:
        yield
    except (ValueError, OSError, EOFError, ImportError, NotImplementedError, zipfile.BadZipFile) as error:
        if str(path) in str(error):
            raise
        kind = next((kind for kind in (OSError, ImportError) if isinstance(error, kind)), ValueError)
        raise kind(f"{path}: {error}") from error


def check_finite(path: Path, points: NDArray[Any], columns: Sequence[int] | None = None) -> None:
    """Raise for NaN and infinity; ``columns`` are numbers of the columns in the file."""
    for first in range(0, len(points), _CHUNK):
        chunk = points[first : first + _CHUNK]
        for row, column in np.argwhere(~np.isfinite(chunk))[:1]:
            where = f"{path}: row {first + row}, column {column if columns is None else columns[column]}"
            raise ValueError(f"{where}: expected a finite number, got {chunk[row, column]}")


class ParquetFile:
    """A Parquet file, opened, whose columns of coordinates are known.

    A column of numbers is one coordinate. A column of lists of numbers, all of one length, is as many.

    Parameters
    ----------
    path : Path
        The file.
    wanted : sequence of str, optional
        Names or numbers of columns; by default all except the columns of an index. Then all must be numbers, or there
        must be one column of lists and nothing else.
    advice : str
        Advice in the error if the columns to read are not clear.
    """

    def __init__(self, path: Path, wanted: Sequence[str] | None, advice: str) -> None:
        self.path = path
        with naming(path):
            self._file = arrow("parquet").ParquetFile(path)
            self._schema = self._file.schema_arrow
        self.n_rows = int(self._file.metadata.num_rows)
        names = list(self._schema.names)
        index = _index_columns(self._schema)
        self.left_out: list[str] = []
        if wanted is not None:
            self.columns = [names[number] for number in column_numbers(path, wanted, names, len(names))]
        else:
            self.columns = [name for name in names if name not in index]
            self.left_out = [name for name in names if name in index]
            self._check_clear(advice)
        for name in self.columns:
            if names.count(name) > 1:
                raise ValueError(f"{path}: has {names.count(name)} columns {name!r}, expected names that differ")
            if not _is_numeric(_element(self._type(name))):
                raise ValueError(f"{path}: column {name!r}: expected numbers, got {self._type(name)}")

    def _type(self, name: str) -> Any:
        return self._schema.field(name).type

    def _check_clear(self, advice: str) -> None:
        """Raise if columns were not chosen and may not be coordinates."""
        types = {name: self._type(name) for name in self.columns if self._schema.names.count(name) == 1}
        lists = [name for name, kind in types.items() if _is_list(kind)]
        others = [name for name, kind in types.items() if not _is_numeric(_element(kind))]
        if not self.columns or others or (lists and len(self.columns) > 1):
            there = [f"{name} ({self._type(name)})" for name in types] + [f"{name} (index)" for name in self.left_out]
            raise ValueError(
                f"{self.path}: cannot tell which columns are coordinates; {advice}; there are {listed(there)}"
            )

    def shape_and_dtype(self) -> tuple[tuple[int, int], np.dtype[Any]]:
        """Rows and coordinates, and the type of these; at most one row is read."""
        width = 0
        for name in self.columns:
            kind = self._type(name)
            is_fixed = arrow("types").is_fixed_size_list(kind)
            width += kind.list_size if is_fixed else self._length_of_first(name) if _is_list(kind) else 1
        return (self.n_rows, width), np.result_type(*(_dtype(_element(self._type(name))) for name in self.columns))

    def _length_of_first(self, name: str) -> int:
        with naming(self.path):
            for batch in self._file.iter_batches(batch_size=1, columns=[name]):
                return len(batch.column(name)[0].as_py() or ())
        return 0

    def read(self, columns: Sequence[str] | None = None) -> NDArray[Any]:
        """Read the coordinates, shape (n, dim): finite numbers. ``columns`` are those there are, in another order."""
        ordered = list(self.columns if columns is None else columns)
        with naming(self.path):
            table = self._file.read(columns=ordered)
        parts = [_coordinates(self.path, name, table.column(name)) for name in ordered]
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)


def _index_columns(schema: Any) -> Collection[str]:
    """Columns that hold the index of a pandas frame."""
    try:
        known = (schema.pandas_metadata or {}).get("index_columns", [])
    except ValueError:  # metadata that is not JSON
        known = []
    return {one for one in known if isinstance(one, str)} | {one for one in schema.names if _INDEX.fullmatch(one)}


def _is_list(kind: Any) -> bool:
    types = arrow("types")
    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def _element(kind: Any) -> Any:
    return kind.value_type if _is_list(kind) else kind


def _is_numeric(kind: Any) -> bool:
    types = arrow("types")
    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind) or types.is_decimal(kind))


def _dtype(kind: Any) -> np.dtype[Any]:
    """The type of an array of such numbers."""
    return np.dtype(np.float64 if arrow("types").is_decimal(kind) else kind.to_pandas_dtype())


def _coordinates(path: Path, name: str, column: Any) -> NDArray[Any]:
    """The numbers of a column, shape (n, 1), or (n, length) if it has lists."""
    element = _element(column.type)
    parts, first, width = [], 0, None if _is_list(column.type) else 1

    def check(good: NDArray[np.bool_], length: int, expected: str, got: Any) -> None:
        for at in np.flatnonzero(~good)[:1]:
            row, value = first + at // length, got if isinstance(got, str) else got[at]
            raise ValueError(f"{path}: row {row}, column {name!r}: expected {expected}, got {value}")

    for chunk in column.chunks:
        check(_valid(chunk), 1, "numbers", "null")
        values = chunk
        if _is_list(column.type) and len(chunk):
            lengths = arrow("compute").list_value_length(chunk).to_numpy(zero_copy_only=False)
            width = int(lengths[0]) if width is None else width
            check(lengths == width, 1, f"a list of {width} numbers, as above", lengths)
            values = chunk.flatten()
        check(_valid(values), width or 1, "a finite number", "null")
        if arrow("types").is_decimal(element):
            values = values.cast(arrow("").float64())
        numbers = np.asarray(values.to_numpy(zero_copy_only=False), _dtype(element))
        check(np.isfinite(numbers), width or 1, "a finite number", numbers)
        parts.append(numbers.reshape(len(chunk), width or 0))
        first += len(chunk)
    return np.concatenate(parts) if parts else np.empty((0, width or 0), _dtype(element))


def _valid(values: Any) -> NDArray[np.bool_]:
    """True for elements that are not null."""
    return np.asarray(values.is_valid().to_numpy(zero_copy_only=False), bool)

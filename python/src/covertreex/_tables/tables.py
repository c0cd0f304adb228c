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
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

# Names that pyarrow gives to the columns of a frame's index that has no name.
_INDEX = re.compile(r"__index_level_\d+__")
_MOST_LISTED = 12
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Columns:
    """The columns of a file, before any is read."""

    path: Path
    names: Sequence[str]  #: empty if they have no names
    width: int  #: how many there are
    index: Sequence[int] = ()  #: numbers of those that hold the index of a frame

    def name(self, number: int) -> str:
        """The name of a column, or its number if it has no name."""
        return (self.names[number] if self.names else "") or str(number)

    def __str__(self) -> str:
        return listed(self.names) if self.names else f"0 to {self.width - 1}"


@dataclass(frozen=True)
class Chosen:
    """Columns of a file that are to be read, by their numbers."""

    numbers: Sequence[int]  #: of coordinates
    left_out: Sequence[int] = ()  #: columns of an index, which are not coordinates
    response: int | None = None  #: a column to be read in addition
    is_default: bool = False  #: the caller did not choose the coordinates

    @property
    def all(self) -> list[int]:
        """The coordinates, then the response."""
        return [*self.numbers] if self.response is None else [*self.numbers, self.response]


Choice = Callable[[Columns], Chosen]


def everything(columns: Columns) -> Chosen:
    """Choose all columns except those of an index."""
    numbers = [number for number in range(columns.width) if number not in columns.index]
    return Chosen(numbers, columns.index, is_default=True)


class Response(NamedTuple):
    """A column of numbers at the points of a file."""

    name: str
    values: NDArray[Any]  #: (n,)


@dataclass(frozen=True)
class Table:
    """Points of a file, with the header and the columns that were read."""

    points: NDArray[Any]  #: (n, dim)
    source: Columns
    chosen: Chosen
    header: str | None = None  #: where the names are; "none", or None if files of this kind have no such line
    array: str | None = None  #: the array of an archive
    widths: Sequence[int] = ()  #: coordinates in each column, if there may be several
    response: Response | None = None

    @property
    def columns(self) -> list[str]:
        """Names of the columns of coordinates, or their numbers if they have no names."""
        return [self.source.name(number) for number in self.chosen.numbers]

    @property
    def left_out(self) -> list[str]:
        """Columns of an index, which are not coordinates."""
        return [self.source.name(number) for number in self.chosen.left_out]

    @property
    def coordinates(self) -> list[str]:
        """A name for each coordinate: of its column, with its position if the column has lists."""
        names: list[str] = []
        for name, width in zip(self.columns, self.widths or [1] * len(self.chosen.numbers)):
            names += [name] if width == 1 else [f"{name}[{position}]" for position in range(width)]
        return names

    @property
    def observed(self) -> NDArray[np.float64]:
        """The response, (n,), of a table that has one."""
        assert self.response is not None
        return np.asarray(self.response.values, np.float64)

    def facts(self) -> dict[str, Any]:
        """Names and values for programs."""
        response = None if self.response is None else self.response.name
        given = {"array": self.array, "header": self.header, "columns": self.columns, "response": response}
        return {
            **{name: value for name, value in given.items() if value is not None},
            "left_out": self.left_out,
            "rows": len(self.points),
        }

    def __str__(self) -> str:
        parts = [
            None if self.array is None else f"array {self.array}",
            {None: None, "none": "no header"}.get(self.header, f"header in {self.header}"),
            f"columns {listed(self.columns)}",
            None if self.response is None else f"response {shown(self.response.name)}",
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


def column_numbers(columns: Columns, wanted: Sequence[str]) -> list[int]:
    """Numbers of columns, by their names or by their numbers from 0."""
    path, names, width = columns.path, list(columns.names), columns.width
    found = []
    for one in wanted:
        if names.count(one) > 1:
            raise ValueError(f"{path}: has {names.count(one)} columns {one!r}; choose by number, 0 to {width - 1}")
        if one in names:
            found.append(names.index(one))
        elif one.isdecimal() and int(one) < width:
            found.append(int(one))
        else:
            raise ValueError(f"{path}: has no column {one!r}; there are {columns}")
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


def check_finite(source: object, points: NDArray[Any], columns: Sequence[int] | None = None) -> None:
    """Raise for NaN and infinity; ``columns`` are numbers of the columns in the source, which is a file."""
    for first in range(0, len(points), _CHUNK):
        chunk = points[first : first + _CHUNK]
        for row, column in np.argwhere(~np.isfinite(chunk))[:1]:
            where = f"{source}: row {first + row}, column {column if columns is None else columns[column]}"
            raise ValueError(f"{where}: expected a finite number, got {chunk[row, column]}")


class ParquetFile:
    """A Parquet file, opened, whose columns of coordinates are known.

    A column of numbers is one coordinate. A column of lists of numbers, all of one length, is as many.

    Parameters
    ----------
    path : Path
        The file.
    wanted : function, optional
        Chooses columns; by default all except the columns of an index.
    advice : str
        Advice in the error if the caller did not choose the coordinates and they are not clear: all must be numbers, or
        there must be one column of lists and nothing else.
    """

    def __init__(self, path: Path, wanted: Choice | None, advice: str) -> None:
        self.path = path
        with naming(path):
            self._file = arrow("parquet").ParquetFile(path)
            self._schema = self._file.schema_arrow
        self.n_rows = int(self._file.metadata.num_rows)
        names = list(self._schema.names)
        index = _index_columns(self._schema)
        self._source = Columns(path, names, len(names), [at for at, name in enumerate(names) if name in index])
        self._chosen = (wanted or everything)(self._source)
        self.columns = [names[number] for number in self._chosen.numbers]
        self.left_out = [names[number] for number in self._chosen.left_out]
        if self._chosen.is_default:
            self._check_clear(advice)
        for number in self._chosen.all:
            name = names[number]
            if names.count(name) > 1:
                raise ValueError(f"{path}: has {names.count(name)} columns {name!r}, expected names that differ")
            if not _is_numeric(_element(self._type(name))):
                raise ValueError(f"{path}: column {name!r}: expected numbers, got {self._type(name)}")
        response = self._chosen.response
        if response is not None and _is_list(self._type(names[response])):
            raise ValueError(f"{path}: column {names[response]!r}: expected numbers, got {self._type(names[response])}")

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
        return _side_by_side(self._parts(self.columns if columns is None else columns))

    def table(self) -> Table:
        """Read all that was chosen."""
        names = [self._source.names[number] for number in self._chosen.all]
        parts = self._parts(names)
        response = None if self._chosen.response is None else Response(names[-1], parts.pop()[:, 0])
        widths = [part.shape[1] for part in parts]
        return Table(_side_by_side(parts), self._source, self._chosen, widths=widths, response=response)

    def _parts(self, columns: Sequence[str]) -> list[NDArray[Any]]:
        """The numbers of each column."""
        with naming(self.path):
            table = self._file.read(columns=list(columns))
        return [_coordinates(self.path, name, table.column(name)) for name in columns]


def _side_by_side(parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
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

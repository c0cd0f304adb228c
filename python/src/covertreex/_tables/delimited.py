"""Points out of delimited text: which line has the names of the columns, and where a field is not a number.

pyarrow reads the numbers. This module decides from the first thousand records whether there is a header, and finds the
line of a fault for the message.
"""

from __future__ import annotations

import contextlib
import csv
import io
import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from . import tables
from .tables import Choice, Columns, Response, Table

# Records that the choice of a header depends on.
_PREVIEW = 1000
# Bytes that are parsed together; a record must not be longer.
_BLOCK = 1 << 24
_MISSING = frozenset({"", "NA", "N/A", "#N/A", "null", "NULL", "None"})

Record = tuple[int, list[str]]  # the line in which it begins, and its fields


@dataclass(frozen=True)
class Text:
    """A file of records with a delimiter between their fields, compressed or not."""

    path: Path
    delimiter: str = ","
    compression: str | None = None

    def read(self, choose: Choice, header: bool | None) -> Table:
        """Read the points of the columns that are chosen; ``header`` is whether the first record has names.

        A first column without a name in a header of names is the index that pandas writes. By default
        :func:`has_names` decides whether there is a header.
        """
        layout = self._layout(header)
        chosen = choose(layout.columns)
        points, response = self._numbers(layout, chosen.all), None
        if chosen.response is not None:
            response = Response(layout.columns.name(chosen.response), points[:, -1])
            points = points[:, :-1]
        where = "none" if layout.header is None else f"line {layout.header}"
        return Table(points, layout.columns, chosen, header=where, response=response)

    def _numbers(self, layout: Layout, chosen: Sequence[int]) -> Any:
        """The fields of some columns, shape (n, len(chosen)): finite numbers."""
        reader, float64 = tables.arrow("csv"), tables.arrow("").float64()
        keys = [str(number) for number in range(layout.columns.width)]
        included = [keys[number] for number in sorted(set(chosen))]
        options = {
            "read_options": reader.ReadOptions(column_names=keys, skip_rows=layout.first - 1, block_size=_BLOCK),
            "parse_options": reader.ParseOptions(delimiter=self.delimiter, newlines_in_values=True),
            "convert_options": reader.ConvertOptions(
                include_columns=included, column_types=dict.fromkeys(included, float64), null_values=[""]
            ),
        }
        try:
            with tables.naming(self.path), self._bytes() as source:
                table = reader.read_csv(source, **options)
        except ValueError:
            self._refuse(layout, chosen)
            raise
        points = np.empty((table.num_rows, len(chosen)))
        for column, number in enumerate(chosen):
            points[:, column] = table.column(keys[number]).to_numpy()
        if not np.isfinite(points).all():
            self._refuse(layout, chosen)
        return points

    def _layout(self, header: bool | None) -> Layout:
        """Look for names and for the first point."""
        comment: Record | None = None
        records: list[Record] = []
        with contextlib.closing(self._records()) as all_records:
            for record in all_records:
                if not records and record[1][0].lstrip().startswith("#"):
                    comment = record
                    continue
                records.append(record)
                if len(records) > _PREVIEW:
                    break
        if not records:
            raise ValueError(f"{self.path}: has no rows")
        (line, first), rest = records[0], records[1:]
        named = has_names(first, [fields for _, fields in rest]) if header is None else header
        if header is None and not named and comment is not None:
            # numpy.savetxt writes names so.
            names = [comment[1][0].lstrip()[1:].strip(), *(field.strip() for field in comment[1][1:])]
            if len(names) == len(first) and not any(_is_number(name) for name in names):
                return Layout(self._columns(names, len(first)), line, comment[0])
        if named is None:
            raise ValueError(
                f"{self.path}: line {line} ({tables.listed(first)}) may have names of columns or a point; "
                "say which with --header or --no-header"
            )
        if not named:
            return Layout(self._columns([], len(first)), line, None)
        if not rest:
            raise ValueError(f"{self.path}: has no rows below the names in line {line}")
        return Layout(self._columns([field.strip() for field in first], len(first)), rest[0][0], line)

    def _columns(self, names: Sequence[str], width: int) -> Columns:
        return Columns(self.path, names, width, [0] if names[:1] == [""] and width > 1 else [])

    def _refuse(self, layout: Layout, chosen: Sequence[int]) -> None:
        """Raise for the first record that has another number of fields, or no finite number in a column."""
        for line, fields in self._records():
            if line < layout.first:
                continue
            if len(fields) != layout.columns.width:
                raise ValueError(f"{self.path}: line {line}: expected {layout.columns.width} fields, got {len(fields)}")
            for number in chosen:
                if not (_is_number(fields[number]) and math.isfinite(float(fields[number]))):
                    got = repr(fields[number]) if fields[number].strip() else "an empty field"
                    name = tables.shown(layout.columns.name(number))
                    raise ValueError(f"{self.path}: line {line}, column {name}: expected a finite number, got {got}")

    def _records(self) -> Generator[Record, None, None]:
        """Records that are not blank."""
        with tables.naming(self.path), self._bytes() as source:
            # Names need not be UTF-8 where only numbers are read.
            lines = io.TextIOWrapper(source, encoding="utf-8-sig", errors="replace", newline="")
            reader = csv.reader(lines, delimiter=self.delimiter)
            before = 0
            try:
                for fields in reader:
                    if any("\0" in field for field in fields):
                        raise csv.Error("line contains NUL")
                    if fields:
                        yield before + 1, fields
                    before = reader.line_num
            except csv.Error as error:
                raise ValueError(f"{self.path}: line {before + 1}: expected text in UTF-8: {error}") from error

    def _bytes(self) -> Any:
        """The text, decompressed."""
        return tables.arrow("").input_stream(self.path, compression=self.compression)


@dataclass(frozen=True)
class Layout:
    """The layout of a file's records."""

    columns: Columns
    first: int  #: the line in which the first point begins
    header: int | None  #: the line of the names


def has_names(first: Sequence[str], rest: Sequence[Sequence[str]]) -> bool | None:
    """True if the first record of a file has names of columns; None if it may be a point as well.

    Words above numbers are names. So are 0, 1, 2 and so on, which pandas writes for columns without names, behind an
    empty field for the index, or above numbers all of which have a fraction or an exponent, as pandas writes it to
    all. A record of numbers, some of which may be missing, is a point.
    """
    numbers = [field for field in first if _is_number(field)]
    words = [number for number, field in enumerate(first) if not _is_number(field) and field.strip() not in _MISSING]
    if words:
        if not numbers:
            return True
        above = any(_is_number(fields[number]) for number in words for fields in rest if number < len(fields))
        return True if above and all(map(_is_whole, numbers)) else None
    without_index = first[1:] if first[0] == "" else first
    if not without_index or list(without_index) != [str(number) for number in range(len(without_index))]:
        return False
    if len(without_index) < len(first):
        return True
    return None if not rest or any(_is_whole(field) for fields in rest for field in fields) else True


def _is_number(field: str) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return "_" not in field


def _is_whole(field: str) -> bool:
    return field.strip().lstrip("+-").isdecimal()

"""Which columns of a file are coordinates, and which one is the response."""

from __future__ import annotations

from collections.abc import Sequence

from .._tables import tables
from .._tables.tables import Choice, Chosen, Columns, Table


def chosen(wanted: Sequence[str] | None, response: str | None) -> Choice:
    """Choose coordinates by names or numbers, by default all columns that are neither an index nor the response."""

    def choose(columns: Columns) -> Chosen:
        own = None if response is None else _of_response(columns, response)
        if wanted is not None:
            numbers = tables.column_numbers(columns, wanted)
            if own in numbers:
                raise ValueError(f"--response: expected a column that is not in --columns, got {response!r}")
            return Chosen(numbers, response=own)
        default = tables.everything(columns)
        if own is None:
            return default
        others = [number for number in default.numbers if number != own]
        if not others:
            raise ValueError(f"{columns.path}: expected a column of coordinates, got no column but the response")
        return Chosen(others, [number for number in default.left_out if number != own], own, is_default=True)

    return choose


def _of_response(columns: Columns, response: str) -> int:
    is_number = response.isdecimal() and int(response) < columns.width
    if response not in columns.names and not is_number:
        raise ValueError(f"--response: expected a column of {columns.path} ({columns}), got {response!r}")
    return tables.column_numbers(columns, [response])[0]


def same(known: Table) -> Choice:
    """Choose the columns that are the coordinates of a table: by name if both files have names, otherwise by number.

    A file that has no names, and no other columns than the coordinates, has them in the order of the known file.
    """
    source = known.source
    names = [source.names[number] for number in known.chosen.numbers] if source.names else []
    are_names = all(names) and 0 < len(names) == len(set(names))

    def choose(columns: Columns) -> Chosen:
        if not (columns.names and are_names):
            return Chosen(_by_number(columns, known))
        for name in names:
            if columns.names.count(name) != 1:
                expected = f"one column {tables.shown(name)}, as in {source.path}"
                raise ValueError(f"{columns.path}: expected {expected}, got {columns}")
        return Chosen([columns.names.index(name) for name in names])

    return choose


def _by_number(columns: Columns, known: Table) -> list[int]:
    numbers, there = list(known.chosen.numbers), tables.everything(columns).numbers
    distinct = sorted(set(numbers))
    if len(there) == len(distinct):
        return [there[distinct.index(number)] for number in numbers]
    if distinct[-1] >= columns.width:
        expected = f"{len(distinct)} columns, or those of {known.source.path} ({known.source})"
        raise ValueError(f"{columns.path}: expected {expected}, got {columns.width}")
    return numbers

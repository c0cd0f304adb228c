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


def same(known: Table, *, response: bool = False) -> Choice:
    """Choose the columns that are the coordinates of a table: by name if both files have names, otherwise by number.

    A file that has no names, and no other columns than these, has them in the order of the known file. ``response``
    chooses its column in the same way.
    """
    source = known.source

    def choose(columns: Columns) -> Chosen:
        numbers = [*known.chosen.numbers, *([_response_of(known, columns)] if response else [])]
        names = [source.names[number] for number in numbers] if source.names else []
        is_named = columns.names and all(names) and 0 < len(names) == len(set(names))
        found = _by_name(columns, source, names) if is_named else _by_number(columns, source, numbers)
        return Chosen(found[:-1], response=found[-1]) if response else Chosen(found)

    return choose


def _response_of(known: Table, columns: Columns) -> int:
    """The number of the column that has the response of a table; ``columns`` are those of another file."""
    assert known.response is not None
    name, source = known.response.name, known.source
    if name in source.names:
        return list(source.names).index(name)
    if not name.isdecimal() or int(name) >= source.width:
        expected = f"an .npz with the array {tables.shown(name)}, as for {source.path}"
        raise ValueError(f"{columns.path}: expected {expected}, got columns {columns}")
    return int(name)


def _by_name(columns: Columns, source: Columns, names: Sequence[str]) -> list[int]:
    there = list(columns.names)
    for name in names:
        if there.count(name) != 1:
            expected = f"one column {tables.shown(name)}, as in {source.path}"
            raise ValueError(f"{columns.path}: expected {expected}, got {columns}")
    return [there.index(name) for name in names]


def _by_number(columns: Columns, source: Columns, numbers: Sequence[int]) -> list[int]:
    there = tables.everything(columns).numbers
    distinct = sorted(set(numbers))
    if len(there) == len(distinct):
        return [there[distinct.index(number)] for number in numbers]
    if distinct[-1] >= columns.width:
        expected = f"{len(distinct)} columns, or those of {source.path} ({source})"
        raise ValueError(f"{columns.path}: expected {expected}, got {columns.width}")
    return list(numbers)

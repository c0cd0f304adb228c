"""Points out of files of several kinds, and results into files."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _writing

READ = ".npy, .npz, .csv, .parquet"


def read_points(path: Path, *, array: str | None = None, columns: str | None = None) -> NDArray[Any]:
    """Read points, shape (n, dim).

    Parameters
    ----------
    path : Path
        ``.npy`` is mapped; of ``.npz`` the only array is taken, or the one named; ``.csv`` may have a line of names;
        ``.parquet`` needs pyarrow.
    array : str, optional
        Which of the arrays of an ``.npz``.
    columns : str, optional
        Names of columns, or their numbers from 0, with commas between them.
    """
    readers = {".npy": _read_npy, ".npz": _read_npz, ".csv": _read_csv, ".txt": _read_csv, ".parquet": _read_parquet}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise ValueError(f"{path}: expected a file that ends in {READ}")
    wanted = None if columns is None else [one.strip() for one in columns.split(",")]
    points = reader(path, array, wanted)
    if points.ndim == 1:
        points = points[:, None]
    if points.ndim != 2:
        raise ValueError(f"{path}: expected points of shape (n, dim), got {points.shape}")
    return points


def _read_npy(path: Path, _: str | None, columns: list[str] | None) -> NDArray[Any]:
    return _chosen(path, np.load(path, mmap_mode="r", allow_pickle=False), columns)


def _read_npz(path: Path, name: str | None, columns: list[str] | None) -> NDArray[Any]:
    with np.load(path, allow_pickle=False) as arrays:
        if name is None and len(arrays.files) > 1:
            raise ValueError(f"{path}: has {', '.join(arrays.files)}; say which with --array")
        key = arrays.files[0] if name is None and arrays.files else name
        if key not in arrays.files:
            raise ValueError(f"{path}: has no array {key!r}; there are {', '.join(arrays.files)}")
        return _chosen(path, arrays[key], columns)


def _read_csv(path: Path, _: str | None, columns: list[str] | None) -> NDArray[Any]:
    with open(path, encoding="utf-8") as lines:
        first = [one.strip().strip('"') for one in lines.readline().split(",")]
    named = not all(map(_is_number, first))
    places = None if columns is None else [_place(path, one, first if named else [], len(first)) for one in columns]
    return np.loadtxt(path, delimiter=",", skiprows=int(named), usecols=places, ndmin=2, encoding="utf-8")


def _read_parquet(path: Path, _: str | None, columns: list[str] | None) -> NDArray[Any]:
    try:
        parquet = importlib.import_module("pyarrow.parquet")
    except ImportError:
        raise ImportError(f"{path}: needs pyarrow: pip install pyarrow") from None
    names = parquet.read_schema(path).names
    places = range(len(names)) if columns is None else [_place(path, one, names, len(names)) for one in columns]
    table = parquet.read_table(path, columns=[names[place] for place in places])
    return np.column_stack([table[name].to_numpy() for name in table.column_names])


def _chosen(path: Path, points: NDArray[Any], columns: list[str] | None) -> NDArray[Any]:
    if columns is None:
        return points
    width = points.shape[-1]
    return np.ascontiguousarray(points[..., [_place(path, one, [], width) for one in columns]])


def _place(path: Path, name: str, names: list[str], width: int) -> int:
    """The number of a column."""
    if name in names:
        return names.index(name)
    if name.isdecimal() and int(name) < width:
        return int(name)
    there = ", ".join(names) if names else f"0 to {width - 1}"
    raise ValueError(f"{path}: has no column {name!r}; there are {there}")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def check_output(path: Path) -> None:
    """Raise where :func:`write_arrays` would, before anything is computed for it."""
    if path.suffix.lower() != ".npz":
        raise ValueError(f"{path}: expected a name that ends in .npz")
    _writing.destination(path)


def write_arrays(path: Path, **arrays: Any) -> None:
    """Write arrays to an ``.npz``, those that are not None."""
    check_output(path)
    with _writing.replacing(path) as file:
        np.savez(file, **{name: values for name, values in arrays.items() if values is not None})

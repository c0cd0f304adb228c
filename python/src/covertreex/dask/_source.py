"""Points in chunks: a Dask array, or a folder of files."""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
from numpy.typing import NDArray

from .. import _arguments, _arrays, _writing
from .._tables import tables

_log = logging.getLogger(__name__)

_ADVICE = "give files of coordinates alone, or a Dask array"


def opened(points: Any) -> da.Array:
    """Points as a Dask array of float32 or float64, shape (n, dim), whose chunks are of whole rows and known sizes."""
    if isinstance(points, (str, os.PathLike)):
        # Workers have working directories of their own.
        array = _of_folder(_writing.absolute(_arguments.path(points, "points")))
    elif isinstance(points, da.Array):
        array = points
    elif isinstance(points, np.ndarray):
        array = da.from_array(points)
    else:
        raise TypeError(f"points: expected a Dask array, a NumPy array or a folder, got {_arguments.described(points)}")
    if array.ndim != 2:
        raise ValueError(f"points: expected two dimensions (n, dim), got shape {array.shape}")
    if array.dtype.kind not in "biuf":
        raise TypeError(f"points: expected real numbers, got dtype {array.dtype}")
    if np.isnan(array.shape[0]):
        array = array.compute_chunk_sizes()
    if array.shape[0] == 0:
        raise ValueError("points: expected at least one, got none")
    array = array.rechunk({1: -1})
    return array.astype(_arrays.float_dtype(array.dtype))


def _of_folder(folder: Path) -> da.Array:
    """The rows of the .npy or Parquet files of a folder, one file after the other."""
    if not folder.is_dir():
        raise FileNotFoundError(f"points: {folder} is not a folder")
    arrays, columns, left_out = [], None, []
    files = _files(folder)
    for path in files:
        if path.suffix == ".npy":
            shape, dtype = _shape(path)
        else:
            file = tables.ParquetFile(path, None, _ADVICE)
            if columns is None:
                columns, left_out = file.columns, file.left_out
            if sorted(columns) != sorted(file.columns):
                there, wanted = tables.listed(file.columns), tables.listed(columns)
                raise ValueError(f"points: {path} has columns {there}, expected {wanted}, as in {files[0].name}")
            shape, dtype = file.shape_and_dtype()
        if shape[0]:  # without rows the length of lists is unknown
            # Not pure: Dask may still have the rows that an earlier file of the same name had.
            arrays.append(da.from_delayed(dask.delayed(_read, pure=False)(str(path), columns, shape), shape, dtype))
    if not arrays:
        raise ValueError(f"points: files of {folder} have no rows")
    widths = {array.shape[1] for array in arrays}
    if len(widths) > 1:
        raise ValueError(f"points: files of {folder} have {', '.join(map(str, sorted(widths)))} columns")
    points = da.concatenate(arrays)
    _log.info(
        "points: %d files of %s, in this order: %s; columns %s; left out %s; %d rows",
        len(files), folder, tables.listed([path.name for path in files]),
        tables.listed(columns or [str(number) for number in range(points.shape[1])]),
        tables.listed(left_out) or "none", len(points),
    )  # fmt: skip
    return points


def _files(folder: Path) -> list[Path]:
    """The files of a folder in the order of its ``_metadata``, if it has such a file, or else by names and numbers.

    Files whose names begin with ``.`` or ``_`` are not data, as for Spark and Hive.
    """
    there = [path for path in folder.iterdir() if path.suffix in (".npy", ".parquet") and path.name[0] not in "._"]
    files = sorted(there, key=_by_number)
    if (folder / "_metadata").exists():
        files = _in_metadata(folder)
        if set(there) - set(files):
            name = min(set(there) - set(files)).name
            raise ValueError(f"points: {folder / '_metadata'} does not list {name}; expected all files of the folder")
    if not files:
        raise ValueError(f"points: {folder} has no .npy or .parquet files")
    return files


def _in_metadata(folder: Path) -> list[Path]:
    """The files of a Parquet dataset, in the order of their row groups in its metadata."""
    path = folder / "_metadata"
    with tables.naming(path):
        known = tables.arrow("parquet").read_metadata(path)
    names = (known.row_group(group).column(0).file_path for group in range(known.num_row_groups))
    return [folder / name for name in dict.fromkeys(names) if name]


def _by_number(path: Path) -> tuple[list[Any], str]:
    """A key by which part 2 comes before part 10: numbers in names count as numbers."""
    pieces = re.split(r"([0-9]+)", path.name)
    return [int(piece) if number % 2 else piece for number, piece in enumerate(pieces)], path.name


def _shape(path: Path) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and dtype of an .npy file, without its data."""
    with tables.naming(path):
        array = np.load(path, mmap_mode="r")
    if array.ndim != 2:
        raise ValueError(f"points: {path} has shape {array.shape}, expected (n, dim)")
    return array.shape, array.dtype


def _read(path: str, columns: list[str] | None, shape: tuple[int, int]) -> NDArray[Any]:
    if path.endswith(".npy"):
        rows: NDArray[Any] = np.load(path)
        tables.check_finite(Path(path), rows)
    else:
        rows = tables.ParquetFile(Path(path), None, _ADVICE).read(columns)
    if rows.shape != shape:
        raise ValueError(f"points: {path} has shape {rows.shape}, expected {shape}")
    return rows

"""Points that lie in parts: a Dask array, or a folder of files."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
from numpy.typing import NDArray

from .. import _arrays, _writing


def opened(points: Any) -> da.Array:
    """Points as a Dask array of float32 or float64, shape (n, dim), whose chunks are of whole rows and known sizes."""
    if isinstance(points, (str, os.PathLike)):
        array = _of_folder(_writing.absolute(points))  # workers have working directories of their own
    elif isinstance(points, da.Array):
        array = points
    elif isinstance(points, np.ndarray):
        array = da.from_array(points)
    else:
        raise TypeError(f"points: expected a Dask array, a NumPy array or a folder, got {type(points).__name__}")
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
    """The rows of the .npy or Parquet files of a folder, in the order of their names."""
    if not folder.is_dir():
        raise FileNotFoundError(f"points: {folder} is not a folder")
    files = sorted(path for path in folder.iterdir() if path.suffix in (".npy", ".parquet"))
    if not files:
        raise ValueError(f"points: {folder} has no .npy or .parquet files")
    arrays = []
    for path in files:
        shape, dtype = _shape(path)
        arrays.append(da.from_delayed(dask.delayed(_read, pure=True)(str(path)), shape, dtype))
    widths = {array.shape[1] for array in arrays}
    if len(widths) > 1:
        raise ValueError(f"points: files of {folder} have {', '.join(map(str, sorted(widths)))} columns")
    return da.concatenate(arrays)


def _shape(path: Path) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """What is in a file, without reading it."""
    if path.suffix == ".npy":
        array = np.load(path, mmap_mode="r")
        if array.ndim != 2:
            raise ValueError(f"points: {path} has shape {array.shape}, expected (n, dim)")
        return array.shape, array.dtype
    file = _parquet().ParquetFile(path)
    types = [column.to_numpy().dtype for column in file.schema_arrow.empty_table().columns]
    return (file.metadata.num_rows, len(types)), np.result_type(*types)


def _read(path: str) -> NDArray[Any]:
    if path.endswith(".npy"):
        rows: NDArray[Any] = np.load(path)
        return rows
    return np.column_stack([column.to_numpy() for column in _parquet().read_table(path).columns])


def _parquet() -> Any:
    """What reads Parquet files, where there are such."""
    return importlib.import_module("pyarrow.parquet")

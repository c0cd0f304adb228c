"""Points out of files of several kinds, and results into files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _writing
from .._tables import tables
from .._tables.delimited import Text
from .._tables.tables import Table

READ = ".npy, .npz, .csv, .tsv (also .gz), .parquet"

_DELIMITERS = {".csv": ",", ".txt": ",", ".tsv": "\t", ".tab": "\t"}
_COMPRESSIONS = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd", ".lz4": "lz4"}


def read_points(
    path: Path, *, array: str | None = None, columns: str | None = None, header: bool | None = None
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
    """
    wanted = None if columns is None else tables.split_names(columns)
    kind, compression = path.suffix.lower(), None
    if kind in _COMPRESSIONS and Path(path.stem).suffix.lower() in _DELIMITERS:
        kind, compression = Path(path.stem).suffix.lower(), _COMPRESSIONS[kind]
    if header is not None and kind not in _DELIMITERS:
        raise ValueError(f"{path}: --header and --no-header are for text")
    if kind in _DELIMITERS:
        return Text(path, _DELIMITERS[kind], compression).read(wanted, header)
    if kind == ".parquet":
        file = tables.ParquetFile(path, wanted, "choose with --columns")
        return Table(file.read(), file.columns, left_out=file.left_out)
    if kind not in (".npy", ".npz"):
        raise ValueError(f"{path}: expected a file that ends in {READ}")
    with tables.naming(path):
        points, name = _loaded(path, array)
    return _of_array(path, points, name, wanted)


def _loaded(path: Path, array: str | None) -> tuple[NDArray[Any], str | None]:
    """An array of NumPy's, and its name in an archive."""
    if path.suffix.lower() == ".npy":
        return np.load(path, mmap_mode="r", allow_pickle=False), None
    with np.load(path, allow_pickle=False) as arrays:
        if array is None and len(arrays.files) > 1:
            raise ValueError(f"{path}: has {', '.join(arrays.files)}; say which with --array")
        key = arrays.files[0] if array is None and arrays.files else array
        if key not in arrays.files:
            raise ValueError(f"{path}: has no array {key!r}; there are {', '.join(arrays.files)}")
        return arrays[key], key


def _of_array(path: Path, points: NDArray[Any], name: str | None, wanted: list[str] | None) -> Table:
    if points.dtype.kind not in "biuf":
        raise ValueError(f"{path}: expected real numbers, got dtype {points.dtype}")
    if points.ndim == 1:
        points = points[:, None]
    if points.ndim != 2:
        raise ValueError(f"{path}: expected points of shape (n, dim), got {points.shape}")
    chosen = list(range(points.shape[1]))
    if wanted is not None:
        chosen = tables.column_numbers(path, wanted, [], points.shape[1])
        points = np.ascontiguousarray(points[:, chosen])
    tables.check_finite(path, points, chosen)
    return Table(points, [str(number) for number in chosen], array=name)


def check_output(path: Path) -> None:
    """Raise where :func:`write_arrays` would, before anything is computed for it."""
    if path.suffix.lower() != ".npz":
        raise ValueError(f"{path}: expected a name that ends in .npz")
    _writing.destination(path)


def write_arrays(path: Path, **arrays: Any) -> None:
    """Write arrays to an ``.npz``, except None."""
    check_output(path)
    with _writing.replacing(path) as file:
        np.savez(file, **{name: values for name, values in arrays.items() if values is not None})

"""Tables, geometries and labelled arrays of other packages, as NumPy arrays.

No package is imported: an object is known by the package of its class, or of a class that this derives from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

_NUMBERS = "biuf"
_TEXT_AND_OBJECTS = "OSTU"


def plain(values: Any, name: str) -> Any:
    """Values that ``numpy.asarray`` converts: arrays of objects of other packages, and other values as they are.

    Raises
    ------
    ValueError
        For a masked element, a missing value or a missing geometry. The message has its row, and the label of its
        column.
    TypeError
        For a column that has no real numbers, or a geometry other than a point.
    """
    check_mask(values, name)
    reader = _reader(values)
    return values if reader is None else reader(values, name)


def is_table(values: Any) -> bool:
    """True for an object whose columns may have names of features."""
    return _reader(values) in {_pandas, _polars, _arrow}


def check_mask(values: Any, name: str) -> None:
    """Raise for a masked element, of an array or of an array in a list. NumPy would show the value under the mask."""
    if isinstance(values, np.ma.MaskedArray):
        mask = np.ma.getmaskarray(values)
        rows = np.flatnonzero(mask.any(axis=tuple(range(1, mask.ndim))) if mask.ndim else mask).tolist()
    elif isinstance(values, (list, tuple)):
        rows = [row for row, one in enumerate(values) if isinstance(one, np.ma.MaskedArray) and np.ma.is_masked(one)]
    else:
        return
    for row in rows[:1]:
        where = f" in row {row}" if np.ndim(values) else ""
        raise ValueError(f"{name}: expected an array without masked elements, got one{where}")


def _reader(values: Any) -> Callable[[Any, str], Any] | None:
    """The function that reads objects of a package."""
    packages = (kind.__module__.partition(".")[0] for kind in type(values).__mro__)
    return next((_READERS[package] for package in packages if package in _READERS), None)


class _Columns(NamedTuple):
    """How a package shows a table and its columns."""

    of: Callable[[Any], Iterable[tuple[Any, Any]]]  #: labels and columns of a table
    missing: Callable[[Any], Any]  #: which elements of a column are missing; empty if none are
    numbers: Callable[[Any], Any]  #: a column without missing elements, as an array


# NumPy's own conversion would make NaN of elements that are missing in polars and Arrow, and objects of nullable types
# and of boolean columns.
_PANDAS = _Columns(
    lambda table: table.items(),
    lambda column: column.isna(),
    lambda column: np.asarray(column, getattr(column.dtype, "numpy_dtype", None)),
)
_POLARS = _Columns(
    lambda table: zip(table.columns, table.get_columns()),
    lambda column: column.is_null() if column.null_count() else (),
    np.asarray,
)
_ARROW = _Columns(
    lambda table: zip(table.schema.names, table.columns),
    lambda column: column.is_null() if column.null_count else (),
    np.asarray,
)


def _pandas(values: Any, name: str) -> Any:
    if not hasattr(values, "dtypes" if getattr(values, "ndim", 1) == 2 else "isna"):
        return values  # another object of the package
    array = np.asarray(values)
    if array.dtype.kind in _NUMBERS:
        return array
    return _table(_PANDAS, values, name) if array.ndim == 2 else _column(_PANDAS, values, name)


def _polars(values: Any, name: str) -> Any:
    if hasattr(values, "collect"):
        raise TypeError(f"{name}: expected a frame that is collected, got a {type(values).__name__}")
    if hasattr(values, "get_columns"):
        return _table(_POLARS, values, name)
    return _column(_POLARS, values, name) if hasattr(values, "null_count") else values


def _arrow(values: Any, name: str) -> Any:
    if hasattr(values, "schema") and hasattr(values, "columns"):
        return _table(_ARROW, values, name)
    return _column(_ARROW, values, name) if hasattr(values, "null_count") else values


def _table(package: _Columns, table: Any, name: str) -> NDArray[Any]:
    arrays = [_column(package, column, name, (label,)) for label, column in package.of(table)]
    return np.column_stack(arrays) if arrays else np.empty((len(table), 0))


def _column(package: _Columns, column: Any, name: str, label: tuple[Any, ...] = ()) -> NDArray[Any]:
    """The numbers of a column, which has a label if it is one of a table."""
    for row in np.flatnonzero(package.missing(column))[:1]:
        raise ValueError(f"{name}[{', '.join(map(repr, (int(row), *label)))}]: expected a number, got a missing value")
    array = np.asarray(package.numbers(column))
    if array.dtype.kind not in _NUMBERS:
        where = f"{name}[{label[0]!r}]" if label else name
        raise TypeError(f"{where}: expected real numbers, got dtype {getattr(column, 'dtype', array.dtype)}")
    return array


# Geometries


def _points(values: Any, name: str) -> Any:
    """Coordinates of the points of a series, or of the active geometry column of a frame, shape (n, 2) or (n, 3)."""
    series = getattr(values, "geometry", values)
    if not hasattr(series, "geom_type"):
        return _pandas(values, name)  # a frame without geometry
    for row in np.flatnonzero(np.asarray(series.isna()) | np.asarray(series.is_empty))[:1]:
        raise ValueError(f"{name}[{row}]: expected a point, got a missing or empty geometry")
    kinds = np.asarray(series.geom_type)
    for row in np.flatnonzero(kinds != "Point")[:1]:
        raise TypeError(f"{name}[{row}]: expected a point, got a {kinds[row]}")
    has_z = np.asarray(series.has_z, bool)
    for row in np.flatnonzero(~has_z)[:1] if has_z.any() else ():
        raise ValueError(f"{name}[{row}]: expected three coordinates, as other points have, got two")
    axes = ("x", "y", "z") if has_z.any() else ("x", "y")
    return np.column_stack([np.asarray(getattr(series, axis), np.float64) for axis in axes])


# Labelled arrays


def _labelled(values: Any, name: str) -> Any:
    """The variables of a dataset, or its coordinates if it has no variables, as columns.

    They are broadcast over all their dimensions, so that coordinates of a grid become the points of the grid, the last
    dimension the fastest. An array is left as it is.
    """
    if hasattr(values, "data_vars"):
        variables = dict(values.data_vars) or _coordinates(values.coords)
    elif hasattr(values, "to_dataset") and hasattr(values, "items"):
        variables = _coordinates(values)
    else:
        return values
    for label, variable in variables.items():
        if variable.dtype.kind not in _NUMBERS:
            raise TypeError(f"{name}[{label!r}]: expected real numbers, got dtype {variable.dtype}")
    own = [dim for variable in variables.values() for dim in variable.dims]
    dims = sorted(set(own), key=[*values.dims, *own].index)
    sizes = {dim: n for variable in variables.values() for dim, n in zip(variable.dims, variable.shape)}
    grid = tuple(sizes[dim] for dim in dims)
    columns = []
    for variable in variables.values():
        array = np.asarray(variable.transpose(*(dim for dim in dims if dim in variable.dims)))
        shape = tuple(sizes[dim] if dim in variable.dims else 1 for dim in dims)
        columns.append(np.broadcast_to(array.reshape(shape), grid).reshape(-1))
    return np.column_stack(columns) if columns else np.empty((0, 0))


def _coordinates(coords: Any) -> dict[Any, Any]:
    """Coordinates along a dimension, without the names and index objects that are among them."""
    return {
        label: one for label, one in coords.items() if one.dims and one.dtype.kind not in _TEXT_AND_OBJECTS
    }  # fmt: skip


_READERS: dict[str, Callable[[Any, str], Any]] = {
    "geopandas": _points,
    "pandas": _pandas,
    "polars": _polars,
    "pyarrow": _arrow,
    "xarray": _labelled,
}

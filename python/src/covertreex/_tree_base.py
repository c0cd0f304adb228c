"""Common code of trees in all metrics."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _arguments, _arrays, _calls, _files
from ._calls import ProgressReport
from ._capi import Rows, count
from ._capi.calls import search_options
from ._capi.memory import Float64s
from ._capi.structs import SearchOptions
from ._scores import each_largest_reported, largest_reported


class Tree(_calls.Closeable):
    """Points that searches find, files of them, and copies."""

    #: The type in which it keeps points, and reports distances.
    _dtype: np.dtype[Any]

    @property
    def n_points(self) -> int:
        """Points that searches find."""
        return int(self._info().n_points)

    @property
    def dim(self) -> int:
        """Coordinates of a point."""
        return int(self._info().dim)

    def __len__(self) -> int:
        return self.n_points

    def __repr__(self) -> str:
        name = type(self).__name__
        if self._handle is None:
            return f"{name}(closed)"
        return f"{name}(n_points={self.n_points}, dim={self.dim}, {self._described()})"

    @abstractmethod
    def _described(self) -> str:
        """Values of its repr after its size."""

    # Searches

    def _asked(
        self,
        queries: ArrayLike | None,
        n_threads: int | None,
        *,
        predecessor_mode: bool,
        exclude_self: bool,
        before: ArrayLike | None = None,
        max_distance: Any = None,
        radii: Any = None,
        filter: Any = None,
    ) -> tuple[Rows, np.dtype[Any], SearchOptions]:
        """Arguments of a search in the library: queries, the type in which it compares them, and options.

        ``radii`` are those of a radius search, one for each query.
        """
        dtype = self._dtype
        rows, compared = self._rows_of(queries)
        n_rows, each = count(rows), None
        if radii is not None:
            each = self._limits(radii, "r", n_rows, compared)
        elif max_distance is not None and _arguments.is_many(max_distance):
            max_distance, each = None, self._limits(max_distance, "max_distance", n_rows, compared)
        elif max_distance is not None:
            max_distance = _arguments.number(max_distance, "max_distance")
            if compared is not dtype:
                max_distance = largest_reported(max_distance, dtype)
        upper = _arrays.upper_indices(before, n_rows)
        mask = None if filter is None else _arrays.mask(filter, "filter", lambda: self._info().next_index)
        options = search_options(
            self._threads(n_threads), predecessor_mode, exclude_self, max_distance, upper, admitted=mask,
            max_distances=each,
        )  # fmt: skip
        return rows, compared, options

    def _rows_of(self, queries: Any) -> tuple[Any, np.dtype[Any]]:
        """Queries as the library reads them, and the type in which it compares them."""
        dtype = self._dtype
        rows = _calls.query_rows(queries, self, dtype)
        if isinstance(rows, int) or rows.dtype == dtype or _arrays.are_indices(rows):
            return rows, dtype
        return rows, rows.dtype

    def _threads(self, n_threads: int | None) -> int:
        return _calls.threads(n_threads)

    def _limits(self, values: Any, name: str, n_rows: int, compared: np.dtype[Any]) -> Float64s:
        """The largest distance of a neighbour of each query. The library checks the numbers."""
        limits = np.ascontiguousarray(_arrays.of_shape(values, name, (n_rows,)), np.float64)
        return limits if compared is self._dtype else np.ascontiguousarray(each_largest_reported(limits, self._dtype))

    # Files and copies

    def save(self, path: _files.PathLike, *, progress: ProgressReport | None = None) -> None:
        """Write the tree to a file in one step: an existing file is replaced when all is on the disk.

        No work is repeated after loading: the file of a residual tree has points, kernel, inducing points, V, residual
        variances and the structures that the first search made. :func:`covertreex.load` opens it; a kernel that is not
        of this package must be given again there. Trees can also be pickled, with such a kernel, and copied.

        Symbolic links are followed. An existing file must be regular, and writable for this process; the new file gets
        its mode, owner and group. Other hard links to it keep the old contents. At a new path the umask decides on the
        mode. OSError if the file cannot be written; an existing file does not change.
        """
        self._save(path, {}, progress)

    def _settings(self) -> dict[str, NDArray[Any]]:
        """Settings of this package, as sections of a file."""
        return {}

    def _save(self, path: _files.PathLike, sections: _files.Arrays, progress: ProgressReport | None = None) -> None:
        """Write a file with sections of the caller."""
        sections = {**self._settings(), **sections}
        self._call(self._functions.save, _arguments.path(path), sections, progress=progress)

    def _file(self) -> _files.File:
        """The file in memory."""
        return _files.File(self._call(self._functions.encode, self._settings()))

    @abstractmethod
    def _opening(self) -> tuple[Any, ...]:
        """Options with which ``_of_file`` of the class opens a copy."""

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _restored, (type(self), self._file().bytes, *self._opening())


def _restored(kind: Any, data: NDArray[np.uint8], *options: Any) -> Any:
    return kind._of_file(_files.File.copy(data), *options)

"""A kernel that only Python knows, as the library calls it."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _native
from ._native import KERNEL


class HostKernel:
    """The library's callback into a Python kernel.

    An exception that left the callback would be lost: it is kept, ends the call, and is raised by :meth:`reraise`.
    """

    def __init__(self, kernel: Callable[[NDArray[np.float64], NDArray[np.float64]], Any]) -> None:
        self._kernel = kernel
        self._error: BaseException | None = None
        self.callback = KERNEL(self._call)

    def _call(  # noqa: PLR0917 - the library's signature
        self, _: int, rows: Any, n_rows: int, columns: Any, n_columns: int, dim: int, result: Any
    ) -> int:
        if self._error is not None:
            return 1
        try:
            a = np.ctypeslib.as_array(rows, (n_rows, dim)).copy()
            b = np.ctypeslib.as_array(columns, (n_columns, dim)).copy()
            values = np.asarray(self._kernel(a, b), np.float64)
            if values.shape != (n_rows, n_columns):
                raise ValueError(f"kernel: expected an array of shape {(n_rows, n_columns)}, got {values.shape}")
            if not np.isfinite(values).all():
                raise ValueError("kernel: expected finite covariances, got NaN or infinity")
            ctypes.memmove(result, np.ascontiguousarray(values).ctypes.data, values.nbytes)
        except BaseException as error:
            self._error = error
            return 1
        return 0

    def reraise(self) -> None:
        """Raise what the kernel raised, if it did."""
        error, self._error = self._error, None
        if error is not None:
            raise error


def run(host: HostKernel | None, function: Callable[..., int], *arguments: Any, **options: Any) -> None:
    """Call a function of the library that may take long, and raise what the kernel raised meanwhile."""
    try:
        _native.run(function, *arguments, **options)
    finally:
        if host is not None:
            host.reraise()

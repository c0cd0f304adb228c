"""A kernel that only Python knows, as the library calls it."""

from __future__ import annotations

import contextlib
import ctypes
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _arrays, _native
from ._native import KERNEL, CoverTreeError

PythonKernel = Callable[[NDArray[np.float64], NDArray[np.float64]], Any]


def covariances(kernel: PythonKernel, a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Call a kernel and check what it returns: float64 in C order, shape (len(a), len(b))."""
    return _arrays.returned(kernel(a, b), "kernel", (len(a), len(b)))


class HostKernel:
    """The library's callback into a Python kernel; several threads call it at once.

    The callback has to live as long as a call of the library that uses it: :func:`run` holds it.
    """

    def __init__(self, kernel: PythonKernel) -> None:
        self._kernel = kernel
        self._lock = threading.Lock()
        self._running = 0
        self._errors: list[BaseException] = []
        self.callback = KERNEL(self._call)

    def _call(self, _: int, *block: Any) -> int:
        return _native.answer(self._errors, self._fill, *block)

    def _fill(  # noqa: PLR0917 - the library's signature
        self, rows: int, n_rows: int, columns: int, n_columns: int, dim: int, result: int
    ) -> None:
        # Copies, because the kernel may keep or change its arguments.
        a = np.array(_arrays.view(self, rows, (n_rows, dim), np.float64))
        b = np.array(_arrays.view(self, columns, (n_columns, dim), np.float64))
        values = covariances(self._kernel, a, b)  # the name holds the array while its memory is read
        ctypes.memmove(result, values.ctypes.data, values.nbytes)

    @contextlib.contextmanager
    def raising(self) -> Iterator[None]:
        """Raise the kernel's exception if the library's call inside fails because of it."""
        with self._lock:
            self._running += 1
        try:
            yield
        except CoverTreeError:
            with self._lock:
                error = self._errors.pop(0) if self._errors else None
            if error is None:
                raise
            raise error from None
        finally:
            with self._lock:
                self._running -= 1
                if self._running == 0:  # other threads of a call may have failed too
                    self._errors.clear()


def run(host: HostKernel | None, function: Callable[..., int], *arguments: Any, **options: Any) -> None:
    """Call a function of the library that may take long, and raise what the kernel raised meanwhile.

    With a Python kernel every call goes through :func:`_native.run`, however short: in the main thread Ctrl-C could
    interrupt the callback before it begins, where ctypes would lose the exception.
    """
    with contextlib.nullcontext() if host is None else host.raising():
        _native.run(function, *arguments, **options)

"""Functions that only Python knows, as the library calls them: kernels and metrics."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import _arrays
from . import running
from .library import CoverTreeError, Function
from .memory import Float64s, view

#: The type of all pointers to functions.
_POINTER: Any = ctypes.CFUNCTYPE(None).__mro__[1]

PythonKernel = Callable[[Float64s, Float64s], Any]


def covariances(kernel: PythonKernel, a: Float64s, b: Float64s) -> Float64s:
    """Call a kernel and check what it returns: float64 in C order, shape (len(a), len(b))."""
    return _arrays.returned(kernel(a, b), "kernel", (len(a), len(b)))


class Callback(running.Callee):
    """A Python function, as the library calls it; several threads may call it at once.

    It has to live as long as a call of the library that uses it: :func:`run` holds it.
    """

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._running = 0

    def __call__(self, *block: Any) -> int:
        return running.answer(self.errors, self._fill, *block)

    def _fill(self, *block: Any) -> None:
        """Compute what the library asks for, and write it to the memory of the result."""
        raise NotImplementedError

    def run(self, function: Function, *arguments: Any, **options: Any) -> None:
        """Call a function of the library, and raise the function's exception if the call fails because of it.

        Every such call goes through :func:`running.run`, however short: in the main thread Ctrl-C could interrupt the
        callback before it begins, where ctypes would lose the exception.
        """
        with self._lock:
            self._running += 1
        try:
            running.run(function, *arguments, **options)
        except CoverTreeError:
            with self._lock:
                first = self.errors[:1]
                del self.errors[:1]
            if not first:
                raise
            raise first.pop() from None  # which refers to this frame, and must not be referred to from here
        finally:
            with self._lock:
                self._running -= 1
                if self._running == 0:  # other threads of a call may have failed too
                    self.errors.clear()


class CallbackKernel(Callback):
    """A Python kernel, as the library calls it.

    Parameters
    ----------
    kernel : callable
        ``kernel(a, b)`` gives covariances, (len(a), len(b)).
    gradient : callable, optional
        ``gradient(a, b)`` gives derivatives, (n_parameters, len(a), len(b)).
    n_parameters : int
    """

    def __init__(self, kernel: PythonKernel, gradient: PythonKernel | None = None, n_parameters: int = 0) -> None:
        super().__init__()
        self._kernel, self._gradient, self._n_parameters = kernel, gradient, n_parameters

    def differentiate(self, *block: Any) -> int:
        return running.answer(self.errors, self._fill_derivatives, *block)

    def give(self, options: Any) -> None:
        """Make it the kernel of a build, or of a file that is opened."""
        options.kernel_fn, options.kernel_user_data = running.CALL_KERNEL, self.number
        if self._gradient is not None:
            options.kernel_gradient_fn, options.n_kernel_parameters = running.CALL_KERNEL_GRADIENT, self._n_parameters

    def _fill(self, *block: int) -> None:
        *points, result = block
        a, b = self._points(*points)
        values = covariances(self._kernel, a, b)  # the name holds the array while its memory is read
        ctypes.memmove(result, values.ctypes.data, values.nbytes)

    def _fill_derivatives(self, *block: int) -> None:
        *points, result = block
        a, b = self._points(*points)
        assert self._gradient is not None
        values = _arrays.returned(self._gradient(a, b), "kernel_gradient", (self._n_parameters, len(a), len(b)))
        ctypes.memmove(result, values.ctypes.data, values.nbytes)

    def _points(self, rows: int, n_rows: int, columns: int, n_columns: int, dim: int) -> tuple[Float64s, Float64s]:
        # Copies, because the kernel may keep or change its arguments.
        a = np.array(view(self, rows, (n_rows, dim), np.float64))
        return a, np.array(view(self, columns, (n_columns, dim), np.float64))


class CallbackMetric(Callback):
    """A Python metric, as the library calls it: from one thread at a time.

    Parameters
    ----------
    distances : callable
        ``distances(left, right)`` gives the distances of pairs, (n,), from rows or numbers of objects.
    dtype
        Of the rows; int64 for numbers.
    """

    def __init__(self, distances: Callable[..., Float64s], dtype: np.dtype[Any]) -> None:
        super().__init__()
        self._distances, self._dtype = distances, dtype

    def give(self, options: Any) -> None:
        """Make it the metric of a build."""
        options.distance_fn, options.distance_user_data = running.CALL_DISTANCE, self.number

    def _fill(self, *block: int) -> None:
        count, columns, left, right, result = block
        shape = (count,) if self._dtype.kind == "i" else (count, columns)
        # Copies, because the function may keep or change its arguments.
        pairs = (np.array(view(self, rows, shape, self._dtype)) for rows in (left, right))
        values = self._distances(*pairs)  # the name holds the array while its memory is read
        ctypes.memmove(result, values.ctypes.data, values.nbytes)


@dataclass(frozen=True)
class CompiledMetric:
    """A compiled metric that several threads call at once; :func:`covertreex.numba.metric` makes one.

    Attributes
    ----------
    address : int
        Of a ``covertree_distance_fn``, see ``covertree.h``.
    dtype : numpy.dtype
        Of the coordinates that it reads, float32 or float64; int64 for numbers of objects.
    owner : object
        It keeps the function alive.
    """

    address: int
    dtype: np.dtype[Any]
    owner: Any = None


def compiled(metric: Any) -> CompiledMetric | None:
    """A compiled metric: one of this package, or a pointer to a C function, for float64; None for other values."""
    if isinstance(metric, CompiledMetric):
        return metric
    address = getattr(metric, "address", None)  # of Numba's cfunc
    if isinstance(metric, _POINTER):
        address = ctypes.cast(metric, ctypes.c_void_p).value
    if type(address) is not int:
        return None
    return CompiledMetric(address, np.dtype(np.float64), metric)

"""Array backends of covertreex 0.4.x. All arrays here are NumPy arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from .. import _settings
from . import _notices
from .model import BACKENDS


@dataclass(frozen=True)
class TreeBackend:
    """NumPy by the names of covertreex 0.4.x, with the types in which coordinates and indices are kept."""

    name: str = "numpy"
    xp: Any = np
    asarray: Callable[..., Any] = np.asarray
    stack: Callable[..., Any] = np.stack
    device_put: Callable[[Any], Any] = lambda value: value
    default_float: Any = np.float64
    default_int: Any = np.int32

    @classmethod
    def numpy(cls, *, precision: str = "float64") -> TreeBackend:
        """NumPy in a precision, "float32" or "float64"."""
        _settings.check_choice("precision", precision, ("float32", "float64"))
        return cls(default_float=np.dtype(precision).type)

    @classmethod
    def jax(cls, *, precision: str = "float64") -> TreeBackend:
        """NumPy, too; a warning says so."""
        _notices.warn("backend: 'jax' of covertreex 0.4.x; arrays are NumPy's here")
        return cls.numpy(precision=precision)

    @classmethod
    def gpu(cls, *, precision: str = "float32") -> TreeBackend:
        """Raise NotImplementedError, as it did."""
        raise NotImplementedError("backend: expected 'numpy', got 'gpu'")

    @classmethod
    def named(cls, name: str, precision: str) -> TreeBackend:
        """The backend of a name."""
        _settings.check_choice("backend", name, BACKENDS)
        made: TreeBackend = getattr(cls, name)(precision=precision)
        return made

    def __reduce__(self) -> Any:
        return partial(TreeBackend.numpy, precision=np.dtype(self.default_float).name), ()

    def array(self, value: Any, *, dtype: Any = None) -> Any:
        """An array of numbers."""
        wanted = np.dtype(dtype or self.default_float)
        array = np.asarray(value)
        if array.dtype.kind == "c" and wanted.kind != "c":  # NumPy would drop the imaginary part
            raise TypeError(f"value: expected real numbers, got dtype {array.dtype}")
        return np.asarray(value, wanted)

    def zeros(self, shape: Iterable[int], *, dtype: Any = None) -> Any:
        """An array of zeros."""
        return np.zeros(tuple(shape), dtype or self.default_float)

    def ones(self, shape: Iterable[int], *, dtype: Any = None) -> Any:
        """An array of ones."""
        return np.ones(tuple(shape), dtype or self.default_float)

    def empty(self, shape: Iterable[int], *, dtype: Any = None) -> Any:
        """An array of any numbers."""
        return np.empty(tuple(shape), dtype or self.default_float)

    def to_numpy(self, value: Any) -> Any:
        """The same as a NumPy array."""
        return np.asarray(value)

"""The library: found, loaded, and its statuses turned into exceptions."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from .. import _arguments, _arrays
from .signatures import SIGNATURES

ABI_VERSION = 1
Function = Callable[..., Any]  #: of the library
Struct = TypeVar("Struct", bound=ctypes.Structure)
LIBRARY = "lib/libcovertree-load.so"  # needs the one for this machine (scripts/stage)


class CoverTreeError(RuntimeError):
    """A failure of the library that is not the caller's argument: a broken rule, a busy tree, a cancelled call."""


# Statuses that have an exception of Python's own; the others are CoverTreeError.
_EXCEPTIONS: dict[int, type[Exception]] = {**dict.fromkeys((10, 11, 21), ValueError), 20: IndexError, 30: MemoryError}
_IO = 40


def _load() -> ctypes.CDLL:
    path = os.environ.get("COVERTREE_LIBRARY") or str(Path(__file__).parents[1] / LIBRARY)
    try:
        library = ctypes.CDLL(path)
    except OSError as error:
        raise ImportError(f"covertreex: the library could not be loaded from {path}: {error}") from error
    for name, (result, arguments) in SIGNATURES.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    found = library.covertree_abi_version()
    if found != ABI_VERSION:
        raise ImportError(f"covertreex: {path} has ABI version {found}, this package needs {ABI_VERSION}")
    return library


lib = _load()


def check(status: int, **names: str) -> None:
    """Raise the error of a status other than 0, with the library's message.

    `names` are the Python names of the library's parameters that differ.
    """
    if status:
        message = _arguments.rename(lib.covertree_last_error().decode(), names)
        if status == _IO:
            raise OSError(lib.covertree_last_errno(), message)  # FileNotFoundError and the like, by its number
        raise _EXCEPTIONS.get(status, CoverTreeError)(message)


def read(function: Function, handle: Any, kind: type[Struct]) -> Struct:
    """Return the struct that a function fills in for a handle."""
    found = kind()
    check(function(handle, ctypes.byref(found)))
    return found


def build_info() -> str:
    """Name, version and instruction set of the loaded library."""
    return str(lib.covertree_build_info().decode())


def library_path() -> str:
    """The file that the library was loaded from."""
    return str(lib._name)


def get_num_threads() -> int:
    """Threads of calls that do not say how many they want."""
    return int(lib.covertree_get_num_threads())


def set_num_threads(n_threads: int) -> None:
    """Set the threads of calls that do not say how many they want.

    Parameters
    ----------
    n_threads : int
        0 restores the default: the processors that this process may use.
    """
    check(lib.covertree_set_num_threads(_arrays.integer(n_threads, "n_threads", minimum=0, maximum=1024)))

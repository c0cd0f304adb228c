"""Checks of arguments that are not arrays. Errors name the argument: ``name: expected X, got Y``."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from typing import Any

import numpy as np

_LONGEST = 60


def described(value: Any) -> str:
    """A wrong value, for a message."""
    if isinstance(value, type):
        return f"the class {value.__name__}"
    if isinstance(value, np.ndarray):
        return f"an array of dtype {value.dtype} and shape {value.shape}"
    text = repr(value)
    if len(text) > _LONGEST or "\n" in text:
        return f"an object of type {type(value).__name__}"
    return text


def number(value: Any, name: str, *, minimum: float | None = None) -> float:
    """A real number as a float. Strings, booleans and arrays are refused, NaN and infinity only by a ``minimum``."""
    if type(value) is not float:
        value = _as_float(value, name)
    if minimum is not None and not value >= minimum:
        raise ValueError(f"{name}: expected a number from {minimum:g} up, got {value}")
    return float(value)


def _as_float(value: Any, name: str) -> float:
    refused = (str, bytes, bool, np.bool_, complex, np.complexfloating)
    if isinstance(value, (*refused, type)) or getattr(value, "ndim", 0) != 0:
        raise TypeError(f"{name}: expected a number, got {described(value)}")
    try:
        return float(value)
    except OverflowError:
        raise ValueError(f"{name}: expected a number that fits a float64, got {described(value)}") from None
    except (TypeError, ValueError):
        raise TypeError(f"{name}: expected a number, got {described(value)}") from None


def is_many(value: Any) -> bool:
    """Whether a value is an array, or a list, and not one number."""
    return isinstance(value, (list, tuple)) or getattr(value, "ndim", 0) > 0


def choice(value: Any, name: str, choices: tuple[str, ...]) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{name}: expected one of {', '.join(choices)}, got {described(value)}")
    if value not in choices:
        raise ValueError(f"{name}: expected one of {', '.join(choices)}, got {value!r}")
    return value


def path(value: Any, name: str = "path") -> str:
    """A path as text. A number, which would be the descriptor of an open file, is refused, and so are bytes."""
    text = os.fspath(value) if isinstance(value, os.PathLike) and not isinstance(value, type) else value
    if not isinstance(text, str):
        raise TypeError(f"{name}: expected a path as a str or os.PathLike, got {described(value)}")
    if not text:
        raise ValueError(f"{name}: expected a path, got ''")
    if "\0" in text:
        raise ValueError(f"{name}: expected a path without a null character, got {text!r}")
    return text


def instance(value: Any, name: str, kinds: tuple[type, ...]) -> Any:
    if not isinstance(value, kinds):
        wanted = " or ".join(one.__name__ for one in kinds)
        raise TypeError(f"{name}: expected an object of type {wanted}, got {described(value)}")
    return value


def function(value: Any, name: str) -> Any:
    if not callable(value) or isinstance(value, type):
        raise TypeError(f"{name}: expected a function, got {described(value)}")
    return value


@contextlib.contextmanager
def renamed(**names: str) -> Iterator[None]:
    """Have errors of a block name arguments as the caller wrote them: outer names by inner ones.

    ``queries="query[]"`` is for a single row: ``queries[0, 4]`` becomes ``query[4]``.
    """
    try:
        yield
    except Exception as error:
        if error.args and isinstance(error.args[0], str):
            error.args = (rename(error.args[0], names), *error.args[1:])
        raise


def rename(message: str, names: dict[str, str]) -> str:
    """Replace the name of an argument at the start of a message."""
    found = re.match(r"[A-Za-z_]+(?=[\[:])", message)
    if not found or found[0] not in names:
        return message
    name, rest = names[found[0]], message[found.end() :]
    return name[:-2] + rest.replace("[0, ", "[", 1) if name.endswith("[]") else name + rest

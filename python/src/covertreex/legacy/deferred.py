"""Dataclasses with fields that are computed on first access."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, TypeVar

Value = TypeVar("Value")


@dataclasses.dataclass(frozen=True)
class _Later:
    make: Callable[[], Any]


def later(make: Callable[[], Value]) -> Value:
    """A value for a field of a :class:`Deferred` class, which is computed when the field is read first."""
    return _Later(make)  # type: ignore[return-value]


class Deferred:
    """Base of dataclasses whose fields can be given as :func:`later`, but for fields that have a plain default.

    A plain default is an attribute of the class, so Python would find that one instead of calling ``__getattr__``.
    """

    def __post_init__(self) -> None:
        own = vars(self)
        own["_later"] = {name: own.pop(name) for name in list(own) if isinstance(own[name], _Later)}

    def __getattr__(self, name: str) -> Any:
        found = vars(self).get("_later", {}).get(name)
        if found is None:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        value = found.make()
        vars(self)[name] = value
        return value

    def __reduce__(self) -> Any:  # functions that make values cannot be pickled
        return type(self), tuple(getattr(self, one.name) for one in dataclasses.fields(self))  # type: ignore[arg-type]

"""Lists of strategies for the stages of an insertion, which other packages can add to.

A strategy has a name, a predicate that says whether it is for some settings, and a factory. Strategies of others are
asked first, in the order in which they came; one with the name of another strategy replaces it.
"""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_LOGGER = logging.getLogger("covertreex.plugins")


@dataclass(frozen=True)
class Strategy:
    """How a stage is done, and when."""

    name: str
    predicate: Callable[..., Any]
    factory: Callable[[], Any]
    origin: str  #: the module that it is from
    is_own: bool = False  #: whether it is of this package


class Strategies:
    """The strategies of one stage, which messages name.

    Other packages register strategies by entry points of a group. These are loaded before a strategy is first chosen or
    listed.
    """

    def __init__(self, stage: str, group: str) -> None:
        self.stage, self.group = stage, group
        self._known: dict[str, Strategy] = {}
        self._is_loaded = False

    def register(
        self,
        name: str,
        *,
        predicate: Callable[..., Any],
        factory: Callable[[], Any],
        origin: str | None = None,
        is_own: bool = False,
    ) -> None:
        """Add a strategy, instead of one of the same name."""
        if not callable(predicate) or not callable(factory):
            raise TypeError(f"predicate, factory: expected functions, got {predicate!r} and {factory!r}")
        self._known.pop(name, None)
        module = getattr(factory, "__module__", None) or "<unknown>" if origin is None else origin
        self._known[name] = Strategy(name, predicate, factory, module, is_own)

    def deregister(self, name: str) -> None:
        """Remove the strategy of this name, if there is one."""
        self._known.pop(name, None)

    def names(self) -> tuple[str, ...]:
        """The names of all strategies, in the order in which they are asked."""
        return tuple(one.name for one in self._in_order())

    def describe(self) -> list[dict[str, str]]:
        """Name, module, predicate and factory of all strategies."""
        return [
            {
                "name": one.name, "module": one.origin,
                "predicate": getattr(one.predicate, "__qualname__", repr(one.predicate)),
                "factory": ".".join(getattr(one.factory, name, "?") for name in ("__module__", "__qualname__")),
            }
            for one in self._in_order()
        ]  # fmt: skip

    def select(self, *facts: Any) -> Any:
        """Make the first strategy whose predicate holds. A predicate that raises is logged, and does not hold."""
        for one in self._in_order():
            try:
                if one.predicate(*facts):
                    return one.factory()
            except Exception:  # a plugin must not stop an insertion
                _LOGGER.exception("%s strategy %r: its predicate or factory failed", self.stage, one.name)
        raise RuntimeError(f"{self.stage}: none of the strategies {', '.join(self._known)} is for these settings")

    def load_entry_points(self) -> list[str]:
        """Add the strategies of installed packages, and return the names of their entry points."""
        self._is_loaded = True

        def register(payload: Any) -> None:
            for name, predicate, factory, origin in _described(payload):
                self.register(name, predicate=predicate, factory=factory, origin=origin)

        return load_entry_points(self.group, register)

    def _in_order(self) -> list[Strategy]:
        if not self._is_loaded:
            self.load_entry_points()
        return sorted(self._known.values(), key=lambda one: one.is_own)


def _described(payload: Any) -> Iterator[tuple[str, Any, Any, str | None]]:
    """The strategies of an entry point: a mapping, an object, several of these, or a function that returns them."""
    if payload is None:
        return
    if isinstance(payload, Mapping):
        yield payload["name"], payload["predicate"], payload["factory"], payload.get("origin")
    elif all(hasattr(payload, name) for name in ("name", "predicate", "factory")):
        yield payload.name, payload.predicate, payload.factory, getattr(payload, "origin", None)
    elif callable(payload):
        yield from _described(payload())
    elif isinstance(payload, Sequence) and not isinstance(payload, (str, bytes)):
        for one in payload:
            yield from _described(one)
    else:
        raise TypeError(f"entry point: expected a strategy with name, predicate and factory, got {payload!r}")


def _entry_points(group: str) -> Iterable[Any]:
    metadata = importlib.import_module("importlib.metadata")  # when it is needed, as it is slow
    found: Iterable[Any]
    if sys.version_info >= (3, 10):
        found = metadata.entry_points(group=group)
    else:
        found = metadata.entry_points().get(group, ())
    return found


def load_entry_points(group: str, register: Callable[[Any], None]) -> list[str]:
    """Call ``register`` with the object of each entry point of a group, and return the names of the loaded ones.

    One that fails is logged.
    """
    loaded = []
    for entry in _entry_points(group):
        try:
            register(entry.load())
        except Exception:  # another package's fault
            _LOGGER.exception("entry point %r of %s could not be loaded", entry.name, group)
        else:
            loaded.append(entry.name)
    return loaded

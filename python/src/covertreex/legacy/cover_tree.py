"""Names at the top of the package that have an old and a new meaning."""

from __future__ import annotations

import abc
import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

from .. import _arguments, _settings, factory
from .. import tree as trees
from ..outofcore import MappedTree
from ..residual import ResidualTree
from . import _engine_names
from ._notices import without_effect
from .pcct import PCCT
from .residual_tree import ResidualCoverTree

Function = TypeVar("Function", bound=Callable[..., Any])


def _with_old_options(build: Function) -> Function:
    """The same function, which accepts names of covertreex 0.4.x, and options that have no meaning."""

    @functools.wraps(build)
    def accepting(*arguments: Any, chunk_size: int | None = None, **options: Any) -> Any:
        without_effect([] if chunk_size is None else ["chunk_size"])
        options = _engine_names.translated(options)
        if "coords" not in options:
            return build(*arguments, **options)
        with _arguments.renamed(points="coords"):
            return build(*arguments, points=options.pop("coords"), **options)

    accepting.__module__ = __name__  # pickles find it there
    return cast(Function, accepting)


cover_tree = _with_old_options(factory.cover_tree)


@functools.wraps(factory.residual_tree)
def residual_tree(*arguments: Any, **options: Any) -> ResidualTree:  # noqa: D103
    return factory.residual_tree(*arguments, **options)


@functools.wraps(factory.load)
def load(*arguments: Any, engine: str | None = None, **options: Any) -> Any:  # noqa: D103
    return factory.load(*arguments, engine=_engine_names.translated({"engine": engine})["engine"], **options)


residual_tree.__module__ = load.__module__ = __name__

# In covertreex 0.4.x covertreex.residual_tree was a module. It can still be imported, and its class is here, too.
vars(residual_tree)["ResidualCoverTree"] = ResidualCoverTree


class _Either(type):
    """The type of a class that makes trees of points, and unfitted trees of settings."""

    def __call__(cls, first: Any = None, *arguments: Any, **options: Any) -> Any:
        """Make a tree of points; or, of settings or without arguments, a :class:`PCCT` to be fitted."""
        if cls is not CoverTree:
            return super().__call__(first, *arguments, **options)
        if first is None and "points" not in options:
            return PCCT(*arguments, **options)
        if isinstance(first, _settings.Runtime):
            return PCCT(first, *arguments, **options)
        return trees.CoverTree(*([] if first is None else [first]), *arguments, **options)

    def __instancecheck__(cls, thing: Any) -> bool:
        return isinstance(thing, (trees.CoverTree, PCCT)) if cls is CoverTree else super().__instancecheck__(thing)

    def __subclasscheck__(cls, kind: type) -> bool:
        return issubclass(kind, (trees.CoverTree, PCCT)) if cls is CoverTree else super().__subclasscheck__(kind)


class CoverTree(trees.CoverTree, metaclass=_Either):  # noqa: D101
    __doc__ = trees.CoverTree.__doc__


class BuiltCoverTree(abc.ABC):  # noqa: B024
    """Any result of ``cover_tree``."""


for _kind in (trees.CoverTree, ResidualTree, MappedTree):
    BuiltCoverTree.register(_kind)

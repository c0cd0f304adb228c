"""Older names: ``covertreex.engine`` of covertreex 0.4.x; see :mod:`covertreex.legacy`."""

from .legacy.engine import (
    SUPPORTED_ENGINES,
    CoverTree,
    PythonNumbaEngine,
    RustHilbertEngine,
    RustHybridResidualEngine,
    RustNaturalEngine,
    TreeEngine,
    build_tree,
    get_engine,
)
from .legacy.model import DEFAULT_ENGINE

__all__ = [
    "DEFAULT_ENGINE",
    "SUPPORTED_ENGINES",
    "CoverTree",
    "PythonNumbaEngine",
    "RustHilbertEngine",
    "RustHybridResidualEngine",
    "RustNaturalEngine",
    "TreeEngine",
    "build_tree",
    "get_engine",
]

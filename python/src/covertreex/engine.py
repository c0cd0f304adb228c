"""Older names: ``covertreex.engine`` of covertreex 0.4.x; see :mod:`covertreex.legacy`."""

from .legacy.engine import (
    DEFAULT_ENGINE,
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

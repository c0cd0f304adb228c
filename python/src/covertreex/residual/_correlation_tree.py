"""The cover tree of a residual tree's points in the residual-correlation metric itself."""

from __future__ import annotations

import ctypes

from .. import _calls, _native
from .._calls import ProgressReport
from .._exports.tree_arrays import TreeArrays, show_arrays
from .._native import lib
from ..tree._options import tree_options


class CorrelationTree:
    """A tree built once, shown as arrays, and checked against the points it was built of."""

    def __init__(self, residual: ctypes.c_void_p, order: str, seed: int) -> None:
        options = tree_options(order, seed, None)
        owner = _calls.Owner(lib.covertree_arrays_free)
        self._handle = owner.handle
        _native.run(
            lib.covertree_residual_build_tree, residual, ctypes.byref(options), ctypes.byref(owner.handle),
            options=options,
        )  # fmt: skip
        self.arrays: TreeArrays = show_arrays(owner)

    def validate(
        self, residual: ctypes.c_void_p, n_threads: int | None = None, progress: ProgressReport | None = None
    ) -> bool:
        """Check every rule of the tree."""
        options = _calls.call_options(n_threads)
        _native.run(
            lib.covertree_residual_validate_tree, residual, self._handle, ctypes.byref(options), options=options,
            report=progress,
        )  # fmt: skip
        return True

"""The cover tree of a residual tree's points in the residual-correlation metric itself."""

from __future__ import annotations

from .. import _calls
from .._calls import ProgressReport
from .._capi import Handle, residuals
from .._exports.tree_arrays import TreeArrays, show_arrays
from ..tree._options import tree_options


class CorrelationTree:
    """A tree built once, shown as arrays, and checked against the points it was built of."""

    def __init__(self, residual: Handle, order: str, seed: int) -> None:
        owner = residuals.build_tree(residual, tree_options(order, seed, None))
        self._handle = owner.handle
        self.arrays: TreeArrays = show_arrays(owner)

    def validate(self, residual: Handle, n_threads: int | None = None, progress: ProgressReport | None = None) -> bool:
        """Check every rule of the tree."""
        threads = _calls.threads(n_threads)
        residuals.validate_tree(residual, self._handle, n_threads=threads, progress=progress)
        return True

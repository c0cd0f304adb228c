"""Older names: see :mod:`covertreex.legacy`."""

from ..legacy.independent_sets import MISResult, batch_mis_seeds, run_mis

__all__ = ["MISResult", "batch_mis_seeds", "run_mis"]

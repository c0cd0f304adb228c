"""Older names: see :mod:`covertreex.legacy`."""

from ...legacy.batch_order import choose_prefix_factor, prefix_slices, prepare_batch_points

__all__ = ["choose_prefix_factor", "prefix_slices", "prepare_batch_points"]

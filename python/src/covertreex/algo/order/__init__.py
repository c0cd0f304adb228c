"""Older names: see :mod:`covertreex.legacy`."""

from ...legacy.batch_order import (
    BatchOrderResult,
    choose_prefix_factor,
    compute_batch_order,
    prefix_slices,
    prepare_batch_points,
)
from . import helpers, strategy

__all__ = ["BatchOrderResult", "choose_prefix_factor", "compute_batch_order", "prefix_slices", "prepare_batch_points"]
_MODULES = (helpers, strategy)  # attributes of the package, as in 0.4.x

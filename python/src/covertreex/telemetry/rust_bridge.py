"""Older names: see :mod:`covertreex.legacy`."""

from ..legacy.reported_plans import build_rust_plan, record_rust_batch

__all__ = ["build_rust_plan", "record_rust_batch"]

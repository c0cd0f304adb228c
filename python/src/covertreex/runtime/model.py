"""Older names: see :mod:`covertreex.legacy`."""

from ..legacy.model import DiagnosticsConfig, ResidualConfig, RuntimeModel, SeedPack

__all__ = ["DiagnosticsConfig", "ResidualConfig", "RuntimeModel", "SeedPack"]

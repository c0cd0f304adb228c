"""Older names: see :mod:`covertreex.legacy`."""

from ..legacy.benchmark_log import BenchmarkLogWriter, ResidualScopeCapRecorder

__all__ = ["BenchmarkLogWriter", "ResidualScopeCapRecorder"]

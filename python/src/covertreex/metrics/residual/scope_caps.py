"""Older names: see :mod:`covertreex.legacy`."""

from ...legacy.scope_caps import ResidualScopeCapRecorder, ResidualScopeCaps, get_scope_cap_table, reset_scope_cap_cache

__all__ = ["ResidualScopeCapRecorder", "ResidualScopeCaps", "get_scope_cap_table", "reset_scope_cap_cache"]

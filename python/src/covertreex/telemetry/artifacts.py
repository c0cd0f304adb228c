"""Older names: see :mod:`covertreex.legacy`."""

from ..legacy.artifacts import artifact_root, generate_run_id, resolve_artifact_path, timestamped_artifact

__all__ = ["artifact_root", "generate_run_id", "resolve_artifact_path", "timestamped_artifact"]

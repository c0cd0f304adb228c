"""Older names: see :mod:`covertreex.legacy`."""

from ..legacy.persistence import (
    DEFAULT_JOURNAL_POOL,
    JournalScratchPool,
    PersistenceJournal,
    SliceUpdate,
    apply_persistence_journal,
    build_persistence_journal,
    clone_array_segment,
    clone_tree_with_updates,
)

__all__ = [
    "DEFAULT_JOURNAL_POOL",
    "JournalScratchPool",
    "PersistenceJournal",
    "SliceUpdate",
    "apply_persistence_journal",
    "build_persistence_journal",
    "clone_array_segment",
    "clone_tree_with_updates",
]

"""All uses of ctypes: the library, and a typed function for each function of its headers.

A function is in the file of its subject, by the rest of its name: ``covertree_tree_knn`` is ``trees.knn``. It is given
handles, NumPy arrays that were checked, and plain values; it finds addresses, keeps their memory alive, returns the
library's output, and raises the error of a status.
"""

from .library import CoverTreeError, build_info, check, get_num_threads, library_path, set_num_threads
from .memory import DTYPE_NUMBERS, DTYPES, Float64s, Handle, Int64s, Owner, Rows, count
from .running import ProgressReport

__all__ = [
    "DTYPES", "DTYPE_NUMBERS", "CoverTreeError", "Float64s", "Handle", "Int64s", "Owner", "ProgressReport", "Rows",
    "build_info", "check", "count", "get_num_threads", "library_path", "set_num_threads",
]  # fmt: skip

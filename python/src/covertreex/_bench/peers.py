"""The k-d trees of other packages."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple

from numpy.typing import NDArray


class Peer(NamedTuple):
    """Functions that build a tree and find the indices (q, k) of neighbours."""

    build: Callable[[NDArray[Any]], Any]
    query: Callable[[Any, NDArray[Any], int], NDArray[Any]]


def _kd_tree(module: str) -> Peer:
    return Peer(import_module(module).KDTree, lambda tree, queries, k: tree.query(queries, k)[1])


def pykdtree() -> Peer:
    """The package pykdtree."""
    return _kd_tree("pykdtree.kdtree")


def scipy() -> Peer:
    """SciPy's cKDTree, with all processors unless there is only one query."""
    build = import_module("scipy.spatial").cKDTree
    return Peer(build, lambda tree, queries, k: tree.query(queries, k, workers=-1 if len(queries) > 1 else 1)[1])


def sklearn() -> Peer:
    """The KDTree of scikit-learn, which searches in one thread."""
    return _kd_tree("sklearn.neighbors")


PEERS: dict[str, Callable[[], Peer]] = {"scipy": scipy, "scikit-learn": sklearn, "pykdtree": pykdtree}

"""Trees to compare with, by the names of covertreex 0.4.x: a brute force, and adapters around other packages."""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import factory
from .._arrays import real
from ..tree import CoverTree
from ._notices import warn
from .trees import by_dataset_index

__all__ = [
    "BaselineCoverTree",
    "BaselineNode",
    "ExternalCoverTreeBaseline",
    "GPBoostCoverTreeBaseline",
    "MlpackCoverTreeBaseline",
    "ScikitLearnBaseline",
    "ScipyBaseline",
    "has_external_cover_tree",
    "has_gpboost_cover_tree",
    "has_mlpack_cover_tree",
    "has_scipy_baseline",
    "has_sklearn_baseline",
]

Found = tuple[NDArray[np.int64], NDArray[np.float64]]


def _points(values: ArrayLike) -> NDArray[np.float64]:
    array = real(values, "points")
    return array[:, None] if array.ndim == 1 else array


class _Baseline:
    """Points, and a search among them."""

    points: NDArray[np.float64]

    @property
    def num_points(self) -> int:
        """The number of points."""
        return len(self.points)

    def _find(self, queries: NDArray[np.float64], k: int) -> Found:
        raise NotImplementedError

    def nearest(self, query: ArrayLike) -> tuple[int, float]:
        """The nearest point of one query: its index and distance."""
        indices, distances = self.knn(real(query, "query").reshape(-1), k=1, return_distances=True)
        return int(np.ravel(indices)[0]), float(np.ravel(distances)[0])

    def knn(self, queries: ArrayLike, k: int, *, return_distances: bool = False) -> Any:
        """Find the ``k`` nearest points of each query.

        Parameters
        ----------
        queries : array_like, shape (q, dim) or (dim,)
        k : int
            1 to the number of points.
        return_distances : bool
            Whether to return the distances, too.

        Returns
        -------
        indices, and distances
            Of shape (q, k), or (k,) for a query of shape (dim,).
        """
        if not 1 <= k <= self.num_points:
            raise ValueError(f"k: expected 1 to {self.num_points}, got {k}")
        array = real(queries, "queries")
        found = self._find(np.atleast_2d(array), k)
        indices, distances = (one[0] if array.ndim == 1 else one for one in found)
        return (indices, distances) if return_distances else indices


def _brute_force(points: NDArray[np.float64], queries: NDArray[np.float64], k: int) -> Found:
    distances = np.array([np.linalg.norm(points - query, axis=1) for query in queries])
    indices = np.argsort(distances, axis=1, kind="stable")[:, :k]
    return indices, np.take_along_axis(distances, indices, axis=1)


@dataclass
class BaselineNode:
    """A node of a cover tree."""

    point_index: int
    level: int
    parent: int | None
    children: list[int] = field(default_factory=list)


@dataclass
class BaselineCoverTree(_Baseline):
    """Neighbours by brute force in NumPy, and the nodes of the library's cover tree.

    Node ``i`` is point ``i``.
    """

    points: NDArray[np.float64]
    nodes: list[BaselineNode] = field(default_factory=list)
    levels: dict[int, list[int]] = field(default_factory=dict)
    root_id: int | None = None
    distance_count: int = 0  #: distances that searches computed

    @classmethod
    def from_points(cls, points: ArrayLike) -> BaselineCoverTree:
        """Make one of points, shape (n, dim) or (n,)."""
        made = cls(_points(points).copy())
        if not made.points.size:
            return made
        native: CoverTree = factory.cover_tree(made.points, metric="euclidean", engine="native")
        arrays = by_dataset_index(native)
        rows = zip(arrays["top_levels"].tolist(), arrays["parents"].tolist())
        made.nodes = [BaselineNode(i, level, None if up < 0 else up) for i, (level, up) in enumerate(rows)]
        for node in made.nodes:
            made.levels.setdefault(node.level, []).append(node.point_index)
            if node.parent is None:
                made.root_id = node.point_index
            else:
                made.nodes[node.parent].children.append(node.point_index)
        return made

    def insert_point(self, point_index: int) -> None:
        """Check that a point is there; :meth:`from_points` inserts all of them."""
        if not 0 <= point_index < len(self.nodes):
            raise ValueError(
                f"point_index: expected a point of the tree, 0 to {len(self.nodes) - 1}, got {point_index}"
            )

    def _find(self, queries: NDArray[np.float64], k: int) -> Found:
        self.distance_count += len(queries) * len(self.points)
        return _brute_force(self.points, queries, k)


class _Adapter(_Baseline):
    """Another package behind the same methods."""

    _module = ""
    _package = ""

    def __init__(self, points: NDArray[np.float64], tree: Any = None) -> None:
        self.points = points
        self._tree = tree

    def _find(self, queries: NDArray[np.float64], k: int) -> Found:
        distances, indices = self._tree.query(queries, k=k)
        return _arrays(indices, distances, k)

    @classmethod
    def _is_there(cls) -> bool:
        """True if the other package can be found."""
        try:
            return importlib.util.find_spec(cls._module) is not None
        except (ImportError, ValueError):
            return False

    @classmethod
    def _import(cls) -> Any:
        try:
            return importlib.import_module(cls._module)
        except ImportError as error:
            raise ImportError(f"{cls.__name__}: needs the package {cls._package} ({error})") from error


def _arrays(indices: Any, distances: Any, k: int) -> Found:
    return np.asarray(indices, np.int64).reshape(-1, k), np.asarray(distances, np.float64).reshape(-1, k)


class ExternalCoverTreeBaseline(_Adapter):
    """The cover tree of the package covertree on PyPI."""

    _module, _package = "covertree.covertree", "covertree"

    @classmethod
    def from_points(cls, points: ArrayLike, *, leafsize: int = 10, base: int = 2) -> ExternalCoverTreeBaseline:
        """Build its tree of points."""
        kind, own = cls._import().CoverTree, _points(points)
        tree = kind(own, distance=lambda a, b: float(np.linalg.norm(a - b)), leafsize=leafsize, base=base)
        return cls(own, tree)


class MlpackCoverTreeBaseline(_Adapter):
    """The cover tree of mlpack."""

    _module, _package = "mlpack", "mlpack"
    _options: ClassVar[dict[str, Any]] = {"tree_type": "cover", "copy_all_inputs": True}

    @classmethod
    def from_points(cls, points: ArrayLike, *, leaf_size: int = 20) -> MlpackCoverTreeBaseline:
        """Build its tree of points."""
        mlpack, own = cls._import(), np.ascontiguousarray(_points(points))
        return cls(own, mlpack.knn(reference=own, k=1, leaf_size=int(leaf_size), **cls._options)["output_model"])

    def _find(self, queries: NDArray[np.float64], k: int) -> Found:
        # mlpack reads a single row as a column.
        asked = np.ascontiguousarray(np.vstack([queries, queries]) if len(queries) == 1 else queries)
        found = self._import().knn(input_model=self._tree, query=asked, k=int(k), **self._options)
        indices, distances = _arrays(found["neighbors"], found["distances"], k)
        return indices[: len(queries)], distances[: len(queries)]


class ScikitLearnBaseline(_Adapter):
    """A ball tree, or a k-d tree, of scikit-learn."""

    _module, _package = "sklearn.neighbors", "scikit-learn"

    @classmethod
    def from_points(
        cls, points: ArrayLike, *, algorithm: str = "ball_tree", leaf_size: int = 40
    ) -> ScikitLearnBaseline:
        """Build its tree of points; ``algorithm`` is "ball_tree" or "kd_tree"."""
        module, own = cls._import(), _points(points)
        tree = (module.KDTree if algorithm == "kd_tree" else module.BallTree)(own, leaf_size=leaf_size)
        made = cls(own, tree)
        made.algorithm = algorithm
        return made

    algorithm = "ball_tree"


class ScipyBaseline(_Adapter):
    """The k-d tree of SciPy."""

    _module, _package = "scipy.spatial", "scipy"

    @classmethod
    def from_points(cls, points: ArrayLike, *, leafsize: int = 16) -> ScipyBaseline:
        """Build its tree of points."""
        module, own = cls._import(), _points(points)
        return cls(own, module.cKDTree(own, leafsize=leafsize))


class GPBoostCoverTreeBaseline(_Adapter):
    """A brute force instead of covertreex 0.4.x's rewriting of GPBoost's cover tree; a warning says so."""

    @classmethod
    def from_points(cls, points: ArrayLike) -> GPBoostCoverTreeBaseline:
        """Keep points."""
        warn("GPBoostCoverTreeBaseline: of covertreex 0.4.x; it is a brute force here")
        return cls(_points(points))

    def _find(self, queries: NDArray[np.float64], k: int) -> Found:
        return _brute_force(self.points, queries, k)


has_external_cover_tree = ExternalCoverTreeBaseline._is_there
has_mlpack_cover_tree = MlpackCoverTreeBaseline._is_there
has_sklearn_baseline = ScikitLearnBaseline._is_there
has_scipy_baseline = ScipyBaseline._is_there


def has_gpboost_cover_tree() -> bool:
    """Whether :class:`GPBoostCoverTreeBaseline` can be used: always."""
    return True

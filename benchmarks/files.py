"""Saving and opening trees, beside building them anew and beside pickling SciPy's tree.

    files.py            10 000 000 x 3 and the gold standard; writes files.md
    files.py --quick    small, writes nothing

The file is in the page cache when it is opened, as it is for the second process that opens it. Answers after opening are
compared with those before saving.
"""

from __future__ import annotations

import argparse
import pickle
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent

sys.path.insert(0, str(HERE))
from residual import problem


def timed(body: Callable[[], Any]) -> tuple[Any, float]:
    start = time.perf_counter()
    result = body()
    return result, time.perf_counter() - start


def opened(path: Path, first: Callable[[Any], Any]) -> list[Any]:
    """Median seconds of opening and of the first search, over five turns, and the answer."""
    from covertreex import load

    turns = []
    for _ in range(5):
        tree, opening = timed(lambda: load(path))
        answer, searching = timed(lambda tree=tree: first(tree))
        tree.close()
        turns.append((opening, searching))
    return [*(statistics.median(times) for times in zip(*turns)), answer]


def euclidean(n: int, folder: Path) -> list[str]:
    from covertreex import cover_tree, load
    from scipy.spatial import cKDTree

    points = np.random.default_rng(0).random((n, 3), dtype=np.float32)
    queries = np.random.default_rng(1).random((1000, 3), dtype=np.float32)
    path = folder / "tree"

    def ask(tree: Any) -> Any:
        return tree.knn(10, queries=queries)

    tree, build = timed(lambda: cover_tree(points))
    expected = ask(tree)
    _, save = timed(lambda: tree.save(path))
    tree.close()
    opening, first, answer = opened(path, ask)
    _, verified = timed(lambda: load(path, verify=True))
    name = f"{n:_} x 3, float32".replace("_", " ")
    lines = [
        line(
            name,
            "covertree",
            build,
            save,
            path,
            opening,
            first,
            (answer == expected).mean(),
            verified,
        )
    ]
    peer, build = timed(lambda: cKDTree(points))
    expected = peer.query(queries, 10)[1]
    with path.open("wb") as file:
        _, save = timed(lambda: pickle.dump(peer, file, protocol=5))
    del peer
    with path.open("rb") as file:
        peer, opening = timed(lambda: pickle.load(file))
    answer, first = timed(lambda: peer.query(queries, 10)[1])
    lines.append(
        line(
            "",
            "scipy cKDTree, pickled",
            build,
            save,
            path,
            opening,
            first,
            (answer == expected).mean(),
        )
    )
    return lines


def residual(n: int, m: int, folder: Path) -> list[str]:
    from covertreex import cover_tree

    x, kernel, inducing, _ = problem({"n": n, "dim": 3, "kernel": "Matern52", "m": m})
    path = folder / "model"

    def ask(tree: Any) -> Any:
        return tree.knn(30, predecessor_mode=True)

    def from_points() -> tuple[Any, Any]:
        tree = cover_tree(x, kernel=kernel, inducing_points=inducing)
        return tree, ask(tree)

    (tree, expected), build = timed(from_points)
    _, save = timed(lambda: tree.save(path))
    tree.close()
    opening, first, answer = opened(path, ask)
    name = f"{n} x 3, Matern 5/2, {m} inducing points; all predecessors"
    return [
        line(
            name,
            "covertree",
            build,
            save,
            path,
            opening,
            first,
            (answer == expected).mean(),
        )
    ]


def line(
    workload: str, who: str, build: float, save: float, path: Path, opening: float, first: float, same: float,
    verified: float | None = None,
) -> str:  # fmt: skip
    """A row of the table."""
    cells = [
        workload,
        f"**{who}**" if who == "covertree" else who,
        f"{build:.2f}",
        f"{save:.2f}",
        f"{path.stat().st_size / 1e9:.2f}",
        f"{opening * 1e3:,.1f}",
        f"{first:.3f}",
        "" if verified is None else f"{verified:.3f}",
        f"{same:.4f}",
    ]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Measure, and write what came out."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="small; write nothing")
    quick = parser.parse_args().quick
    lines = [
        "| | | from points s | save s | GB | open ms | first search s | with verify s | same answers |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    with tempfile.TemporaryDirectory(dir=HERE.parent / "build") as folder:
        lines += euclidean(100_000 if quick else 10_000_000, Path(folder))
        lines += residual(*((4096, 64) if quick else (32768, 512)), Path(folder))
        if not quick:
            lines += residual(131_072, 512, Path(folder))
    text = "\n".join(lines) + "\n"
    print(text)
    if quick:
        return
    (HERE / "files.md").write_text(text)


if __name__ == "__main__":
    main()

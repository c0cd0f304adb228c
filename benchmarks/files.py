"""Saving and opening trees, compared with building them again and with pickling SciPy's tree.

    files.py            10 000 000 x 3 and the gold standard; writes files.md
    files.py --quick    small, writes nothing

The file is in the page cache when it is opened, as it is for the second process that opens it. Answers after opening are
compared with those before saving.
"""

from __future__ import annotations

import pickle
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from covertreex._bench.clocks import timed
from processes import options
from residual import problem
from tables import spaced, table, write

HERE = Path(__file__).parent


def opened(path: Path, first: Callable[[Any], Any]) -> list[Any]:
    """Median seconds of opening and of the first search, over five turns, and the answer."""
    from covertreex import load

    turns = []
    for _ in range(5):
        opening, tree = timed(lambda: load(path))
        searching, answer = timed(lambda tree=tree: first(tree))
        tree.close()
        turns.append((opening, searching))
    return [*(statistics.median(times) for times in zip(*turns)), answer]


def euclidean(n: int, folder: Path) -> list[list[str]]:
    from covertreex import cover_tree, load
    from scipy.spatial import cKDTree

    points = np.random.default_rng(0).random((n, 3), dtype=np.float32)
    queries = np.random.default_rng(1).random((1000, 3), dtype=np.float32)
    path = folder / "tree"

    def ask(tree: Any) -> Any:
        return tree.knn(10, queries=queries)

    build, tree = timed(lambda: cover_tree(points))
    expected = ask(tree)
    save, _ = timed(lambda: tree.save(path))
    tree.close()
    opening, first, answer = opened(path, ask)
    verified, _ = timed(lambda: load(path, verify=True))
    name = f"{spaced(n)} x 3, float32"
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
    build, peer = timed(lambda: cKDTree(points))
    expected = peer.query(queries, 10)[1]
    with path.open("wb") as file:
        save, _ = timed(lambda: pickle.dump(peer, file, protocol=5))
    del peer
    with path.open("rb") as file:
        opening, peer = timed(lambda: pickle.load(file))
    first, answer = timed(lambda: peer.query(queries, 10)[1])
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


def residual(n: int, m: int, folder: Path) -> list[list[str]]:
    from covertreex import cover_tree

    x, kernel, inducing, _ = problem({"n": n, "dim": 3, "kernel": "Matern52", "m": m})
    path = folder / "model"

    def ask(tree: Any) -> Any:
        return tree.knn(30, predecessor_mode=True)

    def from_points() -> tuple[Any, Any]:
        tree = cover_tree(x, kernel=kernel, inducing_points=inducing)
        return tree, ask(tree)

    build, (tree, expected) = timed(from_points)
    save, _ = timed(lambda: tree.save(path))
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
) -> list[str]:  # fmt: skip
    """A row of the table."""
    return [
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


def main() -> None:
    """Measure, print, and write."""
    quick = options(__doc__).parse_args().quick
    build = HERE.parent / "build"
    build.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=build) as folder:
        lines = euclidean(100_000 if quick else 10_000_000, Path(folder))
        lines += residual(*((4096, 64) if quick else (32768, 512)), Path(folder))
        if not quick:
            lines += residual(131_072, 512, Path(folder))
    head = "from points s | save s | GB | open ms | first search s | with verify s | same answers"
    text = "\n".join(table(["", "", *head.split(" | ")], lines))
    print(text)
    if not quick:
        write(HERE / "files", text)


if __name__ == "__main__":
    main()

"""How costs grow with the number of points: building, inserting, and searching, from 10 000 to 10 000 000 points.

    growth.py                   writes growth.json, growth.md and growth.png
    growth.py --quick           up to 30 000 points; writes nothing
    growth.py --most 1000000    no more points than that; writes nothing

Points are uniform in the unit cube, in clusters, or uniform and sorted; 3 dimensions, float32. All points are inserted, one by one from
C, in batches of 1 000, or in a hundred batches, each time into a tree of the first. *Self-query* and *fresh query* are the 10 nearest of
as many points as there are. A size that would not go into half of the memory that is free, and work that would take minutes, are left
out. The exponent is the slope of a line through the logarithms of seconds and points, by least squares: 1 is in proportion to the points.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from changes import Loops
from contenders import CONTENDERS, TITLES
from covertreex._bench import truth
from measuring import fastest
from processes import Figures, in_turns, once, options
from tables import machine, spaced, table, titled, write

HERE = Path(__file__).parent
SIZES = (10_000, 31_623, 100_000, 316_228, 1_000_000, 3_162_278, 10_000_000)
QUICK_SIZES = (1_000, 3_000, 10_000)
MOST = SIZES[-1]
BATCH = 1_000
K = 10
# Shorter work runs up to this many times, and the fastest run counts.
SHORT, AGAIN = 0.5, 5
# Seconds after which insertion is given up, and a contender's next size left out.
PATIENCE = 120.0
# Memory that a case takes at most, a point: points, queries, results, a tree, and its parts while they merge.
BYTES_A_POINT = 500
# The contenders take minutes for the last sizes, which only uniform points have.
PEER_MOST = 1_000_000
LARGE_KIND = "uniform"

WORK = {
    "build": "build",
    "hundred": "insert in 100 batches",
    "insert": "insert 1 000 at a time",
    "single": "insert one by one",
    "own": "self-query",
    "fresh": "fresh query",
}


def uniform(rng: np.random.Generator, n: int) -> np.ndarray:
    return rng.random((n, 3), dtype=np.float32)


def clustered(rng: np.random.Generator, n: int) -> np.ndarray:
    """A hundred clusters of very different density."""
    own = np.random.default_rng(1)
    centers, spreads = own.random((100, 3)), 10.0 ** own.uniform(-4, -1, 100)
    chosen = rng.integers(0, 100, n)
    noise = rng.standard_normal((n, 3), dtype=np.float32) * spreads[chosen, None]
    return (centers[chosen] + noise).astype(np.float32)


def in_order(rng: np.random.Generator, n: int) -> np.ndarray:
    """Uniform, sorted by the first coordinate."""
    points = uniform(rng, n)
    return points[np.argsort(points[:, 0])]


KINDS: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    "uniform": uniform,
    "clustered": clustered,
    "sorted": in_order,
}


def inserted(points: np.ndarray, batch: int) -> float | None:
    """Seconds in which all points come in batches; None if that takes too long."""
    from covertreex import cover_tree

    start = time.perf_counter()
    tree = cover_tree(points[:batch])
    if batch == 1:
        made, took, _ = Loops(tree, True, PATIENCE).insert(points[1:])
        return took if made == len(points) - 1 else None
    for begin in range(batch, len(points), batch):
        tree.insert(points[begin : begin + batch])
        if time.perf_counter() - start > PATIENCE:
            return None
    took = time.perf_counter() - start
    assert len(tree) == len(points)
    return took


def measured(peer: str, kind: str, n: int, with_insertion: bool) -> Figures:
    """Seconds of each work for `n` points."""
    points, queries = (KINDS[kind](np.random.default_rng(seed), n) for seed in (3, 4))
    contender = CONTENDERS[peer]()
    contender.query(contender.build(points[:1000]), queries[:1000], 1)
    build, tree = fastest(lambda: contender.build(points), SHORT, AGAIN)
    own: Any = contender.own or contender.query
    self_query, found = fastest(lambda: own(tree, points, K), SHORT, AGAIN)
    del found
    fresh, found = fastest(lambda: contender.query(tree, queries, K), SHORT, AGAIN)
    figures: Figures = {
        "n": n,
        "build": build,
        "own": self_query,
        "fresh": fresh,
        "recall": truth.euclidean(points, queries, K).recall(found),
    }
    tree = found = None  # gives their memory back
    if peer == "covertreex" and with_insertion:
        figures["hundred"] = inserted(points, n // 100)
        figures["insert"] = inserted(points, BATCH)
        figures["single"] = inserted(points, 1)
    return figures


def free_bytes() -> int:
    """Memory that processes may still have."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    line = next(one for one in lines if one.startswith("MemAvailable"))
    return int(line.split()[1]) * 1024


def exponent(rows: list[Figures], work: str) -> float | None:
    """The slope of seconds against points, both as logarithms."""
    pairs = [(row["n"], row[work]) for row in rows if row.get(work)]
    if len(pairs) < 3:
        return None
    n, took = np.log(np.array(pairs)).T
    return float(np.polyfit(n, took, 1)[0])


def grown(kind: str, sizes: list[int], turns: int) -> dict[str, list[Figures]]:
    """All contenders on ever more points."""
    rows: dict[str, list[Figures]] = {
        peer: [] for peer in ("covertreex", "pykdtree", "scipy")
    }
    insertion, failed = True, set()
    for n in sizes:
        print(f"{kind}, {spaced(n)} points", flush=True)
        if n * BYTES_A_POINT > free_bytes() / 2:
            print("  left out: too little memory is free", flush=True)
            break
        peers = [
            peer
            for peer in rows
            if peer not in failed and (peer == "covertreex" or n <= PEER_MOST)
        ]
        case = ["--case", kind, "--n", str(n), *(["--insert"] if insertion else [])]
        for peer, row in in_turns(
            peers,
            turns if n <= PEER_MOST else 1,
            lambda peer, case=case: once(__file__, [*case, "--peer", peer]),
        ).items():
            if "error" in row:
                failed.add(peer)
            else:
                rows[peer].append(row)
                insertion &= peer != "covertreex" or row.get("single") is not None
    return rows


def lines_of(results: dict[str, dict[str, list[Figures]]]) -> list[str]:
    """Nanoseconds a point for each size, and the exponents, as Markdown."""
    sizes = sorted(
        {
            row["n"]
            for peers in results.values()
            for rows in peers.values()
            for row in rows
        }
    )
    lines = []
    for kind, peers in results.items():
        for work, name in WORK.items():
            shown = [
                peer
                for peer, rows in peers.items()
                if any(row.get(work) for row in rows)
            ]
            for title, peer in titled(shown, f"{kind}, {name}"):
                seconds_of = {row["n"]: row.get(work) for row in peers[peer]}
                costs = [
                    f"{seconds_of[n] / n * 1e9:,.0f}" if seconds_of.get(n) else ""
                    for n in sizes
                ]
                slope = exponent(peers[peer], work)
                lines.append(
                    [
                        title,
                        TITLES[peer],
                        *costs,
                        "" if slope is None else f"{slope:.3f}",
                    ]
                )
        least = min(
            (row["recall"] for rows in peers.values() for row in rows), default=0
        )
        lines.append(
            [f"{kind}, least recall of all", "", *[""] * len(sizes), f"{least:.4f}"]
        )
    return table(["ns a point", "", *(spaced(n) for n in sizes), "exponent"], lines)


def plot(results: dict[str, dict[str, list[Figures]]], path: Path) -> None:
    """Draw seconds against points, work by work."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(
        2, 3, figsize=(16, 8.4), layout="constrained", sharey=True
    )
    styles = {"covertreex": "o-", "pykdtree": "x--", "scipy": "+:"}
    for panel, (work, name) in zip(axes.flat, WORK.items()):
        for color, (kind, peers) in enumerate(results.items()):
            for peer, rows in peers.items():
                pairs = [(row["n"], row[work]) for row in rows if row.get(work)]
                if pairs:
                    slope = exponent(rows, work)
                    label = f"{TITLES[peer].strip('*')}, {kind}" + (
                        "" if slope is None else f": {slope:.2f}"
                    )
                    panel.loglog(
                        *zip(*pairs),
                        styles[peer],
                        color=f"C{color}",
                        label=label,
                        markersize=4,
                    )
        panel.set(title=name, xlabel="points")
        panel.grid(True, which="both", alpha=0.3)
        if panel.has_data():
            panel.legend(fontsize=7, title="and the exponent", title_fontsize=7)
    for panel in axes[:, 0]:
        panel.set_ylabel("seconds for all points")
    figure.savefig(path, dpi=110)


def main() -> None:
    """Measure, print, and write."""
    parser = options(__doc__, turns=3)
    parser.add_argument("--most", type=int, default=MOST, help="points at most")
    parser.add_argument("--kind", choices=KINDS, help="points of one kind alone")
    parser.add_argument("--plot", type=Path, help="another path for the plot")
    parser.add_argument("--n", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--insert", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.case:
        figures = measured(given.peer, given.case, given.n, given.insert)
        print(json.dumps(figures))
        return
    sizes = [n for n in (QUICK_SIZES if given.quick else SIZES) if n <= given.most]
    turns = 1 if given.quick else given.turns
    kinds = [given.kind] if given.kind else list(KINDS)
    results = {
        kind: grown(
            kind, [n for n in sizes if kind == LARGE_KIND or n <= PEER_MOST], turns
        )
        for kind in kinds
    }
    notes = (
        f"Seconds of the whole work over the points; {K} neighbours of as many queries as points; insertion into a tree of the first batch. "
        f"Medians of {turns} turn(s), above a million points one, without contenders, on {machine()}; `benchmarks/growth.py` writes this table."
    )
    text = "\n".join([*lines_of(results), "", notes])
    print(text)
    if given.plot:
        plot(results, given.plot)
    if given.quick or given.kind or given.most < MOST:
        return
    write(HERE / "growth", text, {"machine": machine(), **results})
    plot(results, HERE / "growth.png")


if __name__ == "__main__":
    main()

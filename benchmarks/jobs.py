"""The cost of one job: building, building and searching, data with crowds, and the cover tree when it is asked for.

    jobs.py                     everything; writes jobs.json and jobs.md
    jobs.py --quick             a hundredth of the points, one turn; writes nothing
    jobs.py --section NAME      one of: build, neighbours, crowds, cover-tree; writes nothing

Each case runs in a process of its own, in turns with its peers. Memory is the most that the process has had while it
built, less the memory before, with the points. If the first search finishes a structure, the table shows its time, too.
"""

from __future__ import annotations

import json
import time
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import euclidean
import numpy as np
import old_version
from contenders import CONTENDERS, TITLES, clusters, normal, uniform
from covertreex._bench import truth
from covertreex._bench.clocks import timed
from measuring import fastest, peak_bytes, resident_bytes
from processes import Figures, in_turns, once, options
from tables import cell, machine, spaced, table, titled, write

PEERS = ("covertreex", "pykdtree", "scipy")
ALL_PEERS = (*PEERS, "sklearn")
# scikit-learn's tree is built and searched by one thread.
SKLEARN_MOST = 100_000
# Coordinates that pykdtree accepts. In more, scikit-learn's tree is searched for minutes.
PYKDTREE_MOST = 127
# Points from which on one turn has to do.
LARGE = 5_000_000


class Set(NamedTuple):
    """Points of a case, and how many neighbours."""

    title: str
    n: int
    dim: int
    draw: Any
    k: int = 10

    def make(self, quick: bool) -> tuple[np.ndarray, np.ndarray]:
        """The points, and some queries like them."""
        n = max(1000, self.n // 100) if quick else self.n
        return self.draw(n, self.dim, 2000)(False)


def normals(n: int, dim: int, k: int = 10) -> Set:
    """Standard normal points."""
    return Set(f"{spaced(n)} x {dim} normal", n, dim, normal, k)


def named(sets: list[Set]) -> dict[str, Set]:
    return {f"{one.title}, k {one.k}": one for one in sets}


BUILDS = named(
    [
        normals(1_000_000, 3),
        normals(200_000, 8),
        Set("1 000 000 x 8 uniform", 1_000_000, 8, uniform),
        Set("1 000 000 x 8 in clusters", 1_000_000, 8, clusters),
        normals(100_000, 2),
        normals(10_000_000, 3),
        normals(100_000, 128),
    ]
)
NEIGHBOURS = named(
    [
        *(normals(10**exponent, 3) for exponent in range(3, 8)),
        normals(100_000, 2, 1),
        normals(100_000, 2, 10),
        normals(200_000, 8),
        normals(1_000_000, 3, 1),
    ]
)


def one_place(n: int) -> np.ndarray:
    return np.full((n, 3), 0.5, np.float32)


def half_in_one_place(n: int) -> np.ndarray:
    points = np.random.default_rng(5).random((n, 3), dtype=np.float32)
    points[np.random.default_rng(6).permutation(n)[: n // 2]] = 0.5
    return points


def few_places(n: int) -> np.ndarray:
    return np.random.default_rng(7).integers(0, 4, (n, 3)).astype(np.float32)


CROWDS = {
    "40 000 equal points": (40_000, one_place),
    "80 000, half of them in one place": (80_000, half_in_one_place),
    "80 000 in 64 places": (80_000, few_places),
}
COVER_TREES = named(
    [
        normals(32_768, 3),
        normals(1_000_000, 3),
        normals(200_000, 8),
    ]
)


def built(peer: str, points: np.ndarray) -> tuple[Any, float, int]:
    """A tree, the seconds that it took, and the memory; imports and pools of threads are there already."""
    contender = CONTENDERS[peer]()
    contender.query(contender.build(points[:1000]), points[:1000], 1)
    before = resident_bytes()
    took, tree = timed(lambda: contender.build(points))
    return tree, took, peak_bytes() - before


def build(peer: str, case: str, quick: bool) -> Figures:
    """Build; the first search after it; recall."""
    one = BUILDS[case]
    points, queries = one.make(quick)
    contender = CONTENDERS[peer]()
    tree, first, peak = built(peer, points)
    search, _ = timed(partial(contender.query, tree, queries[:1], one.k))
    found = contender.query(tree, queries, one.k)
    figures = {
        "n": len(points),
        "first_s": first,
        "search_s": search,
        "bytes_a_point": peak / len(points),
        "recall": truth.euclidean(points, queries, one.k).recall(found),
    }
    del tree
    again = first
    if first < 2:
        again = min(first, fastest(lambda: contender.build(points), most=7)[0])
    return {**figures, "build_s": again}


def neighbours(peer: str, case: str, quick: bool) -> Figures:
    """Build and find all neighbours of all points, as one job; and again, as processes go on."""
    one = NEIGHBOURS[case]
    points, _ = one.make(quick)
    contender = CONTENDERS[peer]()
    contender.query(contender.build(points[:1000]), points[:1000], 1)
    own: Any = contender.own or contender.query

    def job() -> Any:
        return own(contender.build(points), points, one.k)

    first, found = timed(job)
    rows = found[0] if isinstance(found, tuple) else found
    figures = {
        "n": len(points),
        "first_s": first,
        "recall": truth.euclidean(points, points, one.k).recall(rows),
    }
    del found, rows
    again = first if first > 2 else min(first, fastest(job, 1, most=20)[0])
    return {**figures, "job_s": again}


def crowd(peer: str, case: str, quick: bool) -> Figures:
    """Neighbours and counts if many points are equal."""
    n, make = CROWDS[case]
    points = make(n // 10 if quick else n)
    contender = CONTENDERS[peer]()
    tree, took, _ = built(peer, points)
    figures = {"n": len(points), "build_s": took}
    own: Any = contender.own or contender.query
    figures["knn_s"], found = fastest(lambda: own(tree, points, 10))
    rows = found[0] if isinstance(found, tuple) else found
    figures["recall"] = truth.euclidean(points, points, 10).recall(rows)
    figures["lowest"] = float(lowest(points, rows))
    if contender.count:
        count = contender.count
        figures["count_s"], counts = fastest(lambda: count(tree, points, 0.25))
        figures["counted_right"] = float(right_counts(points, counts, 0.25))
    if peer == "covertreex":
        figures["before_s"], _ = fastest(lambda: tree.knn(10, predecessor_mode=True))
    return figures


def some_rows(n: int) -> np.ndarray:
    return np.random.default_rng(1).choice(n, min(n, 50), replace=False)


def lowest(points: np.ndarray, found: np.ndarray) -> np.floating:
    """The share of rows, of some, that have the lowest indices among equally near points."""
    k, rows = found.shape[1], some_rows(len(points))
    return np.mean(
        [
            np.array_equal(
                found[row],
                np.argsort(truth.squared_distances(points, points[row]), kind="stable")[
                    :k
                ],
            )
            for row in rows
        ]
    )


def right_counts(points: np.ndarray, counts: np.ndarray, r: float) -> np.floating:
    rows = some_rows(len(points))
    return np.mean(
        [
            counts[row] == (truth.squared_distances(points, points[row]) <= r * r).sum()
            for row in rows
        ]
    )


def asked_for(peer: str, case: str, quick: bool) -> Figures:
    """The cover tree, when arrays are first exported, and its checks."""
    del peer
    from covertreex import cover_tree

    one = COVER_TREES[case]
    points, queries = one.make(quick)
    cover_tree(points[:1000]).validate()
    start = time.perf_counter()
    tree = cover_tree(points)
    search = time.perf_counter()
    before = resident_bytes()
    tree.export_arrays()
    done = time.perf_counter()
    peak = peak_bytes() - before
    stats = tree.stats()
    phases = getattr(stats, "cover", stats)
    checked = time.perf_counter()
    valid = tree.validate()
    return {
        "n": len(points),
        "build_s": search - start,
        "export_s": done - search,
        "order_s": phases.order_seconds,
        "insert_s": phases.insert_seconds,
        "layout_s": phases.layout_seconds,
        "both_s": done - start,
        "bytes_a_point": peak / len(points),
        "levels": len(phases.levels),
        "distances_a_point": phases.distance_evaluations / len(points),
        "validate_s": time.perf_counter() - checked,
        "valid": float(valid),
        "recall": truth.euclidean(points, queries, one.k).recall(
            tree.knn(one.k, queries=queries)
        ),
    }


SECTIONS = {
    "build": (BUILDS, build),
    "neighbours": (NEIGHBOURS, neighbours),
    "crowds": (CROWDS, crowd),
    "cover-tree": (COVER_TREES, asked_for),
}


def peers_of(section: str, case: str) -> tuple[str, ...]:
    if section == "cover-tree":
        return ("covertreex",)
    if section == "build" and BUILDS[case].dim > PYKDTREE_MOST:
        return ("covertreex", "scipy")
    if section == "neighbours" and NEIGHBOURS[case].n <= SKLEARN_MOST:
        return ALL_PEERS
    return PEERS


def turns_of(section: str, case: str, turns: int) -> int:
    sets = {"build": BUILDS, "neighbours": NEIGHBOURS}.get(section, {})
    return 1 if case in sets and sets[case].n >= LARGE else turns


def measure(section: str, quick: bool, turns: int) -> dict[str, dict[str, Figures]]:
    """All cases of a section."""
    results = {}
    arguments = ["--section", section, *(["--quick"] if quick else [])]
    for case in SECTIONS[section][0]:
        print(f"{section}: {case}", flush=True)
        results[case] = in_turns(
            peers_of(section, case),
            turns_of(section, case, turns),
            lambda peer, case=case: once(
                __file__, ["--case", case, "--peer", peer, *arguments]
            ),
        )
    if section == "cover-tree" and not quick:
        # The only other cover tree; those on PyPI take minutes for a tenth of these points.
        old = euclidean.old("32k-3d")
        if old and "error" not in old:
            first = next(iter(results))
            results[first][old_version.NAME] = {
                "both_s": old["build_s"],
                "recall": old["recall"],
            }
    return results


def lines_of(section: str, results: dict[str, dict[str, Figures]]) -> list[str]:
    """A section as Markdown."""
    heads = {
        "build": "build ms | times pykdtree's | first in its process ms | first search after it ms "
        "| memory over the points, B a point | recall",
        "neighbours": "build and all neighbours, s | times pykdtree's | first in its process s | recall",
        "crowds": "build ms | 10 nearest of all, s | lowest indices | counts of all, s | counts right "
        "| 10 predecessors of all, s | recall",
        "cover-tree": "build s | export s | both s | order s | insert s | layout s | levels | distances a point "
        "| memory, B a point | validate s | valid | recall",
    }
    cells = {
        "build": "build_s:1e3 ratio first_s:1e3 search_s:1e3 bytes_a_point recall",
        "neighbours": "job_s ratio first_s recall",
        "crowds": "build_s:1e3 knn_s lowest count_s counted_right before_s recall",
        "cover-tree": "build_s export_s both_s order_s insert_s layout_s levels distances_a_point "
        "bytes_a_point validate_s valid recall",
    }
    key = {"build": "build_s", "neighbours": "job_s"}.get(section)
    rows = []
    for case, peers in results.items():
        shown = case.rsplit(", k", 1)[0] if section in ("build", "cover-tree") else case
        for title, peer in titled(peers, shown):
            row = dict(peers[peer])
            if key and key in row and key in peers.get("pykdtree", {}):
                row["ratio"] = row[key] / peers["pykdtree"][key]
            if "error" in row:
                rows.append([title, TITLES[peer], row["error"]])
                continue
            rows.append(
                [title, TITLES[peer], *map(figure_of(row), cells[section].split())]
            )
    return table(["", "", *heads[section].split(" | ")], rows)


def figure_of(row: Figures) -> Any:
    """How a figure of a row is written."""

    def written(asked: str) -> str:
        key, _, scale = asked.partition(":")
        form = {
            "recall": ".4f",
            "lowest": ".2f",
            "counted_right": ".2f",
            "valid": ".0f",
        }
        usual = (
            ",.0f" if key in ("bytes_a_point", "levels", "distances_a_point") else ""
        )
        usual = usual or (",.1f" if scale else ",.2f" if key == "ratio" else ",.4f")
        return cell(row, key, form.get(key, usual), float(scale or 1))

    return written


TITLES_OF = {
    "build": "Build, float32:",
    "neighbours": "Build and the nearest neighbours of all points, as one job:",
    "crowds": "Crowds, 3 dimensions, float32; counts within 0.25:",
    "cover-tree": "The cover tree itself, when it is asked for:",
}


def main() -> None:
    """Measure, print, and write."""
    parser = options(__doc__, turns=3)
    parser.add_argument("--section", choices=SECTIONS)
    given = parser.parse_args()
    if given.case:
        body = SECTIONS[given.section][1]
        print(json.dumps(body(given.peer, given.case, given.quick)))
        return
    turns = 1 if given.quick else given.turns
    sections = [given.section] if given.section else list(SECTIONS)
    results = {one: measure(one, given.quick, turns) for one in sections}
    blocks = [
        "\n".join([TITLES_OF[one], "", *lines_of(one, results[one])])
        for one in sections
    ]
    notes = f"Medians of {turns} turn(s) on {machine()}; `benchmarks/jobs.py` writes these tables."
    text = "\n\n".join([*blocks, notes])
    print(text)
    if not given.quick and not given.section:
        write(Path(__file__).with_name("jobs"), text, {"machine": machine(), **results})


if __name__ == "__main__":
    main()

"""Euclidean neighbours: ours beside the peers, in one run, with recall against the float64 truth.

    make bench                      everything; writes euclidean.json, euclidean.md and the plot
    euclidean.py --quick            smaller, writes nothing
    euclidean.py --workload NAME    one of them

Each contender runs in a process of its own, in turns, so that peak memory is its own and noise meets all alike. The
figure is the median of several turns. covertreex 0.4.5 needs Python 3.12: where one is found it gets a virtual
environment under build/ (or `COVERTREEX_OLD` names a Python that has it).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path

from contenders import WORKLOADS

HERE = Path(__file__).parent
TITLES = {
    "covertreex": "**covertree**",
    "pykdtree": "pykdtree",
    "scipy": "scipy cKDTree",
    "sklearn": "scikit-learn KDTree",
    "sklearn-brute": "scikit-learn brute force",
    "faiss": "faiss IndexFlatL2",
    "covertreex-0.4.5": "covertreex 0.4.5",
}
TURNS = 3

# Whose growth with n is drawn.
GROWN = ("covertreex", "pykdtree", "scipy")
# Trees that take a minute to build.
SLOW_TO_BUILD = ("100k-128d",)


def old_python() -> str | None:
    """Find or make a Python 3.12 with covertreex 0.4.5."""
    given = os.environ.get("COVERTREEX_OLD")
    if given:
        return given
    found = [
        Path("/usr/bin/python3.12"),
        *Path("/root/.pyenv/versions").glob("3.12*/bin/python"),
    ]
    base = next((p for p in found if p.exists()), None)
    if base is None:
        return None
    folder = HERE.parent / "build" / "covertreex-0.4.5"
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([str(base), "-m", "venv", str(folder)], check=True)
        subprocess.run(
            [
                str(python),
                "-m",
                "pip",
                "install",
                "-q",
                "covertreex==0.4.5",
                "numba",
                "scipy",
            ],
            check=True,
        )
    return str(python)


def of_its_own(peer: str) -> dict[str, str]:
    """The environment of a contender. The old package has the name of ours, and must not find ours."""
    hidden = ("PYTHONPATH", "COVERTREE_LIBRARY") if peer == "covertreex-0.4.5" else ()
    return {name: value for name, value in os.environ.items() if name not in hidden}


def run(
    peer: str, workload: str, quick: bool, environment: dict | None = None
) -> dict | None:
    """Run one contender once, in its own process."""
    python = old_python() if peer == "covertreex-0.4.5" else sys.executable
    if python is None:
        return None
    command = [
        python,
        str(HERE / "contenders.py"),
        peer,
        workload,
        *(["--quick"] if quick else []),
    ]
    try:
        done = subprocess.run(
            command,
            check=False,
            capture_output=True,
            text=True,
            timeout=400,
            env={**of_its_own(peer), **(environment or {})},
        )
    except subprocess.TimeoutExpired:
        return {"error": "not done in 400 s"}
    if done.returncode:
        return {
            "error": done.stderr.strip().splitlines()[-1]
            if done.stderr.strip()
            else "failed"
        }
    return json.loads(done.stdout.splitlines()[-1])


def measure(workload: str, quick: bool, n_turns: int) -> dict[str, dict]:
    """Run all contenders in turns; medians of what they measured."""
    turns: dict[str, list[dict]] = {}
    for turn in range(1 if workload in SLOW_TO_BUILD else n_turns):
        for peer in WORKLOADS[workload].peers:
            if peer == "covertreex-0.4.5" and (turn > 0 or quick):  # minutes a turn
                continue
            result = run(peer, workload, quick)
            if peer == "faiss" and result and "error" not in result:
                # Its matrix products depend on what OpenBLAS takes the processor for: the better of two.
                other = run(peer, workload, quick, {"OPENBLAS_CORETYPE": "SkylakeX"})
                if other and other.get("batch_qps", 0) > result["batch_qps"]:
                    result = other
            if result is None:
                continue
            if "error" in result:
                print(f"  {peer}: {result['error']}", file=sys.stderr)
                continue
            turns.setdefault(peer, []).append(result)
    rows = {}
    for peer, results in turns.items():
        rows[peer] = {
            key: statistics.median(r[key] for r in results) for key in results[0]
        }
        rows[peer]["recall"] = min(r["recall"] for r in results)
        print(
            f"  {peer:18}",
            *(f"{key} {value:,.4g}" for key, value in rows[peer].items() if key != "n"),
            flush=True,
        )
    return rows


def table(results: dict[str, dict[str, dict]]) -> str:
    """Render the searches for k neighbours as Markdown."""
    lines = [
        "| workload | | build ms | queries/s | self-queries/s | one query from C µs | from Python µs | recall | peak memory, B a point |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for workload, rows in results.items():
        for place, (peer, row) in enumerate(rows.items()):
            self_qps = f"{row['self_qps']:,.0f}" if "self_qps" in row else ""
            from_c = f"{row['c_us']:,.1f}" if "c_us" in row else ""
            lines.append(
                f"| {WORKLOADS[workload].title if place == 0 else ''} | {TITLES[peer]} | {row['build_s'] * 1e3:,.1f} "
                f"| {row['batch_qps']:,.0f} | {self_qps} | {from_c} | {row['single_us']:,.1f} "
                f"| {row['recall']:.4f} | {row['peak_bytes'] / row['n']:,.0f} |"
            )
    return "\n".join(lines)


def radius_table(results: dict[str, dict[str, dict]]) -> str:
    """Render the radius searches as Markdown."""
    lines = [
        "| radius search | within it, mean | | queries/s | counts/s |",
        "| --- | ---: | --- | ---: | ---: |",
    ]
    for workload, rows in results.items():
        found = [(peer, row) for peer, row in rows.items() if "within_qps" in row]
        for place, (peer, row) in enumerate(found):
            title = f"{WORKLOADS[workload].title.rsplit(',', 1)[0]}, radius {WORKLOADS[workload].radius}"
            lines.append(
                f"| {title if place == 0 else ''} | {row['within_mean']:,.1f} | {TITLES[peer]} "
                f"| {row['within_qps']:,.0f} | {row['count_qps']:,.0f} |"
            )
    return "\n".join(lines)


def growth(quick: bool) -> list[dict]:
    """Build and search ever larger sets."""
    rows = []
    for exponent in range(12, 18 if quick else 24):
        for peer in GROWN:
            result = run(peer, f"grow-{2**exponent}", False)
            if result is None or "error" in result:
                continue
            rows.append({"peer": peer, "n": 2**exponent, **result})
            print(
                f"  {peer:12} n {2**exponent:8}: {result['build_s'] * 1e3:8.1f} ms, {result['batch_qps']:10,.0f} q/s"
            )
    return rows


def plot(rows: list[dict], path: Path) -> None:
    """Draw build time and queries per second against n."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for peer in GROWN:
        mine = [r for r in rows if r["peer"] == peer]
        left.loglog(
            [r["n"] for r in mine],
            [r["build_s"] for r in mine],
            "o-",
            label=TITLES[peer].strip("*"),
        )
        right.loglog(
            [r["n"] for r in mine],
            [r["batch_qps"] for r in mine],
            "o-",
            label=TITLES[peer].strip("*"),
        )
    left.set(
        xlabel="points", ylabel="seconds to build", title="Build, dimension 3, float32"
    )
    right.set(
        xlabel="points", ylabel="queries a second", title="10 nearest of fresh points"
    )
    for axes in (left, right):
        axes.grid(True, which="both", alpha=0.3)
        axes.legend()
    figure.savefig(path, dpi=110)


def machine() -> str:
    """Name the processor and how many of it there are."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next(
        (line.split(":")[1].strip() for line in lines if line.startswith("model name")),
        "unknown",
    )
    return f"{model}, {len(os.sched_getaffinity(0))} cores, Python {platform.python_version()}"


def main() -> None:
    """Measure, print, and write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--workload", choices=WORKLOADS)
    parser.add_argument("--turns", type=int, default=TURNS)
    options = parser.parse_args()
    results = {}
    for name in [options.workload] if options.workload else WORKLOADS:
        print(f"{name}:", flush=True)
        results[name] = measure(
            name, options.quick, 1 if options.quick else options.turns
        )
    if options.quick or options.workload:
        return
    print("growth:", flush=True)
    rows = growth(False)
    text = f"{table(results)}\n\n{radius_table(results)}\n\nMedians of {options.turns} turn(s) on {machine()}; `make bench` writes this table."
    (HERE / "euclidean.json").write_text(
        json.dumps(
            {"machine": machine(), "workloads": results, "growth": rows}, indent=1
        )
        + "\n"
    )
    (HERE / "euclidean.md").write_text(text + "\n")
    plot(rows, HERE / "euclidean.png")


if __name__ == "__main__":
    main()

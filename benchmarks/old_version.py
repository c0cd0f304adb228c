"""covertreex 0.4.5, which has the name of our package and so a Python of its own.

It needs Python 3.12. If one is found, it gets a virtual environment in build/; or `COVERTREEX_OLD` names a Python that
has the package. That Python runs this file as a script, and so nothing here needs ours before `measured` is called.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

NAME = "covertreex-0.4.5"
N_SINGLE = 300


def old_python() -> str | None:
    """Find or make a Python with the package."""
    given = os.environ.get("COVERTREEX_OLD")
    if given:
        return given
    found = [
        Path("/usr/bin/python3.12"),
        *Path("/root/.pyenv/versions").glob("3.12*/bin/python"),
    ]
    base = next((path for path in found if path.exists()), None)
    if base is None:
        return None
    folder = Path(__file__).parents[1] / "build" / NAME
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([str(base), "-m", "venv", str(folder)], check=True)
        packages = ["covertreex==0.4.5", "numba", "scipy"]
        install = [str(python), "-m", "pip", "install", "-q", *packages]
        subprocess.run(install, check=True)
    return str(python)


def measured(
    points: np.ndarray,
    queries: np.ndarray,
    k: int,
    kernel: str = "",
    n_inducing: int = 0,
) -> dict[str, Any] | None:
    """Build once, search once: figures, and the indices as `found`; or an `error`; None without that Python."""
    from processes import once

    python = old_python()
    if python is None:
        return None
    hidden = ("PYTHONPATH", "COVERTREE_LIBRARY")
    environment = {k: v for k, v in os.environ.items() if k not in hidden}
    with tempfile.TemporaryDirectory() as folder:
        np.savez(Path(folder, "data.npz"), points=points, queries=queries)
        arguments = [folder, str(k), kernel, str(n_inducing)]
        figures = once(
            __file__, arguments, python=python, environment=environment, patience=400
        )
        if "error" not in figures:
            figures["found"] = np.load(Path(folder, "found.npy"))
    return figures


def peak_bytes() -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def main(folder: str, k: int, kernel: str, n_inducing: int) -> None:
    """Measure the old package, and print the figures."""
    from covertreex import CoverTree, Runtime, cover_tree, kernels

    def build(points: np.ndarray) -> Any:
        if kernel:
            options = {"inducing_count": n_inducing, "seed": 42}
            covariance = getattr(kernels, kernel)()
            return cover_tree(
                points, kernel=covariance, engine="rust-hilbert", **options
            )
        return CoverTree(Runtime(engine="rust-hilbert", metric="euclidean")).fit(points)

    def search(tree: Any, some: np.ndarray) -> np.ndarray:
        # A tree with a kernel takes rows of its points, by name.
        return tree.knn(k, queries=some) if kernel else tree.knn(some, k=k)

    data = np.load(Path(folder, "data.npz"))
    points, queries = data["points"], data["queries"]
    if not kernel:
        build(points[:100]).knn(queries[:100], k=1)  # compiles
    Path("/proc/self/clear_refs").write_text("5")
    before, start = peak_bytes(), time.perf_counter()
    tree = build(points)
    end = time.perf_counter()
    figures = {"build_s": end - start, "peak_bytes": peak_bytes() - before}
    start = time.perf_counter()
    found = np.asarray(search(tree, queries))
    figures["batch_qps"] = len(queries) / (time.perf_counter() - start)
    if not kernel:
        took = []
        for row in range(min(N_SINGLE, len(queries))):
            start = time.perf_counter()
            search(tree, queries[row : row + 1])
            took.append(time.perf_counter() - start)
        figures["single_us"] = float(np.median(took)) * 1e6
    np.save(Path(folder, "found.npy"), found)
    print(json.dumps(figures))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4]))

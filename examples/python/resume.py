"""A residual tree in a file: saved once, then opened and searched by other processes without being built again."""

import multiprocessing
import tempfile
import time
from pathlib import Path

import numpy as np
from covertreex import load, residual_tree
from covertreex.kernels import Matern52


def neighbors_of(job: tuple[str, np.ndarray]) -> np.ndarray:
    """Search in a worker: it maps the file, and all workers share its pages."""
    path, rows = job
    return load(path).knn(20, queries=rows, predecessor_mode=True)


def main() -> None:
    coords = np.random.default_rng(0).random((20_000, 2))
    start = time.perf_counter()
    tree = residual_tree(coords, Matern52(lengthscale=0.3), n_inducing=200)
    neighbors = tree.knn(20, predecessor_mode=True)
    made = time.perf_counter() - start

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.covertree"
        tree.save(path)
        tree.close()

        start = time.perf_counter()
        again = load(path, points=coords)  # an error if it was saved from other points
        opened = time.perf_counter() - start
        start = time.perf_counter()
        assert (again.knn(20, predecessor_mode=True) == neighbors).all()
        searched = time.perf_counter() - start
        print(
            f"made in {made:.2f} s; opened in {opened * 1e3:.1f} ms and searched in {searched:.2f} s"
        )

        rows = np.array_split(np.arange(20_000), 4)
        with multiprocessing.get_context("spawn").Pool(2) as pool:
            found = np.concatenate(
                pool.map(neighbors_of, [(str(path), some) for some in rows])
            )
        assert (found == neighbors).all()
        print(f"2 workers, one file of {path.stat().st_size / 1e6:.0f} MB: the same")


if __name__ == "__main__":
    main()

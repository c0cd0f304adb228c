"""Writes small files of every kind for the fuzzer of files to begin with: `seeds.py FOLDER`."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
from covertreex import CoverTree, ResidualTree, indexes, kernels


def main(folder: Path) -> None:
    """Make trees, residual models and indexes, and save each with mended and with found checksums."""
    rng = np.random.default_rng(0)
    points = rng.normal(size=(24, 2))
    points[5] = points[4]
    things = {}
    for dtype in (np.float32, np.float64):
        things[f"tree-{dtype.__name__}"] = CoverTree(points.astype(dtype))
        things[f"removed-{dtype.__name__}"] = removed = CoverTree(points.astype(dtype))
        removed.remove([3])
    things["residual"] = ResidualTree(
        points, kernel=kernels.RBF(1.0), inducing_points=points[:4]
    )
    things["rough"] = ResidualTree(
        points, kernel=kernels.Matern12(0.5), inducing_points=points[:2]
    )
    vectors = rng.normal(size=(80, 2)).astype(np.float32)
    vectors[::9] = vectors[0]  # twins
    for name, index in {
        "BruteForce": indexes.BruteForce(2, storage="int8"),
        "KDTree": indexes.KDTree(2, leaf_size=8),
        "LSH": indexes.LSH(2, n_bits=40),
        "tables": indexes.LSH(2, mode="tables", n_bits=4, n_tables=3),
        "HNSW": indexes.HNSW(2, m=2),
        "halves": indexes.HNSW(2, m=2, storage="float16", metric="cosine"),
    }.items():
        things[name] = index
        index.add(vectors=vectors)
        index.remove([7, 9])
    things["KDTree"].remove(range(30, 52))  # forgotten: it has boxes then
    with tempfile.TemporaryDirectory() as work:
        for name, thing in things.items():
            thing.save(Path(work) / "file")
            content = (Path(work) / "file").read_bytes()
            for choice in (0, 1, 2):
                (folder / f"{name}-{choice}").write_bytes(content + bytes([choice]))


if __name__ == "__main__":
    main(Path(sys.argv[1]))

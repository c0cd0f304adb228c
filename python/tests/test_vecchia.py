"""Orderings and conditioning sets."""

import subprocess
import sys

import numpy as np
import pytest
import residual_oracle as oracle

from covertreex import CoverTreeError, vecchia
from covertreex._capi import running
from covertreex.kernels import RBF, Matern12, Matern52


def maxmin_by_brute_force(points):
    d = np.linalg.norm(points[:, None] - points[None], axis=2)
    order = [int(np.argmin(((points - points.mean(axis=0)) ** 2).sum(axis=1)))]
    while len(order) < len(points):
        nearest = d[:, order].min(axis=1)
        nearest[order] = -1
        order.append(int(nearest.argmax()))
    return np.array(order)


@pytest.mark.parametrize("dim", [1, 2, 3, 7])
def test_maxmin(rng, dim):
    points = rng.standard_normal((400, dim))
    np.testing.assert_array_equal(vecchia.ordering(points), maxmin_by_brute_force(points))


def hidden_dimensions(rng, n, dim):
    """Points along a surface of three dimensions."""
    return np.sin(rng.random((n, 3)) @ rng.standard_normal((3, dim)))


@pytest.mark.parametrize(
    "make",
    [
        lambda rng, n, dim: rng.random((n, dim)),
        lambda rng, n, dim: rng.standard_normal((n, dim)) * 1e-290,
        lambda rng, n, dim: rng.standard_normal((n, dim)) * 1e140 + 1e143,
        lambda rng, n, dim: rng.integers(0, 40, (9, dim))[rng.integers(0, 9, n)] + 0.05 * rng.random((n, dim)),
        lambda rng, n, dim: rng.standard_t(1.5, (n, dim)),
        lambda rng, n, dim: rng.random((n // 3, dim))[np.arange(n) % (n // 3)],
        hidden_dimensions,
    ],
    ids=["uniform", "tiny", "huge", "clusters", "heavy tails", "duplicates", "surface"],
)
@pytest.mark.parametrize("dim", [12, 40])
def test_maxmin_in_many_dimensions(rng, make, dim):
    """Blocks of points that come next: the order is that of one after the other, whatever the number of threads."""
    points = make(rng, 1500, dim)
    order = vecchia.ordering(points, n_threads=2)
    np.testing.assert_array_equal(order, vecchia.ordering(points, n_threads=1))
    assert_maxmin(points, order)


def assert_maxmin(points, order):
    """Each point is the farthest from those before it, as far as rounding of sums can tell."""
    assert sorted(order) == list(range(len(points)))
    center = np.sqrt(((points - points.mean(axis=0)).astype(np.longdouble) ** 2).sum(axis=1))
    assert center[order[0]] <= center.min() * (1 + 1e-10)
    nearest = np.full(len(points), np.inf)
    ordered = np.zeros(len(points), bool)
    for rank, index in enumerate(order):
        if rank:
            assert nearest[index] >= nearest[~ordered].max() * (1 - 1e-12)
        ordered[index] = True
        difference = points.astype(np.longdouble) - points[index]
        np.minimum(nearest, np.sqrt((difference**2).sum(axis=1)), out=nearest)
    _, first = np.unique(points[order], axis=0, return_index=True)
    assert (np.diff(np.delete(order, first)) > 0).all()  # those that equal one before them


def test_maxmin_in_many_dimensions_with_ties():
    """Distances of whole numbers are exact, so the lower index of several must come first."""
    points = np.random.default_rng(5).integers(0, 2, (900, 16)).astype(float)
    square = ((points[:, None] - points[None]) ** 2).sum(axis=2)
    order = [int(np.argmin(((points - points.mean(axis=0)) ** 2).sum(axis=1)))]
    nearest = square[order[0]].copy()
    nearest[order[0]] = -1
    while len(order) < len(points):
        order.append(int(nearest.argmax()))
        np.minimum(nearest, square[order[-1]], out=nearest)
        nearest[order] = -1
    np.testing.assert_array_equal(vecchia.ordering(points), order)


def test_maxmin_with_ties_and_duplicates(rng):
    points = rng.integers(0, 5, (200, 2)).astype(float)
    order = vecchia.ordering(points)
    assert sorted(order) == list(range(200))
    n = len(np.unique(points, axis=0))
    assert len(np.unique(points[order[:n]], axis=0)) == n
    assert (np.diff(order[n:]) > 0).all()


@pytest.mark.parametrize("ordering", ["maxmin", "random", "natural"])
@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_sets_are_those_of_brute_force(rng, ordering, dtype):
    coords = rng.random((600, 2))
    kernel = Matern52([0.2, 0.4])
    sets = vecchia.neighbors(
        coords, kernel=kernel, m=8, n_inducing=40, ordering=ordering, dtype=dtype, return_distances=True
    )
    assert sets.neighbors.dtype == dtype
    np.testing.assert_array_equal(sets.order[sets.inverse], np.arange(600))
    ordered = coords[sets.order]
    rows = np.sort(np.random.default_rng(42).choice(600, 40, replace=False))
    v, p = oracle.features(kernel, ordered, ordered[rows])
    rho, norms = oracle.correlations(kernel, ordered, v, p, ordered, v, p)
    oracle.assert_nearest(rho, norms, 8, sets.neighbors, sets.distances, oracle.predecessors(np.arange(600), 600))


def test_csr(rng):
    sets = vecchia.neighbors(rng.random((100, 2)), kernel=Matern52(0.2), m=6, n_inducing=10)
    offsets, ranks = sets.to_csr()
    assert offsets[:4].tolist() == [0, 0, 1, 3]
    for row in (1, 5, 50, 99):
        np.testing.assert_array_equal(ranks[offsets[row] : offsets[row + 1]], sets.neighbors[row][: min(row, 6)])


def test_save_and_load(rng, tmp_path):
    coords = rng.random((100, 2))
    sets = vecchia.neighbors(coords, kernel=Matern52(0.2), m=6, n_inducing=10, return_distances=True)
    path = tmp_path / "sets.covertree"
    sets.save(path)
    again = vecchia.ConditioningSets.load(path, input_hash=sets.input_hash)
    for name in ("order", "inverse", "neighbors", "distances"):
        np.testing.assert_array_equal(getattr(again, name), getattr(sets, name))
    assert [p.name for p in tmp_path.iterdir()] == ["sets.covertree"]
    other = vecchia.neighbors(coords, kernel=Matern52(0.3), m=6, n_inducing=10)
    assert other.input_hash != sets.input_hash
    with pytest.raises(CoverTreeError, match=r"^input_hash"):
        vecchia.ConditioningSets.load(path, input_hash=other.input_hash)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(CoverTreeError, match=r"^path"):
        vecchia.ConditioningSets.load(path)
    with pytest.raises(FileNotFoundError):
        vecchia.ConditioningSets.load(tmp_path / "none")


class Exponential:
    """A callable kernel, each of which looks like the others."""

    def __init__(self, scale):
        self.scale = scale

    def __call__(self, a, b):
        return np.exp(-np.sqrt(((a[:, None] - b[None]) ** 2).sum(axis=2)) / self.scale)

    def __repr__(self):
        return "Exponential()"


HASH = """
import numpy as np
from covertreex import vecchia
from covertreex.kernels import Matern52
coords = np.random.default_rng(5).random((120, 2))
kernel = lambda a, b: np.exp(-np.sqrt(((a[:, None] - b[None]) ** 2).sum(axis=2)) / 0.2)
for one, n_threads in ((kernel, 1), (kernel, 2), (Matern52(0.2), 1)):
    print(vecchia.neighbors(coords, kernel=one, m=6, n_inducing=10, n_threads=n_threads).input_hash)
"""


def test_input_hash_tells_inputs_apart():
    coords = np.random.default_rng(5).random((120, 2))

    def digest(kernel, points=coords, **options):
        return vecchia.neighbors(points, **{"kernel": kernel, "m": 6, "n_inducing": 10, **options}).input_hash

    kinds = [
        Exponential(0.2), Exponential(0.3), Exponential(0.2 + 1e-9), Matern12(0.2), Matern12(0.2, 2.0), Matern52(0.2),
        Matern52((0.2, 0.2)), Matern52(0.2 + 1e-15),
    ]  # fmt: skip
    hashes = [digest(kernel) for kernel in kinds]
    changes = [
        {"points": coords[::-1]}, {"points": coords + 1e-12}, {"m": 5}, {"n_inducing": 11}, {"seed": 1},
        {"jitter": 1e-5}, {"ordering": "natural"}, {"inducing_points": coords[:10], "n_inducing": None},
    ]  # fmt: skip
    for kernel in (Matern52(0.2), Exponential(0.2)):
        hashes += [digest(kernel, **change) for change in changes]
    assert len(set(hashes)) == len(hashes)


def test_input_hash_is_the_same_for_the_same_inputs():
    coords = np.random.default_rng(5).random((120, 2))
    printed = subprocess.run([sys.executable, "-c", HASH], check=True, capture_output=True, text=True).stdout.split()
    kernels = (Exponential(0.2), Exponential(0.2).__call__, Matern52(0.2))
    own = [vecchia.neighbors(coords, kernel=one, m=6, n_inducing=10).input_hash for one in kernels]
    assert own == printed
    with_int32 = vecchia.neighbors(coords, kernel=Matern52(0.2), m=6, n_inducing=10, dtype=np.int32)
    assert with_int32.input_hash == own[2]


def test_refusals(rng):
    coords = rng.random((50, 2))
    with pytest.raises(ValueError, match=r"^ordering: expected one of"):
        vecchia.neighbors(coords, kernel=Matern52(), m=3, ordering="best")
    with pytest.raises(ValueError, match=r"^ordering: expected every number"):
        vecchia.neighbors(coords, kernel=Matern52(), m=3, ordering=np.zeros(50, int))
    with pytest.raises(TypeError, match=r"^dtype"):
        vecchia.neighbors(coords, kernel=Matern52(), m=3, dtype=np.int16)
    with pytest.raises(ValueError, match=r"^points"):
        vecchia.ordering([[np.nan, 0.0]])


@pytest.mark.parametrize("inducing_points", ["random", "kmeans++", "cover-tree"])
def test_every_part_of_finding_neighbours_reports_its_share(monkeypatch, inducing_points):
    """Each call of the library that may take long has a report, whose shares follow those of the calls before."""
    shares, called, run = [], [], running.run

    def reporting(function, *arguments, report=None, **options):
        called.append(function.__name__)
        for share in (0.0, 1.0):
            report(share)
        return run(function, *arguments, **options)

    monkeypatch.setattr(running, "run", reporting)
    points = np.random.default_rng(0).random((2000, 2))
    vecchia.neighbors(points, kernel=RBF(), m=3, n_inducing=20, inducing_points=inducing_points, progress=shares.append)
    assert len(called) == 3 + {"random": 0, "kmeans++": 1, "cover-tree": 2}[inducing_points]
    assert len(set(called)) == len(called)
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0, 1)
    with pytest.raises(TypeError, match="progress"):
        vecchia.neighbors(points, kernel=RBF(), m=3, progress=3)

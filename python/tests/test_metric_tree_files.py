"""Files and pickles of cover trees by a metric of the caller."""

from __future__ import annotations

import copy
import pickle

import file_reader
import numpy as np
import pytest
from scipy.spatial.distance import cdist
from test_metric_tree import brute, check_all, edit_blocks, jaccard, words

import covertreex
from covertreex import CoverTreeError, MetricTree
from covertreex._capi.callbacks import CompiledMetric

POINTS = np.random.default_rng(0).random((400, 3))
TABLE = cdist(POINTS, POINTS)


class Counted:
    """A metric that counts its evaluations."""

    def __init__(self, metric):
        self.metric, self.evaluations = metric, 0

    def __call__(self, X, Y):
        found = np.asarray(self.metric(X, Y))
        self.evaluations += found.size
        return found


def table(i, j):
    return TABLE[i, j]


def same(one, other):
    assert type(other) is MetricTree
    assert (len(one), one.dim, one.order) == (len(other), other.dim, other.order)
    np.testing.assert_array_equal(one.indices, other.indices)
    for name in ("order", "levels", "parents", "radius", "subtree_end", "points", "removed"):
        np.testing.assert_array_equal(getattr(one.export_arrays(), name), getattr(other.export_arrays(), name))
    for mine, theirs in zip(one.knn(5, return_distances=True), other.knn(5, return_distances=True)):
        np.testing.assert_array_equal(mine, theirs)


def changed(tree, more, gone):
    tree.insert(more)
    tree.remove(gone)
    return tree


@pytest.mark.parametrize("n", [1, 2, 50, 400])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("mmap", [True, False])
def test_vectors(tmp_path, n, dtype, mmap):
    points = POINTS[:n].astype(dtype)
    tree = MetricTree(points, cdist, order="random", seed=5)
    tree.save(tmp_path / "tree")
    metric = Counted(cdist)
    opened = covertreex.load(tmp_path / "tree", metric=metric, mmap=mmap, points=points)
    assert metric.evaluations == opened.stats().cover.distance_evaluations <= 32
    same(tree, opened)
    opened.validate()
    # It can be changed as the tree that was saved.
    for one in (tree, opened):
        changed(one, points[: n // 2 + 1] + dtype(0.25), [0])
    same(tree, opened)
    check_all_of(opened)


def check_all_of(tree):
    points = tree._points(tree.indices)
    inner = np.full((len(points), tree._info().next_index), np.inf)
    inner[:, tree.indices] = cdist(points, points)
    np.testing.assert_array_equal(tree.knn(4), brute(inner, 4, np.isfinite(inner))[0])


def test_removed_points(tmp_path):
    tree = changed(MetricTree(POINTS, cdist), POINTS[:30] * 2, np.arange(3, 90))
    assert tree.export_arrays().removed is not None
    tree.save(tmp_path / "tree")
    opened = covertreex.load(tmp_path / "tree", metric=cdist)
    for other in (opened, pickle.loads(pickle.dumps(tree)), copy.deepcopy(tree)):
        same(tree, other)
        other.validate()
        check_all_of(other)
    # Pivots stay when their objects are gone, and when the tree was built again without them.
    for one in (tree, opened):
        one.remove(one.indices[:200])
    same(tree, opened)
    tree.save(tmp_path / "fewer")
    same(tree, covertreex.load(tmp_path / "fewer", metric=cdist))
    tree.remove(tree.indices)
    tree.save(tmp_path / "none")
    opened = covertreex.load(tmp_path / "none", metric=cdist)
    assert len(opened) == 0
    opened.insert(POINTS[:9])
    check_all_of(opened)


def test_numbers(tmp_path):
    shuffled = np.random.default_rng(1).permutation(400)
    tree = MetricTree(shuffled, table)
    tree.save(tmp_path / "tree")
    opened = covertreex.load(tmp_path / "tree", metric=table, points=shuffled)
    same(tree, opened)
    check_all(opened, TABLE[np.ix_(shuffled, shuffled)])
    same(tree, pickle.loads(pickle.dumps(tree)))
    with pytest.raises(CoverTreeError, match="points: the file was saved from other points"):
        covertreex.load(tmp_path / "tree", metric=table, points=range(400))


def test_objects(tmp_path):
    listed, more = words(90), words(40, seed=2)
    for made, metric, objects in (
        (changed(MetricTree(listed, edit_blocks), more, range(20, 40)), edit_blocks, listed + more),
        (MetricTree([set(word) for word in listed], jaccard), jaccard, [set(word) for word in listed]),
    ):
        made.save(tmp_path / "tree")
        counted = Counted(metric)
        opened = covertreex.load(tmp_path / "tree", metric=counted, points=objects)
        assert counted.evaluations <= 32
        for other in (opened, pickle.loads(pickle.dumps(made)), copy.copy(made), copy.deepcopy(made)):
            same(made, other)
            other.validate()
            first = other.insert(objects[:3])[0]
            assert other.knn(1, queries=objects[:1], filter=[first])[0, 0] == first
    with pytest.raises(
        ValueError, match="points: expected a list of the objects of the tree, which are not in its file"
    ):
        covertreex.load(tmp_path / "tree", metric=jaccard)
    with pytest.raises(ValueError, match="points: expected 90 objects, one for each dataset index, got 89"):
        covertreex.load(tmp_path / "tree", metric=jaccard, points=[set(word) for word in listed[1:]])
    with pytest.raises(ValueError, match=r"metric: expected the one of the file, by which d\(\d+, \d+\)"):
        covertreex.load(tmp_path / "tree", metric=jaccard, points=[set(word) for word in listed[::-1]])


def test_a_failed_insertion_does_not_shift_objects(tmp_path):
    def metric(X, Y):
        if "wrong" in (*X, *Y):
            raise ZeroDivisionError("wrong")
        return edit_blocks(X, Y)

    listed, more = words(100), words(40, seed=3)
    tree = MetricTree(listed, metric)
    with pytest.raises(ZeroDivisionError):
        tree.insert([*more[:20], "wrong"])
    tree.insert(more)
    tree.save(tmp_path / "tree")
    opened = covertreex.load(tmp_path / "tree", metric=metric, points=listed + more)
    same(tree, opened)
    same(tree, copy.copy(tree))


def test_compiled_metrics(tmp_path):
    numba = pytest.importorskip("covertreex.numba")
    metric = numba.metric(lambda x, y: np.abs(x - y).sum())
    single = CompiledMetric(metric.address, np.dtype(np.float32))
    tree = MetricTree(POINTS, metric)
    tree.save(tmp_path / "tree")
    opened = covertreex.load(tmp_path / "tree", metric=metric)
    same(tree, opened)
    same(tree, covertreex.load(tmp_path / "tree", metric=lambda X, Y: cdist(X, Y, "cityblock")))
    with pytest.raises(ValueError, match="metric: expected a function of float64 for this file, got one of float32"):
        covertreex.load(tmp_path / "tree", metric=single)


OTHERS = {
    "squares": lambda X, Y: cdist(X, Y) ** 2,
    "manhattan": lambda X, Y: cdist(X, Y, "cityblock"),
    "scaled": lambda X, Y: cdist(X, Y) * 1.001,
    "weighted": lambda X, Y: cdist(X, Y, "minkowski", p=2, w=[1, 1, 1.01]),
    "zero": lambda X, Y: np.zeros((len(X), len(Y))),
}


@pytest.mark.parametrize("n", [10, 400])
@pytest.mark.parametrize("name", OTHERS)
def test_another_metric_is_refused(tmp_path, n, name):
    MetricTree(POINTS[:n], cdist).save(tmp_path / "tree")
    with pytest.raises(ValueError, match=r"metric: expected the one of the file, by which d\(\d+, \d+\) = .*, got"):
        covertreex.load(tmp_path / "tree", metric=OTHERS[name])


@pytest.mark.parametrize("scale", [1e-200, 1.0, 1e100])
def test_roundings_of_a_metric_are_accepted(tmp_path, scale):
    MetricTree(POINTS * scale, cdist).save(tmp_path / "tree")

    def rounded(X, Y):
        return cdist(X, Y) * np.float64(1 + 2.0**-20)

    assert len(covertreex.load(tmp_path / "tree", metric=rounded)) == 400


def test_wrong_calls(tmp_path):
    tree = MetricTree(POINTS, cdist)
    tree.save(tmp_path / "tree")
    covertreex.cover_tree(POINTS).save(tmp_path / "plain")
    for wrong, error, message in (
        ({}, ValueError, "metric: expected the function of the tree, which is not in its file"),
        ({"metric": 3}, TypeError, "metric: expected a function, got 3"),
        ({"metric": cdist, "engine": "native"}, ValueError, "engine: expected only with a metric of the library"),
        ({"metric": cdist, "points": POINTS[::-1]}, CoverTreeError, "points: the file was saved from other points"),
        ({"metric": lambda X, Y: 1 / 0}, ZeroDivisionError, "division by zero"),
        ({"metric": lambda X, Y: np.full((len(X), len(Y)), np.nan)}, ValueError, "metric: expected finite numbers"),
    ):
        with pytest.raises(error, match=message):
            covertreex.load(tmp_path / "tree", **wrong)
    with pytest.raises(ValueError, match="metric: expected only with a tree of a metric of your own"):
        covertreex.load(tmp_path / "plain", metric=cdist)
    # What cannot be pickled is named by pickle.
    local = MetricTree(POINTS, lambda X, Y: cdist(X, Y, "cityblock"))
    with pytest.raises((pickle.PicklingError, AttributeError), match="lambda"):
        pickle.dumps(local)


def test_damage_is_found(tmp_path):
    """A file in which one number is another one is refused, or it does no harm."""
    path = tmp_path / "tree"
    changed(MetricTree(POINTS[:70], cdist), POINTS[70:80], [1, 2]).save(path)
    good, rng = path.read_bytes(), np.random.default_rng(6)
    for _ in range(60):
        bad = bytearray(good)
        bad[rng.integers(len(bad))] ^= 1 << rng.integers(8)
        path.write_bytes(bad)
        with pytest.raises((CoverTreeError, ValueError, OSError)):
            covertreex.load(path, metric=cdist)


def test_the_format_is_as_described(tmp_path):
    tree = changed(MetricTree(POINTS[:70], cdist), POINTS[70:80], [1, 2])
    tree.save(tmp_path / "tree")
    file, arrays = file_reader.read((tmp_path / "tree").read_bytes()), tree.export_arrays()
    assert file.kind == 6
    assert file.input_hash == file_reader.points_hash(POINTS[tree.indices], tree.indices)
    settings = file.sections["settings"].reshape(-1)
    columns = int(settings[5])
    np.testing.assert_array_equal(settings[:6], [3, 80, 0, 0, 2, 8])
    pivots = file.sections["pivots.indices"].reshape(-1)
    np.testing.assert_array_equal(file.sections["objects"], POINTS[arrays.order])
    np.testing.assert_array_equal(file.sections["pivots.objects"], POINTS[pivots])
    embedding = np.zeros((80, columns))
    embedding[:, : len(pivots)] = cdist(POINTS[arrays.order], POINTS[pivots])
    np.testing.assert_array_equal(file.sections["embedding"], embedding)
    apart = cdist(arrays.points, arrays.points)
    np.testing.assert_array_equal(
        file.sections["parent_distance"].reshape(-1)[1:], apart[np.arange(1, 80), arrays.parents[1:]]
    )
    reach = [np.abs(embedding[t] - embedding[t : arrays.subtree_end[t]]).max() for t in range(80)]
    np.testing.assert_array_equal(file.sections["reach"].reshape(-1), reach)
    for name in ("order", "levels", "parents", "radius", "subtree_end", "removed"):
        np.testing.assert_array_equal(file.sections[name].reshape(-1), getattr(arrays, name))


def test_hostile_numbers_do_no_harm(tmp_path):
    """Checksums are right, and numbers are wrong: the file is refused, or calls end."""
    path = tmp_path / "tree"
    changed(MetricTree(POINTS[:70], cdist), POINTS[70:80], [1, 2]).save(path)
    good = file_reader.read(path.read_bytes())
    rng, refused = np.random.default_rng(7), 0
    for name, array in good.sections.items():
        for value in (-1, 0, 1, 2**31 - 1, np.nan, 1e300):
            wrong = array.copy()
            if wrong.dtype.kind != "f" and not abs(value) < 2**32:
                continue
            wrong.reshape(-1)[rng.integers(wrong.size)] = np.uint8(value & 255) if wrong.dtype == np.uint8 else value
            sections = {**good.sections, name: wrong}
            path.write_bytes(file_reader.write(file_reader.File(good.kind, good.input_hash, sections)))
            try:
                opened = covertreex.load(path, metric=cdist)
            except (CoverTreeError, ValueError):
                refused += 1
                continue
            opened.knn(3)
            opened.radius(0.2)
            opened.insert(POINTS[:5])
            opened.remove(opened.indices[:3])
    assert refused > 40

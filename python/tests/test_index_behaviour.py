"""Vector indexes: threads, ended calls, forks, and input that is refused."""

import os
import threading
import uuid

import numpy as np
import pytest
from index_oracle import ALL, EXACT, clustered, recall, sample, truth

import covertreex
from covertreex.indexes import HNSW, LSH, BruteForce, KDTree

# Threads


@pytest.mark.parametrize("kind", ALL)
def test_threads_add_remove_and_search_at_once(kind):
    vectors = clustered(4000, 16)
    index = kind(16)
    index.add(None, vectors[:500])
    failures = []
    done = threading.Event()

    def guarded(work):
        try:
            work()
        except BaseException as error:
            failures.append(error)

    def read():
        while not done.is_set():
            ids, distances = index.knn(5, queries=vectors[:40])
            assert ((ids >= 0) & (ids < 4000)).all() and (np.diff(distances) >= 0).all()
            index.radius(0.5, queries=vectors[:3])
            assert 0 in index

    def write(start):
        for first in range(start, 4000, 200):
            index.add(np.arange(first, first + 100), vectors[first : first + 100])
        index.remove(np.arange(start, start + 50))

    readers = [threading.Thread(target=guarded, args=(read,)) for _ in range(3)]
    writers = [threading.Thread(target=guarded, args=(lambda start=start: write(start),)) for start in (500, 600)]
    for thread in readers + writers:
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    for thread in readers:
        thread.join()
    assert not failures
    assert len(index) == 3900
    left = np.setdiff1d(np.arange(4000), np.r_[500:550, 600:650])
    found = index.knn(1, queries=vectors[left])[0][:, 0]
    assert (found == left).mean() > (0.999 if kind in EXACT else 0.97)


def test_a_callback_that_changes_its_own_index_gets_an_error():
    index = BruteForce(8)
    index.add(None, sample(20_000, 8))
    errors = []

    def report(_):
        try:
            index.remove([1])
        except covertreex.CoverTreeError as error:
            errors.append(str(error))

    index.knn(10, queries=sample(30_000, 8, 1), n_threads=1, progress=report)
    assert all("callback" in error for error in errors)


def test_a_cancelled_addition_leaves_the_index_as_it_was():
    vectors = clustered(20_000, 64)
    for kind in (HNSW, LSH):
        index = kind(64)
        index.add(None, vectors[:1000])
        before = index.knn(10, queries=vectors[:50])[0]

        def stop(share):
            raise RuntimeError("enough")

        try:
            index.add(None, vectors[1000:], progress=stop)
        except RuntimeError:
            assert len(index) == 1000
            assert recall(index.knn(10, queries=vectors[:50])[0], before) > 0.97
            index.add(None, vectors[1000:3000])
        assert recall(index.knn(10, queries=vectors[:50])[0], truth(vectors[: len(index)], vectors[:50], 10)) > 0.85


def test_an_update_raises_the_error_of_its_report():
    vectors = clustered(5000, 32)
    index = HNSW(32)
    index.add(None, vectors)

    def stop(share):
        raise IndexError("of the report")

    with pytest.raises(IndexError, match="of the report"):
        index.update(np.arange(5000), -vectors, progress=stop)
    with pytest.raises(KeyError, match="5000"):
        index.update(5000, vectors[0])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_after_fork():
    vectors = clustered(3000, 16)
    index = HNSW(16)
    index.add(None, vectors)
    expected = index.knn(5, queries=vectors[:100])[0]
    child = os.fork()
    if child == 0:
        same = (index.knn(5, queries=vectors[:100])[0] == expected).all()
        index.add(None, vectors[:10] + 1)
        os._exit(0 if same and len(index) == 3010 else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert len(index) == 3000


# Input


@pytest.mark.parametrize("kind", ALL)
def test_bad_input_is_named_and_changes_nothing(kind):
    index = kind(4)
    index.add([5, 6], sample(2, 4))
    bad = sample(3, 4)
    bad[1, 2] = np.nan
    cases = [
        (lambda: index.add(None, bad), ValueError, r"vectors\[1, 2\]"),
        (lambda: index.add(None, np.full((1, 4), np.inf)), ValueError, r"vectors\[0, 0\]"),
        (lambda: index.add(None, np.full((1, 4), 1e20)), ValueError, "rescale"),
        (lambda: index.add(None, sample(2, 3)), ValueError, "4 columns, got 3"),
        (lambda: index.add([7, 7], sample(2, 4)), ValueError, "7"),
        (lambda: index.add([7, 6], sample(2, 4)), ValueError, r"ids\[1\].*6"),
        (lambda: index.add([7], sample(2, 4)), ValueError, "expected 2"),
        (lambda: index.add(["a", 5], sample(2, 4)), ValueError, "already has a vector 5"),
        (lambda: index.add([1.5], sample(1, 4)), TypeError, "ids"),
        (lambda: index.remove([5, 9]), KeyError, "9"),
        (lambda: index.remove([5, 5]), ValueError, "twice"),
        (lambda: index.update([5, 9], sample(2, 4)), KeyError, "9"),
        (lambda: index.update([5], bad[1:2]), ValueError, r"vectors\[0, 2\]"),
        (lambda: index.get(9), KeyError, "9"),
        (lambda: index.knn(1, queries=bad), ValueError, r"queries\[1, 2\]"),
        (lambda: index.knn(1, queries=sample(1, 5)), ValueError, "queries"),
        (lambda: index.knn(0, queries=sample(1, 4)), ValueError, "k"),
        (lambda: index.knn(2**62, queries=sample(1, 4)), (ValueError, MemoryError), None),
        (lambda: index.knn_one(1, query=sample(1, 4)), ValueError, "query"),
        (lambda: index.knn(1, queries=sample(1, 4), filter=[5.0]), TypeError, "filter: .*got 5.0"),
        (lambda: index.knn(1, queries=sample(1, 4), nonsense=3), TypeError, "nonsense"),
        (lambda: index.radius(-1.0, queries=sample(1, 4)), ValueError, "r: "),
        (lambda: index.radius(float("nan"), queries=sample(1, 4)), ValueError, "r: "),
    ]
    for call, error, message in cases:
        with pytest.raises(error, match=message):
            call()
        assert index.ids.tolist() == [5, 6]
    assert index.add(None, sample(2, 4)).tolist() == [7, 8]
    index.close()
    with pytest.raises(ValueError, match="index: is closed"):
        index.knn(1, queries=sample(1, 4))


def test_options_out_of_range_are_named():
    for make, message in [
        (lambda: HNSW(0), "dim"),
        (lambda: HNSW(4, m=1), "m: "),
        (lambda: HNSW(4, metric="hamming"), "metric"),
        (lambda: HNSW(4, storage="bit"), "storage"),
        (lambda: KDTree(4, metric="ip"), "metric"),
        (lambda: KDTree(4, split="random"), "split"),
        (lambda: LSH(4, mode="tables", n_bits=25), "n_bits"),
        (lambda: LSH(4, mode="tables", n_bits=24, n_tables=200), "n_tables"),
        (lambda: BruteForce(70_000), "70000"),
    ]:
        with pytest.raises(ValueError, match=message):
            make()


@pytest.mark.parametrize("kind", ALL)
def test_zero_vectors_have_no_cosine(kind):
    index = kind(3, metric="cosine")
    with pytest.raises(ValueError, match=r"vectors\[1\].*zero"):
        index.add(None, np.array([[1, 0, 0], [0, 0, 0]], np.float32))
    assert len(index) == 0
    index.add(None, np.eye(3, dtype=np.float32) * 4)
    with pytest.raises(ValueError, match=r"queries\[0\].*zero"):
        index.knn(1, queries=np.zeros((1, 3)))
    assert index.get(1).tolist() == [0, 1, 0]


def test_halves_that_are_too_large_are_refused():
    index = HNSW(2, storage="float16")
    with pytest.raises(ValueError, match="65504"):
        index.add(None, [[70_000.0, 0]])


@pytest.mark.parametrize("kind", ALL)
def test_empty_indexes(kind):
    index = kind(5)
    ids, distances = index.knn(2, queries=sample(3, 5))
    assert (ids == -1).all() and np.isinf(distances).all()
    assert index.knn_one(2, query=sample(1, 5)[0])[0].tolist() == []
    assert index.radius(3.0, queries=sample(2, 5)).offsets.tolist() == [0, 0, 0]
    assert index.ids.tolist() == [] and len(index) == 0 and 3 not in index
    index.remove([])
    index.rebuild()
    index.clear()
    assert index.knn(2, queries=np.empty((0, 5)))[0].shape == (0, 2)
    index.add(None, np.empty((0, 5)))
    assert len(index) == 0


def test_ids_of_all_kinds():
    index = HNSW(3)
    ids = [uuid.uuid4() for _ in range(5)]
    assert index.add(ids, sample(5, 3)).tolist() == ids
    assert index.add("text", sample(1, 3)[0]).tolist() == ["text"]
    index.add([("a", 1)], sample(1, 3, 4))
    assert index.knn(1, queries=index.get(ids[3])[None])[0].tolist() == [[ids[3]]]
    assert index.knn(9, queries=sample(1, 3))[0][0, -1] is None
    assert index.knn(2, queries=sample(1, 3), filter={ids[0], "unknown"})[0].tolist() == [[ids[0], None]]
    assert ("a", 1) in index and "b" not in index and None not in index
    with pytest.raises(TypeError, match="hashable"):
        index.add([[1, 2]], sample(1, 3))
    with pytest.raises(ValueError, match="ids that are not numbers"):
        index.add(None, sample(1, 3))
    with pytest.raises(TypeError, match="written to a file"):
        index.save("/dev/null")
    index.remove([("a", 1)])
    index.clear()
    assert index.add(None, sample(2, 3)).tolist() == [0, 1]
    big = BruteForce(3)
    assert big.add([-(2**63), 2**63 - 3], sample(2, 3)).tolist() == [-(2**63), 2**63 - 3]
    assert big.add(None, sample(1, 3)).tolist() == [2**63 - 2]
    assert big.add([2**63 - 1], sample(1, 3, 1)).tolist() == [2**63 - 1]
    with pytest.raises(ValueError, match="no numbers are left"):
        big.add(None, sample(1, 3))


def test_stats_and_repr():
    index = LSH(6, n_bits=100)
    index.add(None, sample(300, 6))
    index.knn(2, queries=sample(5, 6))
    stats = index.stats()
    assert (stats.kind, stats.n_vectors, stats.dim, stats.metric) == ("LSH", 300, 6, "l2")
    assert stats.options["n_bits"] == 100 and stats.memory_bytes > 300 * 24 and stats.comparisons > 0
    assert repr(index) == "LSH(n_vectors=300, dim=6, metric='l2')"

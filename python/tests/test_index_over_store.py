"""Indexes over a store: the same answers as with copies, of rows that stay as they are for as long as they are read."""

import copy
import os
import pickle
import shutil
import subprocess
import sys
import tempfile
import textwrap
import threading
import uuid
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from index_oracle import ALL, METRICS, oracle, sample

from covertreex import CoverTreeError, VectorStore, indexes
from covertreex.compat import BruteForceIndex, HNSWIndex
from covertreex.indexes import HNSW, LSH, BruteForce, KDTree

DIM = 6


@pytest.fixture(params=["memory", "disk"])
def store(request, tmp_path):
    with VectorStore(DIM) if request.param == "memory" else VectorStore.open(tmp_path / "store", DIM) as made:
        yield made


COMBINATIONS = [
    (kind, metric, storage)
    for kind in ALL
    for metric in METRICS
    for storage in ("float32", "float16", "int8")
    if kind is not KDTree or (storage == "float32" and metric not in ("ip", "cosine"))
]


@pytest.mark.parametrize(("kind", "metric", "storage"), COMBINATIONS)
@pytest.mark.parametrize("dim", [3, 40])
def test_answers_are_those_of_an_index_with_copies(kind, metric, storage, dim):
    x, queries, rng = sample(700, dim), sample(60, dim, seed=1), np.random.default_rng(2)
    x[100:150] = x[:50]  # in one slot, and two of the index
    store = VectorStore(dim)
    store.add_batch([f"another {i}" for i in range(300)], sample(300, dim, seed=3))
    shuffled = rng.permutation(700)
    store.add_batch(shuffled, x[shuffled])
    assert store.n_unique == 300 + 650
    options = {} if kind is KDTree else {"storage": storage, "rerank": storage != "float32"}
    own, over = kind(dim, metric=metric, **options), kind(store, metric=metric, **options)
    assert over.store is store and own.store is None and over.dim == dim

    def agree():
        for part in (queries, queries[:1], queries[:20]):
            for a, b in zip(own.knn(7, queries=part), over.knn(7, queries=part)):
                np.testing.assert_array_equal(a, b)
        near = float(own.knn(3, queries=queries[:5])[1].max())
        for a, b in zip(own.radius(near, queries=queries[:5]), over.radius(near, queries=queries[:5])):
            np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(own.get(own.ids), over.get(over.ids))

    for first in (0, 400, 401):
        ids = np.arange(first, {0: 400, 400: 401, 401: 700}[first])
        own.add(ids, x[ids])
        np.testing.assert_array_equal(over.add(ids), ids)
    agree()
    gone = rng.choice(700, 300, replace=False)
    own.remove(gone)
    over.remove(gone)
    agree()
    own.add(gone[:100], x[gone[:100]])
    over.add(gone[:100])
    own.rebuild()
    over.rebuild()
    agree()
    if kind is HNSW:
        own.optimize()
        over.optimize()
        agree()


def test_vectors_are_not_copied():
    store = VectorStore(256)
    store.add_batch(range(4000), sample(4000, 256))
    row_bytes = 4000 * 256 * 4
    index = BruteForce(store)
    index.add()
    assert len(index) == 4000
    assert index.stats().memory_bytes < row_bytes / 10
    index = HNSW(store)
    index.add()
    assert index.stats().memory_bytes < row_bytes / 2  # links, and bytes that candidates are found by


def test_a_slot_that_an_index_reads_is_not_used_again(store):
    x = sample(40, DIM)
    store.add_batch(range(10), x[:10])
    index = BruteForce(store)
    index.add([3, 4])
    store.remove_batch(range(10))
    assert store.stats().n_free == 10
    slots = store.add_batch(range(20, 30), x[20:30])
    assert not set(slots) & {3, 4}
    np.testing.assert_array_equal(index.get([3, 4]), x[3:5])
    ids, distances = index.knn(1, queries=x[3:5])
    assert ids[:, 0].tolist() == [3, 4] and (distances == 0).all()
    # An equal vector that comes now is a vector of its own.
    assert store.add("again", x[3]) != 3
    index.remove([3, 4])
    index.close()
    assert set(store.add_batch([40, 41], x[30:32])) == {3, 4}
    store.check()


def test_a_slot_is_held_as_often_as_it_is_read(store):
    x = sample(10, DIM)
    store.add_batch([0, 1], [x[0], x[0]])
    first, second = BruteForce(store), HNSW(store)
    first.add([0, 1])
    second.add([1])
    store.remove_batch([0, 1])
    first.close()
    assert store.add(2, x[2]) == 1
    second.close()
    assert store.add(3, x[3]) == 0


def test_rows_that_an_index_forgets_are_unpinned(store):
    x = sample(300, DIM)
    store.add_batch(range(100), x[:100])
    index = HNSW(store)
    index.add()
    store.remove_batch(range(100))
    index.remove(range(60))  # enough that they are forgotten
    assert store.add_batch(range(100, 150), x[100:150]).max() < 60
    index.optimize()
    np.testing.assert_array_equal(index.get(range(60, 100)), x[60:100])
    assert not set(store.add_batch(range(200, 230), x[200:230])) & set(range(60, 100))
    index.clear()
    assert set(store.add_batch(range(300, 340), x[:40])) <= set(range(100))
    store.check()


def test_compacting_leaves_rows_that_are_read(tmp_path):
    with VectorStore.open(tmp_path / "store", 1024, sync="off") as store:
        x = sample(500, 1024)
        store.add_batch(range(500), x)
        index = BruteForce(store)
        index.add([5, 499])
        store.remove_batch(range(500))
        store.compact()
        assert store.stats().n_slots == 500
        np.testing.assert_array_equal(index.get([5, 499]), x[[5, 499]])
        index.close()
        store.compact()
        assert store.stats().n_slots == 0


def test_saved_without_vectors(store, tmp_path):
    x, queries = sample(2000, DIM), sample(50, DIM, seed=1)
    store.add_batch([f"name {i}" for i in range(2000)], x)
    for kind, metric in [(BruteForce, "cosine"), (KDTree, "l2"), (LSH, "ip"), (HNSW, "cosine")]:
        index = kind(store, metric=metric)
        index.add()
        index.remove([f"name {i}" for i in range(0, 2000, 9)])
        before = index.knn(5, queries=queries)
        path = tmp_path / f"{kind.__name__}.ct"
        index.save(path)
        np.testing.assert_array_equal(index.knn(5, queries=queries)[1], before[1])
        snapshot = tmp_path / f"{kind.__name__}.store"
        store.snapshot(snapshot)
        with VectorStore.open(snapshot, read_only=True) as copied:
            for other in (store, copied):
                for load in (indexes.load, kind.load):
                    with load(path, store=other) as loaded:
                        for a, b in zip(before, loaded.knn(5, queries=queries)):
                            np.testing.assert_array_equal(a, b)
        with kind.load(path, store=store) as loaded:
            store.add_batch([kind.__name__], queries[:1] + 1)
            loaded.add([kind.__name__])
            assert loaded.knn(1, queries=queries[:1] + 1, **({"n_candidates": 10**4} if kind is LSH else {}))[1].shape
            assert kind.__name__ in loaded
        with pytest.raises(ValueError, match="are in a store"):
            indexes.load(path)
        with pytest.raises(ValueError, match="coordinates"):
            indexes.load(path, store=VectorStore(DIM + 1))
        index.close()
    own = tmp_path / "own.ct"
    index = BruteForce(DIM)
    index.add(None, x)
    index.save(own)
    with pytest.raises(ValueError, match="has its own vectors"):
        indexes.load(own, store=store)


def test_a_store_that_has_changed_is_reported(tmp_path):
    x, path = sample(50, DIM), tmp_path / "index.ct"
    store = VectorStore.open(tmp_path / "store", DIM)
    store.add_batch(range(20), x[:20])
    index = BruteForce(store)
    index.add()
    store.remove(7)
    index.save(path)  # its row is still read
    index.close()
    store.close()
    store = VectorStore.open(tmp_path / "store")
    with pytest.raises(ValueError, match="slot 7 is free"):
        indexes.load(path, store=store)
    assert store.add(30, x[30]) == 7  # nothing was left held
    with pytest.raises(ValueError, match="slot 7 has another vector now"):
        indexes.load(path, store=store)
    store.remove(30)
    assert store.add(7, x[7]) == 7
    with indexes.load(path, store=store) as loaded:
        assert loaded.knn(1, queries=x[:20])[0][:, 0].tolist() == list(range(20))


def test_rejects_invalid_arguments(store):
    x = sample(20, DIM)
    store.add_batch(range(10), x[:10])
    store.add("zero", np.zeros(DIM))
    store.add("huge", np.full(DIM, 1e20))
    index, own = BruteForce(store, metric="cosine"), BruteForce(DIM)
    index.add([1])
    cases = [
        (lambda: index.add([2], x[:1]), TypeError, "add them there"),
        (lambda: index.add(2, x[0]), TypeError, "add them there"),
        (lambda: index.add([77]), KeyError, "the store has no vector 77"),
        (lambda: index.add(["x"]), KeyError, "no vector 'x'"),
        (lambda: index.add([1]), ValueError, "already has a vector 1"),
        (lambda: index.add([2, 2]), ValueError, "already has a vector 2"),
        (lambda: index.add([2, 3], slots=[2]), ValueError, "expected 1, one for each vector, got 2"),
        (lambda: index.add([2], slots=[99]), IndexError, "expected 0 to 11, got 99"),
        (lambda: index.add([2], slots=[-1]), IndexError, "got -1"),
        (lambda: index.add([2], slots=[2.5]), TypeError, "integers"),
        (lambda: index.add([5], slots=[store.slot("zero")]), ValueError, r"slots\[0\].*zero vector"),
        (lambda: index.add([5, 6], slots=[1, store.slot("huge")]), ValueError, r"slots\[1\].*beyond"),
        (lambda: index.update([2]), KeyError, "no vector 2"),
        (lambda: own.add([1]), TypeError, "not over a store"),
        (lambda: own.add([1], slots=[1]), TypeError, "not over a store"),
        (lambda: own.add([1], x[:1], slots=[1]), TypeError, "not over a store"),
        (lambda: KDTree(store, metric="cosine"), ValueError, "k-d tree over a store"),
        (lambda: pickle.dumps(index), TypeError, "save it"),
        (lambda: copy.copy(index), TypeError, "save it"),
    ]
    for call, error, message in cases:
        with pytest.raises(error, match=message):
            call()
        assert index.ids.tolist() == [1] and len(own) == 0
    store.remove_batch([*range(2, 10), "zero", "huge"])
    assert len(set(store.add_batch(range(50, 60), x[10:])) & set(range(2, 12))) == 10, "a failed call holds nothing"
    store.close()
    with pytest.raises(ValueError, match="store: is closed"):
        BruteForce(store)
    with pytest.raises(ValueError, match="store: is closed"):
        index.add([2])
    assert index.knn(1, queries=x[1:2])[0] == [[1]]


def test_ids_of_every_kind_and_slots_under_other_ids(store):
    x, one = sample(30, DIM), uuid.uuid4()
    store.add_batch([1, "two", one], x[:3])
    index = HNSW(store)
    assert index.add().tolist() == [1, "two", one]
    assert index.add().tolist() == []
    store.add_batch(["four", 5], x[3:5])
    assert sorted(map(str, index.add())) == ["5", "four"]
    found, _ = index.knn_one(1, query=x[1])
    assert found.tolist() == ["two"]
    other = BruteForce(store)
    assert other.add(slots=store.slots([1, "two"])).tolist() == [0, 1]
    assert other.add([10, 11], slots=[0, 0]).tolist() == [10, 11]
    assert other.knn(3, queries=x[:1])[0].tolist() == [[0, 10, 11]]


def test_updates_follow_the_store(store):
    x = sample(30, DIM)
    store.add_batch(range(10), x[:10])
    index = HNSW(store)
    index.add()
    store.remove(3)
    store.add(3, x[20])
    np.testing.assert_array_equal(index.get(3), x[3])
    index.update(3)
    np.testing.assert_array_equal(index.get(3), x[20])
    index.update([4, 5], slots=store.slots([5, 4]))
    np.testing.assert_array_equal(index.get([4, 5]), x[[5, 4]])


class Model(RuleBasedStateMachine):
    """Indexes over a store, against a dictionary of their vectors, while slots come and go."""

    @initialize(kind=st.sampled_from([BruteForce, KDTree, HNSW]), durable=st.booleans())
    def begin(self, kind, durable):
        self.folder = Path(tempfile.mkdtemp(prefix="covertree-over-"))
        self.kind = kind
        self.store = VectorStore.open(self.folder / "store", 3, sync="off") if durable else VectorStore(3)
        self.index = kind(self.store)
        self.there, self.indexed = {}, {}

    @rule(number=st.integers(0, 25), value=st.integers(0, 12))
    def add(self, number, value):
        if number not in self.there:
            row = np.array([value, value % 5, value % 3], np.float32)
            self.store.add(number, row)
            self.there[number] = row

    @rule(number=st.integers(0, 25))
    def remove(self, number):
        if number in self.there:
            self.store.remove(number)
            del self.there[number]

    @rule()
    def index_all(self):
        new = [one for one in self.there if one not in self.indexed]
        assert sorted(self.index.add()) == sorted(new)
        self.indexed.update({one: self.there[one] for one in new})

    @rule(numbers=st.sets(st.integers(0, 25), max_size=9))
    def leave(self, numbers):
        gone = [one for one in numbers if one in self.indexed]
        self.index.remove(gone)
        for one in gone:
            del self.indexed[one]

    @rule(number=st.integers(0, 25))
    def update(self, number):
        if number in self.indexed and number in self.there:
            self.index.update(number)
            self.indexed[number] = self.there[number]

    @rule()
    def look_after(self):
        self.store.compact()
        self.index.rebuild()

    @rule()
    def save_and_load(self):
        self.index.save(self.folder / "index.ct")
        gone = any(
            one not in self.there or self.there[one].tolist() != row.tolist() for one, row in self.indexed.items()
        )
        if not gone:
            self.index.close()
            self.index = self.kind.load(self.folder / "index.ct", store=self.store)

    @invariant()
    def agrees(self):
        if not hasattr(self, "store"):
            return
        assert sorted(self.index.ids) == sorted(self.indexed)
        for one, row in self.there.items():
            assert self.store.get(one).tolist() == row.tolist()
        if self.indexed:
            ids = list(self.indexed)
            rows = np.array([self.indexed[one] for one in ids])
            np.testing.assert_array_equal(self.index.get(ids), rows)
            query = np.array([[1.25, 2, 0.5]], np.float32)
            _, distances = self.index.knn(len(ids), queries=query)
            np.testing.assert_allclose(distances[0], np.sort(oracle(rows, query, "l2")[0]), rtol=1e-6)

    def teardown(self):
        if hasattr(self, "store"):
            self.store.check()
            self.index.close()
            self.store.close()
            shutil.rmtree(self.folder)


TestModel = Model.TestCase
TestModel.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)


def test_searches_while_the_store_changes(store):
    x = sample(2000, DIM)
    store.add_batch(range(500), x[:500])
    index = HNSW(store)
    index.add()
    expected, wrong, done = index.knn(3, queries=x[:50]), [], threading.Event()

    def search():
        while not done.is_set():
            if not all(np.array_equal(a, b) for a, b in zip(index.knn(3, queries=x[:50]), expected)):
                wrong.append(1)

    threads = [threading.Thread(target=search) for _ in range(2)]
    for thread in threads:
        thread.start()
    store.remove_batch(range(500))
    for first in range(500, 2000, 50):
        store.add_batch(range(first, first + 50), x[first : first + 50])
        store.remove_batch(range(first, first + 50))
        store.compact()
    done.set()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_store_is_open_for_as_long_as_it_is_read(tmp_path):
    x = sample(10, DIM)
    with VectorStore.open(tmp_path / "store", DIM) as store:
        store.add_batch(range(10), x)
        index = BruteForce(store)
        index.add()
    assert index.knn(1, queries=x[:1])[0] == [[0]]
    with pytest.raises(CoverTreeError, match="open for writing"):
        VectorStore.open(tmp_path / "store")
    index.close()
    VectorStore.open(tmp_path / "store").close()


def test_over_a_store_that_another_process_writes(tmp_path):
    x = sample(400, DIM)
    with VectorStore.open(tmp_path / "store", DIM, sync="off") as writer:
        writer.add_batch(range(200), x[:200])
        with VectorStore.open(tmp_path / "store", read_only=True) as reader:
            index = HNSW(reader)
            index.add()
            writer.remove_batch(range(100))
            writer.add_batch(range(200, 400), x[200:])
            np.testing.assert_array_equal(index.get(range(200)), x[:200])
            assert sorted(index.add()) == list(range(200, 400))
            assert index.knn(1, queries=x)[0][:, 0].tolist() == list(range(400))
            index.close()


def test_a_forked_child_has_to_open_the_store_again(tmp_path):
    body = """
        import os, sys, numpy as np
        from covertreex import CoverTreeError, VectorStore
        from covertreex.indexes import BruteForce
        for path in (None, sys.argv[1]):
            store = VectorStore(2) if path is None else VectorStore.open(path, 2)
            store.add(1, [3, 4])
            index = BruteForce(store)
            index.add()
            if not os.fork():
                try:
                    print(index.knn(1, queries=[[0, 0]]), flush=True)
                except CoverTreeError as error:
                    print(error, flush=True)
                os._exit(0)
            os.wait()
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(body), str(tmp_path / "store")],
        capture_output=True,
        text=True,
        check=True,
    )
    memory, disk = done.stdout.splitlines()
    assert "[[1]]" in memory and "5." in memory
    assert "forked" in disk


def test_by_the_names_of_older_systems(store):
    x = sample(40, DIM)
    store.add_batch(range(40), x)
    for kind in (BruteForceIndex, HNSWIndex):
        index = kind(store)
        for slot in range(30):
            index.add_vector(f"v{slot}", slot)
        assert [one for one, _ in index.search(x[7], 1)] == ["v7"]
        assert index.remove_vector("v7") and index.size == 29
        index.rebuild()
        assert [one for one, _ in index.search(x[8], 1)] == ["v8"]


COLD = """
    import sys, numpy as np
    from covertreex import VectorStore
    from covertreex.indexes import BruteForce

    def anonymous():
        lines = open("/proc/self/status").read().splitlines()
        return int(next(line for line in lines if line.startswith("RssAnon")).split()[1]) * 1024

    store = VectorStore.open(sys.argv[1], read_only=True)
    index = BruteForce(store)
    before = anonymous()
    index.add()
    queries = np.load(sys.argv[2])
    for part in (queries, queries[:1]):
        ids, distances = index.knn(5, queries=part)
        print(*ids.ravel())
    print(anonymous() - before)
"""


def test_a_search_in_less_memory_than_the_vectors_need(tmp_path):
    """In a group of processes that may have less, where such a group can be made."""
    n, dim = 120_000, 384
    row_bytes = n * dim * 4
    rng = np.random.default_rng(0)
    with VectorStore.open(tmp_path / "store", dim, sync="off") as store:
        for first in range(0, n, 20_000):
            store.add_batch(range(first, first + 20_000), rng.standard_normal((20_000, dim), dtype=np.float32))
        wanted = [3, n // 2, n - 1]
        queries = np.repeat(store.get_batch(store.slots(wanted)), 20, axis=0) + 0.001
    np.save(tmp_path / "queries.npy", queries)
    group = memory_group(int(row_bytes * 0.85))
    try:
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(COLD), str(tmp_path / "store"), str(tmp_path / "queries.npy")],
            capture_output=True, text=True, check=False,
            preexec_fn=(lambda: (group / "cgroup.procs").write_text(str(os.getpid()))) if group else None,
        )  # fmt: skip
    finally:
        if group:
            group.rmdir()
    assert done.returncode == 0, done.stderr
    batch, single, grown = done.stdout.splitlines()
    assert np.array(batch.split(), int).reshape(60, 5)[:, 0].tolist() == np.repeat(wanted, 20).tolist()
    assert single.split()[0] == "3"
    assert int(grown) < row_bytes / 2


def memory_group(limit):
    """A control group of this many bytes; None if it cannot be made."""
    own = next(
        (line.split(":")[2] for line in Path("/proc/self/cgroup").read_text().splitlines() if ":memory:" in line), ""
    )
    path = Path(f"/sys/fs/cgroup/memory{own}/covertree-{os.getpid()}")
    try:
        path.mkdir()
        (path / "memory.limit_in_bytes").write_text(str(limit))
    except OSError:
        if path.exists():
            path.rmdir()
        return None
    return path

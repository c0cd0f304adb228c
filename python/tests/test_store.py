"""The vector store against a dictionary, in memory and on disk; its arguments and its errors."""

import shutil
import tempfile
import threading
import uuid
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import covertreex
from covertreex import CoverTreeError, VectorStore

DIM = 5


def vectors(n, dim=DIM, seed=0):
    return np.random.default_rng(seed).standard_normal((n, dim)).astype(np.float32)


@pytest.fixture(params=["memory", "disk"])
def store(request, tmp_path):
    with VectorStore(DIM) if request.param == "memory" else VectorStore.open(tmp_path / "store", DIM) as made:
        yield made


def an_id(number):
    """A few ids of every kind."""
    return [number, -number - 1, f"name {number}", uuid.UUID(int=number)][number % 4]


class Model(RuleBasedStateMachine):
    """A store on disk and one in memory do what a dictionary does."""

    @initialize()
    def begin(self):
        self.folder = Path(tempfile.mkdtemp(prefix="covertree-store-"))
        self.path = self.folder / "store"
        self.stores = [VectorStore(DIM), VectorStore.open(self.path, DIM, sync="off")]
        self.model = {}

    def vector(self, number):
        values = np.full(DIM, number, np.float32)
        values[1] = -0.0 if number % 2 else 0.0
        return values

    @rule(number=st.integers(0, 30), value=st.integers(0, 6))
    def add(self, number, value):
        one, vector = an_id(number), self.vector(value)
        for store in self.stores:
            if one in self.model:
                with pytest.raises(ValueError, match="already has a vector"):
                    store.add(one, vector)
            else:
                assert store.get_slot(store.add(one, vector)).tolist() == vector.tolist()
        self.model.setdefault(one, vector)

    @rule(numbers=st.lists(st.integers(0, 30), max_size=12), value=st.integers(0, 4))
    def add_several(self, numbers, value):
        ids = [an_id(number) for number in numbers]
        rows = np.array([self.vector(value + number % 5) for number in numbers]).reshape(-1, DIM)
        is_new = len(set(ids)) == len(ids) and not any(one in self.model for one in ids)
        for store in self.stores:
            if is_new:
                slots = store.add_batch(ids, rows)
                assert store.get_batch(slots).tolist() == rows.tolist()
            else:
                with pytest.raises(ValueError, match="already has a vector"):
                    store.add_batch(ids, rows)
        if is_new:
            self.model.update(zip(ids, rows))

    @rule(numbers=st.lists(st.integers(0, 30), max_size=6))
    def remove(self, numbers):
        ids = [an_id(number) for number in numbers]
        are_there = len(set(ids)) == len(ids) and all(one in self.model for one in ids)
        for store in self.stores:
            if are_there:
                store.remove_batch(ids)
            else:
                with pytest.raises(KeyError):
                    store.remove_batch(ids)
        if are_there:
            for one in ids:
                del self.model[one]

    @rule()
    def reopen(self):
        self.stores[1].close()
        self.stores[1] = VectorStore.open(self.path, sync="off")

    @rule()
    def compact(self):
        for store in self.stores:
            store.compact()

    @precondition(lambda self: self.model)
    @rule()
    def copy(self):
        for store in self.stores:
            path = self.folder / uuid.uuid4().hex
            store.snapshot(path)
            with VectorStore.open(path, read_only=True) as copy:
                copy.check()
                self.compare(copy)

    def compare(self, store):
        unique = {vector.tobytes() for vector in (row + 0.0 for row in self.model.values())}
        assert (len(store), store.n_unique) == (len(self.model), len(unique))
        found = dict(store.items())
        assert found.keys() == self.model.keys()
        for one, vector in self.model.items():
            assert one in store
            assert store.slot(one) == found[one]
            assert store.get(one).tolist() == vector.tolist()
            assert store.n_owners(found[one]) == sum(slot == found[one] for slot in found.values())

    @invariant()
    def agrees(self):
        if hasattr(self, "stores"):
            for store in self.stores:
                self.compare(store)

    def teardown(self):
        for store in getattr(self, "stores", []):
            store.check()
            store.close()
        if hasattr(self, "folder"):
            shutil.rmtree(self.folder)


TestModel = Model.TestCase
TestModel.settings = settings(max_examples=30, stateful_step_count=25, deadline=None)


def test_equal_vectors_share_a_slot(store):
    rows = np.repeat(vectors(100), 3, axis=0)
    slots = store.add_batch(range(300), rows)
    assert store.n_unique == 100
    assert (slots.reshape(100, 3) == np.arange(100)[:, None]).all()
    assert store.n_owners(7) == 3
    for number in range(3):
        store.remove(number)
    assert store.n_owners(0) == 0
    with pytest.raises(IndexError, match="slot: 0 is free"):
        store.get_slot(0)
    assert store.add("new", vectors(1, seed=9)[0]) == 0
    store.check()


@pytest.mark.parametrize("n_threads", [1, 2, 7])
def test_slots_do_not_depend_on_threads(store, n_threads):
    rng = np.random.default_rng(0)
    values = rng.integers(0, 3000, 9000)
    rows = vectors(3000)[values]
    before = covertreex.get_num_threads()
    try:
        covertreex.set_num_threads(n_threads)
        slots = store.add_batch(range(9000), rows)
        # Slots are given in the order in which vectors come first.
        _, first, inverse = np.unique(values, return_index=True, return_inverse=True)
        rank = np.empty(len(first), int)
        rank[np.argsort(first)] = np.arange(len(first))
        assert (slots == rank[inverse]).all()
        assert store.get_batch(slots).tolist() == rows.tolist()
        assert (store.add_batch(range(10_000, 19_000), rows[::-1]) == slots[::-1]).all()
        store.check()
    finally:
        covertreex.set_num_threads(before)


def test_a_batch_fails_as_a_whole(store):
    rows = vectors(5000)
    store.add_batch(range(100), rows[:100])
    ids = list(range(100, 5000))
    strange = rows[100:].copy()
    strange[3210, 2], strange[4000, 1] = np.nan, np.inf
    for given, added, message in [
        (ids, strange, r"vectors\[3210, 2\].*nan"),
        ([*ids[:4000], ids[7], *ids[4001:]], rows[100:], r"ids\[4000\].*107"),
        ([*ids[:4000], 5, *ids[4001:]], rows[100:], r"ids\[4000\].*vector 5"),
        ([*ids[:4000], 2**63, *ids[4001:]], rows[100:], "9223372036854775808 does not fit an int64"),
    ]:
        with pytest.raises(ValueError, match=message):
            store.add_batch(given, added)
        assert len(store) == store.n_unique == store.stats().n_slots == 100
        assert list(store) == list(range(100))
    assert store.add_batch(ids, rows[100:]).tolist() == ids
    assert store.get_batch(range(5000)).tolist() == rows.tolist()
    store.check()


def test_a_batch_that_fails_leaves_the_file_as_it_was(tmp_path):
    """An id that replaced a removed one is rolled back, and its slot stays: the file has it."""
    path = tmp_path / "store"
    vector = np.ones((1, 4), np.float32)
    with VectorStore.open(path, 4) as store:
        store.add_batch([0, 1], vector.repeat(2, 0))
        store.remove(1)
        with pytest.raises(ValueError, match="already"):
            store.add_batch([1, 0], vector.repeat(2, 0))
        store.add_batch([], vector[:0])
    with VectorStore.open(path) as store:
        store.check()
        assert list(store) == [0]


def test_slots_of_living_vectors_never_move(store):
    rows = vectors(3000)
    slots = store.add_batch(range(3000), rows)
    views = [store.get(number) for number in range(0, 3000, 7)]
    addresses = [view.ctypes.data for view in views]
    store.remove_batch(number for number in range(3000) if number % 7)
    store.add_batch([f"more {i}" for i in range(20_000)], vectors(20_000, seed=1))
    assert [store.get(number).ctypes.data for number in range(0, 3000, 7)] == addresses
    assert [view.tolist() for view in views] == rows[::7].tolist()
    assert (store.slots(range(0, 3000, 7)) == slots[::7]).all()
    assert all(address % 64 == 0 for address in addresses)


def test_a_batch_is_a_view_where_slots_follow_each_other(store):
    rows = vectors(50)
    slots = store.add_batch(range(50), rows)
    part = store.get_batch(slots[10:20])
    assert part.base is not None and not part.flags.writeable
    assert np.shares_memory(part, store.get(12))
    assert part.tolist() == rows[10:20].tolist()
    mixed = store.get_batch(slots[::-1])
    assert not np.shares_memory(mixed, store.get(12))
    assert mixed.tolist() == rows[::-1].tolist()
    assert store.get_batch(np.empty(0, np.int64)).shape == (0, DIM)


def test_views_outlive_the_store(tmp_path):
    for store in (VectorStore(DIM), VectorStore.open(tmp_path / "store", DIM)):
        row = vectors(1)[0]
        store.add(1, row)
        view = store.get(1)
        store.close()
        del store
        assert view.tolist() == row.tolist()
        assert not view.flags.writeable


def test_rejects_invalid_arguments(store):
    row = np.ones(DIM, np.float32)
    store.add(1, row)
    cases = [
        (lambda: store.add(1, row), ValueError, r"already has a vector 1"),
        (lambda: store.add(2, np.r_[row[1:], np.nan]), ValueError, rf"vector\[{DIM - 1}\].*nan"),
        (lambda: store.add(2, np.full(DIM, 1e300)), ValueError, "inf"),
        (lambda: store.add(2, row[1:]), ValueError, r"expected shape \(5,\), got \(4,\)"),
        (lambda: store.add(2, ["a"] * DIM), TypeError, "real numbers"),
        (lambda: store.add(2**63, row), ValueError, "does not fit an int64"),
        (lambda: store.add(2.5, row), TypeError, "expected int, str or uuid.UUID, got 2.5"),
        (lambda: store.add(True, row), TypeError, "got True"),
        (lambda: store.add_batch([2, 3], row[None]), ValueError, "expected one for each of 1 vectors, got 2"),
        (lambda: store.add_batch([2, 2], [row, row]), ValueError, r"ids\[1\]"),
        (lambda: store.add_batch("ab", [row, row]), TypeError, "expected a sequence"),
        (lambda: store.get(5), KeyError, "no vector 5"),
        (lambda: store.remove("x"), KeyError, r"ids\[0\]"),
        (lambda: store.remove_batch([1, 1]), KeyError, r"ids\[1\]"),
        (lambda: store.get_slot(9), IndexError, "got 9"),
        (lambda: store.get_slot(-1), IndexError, "got -1"),
        (lambda: store.get_batch([0, 9]), IndexError, r"slots\[1\].*got 9"),
        (lambda: VectorStore(0), ValueError, "dim"),
        (lambda: VectorStore(10**9), ValueError, "dim"),
    ]
    for call, error, message in cases:
        with pytest.raises(error, match=message):
            call()
        assert list(store) == [1]
    store.check()
    store.close()
    with pytest.raises(ValueError, match="store: is closed"):
        store.get(1)


def test_vectors_of_any_type_and_layout(store):
    rows = np.arange(10 * DIM * 2.0).reshape(10, DIM * 2)
    store.add_batch(np.arange(10, dtype=np.int32), rows[:, ::2])
    store.add("ints", [1, 2, 3, 4, 5])
    store.add("half", rows[0, :DIM].astype(np.float16))
    assert store.get(3).tolist() == rows[3, ::2].tolist()
    assert store.get("half").tolist() == rows[0, :DIM].tolist()
    assert store.get("ints").dtype == np.float32
    assert store.slots([3, "ints", "nobody", np.int64(4)]).tolist()[2] == -1


def test_readers_during_writes(store):
    rows = vectors(4000)
    store.add_batch(range(1000), rows[:1000])
    failures, done = [], threading.Event()

    def read():
        rng = np.random.default_rng()
        while not done.is_set():
            number = int(rng.integers(1000))
            if store.get(number).tolist() != rows[number].tolist():
                failures.append(number)
            for _, slot in zip(range(50), store.slots(range(50)).tolist()):
                if slot < 0:
                    failures.append(slot)

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    for first in range(1000, 4000, 50):
        store.add_batch(range(first, first + 50), rows[first : first + 50])
        store.remove_batch(range(first, first + 25))
    done.set()
    for thread in threads:
        thread.join()
    assert not failures
    store.check()


def test_a_second_writer_is_refused(tmp_path):
    with VectorStore.open(tmp_path / "store", 3), pytest.raises(CoverTreeError, match="open for writing"):
        VectorStore.open(tmp_path / "store")
    with pytest.raises(ValueError, match="not of 4"):
        VectorStore.open(tmp_path / "store", 4)
    with pytest.raises(ValueError, match="sync"):
        VectorStore.open(tmp_path / "store", sync="often")
    with (
        VectorStore.open(tmp_path / "store", read_only=True) as reader,
        pytest.raises(CoverTreeError, match="read only"),
    ):
        reader.add(1, [1, 2, 3])
    with pytest.raises(FileNotFoundError):
        VectorStore.open(tmp_path / "nowhere", read_only=True)


def test_slots_are_not_used_again_while_somebody_reads(tmp_path):
    with VectorStore.open(tmp_path / "store", DIM) as store:
        rows = vectors(3)
        store.add_batch([1, 2], rows[:2])
        with VectorStore.open(tmp_path / "store", read_only=True) as reader:
            view = reader.get(1)
            store.remove(1)
            assert store.add(3, rows[2]) == 2
            assert view.tolist() == rows[0].tolist()
            assert 1 not in reader and reader.get(3).tolist() == rows[2].tolist()
            with pytest.raises(CoverTreeError, match="others read it"):
                store.compact()
        assert store.add(4, rows[0]) == 0
        store.compact()
        store.check()


def test_compacting_gives_the_disk_back(tmp_path):
    with VectorStore.open(tmp_path / "store", 64, sync="off") as store:
        rows = vectors(20_000, 64)
        store.add_batch(range(20_000), rows)
        store.remove_batch(range(1000, 19_000))
        store.remove(19_999)
        used = (tmp_path / "store" / "rows.bin").stat().st_blocks
        store.compact()
        assert (tmp_path / "store" / "rows.bin").stat().st_blocks * 5 < used
        assert store.stats().n_slots == 19_999
        assert store.get(19_998).tolist() == rows[19_998].tolist()
        store.check()
    with VectorStore.open(tmp_path / "store", read_only=True) as store:
        store.check()
        assert len(store) == 1999


def test_names_are_read_by_many_threads_at_once(store, tmp_path):
    names = [f"name {i}" for i in range(300)]
    store.add_batch(names, vectors(300))
    stores = [store]
    if (tmp_path / "store").exists():
        stores.append(VectorStore.open(tmp_path / "store", read_only=True))
    wrong = []

    def read(one):
        for _ in range(5):
            if list(one) != names or any(one.slot(name) != i for i, name in enumerate(names)):
                wrong.append(one)

    for one in stores:
        threads = [threading.Thread(target=read, args=(one,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not wrong

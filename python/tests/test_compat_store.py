"""The vector stores of arrwDB over ours."""

import inspect
from uuid import UUID, uuid4

import numpy as np
import pytest

import covertreex
from covertreex.compat import RustVectorStoreWrapper, VectorArena, VectorStore

STORES = (VectorArena, RustVectorStoreWrapper)
DIM = 5

pytestmark = pytest.mark.parametrize("kind", STORES)


def sample(n, seed=0):
    return np.random.default_rng(seed).normal(size=(n, DIM)).astype(np.float32)


def test_parameters(kind):
    parameters = list(inspect.signature(kind).parameters.values())
    assert [(one.name, one.default) for one in parameters[1:]] == [
        ("initial_capacity", 1000),
        ("use_mmap", False),
        ("mmap_path", None),
    ]
    assert kind(dimension=DIM, initial_capacity=7).dimension == kind(DIM, 7).dimension == DIM
    for options in ({"dimension": 0}, {"dimension": -1}, {"dimension": DIM, "initial_capacity": 0}):
        with pytest.raises(ValueError, match=list(options)[-1]):
            kind(**options)
    with pytest.raises(ValueError, match="mmap_path"):
        kind(DIM, use_mmap=True)


def test_vectors_are_kept_once(kind):
    store, rows = kind(DIM, initial_capacity=2), sample(6)
    ids = [uuid4() for _ in rows]
    assert [store.add_vector(one, row) for one, row in zip(ids, rows)] == [0, 1, 2, 3, 4, 5]
    assert store.add_vector("again", rows[2].tolist()) == 2
    assert (store.count, len(store), store.total_references) == (6, 6, 7)
    assert store.remove_vector(ids[2]) is True and store.count == 6
    np.testing.assert_array_equal(store.get_vector("again"), rows[2])
    assert store.remove_vector("again") is True and store.remove_vector("again") is False
    assert (store.count, store.total_references) == (5, 5)
    assert store.add_vector("new", sample(1, seed=9)[0]) == 2  # the index that was free


def test_vectors_are_copies(kind):
    store, rows = kind(DIM), sample(3)
    for number, row in enumerate(rows):
        store.add_vector(UUID(int=number), row)
    for copied in (
        store.get_vector(UUID(int=1)),
        store.get_vector_by_index(1),
        store.get_vectors_by_indices([1]),
        store.get_all_vectors(),
    ):
        assert copied.dtype == np.float32
        copied[...] = 7
    np.testing.assert_array_equal(store.get_all_vectors(), rows)


def test_a_chunk_that_exists_is_refused(kind):
    store, rows = kind(DIM), sample(2)
    for one in (uuid4(), "name", 7):
        store.add_vector(one, rows[0])
        for row in rows:
            with pytest.raises(ValueError, match="already has a vector"):
                store.add_vector(one, row)
    assert (store.count, store.total_references) == (1, 3)


@pytest.mark.parametrize(
    "bad", [np.zeros(DIM + 1), np.zeros((1, DIM)), np.full(DIM, np.nan), np.full(DIM, np.inf), np.full(DIM, 1e300)]
)
def test_vectors_that_cannot_be(kind, bad):
    store = kind(DIM)
    for one in (uuid4(), "name"):
        with pytest.raises(ValueError, match="vector"):
            store.add_vector(one, bad)
        assert store.get_vector(one) is None
    assert store.count == store.total_references == 0


def test_missing_vectors(kind):
    store, rows = kind(DIM), sample(4)
    assert store.get_vector(uuid4()) is None and store.remove_vector(uuid4()) is False
    assert store.get_all_vectors().shape == store.get_vectors_by_indices([]).shape == (0, DIM)
    with pytest.raises(IndexError, match="index"):
        store.get_vector_by_index(0)
    for number, row in enumerate(rows):
        store.add_vector(number, row)
    store.remove_vector(1)
    for index in (-1, 4, 1000, 1):
        with pytest.raises(IndexError, match="index"):
            store.get_vector_by_index(index)
        with pytest.raises(IndexError, match="index"):
            store.get_vectors_by_indices([0, index])
    with pytest.raises(IndexError, match="freed"):
        store.get_vector_by_index(1)
    for index in (1.0, "1", None, True):
        with pytest.raises(TypeError, match="index"):
            store.get_vector_by_index(index)
    np.testing.assert_array_equal(store.get_all_vectors(), rows[[0, 2, 3]])
    np.testing.assert_array_equal(store.get_vectors_by_indices(np.array([3, 0, 3])), rows[[3, 0, 3]])


def test_statistics(kind):
    store, rows = kind(DIM, initial_capacity=8), sample(10)
    keys = [
        "unique_vectors", "total_references", "capacity", "utilization", "free_indices", "dimension", "storage_type",
    ]  # fmt: skip
    rust = kind is RustVectorStoreWrapper
    assert list(store.get_statistics()) == (["type", *keys] if rust else keys)
    for number, row in enumerate(rows[:4]):
        store.add_vector(number, row)
    store.add_vector("again", rows[0])
    store.remove_vector(3)
    expected = [3, 4, 8, 37.5, 1, DIM, "rust-in-memory" if rust else "in-memory"]
    assert list(store.get_statistics().values()) == (["rust_vector_store", *expected] if rust else expected)
    assert store.stats() == store.get_statistics()
    for number, row in enumerate(rows[4:], start=4):
        store.add_vector(number, row)
    assert store.get_statistics()["capacity"] == store.store.stats().n_slots == 9
    assert repr(store) == (
        f"{'RustVectorStore' if rust else 'VectorArena'}(dimension={DIM}, vectors=9, references=10, "
        f"storage={'rust-in-memory' if rust else 'in-memory'})"
    )


def test_ids(kind):
    store, rows = kind(DIM), sample(4)
    one = UUID(int=2**128 - 5)  # with letters in its text
    store.add_vector(one, rows[0])
    store.add_vector(7, rows[1])
    if kind is RustVectorStoreWrapper:  # ids are known by their text
        np.testing.assert_array_equal(store.get_vector(str(one)), rows[0])
        np.testing.assert_array_equal(store.get_vector("7"), rows[1])
        with pytest.raises(ValueError, match="already has a vector"):
            store.add_vector(str(one), rows[2])
        store.add_vector(str(one).upper(), rows[2])
        store.add_vector((1, 2), rows[3])
        np.testing.assert_array_equal(store.get_vector("(1, 2)"), rows[3])
    else:
        assert store.get_vector(str(one)) is None and store.get_vector("7") is None
        store.add_vector(str(one), rows[2])
        np.testing.assert_array_equal(store.get_vector(one), rows[0])
        with pytest.raises(TypeError):
            store.add_vector((1, 2), rows[3])


def test_on_disk(kind, tmp_path):
    path, rows = tmp_path / "new" / "folder" / "vectors", sample(5)
    store = kind(DIM, use_mmap=True, mmap_path=path)
    assert path.exists() and store.get_statistics()["storage_type"] == "memory-mapped"
    for number, row in enumerate(rows):
        store.add_vector(UUID(int=number), row)
    store.flush()
    store.store.close()
    again = kind(DIM, use_mmap=True, mmap_path=path)
    np.testing.assert_array_equal(again.get_all_vectors(), rows)
    again.store.close()
    with pytest.raises(ValueError, match="vectors of 5 coordinates"):
        kind(DIM + 1, use_mmap=True, mmap_path=path)


def test_the_store_below(kind):
    store, rows = kind(DIM), sample(2)
    index = store.add_vector("a", rows[0])
    assert isinstance(store.store, covertreex.VectorStore) and VectorStore is VectorArena
    assert store.store.slot("a") == index
    store.store.add("b", rows[1])
    np.testing.assert_array_equal(store.get_vector("b"), rows[1])

"""The vector indexes of arrwDB: its examples with its calls, and every kind over every kind of store, against NumPy."""

import threading
from uuid import UUID, uuid4

import numpy as np
import pytest
from compat_stores import DIM, KINDS, PLAIN, RUST, STORES, THOROUGH, Foreign, cosine_distances, index_of, sample

from covertreex import compat
from covertreex.compat import (
    HNSWIndex,
    KDTreeIndex,
    LSHIndex,
    RustHNSWIndexWrapper,
    RustKDTreeIndexWrapper,
    RustLSHIndexWrapper,
    RustVectorStoreWrapper,
    VectorArena,
    VectorStore,
)

# The examples of arrwDB, with its calls


def test_example_of_an_hnsw_over_a_store():
    vectors = sample(300, dim=384)
    vector_store = VectorStore(dimension=384)
    index = RustHNSWIndexWrapper(vector_store=vector_store, M=16, ef_construction=200, ef_search=50)
    ids = []
    for vector in vectors:
        chunk_id = uuid4()
        vector_index = vector_store.add_vector(chunk_id, vector)
        index.add_vector(chunk_id, vector_index)
        ids.append(chunk_id)
    query_vector = sample(1, dim=384, seed=1)[0]
    results = index.search(query_vector, k=10)
    assert [type(value) for value in results[0]] == [UUID, float]
    expected = cosine_distances(vectors, query_vector)
    nearest = np.argsort(expected)[:10]
    assert [one for one, _ in results] == [ids[slot] for slot in nearest]
    np.testing.assert_allclose([distance for _, distance in results], expected[nearest], atol=1e-6)


def test_example_of_a_store():
    rng = np.random.default_rng(0)
    store = RustVectorStoreWrapper(dimension=384, initial_capacity=1000)
    chunk_id = uuid4()
    vector = rng.random(384).astype(np.float32)
    index = store.add_vector(chunk_id, vector)
    assert index == 0
    dup_id = uuid4()
    assert store.add_vector(dup_id, vector) == index
    assert (store.count, store.total_references, len(store)) == (1, 2, 1)
    retrieved = store.get_vector(chunk_id)
    np.testing.assert_array_equal(retrieved, vector)
    others = rng.random((2, 384)).astype(np.float32)
    for other in others:
        store.add_vector(uuid4(), other)
    batch = store.get_vectors_by_indices([0, 1, 2])
    np.testing.assert_array_equal(batch, [vector, *others])
    assert store.remove_vector(chunk_id) is True
    assert store.get_vector(chunk_id) is None
    np.testing.assert_array_equal(store.get_vector(dup_id), vector)


# Answers


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("store", STORES)
def test_answers_are_those_of_numpy(kind, store):
    rows = sample(60)
    index, ids = index_of(kind, rows, store)
    query = sample(1, seed=1)[0]
    expected = cosine_distances(rows, query)
    order = np.argsort(expected)
    found = index.search(query, 7)
    assert [one for one, _ in found] == [ids[slot] for slot in order[:7]]
    np.testing.assert_allclose([distance for _, distance in found], expected[order[:7]], atol=1e-6)
    assert len(index.search(query, 100)) == index.size == index.size() == len(index) == 60
    assert {type(value) for pair in found for value in pair} == {UUID, float}


@pytest.mark.parametrize("kind", KINDS)
def test_another_metric_and_options_of_the_index(kind):
    rows = sample(60)
    index, ids = index_of(kind, rows, metric="l2")
    expected = np.linalg.norm(rows - rows[7], axis=1)
    found = index.search(rows[7], 4)
    assert [one for one, _ in found] == [ids[slot] for slot in np.argsort(expected)[:4]]
    np.testing.assert_allclose([distance for _, distance in found], np.sort(expected)[:4], rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_distance_threshold_is_inclusive_and_of_float32(kind):
    rows = sample(60)
    index, _ = index_of(kind, rows)
    found = index.search(rows[7], 60)
    limit = found[5][1]
    assert index.search(rows[7], 60, distance_threshold=limit) == found[:6]
    assert index.search(rows[7], 3, distance_threshold=limit) == found[:3]
    assert index.search(rows[7], 60, distance_threshold=np.nextafter(np.float32(limit), np.float32(0))) == found[:5]
    # The nearest number of float32 stands for any of the numbers around it.
    assert index.search(rows[7], 60, distance_threshold=limit - 1e-12) == found[:6]
    assert index.search(rows[7], 60, distance_threshold=1e300) == found
    assert index.search(rows[7], 60, distance_threshold=-1.0) == []
    with pytest.raises(ValueError, match="distance_threshold: expected a number"):
        index.search(rows[7], 60, distance_threshold=np.nan)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("store", STORES)
def test_searches_that_cannot_be(kind, store):
    rows = sample(20)
    index, _ = index_of(kind, rows, store)
    for k in (0, -1):
        with pytest.raises(ValueError, match="k: expected at least 1"):
            index.search(rows[0], k=k)
    for query in (rows[0, :3], rows[:1], np.r_[rows[0], rows[0]]):
        with pytest.raises(ValueError, match=r"query_vector: expected shape \(6,\)"):
            index.search(query, k=1)
    with pytest.raises(ValueError, match="zero"):
        index.search(np.zeros(DIM), k=1)
    empty = kind(STORES[store](rows))
    assert empty.search(rows[0], k=5) == [] and empty.size == 0 and len(empty) == 0


# Changes


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("store", STORES)
def test_an_id_that_exists_is_refused(kind, store):
    rows = sample(20)
    index, ids = index_of(kind, rows, store)
    before = index.search(rows[3], 20)
    with pytest.raises(ValueError, match="already exists"):
        index.add_vector(ids[3], 3)
    with pytest.raises(ValueError, match="already exists"):
        index.add_vector(ids[3], 4)
    assert index.search(rows[3], 20) == before


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("store", STORES)
def test_removal_and_adding_again(kind, store):
    rows = sample(40)
    index, ids = index_of(kind, rows, store)
    assert index.remove_vector(ids[7]) is True and index.remove_vector(ids[7]) is False
    assert index.remove_vector(uuid4()) is False
    left = index.search(rows[7], 40)
    assert len(left) == index.size() == 39 and ids[7] not in [one for one, _ in left]
    index.add_vector(ids[7], 8)  # the same id, with another vector
    assert {one for one, _ in index.search(rows[8], 2)} == {ids[7], ids[8]}
    index.clear()
    assert index.size == 0 and index.search(rows[0], 2) == [] and index.get_statistics()["size"] == 0
    index.add_vector(ids[0], 5)
    assert index.search(rows[5], 3) == [(ids[0], pytest.approx(0, abs=1e-6))]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("store", STORES)
def test_a_vector_that_is_missing_is_an_error(kind, store):
    rows = sample(20)
    index, _ = index_of(kind, rows, store)
    before = index.search(rows[3], 20)
    for slot in (20, 999_999, -1, 2**70):
        with pytest.raises(ValueError, match="vector_index"):
            index.add_vector(uuid4(), slot)
    for slot in (1.0, "1", None):
        with pytest.raises(TypeError, match="vector_index"):
            index.add_vector(uuid4(), slot)
    assert index.search(rows[3], 20) == before and index.size == 20


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["arena", "rust", "core"])
def test_a_free_slot_is_missing(kind, name):
    rows = sample(20)
    store = STORES[name](rows)
    index = kind(store)
    (store.remove if name == "core" else store.remove_vector)(4 if name == "core" else UUID(int=4))
    with pytest.raises(ValueError, match="vector_index"):
        index.add_vector("four", 4)
    assert index.size == 0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bad", [None, [1.0, None, 3.0], [1.0, np.nan, 3.0], [1.0, 2.0], [[1.0, 2.0, 3.0]], 1.0, "abc"])
@pytest.mark.parametrize("known", [True, False])
def test_vectors_of_a_store_never_become_nan(kind, bad, known):
    class Store:
        def get_vector_by_index(self, index):
            return bad if index else [1.0, 2.0, 3.0]

    store = Store()
    if known:
        store.dimension = 3
    index = kind(store)
    index.add_vector("good", 0)
    with pytest.raises((ValueError, TypeError)):
        index.add_vector("bad", 1)
    assert index.search([1, 2, 3], 5) == [("good", pytest.approx(0, abs=1e-6))]


@pytest.mark.parametrize("kind", KINDS)
def test_a_failed_first_add_leaves_the_dimension_open(kind):
    rows = [None, [1.0, np.inf], [1.0, 2.0, 3.0]]
    index = kind(rows)
    for slot in (0, 1):
        with pytest.raises(ValueError):
            index.add_vector("a", slot)
    assert index.search([1, 2], 1) == [] and len(index) == 0
    index.add_vector("a", 2)
    assert [one for one, _ in index.search([1, 2, 3], 1)] == ["a"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("store", STORES)
def test_rebuilding_keeps_ids_and_answers(kind, store):
    rows = sample(60)
    index, ids = index_of(kind, rows, store)
    for one in ids[:10]:
        index.remove_vector(one)
    expected = cosine_distances(rows[10:], rows[3])
    index.rebuild()
    found = index.search(rows[3], 5)
    assert [one for one, _ in found] == [ids[10 + slot] for slot in np.argsort(expected)[:5]]
    assert index.size == 50 and not index.remove_vector(ids[3]) and index.remove_vector(ids[30])
    empty = kind(STORES[store](rows))
    empty.rebuild()
    assert empty.size == 0


@pytest.mark.parametrize("kind", KINDS)
def test_rebuilding_reads_a_foreign_store_again_or_changes_nothing(kind):
    rows = sample(30)
    store = Foreign(rows)
    index = kind(store, **THOROUGH.get(kind, {}))
    for slot in range(30):
        index.add_vector(f"v{slot}", slot)
    old, rows[3] = rows[3].copy(), [9, 9, 9, 9, 9, 9]
    index.rebuild()
    assert index.search(rows[3], 1) == [("v3", pytest.approx(0, abs=1e-6))]
    before = index.search(old, 30)
    store.freed.add(12)
    rows[3] = old
    with pytest.raises(ValueError, match="vector_index"):
        index.rebuild()
    assert index.search(old, 30) == before and index.size == 30


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["arena", "rust", "core"])
def test_an_index_keeps_vectors_that_the_store_forgets(kind, name):
    rows = sample(20)
    store = STORES[name](rows)
    index = kind(store, **THOROUGH.get(kind, {}))
    for slot in range(20):
        index.add_vector(f"v{slot}", slot)
    for slot in range(5):
        (store.remove if name == "core" else store.remove_vector)(slot if name == "core" else UUID(int=slot))
    for number, row in enumerate(sample(10, seed=5)):
        (store.add if name == "core" else store.add_vector)(1000 + number, row)
    index.rebuild()
    for slot in range(20):
        assert index.search(rows[slot], 1) == [(f"v{slot}", pytest.approx(0, abs=1e-6))]


# Options are checked when an index is made


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        *((kind, {"metric": "L2"}, "metric") for kind in KINDS),
        *((kind, {"storage": "float64"}, "storage") for kind in KINDS if "KDTree" not in kind.__name__),
        *((kind, {"leaf_size": 0}, "leaf_size") for kind in (KDTreeIndex, RustKDTreeIndexWrapper)),
        *((kind, {"metric": "ip"}, "metric") for kind in (KDTreeIndex, RustKDTreeIndexWrapper)),
        *((kind, {"rebuild_threshold": -1}, "rebuild_threshold") for kind in (KDTreeIndex, RustKDTreeIndexWrapper)),
        *(
            (kind, {name: value}, f"^{name}")
            for kind in (LSHIndex, RustLSHIndexWrapper)
            for name, value in [
                ("num_tables", 0), ("num_tables", 257), ("hash_size", -1), ("hash_size", 25), ("n_probes", 0),
                ("seed", -1),
            ]
        ),
        *((kind, {"num_tables": 32, "hash_size": 24}, "2.28") for kind in (LSHIndex, RustLSHIndexWrapper)),
        *(
            (kind, {name: value}, f"^{name}")
            for kind in (HNSWIndex, RustHNSWIndexWrapper)
            for name in ("M", "ef_construction", "ef_search")
            for value in (0, -10)
        ),
    ],
)  # fmt: skip
def test_values_of_options(store, kind, options, message):
    with pytest.raises(ValueError, match=message):
        kind(STORES[store](sample(3)), **options)


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("kind", KINDS)
def test_names_and_types_of_options(store, kind):
    rows = STORES[store](sample(3))
    with pytest.raises(TypeError):
        kind(rows, no_such_option=1)
    with pytest.raises(TypeError):
        kind()
    for name in {"HNSW": ["M", "ef_search", "max_level"], "LSH": ["num_tables", "hash_size", "mode"]}.get(
        kind.__name__.replace("Rust", "").split("Index")[0], []
    ):
        with pytest.raises(TypeError, match=name):
            kind(rows, **{name: 1.5})


@pytest.mark.parametrize("kind", KINDS)
def test_stores_that_cannot_be(kind):
    with pytest.raises(ValueError, match="vector_store"):
        kind(np.zeros(3))
    with pytest.raises(ValueError, match=r"vector_store\.dimension"):
        store = Foreign(sample(3))
        store.dimension = 0
        kind(store)
    with pytest.raises(TypeError, match="vector_store"):
        kind(object()).add_vector("a", 0)


def test_max_level_warns():
    with pytest.warns(UserWarning, match="max_level"):
        HNSWIndex(VectorArena(dimension=2), max_level=4)


# Ids


@pytest.mark.parametrize("kind", PLAIN)
def test_ids_come_back_as_they_were_given(kind):
    rows = sample(6)
    index = kind(rows, **THOROUGH.get(kind, {}))
    ids = [uuid4(), str(uuid4()), "name", 7, (1, 2), None]
    for slot, one in enumerate(ids):
        index.add_vector(one, slot)
    assert [index.search(row, 1)[0][0] for row in rows] == ids
    with pytest.raises(TypeError):
        index.add_vector([1], 0)
    assert index.remove_vector(None) and index.size == 5


@pytest.mark.parametrize("kind", RUST)
def test_the_rust_wrappers_give_uuids(kind):
    rows = sample(4)
    index = kind(rows, **THOROUGH.get(kind, {}))
    one, other = uuid4(), uuid4()
    for slot, given in enumerate([one, str(other), "name", 7]):
        index.add_vector(given, slot)
    assert [index.search(row, 1)[0][0] for row in rows] == [one, other, "name", 7]
    with pytest.raises(ValueError, match="already exists"):
        index.add_vector(str(one), 0)
    assert index.remove_vector(other) and not index.remove_vector(str(other))


@pytest.mark.parametrize("kind", PLAIN)
def test_removed_ids_are_forgotten(kind):
    rows = sample(4)
    index = kind(rows)
    for _ in range(50):
        index.add_vector("a", 1)
        index.remove_vector("a")
    assert not index._contents.ids and not index._contents.entries


def test_classes_have_a_common_base():
    assert all(issubclass(kind, compat.VectorIndex) for kind in KINDS)
    assert compat.VectorStore is VectorArena and issubclass(RustVectorStoreWrapper, VectorArena)
    assert set(compat.__all__) >= {kind.__name__ for kind in KINDS}


@pytest.mark.parametrize("kind", PLAIN)
def test_searches_while_others_change(kind):
    rows = sample(300)
    index, ids = index_of(kind, rows[:200])
    errors = []

    def change():
        try:
            for slot in range(150):
                index.remove_vector(ids[slot])
                index.add_vector(slot, slot)
            index.rebuild()
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=change)
    thread.start()
    while thread.is_alive():
        found = index.search(rows[250], 10)
        assert len(found) <= 10 and all(isinstance(one, (UUID, int)) for one, _ in found)
    thread.join()
    assert not errors and index.size == 200

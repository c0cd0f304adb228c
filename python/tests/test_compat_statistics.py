"""What the vector indexes of arrwDB say of themselves: parameters, statistics, repr."""

import numpy as np
import pytest
from compat_stores import DIM, KINDS, RUST, index_of, sample

from covertreex.compat import HNSWIndex, KDTreeIndex, LSHIndex, VectorArena


def test_parameters_by_position_are_those_of_arrwdb():
    store = VectorArena(2)
    assert KDTreeIndex(store, 7).get_statistics()["rebuild_threshold"] == 7
    lsh = LSHIndex(store, 3, 5, 1).get_statistics()
    assert (lsh["num_tables"], lsh["hash_size"]) == (3, 5)
    graph = HNSWIndex(store, 4, 20, 30, 16, 1).get_statistics()
    assert (graph["M"], graph["ef_construction"], graph["ef_search"]) == (4, 20, 30)
    defaults = HNSWIndex(vector_store=store).get_statistics()
    assert (defaults["M"], defaults["ef_construction"], defaults["ef_search"]) == (16, 200, 50)
    lsh = LSHIndex(vector_store=store).get_statistics()
    assert (lsh["num_tables"], lsh["hash_size"]) == (10, 10)
    assert KDTreeIndex(vector_store=store).get_statistics()["rebuild_threshold"] == 100


COMMON = {"type", "size", "vector_store_dim", "supports_incremental"}
OWN = {
    "BruteForce": set(),
    "KDTree": {"tree_depth", "modifications_since_rebuild", "rebuild_threshold"},
    "LSH": {"num_tables", "hash_size", "total_buckets", "avg_bucket_size"},
    "HNSW": {"M", "ef_construction", "ef_search"},
}
TYPES = {"BruteForce": "brute_force", "KDTree": "kd_tree", "LSH": "lsh", "HNSW": "hnsw"}


@pytest.mark.parametrize("kind", KINDS)
def test_statistics_have_the_keys_of_arrwdb(kind):
    rust = kind in RUST
    name = kind.__name__.removeprefix("Rust").split("Index")[0]
    keys = COMMON | OWN[name] | ({"dimension"} if rust else set()) | ({"m"} if rust and name == "HNSW" else set())
    index = kind(VectorArena(dimension=DIM))
    assert index.get_statistics().keys() == keys
    index, _ = index_of(kind, sample(30))
    statistics = index.get_statistics()
    filled_keys = {"num_levels", "avg_connections"} | (set() if rust else {"level_counts"})
    assert statistics.keys() == keys | (filled_keys if name == "HNSW" else set())
    assert index.index_type == ("rust_" if rust else "") + TYPES[name]
    assert statistics["type"] == (TYPES[name] if name != "HNSW" else index.index_type)
    assert index.supports_incremental_updates is statistics["supports_incremental"] is (name != "KDTree")
    assert statistics["size"] == 30 and statistics["vector_store_dim"] == DIM


def test_statistics_of_a_tree():
    rows = sample(2_000)
    index, ids = index_of(KDTreeIndex, rows, rebuild_threshold=0)
    assert index.get_statistics()["modifications_since_rebuild"] == 2_000
    index.rebuild()
    statistics = index.get_statistics()
    # 63 leaves of 32, four nodes of at most 16 of them, the root.
    assert (statistics["tree_depth"], statistics["modifications_since_rebuild"]) == (3, 0)
    index.remove_vector(ids[0])
    assert index.get_statistics()["modifications_since_rebuild"] == 1
    single, _ = index_of(KDTreeIndex, rows, rebuild_threshold=0, leaf_size=2_000)
    single.rebuild()
    assert single.get_statistics()["tree_depth"] == 2
    few, ids = index_of(KDTreeIndex, rows[:10], rebuild_threshold=4)
    assert few.get_statistics()["modifications_since_rebuild"] == 2
    few.remove_vector(ids[0])
    few.remove_vector(ids[0])
    assert few.get_statistics()["modifications_since_rebuild"] == 3
    few.remove_vector(ids[1])
    assert few.get_statistics()["modifications_since_rebuild"] == 0
    few.add_vector(ids[1], 1)
    few.clear()
    assert few.get_statistics()["modifications_since_rebuild"] == 0


def test_statistics_of_hash_tables():
    rows = sample(200)
    many, ids = index_of(LSHIndex, rows, num_tables=3, hash_size=8)
    statistics = many.get_statistics()
    assert 3 < statistics["total_buckets"] <= 3 * 200
    assert statistics["avg_bucket_size"] == round(3 * 200 / statistics["total_buckets"], 2)
    # One bit for all vectors of a half space: two buckets a table.
    few, _ = index_of(LSHIndex, rows, num_tables=3, hash_size=1)
    assert few.get_statistics()["total_buckets"] == 6
    assert few.get_statistics()["avg_bucket_size"] == 100.0
    for one in ids[1:]:
        many.remove_vector(one)
    assert many.get_statistics()["total_buckets"] == 3 and many.get_statistics()["avg_bucket_size"] == 1.0


@pytest.mark.parametrize("store", ["arena", "foreign"])
def test_statistics_leave_out_removed_vectors(store):
    rows = np.repeat(sample(1), 110, axis=0)
    rows[100:] *= -1  # opposite vectors share no bucket
    made = LSHIndex(rows if store == "foreign" else VectorArena(dimension=DIM), num_tables=3)
    for slot, row in enumerate(rows):
        made.add_vector(slot, slot if store == "foreign" else made._vector_store.add_vector(slot, row))
    statistics = made.get_statistics()
    assert statistics["total_buckets"] == 6 and statistics["avg_bucket_size"] == 55.0
    for slot in range(100, 110):
        made.remove_vector(slot)
    statistics = made.get_statistics()
    assert statistics["total_buckets"] == 3 and statistics["avg_bucket_size"] == 100.0


@pytest.mark.parametrize("store", ["arena", "foreign"])
def test_statistics_of_a_graph(store):
    rows = sample(2_000)
    index, ids = index_of(HNSWIndex, rows, store, M=4, ef_construction=20)
    statistics = index.get_statistics()
    counts = statistics["level_counts"]
    assert list(counts) == list(range(statistics["num_levels"])) and statistics["num_levels"] > 2
    assert counts[0] == 2_000 and all(counts[level] > counts[level + 1] for level in range(len(counts) - 1))
    # At most eight links on the lowest level and four on each other; every vector has one.
    most = (8 * counts[0] + 4 * sum(counts[level] for level in range(1, len(counts)))) / 2_000
    assert 1 <= statistics["avg_connections"] <= most
    for one in ids[2:]:
        index.remove_vector(one)
    statistics = index.get_statistics()
    assert statistics["size"] == statistics["level_counts"][0] == 2
    pair, _ = index_of(HNSWIndex, rows[:2], store)
    assert pair.get_statistics()["avg_connections"] >= 1.0


def test_repr():
    rows = sample(3, dim=2)
    texts = [repr(index_of(kind, rows)[0]) for kind in KINDS]
    assert texts == [
        "BruteForceIndex(size=3, dimension=2)",
        "KDTreeIndex(size=3, dimension=2, depth=0)",
        "LSHIndex(size=3, dimension=2, tables=10, hash_size=10)",
        "HNSWIndex(size=3, dimension=2, M=16, ef_search=50)",
        "RustBruteForceIndex(size=3, dimension=2)",
        "RustKDTreeIndex(size=3, dimension=2)",
        "RustLSHIndex(size=3, dimension=2)",
        "RustHNSWIndex(size=3, dimension=2, M=16, ef_search=50)",
    ]

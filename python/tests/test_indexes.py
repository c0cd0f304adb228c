"""Vector indexes against a float64 brute force, and against a dictionary that is changed in the same way."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from index_oracle import ALL, EXACT, METRICS, clustered, oracle, recall, sample, truth

from covertreex.indexes import HNSW, LSH, BruteForce, KDTree, load

MINILM = Path(__file__).resolve().parents[3] / "shared" / "data" / "minilm_11k_f16.npy"


def check_exact(index, vectors, queries, k, metric):
    """Compare a search with the oracle."""
    ids, distances = index.knn(k, queries=queries)
    expected = oracle(vectors, queries, metric)
    order = np.argsort(expected, axis=1, kind="stable")[:, :k]
    sorted_ = np.take_along_axis(expected, order, axis=1)
    found = np.isfinite(sorted_)
    scale = np.abs(sorted_[found]).max(initial=1.0)
    np.testing.assert_allclose(distances[:, : order.shape[1]][found], sorted_[found], rtol=3e-7, atol=3e-7 * scale)
    # Ranks are distinguished in float64; if two are closer than its rounding, either may come first.
    gaps = np.abs(np.take_along_axis(expected, np.maximum(ids[:, : order.shape[1]], 0), axis=1) - sorted_)
    assert (gaps[found] <= 1e-12 * scale).all()
    assert (ids[:, : order.shape[1]][~found] == -1).all()


# Exactness


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("n_queries", [1, 7, 300])
@pytest.mark.parametrize(("n", "dim"), [(1, 3), (40, 2), (700, 8), (900, 33), (1500, 130)])
def test_exact_ones_equal_brute_force(metric, n_queries, n, dim):
    vectors, queries = sample(n, dim), sample(n_queries, dim, 1)
    for kind in EXACT:
        if kind is KDTree and metric == "ip":
            continue
        index = kind(dim, metric=metric)
        index.add(None, vectors)
        for k in (1, 10, min(n + 3, 50)):
            check_exact(index, vectors, queries, k, metric)


@pytest.mark.parametrize("split", ["median", "sliding_midpoint", "median_extent"])
@pytest.mark.parametrize("leaf_size", [1, 32, 100])
def test_kd_trees_of_all_shapes_are_exact(split, leaf_size):
    for vectors in (sample(3000, 3), np.exp(sample(3000, 5) * 3), np.repeat(sample(40, 2), 30, axis=0)):
        index = KDTree(vectors.shape[1], split=split, leaf_size=leaf_size)
        index.add(None, vectors)
        check_exact(index, vectors, vectors[::17] + 0.01, 12, "l2")


@pytest.mark.parametrize("metric", ["l2", "ip", "cosine"])
@pytest.mark.parametrize("storage", ["float16", "int8"])
def test_smaller_storage_is_exact_for_stored_values(metric, storage):
    vectors, queries = sample(600, 20), sample(80, 20, 1)
    index = BruteForce(20, metric=metric, storage=storage)
    index.add(None, vectors)
    kept = index.get(range(600))
    given_ = vectors / np.linalg.norm(vectors, axis=1)[:, None] if metric == "cosine" else vectors
    assert 0 < np.abs(kept - given_).max() < 0.05
    distances = index.knn(10, queries=queries)[1]
    expected = np.sort(oracle_of_kept(kept, queries, metric), axis=1)[:, :10]
    np.testing.assert_allclose(distances, expected, rtol=1e-6, atol=1e-6)
    both = BruteForce(20, metric=metric, storage=storage, rerank=True)
    both.add(None, vectors)
    check_exact(both, vectors, queries, 10, metric)


def oracle_of_kept(kept, queries, metric):
    if metric != "cosine":
        return oracle(kept, queries, metric)
    unit = (queries / np.linalg.norm(queries, axis=1)[:, None]).astype(np.float32)
    return oracle(kept, unit, "sqeuclidean") / 2


def test_many_neighbours_and_more_than_there_are():
    vectors, queries = sample(2500, 12), sample(70, 12, 1)
    for kind in EXACT:
        index = kind(12)
        index.add(None, vectors)
        check_exact(index, vectors, queries, 1500, "l2")
        ids, distances = index.knn(2600, queries=queries)
        assert (ids[:, 2500:] == -1).all() and np.isinf(distances[:, 2500:]).all()


def test_far_from_the_origin_and_duplicates():
    vectors = np.concatenate([sample(300, 6) + 1000, sample(300, 6) + 1000])
    vectors[300:] = vectors[:300]
    for kind in ALL:
        index = kind(6)
        index.add(None, vectors)
        ids, distances = index.knn(2, queries=vectors[:300])
        assert (ids[:, 0] == np.arange(300)).all() and (ids[:, 1] == np.arange(300, 600)).all(), kind
        assert (distances == 0).all()


@pytest.mark.parametrize("kind", ALL)
def test_radius(kind):
    vectors, queries = clustered(1200, 7), clustered(40, 7, 1)
    for metric in ("l2", "cosine", "ip"):
        if kind is KDTree and metric == "ip":
            continue
        index = kind(7, metric=metric)
        index.add(None, vectors)
        expected = oracle(vectors, queries, metric)
        r = float(np.quantile(expected, 0.01))
        found = index.radius(r, queries=queries)
        for row in range(len(queries)):
            part = slice(found.offsets[row], found.offsets[row + 1])
            ids, distances = found.indices[part], found.distances[part]
            assert (np.diff(distances) >= 0).all()
            np.testing.assert_allclose(distances, expected[row, ids], rtol=1e-6, atol=1e-6)
            if kind in EXACT:
                assert set(np.flatnonzero(expected[row] < r - 1e-6)) <= set(ids)
                assert set(ids) <= set(np.flatnonzero(expected[row] < r + 1e-6))
        total = (expected <= r).sum()
        assert len(found.indices) >= 0.8 * total


@pytest.mark.parametrize("kind", EXACT)
@pytest.mark.parametrize("metric", ["l2", "cosine", "ip"])
def test_radius_without_structure(kind, metric):
    """Many queries in many dimensions are compared with all vectors in batches."""
    if kind is KDTree and metric == "ip":
        return
    vectors, queries = sample(900, 40), sample(200, 40, 1)
    index = kind(40, metric=metric)
    index.add(None, vectors[:850])
    index.add(None, vectors[850:])
    index.remove(np.arange(0, 900, 9))
    mask = np.arange(900) % 7 != 0
    expected = oracle(vectors, queries, metric)
    for allowed, options in ((np.arange(900) % 9 != 0, {}), ((np.arange(900) % 9 != 0) & mask, {"filter": mask})):
        r = float(np.quantile(expected, 0.02))
        found = index.radius(r, queries=queries, **options)
        for row in range(len(queries)):
            part = slice(found.offsets[row], found.offsets[row + 1])
            ids, distances = found.indices[part], found.distances[part]
            assert (np.diff(distances) >= 0).all()
            np.testing.assert_allclose(distances, expected[row, ids], rtol=1e-6, atol=1e-6)
            assert set(np.flatnonzero(allowed & (expected[row] < r - 1e-6))) <= set(ids)
            assert set(ids) <= set(np.flatnonzero(allowed & (expected[row] < r + 1e-6)))


# Approximate ones


@pytest.mark.parametrize(
    ("make", "floor"),
    [
        (lambda dim: HNSW(dim, ef_search=16), 0.86),
        (lambda dim: HNSW(dim, ef_search=64), 0.97),
        (lambda dim: HNSW(dim, m=32, ef_construction=400, ef_search=200), 0.995),
        (lambda dim: HNSW(dim, storage="float16", ef_search=64), 0.97),
        (lambda dim: HNSW(dim, storage="int8", rerank=True, ef_search=64), 0.97),
        (lambda dim: HNSW(dim, storage="int8", ef_search=64), 0.94),
        (lambda dim: LSH(dim, n_bits=256, n_candidates=200), 0.88),
        (lambda dim: LSH(dim, n_bits=512, n_candidates=400), 0.97),
        (lambda dim: LSH(dim, mode="tables", n_tables=16, n_bits=10, n_probes=32), 0.9),
    ],
)
def test_recall_floors(make, floor):
    sets = [(clustered(8000, 48), clustered(200, 48, 1))]
    sets[0] = (sets[0][0][:7800], sets[0][0][7800:])
    if MINILM.exists():
        real = np.load(MINILM).astype(np.float32)
        sets.append((real[:10000], real[10000:10300]))
    for vectors, queries in sets:
        index = make(vectors.shape[1])
        index.add(None, vectors)
        assert recall(index.knn(10, queries=queries)[0], truth(vectors, queries, 10)) >= floor
    if not MINILM.exists():
        pytest.skip("synthetic vectors alone: ../shared/data is not here")


def test_recall_after_removals_and_additions_is_that_of_a_fresh_build():
    vectors, queries = clustered(6000, 32)[:5800], clustered(6000, 32)[5800:]
    index = HNSW(32, ef_search=32)
    index.add(None, vectors)
    gone = np.random.default_rng(2).permutation(5800)[:1740]
    for part in np.array_split(gone, 30):
        index.remove(part)
    for part in np.array_split(gone, 10):
        index.add(part, vectors[part])
    fresh = HNSW(32, ef_search=32)
    fresh.add(None, vectors)
    expected = truth(vectors, queries, 10)
    assert (
        recall(index.knn(10, queries=queries)[0], expected)
        >= recall(fresh.knn(10, queries=queries)[0], expected) - 0.01
    )


def test_looking_farther_finds_more():
    vectors, queries = sample(4000, 24), sample(200, 24, 1)
    expected = truth(vectors, queries, 10)
    tables = LSH(24, mode="tables", n_tables=4, n_bits=10)
    tables.add(None, vectors)
    codes = LSH(24, n_bits=128)
    codes.add(None, vectors)
    graph = HNSW(24)
    graph.add(None, vectors)
    for index, name, amounts in (
        (tables, "n_probes", (1, 10, 100)),
        (codes, "n_candidates", (20, 100, 500)),
        (graph, "ef_search", (10, 40, 160)),
    ):
        found = [recall(index.knn(10, queries=queries, **{name: amount})[0], expected) for amount in amounts]
        assert found[0] + 0.05 < found[1] < found[2] - 0.02, (name, found)


@pytest.mark.parametrize("metric", METRICS)
def test_all_metrics_are_searched_for(metric):
    vectors, queries = clustered(3000, 24)[:2900], clustered(3000, 24)[2900:]
    expected = np.argsort(oracle(vectors, queries, metric), axis=1)[:, :10]
    for index, floor in (
        (HNSW(24, metric=metric, ef_search=100), 0.95),
        (LSH(24, metric=metric, n_candidates=600), 0.9),
    ):
        index.add(None, vectors)
        ids, distances = index.knn(10, queries=queries)
        assert recall(ids, expected) >= floor
        exact = np.take_along_axis(oracle(vectors, queries, metric), ids, axis=1)
        np.testing.assert_allclose(distances, exact, rtol=1e-6, atol=1e-6)


def test_graphs_and_codes_do_not_depend_on_threads():
    vectors, queries = clustered(3000, 40), clustered(50, 40, 1)
    for make in (HNSW, LSH, lambda dim: LSH(dim, mode="tables")):
        results = []
        for n_threads in (1, 2, 5):
            index = make(40)
            index.add(None, vectors[:2000], n_threads=n_threads)
            index.add(None, vectors[2000:], n_threads=n_threads)
            results.append(index.knn(10, queries=queries, n_threads=n_threads))
        for ids, distances in results[1:]:
            assert (ids == results[0][0]).all() and (distances == results[0][1]).all()


def test_another_seed_is_another_graph_and_the_same_seed_the_same():
    vectors, queries = clustered(3000, 40), clustered(200, 40, 1)
    found = []
    for seed in (0, 0, 1):
        index = HNSW(40, ef_search=10, seed=seed)
        index.add(None, vectors)
        found.append(index.knn(10, queries=queries)[0])
    assert (found[0] == found[1]).all() and (found[0] != found[2]).any()


def test_optimize_changes_no_answer():
    vectors, queries = clustered(3000, 40), clustered(100, 40, 1)
    vectors[1500:1600] = vectors[:100]  # ties
    index = HNSW(40)
    index.add(None, vectors)
    before = index.knn(10, queries=queries)
    index.optimize()
    after = index.knn(10, queries=queries)
    assert (index.ids == np.arange(3000)).all()
    assert (before[0] == after[0]).mean() > 0.99
    ids, _ = index.knn(2, queries=vectors[:100])
    assert (ids == np.stack([np.arange(100), np.arange(1500, 1600)], axis=1)).mean() > 0.98
    index.add(None, sample(10, 40))
    index.remove(range(1000))
    assert len(index) == 2010 and index.knn(5, queries=queries)[0].min() >= 1000


def test_bytes_are_not_used_where_they_would_tell_nothing():
    grid = np.stack(np.meshgrid(*[np.arange(60.0)] * 2), axis=-1).reshape(-1, 2) / 1000 + 5
    vectors = np.concatenate([grid, sample(50, 2) * 1000]).astype(np.float32)
    index = HNSW(2)
    index.add(None, vectors)
    assert recall(index.knn(4, queries=vectors[:400])[0], truth(vectors, vectors[:400], 4)) > 0.95


# Filters


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("share", [0.5, 0.02])
def test_filters(kind, share):
    vectors, queries = clustered(3000, 20), clustered(60, 20, 1)
    index = kind(20)
    index.add(None, vectors)
    mask = np.random.default_rng(3).random(3000) < share
    expected = oracle(vectors, queries, "l2")
    expected[:, ~mask] = np.inf
    order = np.argsort(expected, axis=1, kind="stable")[:, :10]
    for given_ in (mask, np.flatnonzero(mask), set(np.flatnonzero(mask).tolist())):
        ids, _ = index.knn(10, queries=queries, filter=given_)
        assert mask[ids].all()
        assert recall(ids, order) >= (1 if kind in EXACT else 0.85)
    lists = index.radius(float(np.quantile(expected[np.isfinite(expected)], 0.05)), queries=queries, filter=mask)
    assert mask[lists.indices].all()
    gone = np.flatnonzero(mask)[::2]
    index.remove(gone)
    for given_ in (mask, np.flatnonzero(mask)):
        assert not np.isin(index.knn(10, queries=queries, filter=given_)[0], gone).any()
    assert (index.knn(3, queries=queries, filter=[])[0] == -1).all()
    assert (index.knn(3, queries=queries, filter=[-5, 10**12])[0] == -1).all()
    assert (index.knn(3, queries=queries, filter=np.zeros(5, bool))[0] == -1).all()


# A dictionary model

names = st.integers(0, 30)


@st.composite
def changes(draw):
    kind = draw(st.sampled_from(["add", "add", "remove", "update", "rebuild", "optimize", "clear", "reload"]))
    return kind, draw(st.lists(names, max_size=8, unique=True)), draw(st.integers(0, 10**6))


@pytest.mark.parametrize("kind", [*ALL, "tables", "int8"])
@pytest.mark.parametrize("hashable", [False, True])
@settings(max_examples=25, deadline=None)
@given(steps=st.lists(changes(), max_size=20))
def test_sequences_of_changes(tmp_path_factory, kind, hashable, steps):
    dim = 3
    made = {"tables": lambda: LSH(dim, mode="tables", n_bits=3), "int8": lambda: HNSW(dim, storage="int8")}
    index = made[kind]() if isinstance(kind, str) else kind(dim)
    model: dict = {}
    name = (lambda i: f"vector {i}") if hashable else (lambda i: i * 7)
    for step, ids, seed in steps:
        vectors = np.random.default_rng(seed).integers(-3, 4, size=(len(ids), dim)).astype(np.float32)
        keys = [name(i) for i in ids]
        if step == "add":
            if any(key in model for key in keys):
                with pytest.raises(ValueError, match="ids"):
                    index.add(keys, vectors)
            elif keys:
                index.add(keys, vectors)
                model.update(zip(keys, vectors))
        elif step in ("remove", "update"):
            arguments = (keys,) if step == "remove" else (keys, vectors)
            if not all(key in model for key in keys):
                with pytest.raises(KeyError, match="ids"):
                    getattr(index, step)(*arguments)
            elif keys:
                getattr(index, step)(*arguments)
                for key, vector in zip(keys, vectors):
                    del model[key]
                    if step == "update":
                        model[key] = vector
        elif step == "clear" and seed % 4 == 0:
            index.clear()
            model.clear()
        elif step == "reload":
            path = tmp_path_factory.mktemp("index") / "index.ct"
            index.save(path)
            index = load(path, mmap=seed % 2 == 0)
        elif step == "rebuild" or (step == "optimize" and kind in (HNSW, "int8")):
            getattr(index, step)()
        check_model(index, model, dim, exact=kind in EXACT, kept=kind != "int8")


def check_model(index, model, dim, *, exact, kept):
    assert len(index) == len(model)
    assert index.ids.tolist() == list(model)
    for key, vector in model.items():
        assert key in index
        np.testing.assert_allclose(index.get(key), vector, atol=0 if kept else 0.06)
    assert "nothing" not in index and 10**9 not in index
    queries = np.array([[0.5, 0, 0], [1, 1, 1]], np.float32)
    ids, distances = index.knn(4, queries=queries)
    assert ids.shape == (2, 4)
    for row in range(2):
        found = [one for one in ids[row].tolist() if one is not None and one != -1]
        assert len(set(found)) == len(found) and all(one in model for one in found)
        if not kept:
            continue
        exact_ones = {key: float(np.sqrt(((queries[row] - v).astype(float) ** 2).sum())) for key, v in model.items()}
        expected = sorted(model, key=lambda key: exact_ones[key])[:4]  # stable: the order of adding
        np.testing.assert_allclose(distances[row, : len(found)], [exact_ones[one] for one in found], rtol=1e-6)
        if exact:
            assert found == expected

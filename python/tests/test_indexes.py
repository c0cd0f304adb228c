"""Vector indexes against a float64 brute force, and against a dictionary that is changed in the same way."""

import os
import threading
import uuid
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import covertreex
from covertreex.indexes import HNSW, LSH, BruteForce, KDTree, load

MINILM = Path(__file__).resolve().parents[3] / "shared" / "data" / "minilm_11k_f16.npy"
METRICS = ("l2", "sqeuclidean", "ip", "cosine")
EXACT = (BruteForce, KDTree)
ALL = (BruteForce, KDTree, LSH, HNSW)


def sample(n, dim, seed=0):
    return np.random.default_rng(seed).normal(size=(n, dim)).astype(np.float32)


def clustered(n, dim, seed=0):
    rng = np.random.default_rng(seed)
    centers = rng.normal(size=(50, dim))
    return (centers[rng.integers(0, 50, n)] + 0.4 * rng.normal(size=(n, dim))).astype(np.float32)


def oracle(vectors, queries, metric):
    """Distances in float64, of what is kept: unit vectors in float32 for the cosine."""
    x, q = vectors.astype(float), queries.astype(float)
    if metric == "cosine":
        x, q = (
            (a / np.linalg.norm(a, axis=1, keepdims=True)).astype(np.float32).astype(float) for a in (x, q)
        )  # fmt: skip
    if metric == "ip":
        return -q @ x.T
    squared = np.stack([((x - one) ** 2).sum(axis=1) for one in q])
    return {"l2": np.sqrt(squared), "sqeuclidean": squared, "cosine": squared / 2}[metric]


def check_exact(index, vectors, queries, k, metric):
    """Compare a search with the oracle."""
    ids, distances = index.search(queries, k)
    expected = oracle(vectors, queries, metric)
    order = np.argsort(expected, axis=1, kind="stable")[:, :k]
    sorted_ = np.take_along_axis(expected, order, axis=1)
    found = np.isfinite(sorted_)
    scale = np.abs(sorted_[found]).max(initial=1.0)
    np.testing.assert_allclose(distances[:, : order.shape[1]][found], sorted_[found], rtol=3e-7, atol=3e-7 * scale)
    # In float64 ranks are told apart; where they are closer than its rounding, either may come first.
    gaps = np.abs(np.take_along_axis(expected, np.maximum(ids[:, : order.shape[1]], 0), axis=1) - sorted_)
    assert (gaps[found] <= 1e-12 * scale).all()
    assert (ids[:, : order.shape[1]][~found] == -1).all()


def recall(ids, truth):
    return np.mean([len(np.intersect1d(a, b)) for a, b in zip(ids, truth)]) / truth.shape[1]


def truth(vectors, queries, k):
    return np.argsort(oracle(vectors, queries, "sqeuclidean"), axis=1, kind="stable")[:, :k]


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
def test_smaller_storage_is_exact_for_what_is_kept(metric, storage):
    vectors, queries = sample(600, 20), sample(80, 20, 1)
    index = BruteForce(20, metric=metric, storage=storage)
    index.add(None, vectors)
    kept = index.get(range(600))
    given_ = vectors / np.linalg.norm(vectors, axis=1)[:, None] if metric == "cosine" else vectors
    assert 0 < np.abs(kept - given_).max() < 0.05
    distances = index.search(queries, 10)[1]
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
        ids, distances = index.search(queries, 2600)
        assert (ids[:, 2500:] == -1).all() and np.isinf(distances[:, 2500:]).all()


def test_far_from_the_origin_and_duplicates():
    vectors = np.concatenate([sample(300, 6) + 1000, sample(300, 6) + 1000])
    vectors[300:] = vectors[:300]
    for kind in ALL:
        index = kind(6)
        index.add(None, vectors)
        ids, distances = index.search(vectors[:300], 2)
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
        found = index.radius(queries, r)
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
        assert recall(index.search(queries, 10)[0], truth(vectors, queries, 10)) >= floor
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
    assert recall(index.search(queries, 10)[0], expected) >= recall(fresh.search(queries, 10)[0], expected) - 0.01


@pytest.mark.parametrize("metric", METRICS)
def test_all_metrics_are_searched_for(metric):
    vectors, queries = clustered(3000, 24)[:2900], clustered(3000, 24)[2900:]
    expected = np.argsort(oracle(vectors, queries, metric), axis=1)[:, :10]
    for index, floor in (
        (HNSW(24, metric=metric, ef_search=100), 0.95),
        (LSH(24, metric=metric, n_candidates=600), 0.9),
    ):
        index.add(None, vectors)
        ids, distances = index.search(queries, 10)
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
            results.append(index.search(queries, 10, n_threads=n_threads))
        for ids, distances in results[1:]:
            assert (ids == results[0][0]).all() and (distances == results[0][1]).all()


def test_another_seed_is_another_graph_and_the_same_seed_the_same():
    vectors, queries = clustered(3000, 40), clustered(200, 40, 1)
    found = []
    for seed in (0, 0, 1):
        index = HNSW(40, ef_search=10, seed=seed)
        index.add(None, vectors)
        found.append(index.search(queries, 10)[0])
    assert (found[0] == found[1]).all() and (found[0] != found[2]).any()


def test_optimize_changes_no_answer():
    vectors, queries = clustered(3000, 40), clustered(100, 40, 1)
    vectors[1500:1600] = vectors[:100]  # ties
    index = HNSW(40)
    index.add(None, vectors)
    before = index.search(queries, 10)
    index.optimize()
    after = index.search(queries, 10)
    assert (index.ids == np.arange(3000)).all()
    assert (before[0] == after[0]).mean() > 0.99
    ids, _ = index.search(vectors[:100], 2)
    assert (ids == np.stack([np.arange(100), np.arange(1500, 1600)], axis=1)).mean() > 0.98
    index.add(None, sample(10, 40))
    index.remove(range(1000))
    assert len(index) == 2010 and index.search(queries, 5)[0].min() >= 1000


def test_bytes_are_not_used_where_they_would_tell_nothing():
    grid = np.stack(np.meshgrid(*[np.arange(60.0)] * 2), axis=-1).reshape(-1, 2) / 1000 + 5
    vectors = np.concatenate([grid, sample(50, 2) * 1000]).astype(np.float32)
    index = HNSW(2)
    index.add(None, vectors)
    assert recall(index.search(vectors[:400], 4)[0], truth(vectors, vectors[:400], 4)) > 0.95


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
        ids, _ = index.search(queries, 10, filter=given_)
        assert mask[ids].all()
        assert recall(ids, order) >= (1 if kind in EXACT else 0.85)
    lists = index.radius(queries, float(np.quantile(expected[np.isfinite(expected)], 0.05)), filter=mask)
    assert mask[lists.indices].all()
    assert (index.search(queries, 3, filter=[])[0] == -1).all()
    assert (index.search(queries, 3, filter=[-5, 10**12])[0] == -1).all()
    assert (index.search(queries, 3, filter=np.zeros(5, bool))[0] == -1).all()


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
    ids, distances = index.search(queries, 4)
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
            ids, distances = index.search(vectors[:40], 5)
            assert ((ids >= 0) & (ids < 4000)).all() and (np.diff(distances) >= 0).all()
            index.radius(vectors[:3], 0.5)
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
    found = index.search(vectors[left], 1)[0][:, 0]
    assert (found == left).mean() > (0.999 if kind in EXACT else 0.97)


def test_a_callback_that_changes_its_own_index_is_told_so():
    index = BruteForce(8)
    index.add(None, sample(20_000, 8))
    errors = []

    def report(_):
        try:
            index.remove([1])
        except covertreex.CoverTreeError as error:
            errors.append(str(error))

    index.search(sample(30_000, 8, 1), 10, n_threads=1, progress=report)
    assert all("callback" in error for error in errors)


def test_a_cancelled_addition_leaves_the_index_as_it_was():
    vectors = clustered(20_000, 64)
    for kind in (HNSW, LSH):
        index = kind(64)
        index.add(None, vectors[:1000])
        before = index.search(vectors[:50], 10)[0]

        def stop(share):
            raise RuntimeError("enough")

        try:
            index.add(None, vectors[1000:], progress=stop)
        except RuntimeError:
            assert len(index) == 1000
            assert recall(index.search(vectors[:50], 10)[0], before) > 0.97
            index.add(None, vectors[1000:3000])
        assert recall(index.search(vectors[:50], 10)[0], truth(vectors[: len(index)], vectors[:50], 10)) > 0.85


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_after_fork():
    vectors = clustered(3000, 16)
    index = HNSW(16)
    index.add(None, vectors)
    expected = index.search(vectors[:100], 5)[0]
    child = os.fork()
    if child == 0:
        same = (index.search(vectors[:100], 5)[0] == expected).all()
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
        (lambda: index.add(["a"], sample(1, 4)), TypeError, "ids"),
        (lambda: index.add([1.5], sample(1, 4)), TypeError, "ids"),
        (lambda: index.remove([5, 9]), KeyError, "9"),
        (lambda: index.remove([5, 5]), ValueError, "twice"),
        (lambda: index.update([5, 9], sample(2, 4)), KeyError, "9"),
        (lambda: index.update([5], bad[1:2]), ValueError, r"vectors\[0, 2\]"),
        (lambda: index.get(9), KeyError, "9"),
        (lambda: index.search(bad, 1), ValueError, r"queries\[1, 2\]"),
        (lambda: index.search(sample(1, 5), 1), ValueError, "queries"),
        (lambda: index.search(sample(1, 4), 0), ValueError, "k"),
        (lambda: index.search(sample(1, 4), 2**62), (ValueError, MemoryError), None),
        (lambda: index.search_one(sample(1, 4), 1), ValueError, "query"),
        (lambda: index.search(sample(1, 4), 1, filter=["a"]), TypeError, "ids"),
        (lambda: index.search(sample(1, 4), 1, nonsense=3), TypeError, "nonsense"),
        (lambda: index.radius(sample(1, 4), -1.0), ValueError, "r: "),
        (lambda: index.radius(sample(1, 4), float("nan")), ValueError, "r: "),
    ]
    for call, error, message in cases:
        with pytest.raises(error, match=message):
            call()
        assert index.ids.tolist() == [5, 6]
    assert index.add(None, sample(2, 4)).tolist() == [7, 8]
    index.close()
    with pytest.raises(ValueError, match="index: is closed"):
        index.search(sample(1, 4), 1)


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
        index.search(np.zeros((1, 3)), 1)
    assert index.get(1).tolist() == [0, 1, 0]


def test_halves_that_are_too_large_are_refused():
    index = HNSW(2, storage="float16")
    with pytest.raises(ValueError, match="65504"):
        index.add(None, [[70_000.0, 0]])


@pytest.mark.parametrize("kind", ALL)
def test_empty_indexes(kind):
    index = kind(5)
    ids, distances = index.search(sample(3, 5), 2)
    assert (ids == -1).all() and np.isinf(distances).all()
    assert index.search_one(sample(1, 5)[0], 2)[0].tolist() == []
    assert index.radius(sample(2, 5), 3.0).offsets.tolist() == [0, 0, 0]
    assert index.ids.tolist() == [] and len(index) == 0 and 3 not in index
    index.remove([])
    index.rebuild()
    index.clear()
    assert index.search(np.empty((0, 5)), 2)[0].shape == (0, 2)
    index.add(None, np.empty((0, 5)))
    assert len(index) == 0


def test_ids_of_all_kinds():
    index = HNSW(3)
    ids = [uuid.uuid4() for _ in range(5)]
    assert index.add(ids, sample(5, 3)).tolist() == ids
    assert index.add("text", sample(1, 3)[0]).tolist() == ["text"]
    index.add([("a", 1)], sample(1, 3, 4))
    assert index.search(index.get(ids[3])[None], 1)[0].tolist() == [[ids[3]]]
    assert index.search(sample(1, 3), 9)[0][0, -1] is None
    assert index.search(sample(1, 3), 2, filter={ids[0], "unknown"})[0].tolist() == [[ids[0], None]]
    assert ("a", 1) in index and "b" not in index and None not in index
    with pytest.raises(TypeError, match="hashable"):
        index.add([[1, 2]], sample(1, 3))
    with pytest.raises(ValueError, match="no numbers"):
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
    index.search(sample(5, 6), 2)
    stats = index.stats()
    assert (stats.kind, stats.n_vectors, stats.dim, stats.metric) == ("LSH", 300, 6, "l2")
    assert stats.options["n_bits"] == 100 and stats.memory_bytes > 300 * 24 and stats.comparisons > 0
    assert repr(index) == "LSH(n_vectors=300, dim=6, metric='l2')"

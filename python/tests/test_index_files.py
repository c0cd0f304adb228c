"""Indexes in files: what comes back, and what is refused."""

import copy
import pickle
import uuid

import file_reader
import numpy as np
import pytest

import covertreex
from covertreex import CoverTreeError, cover_tree
from covertreex.indexes import HNSW, LSH, BruteForce, KDTree, load

MADE = {
    "brute force": BruteForce,
    "brute force of bytes": lambda dim: BruteForce(dim, storage="int8"),
    "k-d tree": lambda dim: KDTree(dim, leaf_size=16),
    "codes": lambda dim: LSH(dim, n_bits=70),
    "tables": lambda dim: LSH(dim, mode="tables", n_bits=4, n_tables=3),
    "products": lambda dim: LSH(dim, n_bits=70, metric="ip"),
    "graph": lambda dim: HNSW(dim, m=4),
    "graph of halves": lambda dim: HNSW(dim, m=4, storage="float16", rerank=True),
    "graph of bytes": lambda dim: HNSW(dim, m=4, metric="cosine", storage="int8"),
}


@pytest.fixture(params=MADE)
def index(request):
    """An index that has seen additions and removals."""
    made = MADE[request.param](20)
    vectors = np.random.default_rng(0).normal(size=(320, 20)).astype(np.float32)
    made.add(np.arange(300) * 3, vectors[:300])
    made.remove(np.arange(0, 90, 6))
    made.add(None, vectors[300:])
    return made


def queries():
    return np.random.default_rng(1).normal(size=(40, 20)).astype(np.float32)


def same(a, b):
    for one, other in zip(a.knn(6, queries=queries()), b.knn(6, queries=queries())):
        np.testing.assert_array_equal(one, other)
    assert a.ids.tolist() == b.ids.tolist()
    np.testing.assert_array_equal(a.get(a.ids), b.get(a.ids))
    assert (a.metric, a.dim, a.stats().storage, a.stats().options) == (
        b.metric, b.dim, b.stats().storage, b.stats().options,
    )  # fmt: skip


@pytest.mark.parametrize("mmap", [True, False])
@pytest.mark.parametrize("verify", [True, False])
def test_an_index_comes_back_and_goes_on(index, tmp_path, mmap, verify):
    path = tmp_path / "index"
    index.save(path)
    again = type(index).load(path, mmap=mmap, verify=verify)
    same(index, again)
    before = path.read_bytes()
    more = np.random.default_rng(2).normal(size=(200, 20))
    for one in (index, again):
        one.add(None, more)
        one.remove(one.ids[10:150])
        one.update(one.ids[:3], more[:3] + 1)
    same(index, again)
    for one in (index, again):
        one.rebuild()
    same(index, again)
    assert path.read_bytes() == before  # what is mapped is not written to
    same(covertreex.load(path), pickle.loads(pickle.dumps(load(path))))


def test_empty_ones_and_copies(index, tmp_path):
    same(index, copy.deepcopy(index))
    same(index, pickle.loads(pickle.dumps(index)))
    index.clear()
    index.save(tmp_path / "index")
    again = load(tmp_path / "index")
    assert len(again) == 0
    again.add(None, queries())
    assert again.knn(1, queries=queries()[:1])[0].tolist() == [[0]]


def test_python_reads_and_writes_the_file(index, tmp_path):
    index.save(tmp_path / "index")
    data = (tmp_path / "index").read_bytes()
    file = file_reader.read(data)
    assert file.kind == 4 and file_reader.write(file) == data
    assert file.sections["ids"][file.sections["dead"] == 0].tolist() == index.ids.tolist()


def test_ids_of_all_kinds_come_back(tmp_path):
    index = HNSW(20)
    ids = [uuid.UUID(int=7), "text", 12, b"\0\xff", 2**70, "gone"]
    index.add(ids, queries()[:6])
    index.remove("gone")
    index.save(tmp_path / "index")
    again = load(tmp_path / "index")
    assert again.ids.tolist() == ids[:-1] and "gone" not in again
    again.add(["new"], queries()[6:7])
    assert again.knn(1, queries=queries()[6:7])[0].tolist() == [["new"]]


def opened(data, path):
    path.write_bytes(data)
    found = load(path)
    return found.knn(6, queries=queries())


def test_every_flipped_byte_is_an_error(index, tmp_path):
    index.save(tmp_path / "index")
    data = bytearray((tmp_path / "index").read_bytes())
    rng = np.random.default_rng(3)
    positions = np.unique(np.r_[np.arange(0, min(len(data), 2000), 3), rng.integers(0, len(data), 150)])
    for position in positions:
        data[position] ^= 1 << rng.integers(8)
        with pytest.raises((CoverTreeError, ValueError), match=r"^(path|ids|index)"):
            opened(bytes(data), tmp_path / "damaged")
        data[:] = (tmp_path / "index").read_bytes()


def test_opening_reads_no_vectors(tmp_path):
    index = BruteForce(20)
    index.add(None, queries())
    index.save(tmp_path / "index")
    data = bytearray((tmp_path / "index").read_bytes())
    data[-100] ^= 1
    (tmp_path / "index").write_bytes(data)
    opened_only = load(tmp_path / "index")
    assert (opened_only.dim, opened_only.metric) == (20, "l2")
    with pytest.raises(CoverTreeError, match="checksum"):
        opened_only.knn(1, queries=queries())
    with pytest.raises(CoverTreeError, match="checksum"):
        load(tmp_path / "index", verify=True)


def test_truncated_and_foreign_files(index, tmp_path):
    index.save(tmp_path / "index")
    data = (tmp_path / "index").read_bytes()
    for length in (0, 10, 64, 200, len(data) - 64, len(data) - 1):
        with pytest.raises(CoverTreeError, match="path"):
            opened(data[:length], tmp_path / "damaged")
    with pytest.raises(CoverTreeError, match="is not a file of covertree"):
        opened(b"faiss" * 100, tmp_path / "damaged")
    with pytest.raises(CoverTreeError, match="version 2"):
        opened(file_reader.write(file_reader.read(data), version=2), tmp_path / "damaged")
    cover_tree(queries()).save(tmp_path / "tree")
    with pytest.raises(ValueError, match="kind"):
        load(tmp_path / "tree")
    other = BruteForce if not isinstance(index, BruteForce) else HNSW
    with pytest.raises(ValueError, match=f"expected a {other.__name__}"):
        other.load(tmp_path / "index")
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "none")


def test_numbers_that_lead_nowhere_are_not_followed(index, tmp_path):
    """Checksums are right, and what the numbers say is not: a message, or an answer, but no crash."""
    index.save(tmp_path / "index")
    rng = np.random.default_rng(4)
    original = (tmp_path / "index").read_bytes()
    refused = 0
    for name, section in file_reader.read(original).sections.items():
        for _ in range(12):
            file = file_reader.read(original)
            changed = section.copy()
            if changed.size == 0:
                continue
            extremes = (
                [np.nan, np.inf, -1e38, 3e38]
                if changed.dtype.kind == "f"
                else [np.iinfo(changed.dtype).max, np.iinfo(changed.dtype).min, 1, 2, 77, 255]
            )
            changed.flat[rng.integers(changed.size)] = rng.choice(extremes).astype(changed.dtype)
            file.sections[name] = changed
            try:
                (tmp_path / "crafted").write_bytes(file_reader.write(file))
                crafted = load(tmp_path / "crafted")
                crafted.knn(6, queries=queries())
                crafted.radius(3.0, queries=queries()[:2])
                crafted.add(None, queries()) if crafted._ids.is_integral else None
                crafted.remove(crafted.ids[:100])
                crafted.rebuild()
                crafted.knn(6, queries=queries())
            except (CoverTreeError, ValueError, KeyError, OverflowError):
                refused += 1
    assert refused > 20


def test_a_closed_index_cannot_be_saved(tmp_path):
    index = HNSW(3)
    index.close()
    with pytest.raises(ValueError, match="index: is closed"):
        index.save(tmp_path / "index")

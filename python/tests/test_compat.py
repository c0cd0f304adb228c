"""Indexes over a store, by the names of older systems."""

import uuid

import numpy as np
import pytest

from covertreex.compat import BruteForceIndex, HNSWIndex, KDTreeIndex, LSHIndex


class Store:
    def __init__(self, rows):
        self.rows = rows

    def get_vector(self, place):
        return self.rows[place]


@pytest.mark.parametrize("kind", [BruteForceIndex, KDTreeIndex, LSHIndex, HNSWIndex])
@pytest.mark.parametrize("wrap", [Store, lambda rows: rows])
def test_over_a_store(kind, wrap):
    rows = np.random.default_rng(0).normal(size=(60, 5)).astype(np.float32)
    index = kind(wrap(rows), metric="l2")
    assert index.search(rows[0], 3) == [] and index.size == 0 and not index.remove_vector("a")
    ids = [uuid.uuid4() for _ in range(50)]
    for place, one in enumerate(ids):
        index.add_vector(one, place)
    assert index.size() == index.size == len(index) == 50
    found = index.search(rows[7], 4)
    expected = np.linalg.norm(rows[:50] - rows[7], axis=1)
    assert [one for one, _ in found] == [ids[place] for place in np.argsort(expected)[:4]]
    np.testing.assert_allclose([distance for _, distance in found], np.sort(expected)[:4], rtol=1e-6)
    assert index.search(rows[7], 4, distance_threshold=found[1][1]) == found[:2]
    assert index.remove_vector(ids[7]) and not index.remove_vector(ids[7])
    assert ids[7] not in [one for one, _ in index.search(rows[7], 49)]
    index.add_vector(ids[0], 55)  # in place of its own
    assert index.search(rows[55], 1)[0][0] == ids[0]
    rows[3] += 100
    index.rebuild()
    assert index.search(rows[3], 1) == [(ids[3], 0.0)]
    statistics = index.get_statistics()
    assert statistics["size"] == statistics["n_vectors"] == 49
    index.clear()
    assert index.size == 0 and index.search(rows[0], 2) == [] and index.get_statistics()["size"] == 0


@pytest.mark.parametrize("kind", [BruteForceIndex, KDTreeIndex, LSHIndex, HNSWIndex])
def test_a_call_that_fails_changes_nothing(kind):
    vectors = {0: [np.nan, 1, 2], 1: [1.0, 2.0], 2: [3.0, 4.0]}
    index = kind(Store(vectors))
    with pytest.raises(ValueError, match="vectors"):
        index.add_vector("a", 0)  # its dimension would be that of the index
    assert index.size == 0
    index.add_vector("a", 1)
    index.add_vector(2, 2)
    vectors[2] = [np.nan, 0.0]
    with pytest.raises(ValueError, match="vectors"):
        index.rebuild()
    assert index.size == 2
    assert [id for id, _ in index.search([3.0, 4.0], 2)] == [2, "a"]

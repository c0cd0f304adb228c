"""The random order of many rows: a bijection that needs no memory."""

import numpy as np
import pytest

from covertreex._partitions.permutation import Permutation

SIZES = [*range(1, 70), 100, 255, 256, 257, 1000, 1023, 1024, 1025, 4096, 5000, 65_536, 65_537, 100_003]


@pytest.mark.parametrize("seed", [0, 1, 2**64 - 1])
def test_each_index_is_of_one_row(seed):
    for n in SIZES:
        order, rows = Permutation(n, seed), np.arange(n)
        indices = order(rows)
        assert indices.dtype == np.int64
        assert (np.sort(indices) == rows).all()
        assert (order.inverse(indices) == rows).all()
        assert (order(order.inverse(rows)) == rows).all()


def test_large_ranges_need_no_memory(rng):
    for n in (2**31 + 11, 10**12, 2**62, 2**63 - 1):
        order, rows = Permutation(n, 5), rng.integers(0, n, 5000)
        indices = order(rows)
        assert indices.min() >= 0
        assert indices.max() < n
        assert (order.inverse(indices) == rows).all()


def test_shapes_and_kinds_of_rows():
    order = Permutation(50, 3)
    assert order(7) == order([7])[0]
    assert (order(np.arange(50, dtype=np.int32).reshape(5, 10)).ravel() == order(np.arange(50))).all()
    assert order(np.empty(0, np.int64)).shape == (0,)
    for wrong in (-1, 50):
        with pytest.raises(IndexError, match=rf"^rows: expected 0 to 49, got {wrong}"):
            order([3, wrong])
        with pytest.raises(IndexError, match=r"^indices: expected 0 to 49"):
            order.inverse([wrong])


def test_the_seed_decides():
    rows = np.arange(10_000)
    orders = [Permutation(10_000, seed)(rows) for seed in (0, 1, 2)]
    assert (orders[0] == Permutation(10_000, 0)(rows)).all()
    for one, other in zip(orders, orders[1:]):
        assert (one == other).sum() < 20  # one is expected


def chi_square(counts):
    """How far counts are from equal ones, in standard deviations of the sum of squares."""
    expected, freedom = counts.mean(), counts.size - 1
    return (((counts - expected) ** 2 / expected).sum() - freedom) / np.sqrt(2 * freedom)


@pytest.mark.parametrize("n", [100_000, 2**17, 2**17 + 1])
def test_no_order_is_visible(n):
    for seed in range(3):
        indices = Permutation(n, seed)(np.arange(n))
        cells = indices * 16 // n
        for step in (1, 2, 3, 64, 256, 1000):  # pairs of indices of rows that are some steps apart
            pairs = np.bincount(cells[:-step] * 16 + cells[step:], minlength=256)
            assert abs(chi_square(pairs)) < 5, step
        places = np.bincount(np.arange(n) * 16 // n * 16 + cells, minlength=256)
        assert abs(chi_square(places)) < 5
        low_bits = np.bincount((np.arange(n) % 16) * 16 + indices % 16, minlength=256)
        assert abs(chi_square(low_bits)) < 5
        assert abs(np.corrcoef(np.arange(n), indices)[0, 1]) < 5 / np.sqrt(n)
        rises = (np.diff(indices) > 0).sum()
        assert abs(rises - n / 2) < 5 * np.sqrt(n / 12)

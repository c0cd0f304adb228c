"""Input that conversions from and to the formats of other packages refuse."""

import numpy as np
import pytest
from four_points import INFO, LINV, NA, NAN, NNARRAY, ORDER, SETS

from covertreex import vecchia
from covertreex.vecchia import _padding


def changed(values, position, value):
    copy = np.array(values)
    copy[position] = value
    return copy


@pytest.mark.parametrize(
    ("position", "value", "message"),
    [
        ((2, 0), 4, r"nnarray\[2, 0\]: expected 3, the point itself, got 4\.0"),
        ((2, 0), NAN, r"nnarray\[2, 0\]: expected 3, the point itself, got nan"),
        ((0, 1), 1, r"nnarray\[0, 1\]: expected NaN, got 1\.0"),
        ((3, 2), 4, r"nnarray\[3, 2\]: expected NaN or an integer from 1 to 3, got 4\.0"),
        ((3, 2), 0, r"nnarray\[3, 2\]: expected NaN or an integer from 1 to 3, got 0\.0"),
        ((3, 1), 1.5, r"nnarray\[3, 1\]: expected NaN or an integer from 1 to 3, got 1\.5"),
        ((3, 1), -np.inf, r"nnarray\[3, 1\]: expected NaN or an integer from 1 to 3, got -inf"),
        ((3, 1), NA, r"nnarray\[3, 1\]: expected NaN or an integer from 1 to 3, got -2147483648\.0"),
    ],
)
def test_refused_nnarrays(position, value, message):
    wrong = changed(NNARRAY, position, value)
    for call in (vecchia.from_nnarray, lambda wrong: vecchia.from_linv(LINV, wrong)):
        with pytest.raises(ValueError, match=f"^{message}$"):
            call(wrong)


@pytest.mark.parametrize(
    ("position", "value", "message"),
    [
        ((2, 0), 0, r"linv\[2, 0\]: expected 1 / sqrt\(d\) for a finite d above 0, got 0\.0"),
        ((2, 0), -1, r"linv\[2, 0\]: .*got -1\.0"),
        ((2, 0), NAN, r"linv\[2, 0\]: .*got nan"),
        ((2, 0), np.inf, r"linv\[2, 0\]: .*got inf"),
        ((2, 0), 1e-200, r"linv\[2, 0\]: .*got 1e-200"),
        ((3, 2), NAN, r"linv\[3, 2\]: expected a finite number, got nan"),
        ((3, 1), -np.inf, r"linv\[3, 1\]: expected a finite number, got -inf"),
        ((1, 2), 0.5, r"linv\[1, 2\]: expected 0, as nnarray\[1, 2\] is missing, got 0\.5"),
    ],
)
def test_refused_factors(position, value, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        vecchia.from_linv(changed(LINV, position, value), NNARRAY)


@pytest.mark.parametrize(
    ("sets", "order", "message"),
    [
        (changed(SETS, (2, 0), 2), ORDER, r"neighbors\[2, 0\]: expected -1 or a rank below 2, got 2"),
        (changed(SETS, (3, 1), -2), ORDER, r"neighbors\[3, 1\]: expected -1 or a rank below 3, got -2"),
        (changed(SETS, (2, 1), -1), ORDER, r"neighbors\[2\]: expected 2 ranks, got 1"),
        (SETS, [0, 1, 2], r"order: expected every number from 0 to 3 once, got others"),
        (SETS, [0, 1, 2, 2], r"order: expected every number from 0 to 3 once, got others"),
        (SETS, [1, 2, 3, 4], r"order: expected every number from 0 to 3 once, got others"),
    ],
)
def test_refused_sets(sets, order, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        vecchia.to_neighbor_info(sets, order)


def test_more_than_the_integers_of_r(monkeypatch):
    monkeypatch.setattr(_padding, "R_LARGEST", 4)
    with pytest.raises(ValueError, match=r"^neighbors: expected at most 4 ranks, got 5$"):
        vecchia.to_neighbor_info(SETS, ORDER)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("n.neighbors", [2, 2], r"info\['n.neighbors'\]: expected one number from 0 up, got .*"),
        ("n.neighbors", -1, r"info\['n.neighbors'\]: expected one number from 0 up, got .*"),
        ("n.neighbors", 1, r"info\['nn.indx.lu'\]\[6\]: expected 0 to 1, got 2"),
        ("nn.indx", [0, 1, 0, 2], r"info\['nn.indx.lu'\]\[3\]: expected 0 to 2, got 3"),
        ("nn.indx", [0, 1, 0, 2, 3], r"info\['nn.indx'\]\[4\]: expected a rank below 3, got 3"),
        ("nn.indx", [0, -1, 0, 2, 0], r"info\['nn.indx'\]\[1\]: expected a rank below 2, got -1"),
        ("nn.indx", [0, 1.5, 0, 2, 0], r"info\['nn.indx'\]\[1\]: expected an integer, got 1\.5"),
        ("nn.indx", [0, NAN, 0, 2, 0], r"info\['nn.indx'\]\[1\]: expected an integer, got nan"),
        ("nn.indx", [0, 1e300, 0, 2, 0], r"info\['nn.indx'\]\[1\]: expected an integer, got 1e\+300"),
        ("nn.indx.lu", [0, 0, 1, 3], r"info\['nn.indx.lu'\]: expected 8 numbers, got 4"),
        ("nn.indx.lu", [0, 0, 1, -1, 0, 1, 2, 2], r"info\['nn.indx.lu'\]\[3\]: expected 0 to 3, got -1"),
        ("nn.indx.lu", [0, 0, 1, 3, 0, 1, 2, -1], r"info\['nn.indx.lu'\]\[7\]: expected 0 to 2, got -1"),
        ("nn.indx.lu", [0, 0, 1, 3, 1, 1, 2, 2], r"info\['nn.indx.lu'\]\[4\]: expected 0 to 0, got 1"),
        ("ord", [3, 1, 4, 4], r"info\['ord'\]: expected every number from 1 to 4 once, got others"),
        ("ord", [2, 0, 3, 1], r"info\['ord'\]: expected every number from 1 to 4 once, got others"),
        ("ord", [[3, 1, 4, 2]], r"info\['ord'\]: expected one dimension, got shape \(1, 4\)"),
        ("ord", None, r"info\['ord'\]: expected integers, got .*"),
        ("ord", [True], r"info\['ord'\]: expected integers, got dtype bool"),
    ],
)
def test_refused_infos(field, value, message):
    with pytest.raises((TypeError, ValueError), match=f"^{message}$"):
        vecchia.from_neighbor_info({**INFO, field: value})


@pytest.mark.parametrize("field", ["n.neighbors", "nn.indx", "nn.indx.lu", "ord"])
def test_missing_fields(field):
    with pytest.raises(ValueError, match=rf"^info: expected the field '{field}', got '"):
        vecchia.from_neighbor_info({name: value for name, value in INFO.items() if name != field})
    with pytest.raises(ValueError, match=r"^info: expected the field 'n\.neighbors', got no fields$"):
        vecchia.from_neighbor_info({})


@pytest.mark.parametrize(
    ("offsets", "ranks", "message"),
    [
        ([], [], r"offsets: expected at least 1 number, got 0"),
        ([1, 1], [0], r"offsets\[0\]: expected 0, got 1"),
        ([0, 0, 2, 1], [0], r"offsets\[3\]: expected at least 2, got 1"),
        ([0, 0, 2], [0], r"offsets\[2\]: expected 1, got 2"),
        ([0, 0, 1], [0, 0], r"offsets\[2\]: expected 2, got 1"),
        ([0, 0, 1], [1], r"ranks\[0\]: expected a rank below 1, got 1"),
        ([0, 0, 1, 2], [0, -1], r"ranks\[1\]: expected a rank below 2, got -1"),
    ],
)
def test_refused_csr(offsets, ranks, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        vecchia.from_csr(offsets, ranks)

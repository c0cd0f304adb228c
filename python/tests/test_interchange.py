"""Conditioning sets and factors in the formats of other packages."""

import json

import numpy as np
import pytest
import scipy.sparse
from four_points import INFO, LINV, NA, NAN, NNARRAY, ORDER, SETS
from vif_models import COORDS, N, Y, make

from covertreex import vecchia
from covertreex.kernels import Matern12, Matern32
from covertreex.vecchia import VIF, ConditioningSets


def gpgp_product(linv, nnarray, z):
    """Linv times z as GpGp computes it: from the first min(i + 1, k + 1) columns, whatever is in the others."""
    product = np.zeros(len(z))
    for i in range(len(z)):
        for j in range(min(i + 1, nnarray.shape[1])):
            product[i] += z[int(nnarray[i, j]) - 1] * linv[i, j]
    return product


def gpgp_likelihood(linv, nnarray, z):
    white = gpgp_product(linv, nnarray, z)
    return np.log(linv[:, 0]).sum() - 0.5 * (white @ white + len(z) * np.log(2 * np.pi))


def without_neighbours(n):
    return np.empty((n, 0), int)


def test_nnarray_of_four_points():
    nnarray = vecchia.to_nnarray(SETS)
    assert nnarray.dtype == np.float64
    np.testing.assert_array_equal(nnarray, NNARRAY)
    sets = vecchia.from_nnarray(nnarray)
    assert sets.dtype == np.int64
    np.testing.assert_array_equal(sets, SETS)


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.float32, np.float64])
def test_nnarray_of_any_type(dtype):
    missing = NAN if np.issubdtype(dtype, np.floating) else NA
    given = np.where(np.isnan(NNARRAY), missing, NNARRAY).astype(dtype)
    np.testing.assert_array_equal(vecchia.from_nnarray(given), SETS)
    np.testing.assert_array_equal(vecchia.from_nnarray(given.tolist()), SETS)


def test_unsigned_types():
    np.testing.assert_array_equal(vecchia.from_nnarray(np.array([[1], [2]], np.uint8)), without_neighbours(2))
    np.testing.assert_array_equal(vecchia.to_nnarray(np.empty((2, 0), np.uint64)), [[1], [2]])


def test_gaps_are_moved_to_the_end():
    gaps = [[-1, -1, -1], [-1, 0, -1], [1, -1, 0]]
    packed = [[-1, -1, -1], [0, -1, -1], [1, 0, -1]]
    nnarray = [[1, NAN, NAN, NAN], [2, 1, NAN, NAN], [3, 2, 1, NAN]]
    np.testing.assert_array_equal(vecchia.to_nnarray(gaps), nnarray)
    np.testing.assert_array_equal(vecchia.from_nnarray([[1, NAN, NAN], [2, NAN, 1]]), [[-1, -1], [0, -1]])
    model = VIF(COORDS[:3], kernel=Matern32(0.3), noise=0.1, n_inducing=0, neighbors=gaps, ordering="natural")
    again = VIF(COORDS[:3], kernel=Matern32(0.3), noise=0.1, n_inducing=0, neighbors=packed, ordering="natural")
    np.testing.assert_array_equal(vecchia.to_linv(model), vecchia.to_linv(again))


@pytest.mark.parametrize("k", [0, 1, 5, N])
@pytest.mark.parametrize("n_inducing", [0, 7])
def test_round_trips(k, n_inducing):
    model = make(Matern32(0.3), n_neighbors=k, n_inducing=n_inducing)
    nnarray, linv = vecchia.to_nnarray(model.neighbors), vecchia.to_linv(model)
    assert nnarray.shape == linv.shape == (N, min(k, N - 1) + 1)
    assert (linv[np.isnan(nnarray)] == 0).all()
    np.testing.assert_array_equal(vecchia.from_nnarray(nnarray), model.neighbors)
    b, d = vecchia.from_linv(linv, nnarray)
    wanted_b, wanted_d = model.factor()
    assert b.format == "csr" and b.has_sorted_indices and (b.diagonal() == 1).all()
    assert scipy.sparse.triu(b, 1).nnz == 0
    np.testing.assert_array_equal(b.indptr, wanted_b.indptr)
    np.testing.assert_array_equal(b.indices, wanted_b.indices)
    np.testing.assert_allclose(b.data, wanted_b.data, rtol=1e-14)
    np.testing.assert_allclose(d, wanted_d, rtol=1e-14)
    sets, order = vecchia.from_neighbor_info(vecchia.to_neighbor_info(model.neighbors, model.order))
    np.testing.assert_array_equal(sets, model.neighbors)
    np.testing.assert_array_equal(order, model.order)


@pytest.mark.parametrize("k", [0, 1, 5, N])
def test_likelihood_of_linv_and_nnarray(k):
    model = make(Matern32(0.3), n_neighbors=k, n_inducing=0)
    nnarray, linv = vecchia.to_nnarray(model.neighbors), vecchia.to_linv(model)
    wanted = [gpgp_likelihood(linv, nnarray, y[model.order]) for y in Y.T]
    np.testing.assert_allclose(model.log_likelihood(Y), wanted, rtol=1e-12)
    b, d = vecchia.from_linv(linv, nnarray)
    white = b @ Y[model.order] / np.sqrt(d)[:, None]
    wanted = -0.5 * ((white**2).sum(axis=0) + np.log(d).sum() + N * np.log(2 * np.pi))
    np.testing.assert_allclose(model.log_likelihood(Y), wanted, rtol=1e-12)


def test_linv_of_a_markov_process():
    """Equidistant points of an exponential covariance: only the point next to it counts."""
    model = VIF(
        np.arange(4.0)[:, None], kernel=Matern12(1.0), n_inducing=0, ordering="natural",
        neighbors=[[-1, -1], [0, -1], [1, 0], [0, 2]],
    )  # fmt: skip
    r = np.exp(-1)
    s = np.sqrt(1 - r**2)
    wanted = [[1, 0, 0], [1 / s, -r / s, 0], [1 / s, -r / s, 0], [1 / s, 0, -r / s]]
    np.testing.assert_allclose(vecchia.to_linv(model), wanted, atol=1e-14)


def test_factor_of_four_points():
    b, d = vecchia.from_linv(LINV, NNARRAY)
    np.testing.assert_array_equal(b.toarray(), [[1, 0, 0, 0], [-0.5, 1, 0, 0], [0.5, -0.25, 1, 0], [-2, 0, 0.5, 1]])
    np.testing.assert_array_equal(d, [1, 0.25, 0.0625, 4])
    with_nan, _ = vecchia.from_linv(np.where(np.isnan(NNARRAY), NAN, LINV).tolist(), NNARRAY.tolist())
    assert (with_nan != b).nnz == 0


def test_what_gpgp_says_of_its_arrays():
    """The properties that its tests check on the same grid of 15 x 15 points, with 20 neighbours."""
    grid = np.stack(np.meshgrid(np.arange(15.0), np.arange(15.0)), axis=-1).reshape(-1, 2)
    sets = vecchia.neighbors(grid, kernel=Matern32(3.0), m=20, n_inducing=0)
    nnarray = vecchia.to_nnarray(sets.neighbors)
    assert nnarray.shape == (225, 21)
    np.testing.assert_array_equal(nnarray[:, 0], np.arange(1, 226))
    assert not (nnarray[:, 1:] >= nnarray[:, :1]).any()
    np.testing.assert_array_equal(np.isnan(nnarray).sum(axis=1), np.maximum(20 - np.arange(225), 0))


def test_neighbor_info_of_four_points():
    info = vecchia.to_neighbor_info(SETS, ORDER)
    assert list(info) == ["n.neighbors", "nn.indx", "nn.indx.lu", "ord"]
    assert type(info["n.neighbors"]) is int
    assert all(info[name].dtype == np.int32 for name in ("nn.indx", "nn.indx.lu", "ord"))
    written = json.loads(json.dumps(info, default=np.ndarray.tolist))
    assert written == {name: value for name, value in INFO.items() if name != "n.indx"}


@pytest.mark.parametrize(
    "change",
    [
        lambda value: value,
        np.array,
        lambda value: np.array(value, float),  # numbers that R keeps as doubles
        lambda value: np.atleast_1d(value).astype(np.int32),  # vectors of rpy2
        lambda value: json.loads(json.dumps(value)),
    ],
)
def test_neighbor_info_from_elsewhere(change):
    info = {name: value if name == "n.indx" else change(value) for name, value in INFO.items()}
    sets, order = vecchia.from_neighbor_info(info)
    assert sets.dtype == order.dtype == np.int64
    np.testing.assert_array_equal(sets, SETS)
    np.testing.assert_array_equal(order, ORDER)


def test_columns_without_neighbours_are_left_out():
    padded = np.hstack([SETS, np.full((4, 3), -1)])
    info = vecchia.to_neighbor_info(padded, ORDER)
    assert info["n.neighbors"] == 2
    np.testing.assert_array_equal(vecchia.from_neighbor_info(info)[0], SETS)


@pytest.mark.parametrize("n", [0, 1])
@pytest.mark.parametrize("k", [0, 2])
def test_no_points_and_one(n, k):
    sets = np.full((n, k), -1)
    nnarray = vecchia.to_nnarray(sets)
    assert nnarray.shape == (n, k + 1)
    np.testing.assert_array_equal(vecchia.from_nnarray(nnarray), sets)
    b, d = vecchia.from_linv(np.nan_to_num(nnarray), nnarray)
    assert b.shape == (n, n) and d.tolist() == [1] * n
    again, order = vecchia.from_neighbor_info(vecchia.to_neighbor_info(sets, range(n)))
    assert again.shape == (n, 0) and order.tolist() == list(range(n))
    assert vecchia.from_csr([0] * (n + 1), []).shape == (n, 0)


def test_csr():
    sets = vecchia.from_csr([0, 0, 1, 3, 5], [0, 1, 0, 2, 0])
    assert sets.dtype == np.int64
    np.testing.assert_array_equal(sets, SETS)
    found = vecchia.neighbors(COORDS, kernel=Matern32(0.3), m=4, n_inducing=5)
    np.testing.assert_array_equal(vecchia.from_csr(*found.to_csr()), found.neighbors)
    ragged = ConditioningSets(ORDER, np.argsort(ORDER), np.array([[-1, -1], [0, -1], [-1, -1], [0, 2]]), None, "")
    np.testing.assert_array_equal(vecchia.from_csr(*ragged.to_csr()), ragged.neighbors)

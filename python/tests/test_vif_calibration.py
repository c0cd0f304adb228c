"""Factors of predicted variances by leave-one-out errors."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from scipy.stats import norm
from vif_models import COORDS, N, Y, make

from covertreex import vecchia
from covertreex.kernels import Matern32
from covertreex.vecchia import VIF, calibrate, scores

SCALES = (0.2, 0.5)
SIZES = (25, 50, 100, 200, 400)


def by_definition(model, y, new, size):
    mean, variance = model.leave_one_out(y)
    squares = (y - mean) ** 2 / variance
    scaled = [np.asarray(one) / model.kernel.lengthscale for one in (new, model._coords)]
    near = np.argsort(cdist(*scaled), axis=1, kind="stable")[:, :size]
    return (squares[near].sum(axis=1) + squares.mean()) / (size + 1)


def gain_by_definition(model, y, size):
    """Of the log score, when each datum is corrected by the others."""
    mean, variance = model.leave_one_out(y)
    squares = (y - mean) ** 2 / variance
    distances = cdist(*[model._coords / model.kernel.lengthscale] * 2)
    np.fill_diagonal(distances, np.inf)
    near = np.argsort(distances, axis=1, kind="stable")[:, :size]
    factors = np.full(len(y), squares.mean())
    if size is not None:
        factors = (squares[near].sum(axis=1) + squares.mean()) / (size + 1)
    density = [norm.logpdf(y, mean, np.sqrt(variance * one)).mean() for one in (factors, 1)]
    return density[0] - density[1]


@pytest.fixture(scope="module")
def uneven():
    """A response whose noise is 4 times as large, in standard deviation, on the right."""
    generator = np.random.default_rng(3)
    coords, new = generator.random((2, 1500, 2))
    deviation = [np.where(one[:, 0] < 0.5, 0.1, 0.4) for one in (coords, new)]
    signal = [np.sin(4 * one[:, 1]) for one in (coords, new)]
    y, new_y = (f + d * generator.standard_normal(1500) for f, d in zip(signal, deviation))
    model = VIF(coords, kernel=Matern32(SCALES, 0.5), noise=0.085, n_neighbors=10, n_inducing=30, seed=1)
    return model, y, new, new_y


def test_factors_are_means_of_squares_of_near_data(uneven):
    model, y, new, _ = uneven
    found = calibrate(model, y)
    assert found.n_neighbors in SIZES
    np.testing.assert_allclose(found.factors(new), by_definition(model, y, new, found.n_neighbors), rtol=1e-10)


def test_the_number_of_near_data_has_the_best_log_score(uneven):
    model, y, *_ = uneven
    found = calibrate(model, y)
    assert tuple(found.gains) == (*SIZES, None)
    for size, gain in found.gains.items():
        np.testing.assert_allclose(gain, gain_by_definition(model, y, size), rtol=1e-8, atol=1e-12)
    assert found.gains[found.n_neighbors] == max(found.gains.values()) > 0.2


def test_intervals_contain_what_they_should_on_both_sides(uneven):
    model, y, new, new_y = uneven
    mean, variance = model.predict(new, y, return_var=True)
    corrected = variance * calibrate(model, y).factors(new)
    for side in (new[:, 0] < 0.45, new[:, 0] > 0.55):
        before, after = (scores(new_y[side], mean[side], one[side]).coverage for one in (variance, corrected))
        assert abs(before[0.5] - 0.5) > 0.1
        for level, share in after.items():
            assert abs(share - level) < 0.06, (level, share)


def test_a_response_of_the_model_itself_needs_hardly_any():
    generator = np.random.default_rng(5)
    coords = generator.random((2000, 2))
    model = VIF(coords, kernel=Matern32(0.3), noise=0.1, n_neighbors=10, n_inducing=30)
    found = calibrate(model, model.sample(seed=0)[0])
    assert found.n_neighbors in (400, None)
    assert abs(found.overall - 1) < 0.1
    assert np.abs(found.factors(generator.random((50, 2))) - 1).max() < 0.25


def test_few_data_have_one_factor():
    model = make(Matern32(0.3), coords=COORDS[:20], n_inducing=5)
    y = Y[:20, 0]
    found = calibrate(model, y)
    assert found.n_neighbors is None and set(found.gains) == {None}
    mean, variance = model.leave_one_out(y)
    np.testing.assert_allclose(found.factors(COORDS), np.full(N, ((y - mean) ** 2 / variance).mean()))


def test_errors_of_0_change_nothing():
    found = calibrate(make(Matern32(0.3)), np.zeros(N))
    assert found.factors(COORDS).tolist() == [1.0] * N


def test_a_trend_counts():
    model = make(Matern32(0.3))
    y, design = 100 + 50 * COORDS[:, 0] + Y[:, 0], np.column_stack([np.ones(N), COORDS])
    mean, variance = model.leave_one_out(y, trend=design)
    assert calibrate(model, y, trend=design).overall == pytest.approx(((y - mean) ** 2 / variance).mean())


def test_blocks_and_threads_do_not_matter(uneven, monkeypatch):
    model, y, new, _ = uneven
    whole = calibrate(model, y, n_threads=1)
    monkeypatch.setattr(vecchia._calibration, "_BLOCK", 100)
    parts = calibrate(model, y, n_threads=3)
    np.testing.assert_allclose(list(parts.gains.values()), list(whole.gains.values()))
    np.testing.assert_array_equal(parts.factors(new), whole.factors(new))

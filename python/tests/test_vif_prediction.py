"""Predictions, draws and trends of the VIF model."""

import dataclasses

import numpy as np
import pytest
import vif_oracle as oracle
from gpboost_data import PLANE, PLANE_Y
from scipy.stats import norm
from vif_models import COORDS, KERNELS, NOISE, N, Y, dense, every_kernel, every_noise, make, sklearn_process, with_nan

from covertreex import set_num_threads
from covertreex.kernels import Matern12, Matern32, Matern52

NEW = np.random.default_rng(33).random((9, 2))
Q = len(NEW)
ALL = N + Q  # neighbours: every point has all the others
EVERYTHING = [np.arange(N)] * Q
NOTHING = [np.zeros(0, int)] * Q


def nearest_of_all(exact, k):
    """The nearest of the data and of earlier new points."""
    larger = dataclasses.replace(
        exact, coords=np.concatenate([COORDS, NEW]), order=np.concatenate([exact.order, np.arange(N, N + Q)])
    )
    return oracle.nearest(larger, NEW, np.arange(N, N + Q), k)


@pytest.mark.parametrize("n_inducing", [0, 7])
@every_kernel
def test_prediction_from_the_nearest_neighbours(kernel, n_inducing):
    model = make(kernel, n_inducing=n_inducing)
    exact = dense(model, kernel)
    sets = oracle.nearest_to(exact, NEW, 5)
    for latent in (False, True):
        mean, variance = model.predict(NEW, Y[:, 0], return_var=True, latent=latent)
        wanted, spread = oracle.predict(exact, NEW, Y[:, 0], sets, latent)
        np.testing.assert_allclose(mean, wanted, rtol=1e-8, atol=1e-9)
        np.testing.assert_allclose(variance, spread, rtol=1e-8)


@pytest.mark.parametrize(("n_neighbors", "sets"), [(0, NOTHING), (ALL, EVERYTHING)], ids=["none", "all"])
@every_kernel
def test_prediction_without_neighbours_and_from_all(kernel, n_neighbors, sets):
    model = make(kernel, n_neighbors=n_neighbors)
    mean, variance = model.predict(NEW, Y[:, 0], return_var=True)
    wanted, spread = oracle.predict(dense(model, kernel), NEW, Y[:, 0], sets)
    np.testing.assert_allclose(mean, wanted, rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(variance, spread, rtol=1e-8)


@every_kernel
def test_other_numbers_of_neighbours(kernel):
    model, wide = make(kernel), make(kernel)
    wide.n_neighbors = 12
    for options in ({"return_var": True}, {"return_cov": True}):
        found, wanted = model.predict(NEW, Y, n_neighbors=12, **options), wide.predict(NEW, Y, **options)
        for one, other in zip(found, wanted):
            np.testing.assert_array_equal(one, other)
        assert (found[0] != model.predict(NEW, Y, **options)[0]).any()
    draws = [one.sample(2, y=Y[:, 0], coords=NEW, n_neighbors=12, seed=1) for one in (model, wide)]
    np.testing.assert_array_equal(*draws)
    exact = dense(model, kernel)
    wanted, spread = oracle.predict(exact, NEW, Y[:, 0], oracle.nearest_to(exact, NEW, 12))
    mean, variance = model.predict(NEW, Y[:, 0], return_var=True, n_neighbors=12)
    np.testing.assert_allclose(mean, wanted, rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(variance, spread, rtol=1e-8)


def test_noise_of_each_point_counts():
    kernel = Matern52((0.2, 0.5), 1.7)
    model = make(kernel, NOISE)
    exact = dense(model, kernel, NOISE)
    mean, variance = model.predict(NEW, Y[:, 0], return_var=True, latent=True)
    wanted, spread = oracle.predict(exact, NEW, Y[:, 0], oracle.nearest_to(exact, NEW, 5), latent=True)
    np.testing.assert_allclose(mean, wanted, rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(variance, spread, rtol=1e-8)


@pytest.mark.parametrize("n_inducing", [0, 7])
@every_kernel
def test_with_all_neighbours_it_predicts_as_sklearn(kernel, n_inducing):
    process = sklearn_process(kernel, 0.1, Y[:, 0])
    wanted, spread = process.predict(NEW, return_cov=True)
    model = make(kernel, n_neighbors=ALL, n_inducing=n_inducing)
    mean, covariance = model.predict(NEW, Y[:, 0], return_cov=True)
    np.testing.assert_allclose(mean, wanted, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(covariance, spread, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(model.predict(NEW, Y[:, 0], return_var=True)[1], np.diag(spread), rtol=1e-8)


@every_kernel
def test_joint_covariance_without_neighbours(kernel):
    model = make(kernel, n_neighbors=0)
    for latent in (False, True):
        mean, covariance = model.predict(NEW, Y[:, 0], return_cov=True, latent=latent)
        wanted, spread = oracle.predict_jointly(dense(model, kernel), NEW, Y[:, 0], NOTHING, latent)
        np.testing.assert_allclose(mean, wanted, rtol=1e-8, atol=1e-9)
        np.testing.assert_allclose(covariance, spread, rtol=1e-8, atol=1e-10)


@every_kernel
def test_joint_covariance_has_new_points_among_the_neighbours(kernel):
    model = make(kernel)
    exact = dense(model, kernel)
    wanted, spread = oracle.predict_jointly(exact, NEW, Y[:, 0], nearest_of_all(exact, 5))
    mean, covariance = model.predict(NEW, Y[:, 0], return_cov=True)
    np.testing.assert_allclose(mean, wanted, rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(covariance, spread, rtol=1e-8, atol=1e-10)
    np.testing.assert_array_equal(covariance, covariance.T)


@pytest.mark.parametrize("n_neighbors", [0, 5, ALL])
def test_variance_of_the_latent_process_lacks_the_noise(n_neighbors):
    model = make(Matern32(0.3, 1.7), 0.25, n_neighbors=n_neighbors)
    mean, variance = model.predict(NEW, Y[:, 0], return_var=True)
    latent_mean, latent = model.predict(NEW, Y[:, 0], return_var=True, latent=True)
    np.testing.assert_array_equal(mean, latent_mean)
    np.testing.assert_allclose(variance - latent, 0.25, rtol=1e-12)
    assert (latent > 0).all()


def test_results_are_those_that_were_asked_for():
    model = make(Matern32(0.3))
    mean = model.predict(NEW, Y[:, 0])
    assert isinstance(mean, np.ndarray) and mean.shape == (Q,)
    for options in ({"return_var": True}, {"return_var": True, "latent": True}):
        np.testing.assert_array_equal(model.predict(NEW, Y[:, 0], **options)[0], mean)
    assert model.predict(NEW, Y[:, 0], return_var=True)[1].shape == (Q,)
    assert model.predict(NEW, Y[:, 0], return_cov=True)[1].shape == (Q, Q)


def test_predictions_of_several_responses():
    model = make(Matern32((0.2, 0.5), 1.7))
    means, variance = model.predict(NEW, Y, return_var=True)
    assert means.shape == (Q, 3) and variance.shape == (Q,)
    for mean, y in zip(means.T, Y.T):
        np.testing.assert_allclose(mean, model.predict(NEW, y), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("n_new", [0, 1])
def test_few_new_points(n_new):
    model = make(Matern32(0.3))
    mean, variance = model.predict(NEW[:n_new], Y[:, 0], return_var=True)
    assert mean.shape == variance.shape == (n_new,)
    np.testing.assert_allclose(mean, model.predict(NEW, Y[:, 0])[:n_new], rtol=1e-12)
    assert model.predict(NEW[:n_new], Y, return_cov=True)[1].shape == (n_new, n_new)


@pytest.mark.parametrize("n_neighbors", [5, ALL])
@pytest.mark.parametrize("n_inducing", [0, 7])
def test_without_noise_predictions_at_the_data_are_the_data(n_inducing, n_neighbors):
    model = make(Matern12(0.3, 1.7), 0.0, n_inducing=n_inducing, n_neighbors=n_neighbors)
    mean, variance = model.predict(COORDS, Y[:, 0], return_var=True)
    np.testing.assert_allclose(mean, Y[:, 0], atol=1e-6)
    np.testing.assert_allclose(variance, 0, atol=1e-8)
    assert (variance >= 0).all()


@pytest.mark.parametrize("n_inducing", [0, 7])
def test_with_noise_predictions_at_the_data_are_smoothed(n_inducing):
    kernel = Matern52((0.2, 0.5), 1.7)
    model = make(kernel, n_inducing=n_inducing, n_neighbors=ALL)
    mean, variance = model.predict(COORDS, Y[:, 0], return_var=True, latent=True)
    joint = kernel(COORDS)
    weights = np.linalg.solve(joint + 0.1 * np.eye(N), joint)
    np.testing.assert_allclose(mean, weights.T @ Y[:, 0], rtol=1e-7, atol=1e-8)
    np.testing.assert_allclose(variance, np.diag(joint - weights.T @ joint), rtol=1e-7)


def test_far_away_the_prior_is_predicted():
    model = make(Matern32(0.3, 1.7))
    mean, variance = model.predict(NEW + 1e4, Y[:, 0], return_var=True)
    np.testing.assert_allclose(mean, 0, atol=1e-12)
    np.testing.assert_allclose(variance, 1.8, rtol=1e-12)


@pytest.mark.parametrize("size", [1, 2])
def test_predictions_from_one_or_two_points(size):
    kernel = Matern32(0.3, 1.7)
    model = make(kernel, coords=COORDS[:size], n_inducing=0)
    mean, variance = model.predict(NEW, Y[:size, 0], return_var=True)
    across = kernel(COORDS[:size], NEW)
    weights = np.linalg.solve(kernel(COORDS[:size]) + 0.1 * np.eye(size), across)
    np.testing.assert_allclose(mean, Y[:size, 0] @ weights, rtol=1e-9)
    np.testing.assert_allclose(variance, 1.8 - (across * weights).sum(axis=0), rtol=1e-9)


@pytest.mark.usefixtures("default_threads")
def test_predictions_and_draws_are_the_same_for_any_number_of_threads(rng):
    coords, new, y = rng.random((1200, 3)), rng.random((300, 3)), rng.standard_normal(1200)
    results = []
    for n_threads in (1, 2, 5):
        set_num_threads(n_threads)
        model = make(Matern32((0.2, 0.3, 0.4)), coords=coords, n_neighbors=12, n_inducing=40)
        draws = model.sample(2, seed=5), model.sample(2, y=y, coords=new[:50], seed=5)
        covariance = model.predict(new[:50], y, return_cov=True)[1]
        results.append([*model.predict(new, y, return_var=True), covariance, *draws])
    for other in results[1:]:
        for one, another in zip(results[0], other):
            np.testing.assert_array_equal(one, another)


def test_predictions_of_the_tests_of_gpboost():
    new = np.array([[0.1, 0.9], [0.2, 0.4], [0.7, 0.55]])
    options = {"coords": PLANE, "n_inducing": 0, "ordering": "natural", "neighbors": "euclidean"}
    model = make(Matern12(0.9, 1.2), 0.02, **options, n_neighbors=102)
    mean, covariance = model.predict(new, PLANE_Y, return_cov=True)
    np.testing.assert_allclose(mean, [0.08704577, 1.63875604, 0.48513581], atol=1e-7)
    upper = [1.189093e-01, 1.171632e-05, -4.172444e-07, 7.427727e-02, 1.492859e-06, 8.107455e-02]
    np.testing.assert_allclose(covariance[np.triu_indices(3)], upper, atol=1e-7)
    new = np.array([[0.1, 0.9], [0.10001, 0.90001], [0.7, 0.55]])
    model = make(Matern12(0.11378505, 1.07691542), 0.03297349, **options, n_neighbors=30)
    mean, variance = model.predict(new, PLANE_Y, return_var=True)
    np.testing.assert_allclose(mean, [0.06968068, 0.06967750, 0.44208925], atol=1e-6)
    np.testing.assert_allclose(variance, [0.6214955, 0.6215069, 0.4199531], atol=1e-6)


@pytest.mark.parametrize(
    ("new", "y", "error", "message"),
    [
        (with_nan(NEW, 2, 1), Y[:, 0], ValueError, r"^new\[2, 1\]: expected a finite number, got nan"),
        (NEW[:, :1], Y[:, 0], ValueError, r"^new: expected .*\b2\b.*got .*1"),
        (NEW[0], Y[:, 0], ValueError, r"^new: expected .*got .*\(2,\)"),
        (NEW, Y[:-1, 0], ValueError, r"^y: expected .*\b60\b.*got .*\b59\b"),
        (NEW, with_nan(Y[:, 0], 3), ValueError, r"^y\[3\]: expected a finite number, got nan"),
    ],
)
def test_refused_new_points(new, y, error, message):
    with pytest.raises(error, match=message):
        make(Matern32(0.3)).predict(new, y)


def assert_moments(draws, mean, covariance):
    """Mean and covariance of draws of a normal distribution, within six standard errors."""
    size, spread = len(draws), np.diag(covariance)
    assert (np.abs(draws.mean(axis=0) - mean) <= 6 * np.sqrt(spread / size)).all()
    error = np.sqrt((covariance**2 + np.outer(spread, spread)) / size)
    assert (np.abs(np.cov(draws.T) - covariance) <= 6 * error).all()


@every_noise
@pytest.mark.parametrize(("n_inducing", "n_neighbors"), [(7, 5), (7, 0), (0, 5), (7, ALL)])
def test_draws_have_the_covariance_of_the_model(n_inducing, n_neighbors, noise):
    kernel = Matern52((0.2, 0.5), 1.7)
    model = make(kernel, noise, n_inducing=n_inducing, n_neighbors=n_neighbors)
    draws = model.sample(20_000, seed=0)
    assert draws.shape == (20_000, N)
    assert_moments(draws, np.zeros(N), oracle.covariance(dense(model, kernel, noise)))


@pytest.mark.parametrize(("n_inducing", "n_neighbors"), [(7, 5), (7, 0), (0, 5), (7, ALL)])
def test_draws_given_the_data_are_those_of_the_prediction(n_inducing, n_neighbors):
    model = make(Matern52((0.2, 0.5), 1.7), n_inducing=n_inducing, n_neighbors=n_neighbors)
    draws = model.sample(20_000, y=Y[:, 0], coords=NEW, seed=0)
    assert draws.shape == (20_000, Q)
    assert_moments(draws, *model.predict(NEW, Y[:, 0], return_cov=True))


def test_one_seed_gives_one_draw():
    model = make(Matern52(0.3))
    for options in ({}, {"y": Y[:, 0], "coords": NEW}):
        first = model.sample(3, seed=1, **options)
        np.testing.assert_array_equal(first, model.sample(3, seed=1, **options))
        assert (first != model.sample(3, seed=2, **options)).all()
        assert len(np.unique(first)) == first.size
    assert model.sample(0, seed=1).shape == (0, N)


def test_a_draw_is_of_the_points_in_their_order():
    """Each point is recognised by its noise."""
    noise = np.where(np.arange(N) % 7 == 0, 1e4, 1e-4)
    model = make(Matern32(0.3), noise, ordering="random")
    loud = np.abs(model.sample(200, seed=0)).mean(axis=0) > 10
    np.testing.assert_array_equal(loud, noise > 1)


@pytest.mark.parametrize(
    ("size", "options", "error", "message"),
    [
        (-1, {}, ValueError, r"^size: expected at least 0, got -1"),
        (2.5, {}, TypeError, r"^size: expected an integer, got 2\.5"),
        (3, {"seed": -1}, ValueError, r"^seed: expected .*got -1"),
        (3, {"y": Y[:-1, 0], "coords": NEW}, ValueError, r"^y: expected .*\b60\b.*got .*\b59\b"),
        (3, {"y": Y[:, 0], "coords": with_nan(NEW, 2, 1)}, ValueError, r"^coords\[2, 1\]: expected .*got nan"),
    ],
)
def test_refused_draws(size, options, error, message):
    with pytest.raises(error, match=message):
        make(Matern32(0.3)).sample(size, **{"seed": 0, **options})


DESIGN = np.column_stack([np.ones(N), COORDS, np.sin(9 * COORDS[:, 0])])
TRENDED = Y + (DESIGN @ [2.0, -1.0, 3.0, 0.5])[:, None]


@every_noise
@every_kernel
def test_trend_is_that_of_generalised_least_squares(kernel, noise):
    model = make(kernel, noise)
    coefficients, covariance = model.trend(TRENDED[:, 0], DESIGN)
    wanted, spread = oracle.generalised_least_squares(dense(model, kernel, noise), TRENDED[:, 0], DESIGN)
    np.testing.assert_allclose(coefficients, wanted, rtol=1e-7, atol=1e-8)
    np.testing.assert_allclose(covariance, spread, rtol=1e-7, atol=1e-9)
    several, same = model.trend(TRENDED, DESIGN)
    assert several.shape == (4, 3)
    np.testing.assert_allclose(several[:, 0], coefficients, rtol=1e-9)
    np.testing.assert_allclose(same, covariance, rtol=1e-12)


def test_trend_without_correlation_is_that_of_least_squares():
    model = make(Matern12(1e-6, 0.4), 0.6, n_inducing=0)
    coefficients, covariance = model.trend(TRENDED[:, 0], DESIGN)
    np.testing.assert_allclose(coefficients, np.linalg.lstsq(DESIGN, TRENDED[:, 0], rcond=None)[0], rtol=1e-9)
    np.testing.assert_allclose(covariance, np.linalg.inv(DESIGN.T @ DESIGN), rtol=1e-9)


def test_trend_without_error_is_found():
    y = DESIGN @ [2.0, -1.0, 3.0, 0.5]
    np.testing.assert_allclose(make(Matern52(0.3)).trend(y, DESIGN)[0], [2, -1, 3, 0.5], rtol=1e-8)


@pytest.mark.parametrize("kernel", KERNELS[4:6])
def test_likelihood_of_a_profiled_trend(kernel):
    model = make(kernel)
    exact = dense(model, kernel)
    rest = TRENDED[:, 0] - DESIGN @ oracle.generalised_least_squares(exact, TRENDED[:, 0], DESIGN)[0]
    value, gradient = model.log_likelihood(TRENDED[:, 0], trend=DESIGN, eval_gradient=True)
    np.testing.assert_allclose(value, oracle.log_likelihood(exact, rest), rtol=1e-9)
    # The likelihood has its maximum in the coefficients, so their change does not count.
    np.testing.assert_allclose(gradient, oracle.gradient(exact, rest), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("design", "message"),
    [
        (DESIGN[:-1], r"^(design|trend): expected .*\b60\b.*got .*\b59\b"),
        (with_nan(DESIGN, 5, 1), r"^(design|trend)\[5, 1\]: expected a finite number, got nan"),
        (DESIGN[:, [0, 1, 0]], r"^(design|trend): expected .*got "),
    ],
)
def test_refused_trends(design, message):
    with pytest.raises(ValueError, match=message):
        make(Matern32(0.3)).trend(Y[:, 0], design)


@pytest.mark.parametrize(("n_inducing", "n_neighbors"), [(30, 10), (0, 10)])
def test_intervals_cover_their_share(n_inducing, n_neighbors):
    """Fields of the exact process, and its intervals by the approximation."""
    kernel, noise, n, fields = Matern32((0.3, 0.6), 1.5), 0.3, 200, 25
    rng = np.random.default_rng(40)
    inside = []
    for _ in range(fields):
        coords = rng.random((n + 100, 2))
        joint = np.linalg.cholesky(kernel(coords) + noise * np.eye(n + 100))
        y = joint @ rng.standard_normal(n + 100)
        model = make(kernel, noise, coords[:n], n_inducing=n_inducing, n_neighbors=n_neighbors)
        mean, variance = model.predict(coords[n:], y[:n], return_var=True)
        inside.append(np.abs(y[n:] - mean) / np.sqrt(variance))
    for share in (0.5, 0.8, 0.95):
        found = (np.array(inside) < norm.ppf((1 + share) / 2)).mean()
        assert abs(found - share) < 0.03, (share, found)

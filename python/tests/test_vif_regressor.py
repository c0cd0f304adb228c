"""Regressors for scikit-learn over Vecchia approximations."""

import copy
import io
import pickle
import warnings

import numpy as np
import pytest

pytest.importorskip("sklearn")
import joblib
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_param_validation, parametrize_with_checks

from covertreex import vecchia
from covertreex.kernels import Matern32, Matern52
from covertreex.sklearn import VecchiaRegressor, VIFRegressor
from covertreex.vecchia import VIF

N = 60
generator = np.random.default_rng(0)
X = generator.random((N, 2))
Y = 3 + np.sin(6 * X[:, 0]) + X[:, 1] ** 2 + 0.2 * generator.standard_normal(N)
WEIGHTS = generator.uniform(0.5, 2, N)
NEW = generator.random((9, 2))
SMALL = {"n_neighbors": 8, "n_inducing": 10}

every_regressor = pytest.mark.parametrize(
    "regressor", [VIFRegressor(**SMALL), VecchiaRegressor(n_neighbors=8)], ids=["VIF", "Vecchia"]
)


def exact(**options):
    """A regressor that is the process itself."""
    return VIFRegressor(**{"n_neighbors": 200, "n_inducing": 7, **options})


def dense(model, coords=X, y=Y, weights=None, new=NEW):
    """Mean and latent covariance at new points, of the process with the hyperparameters of a regressor."""
    kernel, noise = model.kernel_, model.noise_ / (np.ones(len(y)) if weights is None else weights)
    across = kernel(coords, new)
    weighted = np.linalg.solve(kernel(coords) + np.diag(noise), across)
    return model.intercept_ + weighted.T @ (y - model.intercept_), kernel(new) - across.T @ weighted


def expected_failures(_):
    return {
        "check_sample_weight_equivalence_on_dense_data": "weights are precisions: two equal observations tell the size "
        "of the noise, and one of twice the precision does not"
    }


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@parametrize_with_checks(
    [VIFRegressor(**SMALL), VecchiaRegressor(n_neighbors=5)], expected_failed_checks=expected_failures
)
def test_checks_of_scikit_learn(estimator, check):
    check(estimator)


@every_regressor
def test_parameters_are_checked(regressor):
    check_param_validation(type(regressor).__name__, regressor)


@every_regressor
def test_it_is_the_fit_of_the_centred_targets(regressor):
    model = clone(regressor).fit(X, Y)
    options = {"n_inducing": 10, "inducing_points": "kmeans++", "ordering": "random"}
    if isinstance(regressor, VecchiaRegressor) and not isinstance(regressor, VIFRegressor):
        options = {"n_inducing": 0, "neighbors": "euclidean"}
    found = vecchia.fit(X, Y - Y.mean(), n_neighbors=8, **options)
    np.testing.assert_array_equal(model.theta_, found.theta)
    assert model.kernel_ == found.kernel and model.noise_ == found.noise and model.n_iter_ == found.n_iterations
    assert model.intercept_ == Y.mean()
    assert model.log_marginal_likelihood_value_ == found.log_likelihood
    assert [step.log_likelihood for step in model.history_] == [step.log_likelihood for step in found.history]
    np.testing.assert_array_equal(model.bounds_, found.bounds)
    mean, variance = found.model.predict(NEW, Y - Y.mean(), n_neighbors=16, return_var=True)
    ours, std = model.predict(NEW, return_std=True)
    np.testing.assert_allclose(ours, mean + Y.mean(), rtol=1e-12)
    np.testing.assert_allclose(std**2, variance, rtol=1e-12)


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["plain", "weights"])
def test_predictions_are_those_of_the_process(weights):
    model = exact().fit(X, Y, sample_weight=weights)
    mean, covariance = dense(model, weights=weights)
    np.testing.assert_allclose(model.predict(NEW), mean, rtol=1e-5)
    np.testing.assert_allclose(model.predict(NEW, return_std=True, latent=True)[1] ** 2, np.diag(covariance), rtol=1e-4)
    np.testing.assert_allclose(model.predict(NEW, return_cov=True, latent=True)[1], covariance, atol=1e-5)
    whole = covariance + model.noise_ * np.eye(len(NEW))
    np.testing.assert_allclose(model.predict(NEW, return_std=True)[1] ** 2, np.diag(whole), rtol=1e-5)
    np.testing.assert_allclose(model.predict(NEW, return_cov=True)[1], whole, atol=1e-5)
    np.testing.assert_allclose(model.score(X, Y), 1 - ((Y - model.predict(X)) ** 2).mean() / Y.var())


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["plain", "weights"])
def test_draws_have_the_predicted_moments(weights):
    model = exact().fit(X, Y, sample_weight=weights)
    draws = model.sample_y(NEW, 20_000, random_state=1)
    assert draws.shape == (len(NEW), 20_000)
    mean, covariance = model.predict(NEW, return_cov=True)
    np.testing.assert_allclose(draws.mean(axis=1), mean, atol=5 * np.sqrt(np.diag(covariance).max() / 20_000))
    np.testing.assert_allclose(np.cov(draws), covariance, atol=0.05 * np.diag(covariance).max())
    np.testing.assert_array_equal(model.sample_y(NEW, 2, random_state=1), model.sample_y(NEW, 2, random_state=1))
    assert (model.sample_y(NEW, 2, random_state=1) != model.sample_y(NEW, 2, random_state=2)).all()


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["plain", "weights"])
@every_regressor
def test_log_marginal_likelihood(regressor, weights):
    model = clone(regressor).fit(X, Y, sample_weight=weights)
    np.testing.assert_allclose(model.log_marginal_likelihood(), model.log_marginal_likelihood_value_, rtol=1e-12)
    theta = model.theta_ + [0.3, -0.2, 0.1, 0.2]
    value, gradient = model.log_marginal_likelihood(theta, eval_gradient=True)
    kernel = Matern32(np.exp(theta[2:]), np.exp(theta[1]))
    noise = np.exp(theta[0]) / (1.0 if weights is None else weights)
    other = model.model_.with_parameters(kernel=kernel, noise=noise)
    np.testing.assert_allclose(value, other.log_likelihood(Y - model.intercept_), rtol=1e-12)
    for index, step in enumerate(1e-5 * np.eye(4)):
        ends = [model.log_marginal_likelihood(theta + sign * step) for sign in (1, -1)]
        np.testing.assert_allclose(gradient[index], (ends[0] - ends[1]) / 2e-5, rtol=1e-4, atol=1e-4)


def test_weights_are_a_noise_vector():
    model = exact().fit(X, Y, sample_weight=WEIGHTS)
    np.testing.assert_allclose(model.intercept_, np.average(Y, weights=WEIGHTS))
    same = VIF(X, kernel=model.kernel_, noise=model.noise_ / WEIGHTS, n_neighbors=200, n_inducing=7)
    value, slopes = same.log_likelihood(Y - model.intercept_, eval_gradient=True)
    np.testing.assert_allclose(value, model.log_marginal_likelihood_value_, rtol=1e-5)
    assert np.abs(slopes).max() < 0.05
    np.testing.assert_allclose(
        same.predict(NEW, Y - model.intercept_, latent=True) + model.intercept_, model.predict(NEW)
    )
    assert np.abs(model.theta_ - exact().fit(X, Y).theta_).max() > 1e-3


@every_regressor
def test_samples_of_weight_zero_are_left_out(regressor):
    weights = np.where(np.arange(N) % 4 == 0, 0, WEIGHTS)
    used = weights > 0
    wild = np.where(used, Y, 1e6)
    one = clone(regressor).fit(X, wild, sample_weight=weights)
    other = clone(regressor).fit(X[used], Y[used], sample_weight=weights[used])
    np.testing.assert_array_equal(one.predict(NEW), other.predict(NEW))


@every_regressor
def test_points_that_predictions_are_conditioned_on(regressor):
    model = clone(regressor).fit(X, Y)
    for count in (None, 8, 30):
        wide = model.set_params(n_prediction_neighbors=count)
        options = {"n_neighbors": 16 if count is None else count, "return_cov": True, "latent": True}
        mean, covariance = model.model_.predict(NEW, Y - model.intercept_, **options)
        found = wide.predict(NEW, return_cov=True, latent=True)
        np.testing.assert_array_equal(found[0], mean + model.intercept_)
        np.testing.assert_array_equal(found[1], covariance)


@every_regressor
@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["plain", "weights"])
def test_calibrated_variances(regressor, weights):
    model = clone(regressor).fit(X, Y, sample_weight=weights)
    factors = vecchia.calibrate(model.model_, Y - model.intercept_).factors(NEW)
    mean, std = model.predict(NEW, return_std=True)
    calibrated = model.predict(NEW, return_std=True, calibrated=True)
    np.testing.assert_array_equal(calibrated[0], mean)
    np.testing.assert_allclose(calibrated[1], std * np.sqrt(factors))
    _, covariance = model.predict(NEW, return_cov=True)
    found = model.predict(NEW, return_cov=True, calibrated=True)[1]
    np.testing.assert_allclose(found, covariance * np.sqrt(np.outer(factors, factors)))
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(NEW, return_std=True, calibrated=True), calibrated)
    model.update(NEW, np.full(9, 100.0))
    assert model.calibration_.overall > 10 * factors.mean()


@every_regressor
@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["plain", "weights"])
def test_travel(regressor, weights):
    model = clone(regressor).fit(X, Y, sample_weight=weights)
    wanted = model.predict(NEW, return_std=True)
    file = io.BytesIO()
    joblib.dump(model, file)
    file.seek(0)
    for other in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model), copy.copy(model), joblib.load(file)):
        np.testing.assert_array_equal(other.predict(NEW, return_std=True), wanted)
        np.testing.assert_array_equal(other.sample_y(NEW, 2), model.sample_y(NEW, 2))
        assert other.log_marginal_likelihood() == model.log_marginal_likelihood()
        np.testing.assert_array_equal(other.model_.neighbors, model.model_.neighbors)
        assert len(other.history_) == len(model.history_)
        assert other.update(NEW, np.zeros(9)).predict(NEW[:1]) != wanted[0][0]
    np.testing.assert_array_equal(model.predict(NEW), wanted[0])
    with pytest.raises(NotFittedError):
        clone(model).predict(NEW)


@every_regressor
def test_other_types(regressor):
    pandas = pytest.importorskip("pandas")
    wanted = clone(regressor).fit(X, Y)
    frame = pandas.DataFrame(X, columns=["a", "b"])
    model = clone(regressor).fit(frame, pandas.Series(Y), sample_weight=pandas.Series(np.ones(N)))
    assert list(model.feature_names_in_) == ["a", "b"]
    np.testing.assert_array_equal(model.predict(frame), wanted.predict(X))
    single = clone(regressor).fit(X.astype(np.float32), Y.astype(np.float32))
    assert single.predict(X.astype(np.float32)).dtype == np.float64
    np.testing.assert_allclose(single.predict(NEW.astype(np.float32)), wanted.predict(NEW), rtol=1e-3)


def test_polars():
    polars = pytest.importorskip("polars")
    wanted = VIFRegressor(**SMALL).fit(X, Y)
    frame = polars.DataFrame({"a": X[:, 0], "b": X[:, 1]})
    model = VIFRegressor(**SMALL).fit(frame, polars.Series(Y))
    assert list(model.feature_names_in_) == ["a", "b"]
    np.testing.assert_array_equal(model.predict(frame), wanted.predict(X))


@every_regressor
def test_pipelines_and_searches(regressor):
    pipeline = make_pipeline(StandardScaler(), clone(regressor))
    step = pipeline.steps[-1][0]
    grid = {f"{step}__kernel": ["matern12", "matern52", Matern52(0.5)], f"{step}__n_neighbors": [3, 8]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        search = GridSearchCV(pipeline, grid, cv=3).fit(X, Y)
        scores = cross_val_score(pipeline, X, Y, cv=3)
    assert search.best_score_ > 0.85 and scores.mean() > 0.85
    mean, std = search.best_estimator_.predict(NEW, return_std=True)
    assert mean.shape == std.shape == (9,)


# Updates


@pytest.mark.parametrize(("first", "second"), [(None, None), (WEIGHTS, None), (None, WEIGHTS), (WEIGHTS, WEIGHTS)])
def test_an_update_conditions_on_all_samples(first, second):
    begin, rest = slice(0, 40), slice(40, N)
    model = exact().fit(X[begin], Y[begin], sample_weight=None if first is None else first[begin])
    before = model.theta_.copy(), model.intercept_
    assert model.update(X[rest], Y[rest], None if second is None else second[rest]) is model
    np.testing.assert_array_equal(model.theta_, before[0])
    assert model.intercept_ == before[1]
    weights = np.concatenate([
        (np.ones(N) if given is None else given)[part] for given, part in ((first, begin), (second, rest))
    ])  # fmt: skip
    mean, covariance = dense(model, weights=weights)
    np.testing.assert_allclose(model.predict(NEW), mean, rtol=1e-5)
    np.testing.assert_allclose(model.predict(NEW, return_cov=True, latent=True)[1], covariance, atol=1e-5)
    sigma = model.kernel_(X) + np.diag(model.noise_ / weights)
    y = Y - model.intercept_
    value = -(y @ np.linalg.solve(sigma, y) + np.linalg.slogdet(sigma)[1] + N * np.log(2 * np.pi)) / 2
    np.testing.assert_allclose(model.log_marginal_likelihood_value_, value, rtol=1e-5)


@every_regressor
def test_small_updates_make_the_model_of_a_large_one(regressor):
    model = clone(regressor).fit(X[:30], Y[:30])
    base = model.model_
    once = copy.deepcopy(model).update(X[30:], Y[30:])
    twice = copy.deepcopy(model).update(X[30:45], Y[30:45]).update(X[45:], Y[45:])
    np.testing.assert_array_equal(twice.predict(NEW, return_std=True), once.predict(NEW, return_std=True))
    np.testing.assert_array_equal(once.model_.order, [*base.order, *range(30, N)])
    np.testing.assert_array_equal(once.model_.inducing_points, base.inducing_points)
    # Old points stay conditioned on old ones, by the fitted kernel.
    same = VIF(
        X[:30], kernel=model.kernel_, noise=model.noise_, n_neighbors=8, inducing_points=base.inducing_points,
        ordering=base.order, neighbors=regressor.neighbors,
    )  # fmt: skip
    np.testing.assert_array_equal(once.model_.neighbors[:30], same.neighbors)


def test_an_update_of_sets_from_elsewhere_searches_by_residual_correlation():
    sets = vecchia.neighbors(X[:40], kernel=Matern32(0.3), m=5, n_inducing=10, ordering="random")
    options = {"neighbors": sets.neighbors, "ordering": sets.order, "inducing_points": X[:10], "n_neighbors": 5}
    model = VIFRegressor(**options).fit(X[:40], Y[:40])
    np.testing.assert_array_equal(model.model_.neighbors, sets.neighbors)
    model.update(X[40:], Y[40:])
    same = VIF(
        X, kernel=model.kernel_, noise=model.noise_, n_neighbors=5, inducing_points=X[:10],
        ordering=np.concatenate([sets.order, np.arange(40, N)]),
    )  # fmt: skip
    np.testing.assert_array_equal(model.model_.neighbors, same.neighbors)


def test_an_update_checks_its_input():
    model = VIFRegressor(**SMALL)
    with pytest.raises(NotFittedError):
        model.update(X, Y)
    model.fit(X, Y)
    with pytest.raises(ValueError, match="features"):
        model.update(X[:, :1], Y)
    with pytest.raises(ValueError, match="inconsistent"):
        model.update(X, Y[:3])


# Options


def test_bounds_and_starting_values():
    model = exact(kernel=Matern52(0.4, 2.0), noise=0.05, noise_bounds="fixed", lengthscale_bounds=(0.3, 0.6)).fit(X, Y)
    np.testing.assert_allclose(model.noise_, 0.05)
    assert isinstance(model.kernel_, Matern52) and 0.3 <= model.kernel_.lengthscale <= 0.6
    np.testing.assert_allclose(np.exp(model.bounds_[[0, 2]]), [[0.05, 0.05], [0.3, 0.6]])
    with pytest.warns(
        ConvergenceWarning, match=r"VIFRegressor\.fit: ended at bounds of variance \(upper, 0\.1\)"
    ) as caught:
        exact(variance_bounds=(0.01, 0.1)).fit(X, Y)
    assert caught[0].filename == __file__
    with pytest.warns(ConvergenceWarning, match="has not converged after 1 iterations"):
        exact(max_iter=1).fit(X, Y)


def test_options_of_the_fit():
    one = exact(ard=False).fit(X, Y)
    assert len(one.theta_) == 3 and isinstance(one.kernel_.lengthscale, float)
    plain = exact(fit_intercept=False).fit(X, Y)
    assert plain.intercept_ == 0
    np.testing.assert_allclose(plain.predict(NEW), dense(plain)[0], rtol=1e-5)
    start = exact(kernel=Matern32(0.5), noise=0.1, max_iter=0).fit(X, Y)
    np.testing.assert_allclose(start.theta_, np.log([0.1, 1, 0.5]))
    assert start.n_iter_ == 0
    fixed = VIFRegressor(**SMALL, refit=False).fit(X, Y)
    assert {step.n_refits for step in fixed.history_} == {1}
    few = VIFRegressor(n_inducing=500).fit(X[:20], Y[:20])
    assert len(few.model_.inducing_points) == 20
    given = VIFRegressor(inducing_points=X[:7]).fit(X, Y)
    np.testing.assert_array_equal(given.model_.inducing_points, X[:7])


def test_seeds_and_threads():
    fits = [VIFRegressor(**SMALL, n_jobs=n_jobs).fit(X, Y) for n_jobs in (None, 1, 3, -1)]
    for other in fits[1:]:
        np.testing.assert_array_equal(other.theta_, fits[0].theta_)
        np.testing.assert_array_equal(other.predict(NEW, return_std=True), fits[0].predict(NEW, return_std=True))
    orders = [VIFRegressor(**SMALL, random_state=seed).fit(X, Y).model_.order for seed in (1, 1, 2)]
    np.testing.assert_array_equal(orders[0], orders[1])
    assert (orders[0] != orders[2]).any()


def test_verbose(capsys):
    VIFRegressor(**SMALL, verbose=1).fit(X, Y)
    assert "fit [" in capsys.readouterr().err
    VIFRegressor(**SMALL).fit(X, Y)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda model: model.fit(X, Y, sample_weight=-WEIGHTS), r"^sample_weight\[0\]: expected a number from 0 up"),
        (lambda model: model.fit(X, Y, sample_weight=0 * WEIGHTS), "zero"),
        (lambda model: model.fit(X, Y).predict(NEW, return_std=True, return_cov=True), "^return_cov: expected False"),
        (lambda model: model.fit(X, Y).log_marginal_likelihood([1.0]), r"^theta: expected shape \(4,\), got \(1,\)"),
        (lambda model: model.set_params(noise_bounds=(2, 1)).fit(X, Y), r"^bounds\['noise'\]: expected two ascending"),
    ],
)
def test_refused_input(call, message):
    with pytest.raises(ValueError, match=message):
        call(VIFRegressor(**SMALL))

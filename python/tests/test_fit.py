"""Fits of hyperparameters by maximum likelihood."""

import signal
import warnings

import numpy as np
import pytest

pytest.importorskip("sklearn")
from scipy.optimize import minimize
from scipy.stats import chi2
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF as SklearnRBF
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

from covertreex import vecchia
from covertreex._capi import vif
from covertreex.kernels import Matern32, Matern52
from covertreex.vecchia import VIF, FitWarning, _fit_run
from covertreex.vecchia._hyperparameters import Hyperparameters, Measures
from covertreex.vecchia._likelihood import Data, Objective, Sets

N = 60
COORDS = np.random.default_rng(0).random((N, 2))
Y = np.sin(6 * COORDS[:, 0]) + COORDS[:, 1] ** 2 + 0.2 * np.random.default_rng(4).standard_normal(N) - 0.5
WEIGHTS = np.random.default_rng(2).uniform(0.5, 2, N)


def fitted(coords=COORDS, y=Y, **options):
    return vecchia.fit(coords, y, **{"n_neighbors": 5, "n_inducing": 7, **options})


def exact(**options):
    return fitted(n_neighbors=N - 1, **options)


def simulated(n, kernel, noise, seed=0):
    """Coordinates in a unit square, and a draw from the process itself."""
    generator = np.random.default_rng(seed)
    coords = generator.random((n, 2))
    covariance = kernel(coords) + noise * np.eye(n)
    return coords, np.linalg.cholesky(covariance) @ generator.standard_normal(n)


@pytest.fixture
def small_warm_up(monkeypatch):
    """Have fits to more than 200 points begin with a sample of 100."""
    monkeypatch.setattr(_fit_run, "_WARM_UP_POINTS", 100)
    monkeypatch.setattr(_fit_run, "_WARM_UP_DATA", 200)


def optimum_of_sklearn(shape):
    """The hyperparameters of scikit-learn's process, in our order, and their log likelihood."""

    def optimise(function, theta, bounds):
        found = minimize(
            function, theta, jac=True, method="L-BFGS-B", bounds=bounds, options={"ftol": 1e-15, "gtol": 1e-9}
        )
        return found.x, found.fun

    kernel = ConstantKernel(1, (1e-8, 1e8)) * shape + WhiteKernel(0.1, (1e-8, 1e8))
    process = GaussianProcessRegressor(kernel, alpha=0, optimizer=optimise).fit(COORDS, Y)
    return np.roll(process.kernel_.theta, 1), process.log_marginal_likelihood_value_


@pytest.mark.parametrize("ard", [True, False], ids=["ard", "one"])
@pytest.mark.parametrize("kernel", ["matern12", "matern32", "matern52", "rbf"])
def test_with_all_neighbours_it_finds_the_optimum_of_sklearn(kernel, ard):
    scales, bounds = ([1.0, 1.0] if ard else 1.0), (1e-8, 1e8)
    nu = {"matern12": 0.5, "matern32": 1.5, "matern52": 2.5}
    theta, value = optimum_of_sklearn(
        SklearnRBF(scales, bounds) if kernel == "rbf" else Matern(scales, bounds, nu=nu[kernel])
    )
    found = exact(kernel=kernel, ard=ard)
    assert found.stopped == "converged" and found.messages == ()
    np.testing.assert_allclose(found.theta, theta, rtol=0, atol=1e-4)
    np.testing.assert_allclose(found.log_likelihood, value, rtol=1e-8)
    np.testing.assert_allclose(found.model.log_likelihood(Y), found.log_likelihood, rtol=1e-12)
    assert type(found.kernel).__name__.lower() == kernel
    np.testing.assert_allclose(np.log(found.kernel.lengthscale), theta[2:] if ard else theta[2], atol=1e-4)
    np.testing.assert_allclose([found.noise, found.kernel.variance], np.exp(theta[:2]), rtol=2e-4)


@pytest.mark.parametrize("n_inducing", [0, 50])
def test_hyperparameters_of_simulated_data_are_recovered(n_inducing):
    kernel, noise = Matern52((0.15, 0.4), 2.0), 0.1
    coords, y = simulated(1500, kernel, noise)
    found = fitted(coords, y, kernel="matern52", n_neighbors=20, n_inducing=n_inducing)
    truth = found.model.with_parameters(kernel=kernel, noise=noise).log_likelihood(y)
    # Twice the difference of log likelihoods has this distribution, for many points.
    assert 0 < 2 * (found.log_likelihood - truth) < chi2(4).ppf(0.999)
    np.testing.assert_allclose(np.exp(found.theta), [noise, 2.0, 0.15, 0.4], rtol=0.15)


def test_the_result_does_not_depend_on_units():
    first = exact()
    other = exact(coords=COORDS * [10, 0.01], y=1000 * Y)
    shift = np.log([1e6, 1e6, 10, 0.01])
    np.testing.assert_allclose(other.theta - shift, first.theta, rtol=0, atol=1e-4)
    np.testing.assert_allclose(other.log_likelihood, first.log_likelihood - N * np.log(1000), rtol=1e-7)


def test_history_has_every_iteration_and_the_best_so_far():
    coords, y = simulated(600, Matern32(0.2), 0.1)
    found = fitted(coords, y)
    history = found.history
    best = [step.best for step in history]
    assert best == sorted(best) and best[-1] == found.log_likelihood == max(step.log_likelihood for step in history)
    iterations = [step.iteration for step in history]
    assert iterations == sorted(iterations) and set(iterations) == set(range(found.n_iterations + 1))
    assert [step.n_points for step in history] == [600] * len(history)
    for name in ("seconds", "n_evaluations", "n_refits"):
        values = [getattr(step, name) for step in history]
        assert values == sorted(values) and values[-1] <= getattr(found, name)
    # Sets are chosen before the first iteration, and after iterations 1, 2 and 4.
    assert [step.iteration for step, after in zip(history, history[1:]) if after.n_refits > step.n_refits][:3] == [
        1,
        2,
        4,
    ]
    again = next(step for step in history if step.best == found.log_likelihood)
    np.testing.assert_array_equal(again.theta, found.theta)


def test_the_model_has_the_sets_of_its_last_refit():
    found = fitted()
    theta = found.sets_theta
    base = VIF(
        COORDS,
        kernel=Matern32(np.exp(theta[2:]), np.exp(theta[1])),
        noise=np.exp(theta[0]),
        n_neighbors=5,
        n_inducing=7,
    )
    for name in ("order", "neighbors", "inducing_points"):
        np.testing.assert_array_equal(getattr(found.model, name), getattr(base, name))
    value = base.with_parameters(kernel=found.kernel, noise=found.noise).log_likelihood(Y)
    assert value == found.log_likelihood


def test_without_refits_the_sets_are_those_of_the_starting_values():
    kernel = Matern32((0.2, 0.9))
    found = fitted(kernel=kernel, noise=0.1, refit=False)
    assert found.n_refits == 1 and found.stopped == "converged"
    base = VIF(COORDS, kernel=kernel, noise=0.1, n_neighbors=5, n_inducing=7)
    np.testing.assert_array_equal(found.model.neighbors, base.neighbors)
    assert found.log_likelihood > base.log_likelihood(Y)
    slopes = found.model.log_likelihood(Y, eval_gradient=True)[1]
    assert np.abs(slopes).max() < 0.01


def test_sets_from_elsewhere_are_used_as_they_are(small_warm_up):
    del small_warm_up
    coords, y = simulated(300, Matern32(0.2), 0.1)
    sets = vecchia.neighbors(coords, kernel=Matern32(0.2), m=4, n_inducing=5)
    found = fitted(coords, y, neighbors=sets.neighbors, ordering=sets.order, n_inducing=0, n_neighbors=None)
    np.testing.assert_array_equal(found.model.neighbors, sets.neighbors)
    assert {step.n_points for step in found.history} == {300}


def test_the_metric_of_the_sets_is_kept():
    base = {"kernel": Matern32((0.1, 3.0)), "noise": 0.1, "n_neighbors": 5, "n_inducing": 30}
    residual, euclidean = VIF(COORDS, **base), VIF(COORDS, **base, neighbors="euclidean")
    assert (residual.neighbors != euclidean.neighbors).mean() > 0.1
    for wanted, metric in [(residual, "residual"), (euclidean, "euclidean")]:
        found = fitted(neighbors=metric, max_iterations=0, **base)
        np.testing.assert_array_equal(found.model.neighbors, wanted.neighbors)


# Starting values, bounds, weights


def test_starting_values_come_from_the_data_or_the_caller():
    zero = fitted(max_iterations=0)
    assert zero.n_iterations == 0 and zero.n_evaluations == 1 and zero.messages == ()
    variance, spreads = Y.var(), COORDS.std(axis=0)
    np.testing.assert_allclose(zero.theta, np.log([0.2 * variance, variance, *(np.sqrt(2) * spreads)]))
    given = fitted(kernel=Matern52(0.7, 1.3), noise=0.02, max_iterations=0)
    np.testing.assert_allclose(given.theta, np.log([0.02, 1.3, 0.7]))
    assert given.kernel == Matern52(np.exp(given.theta[2]), np.exp(given.theta[1]))


def test_the_start_does_not_change_the_optimum():
    first = exact()
    for kernel, noise in [(Matern32((0.1, 3.0), 0.1), 0.5), (Matern32((2.0, 0.2), 30.0), 1e-3)]:
        np.testing.assert_allclose(exact(kernel=kernel, noise=noise).theta, first.theta, rtol=0, atol=1e-3)


def test_fixed_hyperparameters_stay():
    bounds = {"noise": "fixed", "lengthscale": "fixed"}
    found = exact(kernel=Matern32((0.3, 0.5), 2.0), noise=0.05, bounds=bounds)
    np.testing.assert_allclose(np.exp(found.theta[[0, 2, 3]]), [0.05, 0.3, 0.5], rtol=1e-14)
    # The best variance of a process with fixed lengthscales solves one equation.
    assert abs(found.model.log_likelihood(Y, eval_gradient=True)[1][1]) < 1e-3
    assert found.messages == ()
    everything = exact(kernel=Matern32(0.3), noise=0.05, bounds={**bounds, "variance": "fixed"})
    assert everything.stopped == "converged" and everything.n_iterations == 0
    assert everything.kernel == Matern32(np.exp(everything.theta[2]))


def test_noise_of_zero_may_be_fixed():
    y = np.sin(6 * COORDS[:, 0]) * np.cos(4 * COORDS[:, 1])
    found = exact(y=y, kernel="matern52", noise=0, bounds={"noise": "fixed"})
    assert found.noise == 0 and found.theta[0] == -np.inf
    np.testing.assert_allclose(found.model.predict(COORDS[:5], y), y[:5], atol=1e-6)
    with pytest.raises(ValueError, match=r"^noise: expected a number above 0 .* got 0"):
        exact(noise=0)


@pytest.mark.parametrize(
    ("bounds", "named"),
    [
        ({"noise": (0.5, 2.0)}, "noise (lower, 0.5)"),
        ({"variance": (1e-3, 0.2)}, "variance (upper, 0.2)"),
        ({"lengthscale": (2.0, 5.0)}, "lengthscale[0] (lower, 2)"),
    ],
)
def test_a_bound_that_is_hit_is_named(bounds, named):
    with pytest.warns(FitWarning, match=r"^fit: ended at bounds of ") as caught:
        found = exact(bounds=bounds)
    assert named in str(caught[0].message)
    assert caught[0].filename == __file__
    assert found.messages == (str(caught[0].message),)
    index = ["noise", "variance", "lengthscale"].index(next(iter(bounds)))
    np.testing.assert_allclose(found.bounds[index], np.log(bounds[next(iter(bounds))]))
    assert (found.bounds[:, 0] <= found.theta).all() and (found.theta <= found.bounds[:, 1]).all()


def test_units_do_not_round_beyond_bounds():
    space = Hyperparameters.of(
        Matern32((2.0, 5.0)), 0.1, Measures.of(COORDS, Y), bounds={"lengthscale": (2.0, 5.0), "noise": (0.1, 0.1)}
    )
    data = Data(COORDS, Y, None, None)
    kernel, noise = space.parts(space.start)
    sets = Sets(VIF(COORDS, kernel=kernel, noise=noise, n_neighbors=5, n_inducing=7), space.start)
    objective = Objective(sets, data, space, space.start, lambda found, model: None)
    for units in np.random.default_rng(0).uniform(0.01, 10, (100, 3)):
        theta = objective.theta(objective.in_units(units))
        assert (space.lower <= theta).all() and (theta <= space.upper).all()


def test_many_bounds_make_a_short_message():
    coords = np.random.default_rng(3).random((40, 12))
    with pytest.warns(FitWarning, match=r"lengthscale\[2\] .* and \d+ more"):
        fitted(coords, coords[:, 0], kernel="rbf", bounds={"lengthscale": (1e3, 1e4)})


def test_too_few_iterations_are_a_warning():
    with pytest.warns(FitWarning, match=r"^fit: has not converged after 2 iterations"):
        found = fitted(max_iterations=2)
    assert found.stopped == "max_iterations" and found.n_iterations == 2


def test_weights_are_precisions():
    found = exact(weights=WEIGHTS)
    model = VIF(
        COORDS, kernel=found.kernel, noise=found.noise / WEIGHTS, ordering=found.model.order,
        neighbors=found.model.neighbors, inducing_points=found.model.inducing_points,
    )  # fmt: skip
    value, slopes = model.log_likelihood(Y, eval_gradient=True)
    np.testing.assert_allclose(value, found.log_likelihood, rtol=1e-12)
    assert np.abs(slopes).max() < 0.01
    np.testing.assert_allclose(found.model.noise, found.noise / WEIGHTS)


def test_only_ratios_of_weights_count():
    one, three = exact(weights=WEIGHTS), exact(weights=3 * WEIGHTS)
    np.testing.assert_allclose(three.theta - one.theta, [np.log(3), 0, 0, 0], rtol=0, atol=2e-4)
    np.testing.assert_array_equal(exact(weights=np.ones(N)).theta, exact().theta)
    assert np.abs(one.theta - exact().theta).max() > 1e-3


# The course of a fit


def test_large_data_begin_with_a_sample(monkeypatch):
    coords, y = simulated(500, Matern32(0.2), 0.1)
    start = {"kernel": Matern32((2.0, 0.05), 20.0), "noise": 1.0, "n_neighbors": 30, "n_inducing": 0}
    cold = fitted(coords, y, **start)
    assert {step.n_points for step in cold.history} == {500}
    monkeypatch.setattr(_fit_run, "_WARM_UP_POINTS", 100)
    monkeypatch.setattr(_fit_run, "_WARM_UP_DATA", 200)
    found = fitted(coords, y, **start)
    sizes = [step.n_points for step in found.history]
    assert sizes == sorted(sizes) and set(sizes) == {100, 500}
    assert all(step.best == -np.inf for step in found.history if step.n_points == 100)
    warm = max(step.iteration for step in found.history if step.n_points == 100)
    assert found.n_iterations - warm < cold.n_iterations
    np.testing.assert_allclose(found.log_likelihood, cold.log_likelihood, rtol=0, atol=1)
    np.testing.assert_allclose(found.theta, cold.theta, rtol=0, atol=0.5)


def test_restarts_leave_a_bad_optimum():
    # From a lengthscale far above those of the data everything is noise.
    generator = np.random.default_rng(5)
    coords = generator.random((120, 1))
    y = np.sin(40 * coords[:, 0]) + 0.1 * generator.standard_normal(120)
    start = {"kernel": Matern52(2.0), "noise": 0.5}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        stuck = fitted(coords, y, **start)
        found = fitted(coords, y, restarts=8, **start)
    assert found.log_likelihood > stuck.log_likelihood + 100
    assert found.noise < 0.03


@pytest.mark.usefixtures("small_warm_up")
def test_restarts_are_compared_on_the_sample():
    generator = np.random.default_rng(5)
    coords = generator.random((300, 1))
    y = np.sin(40 * coords[:, 0]) + 0.1 * generator.standard_normal(300)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        found = fitted(coords, y, restarts=8, kernel=Matern52(2.0), noise=0.5)
    assert {step.n_points for step in found.history} == {100, 300}
    first = next(step for step in found.history if step.n_points == 300)
    assert np.exp(first.theta[0]) < 0.03 and found.noise < 0.03


@pytest.mark.usefixtures("small_warm_up")
@pytest.mark.parametrize("options", [{}, {"restarts": 2}, {"neighbors": "euclidean", "ordering": "random"}])
def test_the_same_bits_for_any_number_of_threads(options):
    coords, y = simulated(400, Matern32(0.2), 0.1)
    fits = [fitted(coords, y, n_threads=n_threads, seed=7, **options) for n_threads in (1, 2, 3)]
    for other in fits[1:]:
        np.testing.assert_array_equal(other.theta, fits[0].theta)
        assert other.log_likelihood == fits[0].log_likelihood
        assert [step.log_likelihood for step in other.history] == [step.log_likelihood for step in fits[0].history]
        np.testing.assert_array_equal(other.model.neighbors, fits[0].model.neighbors)


@pytest.mark.parametrize("end", ["raise", "signal"])
def test_an_interrupt_returns_the_best_so_far(end):
    def interrupt(step):
        steps.append(step)
        if step.iteration == 3:
            if end == "signal":
                signal.raise_signal(signal.SIGINT)
            raise KeyboardInterrupt

    steps = []
    with pytest.warns(FitWarning, match=r"^fit: was interrupted"):
        found = fitted(callback=interrupt)
    assert found.stopped == "interrupted" and found.n_iterations == 3
    assert found.history == steps and len(steps) >= 4
    assert found.log_likelihood == max(step.log_likelihood for step in steps)
    np.testing.assert_allclose(found.model.log_likelihood(Y), found.log_likelihood)


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
def test_an_interrupt_while_a_model_is_freed(monkeypatch):
    """Python ignores it in a finaliser."""
    free, freed = vif.lib.covertree_vif_free, []

    def free_and_interrupt(handle):
        free(handle)
        freed.append(handle)
        if len(freed) == 3:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(vif.lib, "covertree_vif_free", free_and_interrupt)
    with pytest.warns(FitWarning, match=r"^fit: was interrupted"):
        found = fitted()
    assert len(freed) < 10
    np.testing.assert_allclose(found.model.log_likelihood(Y), found.log_likelihood)


@pytest.mark.usefixtures("small_warm_up")
@pytest.mark.parametrize("iteration", [0, 4])
def test_an_interrupt_of_the_warm_up_returns_a_model_of_all_data(iteration):
    def interrupt(step):
        if step.iteration == iteration:
            raise KeyboardInterrupt

    coords, y = simulated(400, Matern32(0.2), 0.1)
    with pytest.warns(FitWarning, match=r"^fit: was interrupted"):
        found = fitted(coords, y, callback=interrupt)
    assert len(found.model.order) == 400 and found.n_iterations == iteration
    np.testing.assert_array_equal(found.theta, found.history[-1].theta)
    sample = [step for step in found.history if step.n_points == 100]
    np.testing.assert_array_equal(found.theta, max(sample, key=lambda step: step.log_likelihood).theta)


def test_other_errors_of_a_callback_are_raised():
    def fail(step):
        raise RuntimeError(f"at {step.iteration}")

    with pytest.raises(RuntimeError, match="at 0"):
        fitted(callback=fail)


def test_the_line_search_comes_back_from_covariances_that_are_not_positive_definite(monkeypatch):
    """Beyond a wall between the start and the bounds, far from the optimum, models fail."""
    wanted, failures, whole = exact().theta, [], VIF.log_likelihood

    def failing(model, y, **options):
        if model.kernel.variance > 8 * wanted_variance:
            failures.append(model.kernel.variance)
            raise ValueError("kernel: the covariances of point 3 and its neighbors are not positive definite")
        return whole(model, y, **options)

    wanted_variance = np.exp(wanted[1])
    # From here the first step is a long one to larger variances.
    start = {"kernel": Matern32((0.1, 0.1), 1e-2), "noise": 1e-3}
    monkeypatch.setattr(VIF, "log_likelihood", failing)
    found = exact(**start)
    assert failures and found.stopped == "converged"
    np.testing.assert_allclose(found.theta, wanted, rtol=0, atol=1e-3)


def test_one_short_step_does_not_end_a_fit(monkeypatch):
    """In a curved valley, the first steps of a stage are short. Each refit here moves the likelihood by 0.1."""
    refits, build = [], _fit_run.Run._build

    def counted(run, data, theta):
        refits.append(theta)
        return build(run, data, theta)

    def of_rosenbrock(model, _, *, eval_gradient, **options):
        u, v = np.log(model.kernel.variance), np.log(model.kernel.lengthscale)
        value = -((1 - u) ** 2) - 100 * (v - u**2) ** 2 + 0.1 * (len(refits) % 2)
        return value, np.array([0, 2 * (1 - u) + 400 * u * (v - u**2), -200 * (v - u**2)])

    monkeypatch.setattr(_fit_run.Run, "_build", counted)
    monkeypatch.setattr(VIF, "log_likelihood", of_rosenbrock)
    # No step is worth much, compared with the assumed change by the first refit.
    monkeypatch.setattr(_fit_run, "_FIRST_JUMP", 1e3)
    found = fitted(kernel=Matern32(np.exp(1.0), np.exp(-1.0)), noise=0.1, bounds={"noise": "fixed"})
    assert found.stopped == "converged"
    assert found.log_likelihood > -0.1  # from -4 on


@pytest.mark.parametrize("message", ["y: expected something else", "coords: expected something else"])
def test_errors_that_do_not_come_from_hyperparameters_are_raised(monkeypatch, message):
    calls, whole = [], VIF.log_likelihood

    def failing(model, y, **options):
        calls.append(model)
        if len(calls) == 3:
            raise ValueError(message)
        return whole(model, y, **options)

    monkeypatch.setattr(VIF, "log_likelihood", failing)
    with pytest.raises(ValueError, match=message):
        fitted()


def test_a_first_model_that_fails_is_an_error():
    coords = np.repeat(COORDS[:20], 2, axis=0)
    with pytest.raises(ValueError, match="noise: expected above 0 for equal points"):
        fitted(coords, Y[:40], noise=0, bounds={"noise": "fixed"})


def test_a_refit_that_fails_ends_the_fit(monkeypatch):
    builds, whole = [], VIF.__init__

    def failing(model, *arguments, **options):
        builds.append(options)
        if len(builds) == 3:
            raise ValueError("kernel: the covariance matrix of the 7 inducing points is not positive definite")
        whole(model, *arguments, **options)

    monkeypatch.setattr(VIF, "__init__", failing)
    with pytest.warns(
        FitWarning, match=r"^fit: failed: kernel: the covariance matrix .*; the model is the best so far"
    ):
        found = fitted()
    assert found.stopped == "failed" and found.n_refits == 2


def test_a_bar_is_written_to_the_standard_error(capsys):
    found = fitted(verbose=True)
    printed = capsys.readouterr()
    lines = printed.err.splitlines()
    assert printed.out == "" and len(lines) == len(found.history)
    assert lines[-1].startswith("fit [") and f"iteration {found.n_iterations}, 60 points, log likelihood " in lines[-1]
    assert f"best {found.log_likelihood:.2f}, " in lines[-1] and lines[-1].endswith(" s")


# Input


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"y": Y[:-1]}, ValueError, r"^y: expected 60 .* got 59"),
        ({"y": np.stack([Y, Y], 1)}, ValueError, r"^y: expected shape \(60,\), got \(60, 2\)"),
        ({"coords": COORDS[:, 0]}, ValueError, r"^coords: expected two dimensions"),
        ({"coords": np.empty((0, 2)), "y": []}, ValueError, r"^coords: expected .* got shape \(0, 2\)"),
        ({"kernel": "matern"}, ValueError, r"^kernel: expected one of .* got 'matern'"),
        ({"kernel": Matern32}, TypeError, r"^kernel: expected .* got the class Matern32"),
        ({"kernel": Matern32((1, 2, 3))}, ValueError, r"^lengthscale: expected one number or 2, .* got 3"),
        ({"noise": -1.0}, ValueError, r"^noise: expected a number from 0 up, got -1"),
        ({"weights": np.ones(3)}, ValueError, r"^weights: expected shape \(60,\), got \(3,\)"),
        ({"weights": np.where(np.arange(N) == 4, 0, 1)}, ValueError, r"^weights\[4\]: expected .* above 0, got 0"),
        ({"bounds": {"nugget": (1, 2)}}, ValueError, r"^bounds: expected one of noise, .* got 'nugget'"),
        ({"bounds": {"noise": "free"}}, ValueError, r"^bounds\['noise'\]: expected one of fixed, got 'free'"),
        ({"bounds": {"noise": (2, 1)}}, ValueError, r"^bounds\['noise'\]: expected two ascending"),
        ({"bounds": {"noise": (0, 1)}}, ValueError, r"^bounds\['noise'\]: expected two ascending"),
        ({"bounds": {"noise": 3}}, ValueError, r"^bounds\['noise'\]: expected two ascending"),
        ({"restarts": -1}, ValueError, r"^restarts: expected at least 0, got -1"),
        ({"max_iterations": 2.5}, TypeError, r"^max_iterations: expected an integer, got 2\.5"),
        ({"tolerance": -1}, ValueError, r"^tolerance: expected a number from 0 up, got -1"),
        ({"seed": -1}, ValueError, r"^seed: expected at least 0"),
        ({"n_threads": 0}, ValueError, r"^n_threads: expected"),
        ({"callback": 3}, TypeError, r"^callback: expected a function, got 3"),
        ({"n_neighbors": -1}, ValueError, r"^n_neighbors: expected at least 0, got -1"),
        ({"n_inducing": N + 1}, ValueError, r"^n_inducing: expected .*got 61"),
        ({"neighbours": 3}, TypeError, "neighbours"),
    ],
)
def test_refused_input(options, error, message):
    with pytest.raises(error, match=message):
        fitted(**options)


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("y", [0.0, 1.0])
@pytest.mark.filterwarnings("ignore::covertreex.vecchia.FitWarning")
def test_few_and_constant_data(n, y):
    found = fitted(np.zeros((n, 2)), np.full(n, y), n_inducing=1)
    assert np.isfinite(found.log_likelihood) and np.isfinite(found.theta).all()

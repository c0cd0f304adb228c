"""The VIF model with kernels of the caller."""

import numpy as np
import pytest
from vif_models import COORDS, NOISE, N, Y, make

from covertreex import set_num_threads
from covertreex.kernels import Matern32
from covertreex.vecchia import VIF

OURS = Matern32((0.2, 0.5), 1.7)
NEW = np.random.default_rng(33).random((40, 2))


def theirs(a, b):
    """The same kernel, out of the library's reach."""
    return OURS(a, b)


def slopes(a, b):
    """Its derivatives by the logarithms of variance and lengthscales."""
    scales, root = np.array(OURS.lengthscale), np.sqrt(3)
    difference = (a[:, None] - b[None]) / scales
    decay = OURS.variance * 3 * np.exp(-root * np.sqrt((difference**2).sum(axis=2)))
    return np.stack([OURS(a, b), *(decay[..., None] * difference**2).transpose(2, 0, 1)])


class Uneven:
    """A process whose variance and roughness change from place to place."""

    def __init__(self, parameters=(0.1, -1.0)):
        self.parameters = np.array(parameters)

    def __call__(self, a, b):
        tilt, log_scale = self.parameters
        distance = np.sqrt(((a[:, None] - b[None]) ** 2).sum(axis=2)) / np.exp(log_scale)
        return np.exp(tilt * (a[:, 0, None] + b[None, :, 0])) * np.exp(-distance)

    def slopes(self, a, b):
        distance = np.sqrt(((a[:, None] - b[None]) ** 2).sum(axis=2)) / np.exp(self.parameters[1])
        value = self(a, b)
        return np.stack([value * (a[:, 0, None] + b[None, :, 0]), value * distance])


def dense(kernel, noise):
    return kernel(COORDS, COORDS) + noise * np.eye(N)


@pytest.mark.parametrize("noise", [0.1, NOISE], ids=["noise", "noises"])
@pytest.mark.parametrize(("n_inducing", "n_neighbors"), [(7, 5), (7, 0), (0, 5), (0, 0), (20, N)])
def test_a_function_gives_what_the_same_kernel_of_the_library_gives(noise, n_inducing, n_neighbors):
    inducing = COORDS[:: N // n_inducing][:n_inducing] if n_inducing else np.empty((0, 2))
    options = {"noise": noise, "inducing_points": inducing, "n_inducing": None, "ordering": "natural"}
    known = make(OURS, n_neighbors=n_neighbors, **options)
    # Searches of a function's kernel have ties of their own, so it gets the same sets.
    model = VIF(COORDS, kernel=theirs, kernel_gradient=slopes, neighbors=known.neighbors, **{
        name: one for name, one in options.items() if name != "n_inducing"
    })  # fmt: skip
    wanted, wanted_gradient = known.log_likelihood(Y[:, 0], eval_gradient=True)
    value, gradient = model.log_likelihood(Y[:, 0], eval_gradient=True)
    np.testing.assert_allclose(value, wanted, rtol=1e-10)
    np.testing.assert_allclose(gradient, wanted_gradient, rtol=1e-7, atol=1e-8)
    np.testing.assert_allclose(model.solve(Y), known.solve(Y), rtol=1e-8, atol=1e-10)
    for name, one in zip(("B", "D"), zip(model.factor(), known.factor())):
        ours, other = (np.asarray(part.todense() if name == "B" else part) for part in one)
        np.testing.assert_allclose(ours, other, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("metric", ["residual", "euclidean"])
def test_predictions_and_draws_by_a_function(metric):
    options = {"n_neighbors": 12, "inducing_points": COORDS[::9], "n_inducing": None, "ordering": "natural"}
    # Without lengthscales a function has no other distance than that in space.
    known = make(Matern32(0.3), neighbors=metric, **options)
    model = make(Matern32(0.3).__call__, neighbors=metric, **options)
    np.testing.assert_array_equal(model.neighbors, known.neighbors)
    for one, other in zip(
        model.predict(NEW, Y, return_var=True) + model.predict(NEW, Y, return_cov=True),
        known.predict(NEW, Y, return_var=True) + known.predict(NEW, Y, return_cov=True),
    ):
        np.testing.assert_allclose(one, other, rtol=1e-8, atol=1e-10)
    draws = [each.sample(3, y=Y[:, 0], coords=NEW, seed=1) for each in (model, known)]
    np.testing.assert_allclose(*draws, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(model.sample(2, seed=2), known.sample(2, seed=2), rtol=1e-7, atol=1e-9)


def test_a_process_with_uneven_variances_is_exact_with_all_neighbours():
    kernel = Uneven()
    model = make(kernel, kernel_gradient=kernel.slopes, n_neighbors=N, n_inducing=7)
    sigma = dense(kernel, 0.1)
    half = np.linalg.slogdet(sigma)[1] + Y[:, 0] @ np.linalg.solve(sigma, Y[:, 0]) + N * np.log(2 * np.pi)
    np.testing.assert_allclose(model.log_likelihood(Y[:, 0]), -half / 2, rtol=1e-8)
    between = kernel(NEW, COORDS)
    mean, variance = make(kernel, n_neighbors=N).predict(NEW, Y[:, 0], return_var=True, latent=True)
    np.testing.assert_allclose(mean, between @ np.linalg.solve(sigma, Y[:, 0]), rtol=1e-5, atol=1e-6)
    exact = kernel(NEW, NEW) - between @ np.linalg.solve(sigma, between.T)
    np.testing.assert_allclose(variance, np.diag(exact), rtol=1e-4)


@pytest.mark.parametrize(("n_inducing", "n_neighbors"), [(7, 5), (7, 0), (0, 5), (20, N)])
def test_gradient_is_the_slope_of_the_likelihood(n_inducing, n_neighbors):
    kernel = Uneven()
    model = make(kernel, kernel_gradient=kernel.slopes, n_inducing=n_inducing, n_neighbors=n_neighbors, jitter=1e-3)
    gradient = model.log_likelihood(Y[:, 0], eval_gradient=True)[1]
    assert gradient.shape == (3,)

    def value(step):
        moved = Uneven(kernel.parameters + step[1:])
        return model.with_parameters(kernel=moved, noise=0.1 * np.exp(step[0])).log_likelihood(Y[:, 0])

    wanted = [(value(step) - value(-step)) / 2e-5 for step in 1e-5 * np.eye(3)]
    np.testing.assert_allclose(gradient, wanted, rtol=1e-5, atol=1e-5)


def test_results_do_not_depend_on_threads():
    kernel = Uneven()

    def results():
        model = make(kernel, kernel_gradient=kernel.slopes, coords=np.tile(COORDS, (5, 1)) + np.arange(300)[:, None])
        y = np.tile(Y[:, 0], 5)
        return [*model.log_likelihood(y, eval_gradient=True), *model.predict(NEW, y, return_var=True)]

    wanted = results()
    try:
        for n_threads in (1, 2, 5):
            set_num_threads(n_threads)
            for one, other in zip(results(), wanted):
                np.testing.assert_array_equal(one, other)
    finally:
        set_num_threads(0)


def test_few_calls_serve_many_points():
    calls = []

    def counted(a, b):
        calls.append(len(a) * len(b))
        return OURS(a, b)

    coords = np.random.default_rng(34).random((2000, 2))
    model = VIF(coords, kernel=counted, noise=0.1, n_neighbors=10, n_inducing=10, seed=1)
    calls.clear()
    model.with_parameters(noise=0.2)
    # One for two or more points on average; those of features have 16 points each.
    assert len(calls) < 1000
    assert sum(calls) < 2000 * 3000


def test_exceptions_of_functions_reach_the_caller():
    class Failure(Exception):
        pass

    def failing(*_):
        raise Failure

    with pytest.raises(Failure):
        make(failing)
    model = make(theirs, kernel_gradient=lambda a, b: slopes(a, b) if len(a) == len(b) == 1 else failing())
    with pytest.raises(Failure):
        model.log_likelihood(Y[:, 0], eval_gradient=True)
    assert np.isfinite(model.log_likelihood(Y[:, 0]))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"kernel": Matern32}, TypeError, "^kernel: expected .*got the class Matern32"),
        ({"kernel": 3}, TypeError, "^kernel: expected .*got 3"),
        ({"kernel": lambda a, b: np.ones((2, 2))}, ValueError, "^kernel: expected shape"),
        ({"kernel": lambda a, b: np.full((len(a), len(b)), np.nan)}, ValueError, "^kernel: expected finite"),
        ({"kernel": lambda a, b: np.zeros((len(a), len(b)))}, ValueError, "^kernel: expected .*variance"),
        ({"kernel": theirs, "kernel_gradient": 3}, TypeError, "^kernel_gradient: expected"),
        ({"kernel": theirs, "kernel_gradient": OURS}, ValueError, r"^kernel_gradient: expected shape \(p, n1, n2\)"),
        ({"kernel": OURS, "kernel_gradient": slopes}, ValueError, "^kernel_gradient: expected None"),
    ],
)
def test_wrong_kernels(options, error, message):
    with pytest.raises(error, match=message):
        VIF(COORDS, **{"noise": 0.1, "n_inducing": 7, "n_neighbors": 5, **options})


def test_a_gradient_needs_derivatives():
    with pytest.raises(ValueError, match=r"^kernel_gradient: expected a function .*got None"):
        make(theirs).log_likelihood(Y[:, 0], eval_gradient=True)
    with pytest.raises(ValueError, match=r"^kernel_gradient: expected together with kernel"):
        make(theirs).with_parameters(kernel_gradient=slopes)

    def other(a, b):
        return slopes(a, b)[: 3 if len(a) == 1 else 2]

    with pytest.raises(ValueError, match=r"^kernel_gradient: expected shape \(3, "):
        make(theirs, kernel_gradient=other).log_likelihood(Y[:, 0], eval_gradient=True)

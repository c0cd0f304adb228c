"""Input that the VIF model refuses."""

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from vif_models import COORDS, NOISE, N, Y, make, with_nan

from covertreex.kernels import Matern32
from covertreex.vecchia import VIF


@pytest.mark.parametrize(
    ("y", "error", "message"),
    [
        (with_nan(Y[:, 0], 3), ValueError, r"^y\[3\]: expected a finite number, got nan"),
        (with_nan(Y, 3, 1), ValueError, r"^y\[3, 1\]: expected a finite number, got nan"),
        (np.where(np.arange(N) == 4, -np.inf, Y[:, 0]), ValueError, r"^y\[4\]: expected a finite number, got -inf"),
        (Y[:-1, 0], ValueError, r"^y: expected .*\b60\b.*got .*\b59\b"),
        (Y[:-1], ValueError, r"^y: expected .*\b60\b.*got .*\b59\b"),
        (Y[:, :, None], ValueError, r"^y: expected .*got .*\(60, 3, 1\)"),
        (1.0, ValueError, r"^y: expected .*got "),
        (["a"] * N, TypeError, r"^y: expected .*got "),
        (Y[:, 0] * 1j, TypeError, r"^y: expected .*got "),
    ],
)
def test_refused_responses(y, error, message):
    model = make(Matern32(0.3))
    for call in (model.log_likelihood, model.solve, lambda y: model.log_likelihood(y, eval_gradient=True)):
        with pytest.raises(error, match=message):
            call(y)


@pytest.mark.parametrize(
    ("noise", "error", "message"),
    [
        (-0.1, ValueError, r"^noise: expected .*got -0\.1"),
        (np.nan, ValueError, r"^noise: expected .*got nan"),
        (np.inf, ValueError, r"^noise: expected .*got inf"),
        (NOISE[:-1], ValueError, r"^noise: expected .*\b60\b.*got .*\b59\b"),
        (NOISE[:, None], ValueError, r"^noise: expected .*got .*\(60, 1\)"),
        (np.where(np.arange(N) == 4, -1, NOISE), ValueError, r"^noise\[4\]: expected .*got -1"),
        (with_nan(NOISE, 7), ValueError, r"^noise\[7\]: expected .*got nan"),
        ("0.1", TypeError, r"^noise: expected .*got '0\.1'"),
    ],
)
def test_refused_noise(noise, error, message):
    with pytest.raises(error, match=message):
        make(Matern32(0.3), noise)
    with pytest.raises(error, match=message):
        make(Matern32(0.3)).with_parameters(noise=noise)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"coords": with_nan(COORDS, 1, 0)}, ValueError, r"^coords\[1, 0\]: expected a finite number, got nan"),
        ({"coords": COORDS[:, 0]}, ValueError, r"^coords: expected .*got "),
        ({"kernel": Matern32}, TypeError, r"^kernel: expected .*got the class Matern32"),
        ({"kernel": Matern32((1, 2, 3))}, ValueError, r"^lengthscale: expected .*got 3"),
        ({"n_neighbors": -1}, ValueError, r"^n_neighbors: expected at least 0, got -1"),
        ({"n_neighbors": 2.5}, TypeError, r"^n_neighbors: expected an integer, got 2\.5"),
        ({"n_inducing": -1}, ValueError, r"^n_inducing: expected .*got -1"),
        ({"n_inducing": N + 1}, ValueError, r"^n_inducing: expected .*got 61"),
        ({"inducing_points": COORDS[:4]}, ValueError, r"^n_inducing: cannot be combined"),
        ({"inducing_points": COORDS[:4, :1], "n_inducing": None}, ValueError, r"^inducing_points: expected 2 columns"),
        ({"ordering": "best"}, ValueError, r"^ordering: expected one of .*got 'best'"),
        ({"ordering": np.zeros(N, int)}, ValueError, r"^ordering: expected every number"),
        ({"ordering": np.arange(N - 1)}, ValueError, r"^ordering: expected 60 .*got 59"),
        ({"neighbors": "nearest"}, ValueError, r"^neighbors: expected .*got 'nearest'"),
        ({"seed": -1}, ValueError, r"^seed: expected .*got -1"),
    ],
)  # fmt: skip
def test_refused_options(options, error, message):
    with pytest.raises(error, match=message):
        make(**{"kernel": Matern32(0.3), **options})


@pytest.mark.parametrize(
    ("rank", "row", "message"),
    [
        (5, [5, -1], r"^neighbors(\[5, 0\])?: expected .*got 5"),
        (5, [0, 7], r"^neighbors(\[5, 1\])?: expected .*got 7"),
        (5, [-2, -1], r"^neighbors(\[5, 0\])?: expected .*got -2"),
        (5, [3, 3], r"^neighbors(\[5(, 1)?\])?: .*3"),
    ],
)
def test_refused_sets(rank, row, message):
    sets = np.full((N, 2), -1)
    sets[rank] = row
    with pytest.raises(ValueError, match=message):
        VIF(COORDS, kernel=Matern32(0.3), noise=0.1, n_inducing=0, neighbors=sets, ordering="natural")


@pytest.mark.parametrize(
    ("sets", "error"),
    [
        (np.full((N - 1, 2), -1), ValueError),
        (np.full(N, -1), ValueError),
        (np.full((N, 2), -1.0), TypeError),
    ],
)
def test_refused_arrays_of_sets(sets, error):
    with pytest.raises(error, match=r"^neighbors: expected .*got "):
        VIF(COORDS, kernel=Matern32(0.3), noise=0.1, n_inducing=0, neighbors=sets, ordering="natural")


def test_the_caller_may_write_to_arrays_that_were_given():
    sets = np.full((N, 3), -1)
    sets[1:, 0] = np.arange(N - 1)
    order, inducing, coords, noise = np.arange(N)[::-1].copy(), COORDS[:5].copy(), COORDS.copy(), NOISE.copy()
    model = VIF(coords, kernel=Matern32(0.3), noise=noise, inducing_points=inducing, neighbors=sets, ordering=order)
    before = model.log_likelihood(Y[:, 0]), model.predict(COORDS[:4] + 0.01, Y[:, 0])
    for array in (sets, order, inducing, coords, noise):
        array[...] = 0
    np.testing.assert_array_equal(model.refit().log_likelihood(Y[:, 0]), before[0])
    np.testing.assert_array_equal(model.predict(COORDS[:4] + 0.01, Y[:, 0]), before[1])
    for array in (model.order, model.neighbors, model.inducing_points):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0


@pytest.mark.parametrize("variance", [1e-130, 1e130])
def test_refused_variances(variance):
    with pytest.raises(ValueError, match=r"^variance: expected 2\^-400 to 2\^400, got"):
        make(Matern32(0.3, variance))
    with pytest.raises(ValueError, match=r"^noise: expected a finite number from 0 up, at most 2\^400, got"):
        make(Matern32(0.3), 1e130)


def test_covariances_that_rounding_spoils_are_an_error_and_not_a_wrong_likelihood():
    with pytest.raises(ValueError, match=r"^(noise|kernel): "):
        VIF(COORDS[:9], kernel=Matern32(0.3), noise=1e-310, inducing_points=COORDS[:1], jitter=1e-300, n_neighbors=0)


@pytest.mark.parametrize("options", [{"n_neighbors": 0}, {"n_inducing": 0}, {"neighbors": "euclidean"}], ids=str)
def test_an_error_names_the_row_of_the_caller_and_not_its_rank(options):
    coords = COORDS.copy()
    coords[7, 1] = 1e300
    for order in ("maxmin", "random", "natural", np.arange(N)[::-1]):
        with pytest.raises(ValueError, match=r"^coords\[7, 1\]: 1e\+300 over the lengthscale is beyond 2\^500"):
            make(Matern32(0.3), coords=coords, ordering=order, **options)
    new = np.where(np.arange(N)[:, None] == 9, coords[7], COORDS)
    model = make(Matern32(0.3), **options)
    for name, call in {
        "new": lambda: model.predict(new, Y),
        "new ": lambda: model.predict(new, Y, return_cov=True),
        "coords": lambda: model.sample(y=Y[:, 0], coords=new),
    }.items():
        with pytest.raises(
            ValueError, match=rf"^{name.strip()}\[9, 1\]: 1e\+300 over the lengthscale is beyond 2\^500"
        ):
            call()


def test_other_parameters_name_coordinates_as_the_caller_does():
    with pytest.raises(ValueError, match=r"^coords\[0, 0\]: .* is beyond 2\^500"):
        make(Matern32(0.3)).with_parameters(kernel=Matern32(1e-160))


def test_sparse_matrices_are_refused():
    sparse, model = csr_matrix(COORDS), make(Matern32(0.3))
    for name, call in {
        "coords": lambda: make(Matern32(0.3), coords=sparse),
        "noise": lambda: make(Matern32(0.3), sparse),
        "inducing_points": lambda: make(Matern32(0.3), n_inducing=None, inducing_points=sparse),
        "ordering": lambda: make(Matern32(0.3), ordering=sparse),
        "neighbors": lambda: make(Matern32(0.3), neighbors=sparse),
        "y": lambda: model.solve(sparse),
        "design": lambda: model.trend(Y, sparse),
        "new": lambda: model.predict(sparse, Y),
    }.items():
        with pytest.raises(TypeError, match=rf"^{name}: expected .*, got an object of type csr_matrix"):
            call()


def test_data_frames_are_arrays():
    pandas = pytest.importorskip("pandas")
    coords, y, noise = pandas.DataFrame(COORDS, columns=["a", "b"]), pandas.DataFrame(Y), pandas.Series(NOISE)
    model, known = make(Matern32(0.3), noise, coords=coords), make(Matern32(0.3), NOISE)
    np.testing.assert_array_equal(
        model.log_likelihood(y, trend=coords > 0.5), known.log_likelihood(Y, trend=COORDS > 0.5)
    )
    np.testing.assert_array_equal(model.predict(coords[:4], y[0]), known.predict(COORDS[:4], Y[:, 0]))
    with pytest.raises(TypeError, match=r"^coords\['c'\]: expected real numbers, got dtype (object|str)"):
        make(Matern32(0.3), coords=coords.assign(c="x"))
    with pytest.raises(TypeError, match=r"^y: expected real numbers, got dtype object"):
        model.solve(y[0].astype(object))


def test_columns_of_a_trend_are_named_as_such():
    model = make(Matern32(0.3))
    for columns, message in {
        "none": (np.empty((N, 0)), "expected 1 to 65536 columns, got 0"),
        "many": (np.ones((N, 2**16 + 1)), "expected 1 to 65536 columns, got 65537"),
        "twice": (COORDS[:, [1, 1]], "expected linearly independent columns"),
    }.values():
        with pytest.raises(ValueError, match=f"^trend: {message}"):
            model.log_likelihood(Y, trend=columns)
        with pytest.raises(ValueError, match=f"^design: {message}"):
            model.trend(Y, columns)
    with pytest.raises(ValueError, match=r"^design\[0, 0\]: expected a finite number of a size up to 2\^200"):
        model.trend(Y, COORDS * 1e200)


class Broken(Exception):
    pass


def test_a_model_survives_a_kernel_that_raises():
    failing = []

    def kernel(a, b):
        if failing:
            raise Broken
        return Matern32(0.3)(a, b)

    def gradient(a, b):
        return kernel(a, b)[None]

    model, other = make(kernel, kernel_gradient=gradient), make(kernel, kernel_gradient=gradient)
    new = COORDS[:9] + 0.01
    calls = {
        "gradient": lambda one, n: one.log_likelihood(Y, eval_gradient=True, n_threads=n)[1],
        "mean": lambda one, n: one.predict(new, Y, n_threads=n),
        "covariance": lambda one, n: one.predict(new, Y, return_cov=True, n_threads=n)[1],
        "sample": lambda one, n: one.sample(2, y=Y[:, 0], coords=new, seed=1, n_threads=n),
        "parameters": lambda one, n: one.with_parameters(noise=0.2, n_threads=n).log_likelihood(Y),
        "refit": lambda one, n: one.refit(noise=0.2, n_threads=n).log_likelihood(Y),
    }
    for n_threads in (1, 2):
        failing.append(True)
        for call in calls.values():
            with pytest.raises(Broken):
                call(model, n_threads)
        failing.clear()
        for name, call in calls.items():
            np.testing.assert_array_equal(call(model, n_threads), call(other, 1), err_msg=name)


def test_responses_that_would_overflow():
    model = make(Matern32(0.3))
    for size in (1e61, -1e300):
        y = np.ones(len(COORDS))
        y[4] = size
        for call in (model.log_likelihood, model.solve, lambda y: model.predict(COORDS[:2], y)):
            with pytest.raises(ValueError, match=r"^y\[4\]: expected a finite number of a size up to 2\^200"):
                call(y)
    assert np.isfinite(model.log_likelihood(np.full(len(COORDS), 1e60), eval_gradient=True)[1]).all()

"""The VIF model: factor, likelihood and gradient."""

import numpy as np
import pytest
import scipy.sparse
import vif_oracle as oracle
from gpboost_data import CUBE, CUBE_SCALES, CUBE_Y, PLANE, PLANE_Y, TIMES, TIMES_SCALES, TIMES_Y
from scipy.stats import norm
from vif_models import COORDS, NOISE, N, Y, dense, every_kernel, every_noise, make, sklearn_process

from covertreex import set_num_threads, vecchia
from covertreex.kernels import RBF, Matern12, Matern32, Matern52
from covertreex.vecchia import VIF


@every_noise
@every_kernel
def test_likelihood_is_that_of_the_dense_normal_distribution(kernel, noise):
    model = make(kernel, noise)
    value = model.log_likelihood(Y[:, 0])
    assert isinstance(value, float)
    np.testing.assert_allclose(value, oracle.log_likelihood(dense(model, kernel, noise), Y[:, 0]), rtol=1e-9)


@every_noise
@every_kernel
def test_factor_is_the_dense_one(kernel, noise):
    model = make(kernel, noise)
    b, d = model.factor()
    dense_b, dense_d, dense_v = oracle.factor(dense(model, kernel, noise))
    assert scipy.sparse.issparse(b) and b.format == "csr" and b.shape == (N, N)
    assert b.nnz == N + sum(map(len, oracle.unpadded(model.neighbors)))
    assert (b.diagonal() == 1).all()
    assert scipy.sparse.triu(b, 1).nnz == 0
    np.testing.assert_allclose(b.toarray(), dense_b, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(d, dense_d, rtol=1e-8)
    np.testing.assert_allclose(model.v_matrix, dense_v, rtol=1e-7, atol=1e-9)


@every_noise
@every_kernel
def test_solve_and_log_determinant(kernel, noise):
    model = make(kernel, noise)
    sigma = oracle.covariance(dense(model, kernel, noise))
    np.testing.assert_allclose(model.solve(Y), np.linalg.solve(sigma, Y), rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(model.solve(Y[:, 0]), np.linalg.solve(sigma, Y[:, 0]), rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(model.log_determinant, np.linalg.slogdet(sigma)[1], rtol=1e-9)


@pytest.mark.parametrize(("n_inducing", "n_neighbors"), [(7, 5), (7, 0), (0, 5), (0, 0), (1, 1), (20, N)])
@every_noise
@every_kernel
def test_gradient_is_that_of_the_dense_likelihood(kernel, noise, n_inducing, n_neighbors):
    model = make(kernel, noise, n_inducing=n_inducing, n_neighbors=n_neighbors)
    value, gradient = model.log_likelihood(Y[:, 0], eval_gradient=True)
    wanted = oracle.gradient(dense(model, kernel, noise), Y[:, 0])
    assert value == model.log_likelihood(Y[:, 0])
    np.testing.assert_allclose(gradient, wanted, rtol=1e-7, atol=1e-7 * np.abs(wanted).max())


@every_kernel
def test_gradient_is_the_slope_of_the_likelihood(kernel):
    model = make(kernel)
    gradient = model.log_likelihood(Y[:, 0], eval_gradient=True)[1]
    scales = np.array(kernel.lengthscale)

    def value(step):
        moved = type(kernel)(scales * np.exp(step[2:] if scales.ndim else step[2]), kernel.variance * np.exp(step[1]))
        return model.with_parameters(kernel=moved, noise=0.1 * np.exp(step[0])).log_likelihood(Y[:, 0])

    slopes = [(value(step) - value(-step)) / 2e-5 for step in 1e-5 * np.eye(2 + scales.size)]
    np.testing.assert_allclose(gradient, slopes, rtol=1e-5, atol=1e-5)


def test_gradient_by_one_lengthscale_is_the_sum_of_those_by_each():
    one = make(Matern32(0.3, 1.7), ordering="natural", inducing_points=COORDS[::9], n_inducing=None)
    each = make(Matern32((0.3, 0.3), 1.7), ordering="natural", inducing_points=COORDS[::9], n_inducing=None)
    gradients = [model.log_likelihood(Y[:, 0], eval_gradient=True)[1] for model in (one, each)]
    assert [len(gradient) for gradient in gradients] == [3, 4]
    np.testing.assert_allclose(gradients[0], [*gradients[1][:2], gradients[1][2:].sum()], rtol=1e-9)


def test_gradient_by_the_noise_is_0_without_noise():
    kernel = Matern12(0.3)
    model = make(kernel, 0.0)
    gradient = model.log_likelihood(Y[:, 0], eval_gradient=True)[1]
    assert gradient[0] == 0
    np.testing.assert_allclose(gradient, oracle.gradient(dense(model, kernel, 0.0), Y[:, 0]), rtol=1e-6)


def test_gradient_in_many_dimensions(rng):
    coords, kernel = rng.random((80, 17)), Matern32(np.geomspace(0.5, 4, 17), 1.3)
    y = rng.standard_normal(80)
    model = make(kernel, coords=coords)
    value, gradient = model.log_likelihood(y, eval_gradient=True)
    exact = dense(model, kernel, coords=coords)
    np.testing.assert_allclose(value, oracle.log_likelihood(exact, y), rtol=1e-10)
    np.testing.assert_allclose(gradient, oracle.gradient(exact, y), rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("n_inducing", [0, 7])
@every_kernel
def test_with_every_predecessor_it_is_the_process_of_sklearn(kernel, n_inducing):
    process = sklearn_process(kernel, 0.1, Y[:, 0])
    wanted, slopes = process.log_marginal_likelihood(process.kernel_.theta, eval_gradient=True)
    value, gradient = make(kernel, n_neighbors=N - 1, n_inducing=n_inducing).log_likelihood(Y[:, 0], eval_gradient=True)
    np.testing.assert_allclose(value, wanted, rtol=1e-8)
    np.testing.assert_allclose(gradient, np.roll(slopes, 1), rtol=1e-6, atol=1e-6)


@every_noise
@every_kernel
def test_without_neighbours_it_is_fitc(kernel, noise):
    model = make(kernel, noise, n_neighbors=0)
    inducing = model.inducing_points
    gram = kernel(inducing) * (1 + 1e-6 * np.eye(len(inducing)))
    low_rank = kernel(COORDS, inducing) @ np.linalg.solve(gram, kernel(inducing, COORDS))
    sigma = low_rank + np.diag(kernel.variance - np.diag(low_rank) + noise)
    np.testing.assert_allclose(model.solve(Y), np.linalg.solve(sigma, Y), rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(model.log_determinant, np.linalg.slogdet(sigma)[1], rtol=1e-9)
    assert model.neighbors.size == 0 or (model.neighbors == -1).all()


@every_noise
@every_kernel
def test_without_inducing_points_it_is_a_product_of_conditional_densities(kernel, noise):
    model = make(kernel, noise, n_inducing=0)
    sigma = (kernel(COORDS) + np.diag(np.broadcast_to(noise, N)))[np.ix_(model.order, model.order)]
    y, total = Y[model.order, 0], 0.0
    for rank, members in enumerate(oracle.unpadded(model.neighbors)):
        weights = np.linalg.solve(sigma[np.ix_(members, members)], sigma[members, rank])
        variance = sigma[rank, rank] - weights @ sigma[members, rank]
        total += norm(weights @ y[members], np.sqrt(variance)).logpdf(y[rank])
    np.testing.assert_allclose(model.log_likelihood(Y[:, 0]), total, rtol=1e-9)
    assert model.v_matrix.shape == (N, 0)


@pytest.mark.parametrize(
    ("n", "n_neighbors", "n_inducing"),
    [(1, 5, 0), (1, 0, 0), (1, 5, 1), (2, 1, 1), (12, 0, 12), (12, 3, 12), (12, 11, 12), (12, 12, 0), (12, 100, 4)],
)
def test_smallest_and_largest_numbers(n, n_neighbors, n_inducing):
    kernel = Matern52((0.2, 0.5), 1.7)
    coords, y = COORDS[:n], Y[:n, 0]
    model = make(kernel, coords=coords, n_neighbors=n_neighbors, n_inducing=n_inducing)
    value, gradient = model.log_likelihood(y, eval_gradient=True)
    exact = dense(model, kernel, coords=coords)
    assert [len(members) for members in exact.sets] == [min(rank, n_neighbors) for rank in range(n)]
    np.testing.assert_allclose(value, oracle.log_likelihood(exact, y), rtol=1e-8)
    np.testing.assert_allclose(gradient, oracle.gradient(exact, y), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(model.solve(y), np.linalg.solve(oracle.covariance(exact), y), rtol=1e-6)


def test_duplicates_are_legal_with_noise():
    kernel = Matern32(0.3)
    coords = np.repeat(COORDS[:20], 3, axis=0)
    model = make(kernel, coords=coords, n_inducing=20, n_neighbors=N - 1)
    sigma = kernel(coords) + 0.1 * np.eye(N)
    wanted = -(Y[:, 0] @ np.linalg.solve(sigma, Y[:, 0]) + np.linalg.slogdet(sigma)[1] + N * np.log(2 * np.pi)) / 2
    np.testing.assert_allclose(model.log_likelihood(Y[:, 0]), wanted, rtol=1e-7)


@pytest.mark.parametrize("noise", [0.0, np.where(np.isin(np.arange(N), (11, 42)), 0, 0.1)], ids=["noise", "noises"])
@pytest.mark.parametrize("ordering", ["natural", "random"])
@pytest.mark.parametrize("n_inducing", [0, 7])
def test_duplicates_without_noise_are_named(n_inducing, ordering, noise):
    coords = COORDS.copy()
    coords[42] = coords[11]
    with pytest.raises(ValueError, match=r"^(coords|noise): .*(\b11\b.*\b42\b|\b42\b.*\b11\b)"):
        make(Matern32(0.3), noise, coords, ordering=ordering, n_inducing=n_inducing, n_neighbors=N - 1).log_likelihood(
            Y[:, 0]
        )


def test_one_of_two_duplicates_may_lack_noise():
    coords = COORDS.copy()
    coords[42] = coords[11]
    noise = np.where(np.arange(N) == 11, 0, 0.1)
    kernel = Matern32(0.3)
    model = make(kernel, noise, coords)
    np.testing.assert_allclose(
        model.log_likelihood(Y[:, 0]), oracle.log_likelihood(dense(model, kernel, noise, coords), Y[:, 0]), rtol=1e-9
    )


def test_columns_are_responses():
    kernel = Matern52((0.2, 0.5))
    model = make(kernel)
    values, gradients = model.log_likelihood(Y, eval_gradient=True)
    assert values.shape == (3,) and gradients.shape == (3, 4)
    exact = dense(model, kernel)
    np.testing.assert_allclose(values, oracle.log_likelihood(exact, Y), rtol=1e-9)
    np.testing.assert_allclose(model.log_likelihood(Y), values)
    wanted = oracle.gradient(exact, Y)
    np.testing.assert_allclose(gradients, wanted, rtol=1e-7, atol=1e-7 * np.abs(wanted).max())
    assert model.log_likelihood(Y[:, :1]).shape == (1,)
    assert model.solve(Y).shape == (N, 3)


def test_responses_of_other_types_and_layouts():
    model = make(Matern52(0.3))
    whole = np.round(4 * Y)
    wanted = model.log_likelihood(np.ascontiguousarray(whole[:, 1]))
    for y in (whole[:, 1], whole[:, 1].astype(np.int32), whole[:, 1].astype(np.float32), whole[:, 1].tolist()):
        assert model.log_likelihood(y) == wanted
    np.testing.assert_allclose(model.log_likelihood(np.asfortranarray(whole)), model.log_likelihood(whole))
    frozen = whole[:, 1].copy()
    frozen.flags.writeable = False
    assert model.log_likelihood(frozen) == wanted


@pytest.mark.usefixtures("default_threads")
def test_the_same_bits_for_any_number_of_threads(rng):
    coords, y = rng.random((1500, 3)), rng.standard_normal((1500, 2))
    results = []
    for n_threads in (1, 2, 5):
        set_num_threads(n_threads)
        model = make(Matern32((0.2, 0.3, 0.4)), coords=coords, n_neighbors=12, n_inducing=40)
        b, d = model.factor()
        value, gradient = model.log_likelihood(y[:, 0], eval_gradient=True)
        columns = model.log_likelihood(y, eval_gradient=True)
        results.append([b.toarray(), d, model.v_matrix, value, gradient, *columns, model.solve(y)])
    for other in results[1:]:
        for one, another in zip(results[0], other):
            np.testing.assert_array_equal(one, another)


def test_many_chunks_are_as_one(rng):
    """More points than a block of the work has; the gradient is gathered over all of them."""
    coords, y = rng.random((700, 2)), rng.standard_normal(700)
    kernel = Matern52((0.1, 0.2), 1.4)
    model = make(kernel, coords=coords, n_neighbors=10, n_inducing=33)
    exact = dense(model, kernel, coords=coords)
    value, gradient = model.log_likelihood(y, eval_gradient=True)
    np.testing.assert_allclose(value, oracle.log_likelihood(exact, y), rtol=1e-9)
    np.testing.assert_allclose(gradient, oracle.gradient(exact, y), rtol=1e-6)


@pytest.mark.parametrize("ordering", ["natural", "random", "maxmin"])
@pytest.mark.parametrize("metric", ["residual", "euclidean"])
def test_neighbours_are_the_nearest_predecessors(metric, ordering):
    kernel = Matern52((0.2, 0.5))
    model = make(kernel, neighbors=metric, ordering=ordering)
    wanted = oracle.nearest_sets(dense(model, kernel), 5, metric)
    np.testing.assert_array_equal(np.sort(model.neighbors), np.sort(oracle.padded(wanted)))
    assert sorted(model.order) == list(range(N))
    if ordering == "natural":
        np.testing.assert_array_equal(model.order, np.arange(N))
    if ordering == "maxmin":
        np.testing.assert_array_equal(model.order, vecchia.ordering(COORDS / kernel.lengthscale))


def test_neighbours_are_int64_ranks_with_padding_at_the_end():
    model = make(Matern52(0.3))
    assert model.neighbors.dtype == np.int64 and model.neighbors.shape == (N, 5)
    assert model.order.dtype == np.int64
    for rank, row in enumerate(model.neighbors):
        used = min(rank, 5)
        assert (row[:used] >= 0).all() and (row[:used] < rank).all() and len(set(row[:used])) == used
        assert (row[used:] == -1).all()


def test_one_seed_gives_one_model():
    models = [make(Matern52(0.3), ordering="random", seed=seed) for seed in (1, 1, 2)]
    for name in ("order", "neighbors", "inducing_points"):
        np.testing.assert_array_equal(getattr(models[0], name), getattr(models[1], name))
    assert models[0].log_likelihood(Y[:, 0]) == models[1].log_likelihood(Y[:, 0])
    assert (models[0].order != models[2].order).any()


@pytest.mark.parametrize("inducing", [None, COORDS[::9] + 0.01], ids=["none", "given"])
def test_sets_from_elsewhere_are_used_as_they_are(rng, inducing):
    kernel = Matern32((0.2, 0.5), 1.7)
    order = rng.permutation(N)
    sets = [rng.choice(rank, rng.integers(0, min(rank, 6) + 1), replace=False) for rank in range(N)]
    exact = oracle.of(COORDS, kernel, NOISE, order=order, sets=sets, inducing=inducing)
    points = {"n_inducing": 0} if inducing is None else {"inducing_points": inducing}
    model = VIF(COORDS, kernel=kernel, noise=NOISE, neighbors=oracle.padded(sets), ordering=order, **points)
    np.testing.assert_array_equal(model.order, order)
    np.testing.assert_array_equal(model.neighbors, oracle.padded(sets))
    value, gradient = model.log_likelihood(Y[:, 0], eval_gradient=True)
    np.testing.assert_allclose(value, oracle.log_likelihood(exact, Y[:, 0]), rtol=1e-9)
    np.testing.assert_allclose(gradient, oracle.gradient(exact, Y[:, 0]), rtol=1e-7, atol=1e-7)


def test_sets_of_neighbors_are_accepted():
    kernel = Matern32(0.3)
    sets = vecchia.neighbors(COORDS, kernel=kernel, m=5, n_inducing=7, ordering="random")
    model = VIF(COORDS, kernel=kernel, noise=0.1, neighbors=sets.neighbors, ordering=sets.order, n_inducing=0)
    exact = oracle.of(COORDS, kernel, 0.1, order=sets.order, sets=oracle.unpadded(sets.neighbors))
    np.testing.assert_allclose(model.log_likelihood(Y[:, 0]), oracle.log_likelihood(exact, Y[:, 0]), rtol=1e-9)


def test_other_parameters_keep_the_sets():
    first, second = Matern32(0.3), Matern32((0.15, 0.6), 2.0)
    model = make(first, ordering="random")
    before = model.log_likelihood(Y[:, 0])
    other = model.with_parameters(kernel=second, noise=0.2)
    for name in ("order", "neighbors", "inducing_points"):
        np.testing.assert_array_equal(getattr(other, name), getattr(model, name))
    wanted = oracle.log_likelihood(dense(model, second, 0.2), Y[:, 0])
    np.testing.assert_allclose(other.log_likelihood(Y[:, 0]), wanted, rtol=1e-9)
    assert model.log_likelihood(Y[:, 0]) == before
    louder = model.with_parameters(noise=NOISE)
    wanted = oracle.log_likelihood(dense(model, first, NOISE), Y[:, 0])
    np.testing.assert_allclose(louder.log_likelihood(Y[:, 0]), wanted, rtol=1e-9)


def test_refit_finds_the_sets_of_its_parameters():
    kernel = Matern32((0.05, 0.9), 2.0)
    model = make(Matern32((0.9, 0.05)), ordering="random")
    again = model.refit(kernel=kernel, noise=0.2)
    wanted = make(kernel, 0.2, ordering="random")
    for name in ("order", "neighbors", "inducing_points"):
        np.testing.assert_array_equal(getattr(again, name), getattr(wanted, name))
    assert (again.neighbors != model.neighbors).any()
    assert again.log_likelihood(Y[:, 0]) == wanted.log_likelihood(Y[:, 0])


def test_order_of_the_points_does_not_change_the_exact_process():
    kernel, shuffled = Matern52(0.3), np.random.default_rng(5).permutation(N)
    one = make(kernel, NOISE, n_neighbors=N, n_inducing=0)
    other = make(kernel, NOISE[shuffled], COORDS[shuffled], n_neighbors=N, n_inducing=0)
    np.testing.assert_allclose(one.log_likelihood(Y), other.log_likelihood(Y[shuffled]), rtol=1e-10)
    np.testing.assert_allclose(one.solve(Y)[shuffled], other.solve(Y[shuffled]), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize(
    ("coords", "y", "kernel", "n_neighbors", "published"),
    [
        (PLANE, PLANE_Y, Matern12(0.2, 1.6), 99, 124.2549533),
        (PLANE, PLANE_Y, Matern12(0.2, 1.6), 30, 124.2252524),
        (CUBE, CUBE_Y, Matern12(CUBE_SCALES, 1.6), 99, 249.4821103),
        (CUBE, CUBE_Y, Matern12(CUBE_SCALES, 1.6), 50, 249.4121769),
        (CUBE, CUBE_Y, Matern32(CUBE_SCALES, 1.6), 99, 276.2341252),
        (CUBE, CUBE_Y, RBF(CUBE_SCALES / np.sqrt(2), 1.6), 99, 322.3104221),
        (TIMES, TIMES_Y, Matern12(TIMES_SCALES, 1.6), 99, 272.1497719),
        (TIMES, TIMES_Y, Matern12(TIMES_SCALES, 1.6), 50, 272.1376522),
        (TIMES, TIMES_Y, Matern32(TIMES_SCALES, 1.6), 99, 288.6072086),
        (TIMES, TIMES_Y, Matern52(TIMES_SCALES, 1.6), 99, 296.7149408),
    ],
)
def test_likelihoods_of_the_tests_of_gpboost(coords, y, kernel, n_neighbors, published):
    options = {"n_neighbors": n_neighbors, "ordering": "natural", "neighbors": "euclidean", "coords": coords}
    value = make(kernel, n_inducing=0, **options).log_likelihood(y)
    np.testing.assert_allclose(-value, published, rtol=0, atol=1e-5)
    if n_neighbors == 99:
        np.testing.assert_allclose(-make(kernel, n_inducing=20, **options).log_likelihood(y), published, atol=1e-5)

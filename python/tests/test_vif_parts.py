"""VIF models in parts: the sums over parts give what one piece gives."""

import pickle

import numpy as np
import pytest

from covertreex.kernels import RBF, Matern12, Matern32, Matern52
from covertreex.vecchia import VIF
from covertreex.vecchia._parts import Lead, Observed, Part, Terms, Totals, members, predict, strangers

N, DIM = 700, 2
RANDOM = np.random.default_rng(11)
COORDS = RANDOM.random((N, DIM))
Y = np.stack([np.sin(6 * COORDS[:, 0]) + 0.3 * RANDOM.standard_normal(N), RANDOM.standard_normal(N)], axis=1)
NOISE = RANDOM.uniform(0.05, 0.2, N)
KERNELS = [RBF(0.2, 1.4), Matern12((0.3, 0.5), 0.7), Matern32(0.3, 1.7), Matern52((0.4, 0.2))]

SPLITS = {
    "one": np.zeros(N, int),
    "halves": (COORDS[:, 0] > 0.5).astype(int),
    "by rank": np.arange(N) * 5 // N,
    "at random": RANDOM.integers(0, 4, N),
    "one has a single point": np.minimum(np.arange(N), 1),
}


def whole(kernel, noise=0.1, n_inducing=30, n_neighbors=8):
    return VIF(
        COORDS, kernel=kernel, noise=noise, n_inducing=n_inducing, n_neighbors=n_neighbors, ordering="natural", seed=3
    )


def data(noise, rows=slice(None)):
    return Observed(COORDS[rows], Y[rows], None if np.isscalar(noise) else noise[rows])


def lead_of(model, kernel=None, noise=None):
    kernel, noise = model.kernel if kernel is None else kernel, model.noise if noise is None else noise
    return Lead(kernel, noise if np.isscalar(noise) else 1.0, model.inducing_points, 1e-6, DIM)


def parts_of(model, split, **options):
    parts = []
    for number in range(split.max() + 1):
        ranks = np.flatnonzero(split == number)
        neighbors = model.neighbors[ranks]
        halo = strangers(ranks, neighbors)
        own, others = data(model.noise, ranks), data(model.noise, halo)
        parts.append(Part(ranks, own, neighbors, halo, others, **options))
    return parts


def likelihood(parts, lead, *, gradient=True):
    totals = Totals.of([part.totals(lead.shared) for part in parts])
    terms = Terms.of([part.terms(lead.shared, totals, gradient=gradient) for part in parts])
    return (*lead.log_likelihood(totals, terms), totals)


def near(got, wanted):
    np.testing.assert_allclose(got, wanted, rtol=1e-10, atol=1e-10 * np.abs(wanted).max())


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: type(kernel).__name__)
def test_sums_over_parts_are_those_of_one_piece(kernel, split):
    model = whole(kernel)
    values, gradients, totals = likelihood(parts_of(model, SPLITS[split]), lead_of(model))
    wanted, slopes = model.log_likelihood(Y, eval_gradient=True)
    near(values, wanted)
    near(gradients, slopes)
    assert totals.n_points == N


@pytest.mark.parametrize(("n_inducing", "n_neighbors"), [(0, 8), (30, 0), (0, 0), (1, 1), (64, 20)])
@pytest.mark.parametrize("noise", [0.3, NOISE], ids=["one", "each"])
def test_other_sizes_and_noise_of_each_point(noise, n_inducing, n_neighbors):
    model = whole(Matern32(0.2), noise, n_inducing, n_neighbors)
    values, gradients, _ = likelihood(parts_of(model, SPLITS["at random"]), lead_of(model))
    wanted, slopes = model.log_likelihood(Y, eval_gradient=True)
    near(values, wanted)
    near(gradients, slopes)


def test_a_value_alone():
    model = whole(Matern52(0.3))
    values, gradients, _ = likelihood(parts_of(model, SPLITS["halves"]), lead_of(model), gradient=False)
    near(values, model.log_likelihood(Y))
    assert gradients is None


@pytest.mark.parametrize("keep", [True, False])
def test_other_hyperparameters_and_pickles(keep):
    model = whole(Matern52(0.3))
    parts = parts_of(model, SPLITS["at random"], keep=keep)
    likelihood(parts, lead_of(model))
    other = model.with_parameters(kernel=Matern52(0.4, 2.0), noise=0.2)
    wanted, slopes = other.log_likelihood(Y, eval_gradient=True)
    for some in (parts, pickle.loads(pickle.dumps(parts))):
        values, gradients, _ = likelihood(some, lead_of(other))
        near(values, wanted)
        near(gradients, slopes)


@pytest.mark.parametrize("n_neighbors", [8, 0])
@pytest.mark.parametrize("n_inducing", [30, 0])
@pytest.mark.parametrize("noise", [0.1, NOISE], ids=["one", "each"])
def test_predictions_are_those_of_one_piece(noise, n_inducing, n_neighbors):
    model = whole(Matern32(0.3), noise, n_inducing, n_neighbors)
    lead = lead_of(model)
    *_, totals = likelihood(parts_of(model, SPLITS["halves"]), lead)
    new = RANDOM.random((40, DIM))
    sets = model._search.nearest(new, n_neighbors, None, None)
    ranks = members(sets)
    mean, variance = predict(new, sets, (ranks, data(noise, ranks)), lead.shared, totals, variance=True)
    wanted, spread = model.predict(new, Y, return_var=True, latent=True)
    near(mean, wanted)
    near(variance, spread)


def test_the_number_of_threads_does_not_matter():
    model = whole(Matern52(0.3))
    lead = lead_of(model)
    found = []
    for n_threads in (1, 2, 5):
        parts = parts_of(model, SPLITS["at random"])
        totals = Totals.of([part.totals(lead.shared, n_threads=n_threads) for part in parts])
        terms = [part.terms(lead.shared, totals, gradient=True, n_threads=n_threads) for part in parts]
        found.append((totals, *terms))
    for one in found[1:]:
        for a, b in zip(found[0], one):
            for name, array in vars(a).items():
                assert np.array_equal(array, getattr(b, name)), name


def test_errors_name_points_by_their_ranks():
    coords = COORDS.copy()
    coords[600] = coords[550]
    neighbors = np.full((N, 1), -1)
    neighbors[600] = 550
    ranks = np.arange(500, N)
    own = Observed(coords[ranks], Y[ranks], None)
    part = Part(ranks, own, neighbors[ranks], np.empty(0, np.int64), own.some(np.empty(0, int)))
    with pytest.raises(ValueError, match="noise: expected above 0 for equal points, got 0 for points 550 and 600"):
        part.totals(Lead(Matern32(0.3), 0.0, COORDS[:0], 1e-6, DIM).shared)


def test_a_jitter_that_does_not_suffice_elsewhere_is_an_error():
    twice = np.concatenate([COORDS[:5], COORDS[:5]])
    lead = Lead(RBF(0.5), 0.1, twice, 1e-18, DIM)
    assert lead.shared.jitter > 1e-18
    part = parts_of(whole(RBF(0.5)), SPLITS["one"])[0]
    assert part.totals(lead.shared).products.shape == (10, 10)
    wrong = type(lead.shared)(lead.shared.kernel, 0.1, twice, 1e-18)
    with pytest.raises(RuntimeError, match="jitter"):
        part.totals(wrong)

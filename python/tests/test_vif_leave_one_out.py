"""Leave-one-out predictions, and predictions with a trend, against dense covariances."""

import numpy as np
import pytest
import vif_oracle as oracle
from vif_models import COORDS, NOISE, N, Y, dense, every_kernel, every_noise, make

from covertreex.kernels import Matern32

NEW = np.random.default_rng(33).random((9, 2))
DESIGN, NEW_DESIGN = (np.column_stack([np.ones(len(one)), one]) for one in (COORDS, NEW))


@pytest.mark.parametrize(("n_inducing", "n_neighbors"), [(7, 5), (7, 0), (0, 5), (0, 0), (20, N)])
@every_noise
@every_kernel
def test_each_is_predicted_from_all_others(kernel, noise, n_inducing, n_neighbors):
    model = make(kernel, noise, n_inducing=n_inducing, n_neighbors=n_neighbors)
    sigma = oracle.covariance(dense(model, kernel, noise))
    for y in (Y, Y[:, 0]):
        mean, variance = model.leave_one_out(y)
        wanted, spread = oracle.left_out(sigma, y)
        assert mean.shape == y.shape
        np.testing.assert_allclose(mean, wanted, rtol=1e-7, atol=1e-8)
        np.testing.assert_allclose(variance, spread, rtol=1e-7)


@every_noise
def test_the_trend_is_that_of_the_others(noise):
    kernel = Matern32((0.2, 0.5), 1.7)
    model = make(kernel, noise)
    sigma = oracle.covariance(dense(model, kernel, noise))
    mean, variance = model.leave_one_out(100 + Y, trend=DESIGN)
    wanted, spread = oracle.left_out(sigma, 100 + Y, DESIGN)
    np.testing.assert_allclose(mean, wanted, rtol=1e-8)
    np.testing.assert_allclose(variance, spread, rtol=1e-7)


def test_a_coefficient_that_one_datum_determines():
    design = np.column_stack([np.ones(N), np.arange(N) == 7])
    with pytest.raises(ValueError, match=r"^trend: expected coefficients that are known without row 7, got others"):
        make(Matern32(0.3)).leave_one_out(Y, trend=design)


def test_leave_one_out_has_the_same_bits_for_any_number_of_threads():
    model = make(Matern32(0.3), n_inducing=20)
    one = model.leave_one_out(Y, n_threads=1)
    for count in (2, 3):
        for part, again in zip(one, model.leave_one_out(Y, n_threads=count)):
            np.testing.assert_array_equal(part, again)


@pytest.mark.parametrize("latent", [False, True])
@every_kernel
def test_prediction_with_a_trend_is_universal_kriging(kernel, latent):
    """With all neighbours, where the approximation is the process."""
    model = make(kernel, n_neighbors=N + len(NEW), n_inducing=0)
    own = kernel(NEW) + 0.1 * (not latent) * np.eye(len(NEW))
    y = 30 + Y
    wanted, covariance = oracle.kriging(
        kernel(COORDS) + 0.1 * np.eye(N), kernel(COORDS, NEW), own, y, design=DESIGN, at=NEW_DESIGN
    )
    given = {"trend": DESIGN, "new_trend": NEW_DESIGN, "latent": latent}
    mean, variance = model.predict(NEW, y, return_var=True, **given)
    np.testing.assert_allclose(mean, wanted, rtol=1e-8)
    np.testing.assert_allclose(variance, np.diag(covariance), rtol=1e-7)
    mean, joint = model.predict(NEW, y[:, 0], return_cov=True, **given)
    np.testing.assert_allclose(mean, wanted[:, 0], rtol=1e-8)
    np.testing.assert_allclose(joint, covariance, rtol=1e-7, atol=1e-8)
    np.testing.assert_allclose(model.predict(NEW, y[:, 0], **given), wanted[:, 0], rtol=1e-8)


def test_a_trend_with_noises():
    kernel = Matern32(0.3, 1.7)
    model = make(kernel, NOISE, n_neighbors=N, n_inducing=0)
    sigma = kernel(COORDS) + np.diag(NOISE)
    wanted, covariance = oracle.kriging(sigma, kernel(COORDS, NEW), kernel(NEW), Y, design=DESIGN, at=NEW_DESIGN)
    mean, variance = model.predict(NEW, Y, return_var=True, latent=True, trend=DESIGN, new_trend=NEW_DESIGN)
    np.testing.assert_allclose(mean, wanted, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(variance, np.diag(covariance), rtol=1e-7)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"trend": DESIGN}, "new_trend: expected together with trend, or neither of them"),
        ({"new_trend": NEW_DESIGN}, "new_trend: expected together with trend, or neither of them"),
        ({"trend": DESIGN, "new_trend": NEW_DESIGN[:, :2]}, "new_trend: expected 3 columns, got 2"),
        ({"trend": DESIGN, "new_trend": NEW_DESIGN[1:]}, "new_trend: expected 9 rows, one for each point, got 8"),
    ],
)
def test_a_trend_is_known_at_the_data_and_at_new_points(given, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        make(Matern32(0.3)).predict(NEW, Y, **given)

"""Scores of Gaussian predictions."""

import numpy as np
import pytest

pytest.importorskip("scipy")
from scipy.integrate import quad
from scipy.stats import norm

from covertreex.vecchia import scores

MEAN = np.random.default_rng(0).standard_normal(50)
VARIANCE = np.random.default_rng(1).uniform(0.2, 2, 50)
Y = MEAN + 1.3 * np.sqrt(VARIANCE) * np.random.default_rng(2).standard_normal(50)
DISTRIBUTIONS = norm(MEAN, np.sqrt(VARIANCE))


def test_scores_by_their_definitions():
    found = scores(Y, MEAN, VARIANCE)
    errors = Y - MEAN
    np.testing.assert_allclose(found.rmse**2, (errors**2).mean())
    np.testing.assert_allclose(found.mae, np.abs(errors).mean())
    np.testing.assert_allclose(found.log_score, -DISTRIBUTIONS.logpdf(Y).mean())
    assert list(found.coverage) == [0.5, 0.8, 0.95]
    for level, share in found.coverage.items():
        lower, upper = DISTRIBUTIONS.interval(level)
        assert share == ((lower <= Y) & (upper >= Y)).mean()


def test_crps_is_the_integral_of_the_squared_error_of_the_distribution():
    def of_one(y, mean, variance):
        one = norm(mean, np.sqrt(variance))
        below = quad(lambda t: one.cdf(t) ** 2, -np.inf, y)[0]
        return below + quad(lambda t: one.sf(t) ** 2, y, np.inf)[0]

    wanted = [of_one(*row) for row in zip(Y[:8], MEAN, VARIANCE)]
    np.testing.assert_allclose(scores(Y[:8], MEAN[:8], VARIANCE[:8]).crps, np.mean(wanted), rtol=1e-6)


def test_other_levels_and_the_coverage_of_good_predictions():
    generator = np.random.default_rng(3)
    found = scores(generator.standard_normal(20_000), np.zeros(20_000), np.ones(20_000), levels=[0.1, 0.9])
    np.testing.assert_allclose(list(found.coverage.values()), [0.1, 0.9], atol=0.01)
    np.testing.assert_allclose(found.log_score, 0.5 + 0.5 * np.log(2 * np.pi), atol=0.02)
    np.testing.assert_allclose(found.crps, 1 / np.sqrt(np.pi), atol=0.01)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (([], [], []), ValueError, r"^y: expected shape \(q,\), got \(0,\)"),
        (([[1.0]], [1.0], [1.0]), ValueError, r"^y: expected shape \(q,\), got \(1, 1\)"),
        (([1.0, np.nan], [1.0, 1.0], [1.0, 1.0]), ValueError, r"^y\[1\]: expected a finite number, got nan"),
        (([1.0], [1.0, 2.0], [1.0]), ValueError, r"^mean: expected shape \(1,\), got \(2,\)"),
        (([1.0], [1.0], [0.0]), ValueError, r"^variance\[0\]: expected a number above 0, got 0"),
        (([1.0], ["a"], [1.0]), TypeError, r"^mean: expected real numbers"),
    ],
)
def test_refused_predictions(given, error, message):
    with pytest.raises(error, match=message):
        scores(*given)


@pytest.mark.parametrize("level", [0, 1, -0.5, np.nan])
def test_refused_levels(level):
    with pytest.raises(ValueError, match=r"^levels\[1\]: expected above 0 and below 1, got"):
        scores([1.0], [1.0], [1.0], levels=[0.5, level])

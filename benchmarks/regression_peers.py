"""Fits of ours, scikit-learn's exact process and GPyTorch's SVGP for `regression.py`, each in a process of its own.

As a script, this file is that process: it writes predictions to a file, and prints its figures as JSON. It imports a peer only to run it,
because another Python may have GPyTorch. All fit the kernel of the protocol, from the same start where the title does not say otherwise.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from processes import Figures
from regression_data import (
    N_INDUCING,
    START_NOISE,
    START_VARIANCE,
    K,
    Problem,
    problem,
    start,
)

N_EXACT = 1000
SVGP_INDUCING, SVGP_BATCH, SVGP_EPOCHS, SVGP_RATE = 500, 1024, 100, 0.01
# A GPyTorch fit ends after these seconds. It predicts this number of points at a time.
SVGP_PATIENCE, SVGP_PREDICTED = 1100, 4096
OURS: dict[str, dict[str, Any]] = {
    "vif": {"n_inducing": N_INDUCING, "neighbors": "residual"},
    "vif-start": {"n_inducing": N_INDUCING, "neighbors": "residual"},
    "vif-calibrated": {"n_inducing": N_INDUCING, "neighbors": "residual"},
    "euclidean": {"n_inducing": N_INDUCING, "neighbors": "euclidean"},
    "vecchia": {"n_inducing": 0, "neighbors": "euclidean"},
    "vecchia-calibrated": {"n_inducing": 0, "neighbors": "euclidean"},
}


class Answer(NamedTuple):
    """Figures, and the distributions of the new responses."""

    figures: Figures
    mean: np.ndarray
    variance: np.ndarray


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds and result. This is not covertree's: a Python with GPyTorch may be without it."""
    began = time.perf_counter()
    result = work()
    return time.perf_counter() - began, result


def covertree(given: Problem, peer: str) -> Answer:
    """Ours, with starting values from the data or, for "vif-start", those of the others.

    Variances of "calibrated" ones are corrected by leave-one-out errors nearby.
    """
    from covertreex import vecchia
    from covertreex.kernels import Matern32

    settings: dict[str, Any] = {}
    if peer == "vif-start":
        noise, variance, *lengthscales = start(given.x.shape[1])
        settings = {"kernel": Matern32(lengthscales, variance), "noise": noise}
    fit_s, found = timed(
        lambda: vecchia.fit(
            given.x,
            given.y,
            n_neighbors=K,
            ordering="random",
            inducing_points="kmeans++",
            **OURS[peer],
            **settings,
        )
    )

    def predict() -> tuple[np.ndarray, np.ndarray]:
        mean, variance = found.model.predict(
            given.new_x, given.y, return_var=True, n_neighbors=2 * K
        )
        if peer.endswith("-calibrated"):
            variance *= vecchia.calibrate(found.model, given.y).factors(given.new_x)
        return mean, variance

    predict_s, (mean, variance) = timed(predict)
    sampled = [step for step in found.history if step.n_points < len(given.y)]
    full = [step for step in found.history if step.n_points == len(given.y)]
    figures = {
        "fit_s": fit_s,
        "predict_s": predict_s,
        "evaluations": found.n_evaluations - (sampled[-1].n_evaluations if sampled else 0),
        "log_likelihood": found.log_likelihood,
        "hyperparameters": np.exp(found.theta).tolist(),
        "trace": [{"seconds": step.seconds, "log_likelihood": step.best} for step in full],
    }  # fmt: skip
    return Answer(figures, mean, variance)


def exact(given: Problem, _: str) -> Answer:
    """scikit-learn's exact process of the first points, which are random ones."""
    import sklearn
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

    lengthscales = start(given.x.shape[1])[2:]
    wide = (1e-3, 1e3)
    matern = Matern(lengthscales, length_scale_bounds=wide, nu=1.5)
    kernel = ConstantKernel(START_VARIANCE, (1e-4, 1e3)) * matern + WhiteKernel(START_NOISE, (1e-6, 1e1))  # fmt: skip
    model = GaussianProcessRegressor(kernel)
    x, y = given.x[:N_EXACT], given.y[:N_EXACT]
    fit_s, _model = timed(lambda: model.fit(x, y))
    predict_s, (mean, std) = timed(lambda: model.predict(given.new_x, return_std=True))
    process, noise = model.kernel_.k1, model.kernel_.k2
    figures = {
        "fit_s": fit_s,
        "predict_s": predict_s,
        "n_points_of_fit": len(y),
        "log_likelihood_of_fit": float(model.log_marginal_likelihood_value_),
        "hyperparameters": [noise.noise_level, process.k1.constant_value, *process.k2.length_scale],
        "version": sklearn.__version__,
    }  # fmt: skip
    return Answer(figures, mean, std**2)


def svgp(given: Problem, _: str) -> Answer:
    """GPyTorch's sparse variational process, fitted by Adam in minibatches."""
    import gpytorch
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    torch.manual_seed(0)
    x, y, new_x = (torch.from_numpy(array) for array in (given.x, given.y, given.new_x))
    n_inducing = min(SVGP_INDUCING, len(y))

    class Sparse(gpytorch.models.ApproximateGP):
        def __init__(self) -> None:
            size = gpytorch.variational.CholeskyVariationalDistribution(n_inducing)
            # The points are in a random order.
            strategy = gpytorch.variational.VariationalStrategy(self, x[:n_inducing].clone(), size)  # fmt: skip
            super().__init__(strategy)
            self.mean = gpytorch.means.ZeroMean()
            matern = gpytorch.kernels.MaternKernel(nu=1.5, ard_num_dims=x.shape[1])
            self.covariance = gpytorch.kernels.ScaleKernel(matern)

        def forward(self, points: Any) -> Any:
            covariance = self.covariance(points)
            return gpytorch.distributions.MultivariateNormal(self.mean(points), covariance)  # fmt: skip

    model, likelihood = Sparse().double(), gpytorch.likelihoods.GaussianLikelihood().double()  # fmt: skip
    noise, variance, *lengthscales = start(x.shape[1])
    likelihood.noise = noise
    model.covariance.outputscale = variance
    model.covariance.base_kernel.lengthscale = torch.tensor(lengthscales).double()
    bound = gpytorch.mlls.VariationalELBO(likelihood, model, len(y))
    weights = [*model.parameters(), *likelihood.parameters()]
    optimizer = torch.optim.Adam(weights, lr=SVGP_RATE)
    batches = DataLoader(TensorDataset(x, y), batch_size=SVGP_BATCH, shuffle=True)

    def fit() -> int:
        began, epoch = time.perf_counter(), 0
        while epoch < SVGP_EPOCHS and time.perf_counter() - began < SVGP_PATIENCE:
            for some_x, some_y in batches:
                optimizer.zero_grad()
                loss = -bound(model(some_x), some_y)
                loss.backward()
                optimizer.step()
            epoch += 1
        return epoch

    def predict() -> tuple[np.ndarray, np.ndarray]:
        model.eval(), likelihood.eval()
        with torch.no_grad():
            parts = [likelihood(model(part)) for part in new_x.split(SVGP_PREDICTED)]
            means = torch.cat([part.mean for part in parts])
            return means.numpy(), torch.cat([part.variance for part in parts]).numpy()

    fit_s, epochs = timed(fit)
    predict_s, (mean, spread) = timed(predict)
    kernel = model.covariance
    scales = kernel.base_kernel.lengthscale.detach().ravel().tolist()
    figures = {
        "fit_s": fit_s,
        "predict_s": predict_s,
        "epochs": epochs,
        "n_inducing": n_inducing,
        "hyperparameters": [likelihood.noise.item(), kernel.outputscale.item(), *scales],
        "version": gpytorch.__version__,
    }  # fmt: skip
    return Answer(figures, mean, spread)


PEERS: dict[str, Callable[[Problem, str], Answer]] = {
    **dict.fromkeys(OURS, covertree),
    "exact": exact,
    "svgp": svgp,
}


def main() -> None:
    """Run a peer."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", required=True)
    parser.add_argument("--fold", type=int, required=True)
    parser.add_argument("--peer", required=True, choices=PEERS)
    parser.add_argument("--most", type=int)
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    given = problem(asked.case, asked.fold, asked.most)
    figures, mean, variance = PEERS[asked.peer](given, asked.peer)
    np.savez(asked.out, mean=mean, variance=variance)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()

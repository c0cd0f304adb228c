"""Models of different sizes against the exact process, and on data.

The exact process has known hyperparameters at 1 000 points: uniform ones in a square, or rows of kin40k, which have eight columns.
Figures are the Kullback-Leibler divergence from the process to the model, for each point, and what the approximation adds to the log
score of predictions at 500 new points, which is the mean divergence of their distributions. On data, hyperparameters are fitted once,
and models of other sizes have the same ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from time import process_time
from typing import Any, NamedTuple

import numpy as np
from covertreex import vecchia
from covertreex._bench.clocks import timed
from covertreex.kernels import RBF, Matern12, Matern32, Matern52
from covertreex.vecchia import VIF
from processes import Figures
from regression_data import CASES, DATA, LEAST_SPREAD, Problem
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import diags

N, N_NEW, DRAWS = 1_000, 500, 50
KERNELS = {
    "Matern 1/2": Matern12,
    "Matern 3/2": Matern32,
    "Matern 5/2": Matern52,
    "RBF": RBF,
}
USUAL = "Matern 3/2"
SIZES, NEIGHBORS = (0, 50, 200), (5, 10, 20, 30, 60)
ORDERS = ("maxmin", "random", "sorted")
# Inducing points and neighbours of the tables of kernels, of metrics and of orders.
PAIRS = ((0, 10), (0, 30), (50, 10), (50, 30), (200, 10), (200, 30))
ORDERED = ((0, 10), (0, 30), (200, 10), (200, 30))
# Of data, these points and models.
MOST, FITTED, N_TEST = 16_000, 8_000, 4_000
ON_DATA = {0: (5, 10, 20, 30, 60), 50: (10, 30, 60), 200: (10, 30, 60), 500: (10, 30)}


class Case(NamedTuple):
    """Points, the first of which are data, and a process."""

    points: np.ndarray
    lengthscale: Any
    noise: float


class Exact:
    """The exact process at the points of a case, and draws from it."""

    def __init__(self, case: Case, kernel: str, n: int) -> None:
        self.kernel, self.noise = KERNELS[kernel](case.lengthscale), case.noise
        self.x, self.new = case.points[:n], case.points[n:]
        self.covariance = self.kernel(self.x) + self.noise * np.eye(n)
        factor = cho_factor(self.covariance, lower=True)
        across = self.kernel(self.x, self.new)
        weights = cho_solve(factor, across)
        explained = (weights * across).sum(axis=0)
        self.log_determinant = 2 * np.log(np.diag(factor[0])).sum()
        self.variance = self.kernel.variance + self.noise - explained
        normals = np.random.default_rng(1).standard_normal((n, DRAWS))
        self.y = np.tril(factor[0]) @ normals
        self.mean = weights.T @ self.y

    def compared(self, model: VIF) -> Figures:
        """Figures of an approximation."""
        n = len(self.x)
        trace, features = self.trace(model), model.v_matrix
        log_ratio = model.log_determinant - self.log_determinant
        mean, variance = model.predict(self.new, self.y, return_var=True, n_threads=1)
        # The squared error of the mean that is due to the approximation.
        added = ((mean - self.mean) ** 2).mean(axis=1)
        ratio = variance / self.variance
        score = 0.5 * (np.log(ratio) + (self.variance + added) / variance - 1)
        residual = 1 - (features**2).sum() / n / self.kernel.variance
        return {
            "divergence": float(0.5 * (trace - n + log_ratio) / n),
            "added_log_score": float(score.mean()),
            "rmse_ratio": float(np.sqrt(1 + added.mean() / self.variance.mean())),
            "residual_share": float(residual),
        }

    def trace(self, model: VIF) -> float:
        """Of the inverse of the model's covariance times the exact covariance.

        By ``Q - Q V M^-1 V^T Q`` with ``Q = B^T D^-1 B`` and ``M = I + V^T Q V``, in a fraction of the time that solving for all
        columns takes.
        """
        covariance = self.covariance[np.ix_(model.order, model.order)]
        (b, d), v = model.factor(), model.v_matrix
        whitened = diags(d**-0.5) @ b
        total = float(whitened.multiply(whitened @ covariance).sum())
        w = whitened @ v
        g = whitened.T @ w
        m = np.eye(v.shape[1]) + w.T @ w
        return total - float(np.trace(np.linalg.solve(m, g.T @ (covariance @ g))))


def problem(name: str) -> Problem:
    """Standardised data in a random order, 80 % of them for models."""
    x, y, _ = CASES[name][1](0)
    ranges = np.ptp(x, axis=0)
    x = x[:, (ranges > 0) & (x.std(axis=0) >= LEAST_SPREAD * ranges)]
    order = np.random.default_rng(0).permutation(len(x))
    used, rest = np.split(order, [int(0.8 * len(x))])
    x = (x - x[used].mean(axis=0)) / x[used].std(axis=0)
    y = (y - y[used].mean()) / y[used].std()
    return Problem(x[used], y[used], x[rest], y[rest])


def in_a_square(lengthscale: float, noise: float, n: int) -> Case:
    """Uniform points."""
    return Case(np.random.default_rng(0).random((n, 2)), lengthscale, noise)


def robots(noise: float, n: int) -> Case:
    """Rows of kin40k, and the lengthscales that a fit to some of them finds."""
    given = problem("kin40k")
    found = vecchia.fit(
        given.x[:2000],
        given.y[:2000],
        n_inducing=100,
        n_neighbors=20,
        max_iterations=20,
    )
    return Case(given.x[:n], found.kernel.lengthscale, noise)


def cases(n: int) -> dict[str, Case]:
    """The processes of the first part."""
    made = {
        "square, short": in_a_square(0.05, 0.01, n),
        "square, long": in_a_square(0.5, 0.01, n),
    }
    if (DATA / CASES["kin40k"][0]).exists():
        first = robots(0.001, n)
        made["8 columns, little noise"] = first
        made["8 columns, much noise"] = first._replace(noise=0.3)
    return made


# The exact process


class Choice(NamedTuple):
    """Options of a model."""

    m: int
    k: int
    metric: str
    order: str

    def model(self, x: np.ndarray, **process: Any) -> VIF:
        """A model of some points."""
        order: Any = self.order
        if order == "sorted":
            order = np.argsort(x[:, 0], kind="stable")
        return VIF(
            x,
            n_inducing=self.m,
            inducing_points="kmeans++",
            n_neighbors=self.k,
            neighbors=self.metric,
            ordering=order,
            **process,
        )


def usual(m: int, k: int, order: str = ORDERS[0]) -> Choice:
    """The default metric. Without inducing points both metrics find the same neighbours."""
    return Choice(m, k, "residual" if m else "euclidean", order)


def choices(kernel: str) -> Iterator[Choice]:
    """The models of a process."""
    pairs = [(m, k) for m in SIZES for k in NEIGHBORS] if kernel == USUAL else PAIRS
    for m, k in pairs:
        yield usual(m, k)
    for m, k in PAIRS:
        if m:
            yield Choice(m, k, "euclidean", ORDERS[0])
    for m, k in ORDERED:
        for order in ORDERS[1:]:
            yield usual(m, k, order)


def first_part(n: int, kernels: Iterable[str]) -> list[Figures]:
    """Models against the exact process."""
    rows = []
    for title, case in cases(n + N_NEW).items():
        for kernel in kernels:
            exact = Exact(case, kernel, n)
            given = {"kernel": exact.kernel, "noise": exact.noise, "n_threads": 1}
            for choice in choices(kernel):
                found = exact.compared(choice.model(exact.x, **given))
                rows.append(
                    {"case": title, "kernel": kernel, **choice._asdict(), **found}
                )
            print(f"{title}, {kernel}: done", flush=True)
    return rows


# Data


def second_part() -> list[Figures]:
    """Scores and seconds on data."""
    rows = []
    for name in ("elevators", "kin40k"):
        if not (DATA / CASES[name][0]).exists():
            print(f"{name}: left out, because {DATA / CASES[name][0]} is not here")
            continue
        given = problem(name)
        x, y, new_x, new_y = (
            part[:size] for part, size in zip(given, [MOST, MOST, N_TEST, N_TEST])
        )
        found = vecchia.fit(
            x[:FITTED], y[:FITTED], n_inducing=200, n_neighbors=30, ordering="random", inducing_points="kmeans++"
        )  # fmt: skip
        process = {"kernel": found.kernel, "noise": found.noise}
        tried = [usual(m, k) for m, ks in ON_DATA.items() for k in ks]
        tried += [Choice(m, 30, "euclidean", ORDERS[0]) for m in (200, 500)]
        tried += [usual(m, 30, "random") for m in (0, 200)]
        for choice in tried:
            row = on_data(choice, process, x, y, new_x, new_y)
            rows.append({"case": name, "n": len(y), "dim": x.shape[1], **row})
            print(rows[-1], flush=True)
    return rows


def on_data(
    choice: Choice, process: dict[str, Any], x: Any, y: Any, new_x: Any, new_y: Any
) -> Figures:
    """One model: the seconds of all its threads, its likelihood, and the scores of its predictions."""
    build_s, model = timed(lambda: choice.model(x, **process), process_time)
    gradient_s, value = timed(
        lambda: model.with_parameters(**process).log_likelihood(y, eval_gradient=True),
        process_time,
    )
    predict_s, (mean, variance) = timed(
        lambda: model.predict(new_x, y, return_var=True), process_time
    )
    scores = vecchia.scores(new_y, mean, variance)
    residual = 1 - (model.v_matrix**2).sum() / len(x) / model.kernel.variance
    return {
        **choice._asdict(),
        "build_s": build_s,
        "gradient_s": gradient_s,
        "predict_s": predict_s,
        "log_likelihood": value[0],
        "rmse": scores.rmse,
        "log_score": scores.log_score,
        "residual_share": float(residual),
    }

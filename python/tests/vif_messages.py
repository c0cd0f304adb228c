"""Every argument of Gaussian processes, given what it is not. The rows are for ``test_messages``."""

import functools
import tempfile
from pathlib import Path

import numpy as np
from wrong_values import (
    FUNCTION,
    INDICES,
    INTEGER,
    KERNEL,
    NAME,
    NONE,
    NUMBER,
    ONE_ROW,
    OTHER_WIDTH,
    PATH,
    POINTS,
    RESULTS,
    ROWS,
    SEED,
    SETS,
    THREADS,
    Thing,
    X,
    without,
)

import covertreex
from covertreex.kernels import RBF, Matern32
from covertreex.vecchia import VIF, calibrate

N = len(X)
Y = np.sin(6 * X)
NEW = X[:4] + 0.01
NOISE = np.linspace(0.1, 0.2, N)


def process(**options):
    return VIF(X, **{"kernel": Matern32(0.3), "noise": 0.1, "n_neighbors": 4, "n_inducing": 5, **options})


def own(a, b):
    return Matern32(0.3)(a, b)


def slopes(a, b):
    return own(a, b)[None]


# By the way in which its sets and its kernel came about.
@functools.cache
def model():
    return process()


@functools.cache
def euclidean():
    return process(neighbors="euclidean", n_inducing=0)


@functools.cache
def lone():
    """A model without sets and inducing points."""
    return process(n_neighbors=0, n_inducing=0)


@functools.cache
def called():
    return process(kernel=own, kernel_gradient=slopes)


@functools.cache
def noisy():
    return process(noise=NOISE)


def assert_unchanged():
    """All that the models give is what others give that were made in the same way."""
    for made in (model, euclidean, lone, called, noisy):
        one, other = made(), made.__wrapped__()
        assert repr(one) == repr(other) and one.kernel == other.kernel
        assert (one.kernel_gradient is None) == (made is not called)
        for name in ("order", "neighbors", "inducing_points", "noise", "v_matrix", "log_determinant"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
        for each in (one.refit(), other):
            for part, again in zip(results(one), results(each)):
                np.testing.assert_array_equal(part, again)


def results(one):
    value, gradient = one.log_likelihood(Y, eval_gradient=True, trend=X)
    yield from (value, gradient, one.solve(Y), *one.trend(Y, X), one.sample(2, seed=1), *one.leave_one_out(Y))
    yield one.sample(2, y=Y[:, 0], coords=NEW, seed=1)
    yield from (*one.predict(NEW, Y, return_var=True, latent=True), *one.predict(NEW, Y, return_cov=True, latent=True))


@functools.cache
def saved(of=model):
    path = new()
    of().save(path)
    return path


def new():
    """A path at which there is nothing."""
    return Path(tempfile.mkdtemp()) / "new"


def changed(array, value):
    array = np.array(array)
    array.flat[7] = value
    return array


def width_of(columns):
    return columns.shape[1] if isinstance(columns, np.ndarray) and columns.ndim == 2 else 2


BEYOND = np.full((N, 1), np.longdouble("1e400"))
FRAME = {"a dict of columns": ({"a": [1.0], "b": [2.0]}, TypeError)}
OF_POINTS = {
    **FRAME,
    "NaN": (changed(Y, np.nan), ValueError),
    "infinity": (changed(Y, -np.inf), ValueError),
    "masked elements": (np.ma.array(Y, mask=changed(np.zeros(Y.shape, bool), True)), ValueError),
    "objects that are numbers": (Y.astype(object), TypeError),
    "spans": (Y.astype("timedelta64[s]"), TypeError),
    "records": (np.zeros((N, 1), [("a", float)]), TypeError),
    "beyond float64": (BEYOND, ValueError),
    "one row too many": (np.zeros((N + 1, 1)), ValueError),
    "no rows": (np.zeros((0, 1)), ValueError),
    "no columns": (np.zeros((N, 0)), ValueError),
    "three dimensions of the points": (np.zeros((N, 1, 1)), ValueError),
}
RESPONSES = {
    **ROWS,
    **NONE,
    **ONE_ROW,
    **OF_POINTS,
    "a string": ("abc", TypeError),
    "beyond float64 in one": (BEYOND[:, 0], ValueError),
    "one too few": (Y[1:, 0], ValueError),
    "transposed": (Y.T, ValueError),
    "nothing": ([], ValueError),
}
COLUMNS = {
    **ROWS,
    **ONE_ROW,
    **OF_POINTS,
    "a string": ("abc", TypeError),
    "one column": (X[:, 0], ValueError),
    "the same column twice": (X[:, [0, 0]], ValueError),
    "a sum of others": (np.column_stack([X, X.sum(axis=1)]), ValueError),
    "a column of 0": (X * [1, 0], ValueError),
    "more columns than points": (np.random.default_rng(1).random((N, N + 1)), ValueError),
    "beyond what can be squared": (X * 1e200, ValueError),
}
NOISES = {
    **without(NUMBER, "a list", "an array"),
    "lists of different lengths": ([[1.0], [1.0, 2.0]], ValueError),
    "a generator": ((one for one in [1.0]), TypeError),
    "infinity": (np.inf, ValueError),
    "a date": (np.datetime64("2000-01-01"), TypeError),
    "beyond float64": (np.longdouble("1e400"), ValueError),
    "an array without dimensions below 0": (np.array(-1.0), ValueError),
    "one in a list": ([0.1], ValueError),
    "one too few": (NOISE[1:], ValueError),
    "one too many": (np.full(N + 1, 0.1), ValueError),
    "a column": (NOISE[:, None], ValueError),
    "strings": (np.full(N, "0.1"), TypeError),
    "complex numbers": (NOISE * 1j, TypeError),
    "objects": (NOISE.astype(object), TypeError),
    "dates": (np.zeros(N, "datetime64[s]"), TypeError),
    "booleans": (np.ones(N, bool), TypeError),
    "one below 0": (changed(NOISE, -1), ValueError),
    "one NaN": (changed(NOISE, np.nan), ValueError),
    "one infinite": (changed(NOISE, np.inf), ValueError),
    "one beyond float64": (np.full(N, np.longdouble("1e400")), ValueError),
    "one masked": (np.ma.array(NOISE, mask=NOISE > 0.19), ValueError),
}
ORDERS = {
    **INDICES,
    **NONE,
    "a string": ("abc", ValueError),
    "another name": ("foo", ValueError),
    "nothing": ("", ValueError),
    "a number": (3, ValueError),
    "one too few": (np.arange(N - 1), ValueError),
    "one too many": (np.arange(N + 1), ValueError),
    "one twice": ([0, *range(N - 1)], ValueError),
    "from 1": (np.arange(1, N + 1), ValueError),
    "below 0": (np.arange(N) - 1, ValueError),
    "whole floats": (np.arange(N, dtype=float), TypeError),
    "a column": (np.arange(N)[:, None], ValueError),
    "masked": (np.ma.array(np.arange(N), mask=np.arange(N) == 3), ValueError),
}
SETS_OF_POINTS = {
    **SETS,
    **NONE,
    **NAME,
    "a string": ("abc", ValueError),
    "a number": (3, ValueError),
    "one row too many": (np.full((N + 1, 2), -1), ValueError),
    "no rows": (np.zeros((0, 2), int), ValueError),
    "later": (changed(np.full((N, 2), -1), N - 1), ValueError),
    "one twice": (np.where(np.arange(N)[:, None] == 9, 3, np.full((N, 2), -1)), ValueError),
    "masked": (np.ma.array(np.full((N, 2), -1), mask=np.eye(N, 2, dtype=bool)), ValueError),
}
INDUCING = {
    **without(POINTS, "no columns"),
    **OTHER_WIDTH,
    **NAME,
    "a number": (3, ValueError),
    "no columns": (np.zeros((3, 0)), ValueError),
    "other columns, and no rows": (np.zeros((0, 5)), ValueError),
    "masked elements": (np.ma.array(X[:5], mask=X[:5] > 0.5), ValueError),
}
NEW_POINTS = {
    **POINTS,
    **OTHER_WIDTH,
    **NONE,
    **FRAME,
    "a string": ("abc", TypeError),
    "indices": ([0, 1], ValueError),
    "no rows of other columns": (np.zeros((0, 5)), ValueError),
    "beyond float64": (BEYOND[:, [0, 0]], ValueError),
}
JITTERS = {**NUMBER, "infinity": (np.inf, ValueError), "too much": (0.5, ValueError)}
GRADIENTS = {
    **FUNCTION,
    "a class": (Thing, TypeError),
    "a function of no array": (lambda a, b: "abc", ValueError),
    "a function of a matrix": (own, ValueError),
    "a function of strings": (lambda a, b: [[["a"]]], TypeError),
    "a function of complex numbers": (lambda a, b: slopes(a, b) * 1j, TypeError),
    "a function of no parameters": (lambda a, b: slopes(a, b)[:0], ValueError),
    "a function of a transposed array": (lambda a, b: slopes(a, b).T.repeat(3, axis=2), ValueError),
}
WITH_OURS = {"a function with a kernel of ours": (slopes, ValueError)}

TABLE = {
    "VIF(coords)": ({**POINTS, **NONE, **FRAME}, lambda v: VIF(v, kernel=RBF(), noise=0.1)),
    "VIF(coords), without sets": (
        {**POINTS, **NONE},
        lambda v: VIF(v, kernel=RBF(), noise=0.1, n_inducing=0, n_neighbors=0, ordering="natural"),
    ),
    "VIF(coords), euclidean": (
        {**POINTS, **NONE},
        lambda v: VIF(v, kernel=RBF(), noise=0.1, n_inducing=0, ordering="natural", neighbors="euclidean"),
    ),
    "VIF(coords), of a callback": (
        POINTS,
        lambda v: VIF(v, kernel=own, noise=0.1, n_inducing=0),
    ),
    "VIF(kernel)": ({**KERNEL, **NONE}, lambda v: process(kernel=v)),
    "VIF(kernel_gradient)": (GRADIENTS, lambda v: process(kernel=own, kernel_gradient=v)),
    "VIF(kernel_gradient), of ours": ({**FUNCTION, **WITH_OURS}, lambda v: process(kernel_gradient=v)),
    "VIF(noise)": ({**NOISES, **NONE}, lambda v: process(noise=v)),
    "VIF(n_neighbors)": (INTEGER, lambda v: process(n_neighbors=v)),
    "VIF(n_neighbors), of given sets": (
        INTEGER,
        lambda v: process(n_neighbors=v, neighbors=np.full((N, 2), -1)),
    ),
    "VIF(n_inducing)": ({**INTEGER, "above n": (61, ValueError)}, lambda v: process(n_inducing=v)),
    "VIF(inducing_points)": (INDUCING, lambda v: process(n_inducing=None, inducing_points=v)),
    "VIF(ordering)": (ORDERS, lambda v: process(ordering=v)),
    "VIF(neighbors)": (SETS_OF_POINTS, lambda v: process(neighbors=v)),
    "VIF(seed)": (SEED, lambda v: process(seed=v)),
    "VIF(jitter)": (JITTERS, lambda v: process(jitter=v)),
    "VIF(jitter), without inducing points": (JITTERS, lambda v: process(jitter=v, n_inducing=0, neighbors="euclidean")),
    "VIF(n_threads)": (THREADS, lambda v: process(n_threads=v)),
    "VIF(progress)": (FUNCTION, lambda v: process(progress=v)),
    "VIF(progress), without sets": (
        FUNCTION,
        lambda v: process(progress=v, n_inducing=0, n_neighbors=0, ordering="natural"),
    ),
    "VIF.with_parameters(kernel)": (KERNEL, lambda v: model().with_parameters(kernel=v)),
    "VIF.with_parameters(kernel_gradient)": (
        GRADIENTS,
        lambda v: model().with_parameters(kernel=own, kernel_gradient=v),
    ),
    "VIF.with_parameters(kernel_gradient), of ours": (
        {**FUNCTION, **WITH_OURS},
        lambda v: model().with_parameters(kernel=RBF(), kernel_gradient=v),
    ),
    "VIF.with_parameters(kernel_gradient), alone": (
        {**FUNCTION, "a function without a kernel": (slopes, ValueError)},
        lambda v: model().with_parameters(kernel_gradient=v),
    ),
    "VIF.with_parameters(noise)": (NOISES, lambda v: model().with_parameters(noise=v)),
    "VIF.with_parameters(n_threads)": (THREADS, lambda v: model().with_parameters(n_threads=v)),
    "VIF.refit(kernel)": (KERNEL, lambda v: model().refit(kernel=v)),
    "VIF.refit(kernel_gradient)": (GRADIENTS, lambda v: model().refit(kernel=own, kernel_gradient=v)),
    "VIF.refit(kernel_gradient), alone": (
        {**FUNCTION, "a function without a kernel": (slopes, ValueError)},
        lambda v: called().refit(kernel_gradient=v),
    ),
    "VIF.refit(noise)": (NOISES, lambda v: model().refit(noise=v)),
    "VIF.refit(n_threads)": (THREADS, lambda v: model().refit(n_threads=v)),
    "VIF.refit(progress)": (FUNCTION, lambda v: model().refit(progress=v)),
    "Inference.log_likelihood(y)": (RESPONSES, lambda v: model().log_likelihood(v)),
    "Inference.log_likelihood(trend)": (COLUMNS, lambda v: model().log_likelihood(Y, trend=v)),
    "Inference.log_likelihood(n_threads)": (THREADS, lambda v: model().log_likelihood(Y, n_threads=v)),
    "Inference.log_likelihood(progress)": (FUNCTION, lambda v: model().log_likelihood(Y, progress=v)),
    "Inference.solve(y)": (RESPONSES, lambda v: model().solve(v)),
    "Inference.solve(n_threads)": (THREADS, lambda v: model().solve(Y, n_threads=v)),
    "Inference.trend(y)": (RESPONSES, lambda v: model().trend(v, X)),
    "Inference.trend(design)": ({**COLUMNS, **NONE}, lambda v: model().trend(Y, v)),
    "Inference.trend(n_threads)": (THREADS, lambda v: model().trend(Y, X, n_threads=v)),
    "Inference.sample(size)": ({**INTEGER, **NONE, **RESULTS}, lambda v: model().sample(v)),
    "Inference.sample(size), at new points": (
        {**INTEGER, **NONE, **RESULTS},
        lambda v: model().sample(v, y=Y[:, 0], coords=NEW),
    ),
    "Inference.sample(y)": (
        {**without(RESPONSES, "None"), "two columns": (Y, ValueError), "one column": (Y[:, :1], ValueError)},
        lambda v: model().sample(y=v, coords=NEW),
    ),
    "Inference.sample(coords), alone": ({"without y": (NEW, ValueError)}, lambda v: model().sample(coords=v)),
    "Inference.sample(coords), missing": ({"None": (None, ValueError)}, lambda v: model().sample(y=Y[:, 0], coords=v)),
    "Inference.sample(seed)": (SEED, lambda v: model().sample(seed=v)),
    "Inference.sample(n_threads)": (THREADS, lambda v: model().sample(n_threads=v)),
    "Inference.sample(n_threads), at new points": (
        THREADS,
        lambda v: model().sample(y=Y[:, 0], coords=NEW, n_threads=v),
    ),
    "Inference.predict(y)": (RESPONSES, lambda v: model().predict(NEW, v)),
    "Inference.predict(trend)": (
        without(COLUMNS, "None"),
        lambda v: model().predict(NEW, Y, trend=v, new_trend=np.ones((len(NEW), width_of(v)))),
    ),
    "Inference.predict(new_trend)": (
        {**without(NEW_POINTS, "None"), "without trend": (NEW, ValueError)},
        lambda v: model().predict(NEW, Y, trend=None if v is NEW else X, new_trend=v),
    ),
    "Inference.predict(n_neighbors)": (
        without(INTEGER, "None"),
        lambda v: model().predict(NEW, Y, n_neighbors=v),
    ),
    "Inference.sample(n_neighbors)": (
        without(INTEGER, "None"),
        lambda v: model().sample(y=Y[:, 0], coords=NEW, n_neighbors=v),
    ),
    "Inference.leave_one_out(y)": (RESPONSES, lambda v: model().leave_one_out(v)),
    "Inference.leave_one_out(trend)": (COLUMNS, lambda v: model().leave_one_out(Y, trend=v)),
    "Inference.leave_one_out(n_threads)": (THREADS, lambda v: model().leave_one_out(Y, n_threads=v)),
    "Inference.leave_one_out(progress)": (FUNCTION, lambda v: model().leave_one_out(Y, progress=v)),
    "Inference.predict(n_threads)": (THREADS, lambda v: model().predict(NEW, Y, n_threads=v)),
    "Inference.predict(progress)": (FUNCTION, lambda v: model().predict(NEW, Y, progress=v)),
    "vecchia.calibrate(model)": ({**KERNEL, **NONE, "a class": (VIF, TypeError)}, lambda v: calibrate(v, Y[:, 0])),
    "vecchia.calibrate(y)": (
        {**RESPONSES, "two columns": (Y, ValueError), "one column": (Y[:, :1], ValueError)},
        lambda v: calibrate(model(), v),
    ),
    "vecchia.calibrate(trend)": (COLUMNS, lambda v: calibrate(model(), Y[:, 0], trend=v)),
    "vecchia.calibrate(n_threads)": (THREADS, lambda v: calibrate(model(), Y[:, 0], n_threads=v)),
    "Calibration.factors(coords)": (
        {**NEW_POINTS, "one row too many, and a column": (np.zeros((N + 1, 1)), ValueError)},
        lambda v: calibrate(model(), Y[:, 0]).factors(v),
    ),
    "Calibration.factors(n_threads)": (
        THREADS,
        lambda v: calibrate(model(), Y[:, 0]).factors(NEW, n_threads=v),
    ),
    "Stored.save(path)": ({**PATH, **NONE}, lambda v: model().save(v)),
    "Stored.save(progress)": (FUNCTION, lambda v: model().save(new(), progress=v)),
    "load(kernel), of a process": ({**KERNEL}, lambda v: covertreex.load(saved(called), kernel=v)),
    "load(kernel_gradient)": (GRADIENTS, lambda v: covertreex.load(saved(called), kernel=own, kernel_gradient=v)),
    "load(kernel_gradient), of ours": (
        {**FUNCTION, **WITH_OURS},
        lambda v: covertreex.load(saved(), kernel_gradient=v),
    ),
}
for of, made in {"": model, ", euclidean": euclidean, ", without sets": lone, ", of a callback": called}.items():
    TABLE |= {
        f"Inference.predict(new){of}": (NEW_POINTS, lambda v, made=made: made().predict(v, Y, return_var=True)),
        f"Inference.predict(new){of}, jointly": (
            NEW_POINTS,
            lambda v, made=made: made().predict(v, Y, return_cov=True),
        ),
        f"Inference.sample(coords){of}": (
            without(NEW_POINTS, "None"),
            lambda v, made=made: made().sample(y=Y[:, 0], coords=v),
        ),
    }

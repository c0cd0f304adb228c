"""Gaussian processes by inducing points and conditioning sets: ``covertree_vif_*``."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from . import files
from .callbacks import CallbackKernel
from .calls import BRIEF, How, Unpack, call, made
from .library import check, lib, read
from .memory import Float64s, Handle, Int64s, Owner, address, matrix
from .residuals import AnyKernel, give
from .structs import VifInfo, VifOptions, VifPoints


class Sets(NamedTuple):
    """Conditioning sets, one after the other."""

    offsets: Int64s  #: (sets + 1,)
    neighbors: Int64s  #: ranks


class Process(NamedTuple):
    """What a model is made of, besides points and sets."""

    kernel: AnyKernel
    noise: Float64s  #: (1,) or (n,)
    inducing: Float64s  #: (m, dim)
    jitter: float


def options_of(process: Process, how: How) -> VifOptions:
    """Options of a model."""
    kernel, noise, inducing, jitter = process
    options = VifOptions(n_threads=how.get("n_threads", 0), jitter=jitter)
    give(kernel, options, how)
    options.noise, options.n_noise = address(noise), len(noise)
    if len(inducing):
        options.inducing_points, options.n_inducing = address(inducing), len(inducing)
    return options


def build(points: Float64s, order: Int64s, sets: Sets, process: Process, **how: Unpack[How]) -> Owner:
    """Build a model of points in an order, with the conditioning set of each rank."""
    given = matrix(points), address(order), address(sets.offsets), address(sets.neighbors)
    options = options_of(process, how)
    return made(lib.covertree_vif_build, lib.covertree_vif_free, how, *given, options=options)


def with_parameters(model: Handle, process: Process, **how: Unpack[How]) -> Owner:
    """A model with the same points and sets, and another kernel and noise."""
    options = options_of(process, how)
    return made(lib.covertree_vif_with_parameters, lib.covertree_vif_free, how, model, options=options)


def log_likelihood(model: Handle, y: Float64s, *, gradient: bool, **how: Unpack[How]) -> tuple[Float64s, Float64s]:
    """The log likelihood of each column, and its gradients, (columns, parameters), if they are wanted."""
    count = get_info(model).n_parameters if gradient else 0
    values, gradients = np.empty(y.shape[1]), np.empty((y.shape[1], count))
    wanted = address(values), address(gradients) if gradient else None
    call(lib.covertree_vif_log_likelihood, how, (model, matrix(y)), *wanted)
    return values, gradients


def solve(model: Handle, y: Float64s, **how: Unpack[How]) -> Float64s:
    """Solve for the covariance of the response."""
    solution = np.empty(y.shape)
    call(lib.covertree_vif_solve, how, (model, matrix(y)), address(solution))
    return solution


def precision(model: Handle, **how: Unpack[How]) -> Float64s:
    """The diagonal of the inverse of the response's covariance."""
    diagonal = np.empty(get_info(model).n_points)
    call(lib.covertree_vif_precision, how, (model,), address(diagonal))
    return diagonal


def new_points(points: Float64s, sets: Sets, noise: float = 0.0) -> VifPoints:
    """New points with their sets."""
    return VifPoints(matrix(points), address(sets.offsets), address(sets.neighbors), noise)


def predict(
    model: Handle, y: Float64s, points: Float64s, sets: Sets, *, variance: bool, **how: Unpack[How]
) -> tuple[Float64s, Float64s | None]:
    """Means, (q, columns), and the variance of the process, (q,), at new points."""
    means, variances = np.empty((len(points), y.shape[1])), np.empty(len(points)) if variance else None
    given = model, matrix(y), new_points(points, sets)
    call(lib.covertree_vif_predict, how, given, address(means), address(variances), points="new")
    return means, variances


def predict_jointly(
    model: Handle, y: Float64s, points: Float64s, sets: Sets, noise: float, *, covariance: bool, **how: Unpack[How]
) -> tuple[Float64s, Float64s]:
    """Means, (q, columns), and the covariance of the response, (q, q) or empty, at new points."""
    means, found = np.empty((len(points), y.shape[1])), np.empty((len(points), len(points) if covariance else 0))
    given = model, matrix(y), new_points(points, sets, noise)
    wanted = address(found) if covariance else None
    call(lib.covertree_vif_predict_jointly, how, given, address(means), wanted, points="new")
    return means, found


def draw(model: Handle, normals: Float64s, **how: Unpack[How]) -> Float64s:
    """Draws at the data from the prior, (draws, n)."""
    info = get_info(model)
    assert normals.shape[1] == info.n_inducing + info.n_points
    draws = np.empty((len(normals), info.n_points))
    call(lib.covertree_vif_draw, how, (model, None, address(normals), len(normals)), address(draws))
    return draws


def draw_new(
    model: Handle, points: Float64s, sets: Sets, noise: float, normals: Float64s, **how: Unpack[How]
) -> Float64s:
    """Deviations of draws at new points from their means, (draws, q)."""
    assert normals.shape[1] == get_info(model).n_inducing + len(points)
    draws = np.empty((len(normals), len(points)))
    given = model, new_points(points, sets, noise), address(normals), len(normals)
    call(lib.covertree_vif_draw, how, given, address(draws))
    return draws


def factor(model: Handle) -> tuple[Float64s, Float64s]:
    """Weights of all neighbours, and D."""
    info = get_info(model)
    weights, variances = np.empty(info.n_neighbors), np.empty(info.n_points)
    check(lib.covertree_vif_factor(model, address(weights), address(variances), None))
    return weights, variances


def features(model: Handle) -> Float64s:
    """V by rank."""
    info = get_info(model)
    v = np.empty((info.n_points, info.n_inducing))
    check(lib.covertree_vif_factor(model, None, None, address(v)))
    return v


def get_info(model: Handle) -> VifInfo:
    """A model in numbers."""
    return read(lib.covertree_vif_get_info, model, VifInfo)


#: Write a model to a file, and the same in memory.
_writer = files.Writer("vif")
save, encode = _writer.save, _writer.encode


def load(file: Owner, kernel: CallbackKernel | None = None) -> Owner:
    """The model in a file; ``kernel`` is for one that was built with a kernel of the caller."""
    options = VifOptions()
    if kernel is not None:
        kernel.give(options)
    return made(lib.covertree_vif_load, lib.covertree_vif_free, BRIEF, file.handle, options=options, kernel_fn="kernel")

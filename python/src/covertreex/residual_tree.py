"""The residual tree by the names of covertreex 0.4.x."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from . import _arguments, _arrays
from ._residual_inputs import DEFAULT_INDUCING
from .kernels import BY_NAME
from .residual import ResidualTree


class ResidualCoverTree(ResidualTree):
    """A residual tree by the names of covertreex 0.4.x.

    Parameters
    ----------
    coords : array_like, shape (n, dim)
        Coordinates.
    variance : float
        Of the kernel.
    lengthscale : float or sequence of float
        Of the kernel: one, or one for each dimension.
    inducing_count : int
        Inducing points; all points where there are fewer.
    seed : int
        For the sample of inducing points.
    engine : str
        As in :func:`covertreex.cover_tree`; other names of covertreex 0.4.x stand for "auto". Answers are the same.
    kernel_type : {"rbf", "matern12", "matern32", "matern52"}
        The kernel. The numbers 0 and 1 of covertreex 0.4.x stand for RBF and Matern 5/2.
    """

    def __init__(
        self,
        coords: ArrayLike,
        *,
        variance: float = 1.0,
        lengthscale: Any = 1.0,
        inducing_count: int = DEFAULT_INDUCING,
        seed: int = 42,
        engine: str = "rust-hilbert",
        kernel_type: str | int = "rbf",
    ) -> None:
        named = {0: "rbf", 1: "matern52"}.get(kernel_type) if type(kernel_type) is int else None
        text = kernel_type.lower() if isinstance(kernel_type, str) else named or kernel_type
        name = _arguments.choice(text, "kernel_type", tuple(BY_NAME))
        kernel = BY_NAME[name](lengthscale=lengthscale, variance=variance)
        points = _arrays.points(coords, "coords", dtype=np.dtype(np.float64))
        count = min(_arrays.integer(inducing_count, "inducing_count", minimum=1), len(points))
        known = engine if engine in {"hybrid", "python-numba"} else "auto"
        super().__init__(points, kernel=kernel, inducing_count=count, engine=known, seed=seed)

"""The residual tree by the names of covertreex 0.4.x."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _arguments, _arrays
from ..residual import ResidualTree
from ..residual._inputs import DEFAULT_INDUCING
from . import _engine_names, host_data
from ._notices import without_effect

__all__ = ["ResidualCoverTree"]


class ResidualCoverTree(ResidualTree):
    """A residual tree by the names of covertreex 0.4.x.

    Parameters
    ----------
    coords : array_like, shape (n, dim)
        Coordinates.
    variance, lengthscale : float
        Of the kernel; a lengthscale, or one for each dimension.
    inducing_count : int
        Inducing points, which are sampled by the seed; all points if there are fewer.
    engine : str
        As in :func:`covertreex.cover_tree`; answers are the same.
    kernel_type : {"rbf", "matern12", "matern32", "matern52"}
        The kernel. The numbers 0 and 1 of covertreex 0.4.x mean RBF and Matern 5/2.
    chunk_size : int, optional
        Without effect.
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
        chunk_size: int | None = None,
    ) -> None:
        without_effect([] if chunk_size is None else ["chunk_size"])
        kernel = host_data.kernel_of(kernel_type, variance, lengthscale)
        points = _arrays.points(coords, "coords", dtype=np.dtype(np.float64))
        count = min(_arrays.integer(inducing_count, "inducing_count", minimum=1), len(points))
        # The order in an engine's name has no meaning for residual correlation.
        known = _engine_names.NAMES.get(engine, (engine, ""))[0]
        with _arguments.renamed(points="coords"):
            super().__init__(points, kernel=kernel, n_inducing=count, engine=known, seed=seed)

    @property
    def coords(self) -> NDArray[np.float64]:
        """Coordinates, shape (n, dim); read-only."""
        view: NDArray[np.float64] = self._coords.view()
        view.flags.writeable = False
        return view

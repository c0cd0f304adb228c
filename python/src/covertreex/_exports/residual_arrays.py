"""The arrays of a residual tree: its cover tree's, and the arrays for searches in the residual process."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .. import _calls
from .._capi import Handle, residuals
from .tree_arrays import TreeArrays


class ResidualArrays(TreeArrays):
    """The arrays of a residual tree of ``n`` points: read-only, 64-byte aligned, not copied, alive as long as any is.

    As a tuple it has the arrays of the cover tree, in its depth-first order, see :class:`covertreex.TreeArrays`. The
    other attributes are by *position* in blocks of near points. A block has the order of dataset indices: the points
    before an index are its first ones. Node ``t`` of the tree is at position ``block_places[order[t]]``.

    The pivots of a block span its points, nearly, in the residual process. In an orthonormal basis of the part of that
    span that matters point ``i`` has coefficients ``f_i``, and its rest has the norm ``e_i``: within a block
    ``|rho_ij - f_i . f_j| <= e_i e_j``, and with the product ``B`` of the bases of two blocks
    ``|rho_ij - f_i^T B f_j| <= e_i + e_j``. Without low-rank blocks, their arrays are empty.
    """

    block_order: NDArray[np.int32]  #: (n,) dataset index of each position
    block_places: NDArray[np.int32]  #: (n,) position of each dataset index
    coordinates: NDArray[np.float64]  #: (n, dim) over the lengthscale
    v_matrix: NDArray[np.float64]  #: (n, m rounded up to a multiple of 8), V filled up with columns of zeros
    residual_variance: NDArray[np.float64]  #: (n,) p
    scales: NDArray[np.float32]  #: (n,) sqrt(variance / p), rounded up; infinity where a pair may count as 0
    pivot_offsets: NDArray[np.int64]  #: (blocks + 1,) into `pivots`
    pivots: NDArray[np.int32]  #: positions of the few points of each block that nearly span the others
    coefficient_offsets: NDArray[np.int64]  #: (blocks + 1,) into `coefficients`
    coefficients: NDArray[np.float32]  #: of each block (panels of 32 points, rank, 32), rank a multiple of 8
    remaining_norms: NDArray[np.float32]  #: (n,) norm of the rest of each point's unit vector, rounded up
    bounds: NDArray[np.uint8]  #: (regions, n) the largest |rho| of a point with any of a region, in units of 1/255
    product_offsets: NDArray[np.int64]  #: (blocks, blocks) into `products`, for q < t; (0, 0) if there are regions
    products: NDArray[np.float32]  #: of each pair the product of the bases of the two, (rank, rank)
    block_size: int  #: points of a block; the last one may have fewer
    blocks_per_region: int
    kernel: int  #: a covertree_kernel_shape, -1 for one that is not of this package
    kernel_variance: float
    variance: float  #: the largest k(x, x)

    _model: ModelView | None = None

    @property
    def stale(self) -> bool:
        """True if the tree has been changed or closed since: then these are its earlier arrays."""
        return super().stale or (self._model is not None and not residuals.arrays_are_current(self._model.owner))


# Of arrays that would be mistaken for the cover tree's.
_NAMES = {"order": "block_order", "positions": "block_places"}


class ModelView:
    """The arrays of a model: :class:`ResidualArrays` without the cover tree's. They live as long as this."""

    def __init__(self, residual: Handle) -> None:
        self.owner = residuals.export(residual, n_threads=_calls.threads(None))
        shown = residuals.arrays_get(self.owner)
        self.arrays = {_NAMES.get(name, name): value for name, value in shown.items()}

    def with_tree(self, tree: TreeArrays) -> ResidualArrays:
        """Show them with the arrays of a cover tree."""
        arrays = ResidualArrays(*tree)
        arrays._owner, arrays._model = tree._owner, self
        arrays.__dict__.update(self.arrays)
        return arrays

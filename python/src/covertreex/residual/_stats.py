"""A residual tree in numbers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ResidualStats:
    """A residual tree in numbers."""

    n_points: int
    dim: int
    n_features: int  #: columns of V
    n_blocks: int  #: of points that are compared together
    n_pivots: int  #: of all skeletons; 0 where blocks are compared by their features alone
    memory_bytes: int
    variance: float  #: the largest k(x, x)
    jitter: float  #: that was added to k(U, U), relative to the variance
    build_seconds: float
    queries: int  #: since the tree was built, like the next fields
    blocks_estimated: int  #: pairs of a query and a block compared through skeletons
    blocks_compared: int  #: and by features
    points_bounded: int
    points_exact: int  #: residual correlations computed in float64
    order_seconds: float  #: putting points in order, as the next four with what early points took
    feature_seconds: float  #: V and p
    skeleton_seconds: float
    bound_seconds: float  #: bounds between skeletons, at the first search of points of the dataset
    search_seconds: float  #: of all searches, without these

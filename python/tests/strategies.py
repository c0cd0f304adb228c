"""Point sets of every kind that a tree meets."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st


@st.composite
def point_sets(draw, max_points=120, max_dim=20):
    """(n, dim) points: normal, clustered, on a lattice, on a line, with duplicates; both dtypes; any scale."""
    n = draw(st.integers(1, max_points))
    dim = draw(st.integers(1, max_dim))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kind = draw(st.sampled_from(["normal", "clustered", "lattice", "line", "duplicates", "equal", "scales"]))
    x = rng.standard_normal((n, dim))
    if kind == "clustered":
        x = rng.integers(0, 4, (n, 1)) * 100.0 + x * 10.0 ** rng.integers(-6, 1, (n, 1))
    elif kind == "lattice":
        x = rng.integers(-3, 4, (n, dim)).astype(float)
    elif kind == "line":
        x = rng.standard_normal((n, 1)) * rng.standard_normal((1, dim))
    elif kind == "duplicates":
        x = x[rng.integers(0, max(1, n // 3), n)]
    elif kind == "equal":
        x = np.repeat(x[:1], n, axis=0)
    elif kind == "scales":
        x = x * 10.0 ** rng.integers(-12, 6, (n, 1))
    return (x * draw(st.sampled_from([1.0, 1e-30, 1e30]))).astype(draw(st.sampled_from([np.float32, np.float64])))


orders = st.sampled_from(["hilbert", "natural", "random"])

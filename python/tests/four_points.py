"""Conditioning sets and a factor of four points, with at most two neighbours each, in several formats."""

import numpy as np

NA = -(2**31)  # of R's integers
NAN = np.nan
SETS = np.array([[-1, -1], [0, -1], [1, 0], [2, 0]])
ORDER = np.array([2, 0, 3, 1])
NNARRAY = np.array([[1, NAN, NAN], [2, 1, NAN], [3, 2, 1], [4, 3, 1]])
LINV = np.array([[1.0, 0, 0], [2, -1, 0], [4, -1, 2], [0.5, 0.25, -1]])
INFO = {
    "n.neighbors": 2,
    "n.indx": [None, [1], [2, 1], [3, 1]],  # which is ignored
    "nn.indx": [0, 1, 0, 2, 0],
    "nn.indx.lu": [0, 0, 1, 3, 0, 1, 2, 2],
    "ord": [3, 1, 4, 2],
}

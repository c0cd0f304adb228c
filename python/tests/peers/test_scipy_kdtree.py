"""scipy's spatial/tests/test_kdtree.py against covertree."""

from installed import load
from scipy_names import NAMES

load("scipy.spatial.tests.test_kdtree", globals(), package="scipy", version="1.17", names=NAMES)
